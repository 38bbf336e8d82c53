//! Targets that say nothing of an uplink: ours, the LAN's, a subnet's, or no host at all.

use super::{Host, on, tell};
use crate::coexist::View;
use crate::net::Prefix;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};

/// One sentence for each target that cannot say how an uplink does.
pub(super) fn examine(view: &View, host: &Host) -> Vec<Conflict> {
    view.targets.iter().filter_map(|target| one(view, host, *target)).collect()
}

fn one(view: &View, host: &Host, target: Ipv4Addr) -> Option<Conflict> {
    let address = IpAddr::V4(target);
    let reported = |effect: String, remedy: &str, uplinks: Vec<String>| {
        let owner = format!("target {target}");
        Some(tell(ConflictKind::Target, owner, effect, remedy.into(), uplinks))
    };
    let is_here = |name: &str| {
        let inside = view.networks.iter().any(|network| network.ifname.as_str() == name);
        inside || !on(view, name).is_empty()
    };
    let own = |(name, prefix): &&(String, Prefix)| prefix.address == address && is_here(name);
    if let Some((name, _)) = host.addresses.iter().find(own) {
        return reported(format!("is an address of this router, on {name}"), REMEDY, Vec::new());
    }
    let inside = host.inside(view).find(|(_, prefix)| is_in(*prefix, address));
    if let Some((ifname, prefix)) = inside {
        let network = prefix.network();
        let what = edge(prefix, target).unwrap_or("a host");
        return reported(
            format!("is {what} in the LAN, {network} on {ifname}"),
            REMEDY,
            Vec::new(),
        );
    }
    let mut attached = view.uplinks.iter().filter_map(|u| Some((&u.name, u.address?)));
    let (name, own) = attached.find(|(_, own)| is_in(*own, address))?;
    let network = own.network();
    match edge(own, target) {
        Some(edge) => {
            let effect =
                format!("is {edge} of {network}, the subnet of uplink {name}: no host has it");
            reported(effect, REMEDY, Vec::new())
        }
        // That a target is a gateway the validation of the file says.
        None if view.uplinks.iter().any(|l| l.gateway == Some(address)) => None,
        None => {
            let effect = format!(
                "is in {network}, the subnet of uplink {name}: it answers there even if the internet \
                 behind it is dead"
            );
            reported(effect, REMEDY, vec![name.clone()])
        }
    }
}

fn is_in(prefix: Prefix, address: IpAddr) -> bool {
    prefix.length > 0 && prefix.length < 32 && prefix.contains(address)
}

/// The first and the last address of a subnet are no host's; but of one with two they are.
fn edge(prefix: Prefix, target: Ipv4Addr) -> Option<&'static str> {
    let IpAddr::V4(first) = prefix.network().address else { return None };
    let size = 1_u64.checked_shl(32_u32.checked_sub(prefix.length.into())?)?;
    let last = u64::from(first.to_bits()) + size - 1;
    match u64::from(target.to_bits()) {
        _ if size <= 2 => None,
        bits if bits == last => Some("the broadcast address"),
        bits if bits == u64::from(first.to_bits()) => Some("the network address"),
        _ => None,
    }
}

const REMEDY: &str = "take addresses on the internet, of several operators";
