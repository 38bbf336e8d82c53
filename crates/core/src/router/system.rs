//! From kernel state to facts: those of the system here, and those of the uplinks.

use super::Router;
use crate::facts::WIDE_MTU;
use crate::io::Output;
use crate::names::Sight;
use crate::net::{IfName, Prefix};
use crate::reconcile::Wants;
use crate::render;
use crate::time::Instant;
use alloc::vec::Vec;

impl Router {
    /// What the names of interfaces are found out from.
    pub(super) const fn sight(&self) -> Sight<'_> {
        Sight { config: &self.config, observed: &self.kernel.observed, saved: &self.desk.saved }
    }

    /// Derives the facts; starts and stops the checks that depend on them.
    pub(super) fn refresh_links(&mut self, now: Instant, out: &mut Vec<Output>) {
        let before = self.system.clone();
        let observed = &self.kernel.observed;
        let links = &observed.links;
        self.system.all_wide = links.values().all(|link| !link.up || link.mtu >= WIDE_MTU);
        let is_loopback = |name: &IfName| name.as_str() == render::LOOPBACK;
        self.system.loopback = links.iter().any(|(name, link)| is_loopback(name) && link.up);
        if observed.main != self.system.main {
            self.system.main.clone_from(&observed.main);
            self.refresh_watch(out);
        }
        self.system.copies = self.kernel.copies(now, &self.config, out);
        self.note_unnamed(out);
        self.refresh_ports(now, out);
        let (uplinks, mut context) = self.uplinks(now, out);
        uplinks.refresh(&mut context);
        self.refresh_networks(now, out);
        self.uplinks.refresh_ports(&self.config, &self.kernel.observed, out);
        if self.system != before {
            self.kernel.touch();
        }
    }

    /// Tells the shell what to look at.
    pub(super) fn refresh_watch(&mut self, out: &mut Vec<Output>) {
        let Self { config, desk, uplinks, system, kernel, .. } = self;
        let wants = Wants { config, facts: &|| uplinks.facts(system) };
        kernel.refresh_watch(&wants, &desk.saved, out);
    }

    /// What people must know of interfaces. After a reload the strays of the last look have positions of
    /// an older file, so they are looked for anew.
    pub(super) fn note_unnamed(&mut self, out: &mut Vec<Output>) {
        self.refresh_strays();
        let Self { names, system, uplinks, config, kernel, desk, .. } = self;
        let sight = Sight { config, observed: &kernel.observed, saved: &desk.saved };
        names.note_unnamed(&uplinks.facts(system), sight, out);
    }

    /// Looks which interfaces are closed though the file does not name them.
    fn refresh_strays(&mut self) {
        let (links, mut outside) = (&self.kernel.observed.links, self.desk.saved.outside.clone());
        self.config.note_outside(links, &mut outside);
        if outside != self.desk.saved.outside {
            self.desk.save_soon();
        }
        self.desk.saved.outside = outside;
        let addresses = self.kernel.observed.addresses.keys().copied();
        let own = self.config.uplinks.iter().zip(self.uplinks.facts_of_each());
        let own: Vec<Vec<Prefix>> = own.map(|(own, fact)| fact.prefixes(own).collect()).collect();
        let strays = self.config.strays(links, &self.desk.saved.outside, &own, addresses);
        if strays != self.system.strays {
            self.kernel.touch();
        }
        self.system.strays = strays;
    }

    /// A link of ours has no carrier before its port is up, and goes when the port goes; PPPoE needs it up.
    fn refresh_ports(&mut self, now: Instant, out: &mut Vec<Output>) {
        let enabled = self.config.uplinks.iter().filter(|uplink| uplink.enabled);
        let below = enabled.filter(|uplink| uplink.port() != uplink.ifname);
        for port in below.map(|uplink| uplink.port()) {
            let Some(link) = self.kernel.observed.links.get(&port) else { continue };
            if self.desk.see_link(port, (link.index, link.up), out) {
                self.kernel.forget_settings(port, out);
                self.kernel.interface_changed(now, port);
            }
        }
    }

    /// Interfaces of networks matter where we have an address on them.
    fn refresh_networks(&mut self, now: Instant, out: &mut Vec<Output>) {
        let known = core::mem::take(&mut self.system.networks);
        for (position, network) in self.config.networks.iter().enumerate() {
            let (ifname, is_ours) = (network.ifname, network.address.is_some());
            let link = self.kernel.observed.links.get(&ifname).filter(|_| is_ours);
            let link = link.map(|link| (link.index, link.up));
            let index = link.map(|(index, _)| index);
            self.system.networks.push(index);
            if known.get(position).copied().flatten() != index {
                self.kernel.forget_settings(ifname, out);
                self.kernel.interface_changed(now, ifname);
            }
            if let Some(link) = link {
                self.desk.see_link(ifname, link, out);
            }
        }
    }
}
