//! DHCP for IPv4: the client of one uplink (RFC 2131; options of RFC 2132, 3396, 3442, 4361, 6842).
//!
//! [`machine`] is pure: it is told of packets, of the card and of the time, and says what to send and
//! what became of its lease. `core/uplink/kind/dhcp.rs` drives it.

mod conflict;
mod exchange;
mod lease;
mod machine;
pub(crate) mod news;
mod phase;
mod who;

pub(crate) use lease::FAMILY;
pub use lease::{Lease, SavedLease};
pub(crate) use machine::Client;
pub(crate) use who::Who;

use crate::net::{Mac, Prefix};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use news::LeaseEnd;
use rail_wire::dhcp4::Reply;

/// What a client wants, or tells.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Send this IP packet to everybody on the segment.
    Broadcast(Vec<u8>),
    /// Send this UDP payload to a server, from the address of the lease.
    Unicast { to: Ipv4Addr, bytes: Vec<u8> },
    /// Send this ARP packet to everybody on the segment.
    Arp(Vec<u8>),
    /// A lease was obtained or extended. `is_new`: with another address than before.
    Bound { lease: Lease, is_new: bool },
    /// The lease is not ours any more.
    Lost { lease: Lease, why: LeaseEnd },
    /// Somebody answers for the address, and it is used nevertheless.
    ConflictBorne { address: Ipv4Addr, by: Mac },
    /// A server denied what was asked for.
    Denied { server: Option<Ipv4Addr>, said: String },
    /// An answer was not taken.
    Refused { address: Ipv4Addr, server: Option<Ipv4Addr>, why: &'static str },
    /// A route that the server gave is not used: it leads into this network.
    RouteRefused { route: Prefix, network: Prefix },
}

/// What a client must not take from a server.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Rules {
    /// Networks and addresses that are ours or somebody else's: no lease and no route may touch them.
    pub(crate) taken: Vec<Prefix>,
    /// Servers that are not believed.
    pub(crate) reject_from: Vec<Prefix>,
    /// Our own network cards: what they answer is no conflict.
    pub(crate) own_cards: Vec<Mac>,
}

impl Rules {
    /// Why what a server offers is not taken.
    fn objection(&self, reply: &Reply, lease: &Lease) -> Option<&'static str> {
        let is_in = |all: &[Prefix], address: Ipv4Addr| {
            all.iter().any(|prefix| prefix.contains(IpAddr::V4(address)))
        };
        let is_rejected = |server: Ipv4Addr| is_in(&self.reject_from, server);
        if reply.server_id.is_some_and(is_rejected) || is_rejected(reply.source) {
            return Some("its server is one of `reject_from`");
        }
        let meets = |taken: &Prefix| {
            taken.contains(lease.address.address) || {
                // An address of one host may lie in a network that is leased, as long as it is not this one.
                *taken != Prefix::host(taken.address) && taken.meets(lease.address)
            }
        };
        self.taken.iter().any(meets).then_some("its network is in use elsewhere")
    }

    /// Keeps the routes that lead into no network of ours; the others, each with that network.
    fn keep_allowed(&self, routes: &mut Vec<(Prefix, Ipv4Addr)>) -> Vec<(Prefix, Prefix)> {
        let mut refused = Vec::new();
        routes.retain(|(route, _)| {
            let taken = NOWHERE.iter().copied().chain(self.taken.iter().copied());
            let network = taken.into_iter().find(|taken| taken.meets(*route));
            refused.extend(network.map(|network| (*route, network)));
            network.is_none()
        });
        refused
    }
}

/// No provider leads there: this host, and groups.
const NOWHERE: [Prefix; 2] = [
    Prefix { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), length: 8 },
    Prefix { address: IpAddr::V4(Ipv4Addr::new(224, 0, 0, 0)), length: 3 },
];

#[cfg(test)]
mod tests;
