//! `[firewall]`.

use super::Protocol;
use crate::net::Prefix;
use alloc::vec::Vec;

/// `[firewall]`.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct FirewallConfig {
    /// `mode`.
    pub mode: FirewallMode,
    /// `allow`: new connections from uplinks to the router that are let in.
    pub allow: Vec<Allow>,
}

/// `[firewall] mode`.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum FirewallMode {
    /// Uplink to LAN and uplink to router closed but for replies, port forwards and ICMP.
    #[default]
    Basic,
    /// The filter is the administrator's; marks, NAT and MSS clamp stay ours.
    Off,
    /// Nothing in nftables is ours: the administrator loads the rules that `rail generate
    /// firewall` prints; connections are shared by the kernel's multipath route.
    External,
}

/// One entry of `[firewall] allow`: `tcp 22,443 from 203.0.113.0/24`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Allow {
    /// Protocol.
    pub protocol: Protocol,
    /// Ranges of ports, first and last; empty: all of the protocol.
    pub ports: Vec<(u16, u16)>,
    /// Source prefixes of both families; empty: anyone.
    pub from: Vec<Prefix>,
    /// Hosts inside that are reached by their own addresses; empty: the router itself.
    pub to: Vec<Prefix>,
}
