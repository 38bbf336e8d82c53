//! Good rounds: what an uplink that is down has to show. A round is one probe to each target, in the
//! order of their numbers; it is good if as many targets answered as must.

use super::evidence::Evidence;
use super::flight::{Fate, Flight, Probe};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// The newest run of good rounds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    /// The first number of the round that is next.
    next: u64,
    /// How many were good.
    good: u32,
    /// When the first of them began.
    since: Option<Instant>,
}

impl Rounds {
    /// Begins anew with the next probe.
    pub(super) fn begin(&mut self, flight: &Flight) {
        *self = Self { next: flight.newest() + 1, good: 0, since: None };
    }

    /// Goes on with the next probe: something else was asked meanwhile.
    pub(super) fn skip(&mut self, flight: &Flight) {
        self.next = flight.newest() + 1;
    }

    /// Counts the rounds that are over. `timeout` is by target.
    pub(super) fn count(
        &mut self,
        now: Instant,
        flight: &Flight,
        evidence: &Evidence,
        (targets, required): (usize, usize),
        timeout: impl Fn(usize) -> Duration,
    ) {
        let required = required.min(evidence.counting()).max(1);
        let size = u64::try_from(targets).unwrap_or(1);
        while self.next <= flight.newest() {
            let round = || flight.since(self.next).take_while(|probe| probe.id < self.next + size);
            let Some(first) = round().next().filter(|probe| probe.id == self.next) else {
                // Its probes are forgotten.
                self.skip(flight);
                return;
            };
            let since = first.sent;
            let counts = |probe: &&Probe| !evidence.is_ignored(probe.target);
            let answers = round().filter(counts).filter(|probe| probe.fate == Fate::Answered);
            let mut answering: Vec<usize> = answers.map(|probe| probe.target).collect();
            answering.sort_unstable();
            answering.dedup();
            if answering.len() >= required {
                self.good += 1;
                self.since = self.since.or(Some(since));
            } else {
                let is_over = |probe: &Probe| match probe.fate {
                    Fate::Open => now >= probe.sent + timeout(probe.target),
                    Fate::Answered | Fate::Lost { .. } | Fate::Forgotten => true,
                };
                let sent = u64::try_from(round().count()).unwrap_or(size);
                if sent < size || !round().all(is_over) {
                    return;
                }
                (self.good, self.since) = (0, None);
            }
            self.next += size;
        }
    }

    /// How many were good without a break.
    pub(super) const fn good(&self) -> u32 {
        self.good
    }

    /// When the first of them began.
    pub(super) const fn since(&self) -> Option<Instant> {
        self.since
    }

    /// True if nothing was lost in the newest of them, so many, by targets that count.
    pub(super) fn are_clean(
        &self,
        (flight, evidence): (&Flight, &Evidence),
        rounds: u32,
        targets: usize,
    ) -> bool {
        let probes = u64::from(rounds).saturating_mul(u64::try_from(targets).unwrap_or(1));
        let is_lost = |probe: &Probe| {
            let counts = !evidence.is_ignored(probe.target);
            counts && probe.is_overdue && probe.fate != Fate::Answered
        };
        let mut newest = flight.since(self.next.saturating_sub(probes));
        self.good >= rounds && !newest.any(is_lost)
    }
}
