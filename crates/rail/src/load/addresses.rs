//! Whether the further addresses of uplinks fit everything else.

use super::reader::{At, Reader};
use super::uplink::{Draft, edge};
use super::validate::Parts;
use super::{forward, network};
use rail_core::config::{Forward, Nat, Network, UplinkConfig};
use rail_core::net::Prefix;
use std::net::{IpAddr, Ipv4Addr};

/// Notes addresses that are given twice, and lists that would do nothing.
pub(super) fn agree(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let uplink = &parts.uplinks[index];
    let is_inside = |at: &At<_>| {
        let mut inside = parts.networks.iter().filter_map(|network| network.interface.as_ref());
        inside.any(|inside| inside.value == at.value)
    };
    for (position, now) in uplink.addresses.iter().enumerate() {
        if uplink.interface.as_ref().is_some_and(is_inside) {
            reader
                .error(now.span.clone(), "an uplink inside has one address")
                .hint("further ones belong to the network, which others set");
        }
        let others = parts.uplinks.iter().enumerate();
        let firsts = others.clone().filter_map(|(_, u)| u.address.as_ref());
        let earlier = others.filter(|(i, _)| *i < index).flat_map(|(_, u)| &u.addresses);
        let earlier = earlier.chain(&uplink.addresses[..position]);
        let inside = parts.networks.iter().filter_map(|network| network.address.as_ref());
        if let Some(first) = firsts.chain(earlier).chain(inside).find(|a| host(a) == host(now)) {
            let text = format!("the address {} is given twice", now.value.address);
            reader.error(now.span.clone(), text).also(&first.span, "first here");
        }
        let mut gateways = parts.uplinks.iter().filter_map(|u| u.gateway.as_ref());
        if let Some(gateway) = gateways.find(|g| IpAddr::V4(g.value) == now.value.address) {
            let text = format!("{} is a gateway", now.value.address);
            reader.error(now.span.clone(), text).also(&gateway.span, "the gateway");
        }
    }
    edges(reader, uplink);
    routed(reader, index, parts);
    is_outside(reader, uplink, parts.networks);
    if uplink.nat == Nat::Off {
        for (key, list) in [("no_nat", &uplink.no_nat), ("routed", &uplink.routed)] {
            if let Some(list) = list.as_ref().filter(|list| !list.value.is_empty()) {
                let text = format!("`{key}` has no effect with nat = false");
                reader.warning(list.span.clone(), text).hint("nothing is translated there");
            }
        }
    }
}

/// Notes addresses that no host can have in one of the uplink's subnets. What is written together with
/// its own prefix was validated with it.
fn edges(reader: &mut Reader, uplink: &Draft) {
    let prefixes: Vec<&At<Prefix>> = uplink.address.iter().chain(&uplink.addresses).collect();
    let own = prefixes.iter().filter_map(|at| match at.value.address {
        IpAddr::V4(address) => Some((address, &at.span)),
        IpAddr::V6(_) => None,
    });
    let others = uplink.gateway.iter().chain(&uplink.translated);
    for (address, span) in own.chain(others.map(|at| (at.value, &at.span))) {
        let wrong = prefixes.iter().filter(|at| at.span != *span).find_map(|at| {
            let is_there = at.value.contains(IpAddr::V4(address));
            Some((edge(at.value, address).filter(|_| is_there)?, at))
        });
        if let Some((edge, at)) = wrong {
            let text = format!("{address} is the {edge} of {}", at.value);
            reader.error(span.clone(), text).also(&at.span, "the uplink's address");
        }
    }
    if let (Some(now), Some(gateway)) = (&uplink.translated, &uplink.gateway)
        && now.value == gateway.value
    {
        let text = format!("`nat`: {} is the gateway", now.value);
        reader.error(now.span.clone(), text).also(&gateway.span, "the gateway");
    }
}

/// The address that an uplink translates to is one of its addresses, if it is in its subnet: somebody
/// must answer ARP for it there, or no reply arrives. One from elsewhere is routed to us, and so is
/// one that `routed` names: somebody else sets it.
pub(super) fn add_translated(uplinks: &mut [UplinkConfig], networks: &[Network]) {
    for index in 0..uplinks.len() {
        let uplink = &uplinks[index];
        let Nat::To(address) = uplink.nat else { continue };
        let address = IpAddr::V4(address);
        let is_taken = uplinks
            .iter()
            .any(|u| is_gateway(u, address) || u.own_addresses().any(|own| own == address))
            || uplink.routed.iter().any(|prefix| prefix.contains(address))
            || networks.iter().any(|network| {
                network.ifname == uplink.ifname
                    || network.address.is_some_and(|a| a.address == address)
            });
        if let Some(fixed) = uplink.fixed()
            && fixed.address.contains(address)
            && !is_taken
        {
            let length = fixed.address.length;
            uplinks[index].addresses.push(Prefix { address, length });
        }
    }
}

