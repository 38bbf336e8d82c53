//! The view: configuration and facts with each uplink resolved once.
//!
//! This is the only file here that reads `[[uplink]]`. What an uplink has now (address, gateway)
//! comes from its attachments, and an uplink may lack one: whoever needs it has no rule for that
//! uplink then.

use crate::config::{Config, Nat, OwnLink, Tier, UplinkConfig};
use crate::facts::{Attachment, Facts, PerFamily, UplinkFacts};
use crate::net::{Family, IfName, Prefix, UplinkId, is_host};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// What the desired state is made from.
pub(crate) struct View<'a> {
    /// The configuration; its uplinks are below.
    pub(crate) config: &'a Config,
    /// The facts.
    pub(crate) facts: &'a Facts,
    /// All uplinks, in the order of the file.
    pub(crate) uplinks: Vec<UplinkView<'a>>,
}

/// An uplink: what the file wants of it, and what it has.
pub(crate) struct UplinkView<'a> {
    /// What is believed of it.
    pub(crate) fact: &'a UplinkFacts,
    /// Its number.
    pub(crate) id: UplinkId,
    /// Its mark.
    pub(crate) mark: u32,
    /// Its routing table.
    pub(crate) table: u32,
    /// Its name.
    pub(crate) name: &'a str,
    /// Its interface.
    pub(crate) ifname: IfName,
    /// Its interface is a link of ours.
    pub(crate) own_link: Option<&'a OwnLink>,
    /// The interface with the cable.
    pub(crate) port: IfName,
    /// It is not switched off.
    pub(crate) enabled: bool,
    /// On an inside interface: what arrives there may come from any host.
    pub(crate) inside: bool,
    /// Share within the tier.
    pub(crate) weight: u8,
    /// Tier.
    pub(crate) tier: Tier,
    /// Source translation.
    pub(crate) nat: Nat,
    /// Destinations for which nothing is translated.
    pub(crate) no_nat: &'a [Prefix],
    /// Hosts may be told of the box beside them.
    pub(crate) redirects: bool,
    /// How it is attached now, in each family.
    pub(crate) way: PerFamily<Option<&'a Attachment>>,
    /// Addresses that are meant for its interface, that of the attachment first.
    pub(crate) prefixes: PerFamily<Vec<Prefix>>,
    /// Every address of ours on the interface, that of the attachment first.
    pub(crate) own: PerFamily<Vec<IpAddr>>,
    /// Every source that its provider takes from us, or is meant to: what we have, what we translate
    /// to, and what is routed to us. (With `nat = false` any other may be, too.)
    pub(crate) sources: PerFamily<Vec<Prefix>>,
    /// Networks that the provider routes to it.
    pub(crate) routed: PerFamily<Vec<Prefix>>,
    /// Its name servers, by IPv4.
    pub(crate) resolvers: Vec<Ipv4Addr>,
    /// Largest packet that it takes, in bytes.
    pub(crate) mtu: u32,
    /// Not alone on its interface.
    pub(crate) shared: bool,
    /// Speaks for its interface where one must.
    pub(crate) first: bool,
    /// Another uplink has the address of its attachment.
    pub(crate) twin: PerFamily<bool>,
}

impl<'a> View<'a> {
    /// Resolves each uplink.
    pub(crate) fn new(config: &'a Config, facts: &'a Facts) -> Self {
        let pairs = config.uplinks.iter().zip(&facts.uplinks);
        let mut uplinks: Vec<UplinkView<'a>> =
            pairs.map(|(uplink, fact)| UplinkView::alone(config, uplink, fact)).collect();
        let shares: Vec<_> = uplinks.iter().map(|uplink| Shares::of(&uplinks, uplink)).collect();
        for (uplink, Shares { device, first, address }) in uplinks.iter_mut().zip(shares) {
            (uplink.shared, uplink.first, uplink.twin) = (device, first, address);
        }
        Self { config, facts, uplinks }
    }

