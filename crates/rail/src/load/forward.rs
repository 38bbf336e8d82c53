//! `[[forward]]`: port forwards.

use super::keys::suggestion;
use super::reader::{Node, Reader, Section, shown};
use super::router::prefix_of;
use super::unit::digits;
use super::uplink::{self, is_host};
use rail_core::config::{Forward, Protocol};
use rail_core::net::Prefix;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::ops::Range;

/// A forward with the places of its port and its goal.
pub(super) struct Draft {
    pub(super) value: Forward,
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

/// One block; one forward for each protocol it names.
fn forward(reader: &mut Reader, section: &Section<'_>, uplinks: &[uplink::Draft]) -> Vec<Draft> {
    let protocols = protocols(reader, section);
    let ports = section.get("port").and_then(|node| ports(reader, node));
    if section.get("port").is_none() {
        reader.missing(section, "port", "8080");
    }
    let to = section.get("to").and_then(|node| to(reader, node, ports));
    if section.get("to").is_none() {
        reader.missing(section, "to", "\"192.168.1.10:80\"");
    }
    let names = section.get("uplinks").map(|node| names(reader, node, uplinks));
    let from = section.get("from").map_or_else(Vec::new, |node| from(reader, node));
    let hairpin = reader.boolean(section, "hairpin", true);
    let (Some(ports), Some(to)) = (ports, to) else { return Vec::new() };
    let one = |protocol| Draft {
        value: Forward { protocol, ports, to, from: from.clone(), uplinks: names.clone(), hairpin },
        port: section.place("port"),
        to: section.place("to"),
    };
    protocols.into_iter().map(one).collect()
}

fn protocols(reader: &mut Reader, section: &Section<'_>) -> Vec<Protocol> {
    let Some(node) = section.get("protocol") else {
        reader.missing(section, "protocol", "\"tcp\"");
        return Vec::new();
    };
    let nodes = match node.get_ref().as_array() {
        Some(array) => array.iter().collect(),
        None => vec![node],
    };
    if nodes.is_empty() {
        reader.error(node.span(), "`protocol` is empty").hint("\"tcp\", \"udp\", or both");
    }
    let mut found = Vec::new();
    for node in nodes {
        let wanted = "\"tcp\", \"udp\" or [\"tcp\", \"udp\"]";
        let protocol = match reader.text(node, "protocol", wanted) {
            Some("tcp") => Protocol::Tcp,
            Some("udp") => Protocol::Udp,
            Some(other) => {
                let text = format!("`protocol` cannot be \"{}\"", shown(other));
                reader.error(node.span(), text).hint(format!("valid: {wanted}"));
                continue;
            }
            None => continue,
        };
        if found.contains(&protocol) {
            reader.error(node.span(), format!("\"{}\" is listed twice", protocol.as_str()));
        } else {
            found.push(protocol);
        }
    }
    found
}

/// A port, as a number or a text, or a range of them; first and last.
fn ports(reader: &mut Reader, node: Node<'_>) -> Option<(u16, u16)> {
    let Some(text) = node.get_ref().as_str() else {
        let port = reader.integer(node, "port", 1..=65535);
        return port.and_then(|p| u16::try_from(p).ok()).map(|p| (p, p));
    };
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (Some(first), Some(last)) = (digits(first), digits(last)) else {
        let text = format!("`port`: \"{}\" is no port and no range of ports", shown(text));
        reader.error(node.span(), text).hint("8080 or \"5000-5010\"");
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
fn to(reader: &mut Reader, node: Node<'_>, ports: Option<(u16, u16)>) -> Option<SocketAddr> {
    let text = reader.text(node, "to", "a text such as \"192.168.1.10:80\"")?;
    let to = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(to), _) => to,
        (_, Ok(address)) => SocketAddr::new(address, ports?.0),
        _ => {
            reader
                .error(node.span(), format!("`to`: \"{}\" is no address and port", shown(text)))
                .hint("an address inside, and the port: \"192.168.1.10:80\"");
            return None;
        }
    };
    let IpAddr::V4(address) = to.ip() else {
        reader.later(node.span(), "a forward to an IPv6 address");
        return None;
    };
    if to.port() == 0 {
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
    has_room(reader, node, ports?, to.port()).then_some(to)
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

/// The sources that may.
fn from(reader: &mut Reader, node: Node<'_>) -> Vec<Prefix> {
    let wanted = "a list such as [\"203.0.113.0/24\"]";
    let nodes = reader.list(node, "from", wanted);
    if nodes.is_empty() && node.get_ref().is_array() {
        reader
            .error(node.span(), "`from` is empty: nobody could reach the forward")
            .hint("leave the key out for anyone");
    }
    let mut found: Vec<Prefix> = Vec::new();
    for node in nodes {
        let Some(text) = reader.text(node, "from", wanted) else { continue };
        match prefix_of(text) {
            Ok(prefix) if found.contains(&prefix) => {
                reader.error(node.span(), format!("{prefix} is listed twice"));
            }
            Ok(prefix) => found.push(prefix),
            Err(why) => {
                reader
                    .error(node.span(), format!("`from`: {why}"))
                    .hint("\"203.0.113.0/24\" or \"203.0.113.7\"");
            }
        }
    }
    found
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
