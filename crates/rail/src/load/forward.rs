//! `[[forward]]`: port forwards.

use super::allow::{prefixes, show_ports};
use super::keys::suggestion;
use super::reader::{At, Node, Reader, Section, shown};
use super::translation::public;
use super::unit::digits;
use super::uplink;
use rail_core::config::{Forward, Protocol};
use rail_core::net::is_host;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

/// A forward with the places of its port, its goal and its address.
pub(super) struct Draft {
    pub(super) value: Forward,
    pub(super) address: Option<At<Ipv4Addr>>,
    pub(super) port: Range<usize>,
    pub(super) to: Range<usize>,
}

pub(super) fn forwards(
    reader: &mut Reader,
    file: &Section<'_>,
    uplinks: &[uplink::Draft],
) -> Vec<Draft> {
    let mut all = Vec::new();
    for section in reader.tables(file, "forward", "forward") {
        all.extend(forward(reader, &section, uplinks));
    }
    all
}

/// One block; one forward for each protocol and each range of ports that it names.
fn forward(reader: &mut Reader, section: &Section<'_>, uplinks: &[uplink::Draft]) -> Vec<Draft> {
    let protocols = protocols(reader, section);
    let ports = ports(reader, section, &protocols);
    let to = section.get("to").and_then(|node| to(reader, node, ports.as_deref()?));
    if section.get("to").is_none() {
        reader.missing(section, "to", "\"192.168.1.10:80\"");
    }
    let names = section.get("uplinks").map(|node| names(reader, node, uplinks));
    let from = section.get("from").map_or_else(Vec::new, |node| {
        let hint = "leave the key out for anyone";
        prefixes(reader, node, "from", Some(("nobody could reach the forward", hint)))
    });
    let address = section.get("address").and_then(|node| public(reader, node, "address", uplinks));
    let hairpin = reader.boolean(section, "hairpin", true);
    let (Some(ports), Some((host, port))) = (ports, to) else { return Vec::new() };
    let one = |protocol, ports: Option<(u16, u16)>| Draft {
        value: Forward {
            protocol,
            ports,
            to: SocketAddr::new(host.into(), port.or(ports.map(|(first, _)| first)).unwrap_or(0)),
            address: address.as_ref().map(|at| at.value),
            from: from.clone(),
            uplinks: names.clone(),
            hairpin,
        },
        port: section.place(if ports.is_some() { "port" } else { "protocol" }),
        to: section.place("to"),
        address: address.clone(),
    };
    let ranges = || ports.iter().copied().map(Some).chain(ports.is_empty().then_some(None));
    protocols.iter().flat_map(|protocol| ranges().map(|range| one(*protocol, range))).collect()
}

fn protocols(reader: &mut Reader, section: &Section<'_>) -> Vec<Protocol> {
    let Some(node) = section.get("protocol") else {
        reader.missing(section, "protocol", "\"tcp\"");
        return Vec::new();
    };
    if node.get_ref().as_array().is_some_and(|array| array.iter().next().is_none()) {
        reader.error(node.span(), "`protocol` is empty").hint("\"tcp\", \"udp\", or both");
    }
    let mut found = Vec::new();
    for node in one_or_several(node) {
        let number = node.get_ref().is_integer();
        let protocol = if number {
            let number = reader.integer(node, "protocol", 0..=255);
            number.and_then(|n| u8::try_from(n).ok()).map(Protocol::of_number)
        } else if let Some(name) = reader.text(node, "protocol", "a text such as \"tcp\"") {
            let known = Protocol::of_name(name);
            if known.is_none() {
                let text = format!("`protocol` cannot be \"{}\"", shown(name));
                let hint = "valid: \"tcp\", \"udp\", \"esp\", \"gre\", \"icmp\", or a number";
                reader.error(node.span(), text).hint(hint);
            }
            known
        } else {
            None
        };
        let Some(protocol) = protocol else { continue };
        if found.contains(&protocol) {
            reader.error(node.span(), format!("\"{protocol}\" is listed twice"));
        } else if found.first().is_some_and(|p: &Protocol| p.has_ports() != protocol.has_ports()) {
            reader
                .error(node.span(), "protocols with and without ports are in one [[forward]]")
                .hint("write a block for each kind");
        } else {
            found.push(protocol);
        }
    }
    found
}

/// The elements of a list, or the value itself.
fn one_or_several<'a>(node: Node<'a>) -> Vec<Node<'a>> {
    node.get_ref().as_array().map_or_else(|| vec![node], |array| array.iter().collect())
}

/// The ranges of `port`; none for protocols that have no ports, `None` for what is wrong.
fn ports(
    reader: &mut Reader,
    section: &Section<'_>,
    protocols: &[Protocol],
) -> Option<Vec<(u16, u16)>> {
    let portless = protocols.first().filter(|protocol| !protocol.has_ports());
    let Some(node) = section.get("port") else {
        if portless.is_some() {
            return Some(Vec::new());
        }
        if !protocols.is_empty() || section.get("protocol").is_none() {
            reader.missing(section, "port", "8080");
        }
        return None;
    };
    if let Some(protocol) = portless {
        reader.error(node.span(), format!("{protocol} has no ports")).hint("leave `port` out");
        return None;
    }
    let nodes = one_or_several(node);
    if nodes.is_empty() {
        reader.error(node.span(), "`port` is empty").hint("8080, \"5000-5010\", or a list of such");
    }
    let mut found: Vec<(u16, u16)> = Vec::new();
    for node in &nodes {
        let Some(range) = range(reader, node) else { continue };
        if let Some(other) = found.iter().find(|f| f.0 <= range.1 && range.0 <= f.1) {
            let text = format!("`port`: {} and {} overlap", show_ports(range), show_ports(*other));
            reader.error(node.span(), text);
        } else {
            found.push(range);
        }
    }
    (!nodes.is_empty() && found.len() == nodes.len()).then_some(found)
}

