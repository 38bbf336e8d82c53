//! `[[forward]]`: port forwards.

use super::keys::nearest;
use super::reader::{Node, Reader, Section, shown};
use super::uplink::{self, is_host};
use rail_core::config::{Forward, Protocol};
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
    let port = section.get("port").map(|node| (port(reader, node), node.span()));
    if port.is_none() {
        reader.missing(section, "port", "8080");
    }
    let (port, span) = port.unwrap_or((None, section.span.clone()));
    let to = section.get("to").and_then(|node| to(reader, node, port));
    if section.get("to").is_none() {
        reader.missing(section, "to", "\"192.168.1.10:80\"");
    }
    let names = section.get("uplinks").map(|node| names(reader, node, uplinks));
    let (Some(port), Some(to)) = (port, to) else { return Vec::new() };
    let one = |protocol| Draft {
        value: Forward { protocol, port, to, uplinks: names.clone() },
        port: span.clone(),
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

fn port(reader: &mut Reader, node: Node<'_>) -> Option<u16> {
    if let Some(text) = node.get_ref().as_str() {
        if text.contains('-') {
            reader.later(node.span(), "a range of ports").hint("write one block for each port");
        } else {
            let text = format!("`port` must be a whole number, this is \"{}\"", shown(text));
            reader.error(node.span(), text).hint("without quotes: port = 8080");
        }
        return None;
    }
    reader.integer(node, "port", 1..=65535).and_then(|p| u16::try_from(p).ok())
}

/// `address:port`, or the address alone: the same port.
fn to(reader: &mut Reader, node: Node<'_>, port: Option<u16>) -> Option<SocketAddr> {
    let text = reader.text(node, "to", "a text such as \"192.168.1.10:80\"")?;
    let to = match (text.parse::<SocketAddr>(), text.parse::<IpAddr>()) {
        (Ok(to), _) => to,
        (_, Ok(address)) => SocketAddr::new(address, port?),
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
    Some(to)
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
            let hint = match nearest(name, known.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => format!("there are: {}", known.join(", ")),
            };
            let text = format!("there is no uplink \"{}\"", shown(name));
            reader.error(node.span(), text).hint(hint);
        }
    }
    found
}
