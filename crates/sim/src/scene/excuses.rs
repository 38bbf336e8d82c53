//! What excuses the router for a while: faults that it must live through, and time that it could
//! not use.

use rail_core::state::Key;
use rail_core::time::{Duration, Instant};
use std::collections::{BTreeMap, VecDeque};

/// What excuses the router for a while.
#[derive(Clone, Debug, Default)]
pub struct Excuses {
    /// The present process began then.
    pub started: Instant,
    /// Notifications were lost; all is read again by then.
    pub blind_until: Instant,
    /// The kernel refused something; it is tried again by then.
    pub refused_until: Instant,
    /// Somebody fights; the slow pace of repairs ends then.
    pub contested_until: Instant,
    /// The process got time again: silence counts from there, for it was ours.
    pub resumed: Instant,
    /// The last thing that somebody else did, or will be told of.
    pub disturbed: Instant,
    /// Time that passed while the router could not act, for pauses and slow operations.
    lost: Lost,
    /// The same without transactions: it can act beside them.
    lost_beside: Lost,
    /// As `refused_until`, but for the rules: a switch does not wait for them.
    refused_beside_until: Instant,
    refusals: BTreeMap<Key, (Instant, Instant)>,
    edits: VecDeque<Instant>,
    /// When the kernel last took routes away with a device.
    taken: Instant,
}

impl Excuses {
    /// None yet; the world begins at this moment.
    pub fn since(now: Instant) -> Self {
        Self { disturbed: now, ..Self::default() }
    }

    /// The earliest moment from which a bound counts.
    pub fn after(&self, at: Instant) -> Instant {
        at.max(self.started).max(self.blind_until).max(self.refused_until).max(self.contested_until)
    }

    /// True if `bound` has passed since `at`, all excuses taken.
    pub fn is_overdue(&self, now: Instant, at: Instant, bound: Duration) -> bool {
        self.has_passed(now, self.after(at), bound)
    }

    /// The same where it does not matter whether notifications come.
    pub fn is_overdue_though_blind(&self, now: Instant, at: Instant, bound: Duration) -> bool {
        let from = at.max(self.started).max(self.resumed);
        let from = from.max(self.refused_until).max(self.contested_until);
        self.has_passed(now, from, bound)
    }

    /// True if `bound` has passed since `from`, but for the time that was lost meanwhile.
    pub(crate) fn has_passed(&self, now: Instant, from: Instant, bound: Duration) -> bool {
        self.lost.has_passed(now, from, bound)
    }

    /// As [`is_overdue`](Self::is_overdue), for what waits for no transaction.
    pub fn is_overdue_beside(&self, now: Instant, at: Instant, bound: Duration) -> bool {
        let from = at.max(self.started).max(self.blind_until);
        let from = from.max(self.refused_beside_until).max(self.contested_until);
        self.lost_beside.has_passed(now, from, bound)
    }

    /// Takes note of time that the router could not use.
    pub fn lose(&mut self, at: Instant, time: Duration) {
        self.lost.add(at, time);
        self.lost_beside.add(at, time);
    }

    /// Takes note of the time of a transaction for which some things had to wait.
    pub fn lose_to_rules(&mut self, at: Instant, time: Duration) {
        self.lost.add(at, time);
    }

    /// Takes note of a refusal: the wait doubles each time.
    pub fn refused(&mut self, now: Instant, key: &Key) {
        let entry = self.refusals.entry(key.clone()).or_insert((now, now));
        let wait = entry.1.since(entry.0) * 2 + Duration::from_secs(1);
        if now > entry.1 + wait {
            *entry = (now, now);
        }
        entry.1 = now;
        let until = now + entry.1.since(entry.0) * 2 + Duration::from_secs(1);
        let until = until.min(now + Duration::from_secs(61));
        self.refused_until = self.refused_until.max(until);
        if *key != Key::Firewall {
            self.refused_beside_until = self.refused_beside_until.max(until);
        }
    }

    /// When objects of ours last went: somebody edited them, or the kernel took them with a device.
    pub(crate) fn last_loss(&self) -> Instant {
        self.edits.back().copied().unwrap_or(Instant::ZERO).max(self.taken)
    }

    /// Takes note that the kernel took routes away with a device.
    pub(crate) const fn taken(&mut self, now: Instant) {
        self.taken = now;
    }

    /// Takes note that somebody edited our objects.
    pub fn edited(&mut self, now: Instant) {
        self.edits.push_back(now);
        while self.edits.front().is_some_and(|at| now.since(*at) > Duration::from_secs(75)) {
            self.edits.pop_front();
        }
        if self.edits.len() > 3 {
            self.contested_until = now + Duration::from_secs(11);
        }
    }
}

/// Time that was lost: when each loss began, and the sum of all before it; and the sum of all.
#[derive(Clone, Debug, Default)]
struct Lost {
    losses: VecDeque<(Instant, Duration)>,
    total: Duration,
}

impl Lost {
    fn add(&mut self, at: Instant, time: Duration) {
        if time > Duration::from_millis(1) {
            self.losses.push_back((at, self.total));
            self.total += time;
            while self.losses.len() > 4000 {
                self.losses.pop_front();
            }
        }
    }

    fn since(&self, from: Instant) -> Duration {
        let first = self.losses.partition_point(|(at, _)| *at + LONGEST_LOSS < from);
        self.losses.get(first).map_or(Duration::ZERO, |(_, before)| self.total - *before)
    }

    fn has_passed(&self, now: Instant, from: Instant, bound: Duration) -> bool {
        let due = from + bound;
        // Mostly it is not due at all, or long past; what was lost since then need not be searched for.
        now > due && (now > due + self.total || now > due + self.since(from))
    }
}

const LONGEST_LOSS: Duration = Duration::from_secs(10);