    /// The uplinks that are not switched off.
    pub(crate) fn enabled(&self) -> impl Iterator<Item = &UplinkView<'a>> + Clone {
        self.uplinks.iter().filter(|uplink| uplink.enabled)
    }

    /// Those of them that are on an interface of their own kind, and not beside hosts.
    pub(crate) fn outside(&self) -> impl Iterator<Item = &UplinkView<'a>> + Clone {
        self.enabled().filter(|uplink| !uplink.inside)
    }

    /// Those whose box stands among the hosts.
    pub(crate) fn boxes(&self) -> impl Iterator<Item = &UplinkView<'a>> + Clone {
        self.enabled().filter(|uplink| uplink.inside)
    }

    /// Those on an interface.
    pub(crate) fn on(&self, ifname: IfName) -> impl Iterator<Item = &UplinkView<'a>> + Clone {
        self.enabled().filter(move |uplink| uplink.ifname == ifname)
    }

    /// The families that the router routes: IPv4, and IPv6 as soon as an uplink has it.
    pub(crate) fn families(&self) -> impl Iterator<Item = Family> + use<> {
        let has_v6 = self.uplinks.iter().any(|uplink| uplink.way[Family::V6].is_some());
        Family::ALL.into_iter().filter(move |family| *family == Family::V4 || has_v6)
    }

    /// Interfaces that may be an uplink's outside beside the one that it uses, and that one.
    pub(crate) fn maybe_outside(&self) -> impl Iterator<Item = (IfName, IfName)> {
        self.config.maybe_outside().map(|(ifname, uplink)| (ifname, uplink.ifname))
    }

    /// The ports that links of ours stand on, where no uplink has the port itself, and such a link.
    pub(crate) fn shared_ports(&self) -> impl Iterator<Item = (IfName, IfName)> {
        let is_free = |port: &IfName| self.uplinks.iter().all(|uplink| uplink.ifname != *port);
        let ports = self.uplinks.iter().map(|uplink| (uplink.port, uplink.ifname));
        ports.filter(move |(port, _)| is_free(port))
    }

    /// True if an uplink uses the interface, or may mean it.
    pub(crate) fn names(&self, ifname: IfName) -> bool {
        let is_its = |u: &UplinkConfig| u.ifname == ifname || u.others.contains(&ifname);
        self.config.uplinks.iter().any(is_its)
    }
}

/// What an uplink has in common with others that are not switched off.
struct Shares {
    device: bool,
    first: bool,
    address: PerFamily<bool>,
}

impl Shares {
    fn of(all: &[UplinkView<'_>], own: &UplinkView<'_>) -> Self {
        let enabled = || all.iter().filter(|other| other.enabled);
        let mut here = enabled().filter(|other| other.ifname == own.ifname);
        let address = PerFamily::of(|family| {
            let is_same = |other: &UplinkView<'_>| other.address(family) == own.address(family);
            let mut others = enabled().filter(|other| other.name != own.name);
            own.way[family].is_some() && others.any(is_same)
        });
        let first = here.next().is_some_and(|first| first.name == own.name);
        Self { device: here.next().is_some(), first, address }
    }
}

impl<'a> UplinkView<'a> {
    /// As it is by itself.
    fn alone(config: &Config, uplink: &'a UplinkConfig, fact: &'a UplinkFacts) -> Self {
        let way = PerFamily::of(|family| fact.way[family].as_ref());
        let is_of = |family| move |prefix: &Prefix| prefix.family() == family;
        let prefixes =
            PerFamily::of(|family| fact.prefixes(uplink).filter(is_of(family)).collect::<Vec<_>>());
        let routed = PerFamily::of(|family| {
            let delegated = way[family].iter().flat_map(|way| &way.delegated);
            uplink.routed.iter().chain(delegated).copied().filter(is_of(family)).collect::<Vec<_>>()
        });
        let translated = match uplink.nat {
            Nat::To(address) => Some(Prefix::host(address.into())),
            Nat::On | Nat::Off => None,
        };
        Self {
            fact,
            id: fact.id,
            mark: super::mark(config, fact.id),
            table: super::table(config, fact.id),
            name: &uplink.name,
            ifname: uplink.ifname,
            own_link: uplink.own_link.as_ref(),
            port: uplink.port(),
            enabled: uplink.enabled,
            inside: config.is_inside(uplink),
            weight: uplink.weight,
            tier: uplink.tier,
            nat: uplink.nat,
            no_nat: &uplink.no_nat,
            redirects: uplink.redirects,
            way,
            own: PerFamily::of(|family| {
                let further = fact.further.iter().copied().filter(is_of(family));
                let mut own: Vec<IpAddr> = prefixes[family].iter().map(|p| p.address).collect();
                for further in further.map(|prefix| prefix.address) {
                    if !own.contains(&further) {
                        own.push(further);
                    }
                }
                own
            }),
            sources: PerFamily::of(|family| {
                let hosts = prefixes[family].iter().map(|own| Prefix::host(own.address));
                let translated = translated.into_iter().filter(is_of(family));
                hosts.chain(translated).chain(routed[family].iter().copied()).collect()
            }),
            routed,
            prefixes,
            mtu: way.iter().flatten().filter_map(|way| way.mtu).fold(fact.mtu, u32::min),
            resolvers: resolvers(uplink, way[Family::V4]),
            shared: false,
            first: false,
            twin: PerFamily::default(),
        }
    }

