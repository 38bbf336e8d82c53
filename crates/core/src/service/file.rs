//! The file for dnsmasq, as a pure function of the configuration.

use super::is_served;
use crate::config::{ASKED, Config, DhcpOption, DhcpService, Network, OptionValue, Reservation};
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
    out.push_str("bind-dynamic\n");
    out.push_str(if config.asks_itself() { "interface=lo\n" } else { "except-interface=lo\n" });
    for network in &served {
        line(&mut out, "interface", network.ifname);
    }
    out.push_str("no-hosts\nno-resolv\nno-poll\n");
    // The interfaces of `[lan]` have one table.
    let mut leasing: Vec<(&DhcpService, bool)> = Vec::new();
    for network in &served {
        let dhcp =
            network.dhcp.as_ref().filter(|dhcp| leasing.iter().all(|(done, _)| done != dhcp));
        leasing.extend(dhcp.map(|dhcp| (dhcp, network.dns.is_some())));
    }
    names(&mut out, (&served, &leasing), is_old);
    if !leasing.is_empty() {
        // A host with a lease of another router would wait in silence; a ping before each offer takes 3 s.
        out.push_str("dhcp-authoritative\nno-ping\n");
        line(&mut out, "dhcp-leasefile", format_args!("{KEPT}/dnsmasq.leases"));
        line(&mut out, "dhcp-lease-max", most_leases(&leasing));
        // Browsers look for this name, and believe whoever has it: no host may call itself so.
        out.push_str("dhcp-name-match=set:wpad,wpad\ndhcp-ignore-names=tag:wpad\n");
        if config.asks_itself() {
            out.push_str("no-dhcp-interface=lo\n");
        }
        for network in served.iter().filter(|network| network.dhcp.is_none()) {
            line(&mut out, "no-dhcp-interface", network.ifname);
        }
    }
    for (index, (dhcp, resolves)) in leasing.into_iter().enumerate() {
        // Else a host could ask for addresses of another network, in the name of a relay there.
        for network in served.iter().filter(|network| network.dhcp.as_ref() == Some(dhcp)) {
            line(&mut out, "tag-if", format_args!("set:in{index},tag:{}", network.ifname));
        }
        addresses(&mut out, dhcp, index, resolves);
    }
    out
}

/// All addresses that there are: else one network could leave another one without, for dnsmasq counts all
/// together, and to 1,000 if it is not told.
fn most_leases(leasing: &[(&DhcpService, bool)]) -> u64 {
    let size = |(first, last): &(Ipv4Addr, Ipv4Addr)| {
        u64::from(last.to_bits().saturating_sub(first.to_bits())) + 1
    };
    let of = |dhcp: &DhcpService| {
        dhcp.ranges.iter().map(size).sum::<u64>() + dhcp.reservations.len() as u64
    };
    // More would cost memory, and a file that is written anew with each lease.
    leasing.iter().map(|(dhcp, _)| of(dhcp)).sum::<u64>().clamp(1000, 100_000)
}

fn names(
    out: &mut String,
    (served, leasing): (&[&Network], &[(&DhcpService, bool)]),
    is_old: bool,
) {
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
    for (name, address) in &all {
        line(out, "host-record", format_args!("{name},{address}"));
    }
    // What was promised to one host is no other's, whatever that one calls itself.
    for (dhcp, _) in leasing {
        for Reservation { name, address, .. } in &dhcp.reservations {
            let Some(name) = name else { continue };
            let whole = dhcp.domain.as_ref().map(|domain| alloc::format!("{name}.{domain}"));
            let words: Vec<&str> = whole.as_deref().into_iter().chain([name.as_str()]).collect();
            if !all.iter().any(|(given, _)| words.contains(&given.as_str())) {
                line(out, "host-record", format_args!("{},{address}", words.join(",")));
            }
        }
    }
}

fn addresses(out: &mut String, dhcp: &DhcpService, index: usize, resolves: bool) {
    let seconds = dhcp.lease.as_secs();
    for (first, last) in &dhcp.ranges {
        line(
            out,
            "dhcp-range",
            format_args!("tag:in{index},set:net{index},{first},{last},{seconds}"),
        );
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
    for DhcpOption { code, value } in &dhcp.options {
        line(out, "dhcp-option", format_args!("tag:net{index},{code},{}", content(value)));
    }
    if let Some(domain) = &dhcp.domain {
        for (first, last) in &dhcp.ranges {
            line(out, "domain", format_args!("{domain},{first},{last}"));
        }
        // A host with a fixed address elsewhere is in the domain, too.
        let is_in_range = |at: &Ipv4Addr| dhcp.ranges.iter().any(|(a, b)| (a..=b).contains(&at));
        for Reservation { address, .. } in
            dhcp.reservations.iter().filter(|h| !is_in_range(&h.address))
        {
            line(out, "domain", format_args!("{domain},{address},{address}"));
        }
        // What is not there is not asked for outside.
        line(out, "local", format_args!("/{domain}/"));
    }
}

/// The content of an option in the words of dnsmasq. In double quotes nothing but `"` and `\` has a meaning.
fn content(value: &OptionValue) -> String {
    let parts: Vec<String> = match value {
        OptionValue::Addresses(all) => {
            let all: Vec<String> = all.iter().map(|address| alloc::format!("{address}")).collect();
            return all.join(",");
        }
        OptionValue::Text(text) => {
            return alloc::format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
        }
        // One alone would be read as a text or a number of some length.
        OptionValue::Bytes(bytes) if bytes.len() == 1 => {
            return alloc::format!("{}b", bytes.first().copied().unwrap_or_default());
        }
        OptionValue::Bytes(bytes) => {
            bytes.iter().map(|byte| alloc::format!("{byte:02x}")).collect()
        }
    };
    parts.join(":")
}

fn line(out: &mut String, key: &str, value: impl Display) {
    // Writing to a text cannot fail.
    let _ = writeln!(out, "{key}={value}");
}