/// A port, as a number or a text, or a range of them; first and last.
fn range(reader: &mut Reader, node: Node<'_>) -> Option<(u16, u16)> {
    let Some(text) = node.get_ref().as_str() else {
        let port = reader.integer(node, "port", 1..=65535);
        return port.and_then(|p| u16::try_from(p).ok()).map(|p| (p, p));
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (digits(first), digits(last)) else {
        let text = format!("`port`: \"{}\" is no port and no range of ports", shown(text));
        let hint = "8080, \"5000-5010\", or a list: [\"443\", \"5000-5010\"]";
        reader.error(node.span(), text).hint(hint);
        return None;
    };
    let (Some(first), Some(last)) = (port(first), port(last)) else {
        reader.error(node.span(), "`port` must be between 1 and 65535");
        return None;
    };
    if first > last {
        reader
            .error(node.span(), format!("`port`: the range {first}-{last} is reversed"))
            .hint(format!("the lower port first: \"{last}-{first}\""));
        return None;
    }
    Some((first, last))
}

fn port(number: u64) -> Option<u16> {
    u16::try_from(number).ok().filter(|port| *port > 0)
}

/// `address:port`, or the address alone: the same ports.
fn to(
    reader: &mut Reader,
    node: Node<'_>,
    ranges: &[(u16, u16)],
) -> Option<(Ipv4Addr, Option<u16>)> {
    let text = reader.text(node, "to", "a text such as \"192.168.1.10:80\"")?;
    let (address, port) = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(to), _) => (to.ip(), Some(to.port())),
        (_, Ok(address)) => (address, None),
        _ => {
            reader
                .error(node.span(), format!("`to`: \"{}\" is no address and port", shown(text)))
                .hint("an address inside, and the port: \"192.168.1.10:80\"");
            return None;
        }
    };
    let IpAddr::V4(address) = address else {
        reader.later(node.span(), "a forward to an IPv6 address");
        return None;
    };
    if port == Some(0) {
        reader.error(node.span(), "`to`: the port must be between 1 and 65535");
        return None;
    }
    if !is_host(address) {
        let text = match address {
            Ipv4Addr::LOCALHOST => "`to`: the router itself cannot be the goal of a forward".into(),
            _ => format!("`to`: {address} cannot be the address of a host"),
        };
        reader.error(node.span(), text);
        return None;
    }
    let fits = match (port, ranges) {
        (None, _) => true,
        (Some(port), [range]) => has_room(reader, node, *range, port),
        (Some(_), []) => {
            let text = "`to` has a port, and the protocol has none";
            reader.error(node.span(), text).hint(format!("write to = \"{address}\""));
            false
        }
        (Some(port), several) => {
            let text = format!("`to`: {} ports or ranges cannot all go to {port}", several.len());
            reader
                .error(node.span(), text)
                .hint("leave the port out: the same ports; or write one [[forward]] for each");
            false
        }
    };
    fits.then_some((address, port))
}

/// Whether a range that begins at `to` ends at a port, and is not too long to be moved.
fn has_room(reader: &mut Reader, node: Node<'_>, (first, last): (u16, u16), to: u16) -> bool {
    let more = last - first;
    if to.checked_add(more).is_none() {
        let count = u32::from(more) + 1;
        let text = format!("`to`: {count} ports from {to} on end beyond 65535");
        reader
            .error(node.span(), text)
            .hint(format!("{} is the last that can be the first", u16::MAX - more));
        return false;
    }
    if to != first && more >= MOST_MOVED {
        let text = format!("`to`: a range of more than {MOST_MOVED} ports cannot be moved");
        reader.error(node.span(), text).hint("leave the port out: the same ports");
        return false;
    }
    true
}

fn names(reader: &mut Reader, node: Node<'_>, uplinks: &[uplink::Draft]) -> Vec<String> {
    let nodes = reader.list(node, "uplinks", "a list of uplink names");
    if nodes.is_empty() && node.get_ref().is_array() {
        reader
            .error(node.span(), "`uplinks` is empty: the forward would be on no uplink")
            .hint("leave the key out for every uplink");
    }
    let known: Vec<&str> =
        uplinks.iter().filter_map(|u| u.name.as_ref()).map(|n| n.value.as_str()).collect();
    let complete = known.len() == uplinks.len() && !reader.broken;
    let mut found: Vec<String> = Vec::new();
    for node in nodes {
        let Some(name) = reader.text(node, "uplinks", "a list of uplink names") else { continue };
        if found.iter().any(|n| n == name) {
            reader.error(node.span(), format!("\"{}\" is listed twice", shown(name)));
        } else if known.contains(&name) || !complete {
            found.push(name.to_owned());
        } else {
            let text = format!("there is no uplink \"{}\"", shown(name));
            reader.error(node.span(), text).hint(suggestion(name, &known));
        }
    }
    found
}

/// Each port of a moved range stands in the rule by itself.
const MOST_MOVED: u16 = 1024;
