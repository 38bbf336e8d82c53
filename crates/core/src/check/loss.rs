//! What loss and death leave behind: how long an uplink stays degraded, and how long its return is held
//! back (damping of flaps). What loss there is says `evidence`.
//!
//! An uplink that loses much is now good, now bad. Each time that it fails again soon, it has to be good
//! for longer. *Soon* is counted from the end of the last time: counted from its beginning, a long
//! time would forget itself.

use super::damping::punish;
use super::verdict::Verdict;
use crate::config::Damping;
use crate::saved::Falls;
use crate::time::{Duration, Instant};

/// Degraded times and deaths of an uplink, as far as they matter for the next one.
#[derive(Clone, Debug, Default)]
pub(super) struct Past {
    degraded: Option<Instant>,
    degraded_end: Option<Instant>,
    degraded_again: u32,
    falls: Falls,
}

impl Past {
    /// That of an uplink with this verdict, which an earlier process had.
    pub(super) fn of(now: Instant, verdict: Verdict) -> Self {
        let is_degraded = verdict.is_lossy();
        // How long that one held the uplink back is not known, unless somebody says so.
        let is_held = matches!(verdict, Verdict::Held(_));
        let held_until = if is_held { now + DWELL_DOWN } else { Instant::ZERO };
        let falls = Falls { held_until, ..Falls::default() };
        Self { degraded: is_degraded.then_some(now), falls, ..Self::default() }
    }

    /// Takes over the falls that an earlier process saw. It read them from a file, which may be wrong.
    pub(super) fn take_over(&mut self, now: Instant, falls: Falls, damping: Option<&Damping>) {
        let longest = damping.map_or(Duration::ZERO, |with| with.half_life * 4).max(LONGEST_LOSSY);
        if falls != Falls::default() {
            self.falls = Falls {
                held_until: falls.held_until.min(now + longest),
                returned: falls.returned.map(|at| at.min(now)),
                lossy_again: falls.lossy_again.min(MOST_FALLS),
                silent_again: falls.silent_again.min(MOST_FALLS),
                penalized: falls.penalized.min(now),
                ..falls
            };
        }
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

    /// It was a limiter or a target, and never loss. How often it fell silent stays.
    pub(super) fn acquit(&mut self) {
        let Falls { by_loss, held_until, .. } = self.falls;
        let held_until = if by_loss { Instant::ZERO } else { held_until };
        let falls = Falls { held_until, by_loss: false, lossy_again: 0, ..self.falls };
        *self = Self { falls, ..Self::default() };
    }

    /// It is not asked any more: what it lost says little of what comes. Its falls stay, for one that
    /// flaps is interrupted all the time.
    pub(super) fn interrupt(&mut self) {
        self.degraded = None;
    }

    /// Nobody wants the uplink for now: when it is wanted again it begins anew.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
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

    /// The uplink is down: by loss, or by silence, which an interruption is as well. One that was held
    /// back had not returned: its time goes on.
    pub(super) fn fall(&mut self, now: Instant, by_loss: bool, damping: Option<&Damping>) {
        self.degraded = None;
        let falls = &mut self.falls;
        let lived = falls.returned.take().map(|at| now.since(at));
        if lived.is_none() && falls.held_until > now {
            return;
        }
        falls.by_loss = by_loss;
        let hold = if by_loss {
            falls.lossy_again = again(falls.lossy_again, lived, SOON_LOSSY);
            // An uplink between good and bad is soon no better than it was: four times as long.
            (DWELL_DOWN * (1 << (falls.lossy_again * 2))).min(LONGEST_LOSSY)
        } else if damping.is_some() {
            Duration::ZERO
        } else {
            falls.silent_again = again(falls.silent_again, lived, SOON_SILENT);
            match falls.silent_again.checked_sub(2) {
                Some(times) => (DWELL_DOWN * (1 << times)).min(LONGEST_SILENT),
                None => Duration::ZERO,
            }
        };
        let damped = damping.map_or(Duration::ZERO, |with| punish(falls, now, with));
        falls.held_until = now + hold.max(damped);
    }

    /// The uplink carries again.
    pub(super) fn come_back(&mut self, now: Instant) {
        self.falls.returned = Some(now);
        self.falls.held_until = now;
    }

    /// Until when a return is held back, and why.
    pub(super) const fn falls(&self) -> Falls {
        self.falls
    }
}

/// How often it has fallen soon after it returned; a first fall is none.
fn again(before: u32, lived: Option<Duration>, soon: Duration) -> u32 {
    match lived {
        Some(lived) if lived < soon => (before + 1).min(MOST_FALLS),
        Some(_) => 0,
        None => before,
    }
}

/// More of them hold nothing back for longer.
const MOST_FALLS: u32 = 12;
const DWELL_DEGRADED: Duration = Duration::from_secs(10);
const SOON_DEGRADED: Duration = Duration::from_secs(10 * 60);
const MOST_AGAIN: u32 = 5;
const DWELL_DOWN: Duration = Duration::from_secs(5);
const SOON_LOSSY: Duration = Duration::from_secs(3600);
const SOON_SILENT: Duration = Duration::from_secs(15 * 60);
const LONGEST_LOSSY: Duration = Duration::from_secs(3600);
const LONGEST_SILENT: Duration = Duration::from_secs(5 * 60);
