//! How much of the daemon's time others than root may take.
//!
//! The loop runs with real-time scheduling, so whatever it does for clients is
//! taken from every other program. Promises: all users but root together get at
//! most a fixed part of a core, each of them less than that. New connections are
//! counted apart, so that a user who only connects delays nobody who is
//! connected, and is the only one who is turned away. Leaves out whose
//! connection it is: the kernel tells.

use rail_core::time::{Duration, Instant};
use std::collections::BTreeMap;

/// What is left for whom.
#[derive(Debug)]
pub(super) struct Allowance {
    door: Bucket,
    all: Bucket,
    users: BTreeMap<u32, Account>,
}

/// What is left for one user.
#[derive(Debug)]
struct Account {
    answers: Bucket,
    entries: Bucket,
}

impl Account {
    const NEW: Self = Self { answers: Bucket::new(EACH), entries: Bucket::new(EACH) };
}

impl Allowance {
    pub(super) const fn new() -> Self {
        let (door, all) = (Bucket::new(DOOR), Bucket::new(ALL));
        Self { door, all, users: BTreeMap::new() }
    }

    /// True if this user may be served now.
    pub(super) fn is_open(&self, user: u32, now: Instant) -> bool {
        self.all.is_open(now) && self.users.get(&user).is_none_or(|user| user.answers.is_open(now))
    }

    /// True if a connection may be accepted now.
    pub(super) fn is_door_open(&self, now: Instant) -> bool {
        self.door.is_open(now)
    }

    /// Something was done for this user.
    pub(super) fn charge(&mut self, user: u32, spent: Duration, now: Instant) {
        self.all.charge(spent, now);
        self.account(user, now).answers.charge(spent, now);
    }

    /// True if this user may have another connection; one that may not is closed before it costs
    /// anything. It is the user's alone: whoever connects without end closes the door for nobody else.
    pub(super) fn enter(&mut self, user: u32, now: Instant) -> bool {
        let entries = &mut self.account(user, now).entries;
        let is_open = entries.is_open(now);
        if is_open {
            entries.charge(LEAST, now);
        }
        is_open
    }

    fn account(&mut self, user: u32, now: Instant) -> &mut Account {
        if self.users.len() >= MOST_USERS {
            // Who is not in debt loses nothing.
            let in_debt = |user: &Account| !user.answers.is_open(now) || !user.entries.is_open(now);
            self.users.retain(|_, user| in_debt(user));
        }
        self.users.entry(user).or_insert(Account::NEW)
    }

    /// Connections were accepted or turned away, as many as came together.
    pub(super) fn charge_door(&mut self, spent: Duration, now: Instant) {
        self.door.charge(spent, now);
    }

    /// When somebody who must wait may be served again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let buckets = [&self.door, &self.all]
            .into_iter()
            .chain(self.users.values().map(|user| &user.answers));
        buckets.filter_map(|bucket| bucket.closed_until).min()
    }

    /// Opens what has waited long enough; true if there was any.
    pub(super) fn open(&mut self, now: Instant) -> bool {
        let users = self.users.values_mut().map(|user| &mut user.answers);
        let buckets = [&mut self.door, &mut self.all].into_iter().chain(users);
        // Each is opened, whatever the ones before were.
        buckets.filter_map(|bucket| bucket.open(now).then_some(())).count() > 0
    }
}

/// Time that flows in, and is spent; whoever has spent all waits until there is a portion again.
#[derive(Debug)]
struct Bucket {
    rate: Duration,
    left_ns: i64,
    at: Instant,
    closed_until: Option<Instant>,
}

impl Bucket {
    /// A full one, that fills by `rate` in each second.
    const fn new(rate: Duration) -> Self {
        Self { rate, left_ns: most(rate), at: Instant::ZERO, closed_until: None }
    }

    fn is_open(&self, now: Instant) -> bool {
        self.closed_until.is_none_or(|until| until <= now)
    }

    fn charge(&mut self, spent: Duration, now: Instant) {
        let rate_ns = nanos(self.rate);
        let came = i128::from(nanos(now.since(self.at))) * i128::from(rate_ns) / 1_000_000_000;
        let full = most(self.rate);
        let came = i64::try_from(came).unwrap_or(full).min(2 * full);
        self.left_ns = (self.left_ns + came).min(full) - nanos(spent.clamp(LEAST, MOST));
        self.at = now;
        if self.left_ns <= 0 {
            let missing = i128::from(nanos(PORTION) - self.left_ns) * 1_000_000_000;
            let wait = u64::try_from(missing / i128::from(rate_ns)).unwrap_or(u64::MAX);
            self.closed_until = Some(now + Duration::from_nanos(wait));
        }
    }

