//! Questions of one kind, repeated until they are answered: when the next one is due.

use crate::time::{Duration, Instant};

/// Questions of one kind.
#[derive(Clone, Debug)]
pub(super) struct Exchange {
    /// What answers must repeat.
    pub(super) xid: u32,
    pub(super) began: Instant,
    /// How many were sent, and when the last one was.
    pub(super) sent: u32,
    pub(super) asked: Instant,
    /// When the next one is due.
    pub(super) next: Instant,
}

impl Exchange {
    /// So many questions got no answer, and the time for the last one is over.
    pub(super) fn is_vain(&self, most: u32, now: Instant) -> bool {
        self.sent >= most && self.next <= now
    }
}

/// The wait after so many questions: 4, 8, .. 64 s, each a second more or less (RFC 2131 §4.1).
pub(super) fn back_off(sent: u32, random: u64) -> Duration {
    let whole = Duration::from_secs(4 << sent.saturating_sub(1).min(4));
    whole + Duration::from_millis(random.rotate_left(sent) % 2000) - Duration::from_secs(1)
}

/// The wait before a lease is asked for again: half of what is left until the next phase, a minute at
/// least (RFC 2131 §4.4.5). In the last minute less, or one lost packet would end a short lease.
pub(super) fn retry(now: Instant, end: Instant) -> Duration {
    let left = end.since(now);
    let least = if left > MINUTE { MINUTE } else { Duration::from_secs(4) };
    (left / 2).max(least)
}

const MINUTE: Duration = Duration::from_secs(60);
