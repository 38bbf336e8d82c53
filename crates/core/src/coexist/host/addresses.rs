//! Addresses and networks that stand in each other's way.

use super::{Host, UplinkView, tell};
use crate::coexist::View;
use crate::net::Prefix;
use crate::render::external::TABLE;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// Networks that overlap, addresses on the wrong device, and addresses that nobody has.
pub(super) fn examine(view: &View, host: &Host) -> Vec<Conflict> {
    let mut all = overlaps(view, host);
    for uplink in view.uplinks.iter().filter(|uplink| host.has(uplink.ifname)) {
        all.extend(elsewhere(view, host, uplink));
        all.extend(own_gateway(host, uplink));
    }
    all
}

/// The networks that the configuration speaks of: device, prefix and, of uplinks, the name.
fn configured(view: &View, host: &Host) -> Vec<(String, Prefix, Option<String>)> {
    let uplinks = view.uplinks.iter().filter(|uplink| host.has(uplink.ifname));
    let named = |uplink: &UplinkView| {
        Some((uplink.ifname.to_string(), uplink.address?, Some(uplink.name.clone())))
    };
    let mut all: Vec<_> = uplinks.filter_map(named).collect();
    let inside = host.inside(view).filter(|(ifname, _)| host.has(*ifname));
    all.extend(inside.map(|(ifname, prefix)| (ifname.to_string(), prefix, None)));
    all
}

/// Two devices with one network: the kernel sends to whichever route comes first. Uplinks among
/// each other may have that, rail knows how to tell them apart; so may uplinks inside.
fn overlaps(view: &View, host: &Host) -> Vec<Conflict> {
    let ours = configured(view, host);
    let is_net = |prefix: &Prefix| prefix.length > 0 && prefix.length < 31;
    let mut found = Vec::new();
    for (at, (device, prefix, uplink)) in ours.iter().enumerate().filter(|(_, o)| is_net(&o.1)) {
        let rest = ours.iter().skip(at + 1).map(|(d, p, u)| (d, p, u.as_ref()));
        let is_ours = |name: &str| ours.iter().any(|(d, ..)| d == name);
        let strangers = host.addresses.iter().filter(|(name, _)| !is_ours(name));
        let others = rest.chain(strangers.map(|(name, prefix)| (name, prefix, None)));
        for (name, other, other_uplink) in others.filter(|(_, p, _)| is_net(p)) {
            let both_uplinks = uplink.is_some() && other_uplink.is_some();
            if name == device || both_uplinks || !prefix.meets(*other) {
                continue;
            }
            let uplinks: Vec<String> = uplink.iter().chain(other_uplink).cloned().collect();
            let effect = format!(
                "and {other} on {name} overlap: packets for the one network go to the other device"
            );
            let remedy = match uplinks.first() {
                Some(uplink) => format!(
                    "give the network on one of them other addresses; the subnet of {uplink} is its \
                     provider's or its modem's choice"
                ),
                None => "give the network on one of them other addresses".into(),
            };
            let is_unnamed = !is_ours(name) && uplink.is_some();
            let remedy = match view.external && is_unnamed {
                // Mode `basic` closes it as it closes the uplink; `off` closes neither.
                true => format!("{remedy}; until then close it: {}", closing(name)),
                false => remedy,
            };
            let owner = format!("{prefix} on {device}");
            found.push(tell(ConflictKind::Overlap, owner, effect, remedy, uplinks));
        }
    }
    found.sort_unstable();
    found.dedup();
    found
}

/// Commands that close an interface in the printed table as those of the uplinks are.
fn closing(ifname: &str) -> String {
    let rule = |chain: &str| {
        format!("nft insert rule inet {TABLE} {chain} iifname {ifname} goto wan_{chain}")
    };
    format!("{}; {}", rule("input"), rule("forward"))
}

/// The uplink's own address on another device.
fn elsewhere(view: &View, host: &Host, uplink: &UplinkView) -> Option<Conflict> {
    let address = uplink.address?.address;
    let is_its = |own: Option<Prefix>| own.is_some_and(|own| own.address == address);
    let is_twin =
        |name: &str| view.uplinks.iter().any(|o| o.ifname.as_str() == name && is_its(o.address));
    let same = |(name, prefix): &&(String, Prefix)| is_its(Some(*prefix)) && !is_twin(name);
    let (name, prefix) = host.addresses.iter().find(same)?;
    Some(tell(
        ConflictKind::Address,
        address,
        format!("is the address of uplink {} and is on {name}, too", uplink.name),
        format!("ip address del {prefix} dev {name}"),
        vec![uplink.name.clone()],
    ))
}

/// A gateway that is this router itself.
fn own_gateway(host: &Host, uplink: &UplinkView) -> Option<Conflict> {
    let gateway = uplink.gateway?;
    let is_it = |(_, prefix): &&(String, Prefix)| prefix.address == gateway;
    let (name, _) = host.addresses.iter().find(is_it)?;
    Some(tell(
        ConflictKind::Address,
        gateway,
        format!(
            "is the gateway of uplink {} but an address of this router, on {name}",
            uplink.name
        ),
        "write the address of the provider's router as gateway".into(),
        vec![uplink.name.clone()],
    ))
}
