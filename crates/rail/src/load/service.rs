//! `dhcp` and `dns` of `[lan]` and of `[[network]]`: what the router does for the hosts there.

mod option;

use super::effective::quoted;
use super::network::Draft;
use super::reader::{At, Node, Reader, Section, shown};
use super::router::mac;
use super::{unit, uplink};
use rail_core::config::{DhcpService, DnsService, FirewallMode, Network, Reservation};
use rail_core::net::{Prefix, is_host};
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::RangeInclusive;
use std::time::Duration;

/// What `[lan]` says is for each of its interfaces.
pub(super) fn of_lan(reader: &mut Reader, file: &Section<'_>, lans: &mut [Draft]) {
    // Its keys were checked already.
    let Some(table) = file.get("lan").and_then(|node| node.get_ref().as_table()) else { return };
    let section = Section { path: "lan", table, span: file.place("lan") };
    let dhcp = dhcp(reader, &section, "lan.dhcp");
    let dns = dns(reader, &section, "lan.dns");
    for lan in lans {
        (lan.dhcp, lan.dns) = (dhcp.clone(), dns.clone());
    }
}

pub(super) fn dhcp(
    reader: &mut Reader,
    parent: &Section<'_>,
    path: &'static str,
) -> Option<At<DhcpService>> {
    let section = reader.table(parent, "dhcp", path)?;
    let ranges = match section.get("ranges") {
        Some(node) => ranges(reader, node),
        None => {
            reader.missing(&section, "ranges", "[\"192.168.1.100-192.168.1.199\"]");
            Vec::new()
        }
    };
    let lease = section.get("lease").and_then(|node| reader.duration(node, "lease", LEASES));
    let hosts_of = |reader: &mut Reader, key| {
        section.get(key).map_or_else(Vec::new, |node| hosts(reader, node, key))
    };
    let value = DhcpService {
        ranges,
        lease: lease.unwrap_or(LEASE),
        reservations: section
            .get("reservations")
            .map_or_else(Vec::new, |n| reservations(reader, n)),
        domain: section.get("domain").and_then(|node| name(reader, node, "domain", true)),
        dns: hosts_of(reader, "dns"),
        ntp: hosts_of(reader, "ntp"),
        options: section.get("options").map_or_else(Vec::new, |node| option::list(reader, node)),
    };
    Some(At { value, span: section.span })
}

pub(super) fn dns(
    reader: &mut Reader,
    parent: &Section<'_>,
    path: &'static str,
) -> Option<At<DnsService>> {
    let section = reader.table(parent, "dns", path)?;
    let forward = reader.word(&section, "forward", &[("health", ())], &[]);
    let servers = section.get("servers").map(|node| hosts(reader, node, "servers"));
    if let (Some(()), Some(_)) = (forward, &servers) {
        reader
            .error(section.place("forward"), "`forward` and `servers` exclude each other")
            .also(&section.place("servers"), "servers of your own")
            .hint("forward = \"health\" asks the resolvers of healthy uplinks");
    }
    if servers.as_ref().is_some_and(Vec::is_empty) && reader.errors.is_empty() {
        reader
            .error(section.place("servers"), "`servers` is empty")
            .hint("leave it out: then the resolvers of healthy uplinks are asked");
    }
    let names = section.get("names").map_or_else(Vec::new, |node| names(reader, node));
    let resolv_conf = reader.boolean(&section, "resolv_conf", false);
    let value = DnsService { servers: servers.unwrap_or_default(), names, resolv_conf };
    Some(At { value, span: section.span })
}

/// Addresses of hosts.
pub(super) fn hosts(reader: &mut Reader, node: Node<'_>, key: &str) -> Vec<Ipv4Addr> {
    let wanted = "a list such as [\"192.0.2.53\"]";
    let mut found: Vec<Ipv4Addr> = Vec::new();
    for node in reader.list(node, key, wanted) {
        let Some(text) = reader.text(node, key, wanted) else { continue };
        let Some(address) = host(reader, node, key, text) else { continue };
        if found.contains(&address) {
            reader.error(node.span(), format!("{address} is listed twice"));
        } else {
            found.push(address);
        }
    }
    if found.len() > MOST_HOSTS {
        let text = format!("`{key}` has {} addresses", found.len());
        reader.error(node.span(), text).hint(format!("{MOST_HOSTS} are the most"));
    }
    found
}

