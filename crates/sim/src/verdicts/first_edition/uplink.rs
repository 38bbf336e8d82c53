//! One uplink's checks: rounds of echoes, and the verdict.
//!
//! *Fast death*: no valid answer from any target for `fail_after` intervals since the last arrival, and
//! a little more ([`patience`](Uplink::patience)). *Quorum*: fewer than `required` targets answering over
//! the quorum window. *Quality*: loss over the long window. A dead uplink returns after `recover_after`
//! consecutive good rounds with little loss. An uplink that was never judged is *probing*.

use super::rounds::{Round, Rounds, Run};
use rail_core::check::{Cause, Quality, Sums, Verdict};
use rail_core::config::CheckConfig;
use rail_core::random::Secret;
use rail_core::time::{Duration, Instant};
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::net::{IpAddr, Ipv4Addr};

#[derive(Debug)]
struct Target {
    address: Ipv4Addr,
    last_answer: Option<Instant>,
    quality: Quality,
}

/// When the uplink is running: since when, and what comes next.
#[derive(Copy, Clone, Debug)]
struct Running {
    /// Silence counts from here at the earliest.
    floor: Instant,
    /// The next round.
    next_round: Instant,
    /// Only rounds sent since then count for a return.
    good_from: Instant,
}

/// The checks of one uplink.
#[derive(Debug)]
pub(in crate::verdicts) struct Uplink {
    check: CheckConfig,
    key: Secret,
    targets: Vec<Target>,
    rounds: Rounds,
    running: Option<Running>,
    verdict: Verdict,
    last_arrival: Option<Instant>,
}

impl Uplink {
    /// An uplink that does not run yet, and was never judged.
    pub(in crate::verdicts) fn new(now: Instant, check: CheckConfig, key: Secret) -> Self {
        let target = |address: &Ipv4Addr| Target {
            address: *address,
            last_answer: None,
            quality: Quality::new(now),
        };
        Self {
            targets: check.targets.iter().map(target).collect(),
            check,
            key,
            rounds: Rounds::default(),
            running: None,
            verdict: Verdict::Probing,
            last_arrival: None,
        }
    }

    /// Begins to probe: the link is there.
    pub(in crate::verdicts) fn start(&mut self, now: Instant) {
        if self.running.is_none() {
            self.running = Some(Running { floor: now, next_round: now, good_from: now });
            self.targets.iter_mut().for_each(|target| target.quality.clear(now));
        }
    }

    /// Stops probing: the link has gone. An uplink that had been judged is down until it has proved
    /// itself again.
    pub(in crate::verdicts) fn stop(&mut self) {
        if self.running.take().is_some() {
            self.rounds.clear();
        }
        if !matches!(self.verdict, Verdict::Probing | Verdict::Down(_)) {
            self.verdict = Verdict::Down(Cause::Interrupted);
        }
    }

    /// The verdict.
    pub(in crate::verdicts) const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// Sends the round that is due, if any, as (target, ICMP message) in random order.
    pub(in crate::verdicts) fn send(&mut self, now: Instant) -> Vec<(Ipv4Addr, Vec<u8>)> {
        let interval = self.check.interval;
        let Some(running) = &mut self.running else { return Vec::new() };
        if now < running.next_round {
            return Vec::new();
        }
        if now.since(running.next_round) > interval + interval / 2 {
            // We slept, not they: silence counts from now.
            running.floor = now;
            running.next_round = now;
        }
        running.next_round = running.next_round + interval;
        let number = self.rounds.begin(now, self.targets.len(), self.check.recover_after);
        let sequence = u16::try_from(number & 0xffff).unwrap_or(0);
        let mut order: Vec<usize> = (0..self.targets.len()).collect();
        order.sort_by_key(|t| self.key.hash(&[number, *t as u64, 1]));
        let mut packets = Vec::with_capacity(order.len());
        for t in order {
            let nonce = self.key.hash(&[number, t as u64]);
            let echo = Echo { kind: EchoKind::Request, ident: IDENT, sequence, nonce };
            self.targets[t].quality.sent(now);
            packets.push((self.targets[t].address, echo.emit()));
        }
        packets
    }

