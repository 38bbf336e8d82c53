//! One uplink's checks: rounds of echoes, and the verdict.
//!
//! *Fast death*: no valid answer from any target for `fail_after` intervals
//! since the last arrival, and a little more ([`patience`](Line::patience)). *Quorum*: fewer than `required` targets answering over
//! the quorum window. *Quality*: loss, latency, jitter over the long window.
//! A dead uplink returns after `recover_after` consecutive good rounds with little
//! loss that lasted for `stable_for`. An uplink that was never judged is *probing*.

use super::rounds::{Round, Rounds, Run};
use super::{Cause, IDENT_PREFIX, Verdict, quorum_window, slow_interval};
use rail_core::check::{Quality, Sums};
use rail_core::config::CheckConfig;
use rail_core::net::UplinkId;
use rail_core::random::Secret;
use rail_core::status::{ProbeCounters, RefusedCounters};
use rail_core::time::{Duration, Instant};
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::net::Ipv4Addr;
use std::vec::Vec;

pub use answer::Refusal;

#[derive(Clone, Debug)]
struct Target {
    address: Ipv4Addr,
    last_answer: Option<Instant>,
    /// When the newest of its probes that were answered was sent.
    last_asked: Option<Instant>,
    quality: Quality,
    probes: ProbeCounters,
    /// Left out of the count when the uplink was last judged.
    ignored: bool,
    /// Silence counts against the uplink from here at the earliest: the target was left out before.
    counts_from: Instant,
}

/// When the uplink is running: since when, and what comes next.
#[derive(Copy, Clone, Debug)]
struct Running {
    /// Silence counts from here at the earliest.
    floor: Instant,
    /// The next round.
    next_round: Instant,
    /// Full pace, or a tenth of it.
    fast: bool,
    /// Since when it runs at this pace.
    pace_since: Instant,
    /// Only rounds sent since then count for a return.
    good_from: Instant,
    /// When it began.
    started: Instant,
    /// When the gateway's hardware address was last asked for again.
    resolved: Option<Instant>,
}

/// The checks of one uplink.
#[derive(Clone, Debug)]
pub struct Line {
    id: UplinkId,
    check: CheckConfig,
    key: Secret,
    ident: u16,
    targets: Vec<Target>,
    rounds: Rounds,
    running: Option<Running>,
    /// It runs, and sends nothing for the moment.
    is_halted: bool,
    carrying: bool,
    verdict: Verdict,
    /// Since when a dead uplink has been good without a break; longer than its rounds are kept.
    well_since: Option<Instant>,
    last_arrival: Option<Instant>,
    /// Of the newest probe that was answered: when it was sent, and its round trip.
    proof: Option<(Instant, Duration)>,
    neighbour_failed: bool,
    refused: RefusedCounters,
}

impl Line {
    /// A line that does not run yet. `key` is secret and differs per line and start; `prefix` is
    /// the part of the ICMP identifier that all uplinks share (see [`IDENT_PREFIX`]).
    pub fn new(
        now: Instant,
        id: UplinkId,
        check: CheckConfig,
        (key, prefix): (Secret, u16),
        verdict: Verdict,
    ) -> Self {
        let target = |address: &Ipv4Addr| Target {
            address: *address,
            last_answer: None,
            last_asked: None,
            quality: Quality::new(now),
            probes: ProbeCounters::default(),
            ignored: false,
            counts_from: Instant::ZERO,
        };
        let targets = check.targets.iter().map(target).collect();
        let ident = (prefix & IDENT_PREFIX) | (u16::from(id.0) & !IDENT_PREFIX);
        Self {
            id,
            check,
            key,
            ident,
            targets,
            rounds: Rounds::default(),
            running: None,
            is_halted: false,
            carrying: true,
            verdict,
            well_since: None,
            last_arrival: None,
            proof: None,
            neighbour_failed: false,
            refused: RefusedCounters::default(),
        }
    }

    /// Says whether the uplink carries new connections; one that does is probed at full pace.
    pub fn set_carrying(&mut self, now: Instant, carrying: bool) {
        if self.carrying != carrying {
            self.carrying = carrying;
            // Who is to carry shows at once that it can.
            if carrying && self.running.is_some_and(|running| !running.fast) {
                self.set_pace(now, true);
                if let Some(running) = &mut self.running {
                    running.next_round = now;
                }
            }
        }
    }

