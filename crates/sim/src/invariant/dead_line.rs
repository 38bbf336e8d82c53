//! A new connection never goes to an uplink that has been dead for longer than the
//! stated bound, while another uplink could carry it. An uplink without carrier is
//! left at once.

use super::{Happening, Law, Share};
use crate::scene::{Class, Scene};
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct DeadLine;

impl Law for DeadLine {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Tick = what else { return Ok(()) };
        if !scene.is_running {
            return Ok(());
        }
        for (i, line) in scene.lines.iter().enumerate() {
            let Some(carrying) = line.carrying_since.filter(|_| line.class == Class::Dead) else {
                continue;
            };
            let heard = scene.net.lines[i].last_arrival;
            let probed = line.way_since.max(scene.excuses.resumed);
            let since = line.since.max(carrying).max(heard).max(probed);
            let overdue =
                |at: Instant, bound| scene.excuses.is_overdue(scene.now, at, bound);
            let unplugged = line.unplugged_since.map(|at| at.max(carrying));
            let is_late = overdue(since, scene.avoid_bound(i))
                || unplugged.is_some_and(|at| {
                    scene.excuses.disturbed <= at + CARRIER && overdue(at, CARRIER)
                });
            if is_late && scene.has_alternative(Some(i)) {
                let name = &scene.config.uplinks[i].name;
                return Err(format!("{name} is dead since {since} and still gets connections"));
            }
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        // Of an uplink that may be dead the law holds as long as it carries nothing.
        let (mut judged, mut excused) = (0, 0);
        for line in scene.lines.iter().filter(|_| scene.is_running) {
            match (line.class, line.carrying_since.is_some()) {
                (Class::Dead, _) | (Class::Gray, false) => judged += 1,
                (Class::Gray, true) => excused += 1,
                (Class::Perfect | Class::Good, _) => {}
            }
        }
        Some(Share { judged, excused })
    }
}

/// From carrier loss to the last new connection on the uplink.
const CARRIER: Duration = Duration::from_millis(50);
