//! Port forwards: destination translation for what comes in by an uplink, and
//! for clients inside that use the public address ("hairpin").
//!
//! A hairpin connection stays inside: it takes no bucket and no mark, and its
//! source becomes the router's own address there. Without that the server would
//! answer its neighbour directly, from an address the neighbour never asked.

use super::allow::nft_service;
use super::networks;
use crate::config::{Config, Forward};
use crate::net::Family::V4;
use crate::render::firewall::{any_of, closed_devices, inside, plain};
use crate::render::view::{UplinkView, View};
use crate::state::Chain;
use alloc::collections::BTreeSet;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

/// The rules of one uplink's chain, for the first packet of a connection that came by it.
pub(in crate::render) fn arriving(
    config: &Config,
    uplink: &UplinkView<'_>,
) -> impl Iterator<Item = String> {
    let here = config.forwards.iter().filter(|forward| is_on(forward, uplink));
    here.filter_map(move |forward| {
        let public = public(forward, uplink)?.to_string();
        Some(format!("{}{}", sources(forward), translation(forward, &public)))
    })
}

/// What clients inside reach by a public address; `None` when that is nothing.
pub(in crate::render) fn hairpin(view: &View<'_>) -> Option<Chain> {
    let rule = |forward: &Forward| {
        let publics = publics(view, core::iter::once(forward))?;
        Some(format!("{}{}", askers(view.config, forward)?, translation(forward, &publics)))
    };
    let hairpins = view.config.forwards.iter().filter(|forward| forward.hairpin);
    let rules: Vec<String> = hairpins.filter_map(rule).collect();
    (!rules.is_empty()).then(|| plain(CHAIN.into(), rules))
}

/// The rule that sends them there. The address comes first: it ends the rule for nearly every
/// new connection from the inside, which shall not pay for more. What is not forwarded is for
/// the router itself, and needs no bucket either.
pub(in crate::render) fn into_hairpin(view: &View<'_>) -> Option<String> {
    let (publics, inside) = (hairpin_publics(view)?, inside(view.config)?);
    Some(format!("ip daddr {publics} iifname {inside} goto {CHAIN}"))
}

/// The rule for what comes from nowhere that the configuration names: an interface of containers, a
/// VPN. Behind the map of uplinks, and in front of the buckets, it costs the others nothing. What
/// comes by a closed interface is from outside, though no uplink is there now.
pub(in crate::render) fn elsewhere(view: &View<'_>) -> Option<String> {
    let publics = hairpin_publics(view)?;
    let outside = closed_devices(view);
    let outside = any_of(outside.iter().map(|ifname| format!("\"{ifname}\"")).collect());
    let elsewhere = outside.map_or_else(String::new, |devices| format!(" iifname != {devices}"));
    Some(format!("ip daddr {publics}{elsewhere} goto {CHAIN}"))
}

/// The rule for what the router itself begins.
pub(in crate::render) fn from_router(view: &View<'_>) -> Option<String> {
    Some(format!("ip daddr {} goto {CHAIN}", hairpin_publics(view)?))
}

/// The rule that gives them the router's source. Others may translate connections between two
/// inside hosts for reasons of their own: only those that asked for an address of ours are meant.
pub(in crate::render) fn out_of_hairpin(view: &View<'_>) -> Option<String> {
    let (publics, inside) = (hairpin_publics(view)?, inside(view.config)?);
    Some(format!(
        "ct status dnat iifname {inside} oifname {inside} ct original ip daddr {publics} masquerade"
    ))
}

/// Whether an uplink has this forward.
pub(in crate::render) fn is_on(forward: &Forward, uplink: &UplinkView<'_>) -> bool {
    let is_named = |names: &Vec<String>| names.iter().any(|name| name == uplink.name);
    forward.uplinks.as_ref().is_none_or(is_named)
        && forward.address.is_none_or(|address| uplink.has(address.into()))
}

/// The address by which an uplink has this forward; `None` while it has none.
pub(in crate::render) fn public(forward: &Forward, uplink: &UplinkView<'_>) -> Option<IpAddr> {
    forward.address.map(IpAddr::V4).or_else(|| uplink.address(V4))
}

/// The addresses that have a hairpin.
pub(in crate::render) fn hairpin_publics(view: &View<'_>) -> Option<String> {
    publics(view, view.config.forwards.iter().filter(|forward| forward.hairpin))
}

/// The addresses of forwards as nft writes one or several; `None` without any. That of an uplink
/// inside is none of them: it is the router's own for the hosts.
fn publics<'a>(view: &View<'_>, forwards: impl Iterator<Item = &'a Forward>) -> Option<String> {
    let mut found = BTreeSet::new();
    for forward in forwards {
        let here = view.outside().filter(|uplink| is_on(forward, uplink));
        found.extend(here.filter_map(|uplink| public(forward, uplink)));
    }
    any_of(found.iter().map(ToString::to_string).collect())
}

/// What restricts a hairpin to those inside who may: the sources that a forward names are outside,
/// and strangers inside are no better than those who are not named. `None`: nobody may.
fn askers(config: &Config, forward: &Forward) -> Option<String> {
    if forward.from.is_empty() {
        return Some(String::new());
    }
    Some(format!("iifname {} ", networks::interfaces(config, networks::is_lan)?))
}

/// What restricts a rule to the allowed sources.
fn sources(forward: &Forward) -> String {
    let allowed = any_of(forward.from.iter().map(ToString::to_string).collect());
    allowed.map_or_else(String::new, |from| format!("{} saddr {from} ", family(forward)))
}

const fn family(forward: &Forward) -> &'static str {
    match forward.to {
        SocketAddr::V4(_) => "ip",
        SocketAddr::V6(_) => "ip6",
    }
}

fn translation(forward: &Forward, publics: &str) -> String {
    let (family, what) = (family(forward), nft_service(forward.protocol, forward.ports.as_slice()));
    let goal = goal(forward);
    format!("{family} daddr {publics} {what} dnat {family} to {goal}")
}

/// Where a connection goes. A range that is moved needs each port named: of a range of goals
/// the kernel takes any port that is free.
fn goal(forward: &Forward) -> String {
    let Some((first, last)) = forward.ports else { return forward.to.ip().to_string() };
    if first == last {
        return forward.to.to_string();
    }
    if forward.to.port() == first {
        return forward.to.ip().to_string();
    }
    let moved: Vec<String> = (first..=last)
        .zip(forward.to.port()..)
        .map(|(port, to)| format!("{port} : {to}"))
        .collect();
    let (to, protocol) = (forward.to.ip(), forward.protocol);
    format!("{to} : {protocol} dport map {{ {} }}", moved.join(", "))
}

const CHAIN: &str = "hairpin";