    /// Takes an answer to a probe. One to a round that is forgotten, or a second one, is dropped.
    pub(in crate::verdicts) fn answer(&mut self, now: Instant, from: IpAddr, bytes: &[u8]) {
        let Ok(echo) = Echo::parse(bytes) else { return };
        let target = self.targets.iter().position(|t| IpAddr::V4(t.address) == from);
        let Some(index) = target.filter(|_| self.running.is_some()) else { return };
        let was_silent = !self.is_answering(index);
        let Some(round) = self.rounds.find_mut(echo.sequence) else { return };
        if std::mem::replace(&mut round.answered[index], true) {
            return;
        }
        let sent_at = round.sent_at;
        if was_silent && self.others_are_well(now, index) {
            // It was the target's fault, so its losses are not the uplink's.
            self.targets[index].quality.clear(now);
        }
        let target = &mut self.targets[index];
        target.last_answer = Some(now);
        target.quality.answered(sent_at, now.since(sent_at));
        self.last_arrival = Some(now);
    }

    /// Judges the uplink.
    pub(in crate::verdicts) fn judge(&mut self, now: Instant) {
        self.close_rounds(now);
        if self.running.is_none() {
            return;
        }
        let was_down = matches!(self.verdict, Verdict::Down(_));
        self.verdict = self.next_verdict(now);
        if was_down != matches!(self.verdict, Verdict::Down(_)) {
            self.forget_past(now);
        }
    }

    fn close_rounds(&mut self, now: Instant) {
        let timeout = self.check.timeout;
        let is_due = |round: &Round| {
            now.since(round.sent_at) >= timeout || round.answers() == round.answered.len()
        };
        while let Some(round) = self.rounds.first_open().filter(|round| is_due(round)) {
            round.closed = true;
        }
    }

    fn next_verdict(&self, now: Instant) -> Verdict {
        if let Some(cause) = self.dead(now) {
            return match self.verdict {
                Verdict::Down(old) => Verdict::Down(old),
                _ => Verdict::Down(cause),
            };
        }
        match self.verdict {
            Verdict::Probing if self.run_since(now, Instant::ZERO).length > 0 => Verdict::Up,
            Verdict::Probing => Verdict::Probing,
            Verdict::Down(_) | Verdict::Held(_) => {
                let run = self.run_since(now, Instant::ZERO);
                let is_back = run.length >= self.check.recover_after && self.is_lossless(run);
                if is_back { Verdict::Up } else { self.verdict }
            }
            Verdict::Up | Verdict::Degraded(_) => self.grade(now),
        }
    }

    /// Why the uplink is dead by fast death or quorum; `None` while it lives.
    fn dead(&self, now: Instant) -> Option<Cause> {
        let from = self.running?.floor;
        let silence = now.since(self.last_arrival.unwrap_or(from).max(from));
        if silence >= self.patience() {
            return Some(Cause::Silent(silence));
        }
        let window = self.quorum_window();
        if now.since(from) < window {
            return None;
        }
        // A loop that slept has asked less often: as many rounds as there should have been count too.
        let rounds = window.saturating_sub(self.check.timeout).as_nanos()
            / self.check.interval.as_nanos().max(1);
        let rounds = usize::try_from(rounds).unwrap_or(1);
        let heard = |(t, target): &(usize, &Target)| {
            target.last_answer.is_some_and(|at| now.since(at) < window)
                || self.rounds.answered_lately(*t, rounds)
        };
        let answering = self.targets.iter().enumerate().filter(heard).count();
        let required = self.required();
        (answering < required).then_some(Cause::Quorum { answering, required })
    }

    /// Good or not so good, by the long window.
    fn grade(&self, now: Instant) -> Verdict {
        let age = self.targets.iter().map(|t| t.quality.age(now)).max().unwrap_or_default();
        if age < Duration::from_secs(10) {
            return self.verdict;
        }
        let sums = self.sums(now);
        let Some(loss) = sums.loss_permille() else { return Verdict::Up };
        let limits = self.check.loss;
        let least = LOSS_PROOF.as_nanos() / self.check.interval.as_nanos().max(1);
        let proven = age >= LOSS_PROOF && u128::from(sums.sent) >= least;
        if proven && loss >= u64::from(limits.down_pct) * 10 && !self.is_mended(now) {
            return Verdict::Down(Cause::Loss(loss));
        }
        let limit = match self.verdict {
            Verdict::Up => u64::from(limits.degraded_pct) * 10,
            _ => u64::from(limits.recovered_pct) * 10 + 1,
        };
        if loss >= limit { Verdict::Degraded(Cause::Loss(loss)) } else { Verdict::Up }
    }