fn is_gateway(uplink: &UplinkConfig, address: IpAddr) -> bool {
    uplink.fixed().is_some_and(|fixed| fixed.gateway == address)
}

/// Notes a translation to a private address inside: nobody outside would answer it. One that `routed`
/// names is said to be answered.
fn is_outside(reader: &mut Reader, uplink: &Draft, networks: &[network::Draft]) {
    let Some(At { value, span }) = &uplink.translated else { return };
    let address = IpAddr::V4(*value);
    if uplink.has(*value) || !is_private(Prefix::host(address)) {
        return;
    }
    let mut inside = networks.iter().filter_map(|network| network.address.as_ref());
    if let Some(at) = inside.find(|at| at.value.contains(address)) {
        let network = at.value.network();
        let text = format!("`nat`: {value} is in {network}, which is private and inside");
        reader
            .error(span.clone(), text)
            .also(&at.span, "the network inside")
            .hint("nat = true takes the uplink's address");
    }
}

fn is_private(prefix: Prefix) -> bool {
    PRIVATE.iter().any(|(address, length)| {
        let range = Prefix { address: IpAddr::V4(*address), length: *length };
        range.meets(prefix)
    })
}

/// Notes networks that no provider can route to this uplink: what is listed is not translated.
fn routed(reader: &mut Reader, index: usize, parts: &Parts<'_>) {
    let uplink = &parts.uplinks[index];
    let Some(list) = &uplink.routed else { return };
    for prefix in &list.value {
        let mut earlier = parts.uplinks[..index].iter().filter_map(|u| u.routed.as_ref());
        let inside = parts.networks.iter().filter_map(|network| network.address.as_ref());
        let private = is_private(*prefix);
        if prefix.length == 0 {
            let text = format!("`routed`: {prefix} is every address");
            reader
                .error(list.span.clone(), text)
                .hint("only networks that the provider routes to this uplink");
        } else if let Some(first) = earlier.find(|all| all.value.contains(prefix)) {
            let text = format!("`routed`: {prefix} is given to two uplinks");
            reader.error(list.span.clone(), text).also(&first.span, "first here");
        } else if !private || uplink.nat == Nat::Off {
            // A public network may be inside: that is what it is routed for.
        } else if let Some(at) = inside.into_iter().find(|at| at.value.meets(*prefix)) {
            let network = at.value.network();
            let text =
                format!("`routed`: {prefix} overlaps {network}, which is private and inside");
            reader
                .error(list.span.clone(), text)
                .also(&at.span, "the network inside")
                .hint("it would not be translated; if the provider knows it, use nat = false");
        } else {
            let text = format!("`routed`: {prefix} has private addresses");
            reader
                .warning(list.span.clone(), text)
                .hint("they are not translated there; few providers route them");
        }
    }
}

/// By RFC 1918.
const PRIVATE: [(Ipv4Addr, u8); 3] = [
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
];

fn host(at: &At<Prefix>) -> IpAddr {
    at.value.address
}

/// The address by which a forward is on an uplink; `None`: it is not.
fn public(forward: &Forward, uplink: &Draft) -> Option<IpAddr> {
    let is_named =
        forward.uplinks.as_ref().is_none_or(|all| all.iter().any(|n| n == uplink.label()));
    let first = || uplink.address.as_ref().map(host);
    match forward.address {
        _ if !is_named => None,
        Some(address) => uplink.has(address).then_some(IpAddr::V4(address)),
        None => first(),
    }
}

/// True if two forwards have an address in common.
pub(super) fn meet(uplinks: &[Draft], now: &Forward, then: &Forward) -> bool {
    let both = |u: &Draft| public(now, u).is_some_and(|address| public(then, u) == Some(address));
    uplinks.iter().any(both)
}

/// Notes a forward to an address that no host inside can have.
pub(super) fn is_goal(reader: &mut Reader, forward: &forward::Draft, networks: &[network::Draft]) {
    let IpAddr::V4(goal) = forward.value.to.ip() else { return };
    for at in networks.iter().filter_map(|network| network.address.as_ref()) {
        let edge = edge(at.value, goal).filter(|_| at.value.contains(goal.into()));
        if let Some(edge) = edge {
            let text = format!("`to`: {goal} is the {edge} of {}", at.value);
            reader.error(forward.to.clone(), text).also(&at.span, "the network inside");
        }
    }
}

/// Notes a forward whose uplinks do not have its address.
pub(super) fn has_place(reader: &mut Reader, forward: &forward::Draft, uplinks: &[Draft]) {
    if let Some(At { value, span }) = &forward.address
        && let Some(names) = &forward.value.uplinks
        && !uplinks.iter().any(|u| public(&forward.value, u).is_some())
    {
        let text = format!("`address`: {value} is not on {}", names.join(", "));
        reader.error(span.clone(), text).hint("leave `uplinks` out: the address says which");
    }
}
