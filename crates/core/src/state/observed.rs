//! What the kernel has: the answer to an [`Output::Observe`](crate::Output).
//!
//! Only what concerns us: all links, addresses and rules, the routes of our
//! tables, our nftables table, the settings and neighbours on the watch list.

use super::{
    GivenAddress, GivenDefault, Link, MainDefault, ObservedFirewall, ObservedRoute, ObservedRule,
    RouteKey,
};
use crate::net::{IfName, Mac, Prefix};
use crate::queues::Topology;
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;
use core::ops::{BitOr, BitOrAssign};

/// A set of kinds of kernel state.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Scope(pub u32);

impl Scope {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// Links.
    pub const LINKS: Self = Self(1);
    /// Addresses.
    pub const ADDRESSES: Self = Self(1 << 1);
    /// Routes of the watched tables.
    pub const ROUTES: Self = Self(1 << 2);
    /// Policy rules.
    pub const RULES: Self = Self(1 << 3);
    /// Our nftables table: chains, rules and the bucket map; and the boot guard.
    pub const FIREWALL: Self = Self(1 << 4);
    /// The watched settings.
    pub const SYSCTLS: Self = Self(1 << 5);
    /// The watched neighbours.
    pub const NEIGHBOURS: Self = Self(1 << 6);
    /// Whether `main` refuses what it has no route for, and its routes for everything.
    pub const MAIN: Self = Self(1 << 7);
    /// The queues of the watched ports, and the CPUs.
    pub const QUEUES: Self = Self(1 << 8);
    /// Everything.
    pub const ALL: Self = Self((1 << 9) - 1);

    /// True if `self` has every kind of `other`.
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// True if they have a kind in common.
    pub const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// The kinds of both.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that `other` has not.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// True if it is empty.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Scope {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Scope {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.with(other);
    }
}

/// Kernel state. After an observation only the kinds in its scope are filled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Links by name.
    pub links: BTreeMap<IfName, Link>,
    /// Addresses.
    pub addresses: BTreeMap<(IfName, Prefix), Ownership>,
    /// The other ends of those that have one (PPP).
    pub peers: BTreeMap<(IfName, Prefix), IpAddr>,
    /// Those of others that may attach an uplink.
    pub given: Vec<GivenAddress>,
    /// Routes of the watched tables. Of several with one key the first that the kernel lists.
    pub routes: BTreeMap<RouteKey, ObservedRoute>,
    /// Rules of both families with their protocol.
    pub rules: Vec<ObservedRule>,
    /// What `main` does with what it has no route for.
    pub main: MainDefault,
    /// Its routes for everything.
    pub defaults: Vec<GivenDefault>,
    /// Our nftables table; `None` if there is none.
    pub firewall: Option<ObservedFirewall>,
    /// The table of the boot guard; `None` if there is none.
    pub guard: Option<ObservedFirewall>,
    /// Settings; one that cannot be read is missing.
    pub sysctls: BTreeMap<String, String>,
    /// Neighbours; one that the kernel does not know is missing.
    pub neighbours: BTreeMap<(IfName, IpAddr), Neighbour>,
    /// Queues and CPUs; what it has not could not be read.
    pub queues: Arc<Topology>,
}

impl Observed {
    /// The value of a setting, as in [`Key::Sysctl`](super::Key).
    pub fn setting(&self, path: &str) -> Option<&String> {
        self.sysctls.get(path).or_else(|| self.queues.mask(path))
    }

    /// Takes over the kinds in `scope` from a newer observation. True if that changed anything.
    pub fn merge(&mut self, scope: Scope, newer: Self) -> bool {
        fn take<T: PartialEq>(is_read: bool, have: &mut T, newer: T) -> bool {
            let changed = is_read && *have != newer;
            if changed {
                *have = newer;
            }
            changed
        }
        let is_read = |kind| scope.has(kind);
        let changed = [
            take(is_read(Scope::LINKS), &mut self.links, newer.links),
            take(is_read(Scope::ADDRESSES), &mut self.addresses, newer.addresses),
            take(is_read(Scope::ADDRESSES), &mut self.peers, newer.peers),
            take(is_read(Scope::ADDRESSES), &mut self.given, newer.given),
            take(is_read(Scope::ROUTES), &mut self.routes, newer.routes),
            take(is_read(Scope::RULES), &mut self.rules, newer.rules),
            take(is_read(Scope::MAIN), &mut self.main, newer.main),
            take(is_read(Scope::MAIN), &mut self.defaults, newer.defaults),
            take(is_read(Scope::FIREWALL), &mut self.firewall, newer.firewall),
            take(is_read(Scope::FIREWALL), &mut self.guard, newer.guard),
            take(is_read(Scope::SYSCTLS), &mut self.sysctls, newer.sysctls),
            take(is_read(Scope::NEIGHBOURS), &mut self.neighbours, newer.neighbours),
            take(is_read(Scope::QUEUES), &mut self.queues, newer.queues),
        ];
        changed.contains(&true)
    }
}

/// Whose an object is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ownership {
    /// It carries our mark (address protocol, route protocol, rule protocol).
    Ours,
    /// Somebody else's.
    Foreign,
}

/// Neighbour (ARP/ND) state, as far as it matters.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Neighbour {
    /// `FAILED`: it was asked and did not answer.
    Failed,
    /// `INCOMPLETE` or `PROBE`: being asked.
    Asking,
    /// `REACHABLE`, `STALE`, `DELAY`, `PERMANENT`, `NOARP`; with its hardware address, if it has one.
    Known(Option<Mac>),
}