    /// For the last seconds the uplink was as good as one that returns: what the long window
    /// remembers is over.
    fn is_mended(&self, now: Instant) -> bool {
        let pace = self.check.interval * 2;
        let window = pace.max(MENDED);
        let run = self.run_since(now, now - window);
        let is_whole = now.since(run.since) + pace >= window;
        run.length > 0 && is_whole && self.is_lossless(run)
    }

    fn is_lossless(&self, run: Run) -> bool {
        run.lost * 100 <= u32::from(self.check.loss.recovered_pct) * run.probes
    }

    /// The newest run of good rounds.
    fn run_since(&self, now: Instant, from: Instant) -> Run {
        let Some(running) = self.running else { return Run::default() };
        let slowest = self.targets.iter().filter_map(|t| t.quality.last_rtt()).max();
        let patience = slowest.map_or(Duration::ZERO, |rtt| rtt * 2).min(Duration::from_secs(3));
        let patience = patience.max(self.check.timeout);
        self.rounds.good_run(now, from.max(running.good_from), self.required(), patience)
    }

    fn required(&self) -> usize {
        self.check.required.min(self.targets.len()).max(1)
    }

    /// Sums over the targets that answer.
    fn sums(&self, now: Instant) -> Sums {
        let mut sums = Sums::default();
        for (t, target) in self.targets.iter().enumerate() {
            if self.is_answering(t) {
                sums += target.quality.sums(now, self.check.timeout);
            }
        }
        sums
    }

    /// True if the target answered one of the rounds of the quorum window, and of three at least.
    fn is_answering(&self, target: usize) -> bool {
        let rounds = self.quorum_window().as_nanos() / self.check.interval.as_nanos().max(1);
        self.rounds.answered_lately(target, usize::try_from(rounds).unwrap_or(3).max(3))
    }

    fn others_are_well(&self, now: Instant, target: usize) -> bool {
        let others = self.targets.iter().enumerate().filter(|(t, _)| *t != target);
        let mut sums = Sums::default();
        others.for_each(|(_, other)| sums += other.quality.sums(now, self.check.timeout));
        let limit = u64::from(self.check.loss.recovered_pct) * 10;
        sums.loss_permille().is_some_and(|loss| loss <= limit)
    }

    /// At a death and at a return the long window and the run of good rounds begin anew: what was
    /// lost meanwhile says nothing of the uplink as it is now.
    fn forget_past(&mut self, now: Instant) {
        self.targets.iter_mut().for_each(|target| target.quality.clear(now));
        if let Some(running) = &mut self.running {
            running.good_from = now;
        }
    }

    /// When something is due: a round, a timeout, a death.
    pub(in crate::verdicts) fn deadline(&self) -> Option<Instant> {
        let running = self.running?;
        let mut due = running.next_round;
        if let Some(sent_at) = self.rounds.oldest_pending() {
            due = due.min(sent_at + self.check.timeout);
        }
        if !matches!(self.verdict, Verdict::Down(_)) {
            let last = self.last_arrival.unwrap_or(running.floor).max(running.floor);
            due = due.min(last + self.patience());
        }
        Some(due)
    }

    /// The silence that is death: `fail_after` intervals, and half of one (at most 100 ms) more.
    /// An uplink whose round-trip time jumps to three intervals is silent for exactly four.
    fn patience(&self) -> Duration {
        let interval = self.check.interval;
        interval * self.check.fail_after + (interval / 2).min(Duration::from_millis(100))
    }

    /// Silence of a target after which it no longer counts as answering: 3 s, more at slow paces.
    fn quorum_window(&self) -> Duration {
        Duration::from_secs(3).max(self.check.interval * self.check.fail_after)
    }
}

/// The ICMP identifier of its probes.
const IDENT: u16 = 0x1201;
/// Losses of an uplink that was well for this long are over.
const MENDED: Duration = Duration::from_secs(5);
/// Loss condemns an uplink after this time, and after as many probes as one target gets in it.
const LOSS_PROOF: Duration = Duration::from_secs(20);
