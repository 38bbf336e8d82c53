//! News are true and complete: each change of health starts where the last one
//! ended, and nobody is accused of an edit that nobody made.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::notice::{Notice, ReconcileNews, UplinkNews};
use rail_core::status::Health;

/// See the module.
#[derive(Default)]
pub(super) struct Notices;

impl Law for Notices {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Said(Notice::Uplink(UplinkNews::Health { uplink, from, to, .. })) => {
                let i = scene.config.uplinks.iter().position(|u| u.name == *uplink);
                let last = i.map(|i| scene.lines[i].health);
                // What is absent at the start is told as well.
                let is_none = from == to && *to != Health::Absent;
                if last != Some(*from) || is_none {
                    return Err(format!("{uplink} goes from {from} to {to}, but it was {last:?}"));
                }
            }
            Happening::Said(
                Notice::Reconcile(
                    ReconcileNews::Repaired { object, .. } | ReconcileNews::Contested { object, .. },
                ),
            ) if !scene.had_rival => {
                return Err(format!("{object} is said to be edited by somebody, who did not"));
            }
            _ => {}
        }
        Ok(())
    }
}
