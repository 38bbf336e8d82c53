//! Connections are deleted only of a line that is not usable, only while another
//! line is, and only those that can move.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::config::Tier;
use rail_core::status::Role;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct PurgeLaw;

impl Law for PurgeLaw {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Purged { purge, removed } = what else { return Ok(()) };
        let Some(i) = scene.lines.iter().position(|line| line.id == purge.uplink) else {
            return Err(format!("a purge of uplink {}, which does not exist", purge.uplink));
        };
        let (line, uplink) = (&scene.lines[i], &scene.config.uplinks[i]);
        if purge.mark != line.mark || purge.mask != scene.config.ranges.mark_mask {
            return Err(format!("a purge of {} names other connections: {purge:?}", uplink.name));
        }
        let is_well = |at| scene.excuses.is_overdue(scene.now, at, scene.return_bound());
        if line.sound_since.is_some_and(is_well) {
            return Err(format!("connections of {} are deleted, which is well", uplink.name));
        }
        let others = scene.lines.iter().enumerate().filter(|(n, _)| *n != i);
        let carries = |(n, other): (usize, &crate::scene::Line)| {
            scene.config.uplinks[n].tier != Tier::Inbound
                && other.role == Role::Active
                && (other.health.is_usable() || other.class.is_sound() || recently(scene, other))
        };
        if !others.into_iter().any(carries) {
            return Err(format!("connections of {} are deleted, and cannot move", uplink.name));
        }
        let own = uplink.address.address;
        match removed.iter().find(|flow| flow.source == own || flow.destination == own) {
            Some(flow) => Err(format!("a connection was deleted that cannot move: {flow:?}")),
            None => Ok(()),
        }
    }
}

/// The line went between the decision and the deed.
fn recently(scene: &Scene, line: &crate::scene::Line) -> bool {
    scene.now < line.since + Duration::from_secs(1)
}
