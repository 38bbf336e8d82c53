//! The first packet of a connection that leaves by an uplink: pinned to it, and translated.
//!
//! Pinned is what goes to the gateway of the uplink, for a pinned connection takes the uplink's
//! default route from then on. What `main` sends elsewhere by the same interface (to a neighbour, to
//! the page of a modem, by another gateway) is not, and follows `main`. Its source is the one that
//! the kernel would choose there: an address in the network where the next hop is.
//!
//! What IPsec will wrap is left alone: with another source it would miss its policy, and leave in
//! the clear.

use super::{Line, any_of, base, by, set_mark};
use super::{egress, exempt, forward, on_lan};
use crate::config::{Config, Nat, UplinkConfig};
use crate::render::{mark, shared};
use crate::state::{Chain, ChainKind, Hook, Sender};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// One before the usual: the first chain that translates ends the matter, and a connection that
/// another's rule (Docker's masquerade) has translated would not be pinned by ours.
pub(crate) const SRCNAT: i32 = 99;

/// A rule per uplink, for up to some twenty comparisons cost less than a map of devices and a
/// jump; then what goes to none of the gateways.
pub(in crate::render) fn chain(config: &Config, lines: &[Line<'_>]) -> Chain {
    let mut rules = Vec::new();
    if !lines.is_empty() {
        rules.push("rt ipsec exists accept".into());
        // One that began before this table, and has no answer yet, cannot be translated any more. With the
        // mark of an uplink it would be refused as long as it sends.
        rules.push("ct status confirmed accept".into());
    }
    rules.extend(lines.iter().flat_map(|line| to_gateway(config, line)));
    let outside = || lines.iter().filter(|line| !line.inside);
    rules.extend(outside().flat_map(|line| exempt_elsewhere(config, line)));
    let has_subnet = |line: &&Line<'_>| !shared::is_subnet_taken(config, line.uplink);
    rules.extend(outside().filter_map(|line| of_others_elsewhere(config, line)));
    rules.extend(outside().filter(has_subnet).filter_map(to_neighbours));
    rules.extend(outside().filter(|line| line.first).filter_map(elsewhere));
    rules.extend(forward::out_of_hairpin(config, lines));
    base("translate", ChainKind::Nat, Hook::Postrouting, SRCNAT, rules)
}

fn to_gateway(config: &Config, line: &Line<'_>) -> Vec<String> {
    let leaves = if line.inside {
        on_lan::departure(config, line.uplink, line.id)
    } else {
        shared::to_gateway(line.uplink)
    };
    let pin = set_mark(config, "ct", mark(config, line.id));
    let mut rules = exempt::nft(config, line, &leaves, &pin);
    if let Some(source) = source(line.uplink) {
        rules.push(format!("{leaves} {pin} snat ip to {source}"));
        return rules;
    }
    rules.extend(of_others(config, line, &leaves, &pin));
    // Nor may a later rule for its interface see it.
    rules.push(format!("{leaves} {pin} accept"));
    rules
}

/// What is special on an uplink is so wherever it goes by the uplink's interface.
fn exempt_elsewhere(config: &Config, line: &Line<'_>) -> Vec<String> {
    let network = line.uplink.address.network();
    let leaves =
        if line.first { by(line) } else { format!("{} rt ip nexthop {network}", by(line)) };
    let rules = exempt::nft(config, line, &leaves, "");
    rules.iter().map(|rule| rule.replace("  ", " ")).collect()
}

/// Without translation any source may leave, but for those that providers of other uplinks route to us.
fn of_others(config: &Config, line: &Line<'_>, leaves: &str, pin: &str) -> Option<String> {
    let others =
        any_of(egress::of_others(config, line.uplink, |_| true)).filter(|_| !line.inside)?;
    let address = line.uplink.address.address;
    Some(format!("{leaves} ip saddr {others} {pin} snat ip to {address}"))
}

/// The same for what goes elsewhere by the interface. Those of uplinks beside it may be meant there.
fn of_others_elsewhere(config: &Config, line: &Line<'_>) -> Option<String> {
    let (uplink, network) = (line.uplink, line.uplink.address.network());
    if uplink.nat != Nat::Off || (line.shared && network.length == 32) {
        return None;
    }
    let there =
        if line.shared { format!("{} rt ip nexthop {network}", by(line)) } else { by(line) };
    let elsewhere = |other: &UplinkConfig| other.ifname != uplink.ifname;
    let others = any_of(egress::of_others(config, uplink, elsewhere))?;
    Some(format!("{there} ip saddr {others} snat ip to {}", uplink.address.address))
}

/// What goes to a neighbour in the uplink's own network, or by one.
fn to_neighbours(line: &Line<'_>) -> Option<String> {
    let network = line.uplink.address.network();
    let there = format!("{} rt ip nexthop {network}", by(line));
    match source(line.uplink) {
        _ if network.length == 32 => None,
        Some(source) => Some(format!("{there} snat ip to {source}")),
        None if line.shared => Some(format!("{there} accept")),
        None => None,
    }
}

/// What goes to other networks of the interface, or by a neighbour there.
fn elsewhere(line: &Line<'_>) -> Option<String> {
    let is_translated = source(line.uplink).is_some();
    is_translated.then(|| format!("{} meta nfproto ipv4 masquerade", by(line)))
}

/// The mark of an uplink, and what leaves under it.
pub(in crate::render) fn sender(config: &Config, line: &Line<'_>) -> (u32, Sender) {
    let uplink = line.uplink;
    let sender = Sender {
        ifname: uplink.ifname,
        gateway: uplink.gateway,
        address: uplink.address.address,
        nat: uplink.nat,
        mask: config.ranges.mark_mask,
        own: uplink.own_sources().collect(),
        exempt: uplink.no_nat.clone(),
    };
    (mark(config, line.id), sender)
}

/// The source of what leaves; `None`: any.
fn source(uplink: &UplinkConfig) -> Option<String> {
    match uplink.nat {
        Nat::On => Some(format!("{}", uplink.address.address)),
        Nat::To(address) => Some(format!("{address}")),
        Nat::Off => None,
    }
}
