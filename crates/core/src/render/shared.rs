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

use super::{default_by, mark};
use crate::config::{Config, UplinkConfig};
use crate::facts::{Facts, UplinkFacts};
use crate::net::IfName;
use crate::render::firewall::{Line, any_of, devices, plain};
use crate::render::firewall::{egress, on_lan};
use crate::state::{Chain, RouteValue};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Where the router's own ICMP errors get their source.
const SAID: &str = "said";

/// The enabled uplinks on an interface, in the order of the file.
fn on_interface(config: &Config, ifname: IfName) -> impl Iterator<Item = &UplinkConfig> {
    config.uplinks.iter().filter(move |u| u.enabled && u.ifname == ifname)
}

/// The other enabled uplinks.
fn others<'a>(
    config: &'a Config,
    uplink: &'a UplinkConfig,
) -> impl Iterator<Item = &'a UplinkConfig> {
    config.uplinks.iter().filter(|other| other.enabled && other.name != uplink.name)
}

/// True if the uplink is not alone on its interface.
pub(crate) fn shares_interface(config: &Config, uplink: &UplinkConfig) -> bool {
    on_interface(config, uplink.ifname).nth(1).is_some()
}

/// True if the uplink speaks for its interface where one must.
pub(super) fn is_first(config: &Config, uplink: &UplinkConfig) -> bool {
    on_interface(config, uplink.ifname).next().is_some_and(|first| first.name == uplink.name)
}

/// True if an uplink is on another interface.
pub(super) fn has_other_device(config: &Config, uplink: &UplinkConfig) -> bool {
    others(config, uplink).any(|other| other.ifname != uplink.ifname)
}

/// True if another interface has an address in the same subnet.
pub(super) fn shares_subnet(config: &Config, uplink: &UplinkConfig) -> bool {
    let mut elsewhere = others(config, uplink).filter(|other| other.ifname != uplink.ifname);
    elsewhere.any(|other| {
        other.prefixes().any(|theirs| uplink.prefixes().any(|ours| theirs.meets(ours)))
    })
}

/// True if a link of ours is on its port: its own, or that of another uplink.
pub(super) fn shares_port(config: &Config, uplink: &UplinkConfig) -> bool {
    let is_on_it = |other: &UplinkConfig| other.own_link.is_some() && other.port() == uplink.port();
    config.uplinks.iter().any(is_on_it)
}

/// True if a line before it on its interface is in the same subnet.
pub(super) fn is_subnet_taken(config: &Config, uplink: &UplinkConfig) -> bool {
    let mut before = on_interface(config, uplink.ifname).take_while(|u| u.name != uplink.name);
    before.any(|first| first.address.meets(uplink.address))
}

/// True if another uplink has the same address.
pub(super) fn is_twin(config: &Config, uplink: &UplinkConfig) -> bool {
    others(config, uplink).any(|other| other.address.address == uplink.address.address)
}

/// Those of an uplink's own addresses that say whose a packet is: all that no other uplink has.
pub(super) fn told_sources<'a>(
    config: &Config,
    uplink: &UplinkConfig,
    own: &'a [IpAddr],
) -> impl Iterator<Item = IpAddr> + use<'a> {
    own.iter().copied().skip(usize::from(is_twin(config, uplink)))
}

/// True if the kernel takes this line's address for its gateway when nothing names a source. Of
/// several addresses in the gateway's subnet it takes the first, of those in none any.
pub(super) fn has_sure_source(config: &Config, uplink: &UplinkConfig) -> bool {
    let reaches = |u: &UplinkConfig| u.address.contains(uplink.gateway);
    !shares_interface(config, uplink)
        || on_interface(config, uplink.ifname).all(|u| reaches(u) == (u.name == uplink.name))
}

/// For sockets bound to an interface of several lines: its first usable line. `None` if it has
/// one line only, or if `uplink` does not speak for it.
pub(super) fn device_default(
    config: &Config,
    facts: &Facts,
    uplink: &UplinkConfig,
) -> Option<RouteValue> {
    if !shares_interface(config, uplink) || !is_first(config, uplink) {
        return None;
    }
    let lines = config.uplinks.iter().zip(&facts.uplinks);
    let ready = |(u, f): &(&UplinkConfig, &UplinkFacts)| {
        u.enabled && u.ifname == uplink.ifname && f.is_routable()
    };
    let (line, _) = lines.filter(ready).min_by_key(|(_, f)| !f.is_serving())?;
    Some(default_by(line))
}

/// Tells whose the first packet of a connection is that came in by an interface of several uplinks.
pub(super) fn arrivals(facts: &Facts, lines: &[&Line<'_>]) -> Vec<String> {
    let from = |line: &Line<'_>| format!("goto from_{}", line.uplink.name);
    let by_address = |line: &&Line<'_>| {
        let from = from(line);
        let own = line.own.iter().map(move |own| format!("{own} : {from}"));
        own.collect::<Vec<_>>()
    };
    let addresses: Vec<String> = lines.iter().flat_map(by_address).collect();
    let mut rules = vec![format!("ip daddr vmap {{ {} }}", addresses.join(", "))];
    let mut gateways: Vec<(String, String)> = Vec::new();
    for line in lines {
        let fact = facts.uplinks.iter().find(|fact| fact.id == line.id);
        if let Some(mac) = fact.and_then(|fact| fact.gateway_mac) {
            let mac = mac.to_string();
            // Two gateways of one box cannot be told apart.
            if gateways.iter().all(|(known, _)| *known != mac) {
                gateways.push((mac, from(line)));
            }
        }
    }
    if !gateways.is_empty() {
        let elements: Vec<String> =
            gateways.iter().map(|(mac, from)| format!("{mac} : {from}")).collect();
        rules.push(format!("ether saddr vmap {{ {} }}", elements.join(", ")));
    }
    rules.extend(lines.first().map(|line| from(line)));
    rules
}

