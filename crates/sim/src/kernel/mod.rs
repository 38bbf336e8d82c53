//! A fake kernel: links, addresses, routes, rules, one nftables table, settings,
//! neighbours and tracked connections, as far as they concern a router.
//!
//! It keeps the measured habits of Linux: carrier loss leaves a plain route in
//! place; setting a link down, or removing its last address, deletes the routes
//! that depend on it; multipath routes keep a dead next hop instead, which wakes
//! up again with its link, unless the device is deleted: then they go as a whole;
//! nothing else returns by itself; a device that comes back has another index. A replace is atomic, an `nft` script is a transaction.

mod address;
mod link;
mod lookup;
mod nft;
mod observe;
mod route;
mod rule;
mod setting;

pub use lookup::{Outcome, Query};
pub use nft::{NftChain, NftRule, Table};
pub use route::FibRoute;
pub use rule::FibRule;

use rail_core::net::{IfName, Mac, Prefix};
use rail_core::state::{
    ACCEPT_REDIRECTS, FORWARDING, Identity, Key, Link, Neighbour, Op, OpError, PROTOCOL, Plan,
    Resource, RouteKey, Scope, Step, firewall,
};
use rail_core::{Purge, Which};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A tracked connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flow {
    /// Connection mark.
    pub mark: u32,
    /// Original source.
    pub source: IpAddr,
    /// Original destination.
    pub destination: IpAddr,
    /// It is by UDP.
    pub is_udp: bool,
}

/// The kernel of one network namespace.
#[derive(Clone, Debug)]
pub struct Kernel {
    /// Links by name.
    pub links: BTreeMap<IfName, Link>,
    /// Addresses with their protocol.
    pub addresses: BTreeMap<(IfName, Prefix), u8>,
    /// Routes.
    pub routes: BTreeMap<RouteKey, FibRoute>,
    /// Rules, by priority.
    pub rules: Vec<FibRule>,
    /// The table `inet rail`.
    pub nft: Option<Table>,
    /// The boot guard.
    pub guard: Option<Table>,
    /// Settings by path.
    pub sysctls: BTreeMap<String, String>,
    /// Neighbours.
    pub neighbours: BTreeMap<(IfName, IpAddr), Neighbour>,
    /// Tracked connections.
    pub flows: Vec<Flow>,
    /// It remembers the protocol of an address (Linux 5.18 and newer).
    pub marks_addresses: bool,
    next_index: u32,
}

/// An error of the kernel.
pub fn error(errno: i32, text: &str) -> OpError {
    OpError { errno, text: text.into() }
}

/// `ENOENT`.
pub const ENOENT: i32 = 2;
/// `EBUSY`.
pub const EBUSY: i32 = 16;
/// `EEXIST`.
pub const EEXIST: i32 = 17;
/// `ENODEV`.
pub const ENODEV: i32 = 19;
/// `EINVAL`.
pub const EINVAL: i32 = 22;
/// `EADDRINUSE`.
pub const EADDRINUSE: i32 = 98;
/// `ENETDOWN`.
pub const ENETDOWN: i32 = 100;
/// `ENETUNREACH`.
pub const ENETUNREACH: i32 = 101;

impl Kernel {
    /// A kernel after boot: no devices, nothing configured.
    pub fn new(marks_addresses: bool) -> Self {
        let globals = [
            (FORWARDING, "0"),
            (ACCEPT_REDIRECTS, "1"),
            ("net/ipv4/fib_multipath_hash_policy", "0"),
            ("net/ipv4/ip_early_demux", "1"),
            ("net/ipv4/fwmark_reflect", "0"),
            ("net/ipv4/icmp_errors_use_inbound_ifaddr", "0"),
        ];
        Self {
            links: loopback().into_iter().collect(),
            addresses: BTreeMap::new(),
            routes: BTreeMap::new(),
            rules: Vec::new(),
            nft: None,
            guard: None,
            sysctls: globals
                .iter()
                .map(|(path, value)| ((*path).into(), (*value).into()))
                .collect(),
            neighbours: BTreeMap::new(),
            flows: Vec::new(),
            marks_addresses,
            next_index: 2,
        }
    }

