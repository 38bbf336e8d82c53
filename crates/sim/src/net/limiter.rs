//! Somebody who answers only so many echoes a second: a provider, or each target for itself.

use rail_core::time::{Duration, Instant};
use std::net::Ipv4Addr;

/// A token bucket for all, or one a target.
#[derive(Clone, Debug)]
pub struct Limiter {
    /// The time of one token.
    pub spacing: Duration,
    /// How many a full bucket has.
    pub burst: u32,
    /// Each target has its own.
    pub is_by_target: bool,
    /// When each bucket is full again.
    full: Vec<(Option<Ipv4Addr>, Instant)>,
}

impl Limiter {
    /// Full buckets.
    pub const fn new(spacing: Duration, burst: u32, is_by_target: bool) -> Self {
        Self { spacing, burst, is_by_target, full: Vec::new() }
    }

    /// Takes a token for an echo to this target; false: there is none.
    pub fn passes(&mut self, now: Instant, to: Ipv4Addr) -> bool {
        let key = self.is_by_target.then_some(to);
        let at = self.full.iter().position(|(of, _)| *of == key).unwrap_or_else(|| {
            self.full.push((key, now));
            self.full.len() - 1
        });
        let full = self.full[at].1.max(now) + self.spacing;
        let passes = full.since(now) <= self.spacing * self.burst;
        if passes {
            self.full[at].1 = full;
        }
        passes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given two tokens and one more a second, then two of three pass at once, and one a second later;
    /// where each target has its own, another target is answered.
    #[test]
    fn a_bucket_empties_and_fills() {
        let (host, other) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(192, 0, 2, 2));
        let at = |ms: u64| Instant::from_nanos((1_000 + ms) * 1_000_000);
        let mut limiter = Limiter::new(Duration::from_secs(1), 2, true);
        let passes: Vec<bool> = [0, 1, 2].map(|ms| limiter.passes(at(ms), host)).to_vec();
        assert_eq!(passes, [true, true, false]);
        assert!(limiter.passes(at(2), other));
        assert!(limiter.passes(at(1001), host) && !limiter.passes(at(1002), host));
    }
}
