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

use crate::config::{Config, FirewallMode, Nat, Stray};
use crate::net::Family::V4;
use crate::net::{IfName, Prefix};
use crate::render::firewall::{any_of, closed_as, devices, plain, set_mark};
use crate::render::view::{UplinkView, View};
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
pub(in crate::render) fn chains(view: &View<'_>) -> Vec<Chain> {
    let simple = || view.outside().filter(|uplink| is_simple(uplink));
    let mut rules: Vec<_> = simple().filter_map(own_source).collect();
    rules.extend(inward(view));
    for uplink in view.outside() {
        rules.extend(by_gateway(view, uplink));
        if uplink.first && !is_simple(uplink) {
            rules.extend(by_interface(view, uplink.ifname, uplink.ifname, true));
        }
    }
    let rest = |devices| format!("oifname {devices} meta nfproto ipv4 goto {STRANGE}");
    rules.extend(devices(simple()).map(rest));
    rules.extend(renamed(view));
    if view.config.firewall.mode == FirewallMode::Basic {
        let may_be = |ifname| view.maybe_outside().any(|(other, _)| other == ifname);
        let is_free = |s: &Stray| !s.has_cable() && !may_be(s.ifname);
        let free =
            |ifname| view.facts.system.strays.iter().any(|s| s.ifname == ifname && is_free(s));
        let closed = closed_as(view).into_iter().filter(|(ifname, _)| !free(*ifname));
        rules.extend(closed.flat_map(|(ifname, own)| by_interface(view, ifname, own, false)));
    }
    if rules.iter().all(|rule| rule.ends_with("accept")) {
        return Vec::new();
    }
    let base = Base { kind: ChainKind::Filter, hook: Hook::Postrouting, priority: LAST };
    let mut chains = vec![given_up(view), plain(STRANGE.into(), strange(view))];
    if rules.iter().any(|rule| rule.ends_with(BESIDE)) {
        chains.push(plain(BESIDE.into(), beside(view)));
    }
    chains.push(Chain { name: "egress".into(), base: Some(base), rules });
    chains
}

/// The sources that belong to an uplink.
pub(in crate::render) fn sources(uplink: &UplinkView<'_>) -> Vec<String> {
    set([uplink].into_iter())
}

/// The uplink has its interface for itself, and translates.
fn is_simple(uplink: &UplinkView<'_>) -> bool {
    !uplink.shared && uplink.nat != Nat::Off
}

/// What leaves by such an interface with its uplink's source. No other rule here is for it, and to ask
/// them all costs more than a hundredth of the new connections that can be made. The source comes first
/// because a name takes longer to compare.
fn own_source(uplink: &UplinkView<'_>) -> Option<String> {
    let own = any_of(sources(uplink))?;
    Some(format!("ip saddr {own} {} accept", uplink.by()))
}

/// What goes inside, for which there is no rule here either.
fn inward(view: &View<'_>) -> Option<String> {
    let inside = view.config.networks.iter().map(|network| network.ifname);
    let inside: BTreeSet<String> = inside
        .filter(|ifname| !view.names(*ifname))
        .map(|ifname| format!("\"{ifname}\""))
        .collect();
    Some(format!("oifname {} accept", any_of(inside.into_iter().collect())?))
}

