//! The long window: loss, latency and jitter of one target over the last
//! minute, in buckets of one second by the time of *sending*, so that a late
//! answer undoes the loss it had been counted as.

use crate::time::{Duration, Instant};
use core::cell::Cell;

const BUCKETS: usize = 60;
const BUCKET: Duration = Duration::from_secs(1);

#[derive(Copy, Clone, Debug, Default)]
struct Bucket {
    /// Second since boot; tells a live bucket from a stale one.
    second: u64,
    sent: u32,
    answered: u32,
    rtt_us: u64,
    deviation_us: u64,
}

/// The long window of one target.
#[derive(Clone, Debug)]
pub struct Quality {
    buckets: [Bucket; BUCKETS],
    since: Instant,
    last_rtt: Option<Duration>,
    /// The sums that were asked for last, and their bounds: they are asked for with every answer, and
    /// change once a second.
    asked: Cell<Option<(u64, u64, Sums)>>,
}

/// Sums over the settled part of a window.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    /// Probes whose answer is due.
    pub sent: u64,
    /// Of these, answered.
    pub answered: u64,
    /// Sum of round-trip times, microseconds.
    pub rtt_us: u64,
    /// Sum of differences between neighbouring round-trip times, microseconds.
    pub deviation_us: u64,
}

impl core::ops::AddAssign for Sums {
    fn add_assign(&mut self, o: Self) {
        self.sent += o.sent;
        self.answered += o.answered;
        self.rtt_us += o.rtt_us;
        self.deviation_us += o.deviation_us;
    }
}

impl Sums {
    /// Loss in tenths of a per cent; `None` without probes.
    pub fn loss_permille(&self) -> Option<u64> {
        let lost = self.sent.saturating_sub(self.answered);
        (lost * 1000).checked_div(self.sent)
    }

    /// Mean round-trip time.
    pub fn rtt(&self) -> Option<Duration> {
        self.rtt_us.checked_div(self.answered).map(Duration::from_micros)
    }

    /// Mean difference between neighbouring round-trip times.
    pub fn jitter(&self) -> Option<Duration> {
        self.deviation_us.checked_div(self.answered).map(Duration::from_micros)
    }
}

impl Quality {
    /// An empty window that begins at `now`.
    pub fn new(now: Instant) -> Self {
        Self {
            buckets: [Bucket::default(); BUCKETS],
            since: now,
            last_rtt: None,
            asked: Cell::new(None),
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self, now: Instant) {
        *self = Self::new(now);
    }

    /// Counts a probe sent at `at`.
    pub fn sent(&mut self, at: Instant) {
        self.bucket(at).sent += 1;
    }

    /// A probe that was counted at `at` was not sent.
    pub fn take_back(&mut self, at: Instant) {
        let (second, since) = (second(at), self.since);
        let bucket = self.bucket(at);
        if at >= since && bucket.second == second {
            bucket.sent = bucket.sent.saturating_sub(1);
        }
    }

    /// Counts the answer to a probe sent at `sent_at`. A probe of before the last
    /// [`clear`](Self::clear) only leaves its round-trip time.
    pub fn answered(&mut self, sent_at: Instant, rtt: Duration) {
        let deviation = self.last_rtt.map_or(Duration::ZERO, |last| rtt.abs_diff(last));
        self.last_rtt = Some(rtt);
        if sent_at < self.since {
            return;
        }
        let bucket = self.bucket(sent_at);
        if bucket.answered < bucket.sent {
            bucket.answered += 1;
            bucket.rtt_us += micros(rtt);
            bucket.deviation_us += micros(deviation);
        }
    }

    /// The last round-trip time.
    pub const fn last_rtt(&self) -> Option<Duration> {
        self.last_rtt
    }

    /// How long the window has been filling, at most its length.
    pub fn age(&self, now: Instant) -> Duration {
        now.since(self.since).min(BUCKET * 60)
    }

    /// Sums over all whole seconds whose probes are `due` (older than the timeout).
    pub fn sums(&self, now: Instant, timeout: Duration) -> Sums {
        let due = second(now - timeout);
        let oldest = second(now).saturating_sub(60);
        if let Some((.., sums)) =
            self.asked.get().filter(|asked| (asked.0, asked.1) == (due, oldest))
        {
            return sums;
        }
        let mut sums = Sums::default();
        for b in &self.buckets {
            if b.second < due && b.second > oldest {
                sums.sent += u64::from(b.sent);
                sums.answered += u64::from(b.answered);
                sums.rtt_us += b.rtt_us;
                sums.deviation_us += b.deviation_us;
            }
        }
        self.asked.set(Some((due, oldest, sums)));
        sums
    }

    fn bucket(&mut self, at: Instant) -> &mut Bucket {
        let second = second(at);
        if self.asked.get().is_some_and(|(due, ..)| second < due) {
            self.asked.set(None);
        }
        let index = usize::try_from(second % 60).unwrap_or(0);
        let bucket = &mut self.buckets[index];
        if bucket.second < second {
            *bucket = Bucket { second, ..Bucket::default() };
        }
        bucket
    }
}

fn second(at: Instant) -> u64 {
    at.as_nanos() / 1_000_000_000
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// Given every third probe unanswered, then a third is lost; when the answers come late, none.
    #[test]
    fn a_late_answer_undoes_the_loss() {
        let start = Instant::from_nanos(5_000_000_000);
        let mut q = Quality::new(start);
        for i in 0..50 {
            q.sent(start + MS * 200 * i);
            if i % 3 != 0 {
                q.answered(start + MS * 200 * i, MS * 10);
            }
        }
        let now = start + Duration::from_secs(12);
        assert_eq!(q.sums(now, MS * 500).loss_permille(), Some(340));
        for i in (0..50).step_by(3) {
            q.answered(start + MS * 200 * i, MS * 700);
        }
        assert_eq!(q.sums(now, MS * 500).loss_permille(), Some(0));
    }

    /// Given a minute of silence after, then the old probes have left the window.
    #[test]
    fn the_window_slides() {
        let start = Instant::from_nanos(7_000_000_000);
        let mut q = Quality::new(start);
        q.sent(start);
        assert_eq!(q.sums(start + MS * 5000, MS * 500).sent, 1);
        assert_eq!(q.sums(start + Duration::from_secs(70), MS * 500).sent, 0);
    }
}
