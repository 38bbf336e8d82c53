//! `[[network]]`: the inside, network by network, together with the interfaces
//! of `[lan]`; whether they agree with each other and with the uplinks.

use super::keys::suggestion;
use super::reader::{At, Node, Reader, Section, shown};
use super::router::{interface, name};
use super::service;
use super::uplink::{self, required, static_address};
use rail_core::config::{
    DhcpService, DnsService, FirewallMode, Nat, Network, NetworkKind, Reach, Selector,
};
use rail_core::net::Prefix;
use std::ops::Range;

/// A network as far as it could be understood.
pub(super) struct Draft {
    pub(super) name: Option<At<String>>,
    pub(super) interface: Option<At<Selector>>,
    pub(super) address: Option<At<Prefix>>,
    kind: At<NetworkKind>,
    may_reach: Option<MayReach>,
    pub(super) dhcp: Option<At<DhcpService>>,
    pub(super) dns: Option<At<DnsService>>,
}

struct MayReach {
    internet: bool,
    networks: Vec<At<String>>,
    span: Range<usize>,
}

impl Draft {
    /// One of `[lan] interfaces`.
    fn lan(interface: At<Selector>) -> Self {
        let span = interface.span.clone();
        Self {
            name: Some(At { value: interface.value.to_string(), span: span.clone() }),
            interface: Some(interface),
            address: None,
            kind: At { value: NetworkKind::Lan, span },
            may_reach: None,
            dhcp: None,
            dns: None,
        }
    }

    /// Complete, unless a problem was noted.
    fn finish(self) -> Option<Network> {
        let kind = self.kind.value;
        let reach = match self.may_reach {
            Some(MayReach { internet, networks, .. }) => {
                let networks = networks.into_iter().map(|n| n.value).collect();
                Reach::Only { internet, networks }
            }
            None if kind == NetworkKind::Lan => Reach::All,
            None => Reach::Only { internet: true, networks: Vec::new() },
        };
        let interface = self.interface?.value;
        Some(Network {
            name: self.name?.value,
            ifname: interface.ifname(),
            others: Vec::new(),
            interface,
            address: self.address.map(|a| a.value),
            kind,
            reach,
            dhcp: self.dhcp.map(|at| at.value),
            dns: self.dns.map(|at| at.value),
        })
    }
}

/// The drafts of `[lan]`, then those of the blocks.
pub(super) fn networks(
    reader: &mut Reader,
    file: &Section<'_>,
    lan: Vec<At<Selector>>,
) -> Vec<Draft> {
    let mut all: Vec<Draft> = lan.into_iter().map(Draft::lan).collect();
    service::of_lan(reader, file, &mut all);
    let sections = reader.tables(file, "network", "network");
    if sections.len() > MOST_NETWORKS {
        let text = format!("{} networks are more than {MOST_NETWORKS}", sections.len());
        reader.error(file.place("network"), text);
        return all;
    }
    all.extend(sections.iter().map(|section| network(reader, section)));
    all
}

/// Complete networks, those that `[lan]` can say before the others.
pub(super) fn finish(drafts: Vec<Draft>) -> Option<Vec<Network>> {
    let all = drafts.into_iter().map(Draft::finish).collect::<Option<Vec<_>>>()?;
    let (mut networks, others): (Vec<_>, Vec<_>) = all.into_iter().partition(is_short);
    networks.extend(others);
    Some(networks)
}

/// True if `[lan]` says all of it.
pub(super) fn is_short(network: &Network) -> bool {
    let (dhcp, dns) = (network.dhcp.clone(), network.dns.clone());
    *network == Network { dhcp, dns, ..Network::lan_at(network.interface.clone()) }
}

fn network(reader: &mut Reader, section: &Section<'_>) -> Draft {
    let words =
        [("lan", NetworkKind::Lan), ("dmz", NetworkKind::Dmz), ("guest", NetworkKind::Guest)];
    let kind = reader.word(section, "kind", &words, &[]).unwrap_or_default();
    Draft {
        name: required(reader, section, "name", "\"dmz\"", own_name),
        interface: required(reader, section, "interface", "\"eth1\"", |r, n| {
            interface(r, n, "interface")
        }),
        address: section.get("address").and_then(|node| address(reader, node)),
        kind: At { value: kind, span: section.place("kind") },
        may_reach: section.get("may_reach").map(|node| may_reach(reader, node)),
        dhcp: service::dhcp(reader, section, "network.dhcp"),
        dns: service::dns(reader, section, "network.dns"),
    }
}

fn own_name(reader: &mut Reader, node: Node<'_>) -> Option<String> {
    let name = name(reader, node, "name", 32)?;
    if name == INTERNET {
        reader
            .error(node.span(), "no network can be called \"internet\"")
            .hint("in `may_reach` the word stands for what is behind the uplinks");
        return None;
    }
    Some(name)
}

fn address(reader: &mut Reader, node: Node<'_>) -> Option<At<Prefix>> {
    let text = reader.text(node, "address", "a text such as \"10.9.0.1/24\"")?;
    if let "dhcp" | "keep" = text {
        reader
            .error(node.span(), format!("`address` of a network cannot be \"{text}\""))
            .hint("an address such as \"10.9.0.1/24\"; leave the key out if others set it");
        return None;
    }
    let value = static_address(reader, node, text, "10.9.0.1/24", ("address", "a network"))?;
    if value.length > 31 {
        let text = format!("{value} has room for no other host");
        reader.error(node.span(), text).hint("write the prefix length of the whole network");
        return None;
    }
    Some(At { value, span: node.span() })
}

