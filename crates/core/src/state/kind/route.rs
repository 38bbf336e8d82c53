//! A route in a table of ours.
//!
//! Ours bear [`PROTOCOL`]. A foreign one at the same key is left alone, unless ours stood there before
//! and it has pushed ours out.

use super::{Key, PROTOCOL, Resource};
use crate::net::{IfName, Prefix};
use crate::state::{Conflict, Memory, Observed, Op};
use alloc::boxed::Box;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;

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
        /// Largest packet, in bytes; `None`: what the device takes.
        mtu: Option<u32>,
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

/// A route in one of our tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ObservedRoute {
    /// Value; next hops sorted. `None`: of a kind that we never install.
    pub value: Option<RouteValue>,
    /// Protocol number.
    pub protocol: u8,
    /// A next hop is dead (its device is down); the route does not work as written.
    pub dead: bool,
}

/// The change that brings it about.
pub(super) fn wanted(
    key: &RouteKey,
    value: &RouteValue,
    observed: &Observed,
    memory: &Memory,
) -> Result<Option<Op>, Box<Conflict>> {
    let set = |replace| Ok(Some(Op::Put { value: Resource::Route(value.clone()), replace }));
    match observed.routes.get(key) {
        None => set(false),
        Some(have) if have.protocol == PROTOCOL => {
            if have.value.as_ref() == Some(value) && !have.dead { Ok(None) } else { set(true) }
        }
        Some(_) if memory.routes.contains(key) => set(true),
        Some(have) => Err(Box::new(Conflict {
            key: Key::Route(key.clone()),
            text: alloc::format!("a foreign route stands here: {have}"),
        })),
    }
}

/// Those of ours.
pub(super) fn ours(observed: &Observed) -> impl Iterator<Item = Key> {
    let ours = observed.routes.iter().filter(|(_, have)| have.protocol == PROTOCOL);
    ours.map(|(key, _)| Key::Route(key.clone()))
}

/// Those of others in our tables.
pub(super) fn foreign(observed: &Observed) -> impl Iterator<Item = String> {
    let foreign = observed.routes.iter().filter(|(_, have)| have.protocol != PROTOCOL);
    foreign.map(|(key, have)| {
        let value = have.value.as_ref().map_or("of another kind".into(), ToString::to_string);
        alloc::format!("route {key}: {value} (protocol {})", have.protocol)
    })
}

impl RouteValue {
    /// True if one of its next hops is on this interface.
    pub fn uses(&self, ifname: IfName) -> bool {
        match self {
            Self::Unicast { nexthops, .. } => nexthops.iter().any(|hop| hop.ifname == ifname),
            Self::Unreachable => false,
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
            Self::Unicast { nexthops, source, mtu } => {
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
                if let Some(mtu) = mtu {
                    write!(f, " mtu {mtu}")?;
                }
                Ok(())
            }
        }
    }
}

impl fmt::Display for ObservedRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(f, "{value}")?,
            None => f.write_str("a route of another kind")?,
        }
        write!(f, " (protocol {})", self.protocol)
    }
}
