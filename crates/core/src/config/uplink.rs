//! `[[uplink]]`.

use super::{CheckConfig, Selector};
use crate::net::{IfName, Mac, Prefix};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// `[[uplink]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UplinkConfig {
    /// Unique name: letters, digits, `-`, `_`, `.`; at most 32 characters.
    pub name: String,
    /// Free text, shown in status.
    pub description: String,
    /// The interface as the file says it.
    pub interface: Selector,
    /// Its name now; see [`Config::names`](super::Config::names).
    pub ifname: IfName,
    /// Interfaces that fit as well: their packets are filtered like those of this one.
    pub others: Vec<IfName>,
    /// `parent` and `mac`: its interface is a link of ours.
    pub own_link: Option<OwnLink>,
    /// Static address with its prefix length.
    pub address: Prefix,
    /// Gateway; lies in the prefix, unless it is on link without one.
    pub gateway: IpAddr,
    /// `gateway_onlink`: the gateway is a neighbour, whatever the prefix says.
    pub gateway_onlink: bool,
    /// Share within the tier, 1 to 255.
    pub weight: u8,
    /// Tier.
    pub tier: Tier,
    /// Source translation.
    pub nat: Nat,
    /// Further addresses of ours on the interface, with their prefix lengths.
    pub addresses: Vec<Prefix>,
    /// Destinations for which nothing is translated: a VPN's other side.
    pub no_nat: Vec<Prefix>,
    /// Networks that the provider routes to this uplink: hosts inside keep such an address.
    pub routed: Vec<Prefix>,
    /// `redirects`: ICMP redirects may lead hosts to the box beside them; for an uplink on an inside interface.
    pub redirects: bool,
    /// `check`: `[check]`, with what the uplink has of its own.
    pub check: CheckConfig,
    /// `enabled = false`: configured, but neither probed nor used; its interface stays closed.
    pub enabled: bool,
}

impl UplinkConfig {
    /// One with these, and the defaults of the file for all else.
    pub fn new(name: &str, ifname: IfName, address: Prefix, gateway: IpAddr) -> Self {
        Self {
            name: name.into(),
            description: String::new(),
            interface: Selector::Name(ifname.to_string()),
            ifname,
            others: Vec::new(),
            own_link: None,
            address,
            gateway,
            gateway_onlink: false,
            weight: 1,
            tier: Tier::Number(1),
            nat: Nat::On,
            addresses: Vec::new(),
            no_nat: Vec::new(),
            routed: Vec::new(),
            redirects: false,
            check: CheckConfig::of(Vec::new()),
            enabled: true,
        }
    }

    /// The interface with the cable: its own, or that of the link below.
    pub fn port(&self) -> IfName {
        self.own_link.map_or(self.ifname, |own| own.parent)
    }

    /// The addresses that the file gives to the interface, with their prefix lengths, the first one
    /// first. What the uplink has now its facts say.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + Clone + '_ {
        core::iter::once(self.address).chain(self.addresses.iter().copied())
    }

    /// The same without the lengths.
    pub fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + Clone + '_ {
        self.prefixes().map(|prefix| prefix.address)
    }
}

/// A link of ours on the port of another one, so that one port can carry several uplinks.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct OwnLink {
    /// The link with the port.
    pub parent: IfName,
    /// Hardware address, which no other one on that segment may have.
    pub mac: Mac,
}

/// `tier`: the lowest tier with a usable uplink carries new connections.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// 1 is used first.
    Number(u32),
    /// `"none"`: never for new outbound connections, inbound only.
    Inbound,
}

/// `nat`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Nat {
    /// SNAT to the uplink's address (default).
    On,
    /// SNAT to this address.
    To(Ipv4Addr),
    /// None.
    Off,
}
