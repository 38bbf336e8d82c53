//! Every mark in the map of the buckets belongs to a usable uplink, or none is
//! usable; then to one that can send at least, or none can, unless the file wants
//! that nobody carries: whatever was chosen, and however, new connections go where
//! they can.

use super::{Happening, Law, Share};
use crate::scene::{Line, Scene};
use rail_core::config::{NoUplink, Tier, UplinkConfig};
use rail_core::status::Health;
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Marks {
    /// Since when a mark is wrong.
    wrong: Option<Instant>,
}

impl Law for Marks {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Tick = what else { return Ok(()) };
        let pairs = || scene.config.uplinks.iter().zip(&scene.lines);
        let any = |is_it: fn(Health) -> bool| {
            pairs().any(|(u, line)| u.tier != Tier::Inbound && is_it(line.health))
        };
        let is_fit: fn(Health) -> bool = match scene.config.router.no_uplink {
            _ if any(is_trusted) => Health::is_usable,
            // One that is held back answers, one that is suspect does not.
            _ if any(Health::is_usable) => Health::is_alive,
            NoUplink::Keep => can_send,
            NoUplink::Unreachable => |_| false,
        };
        let is_used = |line: &Line| scene.ways.buckets.contains(&line.mark);
        let wrong = pairs().find(|(_, line)| !is_fit(line.health) && is_used(line));
        // The rules that stand may not know the address that an uplink was given meanwhile.
        let is_waiting = scene.is_writing || scene.are_rules_refused;
        let can_take =
            |u: &UplinkConfig, line| is_used(line) || !is_waiting || !scene.is_learnt(&u.name);
        let is_one_fit = pairs().any(|(u, line)| {
            u.tier != Tier::Inbound && is_fit(line.health) && can_take(u, line)
        });
        let Some((uplink, line)) = wrong.filter(|_| is_one_fit && is_judged(scene)) else {
            self.wrong = None;
            return Ok(());
        };
        let since = *self.wrong.get_or_insert(scene.now);
        if scene.excuses.is_overdue(scene.now, since, DECIDED) {
            let (name, health) = (&uplink.name, line.health);
            return Err(format!("{name} is {health} since {since}, and buckets have its mark"));
        }
        Ok(())
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        if !scene.is_running {
            return Some(Share::default());
        }
        let judged = usize::from(is_judged(scene));
        Some(Share { judged, excused: 1 - judged })
    }
}

/// Usable, and not in doubt.
pub(super) const fn is_trusted(health: Health) -> bool {
    health.is_usable() && !matches!(health, Health::Suspect)
}

/// Link, address and way are there.
const fn can_send(health: Health) -> bool {
    health.is_alive() || matches!(health, Health::Down)
}

/// Nobody has edited the map since it was last in order.
fn is_judged(scene: &Scene) -> bool {
    scene.is_running && !scene.is_damaged && !scene.withdrawing
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(100);
