//! How long the router may hold a return back: a model of what it promises, from what it says.

use rail_core::status::Health;
use rail_core::time::{Duration, Instant};

/// The falls of an uplink since the boot.
#[derive(Copy, Clone, Debug, Default)]
pub struct Damping {
    returned: Option<Instant>,
    /// How often it fell again, by silence and by loss.
    silent: u32,
    lossy: u32,
    by_loss: bool,
    held_until: Instant,
    /// Until then the last fall held it back.
    fell_until: Instant,
    /// What it was when the process before ended.
    before: Option<Health>,
}

impl Damping {
    /// Another process begins, by a file that may be older than the last return.
    pub(super) fn begin(&mut self, before: Health) {
        self.held_until = self.fell_until;
        // The one in between may have ended before it said anything.
        self.before = Some(before).filter(|before| *before != Health::Absent).or(self.before);
    }

    /// Until then a return may be held back.
    pub const fn held_until(&self) -> Instant {
        self.held_until
    }

    /// It fell by loss, and what shows that this is over ends the time as well.
    pub const fn is_by_loss(&self) -> bool {
        self.by_loss
    }

    /// Takes note of a change of health.
    pub(super) fn note(&mut self, now: Instant, from: Health, to: Health, cause: &str) {
        // What it lost while no process ran it lost nevertheless.
        let from = self.before.take().filter(|_| from == Health::Absent).unwrap_or(from);
        if from.is_alive() && (to == Health::Down || to.lacks_device()) {
            self.fall(now, cause);
        } else if to.is_usable() && !from.is_usable() {
            (self.returned, self.held_until) = (Some(now), now);
        }
    }

    fn fall(&mut self, now: Instant, cause: &str) {
        let is_first = self.returned.take().is_none();
        if is_first && self.held_until > now {
            // The router may have counted one fall less than was said: then it was held no more, and is again.
            let again = if self.by_loss { self.lossy } else { self.silent };
            let anew = now + hold(self.by_loss, again.saturating_sub(1));
            self.held_until = self.held_until.max(anew);
            self.fell_until = self.held_until;
            return;
        }
        self.by_loss = cause.starts_with("loss") || cause.contains("targets answer");
        let again = if self.by_loss { &mut self.lossy } else { &mut self.silent };
        *again += u32::from(!is_first);
        self.held_until = now + hold(self.by_loss, *again);
        self.fell_until = self.held_until;
    }
}

/// 5 s; after loss four times as long each time, up to an hour; after silence, or an interruption, not the
/// first two times, then twice as long, up to 5 min.
fn hold(by_loss: bool, again: u32) -> Duration {
    match (by_loss, again) {
        (true, _) => (FIRST * (1 << (again * 2).min(20))).min(Duration::from_secs(3600)),
        (false, 0 | 1) => Duration::ZERO,
        (false, _) => (FIRST * (1 << (again - 2).min(20))).min(Duration::from_secs(300)),
    }
}

const FIRST: Duration = Duration::from_secs(5);
