//! `[[forward]]` and `[[nat]]`.

use super::Protocol;
use crate::net::Prefix;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddr};

/// `[[nat]]`: what hosts inside appear as on the uplink that has the address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Translation {
    /// Hosts inside.
    pub from: Vec<Prefix>,
    /// The address.
    pub to: Ipv4Addr,
}

/// `[[forward]]`: a port forward.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Forward {
    /// Protocol.
    pub protocol: Protocol,
    /// First and last port on the uplink's address, equal for a single one; `None`: the protocol
    /// has no ports.
    pub ports: Option<(u16, u16)>,
    /// Where it goes: the host inside and, there, the first port; the others follow in order.
    /// Without ports the port is 0.
    pub to: SocketAddr,
    /// The one address of an uplink on which it is; `None`: the first one of each.
    pub address: Option<Ipv4Addr>,
    /// Sources outside that may; empty: anyone.
    pub from: Vec<Prefix>,
    /// Names of the uplinks; `None`: all.
    pub uplinks: Option<Vec<String>>,
    /// Clients inside reach it by the uplink's address, too.
    pub hairpin: bool,
}
