//! There is no moment without a route: no single change of ours takes the way
//! from a new connection that had one. So everything is replaced in place, and
//! nothing is deleted before its replacement is in.

use super::{Happening, Law};
use crate::kernel::Outcome;
use crate::scene::Scene;
use rail_core::config::{NoUplink, Tier};
use rail_core::status::Role;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Window;

impl Law for Window {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        let excuses = &scene.excuses;
        // What somebody did while this change was under way is not known yet.
        let is_read = scene.now >= excuses.blind_until
            && excuses.has_passed(scene.now, excuses.last_loss(), DECIDED);
        if scene.withdrawing || !change.done || scene.is_damaged || !is_read {
            return Ok(());
        }
        let had_none = change.ways_before.fresh.iter().any(|way| way.outcome == Outcome::Lost);
        // What the kernel took with a device is gone already; a way that leads to it is no way.
        let lost = scene.ways.fresh.iter().find(|way| {
            way.outcome == Outcome::Lost && way.line.is_none_or(|line| scene.is_firm(line))
        });
        // "unreachable" is what the administrator wants when no uplink is usable.
        let is_wanted = scene.config.router.no_uplink == NoUplink::Unreachable
            && scene.lines.iter().all(|line| {
                // The change may have been decided a moment ago.
                line.role != Role::Active
                    || !excuses.is_overdue(scene.now, line.role_since, DECIDED)
            });
        // Nothing leads out by an uplink without carrier, and no new connection by an inbound one.
        let carries = |line: &usize| {
            scene.config.uplinks[*line].tier != Tier::Inbound
                && scene.lines[*line].unplugged_since.is_none()
        };
        let any_firm = (0..scene.lines.len()).filter(carries).any(|line| scene.is_firm(line));
        match lost {
            Some(way) if !had_none && any_firm && !is_wanted => {
                Err(format!("{}: after its change a new connection has no route ({way:?})", change.key))
            }
            _ => Ok(()),
        }
    }
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(50);