fn host(reader: &mut Reader, node: Node<'_>, key: &str, text: &str) -> Option<Ipv4Addr> {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) if is_host(address) => Some(address),
        Ok(IpAddr::V4(address)) => {
            reader.error(node.span(), format!("{address} cannot be the address of a host"));
            None
        }
        Ok(IpAddr::V6(_)) => {
            reader.later(node.span(), &format!("an IPv6 address in `{key}`"));
            None
        }
        Err(_) => {
            let text = format!("`{key}`: \"{}\" is no address", shown(text));
            reader.error(node.span(), text).hint("for example \"192.168.1.10\"");
            None
        }
    }
}

fn ranges(reader: &mut Reader, node: Node<'_>) -> Vec<(Ipv4Addr, Ipv4Addr)> {
    let wanted = "a list such as [\"192.168.1.100-192.168.1.199\"]";
    let mut found: Vec<(Ipv4Addr, Ipv4Addr)> = Vec::new();
    let nodes = reader.list(node, "ranges", wanted);
    if nodes.is_empty() && node.get_ref().is_array() {
        reader.error(node.span(), "`ranges` is empty").hint(wanted);
    }
    for node in nodes {
        let Some(text) = reader.text(node, "ranges", wanted) else { continue };
        let ends = text.split_once('-').map(|(a, b)| (a.trim().parse(), b.trim().parse()));
        let Some((Ok(first), Ok(last))) = ends else {
            let text = format!("`ranges`: \"{}\" is no range of addresses", shown(text));
            reader
                .error(node.span(), text)
                .hint("the first and the last address: \"192.168.1.100-192.168.1.199\"");
            continue;
        };
        if first > last || !is_host(first) || !is_host(last) {
            let text =
                format!("`ranges`: {first}-{last} is not from a host's address up to another");
            reader.error(node.span(), text);
        } else if found.iter().any(|(a, b)| first <= *b && *a <= last) {
            reader.error(node.span(), format!("{first}-{last} overlaps another range"));
        } else {
            found.push((first, last));
        }
    }
    found
}

fn reservations(reader: &mut Reader, node: Node<'_>) -> Vec<Reservation> {
    let example = "{ mac = \"02:00:00:00:00:01\", address = \"192.168.1.10\" }";
    let mut found: Vec<Reservation> = Vec::new();
    for section in reader.inline_tables(node, ("reservations", "lan.dhcp.reservations"), example) {
        let Some(one) = reservation(reader, &section) else { continue };
        let is_twice = |other: &Reservation| {
            other.mac == one.mac
                || other.address == one.address
                || (other.name.is_some() && other.name == one.name)
        };
        if found.iter().any(is_twice) {
            let text = format!("{} is reserved twice, by card, address or name", one.address);
            reader.error(section.span, text);
        } else {
            found.push(one);
        }
    }
    found
}

fn reservation(reader: &mut Reader, section: &Section<'_>) -> Option<Reservation> {
    reader.check_keys(section);
    let read = |reader: &mut Reader, key, example: &str| {
        let at = section.get(key);
        if at.is_none() {
            reader.missing(section, key, example);
        }
        at
    };
    let card = read(reader, "mac", "\"02:00:00:00:00:01\"").and_then(|node| {
        let text = reader.text(node, "mac", "a text")?;
        let found = mac(text).filter(|found| found.0[0] & 1 == 0 && found.0 != [0; 6]);
        if found.is_none() {
            let text = format!("`mac`: \"{}\" is no hardware address of a card", shown(text));
            reader.error(node.span(), text).hint("six pairs of digits: \"02:00:00:00:00:01\"");
        }
        found
    });
    let address = read(reader, "address", "\"192.168.1.10\"").and_then(|node| {
        let text = reader.text(node, "address", "a text")?;
        host(reader, node, "address", text)
    });
    let name = section.get("name").and_then(|node| {
        let name = name(reader, node, "name", false)?;
        if means_something_else(&name) {
            let text = format!("dnsmasq takes the name \"{name}\" for an order or a time");
            reader.error(node.span(), text).hint("give the host another name: \"printer\"");
            return None;
        }
        Some(name)
    });
    Some(Reservation { mac: card?, address: address?, name })
}

fn names(reader: &mut Reader, node: Node<'_>) -> Vec<(String, Ipv4Addr)> {
    let Some(table) = node.get_ref().as_table() else {
        let text = "`names` must be a table such as { \"nas.home.arpa\" = \"192.168.1.10\" }";
        reader.error(node.span(), text);
        return Vec::new();
    };
    let mut all = Vec::new();
    for (key, value) in table {
        let host_name: &str = key.get_ref();
        if !is_name(host_name, true) {
            let text = format!("\"{}\" cannot be the name of a host", shown(host_name));
            reader.error(key.span(), text).hint(NAMES);
            continue;
        }
        let Some(text) = reader.text(value, "names", "an address") else { continue };
        let address = host(reader, value, "names", text);
        all.extend(address.map(|address| (host_name.to_ascii_lowercase(), address)));
    }
    all.sort();
    all
}

