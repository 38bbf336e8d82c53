//! Whether the parts of a configuration agree with each other.

use super::check::DEFAULT_TARGETS;
use super::reader::{At, Reader, Section};
use super::uplink::Draft;
use super::{addresses, dhcp, forward, keep, link, network, ppp};
use rail_core::config::{FirewallMode, MOST_UPLINKS, Ranges, Standby, Tier};
use rail_core::net::Prefix;
use std::net::{IpAddr, Ipv4Addr};
use toml::Spanned;

/// What is compared.
pub(super) struct Parts<'a> {
    pub(super) networks: &'a [network::Draft],
    pub(super) mode: FirewallMode,
    pub(super) ranges: &'a Ranges,
    pub(super) uplinks: &'a [Draft],
    pub(super) targets: &'a [At<Ipv4Addr>],
    pub(super) forwards: &'a [forward::Draft],
}

/// Notes contradictions between sections.
pub(super) fn agree(reader: &mut Reader, file: &Section<'_>, parts: &Parts<'_>) {
    if parts.uplinks.len() > usize::from(MOST_UPLINKS) {
        let text = format!("{} uplinks are more than {MOST_UPLINKS}", parts.uplinks.len());
        reader.error(file.place("uplink"), text);
    } else {
        room(reader, file, parts);
        for (index, uplink) in parts.uplinks.iter().enumerate() {
            against_earlier(reader, uplink, &parts.uplinks[..index]);
            in_common(reader, uplink, &parts.uplinks[..index], parts);
            redirects(reader, uplink, parts.networks);
            standby(reader, uplink);
            addresses::agree(reader, index, parts);
            link::agree(reader, index, parts);
            dhcp::agree(reader, index, parts);
            ppp::agree(reader, index, parts);
            keep::agree(reader, index, parts);
        }
    }
    network::agree(reader, parts.networks, parts.uplinks, parts.mode);
    targets(reader, parts);
    if parts.forwards.len() > MOST_FORWARDS {
        let text = format!("{} forwards are more than {MOST_FORWARDS}", parts.forwards.len());
        reader.error(file.place("forward"), text);
        return;
    }
    for (index, forward) in parts.forwards.iter().enumerate() {
        if own_addresses(parts).any(|own| own.value.address == forward.value.to.ip()) {
            let text = format!("`to`: {} is the router's own address", forward.value.to.ip());
            reader.error(forward.to.clone(), text).hint("name a host inside");
        }
        addresses::is_goal(reader, forward, parts.networks);
        addresses::has_place(reader, forward, parts.uplinks);
        forward_twice(reader, forward, &parts.forwards[..index], parts.uplinks);
    }
}

/// True if a network has the address. One of everything is an error by itself.
fn is_in(prefix: Prefix, address: IpAddr) -> bool {
    prefix.length > 0 && prefix.contains(address)
}

/// Whether the ranges hold every uplink.
fn room(reader: &mut Reader, file: &Section<'_>, parts: &Parts<'_>) {
    let count = u64::try_from(parts.uplinks.len()).unwrap_or(u64::MAX);
    // All zeros is "no mark", all ones is "none of them".
    let marks = (1_u64 << parts.ranges.mark_mask.count_ones()) - 2;
    let tables = u64::from(parts.ranges.tables.1 - parts.ranges.tables.0);
    for (key, held) in [("marks", marks), ("tables", tables)] {
        if count > held {
            let place = file.get("ranges").map_or(0..0, Spanned::span);
            let text = format!("{count} uplinks, but `{key}` in [ranges] has room for {held}");
            let bits = u64::BITS - (count + 1).leading_zeros();
            let hint = match key {
                "marks" => format!("{count} uplinks take a mask of {bits} bits"),
                _ => format!("it takes {}: one for each uplink, one that all share", count + 1),
            };
            reader.error(place, text).hint(hint);
        }
    }
}

