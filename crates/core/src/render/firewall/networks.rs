//! Inside networks: our addresses on them, and what their hosts may not reach.
//!
//! A network that may reach everything, as the only one of a usual router does, leaves no trace in
//! the filter. For the others the maps that ask where a packet came in have one more element each,
//! and so no packet meets a rule more: known connections are let through before, as those by an
//! uplink are. What is closed is closed for new connections, in both families.
//!
//! The chain of a network ends in a drop and names what is open, so that an interface nobody
//! thought of (a tunnel, containers) is closed to guests.
//!
//! A host there has no business with the source of another one either. A first packet that bears the
//! source of a LAN host would note a connection that is that host's, and every answer to it, from
//! whomever, would be let through to that host.

use super::forward::hairpin_publics;
use super::{Gate, ICMP, any_of, plain};
use crate::config::{Config, Network, NetworkKind, Reach};
use crate::facts::Facts;
use crate::net::IfName;
use crate::render::view::View;
use crate::state::{Chain, Key, Resource, State};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Adds our addresses to the desired state.
pub(in crate::render) fn render(state: &mut State, config: &Config, facts: &Facts) {
    for (network, index) in config.networks.iter().zip(&facts.system.networks) {
        if let (Some(prefix), Some(_)) = (network.address, index) {
            let key = Key::Address { ifname: network.ifname, prefix };
            state.insert(key, Resource::Address);
        }
    }
}

/// Interfaces as nft writes one or several; `None` without any.
pub(in crate::render) fn interfaces(
    config: &Config,
    which: impl FnMut(&&Network) -> bool,
) -> Option<String> {
    any_of(config.networks.iter().filter(which).map(|network| quoted(network.ifname)).collect())
}

/// Networks that may reach everything.
pub(in crate::render) fn is_open(network: &&Network) -> bool {
    network.reach == Reach::All
}

/// Networks whose hosts are ours: the router, and forwards that ask for the source, are open to them.
pub(in crate::render) fn is_lan(network: &&Network) -> bool {
    network.kind == NetworkKind::Lan
}

/// The gates of new connections from networks that may not reach everything.
pub(in crate::render) fn forward_gates(config: &Config) -> Vec<Gate> {
    gates(config, |network| !is_open(network), chain)
}

/// The same for packets to the router.
pub(in crate::render) fn input_gates(config: &Config) -> Vec<Gate> {
    gates(config, |network| !is_lan(network), |_| INPUT.into())
}

/// Gates for the interfaces of these networks, and then for those that may be theirs.
fn gates(
    config: &Config,
    which: impl Fn(&&Network) -> bool,
    chain: impl Fn(&Network) -> String,
) -> Vec<Gate> {
    let own = config.networks.iter().map(|network| (network.ifname, network));
    let all = own.chain(config.maybe_closed()).filter(|(_, network)| which(network));
    all.map(|(ifname, network)| (ifname, chain(network))).collect()
}

/// Interfaces of networks that may not reach everything, or not the router.
pub(in crate::render) fn closed(config: &Config) -> BTreeSet<IfName> {
    let gates = forward_gates(config).into_iter().chain(input_gates(config));
    gates.map(|(ifname, _)| ifname).collect()
}

/// The rules that send first packets from them to [`forged`]. A provider's box may stand in such a
/// network, and what the world sends by it has sources that lead elsewhere: there only sources of
/// other inside networks are forged.
pub(in crate::render) fn into_forged(view: &View<'_>) -> Vec<String> {
    let config = view.config;
    let has_box = |ifname: IfName| view.boxes().any(|uplink| uplink.ifname == ifname);
    let (boxes, strict): (Vec<IfName>, Vec<IfName>) =
        closed(config).into_iter().partition(|ifname| has_box(*ifname));
    let strict = any_of(strict.into_iter().map(quoted).collect());
    let mut rules: Vec<String> =
        strict.map(|strict| format!("iifname {strict} jump {FORGED}")).into_iter().collect();
    for ifname in boxes {
        let others = interfaces(config, |other| other.ifname != ifname);
        rules.extend(others.map(|others| {
            let ifname = quoted(ifname);
            format!("iifname {ifname} {LEADS_ELSEWHERE} fib saddr oifname {others} counter drop")
        }));
    }
    rules
}

