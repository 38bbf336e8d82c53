//! When nothing happens outside, the router changes nothing.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::notice::{Notice, UplinkNews};
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Quiet {
    decided: Option<Instant>,
}

impl Law for Quiet {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Said(Notice::Uplink(
                UplinkNews::Health { .. } | UplinkNews::Role { .. },
            )) => {
                self.decided = Some(scene.now);
            }
            Happening::Change(change) => {
                let since = scene.excuses.disturbed.max(self.decided.unwrap_or_default());
                if scene.excuses.is_overdue(scene.now, since, AFTER) && !scene.withdrawing {
                    return Err(format!("{} was changed without a cause: {:?}", change.key, change.op));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A cause has had all its effects by then.
const AFTER: Duration = Duration::from_secs(3);
