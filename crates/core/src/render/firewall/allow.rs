//! `[firewall] allow`: which new connections from uplinks are let in, as nft and iptables write it.
//!
//! What always passes is here, too: the answers to a DHCPv6 client, which come from another address
//! than the one that it asked, so that connection tracking does not know them.

use super::any_of;
use crate::config::{Allow, Protocol};
use crate::net::{Family, Prefix};
use crate::render::ports;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Sources of the answers to a DHCPv6 client, and the port that they go to.
const DHCPV6_ANSWERS: (&str, u16) = ("fe80::/10", 546);

/// For the chain of what comes by an uplink and is for the router.
pub(in crate::render) fn nft(allowed: &[Allow]) -> Vec<String> {
    let (from, port) = DHCPV6_ANSWERS;
    let answers = format!("ip6 saddr {from} udp dport {port} accept");
    let here = allowed.iter().filter(|allow| allow.to.is_empty());
    core::iter::once(answers).chain(here.flat_map(nft_rules)).collect()
}

/// For the chain of what goes on to the inside; `inward` says what does.
pub(in crate::render) fn nft_inside(
    allowed: &[Allow],
    inward: &str,
) -> impl Iterator<Item = String> {
    let there = allowed.iter().filter(|allow| !allow.to.is_empty());
    there.flat_map(nft_rules).map(move |rule| format!("{inward}{rule}"))
}

fn nft_rules(allow: &Allow) -> impl Iterator<Item = String> {
    let what = nft_service(allow.protocol, &allow.ports);
    families(allow).map(move |(family, [from, to])| {
        let word = word(family);
        let side = |name: &str, all| match any_of(all) {
            Some(all) => format!("{word} {name} {all} "),
            None => String::new(),
        };
        let (from, to) = (side("saddr", from), side("daddr", to));
        format!("{from}{to}{what} accept")
    })
}

/// What is for the router, as matches of iptables or ip6tables.
pub(in crate::render) fn iptables(allowed: &[Allow], family: Family) -> Vec<String> {
    let (from, port) = DHCPV6_ANSWERS;
    let answers = (family == Family::V6).then(|| format!("-s {from} -p udp --dport {port}"));
    let here = allowed.iter().filter(|allow| allow.to.is_empty());
    answers.into_iter().chain(here.flat_map(|allow| matches(allow, family))).collect()
}

/// The same of what goes on to the inside.
pub(in crate::render) fn iptables_inside(allowed: &[Allow], family: Family) -> Vec<String> {
    let there = allowed.iter().filter(|allow| !allow.to.is_empty());
    there.flat_map(|allow| matches(allow, family)).collect()
}

fn matches(allow: &Allow, family: Family) -> Vec<String> {
    let is_any = allow.from.is_empty() && allow.to.is_empty();
    let mut rules = Vec::new();
    for (_, [from, to]) in families(allow).filter(|(of, _)| is_any || *of == family) {
        let side = |option: &str, all: Vec<String>| match all.as_slice() {
            [] => String::new(),
            all => format!("{option} {} ", all.join(",")),
        };
        let (from, to) = (side("-s", from), side("-d", to));
        let services = iptables_services(allow.protocol, &allow.ports);
        rules.extend(services.iter().map(|what| format!("{from}{to}{what}")));
    }
    rules
}

/// Sources and destinations by family; one pair of empty lists if there are neither.
fn families(allow: &Allow) -> impl Iterator<Item = (Family, [Vec<String>; 2])> {
    let of = |family, all: &[Prefix]| -> Vec<String> {
        let here = all.iter().filter(|prefix| prefix.family() == family);
        here.map(ToString::to_string).collect()
    };
    let both = |family| (family, [of(family, &allow.from), of(family, &allow.to)]);
    let (any_from, any_to) = (allow.from.is_empty(), allow.to.is_empty());
    let has = move |(_, [from, to]): &(Family, [Vec<String>; 2])| {
        (any_from || !from.is_empty()) && (any_to || !to.is_empty())
    };
    let pairs = if any_from && any_to { &[Family::V4][..] } else { &[Family::V4, Family::V6] };
    let all: Vec<_> = pairs.iter().map(|family| both(*family)).filter(has).collect();
    all.into_iter()
}

const fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// A protocol and its ports. Numbers, for the names of protocols are in a file that may be missing.
pub(in crate::render) fn nft_service(protocol: Protocol, ranges: &[(u16, u16)]) -> String {
    let ranges = any_of(ranges.iter().map(|range| ports(*range, '-')).collect());
    match (protocol, ranges) {
        (Protocol::Other(number), _) => format!("meta l4proto {number}"),
        (protocol, Some(ports)) => format!("{protocol} dport {ports}"),
        (protocol, None) => format!("meta l4proto {protocol}"),
    }
}

/// The same for iptables, a rule for each range.
pub(in crate::render) fn iptables_services(
    protocol: Protocol,
    ranges: &[(u16, u16)],
) -> Vec<String> {
    let protocol = match protocol {
        Protocol::Other(number) => format!("-p {number}"),
        protocol => format!("-p {protocol}"),
    };
    if ranges.is_empty() {
        return alloc::vec![protocol];
    }
    ranges.iter().map(|range| format!("{protocol} --dport {}", ports(*range, ':'))).collect()
}
