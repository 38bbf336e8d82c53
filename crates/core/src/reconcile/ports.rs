//! Whose queues are looked at: the physical ports of the configuration, and those whose masks are still to go
//! back to what they were.
//!
//! Promises: a bridge, bond, VLAN or macvlan stands for the ports below it, for each further hop of a packet
//! over the CPUs costs and gains nothing. A port that was replaced is read and set anew at once.

use super::Reconciler;
use crate::config::{Config, Links, Queues};
use crate::io::Output;
use crate::net::{IfName, Link};
use crate::queues::{Carries, Place, WatchedPort};
use crate::saved::Saved;
use crate::state::Scope;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// The ports whose queues are to be set.
pub(crate) fn tuned(config: &Config, links: &Links) -> BTreeMap<IfName, Carries> {
    let mut ports = BTreeMap::new();
    if config.performance.queues == Queues::Off {
        return ports;
    }
    let uplinks = config.uplinks.iter().filter(|uplink| uplink.enabled);
    let named = uplinks.flat_map(|uplink| {
        let carries = if uplink.ppp().is_some() { Carries::Pppoe } else { Carries::Ip };
        [(uplink.ifname, Carries::Ip), (uplink.port(), carries)]
    });
    let inside = config.networks.iter().map(|network| (network.ifname, Carries::Ip));
    let mut next: Vec<(IfName, Carries)> = named.chain(inside).collect();
    let mut seen = BTreeSet::new();
    while let Some((ifname, carries)) = next.pop() {
        let is_new = seen.insert((ifname, carries));
        let Some(link) = links.get(&ifname).filter(|_| is_new) else { continue };
        let is_below = |other: &Link| {
            other.master == Some(link.index) || link.lower.is_some_and(|below| below == other.index)
        };
        let below = links.iter().filter(|(_, other)| is_below(other));
        next.extend(below.map(|(name, _)| (*name, carries)));
        if link.kind.is_empty() && link.lower.is_none() {
            let found = ports.entry(ifname).or_insert(carries);
            *found = carries.max(*found);
        }
    }
    ports
}

/// The ports whose queues are to be read.
pub(super) fn watched(config: &Config, links: &Links, saved: &Saved) -> Vec<WatchedPort> {
    let mut ports: BTreeSet<IfName> = tuned(config, links).into_keys().collect();
    ports.extend(saved.sysctls.keys().filter_map(|path| Some(Place::parse(path)?.ifname)));
    let port = |ifname: IfName| {
        let link = links.get(&ifname)?;
        let (index, mac, up) = (link.index, link.identity.mac?, link.up);
        Some(WatchedPort { ifname, index, mac, up })
    };
    ports.into_iter().filter_map(port).collect()
}

impl Reconciler {
    /// The shell looks at the ports that there are now.
    pub(crate) fn watches_ports(&self, config: &Config, saved: &Saved) -> bool {
        self.watch.ports == watched(config, &self.observed.links, saved)
    }

    /// Others are looked at from now on. What a device had went with it, and came new with the next one.
    pub(super) fn renew_ports(&mut self, old: &[WatchedPort], out: &mut Vec<Output>) {
        let ports = &self.watch.ports;
        let same = |port: &WatchedPort, others: &[WatchedPort]| {
            let is_same = |other: &&WatchedPort| {
                (port.ifname, port.index, port.mac) == (other.ifname, other.index, other.mac)
            };
            others.iter().find(is_same).map(|other| other.up)
        };
        let gone = old.iter().filter(|port| same(port, ports).is_none());
        let new = ports.iter().filter(|port| same(port, old).is_none());
        let changed: BTreeSet<IfName> = gone.chain(new).map(|port| port.ifname).collect();
        // One that goes has nothing to read: a failover is under way, and waits for no file.
        let is_due = ports.iter().any(|port| same(port, old).is_none_or(|up| port.up && !up));
        if changed.iter().any(|ifname| self.observed.queues.ports.contains_key(ifname)) {
            let queues = Arc::make_mut(&mut self.observed.queues);
            queues.ports.retain(|ifname, _| !changed.contains(ifname));
        }
        for ifname in changed {
            self.engine.interface_changed(ifname);
        }
        self.dirty = true;
        if is_due {
            out.push(Output::Observe(Scope::QUEUES));
        }
    }
}
