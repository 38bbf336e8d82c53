//! Our nftables table: marks, NAT, filter.
//!
//! What is decided once for each connection stands in chains of type nat, which
//! the kernel runs for the first packet only; a known packet meets one mark
//! restore and one verdict. A failover changes no rule, only elements of the
//! bucket map.

pub(super) mod allow;
mod arrival;
pub(super) mod bucket;
mod departure;
pub(crate) mod egress;
pub(super) mod exempt;
pub(super) mod forward;
pub(super) mod networks;
pub(super) mod on_lan;

pub(crate) use departure::SRCNAT;
pub use egress::FOREIGN;
pub(crate) use egress::nobody;
pub(super) use on_lan::elements;

use crate::config::{Config, FirewallMode, UplinkConfig};
use crate::facts::{Facts, WIDE_MTU};
use crate::net::{IfName, UplinkId};
use crate::render::{mark, shared};
use crate::state::{Base, Chain, ChainKind, Firewall, Hook};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Priorities as nft names them.
const MANGLE: i32 = -150;
const DSTNAT: i32 = -100;
const FILTER: i32 = 0;
/// Bytes of an IPv4 and a TCP header without options. Those of IPv6 are 20 more: a segment size
/// that fits here fits there, if its sender's own interface was as wide.
const IPV4_TCP_HEADERS: u32 = 40;

/// What came out of an IPsec tunnel: its policy has said that it may.
const UNWRAPPED: &str = "meta secpath exists";

/// ICMP of both families.
pub(in crate::render) const ICMP: &str = "meta l4proto { icmp, ipv6-icmp }";

/// Which packets of a TCP handshake have a segment size.
const SYN: &str = "tcp flags & (syn | rst) == syn";
/// Limits the segment size to the MTU of the route; it only ever lowers it.
const CLAMP: &str = "tcp option maxseg size set rt mtu";

/// An uplink that is enabled.
pub(in crate::render) struct Line<'a> {
    pub(in crate::render) uplink: &'a UplinkConfig,
    pub(in crate::render) id: UplinkId,
    /// Every address of ours on the interface, the first one first.
    pub(in crate::render) own: Vec<IpAddr>,
    /// On an inside interface: what arrives there may come from any host.
    pub(in crate::render) inside: bool,
    /// Of its interface, in bytes.
    mtu: u32,
    /// Other lines are on its interface.
    pub(in crate::render) shared: bool,
    /// No line before it is on its interface.
    pub(in crate::render) first: bool,
}

/// Renders the table.
pub(in crate::render) fn render(config: &Config, facts: &Facts) -> Firewall {
    let lines: Vec<Line<'_>> = config
        .uplinks
        .iter()
        .zip(&facts.uplinks)
        .filter(|(uplink, _)| uplink.enabled)
        .map(|(uplink, fact)| Line {
            uplink,
            id: fact.id,
            own: fact.own_addresses(uplink),
            inside: config.is_inside(uplink),
            mtu: fact.mtu,
            shared: shared::shares_interface(config, uplink),
            first: shared::is_first(config, uplink),
        })
        .collect();
    let mut chains = Vec::new();
    for line in &lines {
        chains.push(mark_chain(config, line));
        if !line.inside {
            chains.push(arrival::chain(config, line));
        }
    }
    chains.extend(lines.iter().filter(|l| l.shared && l.first).map(|first| {
        let here = lines.iter().filter(|l| l.uplink.ifname == first.uplink.ifname);
        plain(arrivals(first), shared::arrivals(facts, &here.collect::<Vec<_>>()))
    }));
    chains.extend(forward::hairpin(config, &lines));
    if config.firewall.mode != FirewallMode::Off {
        chains.extend(networks::forged(config));
    }
    chains.push(restore(config, &lines));
    chains.push(classify(config, facts, &lines));
    let own: Vec<String> = forward::from_router(config, &lines).into_iter().collect();
    if !own.is_empty() {
        chains.push(base("own_hairpin", ChainKind::Nat, Hook::Output, DSTNAT, own));
    }
    chains.push(departure::chain(config, &lines));
    chains.extend(shared::said(config, &lines));
    let own = shared::own_packets(config, &lines, &restored(config, &lines));
    if !own.is_empty() {
        chains.push(base("own", ChainKind::Route, Hook::Output, MANGLE, own));
    }
    if config.firewall.mode != FirewallMode::Off {
        chains.push(from_uplink_to_router(config));
        chains.push(from_uplink_to_inside(config, facts, &lines));
        chains.extend(networks::chains(config, &lines));
        let mut gates = closed_gates(config, facts, "wan_input");
        gates.extend(networks::input_gates(config));
        chains.push(base("input", ChainKind::Filter, Hook::Input, FILTER, {
            by_device(&lines, gates, |_| "wan_input".into()).into_iter().collect()
        }));
    }
    chains.push(forward(config, facts, &lines));
    chains.extend(egress::chains(config, facts, &lines));
    let senders = lines.iter().map(|line| departure::sender(config, line));
    Firewall { chains, senders: senders.collect() }
}