    /// Says what the kernel knows of the gateway.
    pub fn set_neighbour_failed(&mut self, failed: bool) {
        self.neighbour_failed = failed;
    }

    /// True if the target answered one of the rounds of the quorum window, and of three at least.
    /// Rounds count, not time: the loop may have slept.
    fn is_answering(&self, target: usize) -> bool {
        let rounds = quorum_window(&self.check).as_nanos() / self.interval().as_nanos().max(1);
        self.rounds.answered_lately(target, usize::try_from(rounds).unwrap_or(3).max(3))
    }

    fn others_are_well(&self, now: Instant, target: usize) -> bool {
        let others = self.targets.iter().enumerate().filter(|(t, _)| *t != target);
        let mut sums = Sums::default();
        others.for_each(|(_, other)| sums += other.quality.sums(now, self.check.timeout));
        let limit = u64::from(self.check.loss.recovered_pct) * 10;
        sums.loss_permille().is_some_and(|loss| loss <= limit)
    }

    /// Sends the round that is due, if any, as (target, ICMP message) in random order.
    pub fn send(&mut self, now: Instant) -> Vec<(Ipv4Addr, Vec<u8>)> {
        let interval = self.interval();
        let Some(running) = &mut self.running else { return Vec::new() };
        if now < running.next_round || self.is_halted {
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
            let echo = Echo { kind: EchoKind::Request, ident: self.ident, sequence, nonce };
            self.targets[t].quality.sent(now);
            self.targets[t].probes.sent += 1;
            packets.push((self.targets[t].address, echo.emit()));
        }
        packets
    }

    /// True if the round that is due should ask for the gateway's hardware address again: the uplink
    /// has just begun, and nothing was heard since.
    pub fn resolves(&mut self, now: Instant) -> bool {
        let Some(running) = self.running.as_mut().filter(|_| !self.is_halted) else { return false };
        let is_new = now.since(running.started) < RESOLVE_FOR
            && self.last_arrival.is_none_or(|at| at < running.started);
        let is_due = now >= running.next_round
            && running.resolved.is_none_or(|at| now.since(at) >= RESOLVE_PACE);
        if is_new && is_due {
            running.resolved = Some(now);
        }
        is_new && is_due
    }

    /// Judges the uplink. Returns the rounds whose timeout has passed since the last call, as
    /// (answers, good).
    pub fn judge(&mut self, now: Instant, blamed: &[bool]) -> Vec<(usize, bool)> {
        self.note_ignored(now, blamed);
        if self.is_halted {
            return Vec::new();
        }
        let settled = self.settle(now, blamed);
        if self.running.is_some() {
            let was_down = matches!(self.verdict, Verdict::Down(_) | Verdict::Held(_));
            let run = if was_down { self.run(now, blamed) } else { Run::default() };
            self.note_well(was_down, run);
            let next = self.next_verdict(now, blamed, run);
            self.verdict = next;
            let is_down = matches!(next, Verdict::Down(_) | Verdict::Held(_));
            if was_down != is_down {
                self.forget_past(now);
            }
            if matches!(self.verdict, Verdict::Down(_) | Verdict::Held(_) | Verdict::Probing) {
                self.set_pace(now, true);
            }
        }
        settled
    }

    fn settle(&mut self, now: Instant, blamed: &[bool]) -> Vec<(usize, bool)> {
        let timeout = self.check.timeout;
        let is_due = |round: &Round| {
            now.since(round.sent_at) >= timeout || round.answers(blamed) == round.answered.len()
        };
        let mut settled = Vec::new();
        if !self.rounds.first_unsettled().is_some_and(|round| is_due(round)) {
            return settled;
        }
        let counted = self.counted(blamed);
        while let Some(round) = self.rounds.first_unsettled().filter(|round| is_due(round)) {
            let required = counted.required(round);
            let answers = round.answers(blamed);
            round.settled = true;
            for (target, answered) in self.targets.iter_mut().zip(&round.answered) {
                target.probes.lost += u64::from(!answered);
            }
            settled.push((answers, answers >= required));
        }
        if settled.iter().any(|(_, good)| !good) {
            self.set_pace(now, true);
        } else if !settled.is_empty() {
            self.consider_slow_pace(now, blamed);
        }
        settled
    }

