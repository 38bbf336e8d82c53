//! What loss and death leave behind: how long an uplink stays degraded, and how long its return is held
//! back (damping of flaps). What loss there is says `evidence`.
//!
//! An uplink that loses much is now good, now bad. Each time that it fails again soon, it has to be good
//! for longer. *Soon* is counted from the end of the last time: counted from its beginning, a long
//! time would forget itself.

use super::verdict::{Cause, Verdict};
use crate::time::{Duration, Instant};

/// Degraded times and deaths of an uplink, as far as they matter for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    degraded: Option<Instant>,
    degraded_end: Option<Instant>,
    degraded_again: u32,
    returned: Option<Instant>,
    lossy_again: u32,
    silent_again: u32,
    held_until: Instant,
}

impl Past {
    /// That of an uplink with this verdict, which an earlier process had.
    pub(super) fn of(now: Instant, verdict: Verdict) -> Self {
        let is_degraded = matches!(verdict, Verdict::Degraded(Cause::Loss(_)));
        // How long that one held the uplink back is not known any more.
        let is_held = matches!(verdict, Verdict::Held(_));
        let held_until = if is_held { now + DWELL_DOWN } else { Instant::ZERO };
        Self { degraded: is_degraded.then_some(now), held_until, ..Self::default() }
    }

    /// The uplink is degraded by loss from now on.
    pub(super) fn degrade(&mut self, now: Instant) {
        let is_soon = self.degraded_end.is_some_and(|end| now.since(end) < SOON_DEGRADED);
        self.degraded_again = if is_soon { (self.degraded_again + 1).min(MOST_AGAIN) } else { 0 };
        self.degraded = Some(now);
    }

    /// The uplink returns degraded.
    pub(super) fn return_degraded(&mut self, now: Instant) {
        self.degraded = Some(now);
    }

    /// Its loss is over.
    pub(super) fn recover(&mut self, now: Instant) {
        if self.degraded.take().is_some() {
            self.degraded_end = Some(now);
        }
    }

    /// It was a limiter, and never loss.
    pub(super) fn acquit(&mut self) {
        *self = Self { returned: self.returned, ..Self::default() };
    }

    /// Link or address have gone: what the uplink was like says little of what comes.
    pub(super) fn interrupt(&mut self) {
        self.degraded = None;
        self.held_until = Instant::ZERO;
    }

    /// Since when it is degraded by loss.
    pub(super) const fn degraded_since(&self) -> Option<Instant> {
        self.degraded
    }

    /// True if it has been degraded for long enough.
    pub(super) fn may_recover(&self, now: Instant) -> bool {
        let dwell = DWELL_DEGRADED * (1 << self.degraded_again);
        self.degraded.is_none_or(|since| now.since(since) >= dwell)
    }

    /// The uplink is down. One that was held back had not returned: its time goes on.
    pub(super) fn fall(&mut self, now: Instant, by_loss: bool) {
        self.degraded = None;
        let lived = self.returned.take().map(|at| now.since(at));
        if lived.is_none() && self.held_until > now {
            return;
        }
        let hold = if by_loss {
            self.lossy_again = again(self.lossy_again, lived, SOON_LOSSY);
            // An uplink between good and bad is soon no better than it was: four times as long.
            (DWELL_DOWN * (1 << (self.lossy_again * 2))).min(LONGEST_LOSSY)
        } else {
            self.silent_again = again(self.silent_again, lived, SOON_SILENT);
            match self.silent_again.checked_sub(2) {
                Some(times) => (DWELL_DOWN * (1 << times)).min(LONGEST_SILENT),
                None => Duration::ZERO,
            }
        };
        self.held_until = now + hold;
    }

    /// The uplink carries again.
    pub(super) fn come_back(&mut self, now: Instant) {
        self.returned = Some(now);
        self.held_until = now;
    }

    /// Until when a return is held back.
    pub(super) const fn held_until(&self) -> Instant {
        self.held_until
    }
}

/// How often it has fallen soon after it returned; a first fall is none.
fn again(before: u32, lived: Option<Duration>, soon: Duration) -> u32 {
    match lived {
        Some(lived) if lived < soon => (before + 1).min(12),
        Some(_) => 0,
        None => before,
    }
}

const DWELL_DEGRADED: Duration = Duration::from_secs(10);
const SOON_DEGRADED: Duration = Duration::from_secs(10 * 60);
const MOST_AGAIN: u32 = 5;
const DWELL_DOWN: Duration = Duration::from_secs(5);
const SOON_LOSSY: Duration = Duration::from_secs(3600);
const SOON_SILENT: Duration = Duration::from_secs(15 * 60);
const LONGEST_LOSSY: Duration = Duration::from_secs(3600);
const LONGEST_SILENT: Duration = Duration::from_secs(5 * 60);
