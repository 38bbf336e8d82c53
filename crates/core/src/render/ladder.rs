//! The ladder of policy rules, from the first asked to the last.
//!
//! What came in by an uplink goes inside: `main` alone is asked, without its default. What
//! comes from elsewhere and bears the mark of an uplink leaves by that uplink, before `main` is
//! asked. For a mark says that all is decided: it is put on known connections of an uplink, on
//! replies to what came in by it, on probes, and on the first packet of a connection only if
//! `main` has no way of its own for it. So a route that a VPN puts into `main` takes what begins
//! after it, and never a reply or a probe. An error route there cannot take them either, which
//! would end the lookup, as `suppress_prefixlength` passes over routes alone.
//!
//! Before `main` stand the copies of rules of others that would never be asked behind ours (`behind`).
//! Where `main` has an error route for everything it is asked only for the destinations that it has
//! other routes for, each by a rule of its own, or nothing that begins now would get past it.
//!
//! Behind `main`, for questions of our own rules alone, the mark of nobody leads to the loopback: so one
//! look tells a destination without a route there from one that has a route or is refused (`bucket`).
//!
//! Then come the sockets of the router and its other traffic. A tunnel of the router (`tunnels`) keeps the
//! source that it last heard something at, which leads to that uplink. Where that one carries nothing any
//! more, WireGuard is told that there is no such way: then it asks without a source, at once.
//!
//! What is left of the inside is refused: the default route of `main` is not for it, by whatever device
//! it leads.
//!
//! A box inside the LAN is the exception. Its mark is put on packets that connection tracking
//! cannot place, before anybody asked where they go, and so `main` is asked first.

use super::firewall::{bucket, egress};
use super::view::{UplinkView, View};
use super::{default_key, mark, table};
use crate::config::{Config, Tier};
use crate::net::{Family, IfName, Prefix, UplinkId};
use crate::state::table::MAIN;
use crate::state::{
    Key, MainDefault, NO_WAY, Nexthop, REFUSED, Resource, RouteKey, RouteValue, Rule, State,
};
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// Distances from the first rung.
pub(super) mod step {
    /// What came in by an uplink; all at this one.
    pub(in crate::render) const ARRIVED: u32 = 0;
    /// The mark of an uplink; its id is added.
    pub(in crate::render) const MARKED: u32 = 100;
    /// Copies of rules that stand behind ours.
    pub(in crate::render) const BEHIND: u32 = 230;
    /// `main` without its default.
    pub(in crate::render) const MAIN: u32 = 250;
    /// The destinations that `main` has routes for, where it refuses the others.
    pub(in crate::render) const MAIN_TO: u32 = 251;
    /// The mark of nobody, while `main` is asked for some destinations alone.
    pub(in crate::render) const MAIN_ASKED: u32 = 252;
    /// The mark of nobody, in questions of our rules.
    pub(in crate::render) const NOWHERE: u32 = 255;
    /// The mark of nobody.
    pub(in crate::render) const NOBODY: u32 = 260;
    /// The marks of boxes inside the LAN; all at this one.
    pub(in crate::render) const INSIDE: u32 = 270;
    /// A tunnel's port, and the source address of an uplink that carries nothing; all at this one.
    pub(in crate::render) const TUNNEL: u32 = 290;
    /// The source address of an uplink; its id is added.
    pub(in crate::render) const SOURCE: u32 = 300;
    /// The device of an uplink; its id is added.
    pub(in crate::render) const DEVICE: u32 = 500;
    /// Everything else.
    pub(in crate::render) const SHARED: u32 = 890;
    /// What came from the inside; the last rung.
    pub(in crate::render) const GUARD: u32 = 900;
}

/// The device that nothing is sent through to anybody else.
pub(crate) const LOOPBACK: &str = "lo";

/// All that connections can be made to, without multicast and what is reserved.
const UNICAST: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::UNSPECIFIED, 1),
    (Ipv4Addr::new(128, 0, 0, 0), 2),
    (Ipv4Addr::new(192, 0, 0, 0), 3),
];

/// Priorities of the first and the last rung of the ladder.
pub const fn rule_span(config: &Config) -> (u32, u32) {
    let base = config.ranges.rule_priorities.0;
    (base, base + step::GUARD)
}

/// The objects that probes of an uplink need to find their way.
pub(super) fn way(config: &Config, id: UplinkId, inside: bool) -> [Key; 2] {
    let rule = by_mark(config, (id, inside), Family::V4);
    [default_key(Family::V4, table(config, id), 0), Key::Rule(rule)]
}

fn rung(config: &Config, family: Family, distance: u32, table: u32) -> Rule {
    Rule::lookup(config.ranges.rule_priorities.0 + distance, family, table)
}

fn by_mark(config: &Config, (id, inside): (UplinkId, bool), family: Family) -> Rule {
    let fwmark = Some((mark(config, id), config.ranges.mark_mask));
    let outside = step::MARKED + u32::from(id.0);
    let distance = if inside { step::INSIDE } else { outside };
    Rule { fwmark, ..rung(config, family, distance, table(config, id)) }
}

