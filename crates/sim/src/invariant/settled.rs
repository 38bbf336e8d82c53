//! When nothing happens outside, the kernel is as desired within two seconds, and
//! the status says so. What is desired is judged from the ground, not by asking
//! the router.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::config::{Config, Network};
use rail_core::facts::{Facts, PerFamily, SystemFacts, UplinkFacts, WIDE_MTU};
use rail_core::net::Family;
use rail_core::render;
use rail_core::Watch;
use rail_core::state::{Memory, Scope, State, diff};
use rail_core::status::Role;

/// See the module.
#[derive(Default)]
pub(super) struct Settled {
    /// The last configuration and facts, and what is desired by them.
    desired: Option<(Config, Facts, State)>,
}

impl Law for Settled {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let (Happening::Quiet(status) | Happening::Ended(status)) = what else { return Ok(()) };
        // What is held over a gap of another program's is no matter of this law.
        if scene.withdrawing || scene.kept.iter().any(|line| !scene.is_given(*line)) {
            return Ok(());
        }
        let (config, facts) = (&scene.config, facts(scene));
        let watch = Watch {
            tables: config.ranges.tables,
            sysctls: render::sysctl_paths(config, &facts),
            ..Watch::default()
        };
        let observed = scene.kernel.observe(Scope::ALL, &watch);
        let is_known = |(c, f, _): &(Config, Facts, State)| c == config && *f == facts;
        if !self.desired.as_ref().is_some_and(is_known) {
            let desired = render::render(config, &facts);
            self.desired = Some((config.clone(), facts, desired));
        }
        let Some((_, _, desired)) = &self.desired else { return Ok(()) };
        let (plan, conflicts) = diff(desired, &observed, &Memory::default());
        if let Some(step) = plan.first() {
            let count = plan.len();
            return Err(format!("quiet, but {count} changes are left, first {}: {:?}", step.key, step.op));
        }
        if !conflicts.is_empty() {
            return Err(format!("quiet, but {conflicts:?}"));
        }
        if !status.settled {
            return Err("the kernel is as desired, but the status does not say settled".into());
        }
        Ok(())
    }
}

/// The facts as they are; who is active the router decides.
pub(super) fn facts(scene: &Scene) -> Facts {
    let mut facts = Facts::unseen(&scene.config, scene.lines.iter().map(|line| line.id));
    let pairs = scene.lines.iter().zip(&scene.config.uplinks);
    for (fact, (line, uplink)) in facts.uplinks.iter_mut().zip(pairs) {
        let link = scene.kernel.links.get(&uplink.ifname);
        let is_there = |own| scene.kernel.addresses.contains_key(&(uplink.ifname, own));
        *fact = UplinkFacts {
            ifindex: link.map(|l| l.index),
            link_up: link.is_some_and(|l| l.up),
            carrier: link.is_some_and(|l| l.up && l.carrier),
            has_address: PerFamily::of(|family| fact.address(family).is_some_and(is_there)),
            mtu: link.map_or(WIDE_MTU, |l| l.mtu),
            health: line.health,
            active: line.role == Role::Active,
            ..fact.clone()
        };
    }
    for (line, site) in &scene.net.street.sites {
        if let Some(way) = &mut facts.uplinks[*line].way[Family::V4] {
            way.routes.extend(site.behind.map(|behind| (behind, site.gateway)));
        }
    }
    let inside = |network: &Network| {
        network.address.and_then(|_| scene.kernel.links.get(&network.ifname)).map(|l| l.index)
    };
    let system = SystemFacts {
        networks: scene.config.networks.iter().map(inside).collect(),
        main: scene.kernel.observe(Scope::MAIN, &Watch::default()).main,
        loopback: scene.kernel.links.iter().any(|(name, link)| name.as_str() == "lo" && link.up),
        all_wide: true,
        ..facts.system
    };
    Facts { system, ..facts }
}
