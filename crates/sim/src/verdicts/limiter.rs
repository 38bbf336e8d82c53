//! A token bucket, as providers and targets use against floods of ICMP.
//!
//! What it lets through depends on what was asked before, so each run of a rule has its own.

use super::shape::Limit;
use super::uplink::{FAR_END, TARGETS, Uplink, Way};
use rail_core::time::{Duration, Instant};

/// The way over an uplink with its limiters, for one run of one rule.
#[derive(Clone, Debug)]
pub(super) struct Path<'a> {
    uplink: &'a Uplink,
    provider: Option<Bucket>,
    targets: Vec<Option<Bucket>>,
}

impl<'a> Path<'a> {
    /// All buckets are full.
    pub(super) fn new(uplink: &'a Uplink, now: Instant) -> Self {
        let shape = uplink.shape();
        let bucket = |limit: Option<Limit>| limit.map(|limit| Bucket::new(limit, now));
        Self {
            uplink,
            provider: bucket(shape.provider_limit),
            targets: vec![bucket(shape.target_limit); TARGETS],
        }
    }

    /// What becomes of a probe that is sent now: its round trip, or `None`. Asked in order of time.
    pub(super) fn ask(&mut self, target: usize, now: Instant) -> Option<Duration> {
        let is_echo = target != FAR_END;
        if is_echo && self.provider.as_mut().is_some_and(|bucket| !bucket.takes(now)) {
            return None;
        }
        let forth = self.uplink.leg(Way::Forth, target, now)?;
        let bucket = self.targets.get_mut(target).and_then(Option::as_mut);
        if bucket.is_some_and(|bucket| !bucket.takes(now + forth)) {
            return None;
        }
        let back = self.uplink.leg(Way::Back, target, now + forth)?;
        Some(forth + back)
    }
}

#[derive(Copy, Clone, Debug)]
struct Bucket {
    limit: Limit,
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn new(limit: Limit, at: Instant) -> Self {
        Self { limit, tokens: limit.burst, at }
    }

    /// Takes a token, if there is one.
    fn takes(&mut self, now: Instant) -> bool {
        let gained = now.since(self.at).as_secs_f64() * self.limit.rate;
        self.tokens = (self.tokens + gained).min(self.limit.burst);
        self.at = self.at.max(now);
        let passes = self.tokens >= 1.0;
        if passes {
            self.tokens -= 1.0;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::verdicts::shape::Shape;

    const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);

    /// Given a limiter of 8/s with a burst of 5, when 100/s are asked for a minute, then 485 pass;
    /// when 4/s are asked, then all.
    #[test]
    fn a_limiter_lets_its_rate_through() {
        let limit = Limit { rate: 8.0, burst: 5.0 };
        let shape = Shape { provider_limit: Some(limit), ..Shape::steady(20) };
        let end = BEGIN + Duration::from_secs(3600);
        let uplink = Uplink::new(&shape, 3, (BEGIN, end));
        let passed = |pace_ms: u64| {
            let mut path = Path::new(&uplink, BEGIN);
            let moments = (0..60_000 / pace_ms).map(|i| BEGIN + Duration::from_millis(i * pace_ms));
            moments.filter(|at| path.ask(0, *at).is_some()).count()
        };
        assert!((484..=486).contains(&passed(10)), "{}", passed(10));
        assert_eq!(passed(250), 240);
    }

    /// Given 1/s at each target, when four targets are asked in turn each 250 ms, then all answer;
    /// when one is asked so often, then a quarter.
    #[test]
    fn each_target_has_a_bucket_of_its_own() {
        let limit = Limit { rate: 1.0, burst: 1.0 };
        let shape = Shape { target_limit: Some(limit), ..Shape::steady(20) };
        let uplink = Uplink::new(&shape, 3, (BEGIN, BEGIN + Duration::from_secs(60)));
        let passed = |targets: usize| {
            let mut path = Path::new(&uplink, BEGIN);
            let at = |i: usize| BEGIN + Duration::from_millis(250) * u32::try_from(i).unwrap();
            (0..200).filter(|i| path.ask(i % targets, at(*i)).is_some()).count()
        };
        assert_eq!((passed(4), passed(1)), (200, 50));
    }
}
