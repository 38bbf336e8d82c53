//! An uplink that is held back goes down again only for another fault, not for what it fell for
//! before; and one that was down returns only after it has answered.

use super::{Happening, Law, Share};
use crate::scene::Scene;
use rail_core::notice::{Notice, UplinkNews};
use rail_core::status::Health;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Hold;

impl Law for Hold {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Said(Notice::Uplink(UplinkNews::Health { uplink, from, to, cause, .. })) = what
        else {
            return Ok(());
        };
        let position = scene.config.uplinks.iter().position(|own| own.name == *uplink);
        let Some(i) = position else { return Ok(()) };
        let line = &scene.lines[i];
        let since = line.health_since;
        let is_sound = line.sound_since.is_some_and(|at| at + EFFECT < since);
        if *from == Health::Held && *to == Health::Down && is_sound {
            return Err(format!("{uplink} is held since {since}, without fault, and went down: {cause}"));
        }
        let has_answered = scene.net.lines[i].last_arrival > scene.excuses.started;
        if matches!(from, Health::Held | Health::Down) && to.is_usable() && !has_answered {
            return Err(format!("{uplink} was {from}, and is {to} without an answer"));
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        let held = || scene.lines.iter().filter(|line| line.health == Health::Held);
        let excused = held().filter(|line| line.sound_since.is_none()).count();
        Some(Share { judged: held().count() - excused, excused })
    }
}

/// What happened before has had its effect by then.
const EFFECT: Duration = Duration::from_secs(6);
