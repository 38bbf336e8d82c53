//! While an uplink is usable, a new connection finds a way: it is never told that
//! there is no route, but for the short time after somebody else took it away.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct DefaultRoute;

impl Law for DefaultRoute {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Tick = what else { return Ok(()) };
        let Some(since) = scene.lost_since else { return Ok(()) };
        let bound = scene.longest_death() + REPAIR;
        if scene.is_running
            && scene.excuses.is_overdue(scene.now, since.max(scene.excuses.disturbed), bound)
            && scene.has_alternative(None)
        {
            return Err(format!("no route for a new connection since {since}"));
        }
        Ok(())
    }
}

/// A repair is done by then.
const REPAIR: Duration = Duration::from_secs(1);
