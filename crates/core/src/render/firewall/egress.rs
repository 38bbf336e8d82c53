//! The last look at what leaves: no packet goes out by an uplink with a source
//! that is not that uplink's.
//!
//! Translation is decided once, with the first packet of a connection. One that began where
//! nothing is translated (through a VPN, by a route of `main`, before the first start) and then
//! loses its way would go on by an uplink with its inside source, as long as it sends. What
//! connection tracking cannot place, or must not see, is not translated either. So this chain
//! stands behind the translation and asks the packet itself.
//!
//! Nearly every packet has its uplink's source, and is let go by the first rule that knows its
//! interface. What fails is looked at again, in a chain of its own: further addresses of the interface
//! are the uplink's, too. So are addresses that were asked for by it. What goes to destinations that
//! the file exempts passes, and what IPsec will wrap, for the wrapped packet comes by here with a source
//! of its own.
//!
//! A connection whose packets are dropped here, and of which no way of another uplink can be back soon,
//! gets the mark that is nobody's. The daemon deletes it, and its next packet begins a new one, which is
//! translated. Rules alone cannot do that: nothing in a ruleset ends a connection that is known, and each
//! packet, though it is refused, keeps it alive.
//!
//! Left out: IPv6, and boxes inside the LAN, where all sources are right.

use crate::config::{Config, FirewallMode, Nat, Stray, UplinkConfig};
use crate::facts::Facts;
use crate::net::{Family, IfName, Prefix};
use crate::render::firewall::{Line, any_of, closed_as, devices, plain, set_mark};
use crate::render::mark;
use crate::state::{Base, Chain, ChainKind, Hook};
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Behind every translation, which is at 100 whoever does it.
const LAST: i32 = 250;

/// Where packets go whose source is not the uplink's first address.
pub(crate) const STRANGE: &str = "foreign_source";

/// Where packets go with the source of another uplink of the same interface.
const BESIDE: &str = "foreign_beside";

/// Where a connection is condemned by the uplink that it has.
const GIVEN_UP: &str = "given_up";

/// Packets of whoever began the connection. What an error says about one has another source than it.
const BEGUN: &str = "ct direction original ct state != related";

/// The chains that drop what has a foreign source.
pub const FOREIGN: [&str; 2] = [STRANGE, BESIDE];

/// The mark of connections that belong to no uplink and must begin anew.
pub(crate) const fn nobody(config: &Config) -> u32 {
    config.ranges.mark_mask
}