    fn consider_slow_pace(&mut self, now: Instant, blamed: &[bool]) {
        let well = matches!(self.verdict, Verdict::Up | Verdict::Degraded(_));
        if self.carrying || !well || self.running.is_none_or(|r| !r.fast) {
            return;
        }
        // Asked slowly, an uplink that has lost much could not show for long that this is over.
        let limit = u64::from(self.check.loss.recovered_pct) * 10;
        let is_clean = self.sums(now, blamed).loss_permille().is_none_or(|loss| loss <= limit);
        if is_clean && self.run(now, blamed).length >= self.check.recover_after {
            self.set_pace(now, false);
        }
    }

    /// `run` is that of an uplink that is down.
    fn next_verdict(&self, now: Instant, blamed: &[bool], run: Run) -> Verdict {
        if let Some(cause) = self.dead(now, blamed) {
            return match self.verdict {
                Verdict::Down(old) => Verdict::Down(old),
                _ => Verdict::Down(cause),
            };
        }
        match self.verdict {
            Verdict::Probing => {
                if self.run(now, blamed).length > 0 {
                    Verdict::Up
                } else {
                    Verdict::Probing
                }
            }
            Verdict::Down(cause) | Verdict::Held(cause) => self.recovery(now, run, cause),
            Verdict::Up | Verdict::Degraded(_) => self.grade(now, blamed),
        }
    }

    /// Why the uplink is dead by fast death, neighbour or quorum; `None` while it lives.
    fn dead(&self, now: Instant, blamed: &[bool]) -> Option<Cause> {
        let running = self.running?;
        if !running.fast {
            return None;
        }
        let from = running.floor.max(running.pace_since);
        let silence = now.since(self.last_arrival.unwrap_or(from).max(from));
        if silence >= self.patience() {
            return Some(Cause::Silent(silence));
        }
        if self.neighbour_failed && silence >= self.check.interval * 2 {
            return Some(Cause::Neighbour);
        }
        let window = quorum_window(&self.check);
        if now.since(from) >= window {
            // One that is blamed and was heard here lately has answered all the same: with a long
            // interval one lost probe is enough for blame.
            let rounds = window.saturating_sub(self.check.timeout).as_nanos()
                / self.check.interval.as_nanos().max(1);
            let rounds = usize::try_from(rounds).unwrap_or(1);
            // A loop that slept has asked less often: as many rounds as there should have been count too.
            let heard = |(t, target): (usize, &Target)| {
                target.last_answer.is_some_and(|at| now.since(at) < window)
                    || self.rounds.answered_lately(t, rounds)
            };
            let counts = |(t, target): (usize, &Target)| {
                !is_blamed(blamed, t) && now.since(target.counts_from) >= window
            };
            let pairs = || self.targets.iter().enumerate();
            let answering = pairs().filter(|pair| heard(*pair)).count();
            let due = pairs().filter(|pair| heard(*pair) || counts(*pair)).count();
            let required = self.check.required.min(due).max(1);
            if answering < required {
                return Some(Cause::Quorum { answering, required });
            }
        }
        None
    }

    fn note_well(&mut self, is_down: bool, run: Run) {
        let since = self.well_since.map_or(run.since, |at| at.min(run.since));
        self.well_since = (is_down && run.length >= self.check.recover_after).then_some(since);
    }

    fn recovery(&self, now: Instant, run: Run, cause: Cause) -> Verdict {
        if run.length < self.check.recover_after {
            // Held before a restart, it stays so until a round says otherwise.
            let is_held = matches!(self.verdict, Verdict::Held(_)) && run.is_whole;
            return if is_held { Verdict::Held(cause) } else { Verdict::Down(cause) };
        }
        if !self.is_lossless(run) {
            return Verdict::Down(cause);
        }
        if now.since(self.well_since.unwrap_or(now)) < self.check.stable_for {
            Verdict::Held(cause)
        } else {
            Verdict::Up
        }
    }

    fn is_lossless(&self, run: Run) -> bool {
        run.lost * 100 <= u32::from(self.check.loss.recovered_pct) * run.probes
    }

    /// For the last seconds the uplink was as good as one that returns: what the long window
    /// remembers is over.
    fn is_mended(&self, now: Instant, blamed: &[bool]) -> bool {
        let pace = self.interval() * 2;
        let window = pace.max(MENDED);
        let run = self.run_since(now, now - window, blamed);
        let is_whole = now.since(run.since) + pace >= window;
        run.length > 0 && is_whole && self.is_lossless(run)
    }

