//! No false death: an uplink without fault, or with faults that must not matter,
//! never leaves.

use super::{Happening, Law, Share};
use crate::scene::{Class, Scene};
use rail_core::notice::{Notice, UplinkNews};
use rail_core::status::Health;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct FalseDeath;

impl Law for FalseDeath {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Said(Notice::Uplink(UplinkNews::Health { uplink, from, to, cause, .. })) = what
        else {
            return Ok(());
        };
        let Some(i) = scene.config.uplinks.iter().position(|u| u.name == *uplink) else {
            return Err(format!("there is no uplink {uplink}"));
        };
        let since = scene.lines[i].sound_since;
        let is_long = |at| scene.excuses.is_overdue(scene.now, at, SETTLING);
        if from.is_usable() && !to.is_usable() && *to != Health::Absent && since.is_some_and(is_long) {
            return Err(format!("{uplink} is without fault and went {to}: {cause}"));
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        Some(scene.class_share(Class::is_sound, |class| class == Class::Gray))
    }
}

/// What happened before has had its effect by then.
const SETTLING: Duration = Duration::from_secs(6);