/// The rungs of an uplink. A source that several uplinks have says nothing. On an interface of
/// several uplinks the shared table has a default for its sockets.
fn rules_of(config: &Config, uplink: &UplinkView<'_>, family: Family) -> Vec<Rule> {
    let (own, number) = (uplink.table, u32::from(uplink.id.0));
    let rung = |distance, table| rung(config, family, distance, table);
    let mut rules = alloc::vec![by_mark(config, (uplink.id, uplink.inside), family)];
    for address in uplink.told(family) {
        let from = Some(Prefix::host(*address));
        rules.push(Rule { from, ..rung(step::SOURCE + number, own) });
    }
    rules.extend(tunnels(config, uplink, family));
    if uplink.first {
        let table = if uplink.shared { config.ranges.tables.0 } else { own };
        let oif = Some(uplink.ifname);
        rules.push(Rule { oif, ..rung(step::DEVICE + number, table) });
        if !uplink.inside {
            let (iif, suppress_prefixlength) = (Some(uplink.ifname), Some(0));
            rules.push(Rule { iif, suppress_prefixlength, ..rung(step::ARRIVED, MAIN) });
        }
    }
    rules
}

/// What keeps the router's tunnels from the source of an uplink that carries nothing. One that is only
/// there for what comes in answers by itself. (By IPv6 WireGuard would not ask again.)
fn tunnels(config: &Config, uplink: &UplinkView<'_>, family: Family) -> Vec<Rule> {
    let carries = uplink.fact.active || uplink.tier == Tier::Inbound || family == Family::V6;
    let Some(iif) = LOOPBACK.parse().ok().filter(|_| !carries) else { return Vec::new() };
    let base = Rule { iif: Some(iif), ..rung(config, family, step::TUNNEL, NO_WAY) };
    let of = |port: &u16| {
        let from = |address: &IpAddr| Some(Prefix::host(*address));
        let told = uplink.told(family).iter().map(from);
        told.map(|from| Rule { from, udp_from: Some(*port), ..base.clone() }).collect::<Vec<_>>()
    };
    config.router.tunnels.iter().flat_map(of).collect()
}

/// The ladder of one family: the rungs of each uplink, and those that are nobody's own.
pub(super) fn render(state: &mut State, view: &View<'_>, family: Family) {
    let config = view.config;
    let rung = |distance, table| rung(config, family, distance, table);
    // What is asked of `main` is asked for IPv4: the bucket of a connection, and error routes.
    let is_asked = family == Family::V4;
    if let Some(table) = nowhere_table(config).filter(|_| is_asked && bucket::asks_once(view)) {
        nowhere(state, config, table);
    }
    let mut add = |rule| state.insert(Key::Rule(rule), Resource::Rule);
    for rule in view.enabled().flat_map(|uplink| rules_of(config, uplink, family)) {
        add(rule);
    }
    let main_at = |step| Rule { suppress_prefixlength: Some(0), ..rung(step, MAIN) };
    let fwmark = Some((egress::nobody(config), config.ranges.mark_mask));
    match &view.facts.system.main {
        MainDefault::Refuses { others: Some(networks), .. } if is_asked => {
            for to in networks {
                add(Rule { to: Some(*to), ..main_at(step::MAIN_TO) });
            }
            // A network that is not known yet has no rule, but a question for it finds its route.
            add(Rule { fwmark, ..main_at(step::MAIN_ASKED) });
        }
        MainDefault::Passable | MainDefault::Refuses { .. } => {
            add(main_at(step::MAIN));
        }
    }
    add(Rule { fwmark, ..rung(step::NOBODY, REFUSED) });
    add(rung(step::SHARED, config.ranges.tables.0));
    for network in &config.networks {
        let iif = Some(network.ifname);
        add(Rule { iif, ..rung(step::GUARD, REFUSED) });
    }
}

/// The table of the mark of nobody, behind those of all uplinks that there can be; none if the range ends
/// before it.
pub(super) fn nowhere_table(config: &Config) -> Option<u32> {
    let (first, last) = config.ranges.tables;
    Some(first + u32::from(config.ranges.highest_id()) + 1).filter(|table| *table <= last)
}

/// Where the mark of nobody leads behind `main`, if one of our own rules asks: its questions are those of
/// the router itself, and packets from elsewhere are refused as ever.
fn nowhere(state: &mut State, config: &Config, table: u32) {
    let Ok(loopback) = LOOPBACK.parse::<IfName>() else { return };
    let rule = rung(config, Family::V4, step::NOWHERE, table);
    let fwmark = Some((egress::nobody(config), config.ranges.mark_mask));
    let iif = Some(loopback);
    state.insert(Key::Rule(Rule { iif, fwmark, ..rule }), Resource::Rule);
    for (address, length) in UNICAST {
        let prefix = Prefix { address: address.into(), length };
        let hop = Nexthop { ifname: loopback, via: None, weight: 1, onlink: false };
        let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
        state.insert(Key::Route(RouteKey { table, prefix, metric: 0 }), Resource::Route(value));
    }
}
