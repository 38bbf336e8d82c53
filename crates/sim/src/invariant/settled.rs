//! When nothing happens outside, the kernel is as desired within two seconds, and
//! the status says so. What is desired is judged from the ground, not by asking
//! the router.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::config::{Config, Network};
use rail_core::facts::{Facts, UplinkFacts, WIDE_MTU};
use rail_core::render;
use rail_core::state::{Memory, Scope, State, Watch, diff};
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
        if scene.withdrawing {
            return Ok(());
        }
        let watch = Watch {
            tables: scene.config.ranges.tables,
            sysctls: render::sysctl_paths(&scene.config),
            ..Watch::default()
        };
        let observed = scene.kernel.observe(Scope::ALL, &watch);
        let facts = facts(scene);
        let config = &scene.config;
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
    let fact = |(i, line): (usize, &crate::scene::Line)| {
        let uplink = &scene.config.uplinks[i];
        let link = scene.kernel.links.get(&uplink.ifname);
        UplinkFacts {
            id: line.id,
            ifindex: link.map(|l| l.index),
            link_up: link.is_some_and(|l| l.up),
            carrier: link.is_some_and(|l| l.up && l.carrier),
            has_address: scene.kernel.addresses.contains_key(&(uplink.ifname, uplink.address)),
            further: Vec::new(),
            mtu: link.map_or(WIDE_MTU, |l| l.mtu),
            health: line.health,
            active: line.role == Role::Active,
            drained: false,
            gateway_mac: None,
        }
    };
    let inside = |network: &Network| {
        network.address.and_then(|_| scene.kernel.links.get(&network.ifname)).map(|l| l.index)
    };
    Facts {
        uplinks: scene.lines.iter().enumerate().map(fact).collect(),
        networks: scene.config.networks.iter().map(inside).collect(),
        strays: Vec::new(),
        copies: Vec::new(),
        main: scene.kernel.observe(Scope::MAIN, &Watch::default()).main,
        loopback: scene.kernel.links.iter().any(|(name, link)| name.as_str() == "lo" && link.up),
        all_wide: true,
    }
}
