//! Faults end, and everything is well again: every uplink is up, and those of the
//! lowest tier carry connections, but for the degraded ones where one of them is not.

use super::{Happening, Law, Share};
use crate::kernel::Outcome;
use crate::scene::{Class, Scene, Way};
use rail_core::config::{Degraded, Standby, Tier};
use rail_core::status::{Health, Role};

/// See the module.
#[derive(Default)]
pub(super) struct Recovery;

impl Law for Recovery {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Tick => returned(scene),
            Happening::Ended(_) => all_well(scene),
            _ => Ok(()),
        }
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        let is_excused = |class| matches!(class, Class::Good | Class::Gray);
        Some(scene.class_share(|class| class == Class::Perfect, is_excused))
    }
}

/// An uplink without fault is usable again within the bound.
fn returned(scene: &Scene) -> Result<(), String> {
    for (i, line) in scene.lines.iter().enumerate() {
        if scene.is_running
            && line.class == Class::Perfect
            && !line.health.is_usable()
            && scene.is_return_overdue(i)
        {
            let (name, since, health) = (&scene.config.uplinks[i].name, line.since, line.health);
            return Err(format!("{name} is without fault since {since}, and still {health}"));
        }
    }
    Ok(())
}

fn all_well(scene: &Scene) -> Result<(), String> {
    let lowest = scene.config.uplinks.iter().map(|u| u.tier).min();
    let is_avoided = |i: usize| {
        scene.lines[i].health == Health::Degraded && scene.check(i).degraded == Degraded::Avoid
    };
    let of_lowest = |i: &usize| Some(scene.config.uplinks[*i].tier) == lowest;
    let is_one_good = (0..scene.lines.len()).filter(of_lowest).any(|i| !is_avoided(i));
    for (i, uplink) in scene.config.uplinks.iter().enumerate() {
        let (health, role) = (scene.lines[i].health, scene.lines[i].role);
        let wanted = match uplink.tier {
            Tier::Inbound => Role::Inbound,
            tier if Some(tier) == lowest && !(is_avoided(i) && is_one_good) => Role::Active,
            Tier::Number(_) => Role::Standby,
        };
        // A server that forgot its leases gives another address half a lease later.
        if scene.has_new_lease(i) {
            continue;
        }
        // It has an address only while it is needed, or was a moment ago.
        if uplink.standby == Standby::Cold && !health.is_alive() && role == wanted {
            continue;
        }
        if !matches!(health, Health::Up | Health::Degraded) || role != wanted {
            return Err(format!("long after the last fault {} is {health}, {role:?}", uplink.name));
        }
        let (line, own) = (&scene.lines[i], Outcome::Via(uplink.ifname));
        if line.pinned != own || line.probe != own {
            let (pinned, probe) = (line.pinned, line.probe);
            return Err(format!("connections of {} go {pinned:?}, probes {probe:?}", uplink.name));
        }
        let goes = |way: &&Way| way.line == Some(i);
        let fresh = scene.ways.fresh.iter().find(goes).map(|way| way.outcome);
        if fresh != (role == Role::Active).then_some(own) {
            return Err(format!("{} is {role:?}, new connections go {fresh:?}", uplink.name));
        }
    }
    Ok(())
}
