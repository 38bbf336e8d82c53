//! No uplink's start changes another's verdict: one that begins to probe knows nothing yet, and what it
//! does not hear is no evidence. Nor does it change what is known of a target: one that is ignored, and
//! dead for all, answers nobody, so it stays ignored.

use super::{Happening, Law, Share};
use crate::scene::{Class, Scene};
use rail_core::notice::{Notice, UplinkNews};
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Start {
    /// Of each uplink: whether it could be probed, and when it last began.
    begun: Vec<(bool, Option<Instant>)>,
}

impl Law for Start {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Tick => {
                self.begun.resize(scene.lines.len(), (true, None));
                for (begun, line) in self.begun.iter_mut().zip(&scene.lines) {
                    let is_there = line.unplugged_since.is_none() && line.class != Class::Dead;
                    if is_there && !begun.0 {
                        begun.1 = Some(scene.now);
                    }
                    begun.0 = is_there;
                }
            }
            Happening::Said(Notice::Uplink(UplinkNews::Health { uplink, from, to, cause, .. })) => {
                let others = scene.config.uplinks.iter().zip(&self.begun);
                let mut others = others.filter(|(other, _)| other.name != *uplink);
                let is_recent = |at: Instant| scene.now < at + EFFECT;
                let begun = others.find(|(_, (_, at))| at.is_some_and(is_recent));
                if let Some((other, _)) = begun
                    && from.is_usable()
                    && !to.is_usable()
                    && scene.is_steady(uplink)
                {
                    return Err(format!("{} begins, and {uplink} goes {to}: {cause}", other.name));
                }
            }
            Happening::Said(Notice::Uplink(UplinkNews::Ignored { target, ignored: false }))
                if scene.net.is_long_dead(scene.now, *target) =>
            {
                return Err(format!("{target} is dead for all, and counts again"));
            }
            _ => {}
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        Some(scene.steady)
    }
}

/// A start has had its effect by then.
const EFFECT: Duration = Duration::from_secs(10);
