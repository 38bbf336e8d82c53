//! An uplink that loses its carrier is left at once, whether the kernel reports it or not: notifications
//! may be late or lost, the state of the link is not.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Carrier;

impl Law for Carrier {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Tick = what else { return Ok(()) };
        if !scene.is_running {
            return Ok(());
        }
        for (i, line) in scene.lines.iter().enumerate() {
            let both = line.unplugged_since.zip(line.carrying_since);
            let Some(since) = both.map(|(out, carrying)| out.max(carrying)) else { continue };
            let is_late = scene.excuses.is_overdue_though_blind(scene.now, since, CARRIER);
            if is_late && scene.has_alternative_though_blind(i) {
                let name = &scene.config.uplinks[i].name;
                return Err(format!("{name} has no carrier since {since} and still gets connections"));
            }
        }
        Ok(())
    }
}

/// From carrier loss to the last new connection on the uplink.
const CARRIER: Duration = Duration::from_millis(50);
