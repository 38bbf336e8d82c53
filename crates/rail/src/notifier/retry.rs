//! When a message that did not arrive is tried again: RFC 5321 §4.5.4.1, for every target.
//! Pure; time is milliseconds of the boot clock.

/// What came of an attempt.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    /// In the server's words, if it had some. No secrets.
    pub(crate) words: String,
}

/// What becomes of the message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    /// It arrived.
    Done,
    /// Nobody answered, or not whom it was for: another way may do.
    Unheard,
    /// The server does not take it now, and may have asked to wait for so many seconds.
    Later { after_s: Option<u64> },
    /// Nobody will ever take it.
    Never,
}

impl Outcome {
    pub(crate) fn new(verdict: Verdict, words: impl Into<String>) -> Self {
        Self { verdict, words: words.into() }
    }

    /// Nobody answered.
    pub(crate) fn unheard(words: impl Into<String>) -> Self {
        Self::new(Verdict::Unheard, words)
    }
}

/// The schedule of one target.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Retry {
    failures: usize,
    last_ms: u64,
    next_ms: u64,
}

impl Retry {
    /// An attempt failed.
    pub(crate) fn failed(&mut self, now_ms: u64, after_s: Option<u64>) {
        let wait = MINUTES.get(self.failures).copied().unwrap_or(60) * 60_000;
        // A server that lies about its time does not silence us.
        let asked = after_s.unwrap_or(0).min(LONGEST_S) * 1000;
        self.failures += 1;
        self.last_ms = now_ms;
        self.next_ms = now_ms.saturating_add(wait.max(asked));
    }

    /// One arrived, or was given up: the next one has not failed yet.
    pub(crate) fn passed(&mut self) {
        *self = Self::default();
    }

    /// There is a new way: it need not wait for its time.
    pub(crate) fn hurry(&mut self, now_ms: u64) {
        let soon = self.last_ms.saturating_add(SOONEST_MS).max(now_ms);
        self.next_ms = self.next_ms.min(soon);
    }

    /// When the next attempt may begin.
    pub(crate) const fn next_ms(&self) -> u64 {
        self.next_ms
    }

    /// Attempts that failed in a row.
    pub(crate) const fn failures(&self) -> usize {
        self.failures
    }
}

/// Minutes before the next attempt; then an hour.
const MINUTES: [u64; 4] = [1, 5, 15, 30];
/// The longest that a server may ask for.
const LONGEST_S: u64 = 3600;
/// However good the news, not more often.
const SOONEST_MS: u64 = 10_000;
/// A message is given up when it is so old.
pub(crate) const EXPIRES_S: u64 = 5 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given attempts that fail, then the next ones are after 1, 5, 15, 30 minutes, and each hour.
    #[test]
    fn attempts_become_rarer() {
        let (mut retry, mut now, mut waits) = (Retry::default(), 1000, Vec::new());
        for _ in 0..6 {
            retry.failed(now, None);
            waits.push((retry.next_ms() - now) / 60_000);
            now = retry.next_ms();
        }
        assert_eq!(waits, [1, 5, 15, 30, 60, 60]);
        retry.hurry(now - 3_000_000);
        assert_eq!(retry.next_ms(), now - 3_000_000);
        retry.passed();
        assert_eq!(retry.next_ms(), 0);
    }

    /// Given a server that asks for time, then it gets it, but no more than an hour.
    #[test]
    fn a_server_may_ask_for_an_hour() {
        for (asked, expected) in [(5, 60), (600, 600), (u64::MAX, 3600)] {
            let mut retry = Retry::default();
            retry.failed(0, Some(asked));
            assert_eq!(retry.next_ms(), expected * 1000);
        }
    }

    /// Given a new way right after a failure, then the next attempt is ten seconds after it, not at once.
    #[test]
    fn a_new_way_is_tried_soon() {
        let mut retry = Retry::default();
        retry.failed(5000, Some(3600));
        retry.hurry(6000);
        assert_eq!(retry.next_ms(), 15_000);
    }
}
