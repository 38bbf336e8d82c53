//! From kernel state to facts: interface, carrier, address, neighbour of each uplink, and the
//! interfaces of networks.

use super::Router;
use crate::config::UplinkConfig;
use crate::facts::{PerFamily, UplinkFacts, WIDE_MTU};
use crate::io::{Output, ProbeSocket};
use crate::net::{Family, IfName, Prefix};
use crate::render;
use crate::state::Neighbour;
use crate::time::Instant;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Router {
    /// Derives link facts; starts and stops the checks that depend on them.
    pub(super) fn refresh_links(&mut self, now: Instant, out: &mut Vec<Output>) {
        let all_wide = self.observed.links.values().all(|link| !link.up || link.mtu >= WIDE_MTU);
        self.dirty |= all_wide != self.facts.all_wide;
        self.facts.all_wide = all_wide;
        let is_loopback = |name: &IfName| name.as_str() == render::LOOPBACK;
        let loopback = self.observed.links.iter().any(|(name, link)| is_loopback(name) && link.up);
        self.dirty |= loopback != self.facts.loopback;
        self.facts.loopback = loopback;
        if self.observed.main != self.facts.main {
            self.facts.main.clone_from(&self.observed.main);
            self.dirty = true;
            self.refresh_watch(out);
        }
        let copies = self.copies(now, out);
        self.dirty |= copies != self.facts.copies;
        self.facts.copies = copies;
        self.note_unnamed(out);
        let mut sockets = Vec::new();
        for index in 0..self.config.uplinks.len() {
            self.refresh_link(now, index, out);
        }
        let desired = self.desired();
        for index in 0..self.config.uplinks.len() {
            self.refresh_way(now, index, &desired);
            sockets.extend(self.socket(index));
        }
        self.refresh_networks(now, out);
        if sockets != self.sockets {
            self.sockets.clone_from(&sockets);
            out.push(Output::Sockets(sockets));
        }
    }

    /// Looks which interfaces are closed though the file does not name them.
    pub(super) fn refresh_strays(&mut self) {
        let (links, mut outside) = (&self.observed.links, self.saved.outside.clone());
        self.config.note_outside(links, &mut outside);
        self.save_due |= outside != self.saved.outside;
        self.saved.outside = outside;
        let addresses = self.observed.addresses.keys().copied();
        let own = self.config.uplinks.iter().zip(&self.facts.uplinks);
        let own: Vec<Vec<Prefix>> = own.map(|(u, f)| f.prefixes(u).collect()).collect();
        let strays = self.config.strays(links, &self.saved.outside, &own, addresses);
        self.dirty |= strays != self.facts.strays;
        self.facts.strays = strays;
    }

    fn refresh_link(&mut self, now: Instant, index: usize, out: &mut Vec<Output>) {
        let uplink = &self.config.uplinks[index];
        let (ifname, enabled) = (uplink.ifname, uplink.enabled);
        let further = self.further_addresses(index);
        let is_there = |prefix| self.observed.addresses.contains_key(&(ifname, prefix));
        let link = self.observed.links.get(&ifname);
        let fact = &mut self.facts.uplinks[index];
        let before = fact.clone();
        fact.mtu = link.map_or(fact.mtu, |l| l.mtu);
        fact.ifindex = link.map(|l| l.index);
        fact.link_up = link.is_some_and(|l| l.up);
        fact.carrier = link.is_some_and(|l| l.up && l.carrier);
        fact.has_address = PerFamily::of(|family| fact.address(family).is_some_and(is_there));
        fact.further = further;
        let ready = enabled && fact.carrier && fact.has_address[Family::V4];
        let (changed, ifindex, link_up) = (*fact != before, fact.ifindex, fact.link_up);
        if before.ifindex != ifindex {
            self.forget_settings(ifname, out);
        }
        if changed {
            self.engine.interface_changed(ifname);
            self.engine.retry_now(now);
            self.lines_dirty[index] = true;
            self.dirty = true;
        }
        if ready && before.ifindex.is_some() && before.ifindex != ifindex {
            // Another device under the same name: what was sent through the old one is void. The
            // first one that is seen interrupts nothing; an adopted verdict stands.
            self.lines[index].stop();
        }
        if !enabled {
            self.lines[index].retire();
        } else if !ready {
            self.lines[index].stop();
        }
        if let Some(ifindex) = ifindex
            && (link_up || enabled)
            && self.is_link_new(ifname, ifindex)
            && !link_up
        {
            self.set_link_up(ifname, out);
        }
    }

    /// The settings of a device went with it, or came new with it; nobody reports that.
    fn forget_settings(&mut self, ifname: IfName, out: &mut Vec<Output>) {
        let path = alloc::format!("net/ipv4/conf/{ifname}/");
        self.observed.sysctls.retain(|name, _| !name.starts_with(&path));
        out.push(Output::Observe(crate::state::Scope::SYSCTLS));
    }

    /// True the first time that this device is seen, in whichever process of this boot: one that is
    /// down later was set down by somebody.
    fn is_link_new(&mut self, ifname: IfName, ifindex: u32) -> bool {
        let is_new = self.saved.links_seen.insert(ifname, ifindex) != Some(ifindex);
        self.save_due |= is_new;
        is_new
    }

    /// Addresses on the interface of an uplink that are its own besides the first: a program that is
    /// bound to one keeps it. Of those that others have set, only its subnet's can be meant for it.
    fn further_addresses(&self, index: usize) -> Vec<Prefix> {
        let uplink = &self.config.uplinks[index];
        let pairs = || self.config.uplinks.iter().zip(&self.facts.uplinks);
        let is_named =
            |address: IpAddr| pairs().any(|(u, f)| f.prefixes(u).any(|own| own.address == address));
        // Of uplinks in one subnet on one interface, the first.
        let home = |address: IpAddr| {
            let is_home = |(u, f): (&UplinkConfig, &UplinkFacts)| {
                let own = f.address(Family::of(&address));
                u.ifname == uplink.ifname && u.enabled && own.is_some_and(|p| p.contains(address))
            };
            pairs().position(is_home)
        };
        let is_own = |prefix: &&Prefix| {
            let found = !is_named(prefix.address) && !self.config.is_inside(uplink);
            uplink.addresses.contains(prefix) || (found && home(prefix.address) == Some(index))
        };
        let here = self.observed.addresses.keys().filter(|(ifname, _)| *ifname == uplink.ifname);
        here.map(|(_, prefix)| prefix).filter(is_own).copied().collect()
    }

    /// Interfaces of networks matter where we have an address on them.
    fn refresh_networks(&mut self, now: Instant, out: &mut Vec<Output>) {
        let known = core::mem::take(&mut self.facts.networks);
        for position in 0..self.config.networks.len() {
            let network = &self.config.networks[position];
            let (ifname, is_ours) = (network.ifname, network.address.is_some());
            let link = self.observed.links.get(&ifname).filter(|_| is_ours);
            let link = link.map(|link| (link.index, link.up));
            let index = link.map(|(index, _)| index);
            self.facts.networks.push(index);
            if known.get(position).copied().flatten() != index {
                self.forget_settings(ifname, out);
                self.engine.interface_changed(ifname);
                self.engine.retry_now(now);
                self.dirty = true;
            }
            if let Some((index, is_up)) = link
                && self.is_link_new(ifname, index)
                && !is_up
            {
                self.set_link_up(ifname, out);
            }
        }
    }

    /// Sets a link up, once for each device: later the administrator's word counts.
    fn set_link_up(&mut self, ifname: IfName, out: &mut Vec<Output>) {
        if !self.saved.links_up.contains(&ifname) {
            self.saved.links_up.push(ifname);
            self.save(true, out);
        }
        out.push(Output::LinkUp(ifname));
        out.push(Output::Observe(crate::state::Scope::LINKS));
    }

    fn socket(&self, index: usize) -> Option<ProbeSocket> {
        let (uplink, fact) = (&self.config.uplinks[index], &self.facts.uplinks[index]);
        let ready = uplink.enabled && fact.is_routable(Family::V4);
        Some(ProbeSocket {
            uplink: fact.id,
            ifname: uplink.ifname,
            ifindex: fact.ifindex.filter(|_| ready)?,
            source: fact.address(Family::V4)?.address,
            mark: render::mark(&self.config, fact.id),
            ident: self.lines[index].ident(),
        })
    }

    pub(super) fn refresh_neighbours(&mut self) {
        for (index, uplink) in self.config.uplinks.iter().enumerate() {
            let fact = &mut self.facts.uplinks[index];
            let gateway = fact.gateway(Family::V4);
            let known =
                gateway.and_then(|gateway| self.observed.neighbours.get(&(uplink.ifname, gateway)));
            self.lines[index].set_neighbour_failed(known == Some(&Neighbour::Failed));
            self.lines_dirty[index] = true;
            // The last one stays while the gateway is silent: a failover changes no rule.
            let seen = match known {
                Some(Neighbour::Known(mac)) => *mac,
                _ => None,
            };
            let shared = render::shares_interface(&self.config, uplink);
            let mac = seen.or(fact.gateway_mac).filter(|_| shared);
            self.dirty |= mac != fact.gateway_mac;
            fact.gateway_mac = mac;
            let word = match known {
                Some(Neighbour::Failed) => "failed",
                Some(Neighbour::Asking) => "asking",
                Some(Neighbour::Known(_)) => "known",
                None => "unknown",
            };
            self.books[index].neighbour = word.into();
        }
    }
}
