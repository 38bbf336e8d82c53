//! One rule on one uplink, in virtual time.

use super::limiter::Path;
use super::rules::{Answer, Probe, Rule};
use super::uplink::Uplink;
use rail_core::time::Instant;
use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// What a rule says of its uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct State {
    /// New connections take another uplink.
    pub is_avoided: bool,
    /// It is down.
    pub is_down: bool,
}

/// From now on the rule says this.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Change {
    /// Since when.
    pub at: Instant,
    /// What it says.
    pub state: State,
}

/// What a rule did and said.
#[derive(Clone, Debug, Default)]
pub struct Log {
    /// What it asked.
    pub probes: u64,
    /// What it said, in the order of time; before the first, nothing bad.
    pub changes: Vec<Change>,
}

impl Log {
    /// What it said at this moment.
    pub fn state(&self, at: Instant) -> State {
        let next = self.changes.partition_point(|change| change.at <= at);
        self.changes[..next].last().map_or_else(State::default, |change| change.state)
    }
}

/// A rule at work.
pub struct Course<'a> {
    uplink: &'a Uplink,
    path: Path<'a>,
    rule: Box<dyn Rule>,
    now: Instant,
    /// Answers under way: when they arrive, the target, the number, when it was asked.
    answers: BinaryHeap<Reverse<(Instant, usize, u64, Instant)>>,
    carrier: Option<(Instant, bool)>,
    state: State,
    log: Log,
    out: Vec<Probe>,
}

impl<'a> Course<'a> {
    /// A rule that begins now.
    pub fn new(uplink: &'a Uplink, rule: Box<dyn Rule>, now: Instant) -> Self {
        Self {
            uplink,
            path: Path::new(uplink, now),
            rule,
            now,
            answers: BinaryHeap::new(),
            carrier: uplink.carrier_change(now),
            state: State::default(),
            log: Log::default(),
            out: Vec::new(),
        }
    }

    /// Goes on until this moment.
    ///
    /// # Panics
    /// If the rule wants to be woken again and again without time passing.
    pub fn run_until(&mut self, end: Instant) {
        let mut idle = 0;
        while let Some(at) = self.next().filter(|at| *at < end) {
            idle = if at > self.now { 0 } else { idle + 1 };
            assert!(idle < STUCK, "a rule is stuck at {at}");
            self.now = self.now.max(at);
            self.step();
        }
        self.now = self.now.max(end);
    }

    /// What it did and said until now.
    pub const fn log(&self) -> &Log {
        &self.log
    }

    fn next(&self) -> Option<Instant> {
        let answer = self.answers.peek().map(|Reverse((at, ..))| *at);
        let carrier = self.carrier.map(|(at, _)| at);
        [self.rule.deadline(), answer, carrier].into_iter().flatten().min()
    }

    /// All that happens at this moment, then the rule's turn.
    fn step(&mut self) {
        let now = self.now;
        if let Some((_, is_up)) = self.carrier.filter(|(at, _)| *at <= now) {
            self.rule.carrier(now, is_up);
            self.carrier = self.uplink.carrier_change(now);
        }
        while let Some(Reverse((at, target, id, sent))) = self.answers.peek().copied() {
            if at > now {
                break;
            }
            self.answers.pop();
            let answer = Answer { probe: Probe { id, target }, sent, rtt: at.since(sent) };
            self.rule.answered(now, answer);
        }
        self.rule.wake(now, &mut self.out);
        for Probe { id, target } in self.out.drain(..) {
            self.log.probes += 1;
            if let Some(rtt) = self.path.ask(target, now) {
                self.answers.push(Reverse((now + rtt, target, id, now)));
            }
        }
        let state = State { is_avoided: self.rule.is_avoided(), is_down: self.rule.is_down() };
        if state != self.state {
            self.state = state;
            self.log.changes.push(Change { at: now, state });
        }
    }
}

/// So often a rule may be woken at one moment.
const STUCK: u32 = 10_000;
