//! A reload of the same configuration changes no verdict: what is known of the
//! uplinks and of the targets is known after it as well.

use super::{Happening, Law, Share};
use crate::scene::Scene;
use rail_core::notice::{Notice, RouterNews, UplinkNews};
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Reload {
    reloaded: Option<Instant>,
}

impl Law for Reload {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Said(Notice::Router(RouterNews::Reloaded { .. })) => {
                self.reloaded = Some(scene.now);
            }
            Happening::Said(Notice::Uplink(UplinkNews::Health { uplink, from, to, cause, .. })) => {
                let is_after = self.reloaded.is_some_and(|at| scene.now < at + EFFECT);
                if is_after && from.is_usable() && !to.is_usable() && scene.is_steady(uplink) {
                    return Err(format!("a reload, and {uplink} went {to}: {cause}"));
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        Some(scene.steady)
    }
}

/// A reload has had its effect by then.
const EFFECT: Duration = Duration::from_secs(6);
