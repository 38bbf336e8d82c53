//! The kinds of kernel objects that we own: a file for each, and the lists that name them.
//!
//! Promises: to add a kind takes its file and one line in each list, here, in `linux/state` and in
//! `sim/kernel`; the compiler names those that are missing here, and ARCHITECTURE.md all of them. A file
//! has the value of its kind, the change that brings it about, what of it is ours and what is foreign.

use super::{Conflict, Memory, Observed, Op, Scope};
use crate::net::{IfName, Prefix};
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::cmp::Ordering;
use core::fmt;

mod address;
mod buckets;
pub mod firewall;
mod guard;
mod link;
mod route;
mod rule;
mod setting;

pub use firewall::{
    Base, Chain, ChainKind, Firewall, Hook, ObservedChain, ObservedFirewall, ObservedNftRule,
    Sender,
};
pub use link::{MACVLAN, MACVLAN_PRIVATE, Macvlan, link_obstacle, link_sign};
pub use route::{Nexthop, ObservedRoute, RouteKey, RouteValue};
pub use rule::{ObservedRule, Rule};
pub use setting::is_forwarding;

/// Routing protocol number of our routes and rules (`ip route` shows `proto 82`); unassigned.
pub const PROTOCOL: u8 = 82;

/// Name of our nftables table (family inet).
pub const NFT_TABLE: &str = "rail";

/// Name of the table of the boot guard (family inet); see [`firewall::guard`].
pub const NFT_GUARD: &str = "rail_guard";

/// Name of the bucket map inside our nftables table.
pub const NFT_BUCKETS: &str = "slots";

/// Elements of that map from here on are no buckets.
pub const NFT_ELEMENTS: u32 = 60_000;

/// The setting that makes a router of the machine.
pub const FORWARDING: &str = "net/ipv4/ip_forward";

/// The setting that the kernel changes with [`FORWARDING`], to the opposite
/// (`inet_forward_change` in net/ipv4/devinet.c).
pub const ACCEPT_REDIRECTS: &str = "net/ipv4/conf/all/accept_redirects";

/// The setting of a device that keeps the other addresses of a subnet when the first one goes.
pub const PROMOTE_SECONDARIES: &str = "promote_secondaries";

/// Tables with a meaning of their own, fixed by the kernel.
pub mod table {
    /// Asked last; empty unless somebody fills it.
    pub const DEFAULT: u32 = 253;
    /// Where routes are that name no table.
    pub const MAIN: u32 = 254;
    /// The addresses of the machine.
    pub const LOCAL: u32 = 255;
}

/// In place of a table: the packet is refused (`unreachable`). No table has this number.
pub const REFUSED: u32 = 0;
/// In place of a table: there is no such way (`blackhole`), and who asks may ask with another source.
pub const NO_WAY: u32 = u32::MAX;

/// The desired state.
pub type State = BTreeMap<Key, Resource>;

/// What an object is called.
///
/// Its order is that of [`Rank`], and within one rank that of the names.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Key {
    /// The boot guard, which forwards nothing. We never put it in: wanted means left alone.
    Guard,
    /// Structure of our nftables table: chains and rules.
    Firewall,
    /// A link of ours.
    Link(IfName),
    /// An address on an interface.
    Address {
        /// Interface.
        ifname: IfName,
        /// Address and length.
        prefix: Prefix,
    },
    /// A route.
    Route(RouteKey),
    /// A policy rule; its selectors are its identity.
    Rule(Rule),
    /// Elements of the bucket map: which bucket carries which mark.
    Buckets,
    /// A kernel setting, by its path below `/proc/sys`, such as `net/ipv4/ip_forward`; or the mask of a queue,
    /// by its path below `/sys` (a [`Place`](crate::queues::Place)).
    Sysctl(String),
}

/// The value of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resource {
    /// For [`Key::Guard`].
    Guard,
    /// For [`Key::Firewall`].
    Firewall(Firewall),
    /// For [`Key::Link`].
    Link(Macvlan),
    /// For [`Key::Address`].
    Address,
    /// For [`Key::Route`].
    Route(RouteValue),
    /// For [`Key::Rule`].
    Rule,
    /// For [`Key::Buckets`]: bucket number to mark (already shifted into the mask).
    Buckets(BTreeMap<u32, u32>),
    /// For [`Key::Sysctl`]: the text, without the line end.
    Sysctl(String),
}

