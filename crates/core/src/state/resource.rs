//! The kinds of kernel objects that we own, their keys and their values.
//!
//! The order of [`Key`] *is* the dependency order: creates and replaces run
//! forward, deletes backward and last.

use crate::config::Nat;
use crate::net::{Family, IfName, Prefix};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

/// Routing protocol number of our routes and rules (`ip route` shows `proto 82`); unassigned.
pub const PROTOCOL: u8 = 82;

/// Name of our nftables table (family inet).
pub const NFT_TABLE: &str = "rail";

/// Name of the table of the boot guard (family inet); see [`firewall::guard`](super::firewall::guard).
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

/// The desired state.
pub type State = BTreeMap<Key, Resource>;

/// What an object is called.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Key {
    /// The boot guard, which forwards nothing. We never put it in: wanted means left alone.
    Guard,
    /// Structure of our nftables table: chains and rules.
    Firewall,
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
    /// A kernel setting, by its path below `/proc/sys`, such as `net/ipv4/ip_forward`.
    Sysctl(String),
}

/// The value of an object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Resource {
    /// For [`Key::Guard`].
    Guard,
    /// For [`Key::Firewall`].
    Firewall(Firewall),
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

/// What makes a route unique in the kernel.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, serde::Serialize, serde::Deserialize)]
pub struct RouteKey {
    /// Routing table.
    pub table: u32,
    /// Destination.
    pub prefix: Prefix,
    /// Metric (priority); lower is preferred.
    pub metric: u32,
}

/// Where a route leads.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum RouteValue {
    /// One or several next hops, sorted by interface and gateway.
    Unicast {
        /// Next hops; more than one is a weighted multipath route.
        nexthops: Vec<Nexthop>,
        /// Preferred source (`src`).
        source: Option<IpAddr>,
    },
    /// `unreachable`.
    Unreachable,
}

/// One next hop.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Nexthop {
    /// Output interface.
    pub ifname: IfName,
    /// Gateway.
    pub via: Option<IpAddr>,
    /// Weight, 1 to 255; 1 for a single next hop.
    pub weight: u8,
    /// The gateway is a neighbour though it lies in no prefix of the interface (`onlink`).
    pub onlink: bool,
}

/// A policy rule (`ip rule`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Rule {
    /// Priority; lower is asked first.
    pub priority: u32,
    /// Family.
    pub family: Family,
    /// `from`.
    pub from: Option<Prefix>,
    /// `to`.
    pub to: Option<Prefix>,
    /// `iif`: packets that came in by this device.
    pub iif: Option<IfName>,
    /// `oif`: packets of sockets bound to this device.
    pub oif: Option<IfName>,
    /// `fwmark value/mask`.
    pub fwmark: Option<(u32, u32)>,
    /// Table to look in, or [`REFUSED`].
    pub table: u32,
    /// `suppress_prefixlength`: ignore results with this prefix length or less.
    pub suppress_prefixlength: Option<u32>,
}

impl Rule {
    /// One that takes every packet.
    pub const fn lookup(priority: u32, family: Family, table: u32) -> Self {
        Self {
            priority,
            family,
            from: None,
            to: None,
            iif: None,
            oif: None,
            fwmark: None,
            table,
            suppress_prefixlength: None,
        }
    }
}

/// The structure of our nftables table.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Firewall {
    /// Chains; a chain stands after those it jumps to.
    pub chains: Vec<Chain>,
    /// What leaves under each mark by these rules; it is in their text already.
    pub senders: BTreeMap<u32, Sender>,
}

/// How packets leave that bear the mark of an uplink, and with which sources.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sender {
    /// The uplink's interface.
    pub ifname: IfName,
    /// The next hop; `None`: the other end of the device.
    pub gateway: Option<IpAddr>,
    /// The uplink's address.
    pub address: IpAddr,
    /// What is translated.
    pub nat: Nat,
    /// The bits of a mark that are ours.
    pub mask: u32,
    /// All sources that are the uplink's.
    pub own: Vec<Prefix>,
    /// Destinations that any source may go to.
    pub exempt: Vec<Prefix>,
}

impl Sender {
    /// True if older rules of the uplink let nothing out that these would not: the uplink is the same
    /// one, and has lost no source and no exemption since. (Of one without translation they do not know
    /// the sources that other uplinks have got since.)
    pub fn covers(&self, older: &Self) -> bool {
        let way = |s: &Self| (s.ifname, s.gateway, s.address, s.nat, s.mask);
        let holds = |new: &[Prefix], old: &[Prefix]| old.iter().all(|prefix| new.contains(prefix));
        way(self) == way(older)
            && holds(&self.own, &older.own)
            && holds(&self.exempt, &older.exempt)
    }
}

