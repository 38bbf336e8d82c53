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
pub(super) mod resolver;

pub(crate) use departure::SRCNAT;
pub use egress::FOREIGN;
pub(crate) use egress::nobody;
pub(super) use on_lan::elements;

use crate::config::{Config, FirewallMode};
use crate::facts::WIDE_MTU;
use crate::net::IfName;
use crate::render::shared;
use crate::render::view::{UplinkView, View};
use crate::state::{Base, Chain, ChainKind, Firewall, Hook};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

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

/// Renders the table.
pub(in crate::render) fn render(view: &View<'_>) -> Firewall {
    let config = view.config;
    let mut chains = Vec::new();
    for uplink in view.enabled() {
        chains.push(mark_chain(config, uplink));
        if !uplink.inside {
            chains.push(arrival::chain(config, uplink));
        }
    }
    let speakers = view.enabled().filter(|uplink| uplink.shared && uplink.first);
    chains.extend(
        speakers.map(|first| plain(arrivals(first), shared::arrivals(view.on(first.ifname)))),
    );
    chains.extend(forward::hairpin(view));
    if config.firewall.mode != FirewallMode::Off {
        chains.extend(networks::forged(config));
    }
    chains.push(restore(view));
    chains.push(classify(view));
    let own: Vec<String> = forward::from_router(view).into_iter().collect();
    if !own.is_empty() {
        chains.push(base("own_hairpin", ChainKind::Nat, Hook::Output, DSTNAT, own));
    }
    chains.extend(resolver::chains(view));
    chains.push(departure::chain(view));
    chains.extend(shared::said(view));
    let own = shared::own_packets(view, &restored(view));
    if !own.is_empty() {
        chains.push(base("own", ChainKind::Route, Hook::Output, MANGLE, own));
    }
    if config.firewall.mode != FirewallMode::Off {
        chains.push(from_uplink_to_router(config));
        chains.push(from_uplink_to_inside(view));
        chains.extend(networks::chains(view));
        let mut gates = closed_gates(view, "wan_input");
        gates.extend(networks::input_gates(config));
        chains.push(base("input", ChainKind::Filter, Hook::Input, FILTER, {
            by_device(view, gates, |_| "wan_input".into()).into_iter().collect()
        }));
    }
    chains.push(forward(view));
    chains.extend(egress::chains(view));
    let senders = view.enabled().filter_map(|uplink| departure::sender(config, uplink));
    Firewall::new(chains, senders.collect())
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
    view: &View<'_>,
    more: Vec<Gate>,
    chain: impl Fn(&UplinkView<'_>) -> String,
) -> Option<String> {
    let outside = view.outside().filter(|uplink| uplink.first);
    let outside = outside.map(|uplink| (uplink.ifname, chain(uplink)));
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
fn closed(view: &View<'_>) -> BTreeSet<IfName> {
    let is_idle = |u: &&UplinkView<'_>| !u.inside && view.on(u.ifname).next().is_none();
    view.uplinks.iter().filter(is_idle).map(|uplink| uplink.ifname).collect()
}

/// They, and the interfaces that nobody names and that stand in the network of an uplink, or may be
/// its own.
pub(in crate::render) fn closed_devices(view: &View<'_>) -> BTreeSet<IfName> {
    closed_as(view).into_keys().collect()
}

/// They, each with the interface of its uplink.
pub(in crate::render) fn closed_as(view: &View<'_>) -> BTreeMap<IfName, IfName> {
    let idle = closed(view).into_iter().map(|ifname| (ifname, ifname));
    let strays = view.facts.system.strays.iter();
    let strays = strays.filter_map(|s| Some((s.ifname, view.uplinks.get(s.uplink)?.ifname)));
    // Of several words for one interface the surest comes last.
    strays.chain(view.maybe_outside()).chain(view.shared_ports()).chain(idle).collect()
}

/// The gates of them all.
fn closed_gates(view: &View<'_>, chain: &str) -> Vec<Gate> {
    closed_devices(view).into_iter().map(|ifname| (ifname, chain.into())).collect()
}

/// The chain for connections that came in by the interface of an uplink.
fn arrivals(uplink: &UplinkView<'_>) -> String {
    let kind = if uplink.shared { "on" } else { "from" };
    format!("{kind}_{}", uplink.name)
}

/// Sets our bits of a mark, leaving the others.
pub(in crate::render) fn set_mark(config: &Config, kind: &str, value: u32) -> String {
    let keep = !config.ranges.mark_mask;
    match value {
        0 => format!("{kind} mark set {kind} mark and {keep:#010x}"),
        _ => format!("{kind} mark set {kind} mark and {keep:#010x} or {value:#010x}"),
    }
}

fn mark_chain(config: &Config, uplink: &UplinkView<'_>) -> Chain {
    plain(format!("mark_{}", uplink.name), vec![set_mark(config, "meta", uplink.mark)])
}

/// Every packet of a known connection gets the mark of its uplink back. The first rule is the
/// short way for a packet without any mark; the second leaves the bits of others alone.
fn restore(view: &View<'_>) -> Chain {
    let mask = view.config.ranges.mark_mask;
    let mut rules =
        vec![format!("meta mark 0x00000000 meta mark set ct mark and {mask:#010x} accept")];
    if view.enabled().next().is_some() {
        rules.push(format!("meta mark != 0x00000000 {}", restored(view)));
    }
    rules.extend(view.boxes().map(on_lan::unplaced));
    base("restore", ChainKind::Filter, Hook::Prerouting, MANGLE, rules)
}

/// A packet without a mark of ours gets that of its connection; there are uplinks.
fn restored(view: &View<'_>) -> String {
    let mask = view.config.ranges.mark_mask;
    let element = |u: &UplinkView<'_>| format!("{:#010x} : goto mark_{}", u.mark, u.name);
    let elements: Vec<String> = view.enabled().map(element).collect();
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
fn classify(view: &View<'_>) -> Chain {
    let (config, bucket) = (view.config, bucket::rules(view));
    let mut rules = Vec::new();
    if config.firewall.mode != FirewallMode::Off {
        rules.extend(networks::into_forged(view));
    }
    rules.extend(forward::into_hairpin(view));
    rules.extend(view.boxes().map(on_lan::midway));
    if let Some(inside) = inside(config) {
        rules.extend(bucket.iter().map(|rule| format!("iifname {inside} {rule}")));
        rules.extend((!bucket.is_empty()).then(|| format!("iifname {inside} accept")));
    }
    if let Some(arrivals) = by_device(view, Vec::new(), arrivals) {
        rules.push(format!("{UNWRAPPED} accept"));
        rules.push(arrivals);
    }
    rules.extend(forward::elsewhere(view));
    rules.extend(bucket);
    base("classify", ChainKind::Nat, Hook::Prerouting, DSTNAT, rules)
}

/// The inside interfaces as nft writes one or several; `None` without any.
pub(in crate::render) fn inside(config: &Config) -> Option<String> {
    networks::interfaces(config, |_| true)
}

/// The interfaces of these uplinks, each once, as nft writes them; `None` without any.
pub(in crate::render) fn devices<'v>(
    uplinks: impl Iterator<Item = &'v UplinkView<'v>>,
) -> Option<String> {
    any_of(uplinks.filter(|uplink| uplink.first).map(UplinkView::device).collect())
}

/// One or several values as nft writes them; `None` without any.
pub(in crate::render) fn any_of(mut values: Vec<String>) -> Option<String> {
    match values.len() {
        0 => None,
        1 => values.pop(),
        _ => Some(format!("{{ {} }}", values.join(", "))),
    }
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
fn from_uplink_to_inside(view: &View<'_>) -> Chain {
    let mut rules = vec!["ct status dnat accept".to_string(), format!("{UNWRAPPED} accept")];
    let outside = view.outside().map(|uplink| uplink.ifname);
    let outside: BTreeSet<IfName> = outside.chain(closed_devices(view)).collect();
    let outside = any_of(outside.iter().map(|ifname| format!("\"{ifname}\"")).collect());
    let boxes = view.boxes().filter_map(UplinkView::by_gateway);
    rules.extend(boxes.map(|leaves| format!("{leaves} counter drop")));
    let inward = outside.map_or_else(String::new, |devices| format!("oifname != {devices} "));
    rules.push(format!("{inward}{ICMP} accept"));
    rules.extend(allow::nft_inside(&view.config.firewall.allow, &inward));
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
fn forward(view: &View<'_>) -> Chain {
    let config = view.config;
    // A provider may take less than its device.
    let all_wide =
        view.facts.system.all_wide && view.enabled().all(|uplink| uplink.mtu >= WIDE_MTU);
    let mut rules = vec!["ct status assured accept".to_string()];
    let inside = inside(config);
    let clamp = if all_wide {
        format!("{SYN} tcp option maxseg size > {} {CLAMP}", WIDE_MTU - IPV4_TCP_HEADERS)
    } else {
        format!("{SYN} {CLAMP}")
    };
    rules.extend(inside.iter().map(|inside| format!("iifname {inside} {clamp}")));
    if all_wide {
        rules.push(format!("rt ipsec exists {SYN} {CLAMP}"));
    }
    let is_narrow = |uplink: &&UplinkView<'_>| uplink.first && uplink.mtu < WIDE_MTU;
    rules.extend(view.outside().filter(is_narrow).map(narrow_clamp));
    rules.push("ct state established,related accept".into());
    if let Some(open) = networks::interfaces(config, networks::is_open) {
        rules.push(format!("iifname {open} ct state new accept"));
    }
    rules.push(clamp);
    if config.firewall.mode != FirewallMode::Off {
        let mut gates = closed_gates(view, "wan_forward");
        gates.extend(networks::forward_gates(config));
        rules.extend(by_device(view, gates, |_| "wan_forward".into()));
    }
    base("forward", ChainKind::Filter, Hook::Forward, FILTER, rules)
}

/// The clamp for what comes from a narrow uplink. The route back that [`CLAMP`] asks for bears no
/// mark, and may be that of another, wider uplink; so the size is written down.
fn narrow_clamp(uplink: &UplinkView<'_>) -> String {
    let (ifname, size) = (uplink.ifname, uplink.mtu.saturating_sub(IPV4_TCP_HEADERS));
    format!(
        "iifname \"{ifname}\" meta nfproto ipv4 {SYN} tcp option maxseg size > {size} \
         tcp option maxseg size set {size}"
    )
}
