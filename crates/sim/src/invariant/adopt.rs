//! A restart adopts: if all was in order when the process was killed, and nothing
//! happened since, the new one changes nothing.
//!
//! In order means that an uplink was usable. Where none is, the least bad ones carry what they
//! can, and a new process finds out again one by one which of them answer.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Adopt {
    /// When all was last seen in order.
    good: Option<Instant>,
    /// The process was killed when all was in order.
    adopting: Option<Instant>,
}

impl Law for Adopt {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Quiet(status) => {
                let is_usable = status.uplinks.iter().any(|uplink| uplink.health.is_usable());
                self.good = (status.settled && is_usable).then_some(scene.now);
            }
            Happening::Killed => {
                let disturbed = scene.excuses.disturbed;
                self.adopting = self.good.filter(|at| *at > disturbed);
            }
            Happening::Started => self.good = None,
            Happening::Deed(deed) => {
                self.good = None;
                let Some(at) = self.adopting else { return Ok(()) };
                let undisturbed = scene.excuses.disturbed < at;
                let is_fresh = scene.now < scene.excuses.started + FRESH;
                if undisturbed && is_fresh && scene.excuses.started > at && !scene.withdrawing {
                    return Err(format!("after a restart {} was changed: {:?}", deed.key, deed.op));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// Before an uplink can have died anew.
const FRESH: Duration = Duration::from_millis(700);