/// The chain at the hook, behind those it leads to; none without an uplink to guard.
pub(in crate::render) fn chains(config: &Config, facts: &Facts, lines: &[Line<'_>]) -> Vec<Chain> {
    let outside = || lines.iter().filter(|line| !line.inside);
    let simple = || outside().filter(|line| is_simple(line));
    let mut rules: Vec<_> = simple().filter_map(own_source).collect();
    rules.extend(inward(config));
    for line in outside() {
        rules.extend(by_gateway(config, line));
        if line.first && !is_simple(line) {
            let ifname = line.uplink.ifname;
            rules.extend(by_interface(config, ifname, ifname, true));
        }
    }
    let rest = |devices| format!("oifname {devices} meta nfproto ipv4 goto {STRANGE}");
    rules.extend(devices(simple()).map(rest));
    rules.extend(renamed(config, lines));
    if config.firewall.mode == FirewallMode::Basic {
        let may_be = |ifname| config.maybe_outside().any(|(other, _)| other == ifname);
        let is_free = |s: &Stray| !s.has_cable() && !may_be(s.ifname);
        let free = |ifname| facts.strays.iter().any(|s| s.ifname == ifname && is_free(s));
        let closed = closed_as(config, facts).into_iter().filter(|(ifname, _)| !free(*ifname));
        rules.extend(closed.flat_map(|(ifname, own)| by_interface(config, ifname, own, false)));
    }
    if rules.iter().all(|rule| rule.ends_with("accept")) {
        return Vec::new();
    }
    let base = Base { kind: ChainKind::Filter, hook: Hook::Postrouting, priority: LAST };
    let strange = plain(STRANGE.into(), strange(config, lines));
    let mut chains = vec![given_up(config, lines), strange];
    if rules.iter().any(|rule| rule.ends_with(BESIDE)) {
        chains.push(plain(BESIDE.into(), beside(config, lines)));
    }
    chains.push(Chain { name: "egress".into(), base: Some(base), rules });
    chains
}

/// The sources that belong to an uplink.
pub(in crate::render) fn sources(uplink: &UplinkConfig) -> Vec<String> {
    let written = |source: Prefix| match source == Prefix::host(source.address) {
        true => source.address.to_string(),
        false => source.network().to_string(),
    };
    let mut own: Vec<String> = Vec::new();
    for source in uplink.own_sources().filter(|source| source.family() == Family::V4) {
        let source = written(source);
        if !own.contains(&source) {
            own.push(source);
        }
    }
    own
}

/// The uplink has its interface for itself, and translates.
fn is_simple(line: &Line<'_>) -> bool {
    !line.shared && line.uplink.nat != Nat::Off
}

/// What leaves by such an interface with its uplink's source. No other rule here is for it, and to ask
/// them all costs more than a hundredth of the new connections that can be made. The source comes first
/// because a name takes longer to compare.
fn own_source(line: &Line<'_>) -> Option<String> {
    let own = any_of(sources(line.uplink))?;
    Some(format!("ip saddr {own} oifname \"{}\" accept", line.uplink.ifname))
}

/// What goes inside, for which there is no rule here either.
fn inward(config: &Config) -> Option<String> {
    let is_uplink = |ifname: IfName| {
        let has = |u: &UplinkConfig| u.ifname == ifname || u.others.contains(&ifname);
        config.uplinks.iter().any(has)
    };
    let inside = config.networks.iter().map(|network| network.ifname);
    let inside: BTreeSet<String> =
        inside.filter(|ifname| !is_uplink(*ifname)).map(|ifname| format!("\"{ifname}\"")).collect();
    Some(format!("oifname {} accept", any_of(inside.into_iter().collect())?))
}

/// Sources of other uplinks outside that are not this one's.
pub(in crate::render) fn of_others(
    config: &Config,
    uplink: &UplinkConfig,
    is_meant: impl Fn(&UplinkConfig) -> bool,
) -> Vec<String> {
    let own = sources(uplink);
    let is_other = |u: &&UplinkConfig| u.name != uplink.name && !config.is_inside(u) && is_meant(u);
    let others = config.uplinks.iter().filter(is_other);
    set(others).into_iter().filter(|other| !own.contains(other)).collect()
}

/// What leaves by an interface that is, or may be, the `own` one of uplinks. Without translation an
/// uplink may carry any source but those of the others; beside one that translates, only what goes its
/// way may.
fn by_interface(config: &Config, ifname: IfName, own: IfName, enabled: bool) -> Vec<String> {
    let here = |u: &&UplinkConfig| u.ifname == own && (u.enabled || !enabled);
    let is_open = |u: &&UplinkConfig| u.nat == Nat::Off;
    let own = set(config.uplinks.iter().filter(here));
    let others = config.uplinks.iter().filter(|u| !here(u) && !config.is_inside(u));
    let others = set(others).into_iter().filter(|other| !own.contains(other)).collect();
    let foreign = any_of(own).map(|own| format!("ip saddr != {own}"));
    // A network of its own may lie within one of theirs.
    let but_own = foreign.clone().unwrap_or_default();
    let taken = any_of(others).map(|others| format!("{but_own} ip saddr {others}"));
    let open: Vec<_> = config.uplinks.iter().filter(here).filter(is_open).collect();
    let closed: Vec<_> = config.uplinks.iter().filter(here).filter(|u| !is_open(u)).collect();
    let guards = if open.is_empty() {
        vec![foreign]
    } else if closed.is_empty() {
        vec![taken]
    } else {
        let ways = any_of(ways(&open, &closed)).unwrap_or_default();
        let to = |what: &str, guard: Option<String>| {
            guard.map(|guard| format!("rt ip nexthop {what}{ways} {guard}"))
        };
        vec![to("", taken), to("!= ", foreign)]
    };
    let whole = |guard: String| format!("oifname \"{ifname}\" {guard} goto {STRANGE}");
    guards.into_iter().flatten().map(whole).collect()
}

/// The next hops of uplinks without translation: their gateways, and their neighbours where these are
/// not those of an uplink that translates.
fn ways(open: &[&UplinkConfig], closed: &[&UplinkConfig]) -> Vec<String> {
    let is_shared = |u: &UplinkConfig| {
        let is_other = |o: &&&UplinkConfig| o.address.network() != u.address.network();
        let mut beside = closed.iter().chain(open.iter().filter(is_other));
        beside.any(|other| other.address.meets(u.address))
    };
    let holds_other = |u: &UplinkConfig| closed.iter().any(|c| u.address.contains(c.gateway));
    let mut ways: Vec<String> = Vec::new();
    for uplink in open {
        let network = uplink.address.network();
        let has_own = network.length < 32 && !is_shared(uplink) && !holds_other(uplink);
        let gateway =
            (!has_own || !network.contains(uplink.gateway)).then(|| uplink.gateway.to_string());
        for way in has_own.then(|| network.to_string()).into_iter().chain(gateway) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    ways
}

/// What leaves by the gateway of an uplink that shares its interface, with the source of another one
/// there. A disabled one may have left its addresses.
fn by_gateway(config: &Config, line: &Line<'_>) -> Option<String> {
    let (ifname, gateway, own) = (line.uplink.ifname, line.uplink.gateway, sources(line.uplink));
    let beside = config.uplinks.iter().filter(|u| u.ifname == ifname && u.name != line.uplink.name);
    let theirs = |u: &UplinkConfig| match u.enabled {
        true => sources(u),
        false => u.own_addresses().filter(IpAddr::is_ipv4).map(|own| own.to_string()).collect(),
    };
    let others: BTreeSet<String> = beside.flat_map(theirs).collect();
    let (own, others) = (any_of(own)?, any_of(others.into_iter().collect())?);
    Some(format!(
        "oifname \"{ifname}\" rt ip nexthop {gateway} ip saddr != {own} ip saddr {others} goto {BESIDE}"
    ))
}

/// What leaves by the gateway of an uplink that has it, but by an interface of another name: the device
/// was renamed, and its routes went with it. Rules that know the new name are a moment away.
fn renamed(config: &Config, lines: &[Line<'_>]) -> Option<String> {
    let known = devices(lines.iter())?;
    let outside = lines.iter().filter(|line| !line.inside).map(|line| line.uplink);
    let closed: Vec<_> = outside.filter(|uplink| uplink.nat != Nat::Off).collect();
    let own = any_of(set(closed.iter().copied()))?;
    let mut gateways: Vec<_> = closed.iter().map(|uplink| uplink.gateway.to_string()).collect();
    gateways.sort();
    gateways.dedup();
    let (gateways, mask) = (any_of(gateways)?, config.ranges.mark_mask);
    Some(format!(
        "rt ip nexthop {gateways} oifname != {known} meta mark and {mask:#010x} != 0x00000000 \
         ip saddr != {own} goto {STRANGE}"
    ))
}

fn set<'a>(uplinks: impl Iterator<Item = &'a UplinkConfig>) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    for source in uplinks.flat_map(sources) {
        if !all.contains(&source) {
            all.push(source);
        }
    }
    all
}

/// The addresses of uplinks elsewhere that no provider of this interface routes to us.
pub(in crate::render) fn elsewhere(config: &Config, ifname: IfName) -> BTreeSet<IpAddr> {
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        config.uplinks.iter().partition(|uplink| uplink.ifname == ifname);
    let outside = elsewhere.into_iter().filter(|uplink| !config.is_inside(uplink));
    let routed: Vec<Prefix> = here.into_iter().flat_map(UplinkConfig::own_sources).collect();
    let is_routed = |address: &IpAddr| routed.iter().any(|own| own.contains(*address));
    let addresses = outside.flat_map(UplinkConfig::own_addresses).filter(IpAddr::is_ipv4);
    addresses.filter(|address| !is_routed(address)).collect()
}

/// The address of an uplink elsewhere is refused whoever asked for it by this interface, unless it is
/// here as well.
fn taken(config: &Config, line: &Line<'_>) -> Option<String> {
    let ifname = line.uplink.ifname;
    let taken = elsewhere(config, ifname);
    let taken = any_of(taken.iter().map(ToString::to_string).collect())?;
    let there = "fib saddr . oif type != local";
    Some(format!("oifname \"{ifname}\" ct direction reply ip saddr {taken} {there} counter drop"))
}

/// The replies to neighbours of an uplink, the gateway among them: they may have asked for a host
/// inside, and their connections bear no mark, for `main` leads back to them.
fn to_asker(config: &Config, lines: &[Line<'_>], line: &Line<'_>) -> Vec<String> {
    let (ifname, mask) = (line.uplink.ifname, config.ranges.mark_mask);
    let reply =
        format!("oifname \"{ifname}\" ct direction reply ct mark and {mask:#010x} == 0x00000000");
    let here = lines.iter().filter(|other| other.uplink.ifname == ifname);
    let gateways = any_of(here.map(|other| other.uplink.gateway.to_string()).collect());
    let rules = gateways.filter(|_| line.first).map(|gateways| {
        [
            format!("{reply} ip daddr {gateways} accept"),
            format!("{reply} rt ip nexthop != {gateways} accept"),
        ]
    });
    rules.into_iter().flatten().collect()
}

/// What may leave nevertheless; the rest is dropped.
fn strange(config: &Config, lines: &[Line<'_>]) -> Vec<String> {
    let mask = config.ranges.mark_mask;
    let mut rules = vec!["rt ipsec exists accept".to_string()];
    // An answer for a host inside, while no route leads there: the default would send it back out.
    let outside = || lines.iter().filter(|line| !line.inside);
    rules.extend(devices(outside()).map(|devices| {
        format!("iifname {devices} ct direction reply ct mark and {mask:#010x} != 0x00000000 counter drop")
    }));
    // Answers to what an uplink translated on its way out go inside. One of the router itself that would
    // leave again answers a packet that came by another interface, for an address that was not here
    // yet when the connection began. (A host inside answers what others translated on its way in.)
    rules.push(
        "ct direction reply ct status and (snat | dnat) == snat fib saddr type local counter drop"
            .into(),
    );
    rules.extend(answers(lines));
    rules.extend(outside().filter(|line| line.first).filter_map(|line| taken(config, line)));
    // Somebody asked for this address by this uplink: its provider routes it to us.
    rules.extend(outside().map(|line| {
        let (ifname, mark) = (line.uplink.ifname, mark(config, line.id));
        format!("oifname \"{ifname}\" ct direction reply ct mark and {mask:#010x} == {mark:#010x} accept")
    }));
    rules.extend(outside().flat_map(|line| to_asker(config, lines, line)));
    rules.extend(exempt(lines));
    rules.extend([
        "fib saddr . oif type local accept".into(),
        // The router itself, before it has an address.
        "ip saddr 0.0.0.0 accept".into(),
    ]);
    rules.extend(refused(config, lines));
    rules
}

/// The same for the source of another uplink of the same interface: its address, which is one of that
/// interface, or a network that is routed to it.
fn beside(config: &Config, lines: &[Line<'_>]) -> Vec<String> {
    let mut rules = vec!["rt ipsec exists accept".to_string()];
    // A gateway may ask for the address of the uplink beside its own, and is answered directly.
    let shared = lines.iter().filter(|line| line.shared && line.first && !line.inside);
    rules.extend(shared.filter_map(|line| to_asker(config, lines, line).into_iter().next()));
    rules.extend(exempt(lines));
    rules.extend(refused(config, lines));
    rules
}

/// An answer to what went out goes inside, or nowhere: a host inside may have forged it.
fn answers(lines: &[Line<'_>]) -> Option<String> {
    let outside = lines.iter().filter(|line| !line.inside).map(|line| line.uplink);
    let own = any_of(set(outside))?;
    Some(format!("ct direction reply ct reply ip daddr {own} counter drop"))
}

/// What goes to destinations that the file exempts from translation, by the uplink that exempts them.
fn exempt(lines: &[Line<'_>]) -> Vec<String> {
    let mut rules = Vec::new();
    for line in lines {
        let there = any_of(line.uplink.no_nat.iter().map(ToString::to_string).collect());
        let accept = |way: String| {
            there.as_ref().map(|there| {
                format!("oifname \"{}\"{way} ip daddr {there} accept", line.uplink.ifname)
            })
        };
        if line.shared {
            let here = lines.iter().filter(|other| other.uplink.ifname == line.uplink.ifname);
            let all = any_of(here.map(|other| other.uplink.gateway.to_string()).collect());
            rules.extend(accept(format!(" rt ip nexthop {}", line.uplink.gateway)));
            rules.extend(all.and_then(|all| accept(format!(" rt ip nexthop != {all}"))));
        } else {
            rules.extend(accept(String::new()));
        }
    }
    rules
}

/// The end of a packet that may not leave, and of its connection, which would be refused as long as it
/// sends. But one of another uplink went astray: it goes on when its way is back.
fn refused(config: &Config, lines: &[Line<'_>]) -> Vec<String> {
    let mask = config.ranges.mark_mask;
    let condemned = set_mark(config, "ct", nobody(config));
    let has = |what: &str| format!("ct mark and {mask:#010x} {what} 0x00000000 {condemned}");
    let mut rules = Vec::new();
    let outside = devices(lines.iter().filter(|line| !line.inside));
    // What was forwarded inside lacks its route for a moment, and goes on.
    rules.extend(
        outside.as_ref().map(|there| format!("iifname {there} ct status dnat counter drop")),
    );
    rules.push(has("=="));
    // Only what a host inside or the router sends: the rest lacks its route inside as well.
    rules.extend(outside.map(|there| format!("iifname != {there} {BEGUN} jump {GIVEN_UP}")));
    // A socket of the router that is bound to an address: `main` led elsewhere when it began, and now
    // its address leads to the uplink that has it.
    rules.push(format!("meta mark and {mask:#010x} == 0x00000000 {BEGUN} {}", has("!=")));
    rules.push("counter drop".into());
    rules
}

/// What leaves by its own uplink, but as that one had it before: something was exempt, for example. A chain
/// of its own, so that the rule of an uplink stands while others come and go.
fn given_up(config: &Config, lines: &[Line<'_>]) -> Chain {
    let (mask, condemned) = (config.ranges.mark_mask, set_mark(config, "ct", nobody(config)));
    let rule = |line: &Line<'_>| {
        let (uplink, mark) = (line.uplink, mark(config, line.id));
        format!(
            "oifname \"{}\" rt ip nexthop {} ct mark and {mask:#010x} == {mark:#010x} {condemned}",
            uplink.ifname, uplink.gateway
        )
    };
    plain(GIVEN_UP.into(), lines.iter().filter(|line| !line.inside).map(rule).collect())
}