/// Which of the packets that leave by an interface of several lines are this line's: those to its
/// gateway.
pub(super) fn to_gateway(uplink: &UplinkConfig) -> String {
    format!("oifname \"{}\" rt ip nexthop {}", uplink.ifname, uplink.gateway)
}

/// The lines of one address, several at least; the first speaks for them.
fn twins<'a, T>(
    config: &'a Config,
    all: &'a [T],
    of: impl Fn(&T) -> &UplinkConfig,
) -> Vec<Vec<&'a T>> {
    let mut groups: Vec<Vec<&T>> = Vec::new();
    for item in all {
        let uplink = of(item);
        let same = |group: &&mut Vec<&T>| {
            group.first().is_some_and(|first| of(first).address.address == uplink.address.address)
        };
        if !uplink.enabled || !is_twin(config, uplink) {
            continue;
        }
        match groups.iter_mut().find(same) {
            Some(group) => group.push(item),
            None => groups.push(vec![item]),
        }
    }
    groups
}

/// The element of the bucket map for each address of several lines: the line that the router's own
/// new connections from that address take, an active one before a standby.
pub(super) fn elements(config: &Config, facts: &Facts) -> Vec<(u32, u32)> {
    let pairs: Vec<_> = config.uplinks.iter().zip(&facts.uplinks).collect();
    let element = |group: Vec<&(&UplinkConfig, &UplinkFacts)>| {
        let (_, first) = group.first()?;
        let usable = group.iter().filter(|(_, f)| f.is_routable() && f.is_serving());
        let (_, taken) = usable.min_by_key(|(_, f)| !f.active)?;
        Some((on_lan::element(first.id), mark(config, taken.id)))
    };
    twins(config, &pairs, |(uplink, _)| uplink).into_iter().filter_map(element).collect()
}

/// The own addresses of the uplinks outside by where they are at home: the interfaces that have them,
/// and the loopback.
fn homes(lines: &[Line<'_>]) -> Vec<(Vec<String>, Vec<String>)> {
    let mut homes: Vec<(Vec<String>, Vec<String>)> = Vec::new();
    let outside = || lines.iter().filter(|line| !line.inside);
    for source in outside().flat_map(|line| &line.own) {
        let mut devices: Vec<String> = Vec::new();
        for line in outside().filter(|line| line.own.contains(source)) {
            let device = format!("\"{}\"", line.uplink.ifname);
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
pub(super) fn said(config: &Config, lines: &[Line<'_>]) -> Option<Chain> {
    let mask = config.ranges.mark_mask;
    let rules = lines.iter().filter(|line| !line.inside).filter_map(|line| {
        let (mark, source) = (mark(config, line.id), line.uplink.address.address);
        let mut own: BTreeSet<String> = line.own.iter().map(ToString::to_string).collect();
        own.extend(egress::sources(line.uplink));
        let own = any_of(own.into_iter().collect())?;
        Some(format!(
            "ct mark and {mask:#010x} == {mark:#010x} ip saddr != {own} ip saddr set {source}"
        ))
    });
    let mut rules: Vec<String> = rules.collect();
    if rules.is_empty() {
        return None;
    }
    rules.insert(0, "rt ipsec exists accept".into());
    Some(plain(SAID.into(), rules))
}

/// Packets of the router that belong to a connection of an uplink, and whose way does not show it:
///
/// * from an address that is not one line's and so has no rule: an inside one, or that of several
///   uplinks. Without the mark a return or a death would move it to another uplink, with the source of
///   its first one;
/// * what the router says about a packet of such a connection (too large, too far, refused), from
///   whatever address. What it says to a host inside leaves by no uplink, and is left alone;
/// * from an address of a line, on the way into something else: a VPN that `main` has a route for, or
///   another uplink. It answers what came in by the uplink, for a socket that is bound to the address and begins
///   something itself goes where it will: its connection has no mark yet.
///
/// `restored` gives a packet without a mark of ours the mark of its connection.
pub(super) fn own_packets(config: &Config, lines: &[Line<'_>], restored: &str) -> Vec<String> {
    let mut rules = Vec::new();
    let told = lines.iter().flat_map(|line| told_sources(config, line.uplink, &line.own));
    let told = any_of(told.map(|address| address.to_string()).collect());
    let others = told.map_or("meta nfproto ipv4".into(), |told| format!("ip saddr != {told}"));
    if let Some(uplinks) = devices(lines.iter().filter(|line| !line.inside)) {
        rules.push(format!("oifname {uplinks} meta l4proto icmp ct state related jump {SAID}"));
        rules.push(format!("oifname {uplinks} {others} {restored}"));
        rules.push(format!("oifname {uplinks} ct state related meta nfproto ipv4 {restored}"));
        for (devices, sources) in homes(lines) {
            if let (Some(own), Some(here)) = (any_of(sources), any_of(devices)) {
                rules.push(format!("ip saddr {own} oifname != {here} {restored}"));
            }
        }
    } else if !lines.is_empty() {
        rules.push(format!("{others} {restored}"));
    }
    for group in twins(config, lines, |line| line.uplink) {
        let Some(first) = group.first() else { continue };
        let from = format!("ip saddr {}", first.uplink.address.address);
        // Where it is about to leave by one of them already, somebody bound it to that.
        let mut there = vec!["\"lo\"".to_string()];
        there.extend(group.iter().map(|line| format!("\"{}\"", line.uplink.ifname)));
        let there = any_of(there).unwrap_or_default();
        let set = on_lan::from_element(first.id);
        rules.push(format!("{from} oifname != {there} meta mark 0x00000000 {set}"));
    }
    rules
}