    fn open(&mut self, now: Instant) -> bool {
        let opens = self.closed_until.is_some_and(|until| until <= now);
        if opens {
            self.closed_until = None;
        }
        opens
    }
}

/// What a bucket holds: so many seconds' worth.
const fn most(rate: Duration) -> i64 {
    rate.as_nanos() as i64 * 5
}

fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

/// For each user, in a second: about 50 questions, and as much again for 50 connections.
const EACH: Duration = Duration::from_millis(10);
/// For all of them together.
const ALL: Duration = Duration::from_millis(20);
/// For accepting connections: a thousand, for those of a user who may not enter wait in the same
/// queue of the kernel as those of all others.
const DOOR: Duration = Duration::from_millis(10);
/// Anything costs as much: the pass around it is not measured.
const LEAST: Duration = Duration::from_micros(200);
/// Nothing costs more: a machine that stands still is nobody's fault.
const MOST: Duration = Duration::from_millis(50);
/// Who had to wait is served several times in one pass, not in a pass for each.
const PORTION: Duration = Duration::from_millis(1);
/// Of whom the daemon keeps an account.
const MOST_USERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Given a user who asks whenever it is served, when ten seconds pass, then it had the burst
    /// and its part of each second; another one is served all the time.
    #[test]
    fn a_user_gets_its_part_and_no_more() {
        let mut allowance = Allowance::new();
        let start = Instant::from_nanos(1_000_000_000_000);
        let mut served = 0;
        for step in 0..100_000 {
            let now = start + Duration::from_micros(100) * step;
            allowance.open(now);
            if allowance.is_open(65_534, now) {
                allowance.charge(65_534, MS, now);
                served += 1;
            }
            assert!(allowance.is_open(1000, now), "at step {step}");
        }
        assert!((140..=155).contains(&served), "{served} ms");
    }

    /// Given a hundred users who ask whenever they are served, then together they get no more
    /// than two hundredths of the time.
    #[test]
    fn many_users_get_no_more_than_all_may() {
        let mut allowance = Allowance::new();
        let start = Instant::from_nanos(1_000_000_000_000);
        let mut served = 0;
        for step in 0..10_000 {
            let now = start + MS * step;
            allowance.open(now);
            for user in 1000..1100 {
                if allowance.is_open(user, now) {
                    allowance.charge(user, MS, now);
                    served += 1;
                }
            }
            assert!(allowance.users.len() <= MOST_USERS + 1);
        }
        assert!((280..=310).contains(&served), "{served} ms");
    }

    /// Given a user who has spent all, then the deadline says when it goes on, and not before.
    #[test]
    fn the_deadline_is_when_somebody_goes_on() {
        let mut allowance = Allowance::new();
        let now = Instant::from_nanos(1_000_000_000_000);
        assert_eq!(allowance.deadline(), None);
        allowance.charge(1, MOST, now);
        let until = allowance.deadline().unwrap();
        assert_eq!(until, now + MS * 100);
        assert!(!allowance.is_open(1, now + MS * 99) && !allowance.open(now + MS * 99));
        assert!(allowance.open(until) && allowance.is_open(1, until));
        assert_eq!(allowance.deadline(), None);
        for _ in 0..300 {
            allowance.charge_door(MS, until);
        }
        assert!(!allowance.is_door_open(until) && allowance.is_open(1, until));
    }

    /// Given a user who connects without end, then it may enter about fifty times a second, another
    /// one always, and whoever is connected is served.
    #[test]
    fn a_user_who_only_connects_is_turned_away_alone() {
        let mut allowance = Allowance::new();
        let start = Instant::from_nanos(1_000_000_000_000);
        let mut entered = 0;
        for step in 0..100_000 {
            let now = start + Duration::from_micros(100) * step;
            entered += u32::from(allowance.enter(65_534, now));
            assert!(step % 500 != 0 || allowance.enter(1000, now), "at step {step}");
            assert!(allowance.is_open(65_534, now) && allowance.is_open(1000, now));
        }
        assert!((700..=800).contains(&entered), "{entered} entered");
    }
}