/// Sources of other uplinks outside that are not this one's.
pub(in crate::render) fn of_others(
    view: &View<'_>,
    uplink: &UplinkView<'_>,
    is_meant: impl Fn(&UplinkView<'_>) -> bool,
) -> Vec<String> {
    let own = sources(uplink);
    let is_other = |u: &&UplinkView<'_>| u.name != uplink.name && !u.inside && is_meant(u);
    let others = set(view.uplinks.iter().filter(is_other));
    others.into_iter().filter(|other| !own.contains(other)).collect()
}

/// What leaves by an interface that is, or may be, the `own` one of uplinks. Without translation an
/// uplink may carry any source but those of the others; beside one that translates, only what goes its
/// way may.
fn by_interface(view: &View<'_>, ifname: IfName, own: IfName, enabled: bool) -> Vec<String> {
    let is_here = |u: &UplinkView<'_>| u.ifname == own && (u.enabled || !enabled);
    let (here, others): (Vec<_>, Vec<_>) = view.uplinks.iter().partition(|u| is_here(u));
    let own = set(here.iter().copied());
    let others = set(others.into_iter().filter(|uplink| !uplink.inside)).into_iter();
    let others = others.filter(|other| !own.contains(other)).collect();
    let foreign = any_of(own).map(|own| format!("ip saddr != {own}"));
    // A network of its own may lie within one of theirs.
    let but_own = foreign.clone().unwrap_or_default();
    let taken = any_of(others).map(|others| format!("{but_own} ip saddr {others}"));
    let (open, closed): (Vec<_>, Vec<_>) =
        here.into_iter().partition(|uplink| uplink.nat == Nat::Off);
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
fn ways(open: &[&UplinkView<'_>], closed: &[&UplinkView<'_>]) -> Vec<String> {
    let meets =
        |u: &UplinkView<'_>, network: Prefix| u.network(V4).is_some_and(|n| n.meets(network));
    let is_shared = |network: Prefix| {
        let is_other = |o: &&&UplinkView<'_>| o.network(V4) != Some(network);
        closed.iter().chain(open.iter().filter(is_other)).any(|other| meets(other, network))
    };
    let holds_other =
        |network: Prefix| closed.iter().filter_map(|c| c.gateway(V4)).any(|g| network.contains(g));
    let mut ways: Vec<String> = Vec::new();
    for uplink in open {
        let own = uplink.neighbours(V4).filter(|own| !is_shared(*own) && !holds_other(*own));
        let gateway = uplink.gateway(V4).filter(|g| !own.is_some_and(|own| own.contains(*g)));
        let own = own.map(|own| own.to_string());
        for way in own.into_iter().chain(gateway.map(|gateway| gateway.to_string())) {
            if !ways.contains(&way) {
                ways.push(way);
            }
        }
    }
    ways
}

/// What leaves by the gateway of an uplink that shares its interface, with the source of another one
/// there. A disabled one may have left its addresses.
fn by_gateway(view: &View<'_>, uplink: &UplinkView<'_>) -> Option<String> {
    let is_beside = |u: &&UplinkView<'_>| u.ifname == uplink.ifname && u.name != uplink.name;
    let theirs = |other: &UplinkView<'_>| match other.enabled {
        true => sources(other),
        false => other.prefixes[V4].iter().map(|own| own.address.to_string()).collect(),
    };
    let others: BTreeSet<String> = view.uplinks.iter().filter(is_beside).flat_map(theirs).collect();
    let (own, others) = (any_of(sources(uplink))?, any_of(others.into_iter().collect())?);
    let leaves = uplink.by_gateway()?;
    Some(format!("{leaves} ip saddr != {own} ip saddr {others} goto {BESIDE}"))
}

/// What leaves by the gateway of an uplink that has it, but by an interface of another name: the device
/// was renamed, and its routes went with it. Rules that know the new name are a moment away.
fn renamed(view: &View<'_>) -> Option<String> {
    let known = devices(view.enabled())?;
    let closed = view.outside().filter(|uplink| uplink.nat != Nat::Off);
    let own = any_of(set(closed.clone()))?;
    let mut gateways: Vec<_> =
        closed.filter_map(|uplink| uplink.gateway(V4)).map(|gateway| gateway.to_string()).collect();
    gateways.sort();
    gateways.dedup();
    let (gateways, mask) = (any_of(gateways)?, view.config.ranges.mark_mask);
    Some(format!(
        "rt ip nexthop {gateways} oifname != {known} meta mark and {mask:#010x} != 0x00000000 \
         ip saddr != {own} goto {STRANGE}"
    ))
}

/// The sources of these uplinks as nft writes them, each once.
pub(in crate::render) fn set<'v>(uplinks: impl Iterator<Item = &'v UplinkView<'v>>) -> Vec<String> {
    let written = |source: &Prefix| match *source == Prefix::host(source.address) {
        true => source.address.to_string(),
        false => source.network().to_string(),
    };
    let mut all: Vec<String> = Vec::new();
    for source in uplinks.flat_map(|uplink| &uplink.sources[V4]).map(written) {
        if !all.contains(&source) {
            all.push(source);
        }
    }
    all
}

/// The addresses of uplinks elsewhere that no provider of this interface routes to us.
pub(in crate::render) fn elsewhere(view: &View<'_>, ifname: IfName) -> BTreeSet<IpAddr> {
    let (here, elsewhere): (Vec<_>, Vec<_>) =
        view.uplinks.iter().partition(|uplink| uplink.ifname == ifname);
    let routed: Vec<Prefix> =
        here.into_iter().flat_map(|uplink| &uplink.sources[V4]).copied().collect();
    let is_routed = |address: &IpAddr| routed.iter().any(|own| own.contains(*address));
    let outside = elsewhere.into_iter().filter(|uplink| !uplink.inside);
    let addresses = outside.flat_map(|uplink| &uplink.prefixes[V4]).map(|own| own.address);
    addresses.filter(|address| !is_routed(address)).collect()
}

/// The address of an uplink elsewhere is refused whoever asked for it by this interface, unless it is
/// here as well.
fn taken(view: &View<'_>, uplink: &UplinkView<'_>) -> Option<String> {
    let taken = elsewhere(view, uplink.ifname);
    let taken = any_of(taken.iter().map(ToString::to_string).collect())?;
    let there = "fib saddr . oif type != local";
    Some(format!("{} ct direction reply ip saddr {taken} {there} counter drop", uplink.by()))
}

