//! Another program that configures the interfaces of some uplinks: it sets address and default route
//! in `main`, takes them away, and puts them back.
//!
//! The configuration of the scene has what it has set as if the file said so, which is the truth that
//! the laws judge by; the router is told that another program knows ([`Scene::told`]). Leases are told
//! in the same way.

use crate::kernel::Kernel;
use crate::scene::Scene;
use crate::world::{Heal, MS, SEC, World};
use rail_core::config::{Config, DhcpConfig, KeepConfig, UplinkConfig, UplinkKind};
use rail_core::net::{Family, Prefix};
use rail_core::state::table::MAIN;
use rail_core::state::{Nexthop, RouteKey, RouteValue, Scope};

impl Scene {
    /// The configuration as the router is told it.
    pub(crate) fn told(&self) -> Config {
        let mut config = self.config.clone();
        for line in &self.kept {
            config.uplinks[*line].kind = UplinkKind::Keep(KeepConfig::default());
        }
        for line in self.net.street.sites.keys() {
            config.uplinks[*line].kind = UplinkKind::Dhcp(DhcpConfig::default());
        }
        config
    }

    /// What another program is to set is there.
    pub(crate) fn is_given(&self, line: usize) -> bool {
        let uplink = &self.config.uplinks[line];
        let own = uplink.address();
        own.is_some_and(|own| self.kernel.addresses.contains_key(&(uplink.ifname, own)))
            && self.kernel.routes.iter().any(|(key, route)| {
                is_default(key) && route.living().any(|hop| hop.ifname == uplink.ifname)
            })
    }

    /// The interface has its address since a moment ago: what was asked for before may still be under way.
    pub(crate) fn is_given_anew(&self, line: usize) -> bool {
        let since = self.lines[line].routable_since;
        since.is_none_or(|since| self.now < since + crate::lessor::LONGEST)
    }
}

/// Sets the link up, and address and default route if they are not there; what changed.
pub(crate) fn give(kernel: &mut Kernel, uplink: &UplinkConfig, metric: u32) -> Scope {
    let (ifname, Some(fixed)) = (uplink.ifname, uplink.fixed()) else { return Scope::NONE };
    kernel.set_up(ifname, true);
    if kernel.add_address(ifname, fixed.address, 0).is_err() {
        return Scope::NONE;
    }
    take_default(kernel, uplink);
    let hop = Nexthop { ifname, via: Some(fixed.gateway), weight: 1, onlink: fixed.onlink };
    let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
    let prefix = Prefix::default_route(Family::V4);
    // A link without a cable takes it all the same.
    let _ = kernel.set_route(&RouteKey { table: MAIN, prefix, metric }, &value, true, 16);
    Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN
}

/// Takes the default route away.
fn take_default(kernel: &mut Kernel, uplink: &UplinkConfig) {
    let is_its = |key: &RouteKey, value: &RouteValue| is_default(key) && value.uses(uplink.ifname);
    kernel.routes.retain(|key, route| !is_its(key, &route.value));
}

fn is_default(key: &RouteKey) -> bool {
    key.table == MAIN && key.prefix.length == 0
}

impl World {
    /// The program takes its default route away for a moment, or all that it has set for longer.
    pub(crate) fn unkeep(&mut self, line: usize) {
        let uplink = self.scene.config.uplinks[line].clone();
        let is_gap = self.dice.permille(700);
        let kernel = &mut self.scene.kernel;
        take_default(kernel, &uplink);
        if !is_gap && let Some(own) = uplink.address() {
            kernel.del_address(uplink.ifname, own);
            // Routes of ours go with it.
            self.scene.excuses.edited(self.scene.now);
            self.scene.had_rival = true;
        }
        let name = uplink.name;
        self.note(format!("KEEPER takes {name}'s {}", if is_gap { "default" } else { "address" }));
        self.kernel_changed(Scope::ADDRESSES | Scope::ROUTES | Scope::MAIN);
        let (low, high) = if is_gap { (MS, SEC * 3) } else { (MS, SEC * 30) };
        let wait = self.dice.between(low, high);
        self.after(wait, crate::world::Event::Heal(Heal::Given(line)));
    }

    /// The program sets what is missing.
    pub(crate) fn give(&mut self, line: usize) {
        let metric = u32::try_from(self.dice.below(1000)).unwrap_or(0) + 1;
        let metric = metric * 10 + u32::try_from(line).unwrap_or(0);
        let Scene { kernel, config, .. } = &mut self.scene;
        let scope = give(kernel, &config.uplinks[line], metric);
        self.note(format!("KEEPER sets uplink {line}, metric {metric}"));
        self.kernel_changed(scope);
    }

    /// The uplinks on this port that another program looks after and that lack something.
    pub(crate) fn give_all(&mut self) {
        for line in self.scene.kept.clone() {
            if !self.scene.is_given(line) {
                self.give(line);
            }
        }
    }
}
