//! How long an answer may take: the smoothed round trip and its deviation (RFC 6298), and how far a
//! buffer has swollen lately.

use crate::time::{Duration, Instant};

/// The round trip to one target.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct RoundTrip {
    /// Smoothed, and its mean deviation; `None` before the first answer.
    smooth: Option<(Duration, Duration)>,
    last: Option<Duration>,
}

impl RoundTrip {
    /// Takes a round trip; returns by how much it exceeds what was usual.
    pub(super) fn take(&mut self, rtt: Duration) -> Duration {
        self.last = Some(rtt);
        let Some((srtt, var)) = self.smooth else {
            self.smooth = Some((rtt, rtt / 2));
            return Duration::ZERO;
        };
        let var = (var * 3 + srtt.abs_diff(rtt)) / 4;
        self.smooth = Some(((srtt * 7 + rtt) / 8, var));
        rtt.saturating_sub(srtt)
    }

    /// True once an answer has come.
    pub(super) const fn is_known(&self) -> bool {
        self.smooth.is_some()
    }

    /// The last one.
    pub(super) const fn last(&self) -> Option<Duration> {
        self.last
    }

    /// The time after which a probe is overdue, at a swelling of `bloat`.
    pub(super) fn timeout(&self, bloat: Duration) -> Duration {
        let Some((srtt, var)) = self.smooth else { return UNKNOWN };
        let margin = (var * 4).max(LEAST_MARGIN).max(bloat * 3 / 2);
        (srtt + margin).clamp(FLOOR, MOST)
    }
}

/// How far the round trips of an uplink exceeded what was usual; halves each second.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Bloat {
    most: Duration,
    at: Instant,
}

impl Bloat {
    /// Takes what an answer of now exceeded.
    pub(super) fn take(&mut self, now: Instant, excess: Duration) {
        *self = Self { most: self.now(now).max(excess), at: now };
    }

    /// What is left of it.
    pub(super) fn now(&self, now: Instant) -> Duration {
        if self.most.is_zero() {
            return Duration::ZERO;
        }
        let age = now.since(self.at);
        let halvings = u32::try_from(age.as_secs()).unwrap_or(u32::MAX).min(31);
        let whole = self.most / (1 << halvings);
        // Within a second a straight line is near enough.
        whole - whole * (age.subsec_millis() / 2) / 1000
    }
}

const FLOOR: Duration = Duration::from_millis(40);
const LEAST_MARGIN: Duration = Duration::from_millis(10);
/// Before the first answer, as in RFC 6298.
const UNKNOWN: Duration = Duration::from_secs(1);
const MOST: Duration = Duration::from_secs(3);

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Given steady round trips, then the time-out is 40 ms at 20 ms, and 610 ms at 600 ms.
    #[test]
    fn a_steady_line_has_a_short_timeout() {
        for (rtt, timeout) in [(20, 40), (600, 610)] {
            let mut trip = RoundTrip::default();
            assert_eq!(trip.timeout(Duration::ZERO), UNKNOWN);
            for _ in 0..60 {
                trip.take(MS * rtt);
            }
            assert_eq!(trip.timeout(Duration::ZERO).as_millis(), timeout);
        }
    }

    /// Given a swelling, then it halves each second.
    #[test]
    fn a_swelling_fades() {
        let at = |ms: u64| Instant::from_nanos(ms * 1_000_000);
        let mut bloat = Bloat::default();
        bloat.take(at(1000), MS * 800);
        assert_eq!(bloat.now(at(1500)), MS * 600);
        assert_eq!(bloat.now(at(3000)), MS * 200);
        bloat.take(at(3000), MS * 100);
        assert_eq!(bloat.now(at(4000)), MS * 100);
    }
}
