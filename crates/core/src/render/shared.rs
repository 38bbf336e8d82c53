//! Uplinks that have something in common: an interface, a subnet, or even the address.
//!
//! * **One interface, several uplinks.** What arrives belongs to the uplink whose address was asked
//!   for; what asks for none of them (a network routed to us) to the uplink whose gateway sent it,
//!   by its hardware address, else to the first. What leaves belongs to the uplink whose gateway is
//!   the next hop, not to the bucket: the router's own packets have none.
//! * **One subnet, several interfaces.** Each interface answers ARP for its own address only.
//! * **One address on several interfaces** ("twins": two USB sticks of one make). Arrivals are
//!   told by interface. A source address says nothing here, so twins have no rule by source: the
//!   mark of its connection puts a packet of the router back on its uplink, and what has none goes
//!   to a twin that is usable.
//!
//! Left out: hosts in a common subnet, which the kernel reaches by the interface that it lists
//! first. Refused by the configuration: one address, or one gateway, twice on an interface.

use super::default_by;
use super::firewall::{any_of, devices, egress, on_lan, plain};
use super::view::{UplinkView, View};
use crate::net::Family;
use crate::net::Family::V4;
use crate::state::{Chain, RouteValue};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Where the router's own ICMP errors get their source.
const SAID: &str = "said";

/// The other enabled uplinks on other interfaces.
fn elsewhere<'v>(
    view: &'v View<'_>,
    uplink: &UplinkView<'_>,
) -> impl Iterator<Item = &'v UplinkView<'v>> {
    let ifname = uplink.ifname;
    view.enabled().filter(move |other| other.ifname != ifname)
}

/// True if an uplink is on another interface.
pub(super) fn has_other_device(view: &View<'_>, uplink: &UplinkView<'_>) -> bool {
    elsewhere(view, uplink).next().is_some()
}

/// True if another interface has an address in the same subnet. (Whose it is, ARP asks; so this is
/// about IPv4.)
pub(super) fn shares_subnet(view: &View<'_>, uplink: &UplinkView<'_>) -> bool {
    let ours = &uplink.prefixes[V4];
    let mut theirs = elsewhere(view, uplink).flat_map(|other| &other.prefixes[V4]);
    theirs.any(|theirs| ours.iter().any(|ours| theirs.meets(*ours)))
}

/// True if a link of ours is on its port: its own, or that of another uplink.
pub(super) fn shares_port(view: &View<'_>, uplink: &UplinkView<'_>) -> bool {
    view.uplinks.iter().any(|other| other.own_link.is_some() && other.port == uplink.port)
}

/// True if an uplink before it on its interface is in the same subnet.
pub(super) fn is_subnet_taken(view: &View<'_>, uplink: &UplinkView<'_>) -> bool {
    let Some(own) = uplink.way[V4] else { return false };
    let before = view.on(uplink.ifname).take_while(|other| other.name != uplink.name);
    let mut ways = before.filter_map(|other| other.way[V4]);
    ways.any(|first| first.address.meets(own.address))
}

/// True if the kernel takes this uplink's address for its gateway when nothing names a source. Of
/// several addresses in the gateway's subnet it takes the first, of those in none any.
pub(super) fn has_sure_source(view: &View<'_>, uplink: &UplinkView<'_>, family: Family) -> bool {
    let Some(gateway) = uplink.gateway(family) else { return !uplink.shared };
    let reaches =
        |other: &UplinkView<'_>| other.way[family].is_some_and(|way| way.address.contains(gateway));
    !uplink.shared || view.on(uplink.ifname).all(|u| reaches(u) == (u.name == uplink.name))
}

/// For sockets bound to an interface of several uplinks: its first usable one. `None` if it has
/// one uplink only, or if `uplink` does not speak for it.
pub(super) fn device_default(
    view: &View<'_>,
    uplink: &UplinkView<'_>,
    family: Family,
) -> Option<RouteValue> {
    if !uplink.shared || !uplink.first {
        return None;
    }
    let ready = view.on(uplink.ifname).filter_map(|here| Some((here, here.route(family)?)));
    let (taken, way) = ready.min_by_key(|(here, _)| !here.fact.is_serving())?;
    Some(default_by(taken, way))
}

/// Tells whose the first packet of a connection is that came in by an interface of several uplinks.
pub(super) fn arrivals<'v>(here: impl Iterator<Item = &'v UplinkView<'v>> + Clone) -> Vec<String> {
    let from = |uplink: &UplinkView<'_>| format!("goto from_{}", uplink.name);
    let addresses = here.clone().flat_map(|uplink| {
        uplink.own[V4].iter().map(move |own| format!("{own} : {}", from(uplink)))
    });
    let addresses: Vec<String> = addresses.collect();
    let mut rules = Vec::new();
    if !addresses.is_empty() {
        rules.push(format!("ip daddr vmap {{ {} }}", addresses.join(", ")));
    }
    let mut gateways: Vec<(String, String)> = Vec::new();
    for uplink in here.clone() {
        if let Some(mac) = uplink.fact.gateway_mac {
            let mac = mac.to_string();
            // Two gateways of one box cannot be told apart.
            if gateways.iter().all(|(known, _)| *known != mac) {
                gateways.push((mac, from(uplink)));
            }
        }
    }
    if !gateways.is_empty() {
        let elements: Vec<String> =
            gateways.iter().map(|(mac, from)| format!("{mac} : {from}")).collect();
        rules.push(format!("ether saddr vmap {{ {} }}", elements.join(", ")));
    }
    rules.extend(here.clone().next().map(from));
    rules
}

