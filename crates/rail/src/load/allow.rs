//! `[firewall] allow`, and the protocols, ports and sources that forwards name as well.

use super::reader::{Node, Reader, shown};
use super::unit::digits;
use rail_core::config::{Allow, Protocol};
use rail_core::net::{Family, Prefix};

/// The entries of `allow`.
pub(super) fn allow(reader: &mut Reader, node: Node<'_>) -> Vec<Allow> {
    let mut found: Vec<Allow> = Vec::new();
    for node in reader.list(node, "allow", "a list such as [\"tcp 22 from 203.0.113.0/24\"]") {
        let Some(text) = reader.text(node, "allow", "a text such as \"tcp 22\"") else { continue };
        match entry(text) {
            Ok(entry) if found.contains(&entry) => {
                reader.error(node.span(), format!("\"{}\" is listed twice", shown(text)));
            }
            Ok(entry) => found.push(entry),
            Err(why) => {
                let hint = meant(text).unwrap_or_else(|| EXAMPLES.to_owned());
                reader.error(node.span(), format!("`allow`: {why}")).hint(hint);
            }
        }
    }
    found
}

/// `PROTOCOL [PORTS] [from SOURCES]`; commas may have a space behind them.
fn entry(text: &str) -> Result<Allow, String> {
    let joined = text.replace(", ", ",");
    let words: Vec<_> = joined.split_ascii_whitespace().collect();
    let (protocol, ports, from) = match words[..] {
        [protocol] => (protocol, None, None),
        [protocol, "from", from] => (protocol, None, Some(from)),
        [protocol, ports] if ports != "from" => (protocol, Some(ports), None),
        [protocol, ports, "from", from] => (protocol, Some(ports), Some(from)),
        _ => return Err(format!("\"{}\" is no rule", shown(text))),
    };
    let Some(protocol) = Protocol::of_name(protocol) else {
        return Err(format!("\"{}\" is no protocol", shown(protocol)));
    };
    let ports = match ports {
        None if protocol.has_ports() => return Err(format!("{protocol} needs a port")),
        Some(_) if !protocol.has_ports() => return Err(format!("{protocol} has no ports")),
        None => Vec::new(),
        Some(ports) => each(ports, |port| {
            ports_of(port).ok_or_else(|| {
                format!("\"{}\" is no port and no range of ports (1 to 65535)", shown(port))
            })
        })?,
    };
    let from = from.map_or(Ok(Vec::new()), |from| each(from, any_prefix))?;
    Ok(Allow { protocol, ports, from })
}

/// The parts of a list with commas, none twice.
fn each<T: PartialEq>(
    text: &str,
    read: impl Fn(&str) -> Result<T, String>,
) -> Result<Vec<T>, String> {
    let mut all = Vec::new();
    for part in text.split(',') {
        let value = read(part)?;
        if all.contains(&value) {
            return Err(format!("\"{}\" is listed twice", shown(part)));
        }
        all.push(value);
    }
    Ok(all)
}

/// What is usually meant by the usual mistakes.
fn meant(text: &str) -> Option<String> {
    let (first, rest) = text.split_once(' ').map_or((text, ""), |(first, rest)| (first, rest));
    let from = if rest.starts_with("from ") { format!(" {rest}") } else { String::new() };
    if let Some((port, protocol)) = first.split_once('/')
        && let (Some(_), "tcp" | "udp") = (ports_of(port), protocol)
    {
        return Some(format!("did you mean \"{protocol} {port}{from}\"?"));
    }
    let (_, rule) = SERVICES.iter().find(|(service, _)| *service == first)?;
    Some(format!("did you mean \"{rule}{from}\"?"))
}

/// A network, or a single address, of either family.
fn any_prefix(text: &str) -> Result<Prefix, String> {
    let parsed = match text.parse() {
        Ok(address) => Ok(Prefix::host(address)),
        Err(_) => text.parse::<Prefix>(),
    };
    let prefix = parsed.map_err(|_| format!("\"{}\" is no address or prefix", shown(text)))?;
    if prefix.network() != prefix {
        return Err(format!("{prefix} has host bits; the network is {}", prefix.network()));
    }
    Ok(prefix)
}

/// The same, of IPv4.
pub(super) fn prefix_of(text: &str) -> Result<Prefix, String> {
    let prefix = any_prefix(text)?;
    if prefix.family() == Family::V6 {
        return Err("IPv6 sources: not in this version".to_owned());
    }
    Ok(prefix)
}

fn ports_of(text: &str) -> Option<(u16, u16)> {
    let port = |t: &str| digits(t).and_then(|n| u16::try_from(n).ok()).filter(|n| *n > 0);
    match text.split_once('-') {
        Some((first, last)) => {
            let (first, last) = (port(first)?, port(last)?);
            (first <= last).then_some((first, last))
        }
        None => port(text).map(|p| (p, p)),
    }
}

/// A port or a range as the file has it.
pub(super) fn show_ports((first, last): (u16, u16)) -> String {
    if first == last { first.to_string() } else { format!("{first}-{last}") }
}

const EXAMPLES: &str =
    "\"tcp 22\", \"udp 500,4500\", \"tcp 22 from 203.0.113.0/24,2001:db8::/32\", \"esp\"";

/// Names of services that people write instead of ports.
const SERVICES: &[(&str, &str)] = &[
    ("ssh", "tcp 22"),
    ("http", "tcp 80"),
    ("https", "tcp 443"),
    ("smtp", "tcp 25"),
    ("dns", "udp 53"),
    ("ntp", "udp 123"),
    ("openvpn", "udp 1194"),
    ("wireguard", "udp 51820"),
    ("ipsec", "udp 500,4500"),
];