pub(in crate::render) fn base(
    name: &str,
    kind: ChainKind,
    hook: Hook,
    priority: i32,
    rules: Vec<String>,
) -> Chain {
    Chain { name: name.into(), base: Some(Base { kind, hook, priority }), rules }
}

pub(in crate::render) fn plain(name: String, rules: Vec<String>) -> Chain {
    Chain { name, base: None, rules }
}

/// `iifname vmap { "wan1" : goto chain, .. }` of the uplinks outside and of what comes after them;
/// `None` without any.
fn by_device(
    lines: &[Line<'_>],
    more: Vec<Gate>,
    chain: impl Fn(&Line<'_>) -> String,
) -> Option<String> {
    let outside = lines.iter().filter(|l| !l.inside && l.first);
    let outside = outside.map(|line| (line.uplink.ifname, chain(line)));
    let mut known = BTreeSet::new();
    // A map has each device once; the first word counts.
    let gates = outside.chain(more).filter(|(ifname, _)| known.insert(*ifname));
    let elements: Vec<String> =
        gates.map(|(ifname, chain)| format!("\"{ifname}\" : goto {chain}")).collect();
    (!elements.is_empty()).then(|| format!("iifname vmap {{ {} }}", elements.join(", ")))
}

/// An element of a map of devices: what comes in by it goes to this chain.
pub(super) type Gate = (IfName, String);

/// The interfaces of disabled uplinks, where no enabled one is: the cable is still in, and whoever is
/// at its other end is no more trusted than before.
pub(in crate::render) fn closed(config: &Config) -> Vec<IfName> {
    let in_use =
        |u: &&UplinkConfig| config.uplinks.iter().any(|o| o.enabled && o.ifname == u.ifname);
    let idle = config.uplinks.iter().filter(|u| !in_use(u) && !config.is_inside(u));
    let mut names: Vec<IfName> = idle.map(|u| u.ifname).collect();
    names.sort();
    names.dedup();
    names
}

/// They, and the interfaces that nobody names and that stand in the network of an uplink, or may be
/// its own.
pub(in crate::render) fn closed_devices(config: &Config, facts: &Facts) -> BTreeSet<IfName> {
    closed_as(config, facts).into_keys().collect()
}

/// They, each with the interface of its uplink.
pub(in crate::render) fn closed_as(config: &Config, facts: &Facts) -> BTreeMap<IfName, IfName> {
    let idle = closed(config).into_iter().map(|ifname| (ifname, ifname));
    let others = config.maybe_outside().chain(config.shared_ports());
    let others = others.map(|(ifname, uplink)| (ifname, uplink.ifname));
    let strays = facts.strays.iter();
    let strays = strays.filter_map(|s| Some((s.ifname, config.uplinks.get(s.uplink)?.ifname)));
    // Of several words for one interface the surest comes last.
    strays.chain(others).chain(idle).collect()
}

/// The gates of them all.
fn closed_gates(config: &Config, facts: &Facts, chain: &str) -> Vec<Gate> {
    closed_devices(config, facts).into_iter().map(|ifname| (ifname, chain.into())).collect()
}

/// The chain for connections that came in by the interface of a line.
fn arrivals(line: &Line<'_>) -> String {
    let kind = if line.shared { "on" } else { "from" };
    format!("{kind}_{}", line.uplink.name)
}

/// Sets our bits of a mark, leaving the others.
pub(in crate::render) fn set_mark(config: &Config, kind: &str, value: u32) -> String {
    let keep = !config.ranges.mark_mask;
    match value {
        0 => format!("{kind} mark set {kind} mark and {keep:#010x}"),
        _ => format!("{kind} mark set {kind} mark and {keep:#010x} or {value:#010x}"),
    }
}

fn mark_chain(config: &Config, line: &Line<'_>) -> Chain {
    plain(
        format!("mark_{}", line.uplink.name),
        vec![set_mark(config, "meta", mark(config, line.id))],
    )
}

/// Every packet of a known connection gets the mark of its uplink back. The first rule is the
/// short way for a packet without any mark; the second leaves the bits of others alone.
fn restore(config: &Config, lines: &[Line<'_>]) -> Chain {
    let mask = config.ranges.mark_mask;
    let mut rules =
        vec![format!("meta mark 0x00000000 meta mark set ct mark and {mask:#010x} accept")];
    if !lines.is_empty() {
        rules.push(format!("meta mark != 0x00000000 {}", restored(config, lines)));
    }
    rules.extend(lines.iter().filter(|l| l.inside).map(|l| on_lan::unplaced(l.uplink, l.id)));
    base("restore", ChainKind::Filter, Hook::Prerouting, MANGLE, rules)
}

/// A packet without a mark of ours gets that of its connection; `lines` are not empty.
fn restored(config: &Config, lines: &[Line<'_>]) -> String {
    let mask = config.ranges.mark_mask;
    let element = |line: &Line<'_>| {
        format!("{:#010x} : goto mark_{}", mark(config, line.id), line.uplink.name)
    };
    let elements: Vec<String> = lines.iter().map(element).collect();
    format!(
        "meta mark and {mask:#010x} == 0x00000000 ct mark and {mask:#010x} vmap {{ {} }}",
        elements.join(", ")
    )
}

/// New connections: those from an uplink belong to it, the others get a bucket. Those from the
/// inside, which are most, are asked for first: one comparison is cheaper than a map of devices.
/// Only what a closed network forges, and what asks for one of our own addresses, comes before it,
/// and takes no bucket. What came out of
/// an IPsec tunnel is from no uplink, though its interface says so.
fn classify(config: &Config, facts: &Facts, lines: &[Line<'_>]) -> Chain {
    let bucket = bucket::rules(config, facts);
    let mut rules = Vec::new();
    if config.firewall.mode != FirewallMode::Off {
        rules.extend(networks::into_forged(config, lines));
    }
    rules.extend(forward::into_hairpin(config, lines));
    rules.extend(lines.iter().filter(|l| l.inside).map(|l| on_lan::midway(l.uplink, l.id)));
    if let Some(inside) = inside(config) {
        rules.extend(bucket.iter().map(|rule| format!("iifname {inside} {rule}")));
        rules.extend((!bucket.is_empty()).then(|| format!("iifname {inside} accept")));
    }
    if let Some(arrivals) = by_device(lines, Vec::new(), arrivals) {
        rules.push(format!("{UNWRAPPED} accept"));
        rules.push(arrivals);
    }
    rules.extend(forward::elsewhere(config, facts, lines));
    rules.extend(bucket);
    base("classify", ChainKind::Nat, Hook::Prerouting, DSTNAT, rules)
}

/// The inside interfaces as nft writes one or several; `None` without any.
pub(in crate::render) fn inside(config: &Config) -> Option<String> {
    networks::interfaces(config, |_| true)
}

/// The interfaces of these uplinks, each once, as nft writes them; `None` without any.
pub(in crate::render) fn devices<'a>(lines: impl Iterator<Item = &'a Line<'a>>) -> Option<String> {
    let first = lines.filter(|line| line.first);
    any_of(first.map(|line| format!("\"{}\"", line.uplink.ifname)).collect())
}

/// One or several values as nft writes them; `None` without any.
pub(in crate::render) fn any_of(mut values: Vec<String>) -> Option<String> {
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(format!("{{ {} }}", values.join(", "))),
    }
}

pub(in crate::render) fn by(line: &Line<'_>) -> String {
    format!("oifname \"{}\"", line.uplink.ifname)
}

fn from_uplink_to_router(config: &Config) -> Chain {
    let mut rules = vec![
        "ct state established accept".to_string(),
        // The router's own IPv6 may come from advertisements, but no neighbour moves its ways. A redirect
        // may be related.
        "icmpv6 type nd-redirect counter drop".to_string(),
        "ct state related accept".to_string(),
        format!("{UNWRAPPED} accept"),
        "ct status dnat accept".to_string(),
        format!("{ICMP} accept"),
    ];
    rules.extend(allow::nft(&config.firewall.allow));
    rules.push("counter drop".to_string());
    plain("wan_input".into(), rules)
}

/// What a stranger may begin goes to a host inside. It does not go out again by an uplink with its
/// address, as it would while no route leads inside: the connection would stay falsified.
fn from_uplink_to_inside(config: &Config, facts: &Facts, lines: &[Line<'_>]) -> Chain {
    let mut rules = vec!["ct status dnat accept".to_string(), format!("{UNWRAPPED} accept")];
    let outside = lines.iter().filter(|line| !line.inside).map(|line| line.uplink.ifname);
    let outside: BTreeSet<IfName> = outside.chain(closed_devices(config, facts)).collect();
    let outside = any_of(outside.iter().map(|ifname| format!("\"{ifname}\"")).collect());
    let boxes = lines.iter().filter(|line| line.inside).map(|line| {
        let (ifname, gateway) = (line.uplink.ifname, line.uplink.gateway);
        format!("oifname \"{ifname}\" rt ip nexthop {gateway} counter drop")
    });
    rules.extend(boxes);
    let inward = outside.map_or_else(String::new, |devices| format!("oifname != {devices} "));
    rules.push(format!("{inward}{ICMP} accept"));
    rules.extend(allow::nft_inside(&config.firewall.allow, &inward));
    rules.push("counter drop".into());
    plain("wan_forward".into(), rules)
}

/// Forwarded packets. Connections that proved themselves in both directions take the first
/// rule. The MSS clamp sees what comes from the inside before that, SYN and SYN-ACK alike, and
/// what comes from an uplink narrower than Ethernet: its SYN-ACK says how much the inside may send
/// by that uplink. Of what comes from elsewhere it sees only the SYN, for its SYN-ACK goes to the
/// inside, where the route is wider.
///
/// The clamp asks for the route back, which a first packet feels. Where every interface has the
/// MTU of Ethernet only a segment size beyond that of Ethernet, or a route through IPsec, needs it.
fn forward(config: &Config, facts: &Facts, lines: &[Line<'_>]) -> Chain {
    let mut rules = vec!["ct status assured accept".to_string()];
    let inside = inside(config);
    let clamp = if facts.all_wide {
        format!("{SYN} tcp option maxseg size > {} {CLAMP}", WIDE_MTU - IPV4_TCP_HEADERS)
    } else {
        format!("{SYN} {CLAMP}")
    };
    rules.extend(inside.iter().map(|inside| format!("iifname {inside} {clamp}")));
    if facts.all_wide {
        rules.push(format!("rt ipsec exists {SYN} {CLAMP}"));
    }
    rules.extend(
        lines
            .iter()
            .filter(|line| !line.inside && line.first && line.mtu < WIDE_MTU)
            .map(narrow_clamp),
    );
    rules.push("ct state established,related accept".into());
    if let Some(open) = networks::interfaces(config, networks::is_open) {
        rules.push(format!("iifname {open} ct state new accept"));
    }
    rules.push(clamp);
    if config.firewall.mode != FirewallMode::Off {
        let mut gates = closed_gates(config, facts, "wan_forward");
        gates.extend(networks::forward_gates(config));
        rules.extend(by_device(lines, gates, |_| "wan_forward".into()));
    }
    base("forward", ChainKind::Filter, Hook::Forward, FILTER, rules)
}

/// The clamp for what comes from a narrow uplink. The route back that [`CLAMP`] asks for bears no
/// mark, and may be that of another, wider uplink; so the size is written down.
fn narrow_clamp(line: &Line<'_>) -> String {
    let (ifname, size) = (line.uplink.ifname, line.mtu.saturating_sub(IPV4_TCP_HEADERS));
    format!(
        "iifname \"{ifname}\" meta nfproto ipv4 {SYN} tcp option maxseg size > {size} \
         tcp option maxseg size set {size}"
    )
}
