//! `address = "keep"` of an uplink: another program configures its interface.

use super::reader::{At, Node, Reader, Section};
use super::uplink::{Draft, gateway_address};
use super::validate::Parts;
use rail_core::config::{FirewallMode, KeepConfig};
use rail_core::net::is_host;
use std::net::IpAddr;

/// What the file says of it; `None`: it is not kept.
pub(super) fn read(reader: &mut Reader, uplink: &Section<'_>) -> Option<At<KeepConfig>> {
    let node = uplink.get("address").filter(|node| node.get_ref().as_str() == Some("keep"))?;
    for (key, hint) in WITHOUT {
        let is_empty =
            |node: &Node<'_>| node.get_ref().as_array().is_some_and(|all| all.is_empty());
        if let Some(node) = uplink.get(key).filter(|node| !is_empty(node)) {
            let text = format!("`{key}` is not for address = \"keep\"");
            reader.error(node.span(), text).hint(hint);
        }
    }
    let gateway = uplink.get("gateway").and_then(|node| {
        let gateway = gateway_address(reader, node)?;
        if !is_host(gateway) {
            let text = format!("{gateway} cannot be the address of a host");
            reader.error(node.span(), text);
            return None;
        }
        Some(IpAddr::V4(gateway))
    });
    Some(At { value: KeepConfig { gateway }, span: node.span() })
}

/// What such an uplink cannot have, and what to do instead.
const WITHOUT: [(&str, &str); 4] = [
    ("gateway_onlink", "leave it out: a gateway outside the prefix is taken for a neighbour"),
    ("addresses", "leave it out: the other program sets them"),
    ("parent", "the other program makes the link: name it as `interface`"),
    ("mac", "the other program makes the link: name it as `interface`"),
];

/// Notes uplinks that would not know what of the interface is theirs, or have no place.
pub(super) fn agree(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let uplink = &parts.uplinks[index];
    let Some(interface) = &uplink.interface else { return };
    let is_here = |u: &Draft| u.interface.as_ref().is_some_and(|at| at.value == interface.value);
    if let Some(first) = parts.uplinks[..index].iter().find(|u| is_here(u))
        && (uplink.keep.is_some() || first.keep.is_some())
        && let Some(at) = &first.interface
    {
        let text = format!("two uplinks on {}, which another program configures", interface.value);
        reader
            .error(interface.span.clone(), text)
            .also(&at.span, "the first uplink")
            .hint("with address = \"keep\" an uplink has its interface for itself");
    }
    let Some(keep) = &uplink.keep else { return };
    let mut inside = parts.networks.iter().filter_map(|network| network.interface.as_ref());
    if inside.any(|at| at.value == interface.value) {
        reader
            .error(keep.span.clone(), "an uplink inside has a static address")
            .hint("write the router's own address there, and the gateway");
    }
    if parts.mode == FirewallMode::External {
        reader
            .error(keep.span.clone(), "address = \"keep\" needs nftables rules of ours")
            .hint("with mode = \"external\" they are loaded by hand, and name the address");
    }
}
