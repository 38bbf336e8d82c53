//! How long to wait before another attempt: longer each time, up to a limit.

use crate::time::{Duration, Instant};

/// The wait after a failure. It doubles, and begins anew after a life that was long enough.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    next: Duration,
    until: Option<Instant>,
}

impl Backoff {
    /// Waits `first` after the first failure, and never longer than `most`.
    pub const fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, next: first, until: None }
    }

    /// It failed after it had worked for so long.
    pub fn fail(&mut self, now: Instant, lived: Duration) {
        if lived >= LONG_ENOUGH {
            self.next = self.first;
        }
        self.until = Some(now + self.next);
        self.next = self.next.saturating_mul(2).min(self.most);
    }

    /// The next wait lasts at least so long.
    pub fn at_least(&mut self, wait: Duration) {
        self.next = self.next.max(wait).min(self.most);
    }

    /// Another attempt may be made.
    pub fn is_over(&self, now: Instant) -> bool {
        self.until.is_none_or(|until| until <= now)
    }

    /// When the wait ends; `None` if there is none.
    pub const fn until(&self) -> Option<Instant> {
        self.until
    }

    /// The wait is over and needs no deadline any more. True if there was one.
    pub fn end(&mut self, now: Instant) -> bool {
        self.until.take_if(|until| *until <= now).is_some()
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new(Duration::from_millis(250), Duration::from_secs(60))
    }
}

/// A life of this length says that all is well.
const LONG_ENOUGH: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    fn wait(backoff: &mut Backoff, lived: u64) -> u128 {
        let now = Instant::from_nanos(1_000_000_000);
        backoff.fail(now, Duration::from_secs(lived));
        assert!(!backoff.is_over(now) && !backoff.end(now));
        let until = backoff.until().unwrap();
        assert!(backoff.is_over(until) && backoff.end(until) && backoff.until().is_none());
        until.since(now).as_millis()
    }

    /// Given failure after failure, then each wait is twice the one before, up to a minute; given a
    /// minute of life, then it begins anew; given a cause that needs time, then it has that.
    #[test]
    fn waits_double_up_to_a_minute() {
        let mut backoff = Backoff::default();
        let waits: [u128; 10] = core::array::from_fn(|_| wait(&mut backoff, 1));
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
        assert_eq!(wait(&mut backoff, 60), 250);
        backoff.at_least(Duration::from_secs(5));
        assert_eq!(wait(&mut backoff, 1), 5000);
        assert_eq!(wait(&mut backoff, 1), 10_000);
    }
}
