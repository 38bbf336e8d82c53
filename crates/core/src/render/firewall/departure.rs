//! The first packet of a connection that leaves by an uplink: pinned to it, and translated.
//!
//! Pinned is what goes to the gateway of the uplink, for a pinned connection takes the uplink's
//! default route from then on. What `main` sends elsewhere by the same interface (to a neighbour, to
//! the page of a modem, by another gateway) is not, and follows `main`. Its source is the one that
//! the kernel would choose there: an address in the network where the next hop is.
//!
//! What IPsec will wrap is left alone: with another source it would miss its policy, and leave in
//! the clear.

use super::{any_of, base, egress, exempt, forward, on_lan, set_mark};
use crate::config::{Config, Nat};
use crate::net::Family::V4;
use crate::net::Prefix;
use crate::render::shared;
use crate::render::view::{UplinkView, View};
use crate::state::{Chain, ChainKind, Hook, Sender};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// One before the usual: the first chain that translates ends the matter, and a connection that
/// another's rule (Docker's masquerade) has translated would not be pinned by ours.
pub(crate) const SRCNAT: i32 = 99;

/// A rule per uplink, for up to some twenty comparisons cost less than a map of devices and a
/// jump; then what goes to none of the gateways.
pub(in crate::render) fn chain(view: &View<'_>) -> Chain {
    let mut rules = Vec::new();
    if view.enabled().next().is_some() {
        rules.push("rt ipsec exists accept".into());
        // One that began before this table, and has no answer yet, cannot be translated any more. With the
        // mark of an uplink it would be refused as long as it sends.
        rules.push("ct status confirmed accept".into());
    }
    rules.extend(view.enabled().flat_map(|uplink| to_gateway(view, uplink)));
    rules.extend(view.outside().flat_map(|uplink| exempt_elsewhere(view.config, uplink)));
    rules.extend(view.outside().filter_map(|uplink| of_others_elsewhere(view, uplink)));
    let has_subnet = |uplink: &&UplinkView<'_>| !shared::is_subnet_taken(view, uplink);
    rules.extend(view.outside().filter(has_subnet).filter_map(to_neighbours));
    rules.extend(view.outside().filter(|uplink| uplink.first).filter_map(elsewhere));
    rules.extend(forward::out_of_hairpin(view));
    base("translate", ChainKind::Nat, Hook::Postrouting, SRCNAT, rules)
}

fn to_gateway(view: &View<'_>, uplink: &UplinkView<'_>) -> Vec<String> {
    let mask = view.config.ranges.mark_mask;
    let leaves = match uplink.inside {
        true => on_lan::departure(uplink, mask),
        false => uplink.by_gateway(),
    };
    let Some(leaves) = leaves else { return Vec::new() };
    let pin = set_mark(view.config, "ct", uplink.mark);
    let mut rules = exempt::nft(view.config, uplink, &leaves, &pin);
    if let Some(source) = source(uplink) {
        rules.push(format!("{leaves} {pin} snat ip to {source}"));
        return rules;
    }
    rules.extend(of_others(view, uplink, &leaves, &pin));
    // Nor may a later rule for its interface see it.
    rules.push(format!("{leaves} {pin} accept"));
    rules
}

/// Which packets leave by the interface into the uplink's own network, or by a neighbour there.
fn into(uplink: &UplinkView<'_>, network: Prefix) -> String {
    format!("{} rt ip nexthop {network}", uplink.by())
}

/// What is special on an uplink is so wherever it goes by the uplink's interface.
fn exempt_elsewhere(config: &Config, uplink: &UplinkView<'_>) -> Vec<String> {
    let leaves = match uplink.network(V4) {
        _ if uplink.first => uplink.by(),
        Some(network) => into(uplink, network),
        None => return Vec::new(),
    };
    let rules = exempt::nft(config, uplink, &leaves, "");
    rules.iter().map(|rule| rule.replace("  ", " ")).collect()
}

/// Without translation any source may leave, but for those that providers of other uplinks route to us.
fn of_others(view: &View<'_>, uplink: &UplinkView<'_>, leaves: &str, pin: &str) -> Option<String> {
    let others = any_of(egress::of_others(view, uplink, |_| true)).filter(|_| !uplink.inside)?;
    let address = uplink.address(V4)?;
    Some(format!("{leaves} ip saddr {others} {pin} snat ip to {address}"))
}

/// The same for what goes elsewhere by the interface. Those of uplinks beside it may be meant there.
fn of_others_elsewhere(view: &View<'_>, uplink: &UplinkView<'_>) -> Option<String> {
    if uplink.nat != Nat::Off {
        return None;
    }
    let there = match uplink.shared {
        true => into(uplink, uplink.neighbours(V4)?),
        false => uplink.by(),
    };
    let elsewhere = |other: &UplinkView<'_>| other.ifname != uplink.ifname;
    let others = any_of(egress::of_others(view, uplink, elsewhere))?;
    Some(format!("{there} ip saddr {others} snat ip to {}", uplink.address(V4)?))
}

/// What goes to a neighbour in the uplink's own network, or by one.
fn to_neighbours(uplink: &UplinkView<'_>) -> Option<String> {
    let there = into(uplink, uplink.neighbours(V4)?);
    match source(uplink) {
        Some(source) => Some(format!("{there} snat ip to {source}")),
        None if uplink.shared => Some(format!("{there} accept")),
        None => None,
    }
}

/// What goes to other networks of the interface, or by a neighbour there.
fn elsewhere(uplink: &UplinkView<'_>) -> Option<String> {
    let is_translated = uplink.nat != Nat::Off;
    is_translated.then(|| format!("{} meta nfproto ipv4 masquerade", uplink.by()))
}

/// The mark of an uplink, and what leaves under it; `None` while nothing can.
pub(in crate::render) fn sender(config: &Config, uplink: &UplinkView<'_>) -> Option<(u32, Sender)> {
    let sender = Sender {
        ifname: uplink.ifname,
        gateway: uplink.gateway(V4),
        address: uplink.address(V4)?,
        nat: uplink.nat,
        mask: config.ranges.mark_mask,
        own: uplink.sources[V4].clone(),
        exempt: uplink.no_nat.to_vec(),
    };
    Some((uplink.mark, sender))
}

/// The source of what leaves; `None`: any.
fn source(uplink: &UplinkView<'_>) -> Option<String> {
    match uplink.nat {
        Nat::On => uplink.address(V4).map(|address| address.to_string()),
        Nat::To(address) => Some(address.to_string()),
        Nat::Off => None,
    }
}