/// The uplinks of one address, several at least; the first speaks for them.
fn twins<'v>(view: &'v View<'_>) -> Vec<Vec<&'v UplinkView<'v>>> {
    let mut groups: Vec<Vec<&UplinkView<'_>>> = Vec::new();
    for uplink in view.enabled().filter(|uplink| uplink.twin[V4]) {
        let same = |group: &&mut Vec<&UplinkView<'_>>| {
            group.first().is_some_and(|first| first.address(V4) == uplink.address(V4))
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(uplink),
            None => groups.push(vec![uplink]),
        }
    }
    groups
}

/// The element of the bucket map for each address of several uplinks: the one that the router's own
/// new connections from that address take, an active one before a standby.
pub(super) fn elements(view: &View<'_>) -> Vec<(u32, u32)> {
    let element = |group: Vec<&UplinkView<'_>>| {
        let first = group.first()?;
        let usable = group.iter().filter(|u| u.fact.is_routable(V4) && u.fact.is_serving());
        let taken = usable.min_by_key(|uplink| !uplink.fact.active)?;
        Some((on_lan::element(first.id), taken.mark))
    };
    twins(view).into_iter().filter_map(element).collect()
}

/// The own addresses of the uplinks outside by where they are at home: the interfaces that have them,
/// and the loopback.
fn homes(view: &View<'_>) -> Vec<(Vec<String>, Vec<String>)> {
    let mut homes: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    for source in view.outside().flat_map(|uplink| &uplink.own[V4]) {
        let mut devices: Vec<String> = Vec::new();
        for uplink in view.outside().filter(|uplink| uplink.own[V4].contains(source)) {
            let device = uplink.device();
            if !devices.contains(&device) {
                devices.push(device);
            }
        }
        devices.push("\"lo\"".into());
        let source = source.to_string();
        match homes.iter_mut().find(|(known, _)| *known == devices) {
            Some((_, sources)) if sources.contains(&source) => {}
            Some((_, sources)) => sources.push(source),
            None => homes.push((devices, vec![source])),
        }
    }
    homes
}

/// What the router says about a packet of an uplink's connection has the source that a route without a
/// mark gives, of any uplink or a modem's network. It gets that of the uplink, but where IPsec will wrap
/// it: with another source it would miss its policy.
///
/// A chain of its own, so that the rule of an uplink stands while others come and go.
pub(super) fn said(view: &View<'_>) -> Option<Chain> {
    let mask = view.config.ranges.mark_mask;
    let rules = view.outside().filter_map(|uplink| {
        let (mark, source) = (uplink.mark, uplink.address(V4)?);
        let mut own: BTreeSet<String> = uplink.own[V4].iter().map(ToString::to_string).collect();
        own.extend(egress::sources(uplink));
        let own = any_of(own.into_iter().collect())?;
        Some(format!(
            "ct mark and {mask:#010x} == {mark:#010x} ip saddr != {own} ip saddr set {source}"
        ))
    });
    view.outside().next()?;
    let mut rules: Vec<String> = rules.collect();
    rules.insert(0, "rt ipsec exists accept".into());
    Some(plain(SAID.into(), rules))
}

/// Packets of the router that belong to a connection of an uplink, and whose way does not show it:
///
/// * from an address that is not one uplink's and so has no rule: an inside one, or that of several
///   uplinks. Without the mark a return or a death would move it to another uplink, with the source of
///   its first one;
/// * what the router says about a packet of such a connection (too large, too far, refused), from
///   whatever address. What it says to a host inside leaves by no uplink, and is left alone;
/// * from an address of an uplink, on the way into something else: a VPN that `main` has a route for, or
///   another uplink. It answers what came in by the uplink, for a socket that is bound to the address and begins
///   something itself goes where it will: its connection has no mark yet.
///
/// `restored` gives a packet without a mark of ours the mark of its connection.
pub(super) fn own_packets(view: &View<'_>, restored: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let told = view.enabled().flat_map(|uplink| uplink.told(V4));
    let told = any_of(told.map(ToString::to_string).collect());
    let others = told.map_or("meta nfproto ipv4".into(), |told| format!("ip saddr != {told}"));
    if let Some(uplinks) = devices(view.outside()) {
        rules.push(format!("oifname {uplinks} meta l4proto icmp ct state related jump {SAID}"));
        rules.push(format!("oifname {uplinks} {others} {restored}"));
        rules.push(format!("oifname {uplinks} ct state related meta nfproto ipv4 {restored}"));
        for (devices, sources) in homes(view) {
            if let (Some(own), Some(here)) = (any_of(sources), any_of(devices)) {
                rules.push(format!("ip saddr {own} oifname != {here} {restored}"));
            }
        }
    } else if view.enabled().next().is_some() {
        rules.push(format!("{others} {restored}"));
    }
    for group in twins(view) {
        let Some((first, source)) = group.first().and_then(|u| Some((u, u.address(V4)?))) else {
            continue;
        };
        // Where it is about to leave by one of them already, somebody bound it to that.
        let mut there = vec!["\"lo\"".to_string()];
        there.extend(group.iter().map(|uplink| uplink.device()));
        let there = any_of(there).unwrap_or_default();
        let set = on_lan::from_element(first.id);
        rules.push(format!("ip saddr {source} oifname != {there} meta mark 0x00000000 {set}"));
    }
    rules
}