fn may_reach(reader: &mut Reader, node: Node<'_>) -> MayReach {
    let wanted = "a list such as [\"internet\"]";
    let mut reach = MayReach { internet: false, networks: Vec::new(), span: node.span() };
    for node in reader.list(node, "may_reach", wanted) {
        let Some(name) = reader.text(node, "may_reach", wanted) else { continue };
        let again = match name {
            INTERNET => std::mem::replace(&mut reach.internet, true),
            _ => reach.networks.iter().any(|n| n.value == name),
        };
        if again {
            reader.error(node.span(), format!("\"{}\" is listed twice", shown(name)));
        } else if name != INTERNET {
            reach.networks.push(At { value: name.to_owned(), span: node.span() });
        }
    }
    reach
}

/// Notes contradictions among networks, and with the uplinks.
pub(super) fn agree(
    reader: &mut Reader,
    networks: &[Draft],
    uplinks: &[uplink::Draft],
    mode: FirewallMode,
) {
    for (index, network) in networks.iter().enumerate() {
        against_earlier(reader, network, &networks[..index]);
        goals(reader, network, networks);
        if mode == FirewallMode::Off {
            needs_filter(reader, network);
        }
        for uplink in uplinks {
            against_uplink(reader, network, uplink, mode);
        }
    }
}

fn against_earlier(reader: &mut Reader, network: &Draft, earlier: &[Draft]) {
    for other in earlier {
        if let (Some(now), Some(then)) = (&network.interface, &other.interface)
            && now.value == then.value
        {
            let text = format!("the interface {} is in two networks", now.value);
            reader.error(now.span.clone(), text).also(&then.span, "first here");
        } else if let (Some(now), Some(then)) = (&network.name, &other.name)
            && now.value == then.value
        {
            let text = format!("duplicate network name \"{}\"", now.value);
            reader.error(now.span.clone(), text).also(&then.span, "first here");
        }
        if let (Some(now), Some(then)) = (&network.address, &other.address) {
            overlap(reader, now, then, "the other network");
        }
    }
}

fn overlap(reader: &mut Reader, now: &At<Prefix>, then: &At<Prefix>, what: &str) {
    let (a, b) = (now.value, then.value);
    if a.contains(b.address) || b.contains(a.address) {
        let text = format!("{} and {} overlap", a.network(), b.network());
        reader
            .error(now.span.clone(), text)
            .also(&then.span, what)
            .hint("the router could not tell where an address is");
    }
}

/// Whether the names in `may_reach` are those of other networks.
fn goals(reader: &mut Reader, network: &Draft, networks: &[Draft]) {
    let Some(reach) = &network.may_reach else { return };
    let known: Vec<&str> =
        networks.iter().filter_map(|n| n.name.as_ref()).map(|n| n.value.as_str()).collect();
    let complete = known.len() == networks.len() && !reader.broken;
    let own = network.name.as_ref().map(|name| name.value.as_str());
    for name in &reach.networks {
        if own == Some(&name.value) {
            reader
                .error(name.span.clone(), format!("\"{}\" is this network itself", name.value))
                .hint("hosts of one network always reach each other; leave it out");
        } else if complete && !known.contains(&name.value.as_str()) {
            let others = known.iter().copied().filter(|n| Some(*n) != own);
            let valid: Vec<&str> = std::iter::once(INTERNET).chain(others).collect();
            let text = format!("there is no network \"{}\"", shown(&name.value));
            reader.error(name.span.clone(), text).hint(suggestion(&name.value, &valid));
        }
    }
}

/// Who filters himself separates his networks himself.
fn needs_filter(reader: &mut Reader, network: &Draft) {
    let hint = "with mode = \"off\" the filter is yours: nothing would keep networks apart";
    if network.kind.value != NetworkKind::Lan {
        let text = "a `kind` other than \"lan\" needs a filter of ours";
        reader.error(network.kind.span.clone(), text).hint(hint);
    }
    if let Some(reach) = &network.may_reach {
        reader.error(reach.span.clone(), "`may_reach` needs a filter of ours").hint(hint);
    }
}

fn against_uplink(
    reader: &mut Reader,
    network: &Draft,
    uplink: &uplink::Draft,
    mode: FirewallMode,
) {
    let (Some(inside), Some(outside)) = (&network.interface, &uplink.interface) else { return };
    if inside.value == outside.value {
        box_inside(reader, (network, &inside.span), (uplink, outside), mode);
    } else if let (Some(now), Some(then)) = (&network.address, &uplink.address) {
        overlap(reader, now, then, "the uplink's address");
    }
}

/// An uplink may be on an inside interface: then its box stands among the hosts.
fn box_inside(
    reader: &mut Reader,
    (network, inside): (&Draft, &Range<usize>),
    (uplink, interface): (&uplink::Draft, &At<Selector>),
    mode: FirewallMode,
) {
    if uplink.nat != Nat::Off {
        let text = format!(
            "the interface {} is both inside and the uplink \"{}\"",
            interface.value,
            uplink.label()
        );
        reader.error(interface.span.clone(), text).also(inside, "inside by this").hint(
            "a provider's box inside the LAN answers the hosts directly, so nothing can be \
             translated: write nat = false",
        );
    } else if network.kind.value != NetworkKind::Lan || network.may_reach.is_some() {
        let text =
            format!("the uplink \"{}\" is on the interface of a closed network", uplink.label());
        reader.error(interface.span.clone(), text).also(inside, "closed by this network").hint(
            "hosts reach the box beside them whatever the network may reach: make it kind \"lan\"",
        );
    }
    if mode == FirewallMode::External {
        let text = format!("the uplink \"{}\" is on an inside interface", uplink.label());
        reader
            .error(interface.span.clone(), text)
            .also(inside, "inside by this")
            .hint("that needs nftables rules of ours, and mode = \"external\" has none");
    }
}

const INTERNET: &str = "internet";
const MOST_NETWORKS: usize = 256;