/// The order of changes: creates and replaces run forward, deletes backward and last, so that there is
/// no moment without what is wanted.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Rank {
    /// Nothing is forwarded; it goes last of all.
    Guard,
    /// Files that others read.
    File,
    /// Chains and rules. They name interfaces, so they can come before these: none is ever up unfiltered.
    Firewall,
    /// Interfaces.
    Link,
    /// Addresses of interfaces.
    Address,
    /// Routes, whose sources are addresses.
    Route,
    /// Policy rules, which lead to tables that are filled by now.
    Rule,
    /// What new connections take, once it leads somewhere.
    Buckets,
    /// Settings.
    Setting,
    /// Settings that make a router of the machine.
    Forwarding,
    /// Programs, which find all else in place.
    Process,
}

impl Key {
    /// Its place in the order of changes.
    pub fn rank(&self) -> Rank {
        match self {
            Self::Guard => Rank::Guard,
            Self::Firewall => Rank::Firewall,
            Self::Link(_) => Rank::Link,
            Self::Address { .. } => Rank::Address,
            Self::Route(_) => Rank::Route,
            Self::Rule(_) => Rank::Rule,
            Self::Buckets => Rank::Buckets,
            Self::Sysctl(path) => setting::rank(path),
        }
    }

    /// What a change of it may change in the kernel.
    pub fn scope(&self) -> Scope {
        match self {
            Self::Guard | Self::Firewall | Self::Buckets => Scope::FIREWALL,
            Self::Link(_) => Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES | Scope::SYSCTLS,
            Self::Address { .. } => Scope::ADDRESSES | Scope::ROUTES,
            Self::Route(_) => Scope::ROUTES,
            Self::Rule(_) => Scope::RULES,
            Self::Sysctl(path) => setting::scope(path),
        }
    }

    /// Whether it is there, and which reading tells. `None` for what is read by questions about single
    /// objects, or as a whole: only a dump can omit something.
    pub fn in_dump(&self, observed: &Observed) -> Option<(Scope, bool)> {
        match self {
            Self::Guard | Self::Firewall | Self::Buckets | Self::Sysctl(_) | Self::Link(_) => None,
            Self::Address { ifname, prefix } => {
                Some((Scope::ADDRESSES, observed.addresses.contains_key(&(*ifname, *prefix))))
            }
            Self::Route(key) => Some((Scope::ROUTES, observed.routes.contains_key(key))),
            Self::Rule(rule) => Some((Scope::RULES, rule::is_there(rule, observed))),
        }
    }

    /// The value that stands there now, in words, for kinds whose value is one.
    pub fn value_in(&self, observed: &Observed) -> Option<String> {
        match self {
            Self::Guard | Self::Firewall | Self::Buckets => None,
            Self::Link(_) | Self::Address { .. } | Self::Rule(_) => None,
            Self::Route(key) => Some(observed.routes.get(key)?.value.as_ref()?.to_string()),
            Self::Sysctl(path) => observed.setting(path).cloned(),
        }
    }

