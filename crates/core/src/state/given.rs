//! What other programs have configured, as far as it may attach an uplink that they look after: IPv4
//! addresses on interfaces, and the routes of `main` for everything.
//!
//! Promises: both lists stand in the order of the kernel. Leaves out what it means: that is
//! [`kept`](crate::facts::kept).

use crate::net::{Family, Prefix};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// An IPv4 address of somebody else that is good for new connections to everywhere.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct GivenAddress {
    /// Index of its interface.
    pub ifindex: u32,
    /// The address with its prefix length.
    pub prefix: Prefix,
    /// It has another end: the interface has two.
    pub has_peer: bool,
    /// Another one of its subnet was there before.
    pub is_secondary: bool,
}

/// A next hop of a route of `main` for everything, or for half of it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct GivenDefault {
    /// Destination: of length 0 or 1.
    pub prefix: Prefix,
    /// Metric.
    pub metric: u32,
    /// Protocol number of who set it.
    pub protocol: u8,
    /// Index of the interface.
    pub ifindex: u32,
    /// Gateway; `None`: everybody is on the link.
    pub gateway: Option<IpAddr>,
    /// Preferred source.
    pub source: Option<IpAddr>,
    /// Largest packet, in bytes, where the route says so.
    pub mtu: Option<u32>,
}

/// So many next hops are kept at most.
const MOST: usize = 256;

/// Halves of everything, the first one first.
pub(crate) const HALVES: [Prefix; 2] = [half(0), half(128)];

const fn half(first: u8) -> Prefix {
    Prefix { address: IpAddr::V4(Ipv4Addr::new(first, 0, 0, 0)), length: 1 }
}

/// True if a route to this destination may be a [`GivenDefault`].
pub fn is_wide(prefix: &Prefix) -> bool {
    prefix.family() == Family::V4 && prefix.length <= 1
}

/// Adds one, while there is room.
pub(super) fn add(defaults: &mut Vec<GivenDefault>, default: GivenDefault) {
    if defaults.len() < MOST && is_wide(&default.prefix) {
        defaults.push(default);
    }
}
