//! The file for dnsmasq, as a pure function of the configuration.

use super::is_served;
use crate::config::{ASKED, Config, DhcpService, Network};
use crate::io::KEPT;
use alloc::collections::BTreeSet;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{Display, Write};
use core::net::Ipv4Addr;

/// The file. `is_old`: without what dnsmasq before 2.87 does not know.
pub(crate) fn file(config: &Config, is_old: bool) -> String {
    let mut out = String::from("# Made by rail; changes are lost.\n");
    let served: Vec<&Network> = config.networks.iter().filter(|n| is_served(n)).collect();
    // Interfaces come and go; the loopback belongs to whoever resolves for the router itself.
    out.push_str("bind-dynamic\nexcept-interface=lo\n");
    for network in &served {
        line(&mut out, "interface", network.ifname);
    }
    out.push_str("no-hosts\nno-resolv\nno-poll\n");
    names(&mut out, &served, is_old);
    if served.iter().any(|network| network.dhcp.is_some()) {
        // A host with a lease of another router would wait in silence; a ping before each offer takes 3 s.
        out.push_str("dhcp-authoritative\nno-ping\n");
        line(&mut out, "dhcp-leasefile", format_args!("{KEPT}/dnsmasq.leases"));
        for network in served.iter().filter(|network| network.dhcp.is_none()) {
            line(&mut out, "no-dhcp-interface", network.ifname);
        }
    }
    let mut done: Vec<&DhcpService> = Vec::new();
    for network in &served {
        // The interfaces of `[lan]` have one table.
        let Some(dhcp) = network.dhcp.as_ref().filter(|dhcp| !done.contains(dhcp)) else {
            continue;
        };
        addresses(&mut out, dhcp, done.len(), network.dns.is_some());
        done.push(dhcp);
    }
    out
}

fn names(out: &mut String, served: &[&Network], is_old: bool) {
    let services: Vec<_> = served.iter().filter_map(|network| network.dns.as_ref()).collect();
    if services.is_empty() {
        return line(out, "port", 0);
    }
    let own: BTreeSet<Ipv4Addr> = services.iter().flat_map(|dns| dns.servers.clone()).collect();
    match own.is_empty() {
        true => ASKED.iter().for_each(|server| line(out, "server", server)),
        false => own.iter().for_each(|server| line(out, "server", server)),
    }
    // Twice the usual number of questions that wait, ten seconds long, for resolvers that are dead.
    out.push_str("cache-size=10000\ndns-forward-max=1000\n");
    if !is_old {
        // Asks again by itself, when the rules lead elsewhere, and knows what it knew in an outage.
        out.push_str("fast-dns-retry=200\nuse-stale-cache=3600\n");
    }
    out.push_str("domain-needed\nbogus-priv\n");
    let all: BTreeSet<_> = services.iter().flat_map(|dns| &dns.names).collect();
    for (name, address) in all {
        line(out, "host-record", format_args!("{name},{address}"));
    }
}

fn addresses(out: &mut String, dhcp: &DhcpService, index: usize, resolves: bool) {
    let seconds = dhcp.lease.as_secs();
    for (first, last) in &dhcp.ranges {
        line(out, "dhcp-range", format_args!("set:net{index},{first},{last},{seconds}"));
    }
    for host in &dhcp.reservations {
        let name = host.name.as_ref().map_or(String::new(), |name| alloc::format!(",{name}"));
        line(out, "dhcp-host", format_args!("{},{}{name}", host.mac, host.address));
    }
    let option = |out: &mut String, name: &str, values: &[Ipv4Addr]| {
        let values: String = values.iter().map(|value| alloc::format!(",{value}")).collect();
        line(out, "dhcp-option", format_args!("tag:net{index},option:{name}{values}"));
    };
    // Without a value the option is not sent; left out, it would name the router.
    if !dhcp.dns.is_empty() || !resolves {
        option(out, "dns-server", &dhcp.dns);
    }
    if !dhcp.ntp.is_empty() {
        option(out, "ntp-server", &dhcp.ntp);
    }
    if let Some(domain) = &dhcp.domain {
        for (first, last) in &dhcp.ranges {
            line(out, "domain", format_args!("{domain},{first},{last}"));
        }
        // What is not there is not asked for outside.
        line(out, "local", format_args!("/{domain}/"));
    }
}

fn line(out: &mut String, key: &str, value: impl Display) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{key}={value}");
}