fn against_earlier(reader: &mut Reader, uplink: &Draft, earlier: &[Draft]) {
    if let Some(name) = &uplink.name
        && let Some(first) = same(earlier, |u| u.name.as_ref(), &name.value)
    {
        let text = format!("duplicate uplink name \"{}\"", name.value);
        reader.error(name.span.clone(), text).also(&first.span, "first here");
    }
}

/// Uplinks may have an interface or an address in common, but not both, nor a gateway on one interface.
fn in_common(reader: &mut Reader, uplink: &Draft, earlier: &[Draft], parts: &Parts<'_>) {
    let Some(ifname) = &uplink.interface else { return };
    let is_here = |u: &Draft| u.interface.as_ref().is_some_and(|at| at.value == ifname.value);
    let host = |u: &Draft| u.address.as_ref().map(|at| at.value.address);
    let is_inside = |u: &Draft| {
        let mut inside = parts.networks.iter().filter_map(|network| network.interface.as_ref());
        u.interface.as_ref().is_some_and(|at| inside.any(|i| i.value == at.value))
    };
    let why_not = if is_inside(uplink) {
        Some("an uplink inside has its interface and its address for itself")
    } else if parts.mode == FirewallMode::External {
        Some("that needs nftables rules of ours, and mode = \"external\" has none")
    } else {
        None
    };
    if let Some(first) = earlier.iter().find(|u| is_here(u))
        && let (Some(hint), Some(at)) = (why_not, &first.interface)
    {
        let text = format!("two uplinks on the interface {}", ifname.value);
        reader.error(ifname.span.clone(), text).also(&at.span, "the first uplink").hint(hint);
    }
    if let Some(At { value, span }) = &uplink.address
        && let Some(first) = earlier.iter().find(|u| host(u) == Some(value.address))
        && let Some(at) = &first.address
    {
        let hint = if is_here(first) {
            Some("two uplinks may have one address, but on an interface of its own each")
        } else {
            why_not.or(is_inside(first).then_some("the first uplink is inside"))
        };
        if let Some(hint) = hint {
            let text = format!("the address {} is given twice", value.address);
            reader.error(span.clone(), text).also(&at.span, "first here").hint(hint);
        }
    }
    if let Some(At { value, span }) = &uplink.gateway {
        let twice = |u: &&Draft| u.gateway.as_ref().is_some_and(|at| at.value == *value);
        if let Some(first) = earlier.iter().filter(|u| is_here(u)).find(twice)
            && let Some(at) = &first.gateway
        {
            let text = format!("the gateway {value} is given twice on {}", ifname.value);
            reader
                .error(span.clone(), text)
                .also(&at.span, "first here")
                .hint("that is one uplink given twice: an uplink is identified by its gateway");
        }
    }
}

fn same<T: PartialEq>(
    earlier: &[Draft],
    of: impl Fn(&Draft) -> Option<&At<T>>,
    value: &T,
) -> Option<At<()>> {
    let first = earlier.iter().filter_map(of).find(|at| at.value == *value)?;
    Some(At { value: (), span: first.span.clone() })
}

/// Redirects are a matter of uplinks inside.
fn redirects(reader: &mut Reader, uplink: &Draft, networks: &[network::Draft]) {
    let (Some(ifname), Some(redirects)) = (&uplink.interface, &uplink.redirects) else { return };
    let is_here = |n: &network::Draft| n.interface.as_ref().is_none_or(|i| i.value == ifname.value);
    if redirects.value && !networks.is_empty() && !networks.iter().any(is_here) {
        let text = format!("`redirects` is for an uplink inside; {} is not", ifname.value);
        reader.error(redirects.span.clone(), text).hint("leave it out");
    }
}

