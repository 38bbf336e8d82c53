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

/// `PROTOCOL [PORTS] [from SOURCES] [to HOSTS]`; commas may have a space behind them.
fn entry(text: &str) -> Result<Allow, String> {
    let joined = text.replace(", ", ",");
    let words: Vec<_> = joined.split_ascii_whitespace().collect();
    let is_no_rule = || format!("\"{}\" is no rule", shown(text));
    let (protocol, rest) = words.split_first().ok_or_else(is_no_rule)?;
    let (ports, rest) = match rest {
        [ports, rest @ ..] if !matches!(*ports, "from" | "to") => (Some(*ports), rest),
        rest => (None, rest),
    };
    let (from, to) = match *rest {
        [] => (None, None),
        ["from", from] => (Some(from), None),
        ["to", to] => (None, Some(to)),
        ["from", from, "to", to] => (Some(from), Some(to)),
        _ => return Err(is_no_rule()),
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
    let to = to.map_or(Ok(Vec::new()), |to| each(to, any_prefix))?;
    let meets = |a: &Prefix| to.iter().any(|b| a.family() == b.family());
    if !from.is_empty() && !to.is_empty() && !from.iter().any(meets) {
        return Err("no source is of the family of the hosts".to_owned());
    }
    Ok(Allow { protocol, ports, from, to })
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

/// A list of IPv4 networks and addresses; what an empty one would mean, if it is wrong, and a hint.
pub(super) fn prefixes(
    reader: &mut Reader,
    node: Node<'_>,
    key: &str,
    empty: Option<(&str, &str)>,
) -> Vec<Prefix> {
    let wanted = "a list such as [\"203.0.113.0/24\"]";
    let nodes = reader.list(node, key, wanted);
    if nodes.is_empty()
        && node.get_ref().is_array()
        && let Some((meaning, hint)) = empty
    {
        reader.error(node.span(), format!("`{key}` is empty: {meaning}")).hint(hint);
    }
    let mut found: Vec<Prefix> = Vec::new();
    for node in nodes {
        let Some(text) = reader.text(node, key, wanted) else { continue };
        match prefix_of(text) {
            Ok(prefix) if found.contains(&prefix) => {
                reader.error(node.span(), format!("{prefix} is listed twice"));
            }
            Ok(prefix) => found.push(prefix),
            Err(why) => {
                reader
                    .error(node.span(), format!("`{key}`: {why}"))
                    .hint("\"203.0.113.0/24\" or \"203.0.113.7\"");
            }
        }
    }
    found
}

/// The same, of IPv4.
fn prefix_of(text: &str) -> Result<Prefix, String> {
    let prefix = any_prefix(text)?;
    if prefix.family() == Family::V6 {
        return Err("IPv6 here: not in this version".to_owned());
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
