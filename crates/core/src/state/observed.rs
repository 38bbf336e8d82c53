//! What the kernel has: the answer to an [`Output::Observe`](crate::Output).
//!
//! Only what concerns us: all links, addresses and rules, the routes of our
//! tables, our nftables table, the settings and neighbours on the watch list.

use super::{MainDefault, ObservedFirewall, ObservedRoute, ObservedRule, PROTOCOL, RouteKey};
use crate::coexist::View;
use crate::net::{IfName, Mac, Prefix};
use alloc::collections::BTreeMap;
use alloc::string::String;
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
    /// Whether `main` refuses what it has no route for.
    pub const MAIN: Self = Self(1 << 7);
    /// Everything.
    pub const ALL: Self = Self((1 << 8) - 1);

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

/// What to look at; sent once, and again when it changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Watch {
    /// First and last of our tables; routes in them are reported.
    pub tables: (u32, u32),
    /// Those of our tables that can have routes of ours. Where others have very many routes only these
    /// are read, not the whole range.
    pub used_tables: Vec<u32>,
    /// Ranges that were ours before; what is left of ours in them is reported, too.
    pub old_tables: Vec<(u32, u32)>,
    /// Settings, as in [`Key::Sysctl`](super::Key).
    pub sysctls: Vec<String>,
    /// Links of uplinks in use: their state is read every 20 ms, for the kernel may report the loss of a
    /// carrier a second late; what differs is an [`Input::Changed`](crate::Input::Changed).
    pub links: Vec<IfName>,
    /// The paths of devices are wanted.
    pub paths: bool,
    /// `main` refuses what it has no route for, and each of its routes matters.
    pub main_refuses: bool,
    /// Gateways whose neighbour state matters.
    pub neighbours: Vec<(IfName, IpAddr)>,
    /// What of ours other software must leave alone.
    pub beside: View,
}

impl Watch {
    /// True if routes in this table are of interest.
    pub fn has_table(&self, table: u32) -> bool {
        self.is_ours(table) || self.old_tables.iter().any(|range| contains(*range, table))
    }

    /// True if a route of this protocol in this table is reported: in ours all are.
    pub fn has_route(&self, table: u32, protocol: u8) -> bool {
        self.is_ours(table) || (protocol == PROTOCOL && self.has_table(table))
    }

    /// True if the table is one of those that are ours now.
    pub fn is_ours(&self, table: u32) -> bool {
        contains(self.tables, table)
    }
}

fn contains((first, last): (u32, u32), table: u32) -> bool {
    (first..=last).contains(&table)
}

/// Kernel state. After an observation only the kinds in its scope are filled.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Observed {
    /// Links by name.
    pub links: BTreeMap<IfName, Link>,
    /// Addresses.
    pub addresses: BTreeMap<(IfName, Prefix), Ownership>,
    /// Routes of the watched tables. Of several with one key the first that the kernel lists.
    pub routes: BTreeMap<RouteKey, ObservedRoute>,
    /// Rules of both families with their protocol.
    pub rules: Vec<ObservedRule>,
    /// What `main` does with what it has no route for.
    pub main: MainDefault,
    /// Our nftables table; `None` if there is none.
    pub firewall: Option<ObservedFirewall>,
    /// The table of the boot guard; `None` if there is none.
    pub guard: Option<ObservedFirewall>,
    /// Settings; one that cannot be read is missing.
    pub sysctls: BTreeMap<String, String>,
    /// Neighbours; one that the kernel does not know is missing.
    pub neighbours: BTreeMap<(IfName, IpAddr), Neighbour>,
}

impl Observed {
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
            take(is_read(Scope::ROUTES), &mut self.routes, newer.routes),
            take(is_read(Scope::RULES), &mut self.rules, newer.rules),
            take(is_read(Scope::MAIN), &mut self.main, newer.main),
            take(is_read(Scope::FIREWALL), &mut self.firewall, newer.firewall),
            take(is_read(Scope::FIREWALL), &mut self.guard, newer.guard),
            take(is_read(Scope::SYSCTLS), &mut self.sysctls, newer.sysctls),
            take(is_read(Scope::NEIGHBOURS), &mut self.neighbours, newer.neighbours),
        ];
        changed.contains(&true)
    }
}

/// A link.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Link {
    /// Interface index.
    pub index: u32,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// MTU in bytes.
    pub mtu: u32,
    /// Index of the link that it stands on (of a VLAN its Ethernet), where there is one.
    pub lower: Option<u32>,
    /// Index of the bridge, bond, .. that it is a port of, where there is one.
    pub master: Option<u32>,
    /// By what else than its name the configuration may mean it.
    pub identity: Identity,
    /// Driver kind (`bridge`, `macvlan`, ..); empty for hardware.
    pub kind: String,
    /// Of a macvlan: its mode.
    pub mode: Option<u32>,
    /// What somebody wrote on it; empty if nobody did.
    pub alias: String,
}

/// What tells a link apart whatever it is called.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Identity {
    /// Other names.
    pub altnames: Vec<String>,
    /// Hardware address.
    pub mac: Option<Mac>,
    /// The hardware address that it was made with, where it has one.
    pub permanent_mac: Option<Mac>,
    /// It stands on other links (VLAN, bridge, bond, ..), and has the address of one of them.
    pub is_stacked: bool,
    /// Where the device is, as udev's `ID_PATH`; empty for one that is nowhere. `None`: nobody has
    /// looked, for no `path:` is in the configuration.
    pub path: Option<String>,
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
