//! From kernel state to the facts of an uplink: interface, carrier, address, neighbour; and the checks
//! that depend on them.

use super::{Context, Uplink, Uplinks};
use crate::config::{Config, PppConfig, UplinkConfig};
use crate::facts::PerFamily;
use crate::net::{Family, Prefix};
use crate::reconcile::Reconciler;
use crate::render;
use crate::state::{Key, Neighbour, Observed};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Uplinks {
    /// Derives the facts of all; starts and stops the checks that depend on them.
    pub(crate) fn refresh(&mut self, cx: &mut Context<'_>) {
        self.follow(cx);
        for index in 0..self.list.len() {
            self.refresh_link(index, cx);
        }
        let (facts, desired) = (self.facts(cx.system), cx.desired(self));
        for index in 0..self.list.len() {
            self.refresh_way(index, (&facts, &desired), cx);
        }
    }

    fn refresh_link(&mut self, index: usize, cx: &mut Context<'_>) {
        let own = &cx.config.uplinks[index];
        let (ifname, enabled, is_kept) = (own.ifname, own.enabled, own.is_kept());
        let observed = &cx.kernel.observed;
        let is_idle = self.is_idle(index, cx.config);
        let further = self.further_addresses(index, cx.config, observed);
        let uplink = &mut self.list[index];
        let link = observed.links.get(&ifname);
        // One of somebody else in the place of ours is none.
        let is_own = own.own_link.is_some();
        let link = link.filter(|link| !is_own || link.is_ours(ifname));
        let trouble = link_trouble(own, cx.kernel);
        let fact = &mut uplink.facts;
        let before = fact.clone();
        fact.mtu = link.map_or(fact.mtu, |l| l.mtu);
        fact.ifindex = link.map(|l| l.index);
        fact.link_up = link.is_some_and(|l| l.up);
        // A line by PPPoE has no carrier of its own.
        let below = own.ppp().and_then(PppConfig::port);
        let has_cable =
            below.is_none_or(|port| observed.links.get(&port).is_some_and(|l| l.carrier));
        fact.carrier = link.is_some_and(|l| l.up && l.carrier) && has_cable;
        // pppd sets an address first without its other end, and once more with it.
        let is_dialled = uplink.kind.is_dialled();
        let is_there = |own| {
            let is_whole = !is_dialled || observed.peers.contains_key(&(ifname, own));
            is_whole && observed.addresses.contains_key(&(ifname, own))
        };
        fact.has_address = PerFamily::of(|family| fact.address(family).is_some_and(is_there));
        fact.further = further;
        uplink.due |= uplink.link_trouble != trouble;
        uplink.link_trouble = trouble;
        let ready = enabled && fact.carrier && fact.has_address[Family::V4];
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
            uplink.prober.stop(cx.now);
        }
        if !enabled || is_idle {
            uplink.prober.retire();
        } else if !ready {
            uplink.prober.stop(cx.now);
        }
        // That a link of ours is to be up is part of what it is to be; one that another program looks after is
        // its matter, and one that is dialled is pppd's.
        if let Some(ifindex) = ifindex
            && !is_own
            && !uplink.kind.is_dialled()
            && (link_up || (enabled && !is_kept))
        {
            cx.desk.see_link(ifname, (ifindex, link_up), cx.out);
        }
    }

    /// Why a link of ours is not as it is to be has changed.
    pub(crate) fn is_link_news(&self, config: &Config, kernel: &Reconciler) -> bool {
        let mut pairs = self.list.iter().zip(&config.uplinks);
        pairs.any(|(uplink, own)| uplink.link_trouble != link_trouble(own, kernel))
    }

    /// Addresses on the interface of an uplink that are its own besides the first: a program that is
    /// bound to one keeps it. Of those that others have set, only its subnet's can be meant for it.
    fn further_addresses(&self, index: usize, config: &Config, observed: &Observed) -> Vec<Prefix> {
        let uplink = &config.uplinks[index];
        let pairs = || config.uplinks.iter().zip(&self.list);
        let is_named = |address: IpAddr| {
            pairs().any(|(u, other)| other.facts.prefixes(u).any(|own| own.address == address))
        };
        // Of uplinks in one subnet on one interface, the first.
        let home = |address: IpAddr| {
            let is_home = |(u, other): (&UplinkConfig, &Uplink)| {
                let own = other.facts.address(Family::of(&address));
                u.ifname == uplink.ifname && u.enabled && own.is_some_and(|p| p.contains(address))
            };
            pairs().position(is_home)
        };
        let is_own = |prefix: &&Prefix| {
            let found = !is_named(prefix.address) && !config.is_inside(uplink);
            uplink.addresses.contains(prefix) || (found && home(prefix.address) == Some(index))
        };
        let here = observed.addresses.keys().filter(|(ifname, _)| *ifname == uplink.ifname);
        here.map(|(_, prefix)| prefix).filter(is_own).copied().collect()
    }

    /// Takes what the kernel knows of the gateways. True if a fact changed.
    pub(crate) fn refresh_neighbours(&mut self, config: &Config, observed: &Observed) -> bool {
        let mut changed = false;
        for (uplink, own) in self.list.iter_mut().zip(&config.uplinks) {
            let gateway = uplink.facts.gateway(Family::V4);
            let known = gateway.and_then(|at| observed.neighbours.get(&(own.ifname, at)));
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

/// Why a link of ours is not as it is to be, if that is not just being mended.
pub(super) fn link_trouble(uplink: &UplinkConfig, kernel: &Reconciler) -> Option<String> {
    uplink.own_link.as_ref()?;
    kernel.engine.trouble_with(&Key::Link(uplink.ifname))
}