    /// Its attachment, if a route by it can be installed.
    pub(crate) fn route(&self, family: Family) -> Option<&'a Attachment> {
        self.way[family].filter(|_| self.fact.is_routable(family))
    }

    /// The address of its attachment.
    pub(crate) fn address(&self, family: Family) -> Option<IpAddr> {
        self.way[family].map(|way| way.address.address)
    }

    /// The network of that address.
    pub(crate) fn network(&self, family: Family) -> Option<Prefix> {
        self.way[family].map(|way| way.address.network())
    }

    /// The same, if there can be neighbours in it.
    pub(crate) fn neighbours(&self, family: Family) -> Option<Prefix> {
        self.network(family).filter(|network| *network != Prefix::host(network.address))
    }

    /// The address of its gateway.
    pub(crate) fn gateway(&self, family: Family) -> Option<IpAddr> {
        self.way[family].and_then(|way| way.gateway.address())
    }

    /// The own addresses beside that of the attachment.
    pub(crate) fn further(&self, family: Family) -> &[IpAddr] {
        let own = &self.own[family];
        own.get(usize::from(self.way[family].is_some())..).unwrap_or_default()
    }

    /// Those of the own addresses that say whose a packet is: all that no other uplink has.
    pub(crate) fn told(&self, family: Family) -> &[IpAddr] {
        if self.twin[family] { self.further(family) } else { &self.own[family] }
    }

    /// True if forwards and `[[nat]]` may use the address on this uplink.
    pub(crate) fn has(&self, address: IpAddr) -> bool {
        let family = Family::of(&address);
        self.prefixes[family].iter().any(|own| own.address == address)
            || self.routed[family].iter().any(|prefix| prefix.contains(address))
    }

    /// Its interface as nft writes it.
    pub(crate) fn device(&self) -> String {
        format!("\"{}\"", self.ifname)
    }

    /// Which packets leave by its interface, as nft writes it.
    pub(crate) fn by(&self) -> String {
        format!("oifname \"{}\"", self.ifname)
    }

    /// Which of them leave by its gateway; `None` while it has none.
    pub(crate) fn by_gateway(&self) -> Option<String> {
        let way = self.way[Family::V4]?;
        Some(match way.gateway.address() {
            Some(gateway) => format!("{} rt ip nexthop {gateway}", self.by()),
            None => self.by(),
        })
    }
}

/// What the file says, else what the provider tells.
fn resolvers(uplink: &UplinkConfig, way: Option<&Attachment>) -> Vec<Ipv4Addr> {
    if !uplink.resolvers.is_empty() {
        return uplink.resolvers.clone();
    }
    let told = way.into_iter().flat_map(|way| &way.resolvers);
    let by_ipv4 = |address: &IpAddr| match address {
        IpAddr::V4(address) if is_host(*address) => Some(*address),
        _ => None,
    };
    told.filter_map(by_ipv4).collect()
}

/// True if the box of the uplink of this place in the file stands among the hosts.
pub(super) fn is_inside(config: &Config, index: usize) -> bool {
    config.uplinks.get(index).is_some_and(|uplink| config.is_inside(uplink))
}

/// True if the uplink is not alone on its interface.
pub(crate) fn shares_interface(config: &Config, uplink: &UplinkConfig) -> bool {
    config.uplinks.iter().filter(|u| u.enabled && u.ifname == uplink.ifname).nth(1).is_some()
}

/// How many uplinks share new connections among them, whatever their tier and health.
pub(super) fn balanced(config: &Config) -> usize {
    config.uplinks.iter().filter(|u| u.enabled && u.tier != Tier::Inbound).count()
}

/// Every name of an interface that the file uses, or may mean.
pub(super) fn interfaces(config: &Config) -> impl Iterator<Item = IfName> {
    let uplinks =
        config.uplinks.iter().flat_map(|u| [u.ifname].into_iter().chain(u.others.iter().copied()));
    let networks =
        config.networks.iter().flat_map(|n| [n.ifname].into_iter().chain(n.others.iter().copied()));
    uplinks.chain(networks)
}