/// Cold standby is a matter of uplinks that can be called.
fn standby(reader: &mut Reader, uplink: &Draft) {
    let Some(At { span, .. }) = uplink.standby.as_ref().filter(|at| at.value == Standby::Cold)
    else {
        return;
    };
    if uplink.dhcp.is_none() && uplink.ppp.is_none() {
        reader
            .error(span.clone(), "`standby = \"cold\"` is for address = \"dhcp\" or \"ppp\" alone")
            .hint("another address costs nothing while it waits; leave it out");
    } else if uplink.tier == Tier::Inbound {
        reader
            .error(span.clone(), "`standby = \"cold\"` is not for tier = \"none\"")
            .hint("nothing would ever call it: give it a tier");
    }
}

/// Targets that answer whatever an uplink does: the default ones count when none is named.
fn targets(reader: &mut Reader, parts: &Parts<'_>) {
    let own = parts.uplinks.iter().flat_map(|uplink| &uplink.check.targets);
    let named = parts.targets.iter().chain(own).map(|t| (t.value, Some(&t.span)));
    let defaults = DEFAULT_TARGETS.iter().map(|target| (*target, None));
    let defaults = defaults.filter(|_| parts.targets.is_empty());
    for (target, span) in named.chain(defaults) {
        let address = IpAddr::V4(target);
        let word = if span.is_some() { "target" } else { "default target" };
        if let Some(own) = own_addresses(parts).find(|own| own.value.address == address) {
            let text = format!("the {word} {target} is the router's own address");
            let place = span.unwrap_or(&own.span).clone();
            reader.error(place, text).hint("it would always answer");
        }
        let mut routed = parts.uplinks.iter().filter_map(|u| u.routed.as_ref());
        if let Some(list) = routed.find(|all| all.value.iter().any(|p| is_in(*p, address))) {
            let text = format!("the {word} {target} is in a network that is routed to us");
            let problem = reader.error(span.unwrap_or(&list.span).clone(), text);
            if span.is_some() {
                problem.also(&list.span, "the network");
            }
            problem.hint("it says nothing of an uplink; take addresses on the internet");
        }
    }
}

/// The addresses that the router sets on itself.
fn own_addresses<'a>(parts: &Parts<'a>) -> impl Iterator<Item = &'a At<Prefix>> {
    let outside = parts.uplinks.iter().flat_map(|u| u.address.iter().chain(&u.addresses));
    let inside = parts.networks.iter().filter_map(|n| n.address.as_ref());
    outside.chain(inside)
}

fn forward_twice(
    reader: &mut Reader,
    forward: &forward::Draft,
    earlier: &[forward::Draft],
    uplinks: &[Draft],
) {
    let now = &forward.value;
    let clash = |other: &&forward::Draft| {
        let then = &other.value;
        then.protocol == now.protocol
            && meet(now.ports, then.ports)
            && addresses::meet(uplinks, now, then)
    };
    if let Some(first) = earlier.iter().find(clash) {
        let protocol = now.protocol;
        let both = now.ports.zip(first.value.ports).and_then(|(a, b)| shared(a, b));
        let text = match both {
            None => format!("{protocol} is forwarded twice"),
            Some((from, to)) if from == to => format!("{protocol} port {from} is forwarded twice"),
            Some((from, to)) => format!("{protocol} ports {from}-{to} are forwarded twice"),
        };
        reader
            .error(forward.port.clone(), text)
            .also(&first.port, "first here")
            .hint("one port can go to one place only, on each address of an uplink");
    }
}

/// True if both have a port in common, or no ports at all.
fn meet(a: Option<(u16, u16)>, b: Option<(u16, u16)>) -> bool {
    a.zip(b).is_none_or(|(a, b)| shared(a, b).is_some())
}

/// The ports that are in both ranges, first and last.
fn shared(a: (u16, u16), b: (u16, u16)) -> Option<(u16, u16)> {
    let (first, last) = (a.0.max(b.0), a.1.min(b.1));
    (first <= last).then_some((first, last))
}

const MOST_FORWARDS: usize = 1000;
