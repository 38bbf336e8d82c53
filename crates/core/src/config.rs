//! The configuration as plain values. Reading the file and judging it is the
//! binary's job (`rail::load`); what stands here is complete and consistent.

mod selector;

pub use selector::{Device, Devices, Links, Named, Outside, Selector, Stray, StrayCause};

use crate::net::{IfName, Prefix};
use crate::time::Duration;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};

/// Everything the administrator said, defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `[router]`.
    pub router: Router,
    /// `[log]`.
    pub log: Log,
    /// The inside: `[lan] interfaces`, and `[[network]]` in the order of the file.
    pub networks: Vec<Network>,
    /// `[firewall]`.
    pub firewall: FirewallConfig,
    /// `[balance] by`.
    pub balance: BalanceBy,
    /// `[ranges]`.
    pub ranges: Ranges,
    /// `[check]`.
    pub check: CheckConfig,
    /// `[[uplink]]`, in the order of the file.
    pub uplinks: Vec<UplinkConfig>,
    /// `[[nat]]`, in the order of the file: the first that names a source is for it.
    pub translations: Vec<Translation>,
    /// `[[forward]]`, in the order of the file.
    pub forwards: Vec<Forward>,
}

impl Config {
    /// True if the uplink is on an inside interface: its box stands among the hosts.
    pub fn is_inside(&self, uplink: &UplinkConfig) -> bool {
        self.networks.iter().any(|network| network.ifname == uplink.ifname)
    }
}

/// `[router]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Router {
    /// Name shown in status; default: the host name.
    pub name: String,
    /// What happens to new connections when no uplink is usable.
    pub no_uplink: NoUplink,
}

/// What happens to new connections when no uplink is usable.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum NoUplink {
    /// Keep the last state (default).
    #[default]
    Keep,
    /// Answer with "unreachable".
    Unreachable,
}

/// `[[network]]`, or one of `[lan] interfaces`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// Unique name: as that of an uplink; of `[lan]` that of the interface.
    pub name: String,
    /// The interface as the file says it.
    pub interface: Selector,
    /// Its name now; see [`Config::names`].
    pub ifname: IfName,
    /// Interfaces that fit as well: their packets are filtered like those of this one.
    pub others: Vec<IfName>,
    /// Our address there; `None`: its address is somebody else's matter.
    pub address: Option<Prefix>,
    /// What its hosts may ask of the router itself.
    pub kind: NetworkKind,
    /// What its hosts may reach beyond the router.
    pub reach: Reach,
}

impl Network {
    /// One of `[lan] interfaces`.
    pub fn lan(ifname: IfName) -> Self {
        Self::lan_at(ifname.into())
    }

    /// One of `[lan] interfaces`, named by whatever it is.
    pub fn lan_at(interface: Selector) -> Self {
        let (name, ifname) = (interface.to_string(), interface.ifname());
        Self {
            name,
            interface,
            ifname,
            others: Vec::new(),
            address: None,
            kind: NetworkKind::Lan,
            reach: Reach::All,
        }
    }

    /// True if its hosts may not reach everything.
    pub fn is_closed(&self) -> bool {
        self.kind != NetworkKind::Lan || self.reach != Reach::All
    }
}

/// `kind` of a network.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum NetworkKind {
    /// The router is open to it (default).
    #[default]
    Lan,
    /// Servers that strangers reach; of the router it has ICMP, DNS and DHCP.
    Dmz,
    /// Strangers; the same.
    Guest,
}

/// `may_reach` of a network. Replies, and what a port forward translated, always pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Everything; the default of kind `lan`.
    All,
    /// This alone; the others' default is the internet.
    Only {
        /// What is behind the uplinks.
        internet: bool,
        /// Names of other networks.
        networks: Vec<String>,
    },
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Log file; `None`: journal or stderr.
    pub file: Option<String>,
    /// Size at which the file is rotated, in bytes.
    pub max_size_bytes: u64,
    /// How many rotated files are kept.
    pub keep: u32,
    /// Lowest level that is written.
    pub level: LogLevel,
}

/// Log levels, most severe first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum LogLevel {
    /// We fail our duty.
    Error,
    /// A human should look this week.
    Warn,
    /// A role or an uplink changed.
    #[default]
    Info,
    /// Why a decision fell so.
    Debug,
    /// Per packet.
    Trace,
}

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

/// What is above IP.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another one, by its number; it has no ports.
    Other(u8),
}

impl Protocol {
    /// The protocol of this number.
    pub const fn of_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            other => Self::Other(other),
        }
    }

    /// The protocol of this name, or number as text.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => match NAMED.iter().find(|(_, known)| *known == name) {
                Some((number, _)) => Some(Self::Other(*number)),
                None if name.bytes().all(|b| b.is_ascii_digit()) => {
                    name.parse().ok().map(Self::of_number)
                }
                None => None,
            },
        }
    }

    /// True if it has ports.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Other(number) => match NAMED.iter().find(|(known, _)| known == number) {
                Some((_, name)) => f.write_str(name),
                None => number.fmt(f),
            },
        }
    }
}

/// Protocols without ports that have a name in the configuration.
const NAMED: &[(u8, &str)] = &[(1, "icmp"), (47, "gre"), (50, "esp")];

