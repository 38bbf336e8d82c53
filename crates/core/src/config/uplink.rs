//! `[[uplink]]`.

use super::{CheckConfig, PppConfig, Selector};
use crate::net::{IfName, Mac, Prefix};
use crate::time::Duration;
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
    /// Where its address and its gateway come from.
    pub kind: UplinkKind,
    /// Share within the tier, 1 to 255.
    pub weight: u8,
    /// Tier.
    pub tier: Tier,
    /// Largest packet that the provider takes, in bytes; `None`: what he says, or the interface.
    pub mtu: Option<u32>,
    /// `dns`: name servers of the provider; none: those that it tells.
    pub resolvers: Vec<Ipv4Addr>,
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
    /// What it carries is paid for by volume: while it carries nothing it is asked even less.
    pub metered: bool,
    /// What becomes of its connections when it is left for a better one.
    pub on_failback: OnFailback,
    /// `check`: `[check]`, with what the uplink has of its own.
    pub check: CheckConfig,
    /// `standby`: what it does while better uplinks carry.
    pub standby: Standby,
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
            kind: UplinkKind::Static(Fixed { address, gateway, onlink: false }),
            weight: 1,
            tier: Tier::Number(1),
            mtu: None,
            resolvers: Vec::new(),
            nat: Nat::On,
            addresses: Vec::new(),
            no_nat: Vec::new(),
            routed: Vec::new(),
            redirects: false,
            metered: false,
            on_failback: OnFailback::Keep,
            check: CheckConfig::of(Vec::new()),
            standby: Standby::Warm,
            enabled: true,
        }
    }

    /// The interface with the cable: its own, or that of the link below.
    pub fn port(&self) -> IfName {
        let below = self.own_link.as_ref().map(|own| own.port);
        below.or(self.ppp().and_then(PppConfig::port)).unwrap_or(self.ifname)
    }

    /// How it is dialled, if it is.
    pub const fn ppp(&self) -> Option<&PppConfig> {
        match &self.kind {
            UplinkKind::Ppp(ppp) => Some(ppp),
            UplinkKind::Static(_) | UplinkKind::Dhcp(_) | UplinkKind::Keep(_) => None,
        }
    }

    /// What the file says of its address and gateway, if it does.
    pub const fn fixed(&self) -> Option<&Fixed> {
        match &self.kind {
            UplinkKind::Static(fixed) => Some(fixed),
            UplinkKind::Dhcp(_) | UplinkKind::Keep(_) | UplinkKind::Ppp(_) => None,
        }
    }

    /// Another program configures its interface.
    pub const fn is_kept(&self) -> bool {
        matches!(self.kind, UplinkKind::Keep(_))
    }

    /// The address that the file gives it, with the prefix length; `None`: it is learnt.
    pub fn address(&self) -> Option<Prefix> {
        self.fixed().map(|fixed| fixed.address)
    }

    /// The gateway that the file gives it; `None`: it is learnt.
    pub fn gateway(&self) -> Option<IpAddr> {
        match &self.kind {
            UplinkKind::Static(fixed) => Some(fixed.gateway),
            UplinkKind::Keep(keep) => keep.gateway,
            UplinkKind::Dhcp(_) | UplinkKind::Ppp(_) => None,
        }
    }

    /// What the file says of its address and gateway, to change it.
    pub const fn fixed_mut(&mut self) -> Option<&mut Fixed> {
        match &mut self.kind {
            UplinkKind::Static(fixed) => Some(fixed),
            UplinkKind::Dhcp(_) | UplinkKind::Keep(_) | UplinkKind::Ppp(_) => None,
        }
    }

    /// The addresses that the file gives to the interface, with their prefix lengths, the first one
    /// first. What the uplink has now its facts say.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + Clone + '_ {
        let first = self.fixed().map(|fixed| fixed.address);
        first.into_iter().chain(self.addresses.iter().copied())
    }

    /// The same without the lengths.
    pub fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + Clone + '_ {
        self.prefixes().map(|prefix| prefix.address)
    }
}

/// Kind of an uplink: where its address and its gateway come from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum UplinkKind {
    /// The file says them.
    Static(Fixed),
    /// `address = "dhcp"`: a server of the provider leases them (RFC 2131).
    Dhcp(DhcpConfig),
    /// `address = "ppp"`: pppd dials, and the other end gives the address (RFC 1332).
    Ppp(PppConfig),
    /// `address = "keep"`: another program sets them, and rail follows.
    Keep(KeepConfig),
}

impl UplinkKind {
    /// True if an uplink of the one is still the same with the other: what was found of it stays true.
    pub fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Static(a), Self::Static(b)) => (a.address, a.gateway) == (b.address, b.gateway),
            (Self::Dhcp(_), Self::Dhcp(_)) | (Self::Keep(_), Self::Keep(_)) => true,
            (Self::Ppp(a), Self::Ppp(b)) => a.is_same(b),
            _ => false,
        }
    }
}

/// `address` and `gateway` of a static uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Fixed {
    /// Address with its prefix length.
    pub address: Prefix,
    /// Gateway; lies in the prefix, unless it is on link without one.
    pub gateway: IpAddr,
    /// `gateway_onlink`: the gateway is a neighbour, whatever the prefix says.
    pub onlink: bool,
}

/// `dhcp`: what the client says of itself, and whom it does not believe.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DhcpConfig {
    /// Option 61; `None`: 1 and the hardware address.
    pub client_id: Option<Vec<u8>>,
    /// Option 12.
    pub host_name: Option<String>,
    /// Option 60.
    pub vendor_class: Option<Vec<u8>>,
    /// Option 77.
    pub user_class: Option<Vec<u8>>,
    /// Servers whose offers are refused: a modem that leases an address of its own while it has no line.
    pub reject_from: Vec<Prefix>,
    /// Asks for answers by broadcast (RFC 2131 §4.1): for a device that cannot hear others.
    pub broadcast: bool,
}

/// What the file says of an uplink that another program configures.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct KeepConfig {
    /// `gateway`; `None`: the one that the program names.
    pub gateway: Option<IpAddr>,
}

/// A link of ours on the port of another one, so that one port can carry several uplinks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OwnLink {
    /// The link with the port, as the file says it.
    pub parent: Selector,
    /// Its name now; one that none can have, while something else in the file means that link.
    pub port: IfName,
    /// Hardware address, which no other one on that segment may have.
    pub mac: Mac,
}

impl OwnLink {
    /// One on the link of this name.
    pub fn on(parent: IfName, mac: Mac) -> Self {
        Self { parent: parent.into(), port: parent, mac }
    }
}

/// `tier`: the lowest tier with a usable uplink carries new connections.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Tier {
    /// 1 is used first.
    Number(u32),
    /// `"none"`: never for new outbound connections, inbound only.
    Inbound,
}

/// `standby`: what an uplink does while those of better tiers carry.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Standby {
    /// It has its address and is checked (default).
    #[default]
    Warm,
    /// It has no address and asks nobody.
    Cold,
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

/// `on_failback`: what becomes of the connections of an uplink that is left for a better one. Only those
/// that can move are meant.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum OnFailback {
    /// They stay.
    Keep,
    /// They stay for this time; what is left then is deleted.
    Drain(Duration),
    /// Those by UDP are deleted at once.
    CutUdp,
    /// They are deleted at once.
    Cut,
}

impl OnFailback {
    /// After which time something is deleted; `None`: nothing is.
    pub const fn after(self) -> Option<Duration> {
        match self {
            Self::Keep => None,
            Self::Drain(time) => Some(time),
            Self::CutUdp | Self::Cut => Some(Duration::ZERO),
        }
    }
}