/// Labels of letters, digits and hyphens (RFC 1123 §2.1); several only where `dots` is true.
fn name(reader: &mut Reader, node: Node<'_>, key: &str, dots: bool) -> Option<String> {
    let text = reader.text(node, key, "a text")?;
    if !is_name(text, dots) {
        let text = format!("`{key}` cannot be \"{}\"", shown(text));
        reader.error(node.span(), text).hint(NAMES);
        return None;
    }
    Some(text.to_ascii_lowercase())
}

/// Where dnsmasq expects the name of a host, these are no names: the host would get no address, or a lease of
/// that time.
fn means_something_else(name: &str) -> bool {
    let is_time = name
        .strip_suffix(['s', 'm', 'h', 'd', 'w'])
        .is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()));
    is_time || matches!(name, "ignore" | "infinite")
}

/// The last label has a letter: else it is read as a number or an address (RFC 1123 §2.1).
fn is_name(text: &str, dots: bool) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && (dots || !text.contains('.'))
        && text.split('.').all(is_label)
        && !last.bytes().all(|byte| byte.is_ascii_digit())
}

/// Notes services that could not work.
pub(super) fn agree(
    reader: &mut Reader,
    networks: &[Draft],
    uplinks: &[uplink::Draft],
    mode: FirewallMode,
) {
    let mut first: Option<&At<DnsService>> = None;
    for (index, network) in networks.iter().enumerate() {
        let service = network.dhcp.as_ref().map(|dhcp| &dhcp.span);
        let service = service.or(network.dns.as_ref().map(|dns| &dns.span));
        if let (Some(service), Some(interface)) = (service, &network.interface)
            && !interface.value.ifname().is_plain()
        {
            let text = format!("dnsmasq cannot serve an interface called {}", interface.value);
            reader
                .error(interface.span.clone(), text)
                .also(service, "what it is to serve there")
                .hint("it reads such a name as a pattern: give it one of letters and digits");
        }
        if let Some(dhcp) = &network.dhcp {
            in_network(reader, dhcp, network.address.as_ref());
            let earlier = networks[..index].iter().filter_map(|other| other.dhcp.as_ref());
            earlier.for_each(|other| apart(reader, dhcp, other));
        }
        let Some(dns) = &network.dns else { continue };
        match first {
            // The interfaces of `[lan]` have one table.
            Some(other) if other.span == dns.span => continue,
            Some(other) if other.value.servers != dns.value.servers => {
                reader
                    .error(dns.span.clone(), "networks ask different servers for names")
                    .also(&other.span, "the other one")
                    .hint("one resolver serves all networks: say the same in each");
            }
            _ => {}
        }
        first = first.or(Some(dns));
    }
    let Some(dns) = first.filter(|dns| dns.value.servers.is_empty()) else { return };
    // Those of a lease or of a line by PPP are told with the address.
    let is_told = |uplink: &uplink::Draft| uplink.dhcp.is_some() || uplink.ppp.is_some();
    let has_resolver = |uplink: &uplink::Draft| is_told(uplink) || !uplink.resolvers.is_empty();
    if mode == FirewallMode::External {
        reader
            .error(dns.span.clone(), "forward = \"health\" needs nftables rules of ours")
            .hint("with mode = \"external\" there are none: name `servers`");
    } else if !uplinks.is_empty() && !uplinks.iter().any(has_resolver) {
        reader
            .error(dns.span.clone(), "no uplink has a resolver that could be asked")
            .hint("add dns = [\"203.0.113.53\"] to each [[uplink]], or name `servers` here");
    }
}