/// The replies to neighbours of an uplink, the gateway among them: they may have asked for a host
/// inside, and their connections bear no mark, for `main` leads back to them.
fn to_asker(view: &View<'_>, uplink: &UplinkView<'_>) -> Vec<String> {
    let (leaves, mask) = (uplink.by(), view.config.ranges.mark_mask);
    let reply = format!("{leaves} ct direction reply ct mark and {mask:#010x} == 0x00000000");
    let gateways = gateways(view, uplink).filter(|_| uplink.first).map(|gateways| {
        [
            format!("{reply} ip daddr {gateways} accept"),
            format!("{reply} rt ip nexthop != {gateways} accept"),
        ]
    });
    gateways.into_iter().flatten().collect()
}

/// The gateways of all uplinks on the interface of this one.
fn gateways(view: &View<'_>, uplink: &UplinkView<'_>) -> Option<String> {
    let here = view.on(uplink.ifname).filter_map(|here| here.gateway(V4));
    any_of(here.map(|gateway| gateway.to_string()).collect())
}

/// What may leave nevertheless; the rest is dropped.
fn strange(view: &View<'_>) -> Vec<String> {
    let mask = view.config.ranges.mark_mask;
    let mut rules = vec!["rt ipsec exists accept".to_string()];
    // An answer for a host inside, while no route leads there: the default would send it back out.
    rules.extend(devices(view.outside()).map(|devices| {
        format!("iifname {devices} ct direction reply ct mark and {mask:#010x} != 0x00000000 counter drop")
    }));
    // Answers to what an uplink translated on its way out go inside. One of the router itself that would
    // leave again answers a packet that came by another interface, for an address that was not here
    // yet when the connection began. (A host inside answers what others translated on its way in.)
    rules.push(
        "ct direction reply ct status and (snat | dnat) == snat fib saddr type local counter drop"
            .into(),
    );
    rules.extend(answers(view));
    let first = view.outside().filter(|uplink| uplink.first);
    rules.extend(first.filter_map(|uplink| taken(view, uplink)));
    // Somebody asked for this address by this uplink: its provider routes it to us.
    rules.extend(view.outside().map(|uplink| {
        let (leaves, mark) = (uplink.by(), uplink.mark);
        format!("{leaves} ct direction reply ct mark and {mask:#010x} == {mark:#010x} accept")
    }));
    rules.extend(view.outside().flat_map(|uplink| to_asker(view, uplink)));
    rules.extend(exempt(view));
    rules.extend([
        "fib saddr . oif type local accept".into(),
        // The router itself, before it has an address.
        "ip saddr 0.0.0.0 accept".into(),
    ]);
    rules.extend(refused(view));
    rules
}

/// The same for the source of another uplink of the same interface: its address, which is one of that
/// interface, or a network that is routed to it.
fn beside(view: &View<'_>) -> Vec<String> {
    let mut rules = vec!["rt ipsec exists accept".to_string()];
    // A gateway may ask for the address of the uplink beside its own, and is answered directly.
    let shared = view.outside().filter(|uplink| uplink.shared && uplink.first);
    rules.extend(shared.filter_map(|uplink| to_asker(view, uplink).into_iter().next()));
    rules.extend(exempt(view));
    rules.extend(refused(view));
    rules
}

/// An answer to what went out goes inside, or nowhere: a host inside may have forged it.
fn answers(view: &View<'_>) -> Option<String> {
    let own = any_of(set(view.outside()))?;
    Some(format!("ct direction reply ct reply ip daddr {own} counter drop"))
}

/// What goes to destinations that the file exempts from translation, by the uplink that exempts them.
fn exempt(view: &View<'_>) -> Vec<String> {
    let mut rules = Vec::new();
    for uplink in view.enabled() {
        let Some(there) = any_of(uplink.no_nat.iter().map(ToString::to_string).collect()) else {
            continue;
        };
        let accept = |leaves: String| format!("{leaves} ip daddr {there} accept");
        if uplink.shared {
            let others = gateways(view, uplink)
                .map(|gateways| format!("{} rt ip nexthop != {gateways}", uplink.by()));
            rules.extend(uplink.by_gateway().into_iter().chain(others).map(accept));
        } else {
            rules.push(accept(uplink.by()));
        }
    }
    rules
}

/// The end of a packet that may not leave, and of its connection, which would be refused as long as it
/// sends. But one of another uplink went astray: it goes on when its way is back.
fn refused(view: &View<'_>) -> Vec<String> {
    let mask = view.config.ranges.mark_mask;
    let condemned = set_mark(view.config, "ct", nobody(view.config));
    let has = |what: &str| format!("ct mark and {mask:#010x} {what} 0x00000000 {condemned}");
    let mut rules = Vec::new();
    let outside = devices(view.outside());
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
fn given_up(view: &View<'_>) -> Chain {
    let mask = view.config.ranges.mark_mask;
    let condemned = set_mark(view.config, "ct", nobody(view.config));
    let rule = |uplink: &UplinkView<'_>| {
        let (leaves, mark) = (uplink.by_gateway()?, uplink.mark);
        Some(format!("{leaves} ct mark and {mask:#010x} == {mark:#010x} {condemned}"))
    };
    plain(GIVEN_UP.into(), view.outside().filter_map(rule).collect())
}
