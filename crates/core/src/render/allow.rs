//! `[firewall] allow`: which new connections from uplinks are let in, as nft and iptables write it.
//!
//! What always passes is here, too: the answers to a DHCPv6 client, which come from another address
//! than the one that it asked, so that connection tracking does not know them.

use super::firewall::any_of;
use super::ports;
use crate::config::{Allow, Protocol};
use crate::net::{Family, Prefix};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// Sources of the answers to a DHCPv6 client, and the port that they go to.
const DHCPV6_ANSWERS: (&str, u16) = ("fe80::/10", 546);

/// For the chain of what comes by an uplink and is for the router.
pub(super) fn nft(allowed: &[Allow]) -> Vec<String> {
    let (from, port) = DHCPV6_ANSWERS;
    let answers = format!("ip6 saddr {from} udp dport {port} accept");
    let rules = allowed.iter().flat_map(|allow| {
        let what = nft_service(allow.protocol, &allow.ports);
        sources(allow).map(move |(family, from)| match any_of(from) {
            Some(from) => format!("{} saddr {from} {what} accept", word(family)),
            None => format!("{what} accept"),
        })
    });
    core::iter::once(answers).chain(rules).collect()
}

/// The same as matches of iptables or ip6tables.
pub(super) fn iptables(allowed: &[Allow], family: Family) -> Vec<String> {
    let (from, port) = DHCPV6_ANSWERS;
    let answers = (family == Family::V6).then(|| format!("-s {from} -p udp --dport {port}"));
    let mut rules: Vec<String> = answers.into_iter().collect();
    for allow in allowed {
        let here = |(of, from): &(Family, Vec<String>)| from.is_empty() || *of == family;
        for (_, from) in sources(allow).filter(here) {
            let from =
                if from.is_empty() { from.join("") } else { format!("-s {} ", from.join(",")) };
            let services = iptables_services(allow.protocol, &allow.ports);
            rules.extend(services.iter().map(|what| format!("{from}{what}")));
        }
    }
    rules
}

/// The sources of each family that has some; one empty list for anyone.
fn sources(allow: &Allow) -> impl Iterator<Item = (Family, Vec<String>)> + '_ {
    let of = |family| {
        let here = allow.from.iter().filter(move |prefix| prefix.family() == family);
        (family, here.map(Prefix::to_string).collect::<Vec<_>>())
    };
    let anyone = allow.from.is_empty().then(|| (Family::V4, Vec::new()));
    let some = [of(Family::V4), of(Family::V6)].into_iter().filter(|(_, from)| !from.is_empty());
    anyone.into_iter().chain(some)
}

const fn word(family: Family) -> &'static str {
    match family {
        Family::V4 => "ip",
        Family::V6 => "ip6",
    }
}

/// A protocol and its ports. Numbers, for the names of protocols are in a file that may be missing.
pub(super) fn nft_service(protocol: Protocol, ranges: &[(u16, u16)]) -> String {
    let ranges = any_of(ranges.iter().map(|range| ports(*range, '-')).collect());
    match (protocol, ranges) {
        (Protocol::Other(number), _) => format!("meta l4proto {number}"),
        (protocol, Some(ports)) => format!("{protocol} dport {ports}"),
        (protocol, None) => format!("meta l4proto {protocol}"),
    }
}

/// The same for iptables, a rule for each range.
pub(super) fn iptables_services(protocol: Protocol, ranges: &[(u16, u16)]) -> Vec<String> {
    let protocol = match protocol {
        Protocol::Other(number) => format!("-p {number}"),
        protocol => format!("-p {protocol}"),
    };
    if ranges.is_empty() {
        return alloc::vec![protocol];
    }
    ranges.iter().map(|range| format!("{protocol} --dport {}", ports(*range, ':'))).collect()
}