/// A range lies in the network, if its address is known.
fn in_network(reader: &mut Reader, dhcp: &At<DhcpService>, own: Option<&At<Prefix>>) {
    let Some(own) = own else { return };
    let outside = |address: &Ipv4Addr| !own.value.contains(IpAddr::V4(*address));
    let DhcpService { ranges, reservations, .. } = &dhcp.value;
    let mut all = ranges.iter().flat_map(|(first, last)| [*first, *last]);
    if let Some(address) = all.find(outside) {
        let text = format!("{address} of `ranges` lies outside {}", own.value.network());
        reader.error(dhcp.span.clone(), text).also(&own.span, "the address of the network");
    }
    if let Some(host) = reservations.iter().find(|host| outside(&host.address)) {
        let text = format!("the reservation {} lies outside {}", host.address, own.value.network());
        reader.error(dhcp.span.clone(), text).also(&own.span, "the address of the network");
    }
    for (first, last) in ranges {
        if let IpAddr::V4(address) = own.value.address
            && (*first..=*last).contains(&address)
        {
            let text = format!("{first}-{last} holds the router's own address {address}");
            reader.error(dhcp.span.clone(), text).also(&own.span, "the address of the network");
        }
    }
}

/// Two networks give away different addresses, whatever those of the networks are.
fn apart(reader: &mut Reader, now: &At<DhcpService>, then: &At<DhcpService>) {
    // The interfaces of `[lan]` have one table.
    if now.span == then.span {
        return;
    }
    let all = |dhcp: &DhcpService| {
        let hosts: Vec<_> =
            dhcp.reservations.iter().map(|host| (host.address, host.address)).collect();
        [dhcp.ranges.clone(), hosts].concat()
    };
    let (ours, theirs) = (all(&now.value), all(&then.value));
    let is_shared =
        |(first, last): &&(Ipv4Addr, Ipv4Addr)| theirs.iter().any(|(a, b)| first <= b && a <= last);
    if let Some((first, _)) = ours.iter().find(is_shared) {
        let text = format!("two networks give away the same addresses, from {first} on");
        reader
            .error(now.span.clone(), text)
            .also(&then.span, "the other network")
            .hint("the router could not tell where such an address is");
    }
}

/// The tables of a network as inline tables.
pub(super) fn write(out: &mut String, network: &Network) {
    match &network.dhcp {
        Some(dhcp) => {
            let _ = writeln!(out, "dhcp = {}", shown_dhcp(dhcp));
        }
        None => out.push_str("# dhcp: none\n"),
    }
    let Some(dns) = &network.dns else { return out.push_str("# dns: none\n") };
    let names = dns.names.iter().map(|(name, address)| format!("{} = \"{address}\"", quoted(name)));
    let names: Vec<_> = names.collect();
    let names = if names.is_empty() { "{}".into() } else { format!("{{ {} }}", names.join(", ")) };
    let asked = match dns.servers.as_slice() {
        [] => "forward = \"health\"".to_owned(),
        servers => format!("servers = {}", list(servers)),
    };
    let own = dns.resolv_conf;
    let _ = writeln!(out, "dns = {{ {asked}, names = {names}, resolv_conf = {own} }}");
}

fn shown_dhcp(dhcp: &DhcpService) -> String {
    let ranges = dhcp.ranges.iter().map(|(first, last)| format!("\"{first}-{last}\""));
    let ranges: Vec<_> = ranges.collect();
    let reservations = dhcp.reservations.iter().map(|one| {
        let name =
            one.name.as_ref().map_or(String::new(), |name| format!(", name = {}", quoted(name)));
        format!("{{ mac = \"{}\", address = \"{}\"{name} }}", one.mac, one.address)
    });
    let reservations: Vec<_> = reservations.collect();
    let domain = dhcp.domain.as_ref();
    let domain = domain.map_or(String::new(), |domain| format!(", domain = {}", quoted(domain)));
    format!(
        "{{ ranges = [{}], lease = \"{}\", reservations = [{}]{domain}, dns = {}, ntp = {}, options = [{}] }}",
        ranges.join(", "),
        unit::show(dhcp.lease),
        reservations.join(", "),
        list(&dhcp.dns),
        list(&dhcp.ntp),
        option::shown_all(&dhcp.options)
    )
}

/// Addresses, as the file would have them.
pub(super) fn list(all: &[Ipv4Addr]) -> String {
    let all: Vec<_> = all.iter().map(|address| format!("\"{address}\"")).collect();
    format!("[{}]", all.join(", "))
}

/// As many as a line of dnsmasq has room for, which ends after 1024 bytes.
const MOST_HOSTS: usize = 60;
const NAMES: &str = "letters, digits and `-`, with dots between the parts of a domain; \
                     a letter in the last part";
/// dnsmasq knows none shorter than two minutes.
const LEASES: RangeInclusive<Duration> =
    Duration::from_secs(120)..=Duration::from_secs(365 * 24 * 3600);
const LEASE: Duration = Duration::from_secs(12 * 3600);
