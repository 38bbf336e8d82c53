//! `[[nat]]`: what hosts inside appear as; and the addresses of uplinks that it and forwards name.

use super::allow::prefixes;
use super::reader::{At, Node, Reader, Section};
use super::uplink::{self, required};
use rail_core::config::Translation;
use rail_core::net::Prefix;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn translations(
    reader: &mut Reader,
    file: &Section<'_>,
    uplinks: &[uplink::Draft],
) -> Vec<Translation> {
    let sections = reader.tables(file, "nat", "nat");
    if sections.len() > MOST {
        let text = format!("{} blocks [[nat]] are more than {MOST}", sections.len());
        reader.error(file.place("nat"), text);
        return Vec::new();
    }
    let mut earlier: Vec<(At<Vec<Prefix>>, Ipv4Addr)> = Vec::new();
    for section in sections {
        let from = required(reader, &section, "from", "[\"192.168.1.5\"]", |reader, node| {
            let hint = "leave the block out, or name hosts inside";
            Some(prefixes(reader, node, "from", Some(("it would be for nobody", hint))))
        });
        let to = required(reader, &section, "to", "\"203.0.113.6\"", |reader, node| {
            public(reader, node, "to", uplinks).map(|at| at.value)
        });
        let (Some(from), Some(to)) = (from, to) else { continue };
        for (other, address) in &earlier {
            let is_same = |u: &uplink::Draft| u.has(to.value) && u.has(*address);
            let twice = from.value.iter().find(|prefix| other.value.contains(prefix));
            if let Some(prefix) = twice.filter(|_| uplinks.iter().any(is_same)) {
                let text = format!("{prefix} has two addresses on one uplink");
                reader.error(from.span.clone(), text).also(&other.span, "first here");
            }
        }
        earlier.push((from, to.value));
    }
    earlier.into_iter().map(|(from, to)| Translation { from: from.value, to }).collect()
}

/// An address that an uplink has.
pub(super) fn public(
    reader: &mut Reader,
    node: Node<'_>,
    key: &str,
    uplinks: &[uplink::Draft],
) -> Option<At<Ipv4Addr>> {
    let text = reader.text(node, key, "an address such as \"203.0.113.6\"")?;
    let address = match text.parse() {
        Ok(IpAddr::V4(address)) => address,
        Ok(IpAddr::V6(_)) => {
            reader.later(node.span(), &format!("an IPv6 address in `{key}`"));
            return None;
        }
        Err(_) => {
            let text = format!("`{key}`: \"{}\" is no address", super::reader::shown(text));
            let hint = "an address without a prefix length: \"203.0.113.6\"";
            reader.error(node.span(), text).hint(hint);
            return None;
        }
    };
    let complete = !reader.broken && uplinks.iter().all(|u| u.address.is_some() && u.is_read);
    if complete && !uplinks.iter().any(|u| u.has(address)) {
        reader
            .error(node.span(), format!("`{key}`: no uplink has the address {address}"))
            .hint("give it to one: addresses = [..], or routed = [..] if it is routed to us");
        return None;
    }
    Some(At { value: address, span: node.span() })
}

const MOST: usize = 256;