/// One chain.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chain {
    /// Name.
    pub name: String,
    /// The hook; `None` for a chain that is only jumped to. The policy is always accept.
    pub base: Option<Base>,
    /// Rules as nft text, without comment and handle.
    pub rules: Vec<String>,
}

/// Where a base chain hooks in.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Base {
    /// Chain type.
    pub kind: ChainKind,
    /// Hook.
    pub hook: Hook,
    /// Priority.
    pub priority: i32,
}

/// nftables chain type.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ChainKind {
    /// `filter`.
    Filter,
    /// `nat`.
    Nat,
    /// `route`.
    Route,
}

/// Netfilter hook of the inet family.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Hook {
    /// `prerouting`.
    Prerouting,
    /// `input`.
    Input,
    /// `forward`.
    Forward,
    /// `output`.
    Output,
    /// `postrouting`.
    Postrouting,
}

/// The way from observed to desired, in the order of execution.
pub type Plan = Vec<Step>;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The object it brings about.
    pub key: Key,
    /// The change.
    pub op: Op,
}

/// A change of one kernel object.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Run this text through `nft -f -` (one transaction).
    Nft(String),
    /// Change elements of the bucket map in one batch: first `del`, then `add`, as (bucket, mark).
    Buckets {
        /// Elements to remove.
        del: Vec<(u32, u32)>,
        /// Elements to add.
        add: Vec<(u32, u32)>,
    },
    /// Add the address of the key.
    AddAddress,
    /// Remove the address of the key.
    DelAddress,
    /// Create (`replace: false`, fails with EEXIST if the key is taken) or replace in place.
    SetRoute {
        /// Value.
        value: RouteValue,
        /// Replace in place what has the same key.
        replace: bool,
    },
    /// Delete the route of the key, if its protocol is [`PROTOCOL`].
    DelRoute,
    /// Add the rule of the key.
    AddRule,
    /// Delete the rule of the key, if its protocol is [`PROTOCOL`].
    DelRule,
    /// Write a kernel setting.
    SetSysctl(String),
}

/// Why the kernel refused a change.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct OpError {
    /// Linux error number; 0 if the failure was not a system call's.
    pub errno: i32,
    /// The kernel's extended ack, nft's message, or the name of the error.
    pub text: String,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Guard => write!(f, "nft table inet {NFT_GUARD}"),
            Self::Firewall => write!(f, "nft table inet {NFT_TABLE}"),
            Self::Address { ifname, prefix } => write!(f, "address {prefix} dev {ifname}"),
            Self::Route(key) => write!(f, "route {key}"),
            Self::Rule(rule) => write!(f, "rule {rule}"),
            Self::Buckets => write!(f, "nft map inet {NFT_TABLE} {NFT_BUCKETS}"),
            Self::Sysctl(path) => write!(f, "sysctl {}", path.replace('/', ".")),
        }
    }
}

impl fmt::Display for RouteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.prefix.length == 0 {
            f.write_str("default")?;
        } else {
            write!(f, "{}", self.prefix)?;
        }
        write!(f, " table {}", self.table)?;
        if self.metric != 0 { write!(f, " metric {}", self.metric) } else { Ok(()) }
    }
}

impl fmt::Display for RouteValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("unreachable"),
            Self::Unicast { nexthops, source } => {
                for (i, hop) in nexthops.iter().enumerate() {
                    if i > 0 {
                        f.write_str(" ")?;
                    }
                    if nexthops.len() > 1 {
                        f.write_str("nexthop ")?;
                    }
                    if let Some(via) = hop.via {
                        write!(f, "via {via} ")?;
                    }
                    write!(f, "dev {}", hop.ifname)?;
                    if nexthops.len() > 1 {
                        write!(f, " weight {}", hop.weight)?;
                    }
                    if hop.onlink {
                        f.write_str(" onlink")?;
                    }
                }
                if let Some(source) = source {
                    write!(f, " src {source}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:", self.priority)?;
        match self.from {
            Some(from) => write!(f, " from {from}")?,
            None => f.write_str(" from all")?,
        }
        if let Some(to) = self.to {
            write!(f, " to {to}")?;
        }
        if let Some((value, mask)) = self.fwmark {
            write!(f, " fwmark {value:#x}/{mask:#x}")?;
        }
        if let Some(iif) = self.iif {
            write!(f, " iif {iif}")?;
        }
        if let Some(oif) = self.oif {
            write!(f, " oif {oif}")?;
        }
        if self.table == REFUSED {
            return f.write_str(" unreachable");
        }
        write!(f, " lookup {}", self.table)?;
        match self.suppress_prefixlength {
            Some(n) => write!(f, " suppress_prefixlength {n}"),
            None => Ok(()),
        }
    }
}
