//! From kernel state to the facts of an uplink: interface, carrier, address, neighbour; and the checks
//! and sockets that depend on them.

use super::{Context, Uplinks};
use crate::config::{Config, UplinkConfig};
use crate::io::{Output, ProbeSocket};
use crate::net::Prefix;
use crate::render;
use crate::state::{Neighbour, Observed};
use alloc::vec::Vec;
use core::net::IpAddr;

impl Uplinks {
    /// Derives the facts of all; starts and stops the checks that depend on them.
    pub(crate) fn refresh(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.list.len() {
            self.refresh_link(index, cx);
        }
        let (facts, desired) = (self.facts(cx.system), cx.desired(self));
        for index in 0..self.list.len() {
            self.refresh_way(index, (&facts, &desired), cx);
        }
    }

    /// Opens the sockets of those that can send, and closes all others.
    pub(crate) fn refresh_sockets(&mut self, config: &Config, out: &mut Vec<Output>) {
        let sockets: Vec<_> = (0..self.list.len()).filter_map(|i| self.socket(i, config)).collect();
        if sockets != self.sockets {
            self.sockets.clone_from(&sockets);
            out.push(Output::Sockets(sockets));
        }
    }

    fn refresh_link(&mut self, index: usize, cx: &mut Context<'_>) {
        let own = &cx.config.uplinks[index];
        let (ifname, enabled) = (own.ifname, own.enabled);
        let uplink = &mut self.list[index];
        let observed = &cx.kernel.observed;
        let link = observed.links.get(&ifname);
        // One of somebody else in the place of ours is none.
        let link = link.filter(|link| own.own_link.is_none() || link.is_ours());
        let fact = &mut uplink.facts;
        let before = fact.clone();
        fact.mtu = link.map_or(fact.mtu, |l| l.mtu);
        fact.ifindex = link.map(|l| l.index);
        fact.link_up = link.is_some_and(|l| l.up);
        fact.carrier = link.is_some_and(|l| l.up && l.carrier);
        fact.has_address = observed.addresses.contains_key(&(ifname, own.address));
        fact.further = further_addresses(index, cx.config, observed);
        let ready = enabled && fact.carrier && fact.has_address;
        let (changed, ifindex, link_up) = (*fact != before, fact.ifindex, fact.link_up);
        if before.ifindex != ifindex {
            cx.kernel.forget_settings(ifname, cx.out);
        }
        if changed {
            cx.kernel.interface_changed(cx.now, ifname);
            uplink.due = true;
        }
        if ready && before.ifindex.is_some() && before.ifindex != ifindex {
            // Another device under the same name: what was sent through the old one is void. The
            // first one that is seen interrupts nothing; an adopted verdict stands.
            uplink.prober.stop();
        }
        if !enabled {
            uplink.prober.retire();
        } else if !ready {
            uplink.prober.stop();
        }
        if let Some(ifindex) = ifindex
            && (link_up || enabled)
        {
            cx.desk.see_link(ifname, (ifindex, link_up), cx.out);
        }
    }

    fn socket(&self, index: usize, config: &Config) -> Option<ProbeSocket> {
        let (own, uplink) = (&config.uplinks[index], &self.list[index]);
        let ready = own.enabled && uplink.facts.is_routable();
        Some(ProbeSocket {
            uplink: uplink.facts.id,
            ifname: own.ifname,
            ifindex: uplink.facts.ifindex.filter(|_| ready)?,
            source: own.address.address,
            mark: render::mark(config, uplink.facts.id),
            ident: uplink.prober.ident(),
        })
    }

    /// Takes what the kernel knows of the gateways. True if a fact changed.
    pub(crate) fn refresh_neighbours(&mut self, config: &Config, observed: &Observed) -> bool {
        let mut changed = false;
        for (uplink, own) in self.list.iter_mut().zip(&config.uplinks) {
            let known = observed.neighbours.get(&(own.ifname, own.gateway));
            uplink.prober.set_neighbour_failed(known == Some(&Neighbour::Failed));
            uplink.due = true;
            // The last one stays while the gateway is silent: a failover changes no rule.
            let seen = match known {
                Some(Neighbour::Known(mac)) => *mac,
                _ => None,
            };
            let fact = &mut uplink.facts;
            let shared = render::shares_interface(config, own);
            let mac = seen.or(fact.gateway_mac).filter(|_| shared);
            changed |= mac != fact.gateway_mac;
            fact.gateway_mac = mac;
            let word = match known {
                Some(Neighbour::Failed) => "failed",
                Some(Neighbour::Asking) => "asking",
                Some(Neighbour::Known(_)) => "known",
                None => "unknown",
            };
            uplink.history.neighbour = word.into();
        }
        changed
    }
}

/// Addresses on the interface of an uplink that are its own besides the first: a program that is
/// bound to one keeps it. Of those that others have set, only its subnet's can be meant for it.
fn further_addresses(index: usize, config: &Config, observed: &Observed) -> Vec<Prefix> {
    let uplink = &config.uplinks[index];
    let is_named = |address: IpAddr| {
        config.uplinks.iter().any(|u| u.own_addresses().any(|own| own == address))
    };
    // Of uplinks in one subnet on one interface, the first.
    let home = |address: IpAddr| {
        let is_home = |u: &UplinkConfig| {
            u.ifname == uplink.ifname && u.enabled && u.address.contains(address)
        };
        config.uplinks.iter().position(is_home)
    };
    let is_own = |prefix: &&Prefix| {
        let found = !is_named(prefix.address) && !config.is_inside(uplink);
        uplink.addresses.contains(prefix) || (found && home(prefix.address) == Some(index))
    };
    let here = observed.addresses.keys().filter(|(ifname, _)| *ifname == uplink.ifname);
    here.map(|(_, prefix)| prefix).filter(is_own).copied().collect()
}
