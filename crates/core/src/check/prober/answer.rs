//! What comes back: an answer to one of an uplink's probes, or a refusal with its reason. Every packet
//! from outside ends here as a counter.

use super::{Instant, Outcome, Prober};
use crate::check::flight::{Fate, Heard};
use crate::check::kind::Refusal;
use crate::check::pace::Mode;
use crate::check::verdict::Verdict;
use crate::io::{Answer, AskError, Peer};
use crate::time::Duration;

/// What became of a question that was no packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Told {
    /// This target was reached.
    Reached(usize),
    /// None was, or nobody knows which.
    Nothing,
    /// It was never asked, and does not count as sent.
    NotAsked,
}

impl Prober {
    /// Takes a packet from the port of the uplink's checks, as old as the kernel says. Returns whose answer
    /// it is, and when that target had answered here last. A valid answer that comes too late is a
    /// sign of life and no more.
    ///
    /// # Errors
    /// [`Refusal`]: it is dropped, and counted with [`Prober::count_refusal`].
    pub fn answer(
        &mut self,
        now: Instant,
        age: Duration,
        from: Peer,
        bytes: &[u8],
    ) -> Result<(usize, Option<Instant>), Refusal> {
        let (target, id) = self.probe_of(from, bytes)?;
        let at = now - age;
        let before = self.targets.get(target).and_then(|target| target.last_answer);
        self.hear(id, at, self.has_overslept(now))?;
        Ok((target, before))
    }

    /// Takes what became of a question that was no packet.
    ///
    /// # Errors
    /// [`Refusal`]: an answer to no question of ours, or to one that was answered before.
    pub fn outcome(
        &mut self,
        now: Instant,
        asked: u64,
        outcome: Result<Answer, AskError>,
    ) -> Result<Told, Refusal> {
        let id = self.kind.number(self.flight.newest(), asked);
        let id = id.filter(|_| self.running.is_some());
        let rtt = match outcome {
            Ok(Answer::Connected { rtt } | Answer::Refused { rtt }) => rtt,
            Err(AskError::TimedOut | AskError::Unreachable) => return Ok(Told::Nothing),
            Err(AskError::NotAsked) => {
                let is_taken_back = id.is_some_and(|id| self.take_back(now, id));
                return Ok(if is_taken_back { Told::NotAsked } else { Told::Nothing });
            }
        };
        let id = id.ok_or(Refusal::WrongSequence)?;
        let probe = self.flight.get(id).copied();
        // When it came: the loop may be late.
        let at = probe.map_or(now, |probe| (probe.sent + rtt).min(now));
        self.hear(id, at, self.has_overslept(now))?;
        Ok(probe.map_or(Told::Nothing, |probe| Told::Reached(probe.target)))
    }

    /// Takes back a question that was never asked: it says nothing of the target. Not so while there are
    /// no answers for so long that nothing vouches for the uplink any more: one that cannot be asked is
    /// not used, and its questions count as lost until it is down.
    fn take_back(&mut self, now: Instant, id: u64) -> bool {
        let is_down = matches!(self.verdict, Verdict::Down(_));
        let longest = self.settings.latest() + self.rest();
        if !is_down && self.silence.length(now) >= longest {
            return false;
        }
        let Some(probe) = self.flight.get(id).filter(|probe| probe.fate == Fate::Open) else {
            return false;
        };
        let (sent, target) = (probe.sent, probe.target);
        self.flight.forget(id);
        if let Some(target) = self.targets.get_mut(target) {
            target.quality.take_back(sent);
            target.probes.sent -= 1;
        }
        true
    }

    /// Takes the answer to a probe. `has_slept`: we were away, and it may have waited for us.
    fn hear(&mut self, id: u64, at: Instant, has_slept: bool) -> Result<(), Refusal> {
        let heard = self.flight.answer(id, at);
        if matches!(heard, Heard::Again) {
            return Err(Refusal::Duplicate);
        }
        if !self.has_heard(at) {
            self.heard_from = at;
        }
        self.last_sign = self.last_sign.max(Some(at));
        if let Heard::InTime(probe) = heard {
            self.take(at, probe, has_slept);
        }
        Ok(())
    }

    fn take(&mut self, at: Instant, probe: crate::check::flight::Probe, has_slept: bool) {
        let rtt = at.since(probe.sent);
        let is_late = rtt >= self.settings.timeout;
        let Some(target) = self.targets.get_mut(probe.target) else { return };
        // The time that we slept through is no round trip.
        if !(has_slept && rtt > target.trip.timeout(self.bloat.now(at))) {
            self.bloat.take(at, target.trip.take(rtt));
        }
        target.probes.answered += 1;
        target.probes.late += u64::from(is_late);
        target.probes.lost -= u64::from(probe.is_overdue).min(target.probes.lost);
        target.last_answer = target.last_answer.max(Some(at));
        target.unanswered = 0;
        target.quality.answered(probe.sent, rtt);
        let is_down = matches!(self.verdict, Verdict::Down(_) | Verdict::Held(_));
        let is_doubted = self.silence.doubt_since().is_some();
        // Where nothing was overdue the gap is that of the pace, and teaches nothing.
        let is_watched = self.pace.mode == Mode::Burst || is_doubted || is_down;
        let survived = self.quiet.since().filter(|_| is_watched);
        self.silence.heard(at, survived, probe.is_overdue && rtt >= LONG);
        let required = self.settings.required.min(self.evidence.counting());
        self.silence.answered(at, probe.id, probe.target, required);
        if self.proof.is_none_or(|(newest, _)| newest < probe.sent) {
            self.proof = Some((probe.sent, rtt));
        }
        self.neighbour_failed = false;
        self.pauses = 0;
        if !probe.is_test {
            let (target, weight) = (probe.target, probe.weight);
            match probe.fate {
                Fate::Lost { nth } => {
                    self.evidence.take_back(Outcome { target, nth_lost: Some(nth), weight });
                }
                _ => self.evidence.book(Outcome { target, nth_lost: None, weight }),
            }
        }
        self.pace.answered(at);
    }

    /// True if the packet would be the answer to a probe of this uplink.
    pub fn is_answer(&self, from: Peer, bytes: &[u8]) -> bool {
        self.probe_of(from, bytes).is_ok()
    }

    /// Counts a packet that was not taken.
    pub fn count_refusal(&mut self, refusal: Refusal) {
        let counter = match refusal {
            Refusal::Malformed => &mut self.refused.malformed,
            Refusal::WrongSource => &mut self.refused.wrong_source,
            Refusal::WrongSequence => &mut self.refused.wrong_sequence,
            Refusal::WrongNonce => &mut self.refused.wrong_nonce,
            Refusal::WrongInterface => &mut self.refused.wrong_interface,
            Refusal::Duplicate => &mut self.refused.duplicate,
        };
        *counter += 1;
    }

    /// The target and the number of the probe that a packet answers.
    fn probe_of(&self, from: Peer, bytes: &[u8]) -> Result<(usize, u64), Refusal> {
        let found = self.kind.recognise(self.flight.newest(), &self.addresses, from, bytes)?;
        if self.running.is_none() {
            return Err(Refusal::WrongSequence);
        }
        Ok(found)
    }
}

/// A round trip of this length ends a silence by itself.
const LONG: Duration = Duration::from_millis(150);
