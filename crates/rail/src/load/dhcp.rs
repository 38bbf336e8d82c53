//! `address = "dhcp"` of an uplink, and what its table `dhcp` adds.

use super::effective::{prefixes, quoted};
use super::reader::{At, Node, Reader, Section, shown};
use super::uplink::Draft;
use super::validate::Parts;
use rail_core::config::{DhcpConfig, FirewallMode};
use rail_core::net::Prefix;

/// The client of an uplink whose address is leased; `None`: it is not.
pub(super) fn read(reader: &mut Reader, uplink: &Section<'_>) -> Option<At<DhcpConfig>> {
    let node = uplink.get("address").filter(|node| node.get_ref().as_str() == Some("dhcp"));
    let section = reader.table(uplink, "dhcp", "uplink.dhcp");
    let Some(node) = node else {
        if let Some(node) = uplink.get("dhcp") {
            reader
                .error(node.span(), "`dhcp` is for address = \"dhcp\" alone")
                .hint("leave it out, or write address = \"dhcp\"");
        }
        return None;
    };
    for key in ["gateway", "gateway_onlink"] {
        if let Some(node) = uplink.get(key) {
            let text = format!("`{key}` is not for address = \"dhcp\"");
            reader.error(node.span(), text).hint("leave it out: the gateway is leased, too");
        }
    }
    let value = section.map_or_else(DhcpConfig::default, |section| client(reader, &section));
    Some(At { value, span: node.span() })
}

fn client(reader: &mut Reader, section: &Section<'_>) -> DhcpConfig {
    let mut value = |key, least, most| {
        let node = section.get(key)?;
        bytes(reader, node, key, (least, most))
    };
    let client_id = value("client_id", 2, 255);
    let vendor_class = value("vendor_class", 1, 255);
    let user_class = value("user_class", 1, 255);
    DhcpConfig {
        client_id,
        host_name: section.get("host_name").and_then(|node| host_name(reader, node)),
        vendor_class,
        user_class,
        reject_from: reject_from(reader, section),
        broadcast: reader.boolean(section, "broadcast", false),
    }
}

/// A text, or `hex:` and pairs of digits: providers ask for values that are no text.
fn bytes(
    reader: &mut Reader,
    node: Node<'_>,
    key: &str,
    (least, most): (usize, usize),
) -> Option<Vec<u8>> {
    let example = "a text, or \"hex:\" and pairs of digits: \"hex:01020304\"";
    let text = reader.text(node, key, example)?;
    let value = match text.strip_prefix("hex:") {
        Some(digits) => pairs(digits),
        None => Some(text.as_bytes().to_vec()),
    };
    let Some(value) = value else {
        let text = format!("`{key}`: \"{}\" is not made of pairs of digits", shown(text));
        reader.error(node.span(), text).hint(example);
        return None;
    };
    if !(least..=most).contains(&value.len()) {
        let text = format!("`{key}` must have {least} to {most} bytes, these are {}", value.len());
        reader.error(node.span(), text);
        return None;
    }
    Some(value)
}

fn pairs(digits: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = digits.chars().map(|c| c.to_digit(16)).collect::<Option<_>>()?;
    let (pairs, rest) = digits.as_chunks::<2>();
    let byte = |[high, low]: &[u32; 2]| u8::try_from(high * 16 + low).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

/// By RFC 1123 §2.1; a provider shows it to others.
fn host_name(reader: &mut Reader, node: Node<'_>) -> Option<String> {
    let text = reader.text(node, "host_name", "a text")?;
    let is_good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if text.is_empty() || text.len() > 253 || !text.chars().all(is_good) {
        let text = format!("`host_name` cannot be \"{}\"", shown(text));
        reader.error(node.span(), text).hint("letters, digits, `-` and `.`; at most 253");
        return None;
    }
    Some(text.to_owned())
}

fn reject_from(reader: &mut Reader, section: &Section<'_>) -> Vec<Prefix> {
    let Some(node) = section.get("reject_from") else { return Vec::new() };
    super::allow::prefixes(reader, node, "reject_from", None)
}

/// The table `dhcp`, as the file would have it.
pub(super) fn shown_client(dhcp: &DhcpConfig) -> String {
    let mut pairs = Vec::new();
    let bytes = [
        ("client_id", &dhcp.client_id),
        ("vendor_class", &dhcp.vendor_class),
        ("user_class", &dhcp.user_class),
    ];
    for (key, value) in bytes {
        if let Some(value) = value {
            let digits: String = value.iter().map(|byte| format!("{byte:02x}")).collect();
            pairs.push(format!("{key} = \"hex:{digits}\""));
        }
    }
    if let Some(name) = &dhcp.host_name {
        pairs.push(format!("host_name = {}", quoted(name)));
    }
    pairs.push(format!("reject_from = {}", prefixes(&dhcp.reject_from)));
    pairs.push(format!("broadcast = {}", dhcp.broadcast));
    format!("{{ {} }}", pairs.join(", "))
}

/// Notes leases that could not be told apart, or would have no place.
pub(super) fn agree(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let uplink = &parts.uplinks[index];
    let Some(interface) = &uplink.interface else { return };
    let is_here = |u: &Draft| u.interface.as_ref().is_some_and(|at| at.value == interface.value);
    let is_leased = |u: &Draft| u.dhcp.is_some();
    if let Some(first) = parts.uplinks[..index].iter().find(|u| is_here(u))
        && (is_leased(uplink) || is_leased(first))
        && let Some(at) = &first.interface
    {
        let text = format!("a lease on {}, which two uplinks have", interface.value);
        reader
            .error(interface.span.clone(), text)
            .also(&at.span, "the first uplink")
            .hint("a lease belongs to a network card: give each uplink `parent` and `mac`");
    }
    let Some(dhcp) = &uplink.dhcp else { return };
    let mut inside = parts.networks.iter().filter_map(|network| network.interface.as_ref());
    if inside.any(|at| at.value == interface.value) {
        reader
            .error(dhcp.span.clone(), "an uplink inside has a static address")
            .hint("the router is the one who leases addresses there");
    }
    if parts.mode == FirewallMode::External {
        reader
            .error(dhcp.span.clone(), "address = \"dhcp\" needs nftables rules of ours")
            .hint("with mode = \"external\" they are loaded by hand, and name the address");
    }
}