    /// The order within one rank. Of two kinds it says nothing.
    fn cmp_names(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Address { ifname, prefix }, Self::Address { ifname: name, prefix: other }) => {
                (ifname, prefix).cmp(&(name, other))
            }
            (Self::Link(ifname), Self::Link(other)) => ifname.cmp(other),
            (Self::Route(key), Self::Route(other)) => key.cmp(other),
            (Self::Rule(rule), Self::Rule(other)) => rule.cmp(other),
            (Self::Sysctl(path), Self::Sysctl(other)) => path.cmp(other),
            // There is only one.
            (Self::Guard | Self::Firewall | Self::Buckets, _) => Ordering::Equal,
            // Of another kind, and so of another rank.
            (
                Self::Link(_)
                | Self::Address { .. }
                | Self::Route(_)
                | Self::Rule(_)
                | Self::Sysctl(_),
                _,
            ) => Ordering::Equal,
        }
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> Ordering {
        self.rank().cmp(&other.rank()).then_with(|| self.cmp_names(other))
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The change that brings one wanted object about; `None` if it is there.
pub(super) fn wanted(
    key: &Key,
    value: &Resource,
    observed: &Observed,
    memory: &Memory,
) -> Result<Option<Op>, Box<Conflict>> {
    Ok(match (key, value) {
        (Key::Firewall, Resource::Firewall(want)) => firewall::wanted(want, observed),
        (Key::Buckets, Resource::Buckets(want)) => buckets::wanted(want, observed),
        (Key::Link(ifname), Resource::Link(want)) => link::wanted(*ifname, want, observed)?,
        (Key::Address { ifname, prefix }, _) => address::wanted(*ifname, *prefix, observed),
        (Key::Route(key), Resource::Route(want)) => route::wanted(key, want, observed, memory)?,
        (Key::Rule(rule), _) => rule::wanted(rule, observed),
        (Key::Sysctl(path), Resource::Sysctl(want)) => setting::wanted(path, want, observed),
        // A guard is left as it is, and a value of another kind is nobody's wish.
        (Key::Guard | Key::Firewall | Key::Buckets, _) => None,
        (Key::Link(_) | Key::Route(_) | Key::Sysctl(_), _) => None,
    })
}

/// All that is ours, wanted or not, and the change that takes each away.
pub(super) fn ours(observed: &Observed, memory: &Memory) -> Vec<(Key, Op)> {
    let mut ours: Vec<(Key, Op)> = Vec::new();
    let mut take =
        |keys: &mut dyn Iterator<Item = Key>| ours.extend(keys.map(|key| (key, Op::Drop)));
    take(&mut link::ours(observed));
    take(&mut address::ours(observed, memory));
    take(&mut route::ours(observed));
    take(&mut rule::ours(observed));
    ours.extend(firewall::ours(observed));
    ours.extend(guard::ours(observed));
    ours
}

/// What of others is inside our ranges, in words.
pub(super) fn foreign(desired: &State, observed: &Observed, priorities: (u32, u32)) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    found.extend(route::foreign(observed));
    found.extend(rule::foreign(desired, observed, priorities));
    found.extend(firewall::foreign(observed));
    found
}

/// The device of the object is gone, so nobody can say whether it is as wanted.
pub fn is_out_of_sight(key: &Key, value: &Resource, observed: &Observed) -> bool {
    match (key, value) {
        (Key::Sysctl(path), _) => observed.setting(path).is_none(),
        (_, Resource::Link(value)) => !observed.links.contains_key(&value.parent),
        (Key::Guard | Key::Firewall | Key::Buckets | Key::Link(_), _) => false,
        (Key::Address { .. } | Key::Route(_) | Key::Rule(_), _) => false,
    }
}

/// True if the object goes when this interface does, or loses its address.
pub fn goes_with(key: &Key, value: &Resource, interface: IfName) -> bool {
    match (key, value) {
        (_, Resource::Link(value)) => value.parent == interface,
        (Key::Address { ifname, .. }, _) => *ifname == interface,
        (_, Resource::Route(value)) => value.uses(interface),
        (Key::Sysctl(path), _) => setting::is_of(path, interface),
        (Key::Guard | Key::Firewall | Key::Buckets | Key::Link(_), _) => false,
        (Key::Route(_) | Key::Rule(_), _) => false,
    }
}

impl Observed {
    /// Forgets an object that we have deleted: that it is missing is no surprise.
    pub fn forget(&mut self, key: &Key) {
        match key {
            Key::Address { ifname, prefix } => drop(self.addresses.remove(&(*ifname, *prefix))),
            Key::Route(key) => drop(self.routes.remove(key)),
            Key::Rule(rule) => rule::forget(rule, self),
            Key::Guard | Key::Firewall | Key::Buckets | Key::Sysctl(_) | Key::Link(_) => {}
        }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard => write!(f, "nft table inet {NFT_GUARD}"),
            Self::Firewall => write!(f, "nft table inet {NFT_TABLE}"),
            Self::Link(ifname) => write!(f, "link {ifname}"),
            Self::Address { ifname, prefix } => write!(f, "address {prefix} dev {ifname}"),
            Self::Route(key) => write!(f, "route {key}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Buckets => write!(f, "nft map inet {NFT_TABLE} {NFT_BUCKETS}"),
            Self::Sysctl(path) => f.write_str(&setting::name(path)),
        }
    }
}

/// The value, if it is one that a line can hold; else nothing.
impl fmt::Display for Resource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard | Self::Firewall(_) | Self::Buckets(_) => Ok(()),
            Self::Address | Self::Rule => Ok(()),
            Self::Link(value) => write!(f, "{value}"),
            Self::Route(value) => write!(f, "{value}"),
            Self::Sysctl(value) => f.write_str(value),
        }
    }
}