    /// Performs one change of ours.
    ///
    /// # Errors
    /// As Linux would.
    pub fn apply(&mut self, step: &Step) -> Result<(), OpError> {
        match (&step.key, &step.op) {
            (Key::Guard | Key::Firewall, Op::Script(text)) => self.run_nft(text),
            (Key::Buckets, Op::Buckets { del, add }) => self.set_buckets(del, add),
            (Key::Link(ifname), Op::Put { value: Resource::Link(value), .. }) => {
                self.put_link(*ifname, value)
            }
            (Key::Link(ifname), Op::Drop) => self.drop_link(*ifname),
            (Key::Address { ifname, prefix }, Op::Put { .. }) => {
                self.add_address(*ifname, *prefix, PROTOCOL)
            }
            (Key::Address { ifname, prefix }, Op::Drop) => {
                self.del_address(*ifname, *prefix);
                Ok(())
            }
            (Key::Route(key), Op::Put { value: Resource::Route(value), replace }) => {
                self.set_route(key, value, *replace, PROTOCOL)
            }
            (Key::Route(key), Op::Drop) => self.del_route(key),
            (Key::Rule(rule), Op::Put { .. }) => self.put_rule(rule),
            (Key::Rule(rule), Op::Drop) => self.del_rule(rule),
            (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. }) => {
                self.set_sysctl(path, value)
            }
            _ => Err(error(EINVAL, "this change does not fit its object")),
        }
    }

    /// Loads the boot guard, as its unit does before there is a network.
    pub fn close(&mut self) {
        self.run_nft(&firewall::guard()).expect("the guard's own text is well formed");
    }

    /// Performs a whole plan; for tests.
    ///
    /// # Errors
    /// The first refusal.
    pub fn apply_all(&mut self, plan: &Plan) -> Result<(), OpError> {
        plan.iter().try_for_each(|step| self.apply(step))
    }

    /// Plugs a device in: down, without address.
    pub fn add_link(&mut self, ifname: IfName, carrier: bool) -> Scope {
        let index = self.next_index;
        self.next_index += 1;
        let [.., high, low] = index.to_be_bytes();
        let identity = Identity { mac: Some(Mac([2, 1, 0, 0, high, low])), ..Identity::default() };
        let link = Link { index, up: false, carrier, mtu: 1500, identity, ..Link::default() };
        self.links.insert(ifname, link);
        let names =
            ["rp_filter", "src_valid_mark", "ignore_routes_with_linkdown", "promote_secondaries"];
        for name in names {
            self.sysctls.insert(format!("net/ipv4/conf/{ifname}/{name}"), "0".into());
        }
        LINK
    }

    /// Pulls a device out: what depends on it goes.
    pub fn remove_link(&mut self, ifname: IfName) -> Scope {
        for macvlan in self.macvlans_on(ifname) {
            self.remove_link(macvlan);
        }
        self.set_up(ifname, false);
        self.links.remove(&ifname);
        self.addresses.retain(|(name, _), _| *name != ifname);
        let path = format!("net/ipv4/conf/{ifname}/");
        self.sysctls.retain(|name, _| !name.starts_with(&path));
        self.routes.retain(|_, route| !route.uses_device(ifname));
        LINK
    }

    /// Sets a link administratively up or down.
    pub fn set_up(&mut self, ifname: IfName, up: bool) -> Scope {
        let Some(link) = self.links.get_mut(&ifname) else { return Scope::NONE };
        if link.up == up {
            return Scope::NONE;
        }
        link.up = up;
        if up {
            for route in self.routes.values_mut() {
                route.dead.remove(&ifname);
            }
        } else {
            self.disable(ifname);
        }
        self.pass_carrier_on(ifname);
        LINK
    }

    /// Plugs the cable in or out.
    pub fn set_carrier(&mut self, ifname: IfName, carrier: bool) -> Scope {
        let Some(link) = self.links.get_mut(&ifname) else { return Scope::NONE };
        link.carrier = carrier;
        if !carrier {
            self.neighbours.retain(|(name, _), _| *name != ifname);
        }
        self.pass_carrier_on(ifname);
        LINK
    }

    /// Deletes the connections that a purge names; returns them.
    pub fn purge(&mut self, purge: &Purge) -> Vec<Flow> {
        let goes = |flow: &Flow| {
            flow.mark & purge.mask == purge.mark
                && (flow.is_udp || purge.which != Which::MovableUdp)
                && !purge.keep_sources.contains(&flow.source)
                && !purge.keep_destinations.iter().any(|p| p.contains(flow.destination))
        };
        let (gone, kept) = std::mem::take(&mut self.flows).into_iter().partition(goes);
        self.flows = kept;
        gone
    }

    /// IP ends on a device: plain routes through it go, next hops of multipath routes die.
    fn disable(&mut self, ifname: IfName) {
        self.routes.retain(|_, route| !route.disable_device(ifname));
        self.neighbours.retain(|(name, _), _| *name != ifname);
    }
}

/// What a change of a link may have changed, as the monitor tells it.
const LINK: Scope = Scope::LINKS.with(Scope::ADDRESSES).with(Scope::ROUTES);

#[cfg(test)]
mod tests;

/// The device that every machine has from the start.
fn loopback() -> Option<(IfName, Link)> {
    let link = Link { index: 1, up: true, carrier: true, mtu: 65_536, ..Link::default() };
    Some(("lo".parse().ok()?, link))
}