    /// Good or not so good, by the long window.
    fn grade(&self, now: Instant, blamed: &[bool]) -> Verdict {
        let sums = self.sums(now, blamed);
        let age = self.targets.iter().map(|t| t.quality.age(now)).max().unwrap_or_default();
        let was_good = self.verdict == Verdict::Up;
        if age < Duration::from_secs(10) {
            return self.verdict;
        }
        let limit = |bad: u64, well: u64| if was_good { bad } else { well + 1 };
        let limits = self.check.loss;
        if let Some(loss) = sums.loss_permille() {
            // At a slow pace a short outage is soon most of the few probes there are.
            let least = LOSS_PROOF.as_nanos() / self.check.interval.as_nanos().max(1);
            let proven = age >= LOSS_PROOF && u128::from(sums.sent) >= least;
            let down = proven && loss >= u64::from(limits.down_pct) * 10;
            if down && !self.is_mended(now, blamed) {
                return Verdict::Down(Cause::Loss(loss));
            }
            let bad = u64::from(limits.degraded_pct) * 10;
            if loss >= limit(bad, u64::from(limits.recovered_pct) * 10) {
                return Verdict::Degraded(Cause::Loss(loss));
            }
        }
        let exceeds = |value: Option<Duration>, limit: Option<rail_core::config::Limit>| {
            let (value, limit) = (value?, limit?);
            (value > if was_good { limit.degraded } else { limit.recovered }).then_some(value)
        };
        if let Some(rtt) = exceeds(sums.rtt(), self.check.latency) {
            return Verdict::Degraded(Cause::Latency(rtt));
        }
        if let Some(jitter) = exceeds(sums.jitter(), self.check.jitter) {
            return Verdict::Degraded(Cause::Jitter(jitter));
        }
        Verdict::Up
    }

    fn set_pace(&mut self, now: Instant, fast: bool) {
        if let Some(running) = &mut self.running
            && running.fast != fast
        {
            running.fast = fast;
            running.pace_since = now;
            let latest = now + if fast { self.check.interval } else { slow_interval(&self.check) };
            running.next_round = running.next_round.min(latest);
        }
    }

    /// At a death and at a return the long window and the run of good rounds begin anew: what was
    /// lost meanwhile says nothing of the uplink as it is now.
    fn forget_past(&mut self, now: Instant) {
        for target in &mut self.targets {
            target.quality.clear(now);
        }
        if let Some(running) = &mut self.running {
            running.good_from = now;
        }
    }

    /// When something is due: a round, a timeout, a death.
    pub fn deadline(&self) -> Option<Instant> {
        let running = self.running.filter(|_| !self.is_halted)?;
        let mut due = running.next_round;
        if let Some(sent_at) = self.rounds.oldest_pending() {
            due = due.min(sent_at + self.check.timeout);
        }
        if running.fast && !matches!(self.verdict, Verdict::Down(_)) {
            let from = running.floor.max(running.pace_since);
            let last = self.last_arrival.unwrap_or(from).max(from);
            due = due.min(last + self.patience());
        }
        Some(due)
    }

    /// The silence that is death: `fail_after` intervals, and half of one (at most 100 ms) more.
    /// An uplink whose round-trip time jumps to three intervals is silent for exactly four.
    pub fn patience(&self) -> Duration {
        let interval = self.check.interval;
        interval * self.check.fail_after + (interval / 2).min(Duration::from_millis(100))
    }

    /// Time between rounds at the present pace.
    pub fn interval(&self) -> Duration {
        match self.running {
            Some(Running { fast: false, .. }) => slow_interval(&self.check),
            _ => self.check.interval,
        }
    }

    /// The uplink's number.
    pub const fn id(&self) -> UplinkId {
        self.id
    }

    /// The ICMP identifier of its probes.
    pub const fn ident(&self) -> u16 {
        self.ident
    }
}

/// RFC 1122 section 2.3.2.1 recommends one ARP request per second and destination, and the kernel
/// keeps to that. An uplink that has just begun may have lost the first one, or the answer; it gets a
/// few more.
const RESOLVE_PACE: Duration = Duration::from_millis(100);
const RESOLVE_FOR: Duration = Duration::from_secs(1);

/// Losses of a line that was well for this long are over.
const MENDED: Duration = Duration::from_secs(5);

/// Loss condemns a line after this time, and after as many probes as one target gets in it.
const LOSS_PROOF: Duration = Duration::from_secs(20);

fn is_blamed(blamed: &[bool], target: usize) -> bool {
    blamed.get(target).copied().unwrap_or(false)
}

mod answer;
mod ask;
mod begin;
mod count;
