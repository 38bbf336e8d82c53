//! What arrives on an uplink's probe socket: an answer to one of its probes, or a
//! refusal with its reason. Every packet from outside ends here as a counter.

use super::{Instant, Line};
use rail_core::time::Duration;
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::net::IpAddr;

/// Why a packet on a probe socket was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No echo reply of the form that ours have.
    Malformed,
    /// Not from a target.
    WrongSource,
    /// The number of no probe that is remembered: guessed, or too late.
    WrongSequence,
    /// It does not hold what we sent: its sender never saw the question.
    WrongNonce,
    /// The answer to a probe of another uplink.
    WrongInterface,
    /// Answered before.
    Duplicate,
}

impl Line {
    /// Judges a packet from the uplink's probe socket, as old as the kernel says. Returns whose answer
    /// it is, and when that target had answered here last.
    ///
    /// # Errors
    /// [`Refusal`]: it is dropped, and counted with [`Line::count_refusal`].
    pub fn packet(
        &mut self,
        now: Instant,
        age: Duration,
        from: IpAddr,
        bytes: &[u8],
    ) -> Result<(usize, Option<Instant>), Refusal> {
        let (index, sequence) = self.probe_of(from, bytes)?;
        let was_silent = !self.is_answering(index);
        let round = self.rounds.find_mut(sequence).ok_or(Refusal::WrongSequence)?;
        if std::mem::replace(&mut round.answered[index], true) {
            return Err(Refusal::Duplicate);
        }
        let (sent_at, was_lost) = (round.sent_at, round.settled);
        if was_silent && self.others_are_well(now, index) {
            // It was the target's fault, so its losses are not the uplink's.
            self.targets[index].quality.clear(now);
        }
        // What it waited here for the loop is not the uplink's.
        let rtt = now.since(sent_at).saturating_sub(age);
        let is_late = rtt >= self.check.timeout;
        let target = &mut self.targets[index];
        target.probes.answered += 1;
        target.probes.late += u64::from(is_late);
        target.probes.lost -= u64::from(was_lost);
        let before = target.last_answer.replace(now);
        target.last_asked = target.last_asked.max(Some(sent_at));
        target.quality.answered(sent_at, rtt);
        self.last_arrival = Some(now);
        if self.proof.is_none_or(|(newest, _)| newest < sent_at) {
            self.proof = Some((sent_at, rtt));
        }
        self.neighbour_failed = false;
        Ok((index, before))
    }

    /// True if the packet would be the answer to a probe of this line.
    pub fn is_answer(&self, from: IpAddr, bytes: &[u8]) -> bool {
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

    /// The target and the sequence number of the probe that a packet answers.
    fn probe_of(&self, from: IpAddr, bytes: &[u8]) -> Result<(usize, u16), Refusal> {
        let echo = Echo::parse(bytes).map_err(|_| Refusal::Malformed)?;
        if echo.kind != EchoKind::Reply {
            return Err(Refusal::Malformed);
        }
        let target = self.targets.iter().position(|t| IpAddr::V4(t.address) == from);
        let target = target.ok_or(Refusal::WrongSource)?;
        let is_ours = echo.ident == self.ident && self.running.is_some();
        let round = self.rounds.find(echo.sequence).filter(|_| is_ours);
        let round = round.ok_or(Refusal::WrongSequence)?;
        if echo.nonce != self.key.hash(&[round.number, target as u64]) {
            return Err(Refusal::WrongNonce);
        }
        Ok((target, echo.sequence))
    }
}
