//! Usable implies probed: an uplink that is not asked is not used. Who cannot be
//! probed, because the kernel refuses its way, says so instead. Nothing is claimed while rules are being
//! loaded and no filter is there: no new way is let in then.

use super::{Happening, Law, Often, Share};
use crate::scene::Scene;
use rail_core::net::UplinkId;
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Probed {
    /// Of each uplink: when it last sent a probe, or was not usable.
    last: Vec<Instant>,
}

impl Law for Probed {
    fn hears(&self) -> Often {
        Often::Sent
    }

    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        self.last.resize(scene.lines.len(), Instant::ZERO);
        let excuses = &scene.excuses;
        match what {
            Happening::Sent { port, .. } => self.note(scene, port.uplink()),
            Happening::Asked { id, .. } => self.note(scene, id.asker.uplink()),
            Happening::Tick => {
                for (i, (last, line)) in self.last.iter_mut().zip(&scene.lines).enumerate() {
                    let is_idle = !scene.is_running || scene.withdrawing || waits_for_filter(scene);
                    if is_idle || !line.health.is_usable() {
                        *last = scene.now;
                    }
                    let bound = scene.standby(i) + scene.check(i).interval.max(LIMITED) + SLACK;
                    let from = (*last).max(excuses.started).max(excuses.resumed);
                    if excuses.has_passed(scene.now, from, bound) {
                        let (name, health) = (&scene.config.uplinks[i].name, line.health);
                        return Err(format!("{name} is {health}, and not probed since {from}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        let usable = scene.lines.iter().filter(|line| line.health.is_usable()).count();
        let usable = if scene.is_running { usable } else { 0 };
        let excused = if waits_for_filter(scene) { usable } else { 0 };
        Some(Share { judged: usable - excused, excused })
    }
}

impl Probed {
    fn note(&mut self, scene: &Scene, asked: Option<UplinkId>) {
        for (last, line) in self.last.iter_mut().zip(&scene.lines) {
            if asked == Some(line.id) {
                *last = scene.now;
            }
        }
    }
}

fn waits_for_filter(scene: &Scene) -> bool {
    scene.is_writing && scene.kernel.nft.is_none()
}

/// The slowest pace behind a limiter, and of a question whether there is one.
const LIMITED: Duration = Duration::from_secs(8);
/// For the loop, and for a way that is being put in.
const SLACK: Duration = Duration::from_millis(1500);