/// The chain for first packets from a closed network: the router must lead back to the source by the
/// interface it came in by. A host without an address asks for one from none, and neighbours speak
/// from addresses of the link. What came out of an IPsec tunnel has the source that its policy names.
pub(in crate::render) fn forged(config: &Config) -> Option<Chain> {
    let rules = vec![
        "meta secpath exists return".to_string(),
        format!("ip saddr != 0.0.0.0 {LEADS_ELSEWHERE} counter drop"),
        format!("ip6 saddr != {{ ::, fe80::/10 }} {LEADS_ELSEWHERE} counter drop"),
    ];
    (!closed(config).is_empty()).then(|| plain(FORGED.into(), rules))
}

/// The chains behind the gates.
pub(in crate::render) fn chains(view: &View<'_>) -> Vec<Chain> {
    let (config, mut chains) = (view.config, Vec::new());
    for network in &config.networks {
        if let Reach::Only { internet, networks } = &network.reach {
            let rules = beyond(view, network, (*internet, networks));
            chains.push(plain(chain(network), rules));
        }
    }
    if !input_gates(config).is_empty() {
        chains.push(plain(INPUT.into(), services()));
    }
    chains
}

/// What the hosts of a network may reach beyond the router.
fn beyond(view: &View<'_>, network: &Network, (internet, names): (bool, &[String])) -> Vec<String> {
    // Only what asked for an address of ours: others translate for reasons of their own.
    let forwarded = hairpin_publics(view)
        .map(|publics| format!("ct status dnat ct original ip daddr {publics} accept"));
    let mut rules: Vec<String> = forwarded.into_iter().collect();
    let open = reached(view.config, network, names);
    let mut devices: Vec<String> = open.iter().map(|ifname| quoted(*ifname)).collect();
    devices.extend(view.outside().filter(|_| internet).map(|uplink| uplink.device()));
    devices.sort();
    devices.dedup();
    rules.extend(any_of(devices).map(|devices| format!("oifname {devices} accept")));
    // A provider's box stands among hosts that may be closed.
    let boxes = view.boxes().filter(|uplink| internet && !open.contains(&uplink.ifname));
    rules.extend(boxes.filter_map(|b| b.by_gateway()).map(|leaves| format!("{leaves} accept")));
    rules.push("counter drop".into());
    rules
}

/// The interfaces of networks that a network may reach: its own, for another router may stand
/// among its hosts, and those that are named.
pub(in crate::render) fn reached(
    config: &Config,
    network: &Network,
    names: &[String],
) -> Vec<IfName> {
    let open = |other: &&Network| other.name == network.name || names.contains(&other.name);
    config.networks.iter().filter(open).map(|other| other.ifname).collect()
}

/// What strangers may ask of the router: names, addresses, and whether it is there.
fn services() -> Vec<String> {
    vec![
        "ct state established accept".to_string(),
        // Who sends these says where the router's own packets go. A redirect may be related.
        "icmpv6 type { nd-router-advert, nd-redirect } counter drop".to_string(),
        "ct state related accept".to_string(),
        format!("{ICMP} accept"),
        format!("tcp dport {DNS} accept"),
        format!("udp dport {{ {DNS}, {DHCP}, {DHCP6} }} accept"),
        "counter drop".to_string(),
    ]
}

fn quoted(ifname: IfName) -> String {
    format!("\"{ifname}\"")
}

fn chain(network: &Network) -> String {
    format!("net_{}", network.name)
}

/// No route to the source leads by the interface that the packet came in by. It asks
/// without a mark, and so `main` comes first.
const LEADS_ELSEWHERE: &str = "fib saddr . iif oif missing";

const FORGED: &str = "forged_inside";

/// No network can be called so: its chain begins otherwise.
const INPUT: &str = "inside_input";

/// Ports of the router's services, for both families.
pub(in crate::render) const DNS: u16 = 53;
pub(in crate::render) const DHCP: u16 = 67;
pub(in crate::render) const DHCP6: u16 = 547;