/// `[balance] by`: what decides the uplink of a new connection.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum BalanceBy {
    /// Each connection on its own, round robin over the slots (default).
    #[default]
    Connection,
    /// A hash of the client's address.
    Client,
    /// A hash of the client's and the server's address.
    ClientServer,
}

/// `[ranges]`: every number that we use on the system.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ranges {
    /// Mask of the packet and connection mark bits that are ours; contiguous.
    pub mark_mask: u32,
    /// First and last routing table.
    pub tables: (u32, u32),
    /// First and last rule priority.
    pub rule_priorities: (u32, u32),
}

impl Ranges {
    /// The highest number an uplink can have: each has a mark and a table of its own, and more
    /// than [`MOST_UPLINKS`] have no place on the rungs of the ladder. All zeros in the mark is
    /// "no mark", all ones "none of them"; the first table is shared.
    pub fn highest_id(&self) -> u8 {
        let marks = (self.mark_mask >> self.mark_mask.trailing_zeros()).saturating_sub(1);
        let tables = self.tables.1.saturating_sub(self.tables.0);
        u8::try_from(marks.min(tables)).unwrap_or(u8::MAX).min(MOST_UPLINKS)
    }
}

/// So many uplinks at most, whatever the ranges hold.
pub const MOST_UPLINKS: u8 = 126;

impl Default for Ranges {
    fn default() -> Self {
        Self { mark_mask: 0x7f00_0000, tables: (20000, 20999), rule_priorities: (20000, 20999) }
    }
}

/// `[check]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckConfig {
    /// Echo targets; never empty.
    pub targets: Vec<Ipv4Addr>,
    /// How many targets must answer; 1 to the number of targets.
    pub required: usize,
    /// Time between rounds.
    pub interval: Duration,
    /// Time after which a probe counts as lost for now.
    pub timeout: Duration,
    /// Dead when nothing valid has arrived for this many intervals.
    pub fail_after: u32,
    /// Consecutive good rounds before a dead uplink returns.
    pub recover_after: u32,
    /// How long the good rounds must have lasted, besides, before it returns.
    pub stable_for: Duration,
    /// Loss limits, in per cent of the long window.
    pub loss: LossLimits,
    /// Round-trip time above which an uplink is degraded; `None`: never.
    pub latency: Option<Limit>,
    /// Jitter above which an uplink is degraded; `None`: never.
    pub jitter: Option<Limit>,
}

/// `loss = { degraded, down, recovered }`, per cent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LossLimits {
    /// At or above: degraded.
    pub degraded_pct: u8,
    /// At or above: down.
    pub down_pct: u8,
    /// At or below: up again (from degraded over the long window, from down over the last rounds).
    pub recovered_pct: u8,
}

/// A limit with hysteresis: degraded above the first, well again below the second.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Above: degraded.
    pub degraded: Duration,
    /// At or below: well again.
    pub recovered: Duration,
}

/// `[[uplink]]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UplinkConfig {
    /// Unique name: letters, digits, `-`, `_`, `.`; at most 32 characters.
    pub name: String,
    /// Free text, shown in status.
    pub description: String,
    /// The interface as the file says it.
    pub interface: Selector,
    /// Its name now; see [`Config::names`].
    pub ifname: IfName,
    /// Interfaces that fit as well: their packets are filtered like those of this one.
    pub others: Vec<IfName>,
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
    /// `redirects`: hosts may be told of the box beside them; for an uplink on an inside interface.
    pub redirects: bool,
    /// `enabled = false`: configured, but neither probed nor used; its interface stays closed.
    pub enabled: bool,
}

impl UplinkConfig {
    /// Every address of ours on the interface with its prefix length, the first one first.
    pub fn prefixes(&self) -> impl Iterator<Item = Prefix> + Clone + '_ {
        core::iter::once(self.address).chain(self.addresses.iter().copied())
    }

    /// The network of this uplink that overlaps the one of an address, whatever their lengths. A
    /// network of everything says nothing about whose it is.
    pub fn network_of(&self, address: Prefix) -> Option<Prefix> {
        let own = self.prefixes().find(|own| own.meets(address) && address.length > 0);
        own.map(|own| own.network())
    }

    /// Every address of ours on the interface, the first one first.
    pub fn own_addresses(&self) -> impl Iterator<Item = IpAddr> + Clone + '_ {
        self.prefixes().map(|prefix| prefix.address)
    }

    /// Every source that this uplink's provider takes from us, or is meant to: what we have, what
    /// we translate to, and what is routed to us. (With `nat = false` any other may be, too.)
    pub fn own_sources(&self) -> impl Iterator<Item = Prefix> + '_ {
        let translated = match self.nat {
            Nat::To(address) => Some(Prefix::host(address.into())),
            Nat::On | Nat::Off => None,
        };
        let hosts = self.own_addresses().map(Prefix::host);
        hosts.chain(translated).chain(self.routed.iter().copied())
    }

    /// True if forwards and `[[nat]]` may use the address on this uplink.
    pub fn has(&self, address: IpAddr) -> bool {
        self.own_addresses().any(|own| own == address)
            || self.routed.iter().any(|prefix| prefix.contains(address))
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
