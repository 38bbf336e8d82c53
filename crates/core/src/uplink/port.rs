//! The ports of the uplinks: what their checks send through and are bound to, and whose packets these
//! are.

use super::{MayAsk, Uplinks, mac};
use crate::check::Prober;
use crate::config::Config;
use crate::io::{Asker, Binding, Output, Port, PortId};
use crate::net::Family;
use crate::render;
use crate::state::Observed;
use alloc::vec::Vec;

impl Uplinks {
    /// Opens the ports of those that can send, and closes all others.
    pub(crate) fn refresh_ports(
        &mut self,
        config: &Config,
        observed: &Observed,
        out: &mut Vec<Output>,
    ) {
        let bound = |i| Some((i, self.binding(i, FAMILY, config)?));
        let bound: Vec<_> = (0..self.list.len()).filter_map(bound).collect();
        let asker = |(i, binding): &(usize, Binding)| {
            let (asker, made) = (self.list[*i].prober.id(), self.list[*i].made);
            MayAsk { asker: Asker::Probe(asker, FAMILY), binding: *binding, made }
        };
        let askers = bound.iter().map(asker).collect();
        let mut ports: Vec<_> = bound.iter().filter_map(|(i, with)| self.port(*i, *with)).collect();
        for (index, uplink) in self.list.iter().enumerate() {
            let (id, card) = (uplink.facts.id, mac(observed, config.uplinks[index].ifname));
            let link = self.link_binding(index, config).zip(card);
            ports.extend(uplink.kind.ports(id, link, self.binding(index, FAMILY, config)));
        }
        let is_new = ports != self.ports;
        self.end_asks(askers, out);
        if is_new {
            self.ports.clone_from(&ports);
            out.push(Output::Ports(ports));
        }
    }

    /// Closes all ports.
    pub(super) fn close_ports(&mut self, out: &mut Vec<Output>) {
        self.end_asks(Vec::new(), out);
        self.ports.clear();
        out.push(Output::Ports(Vec::new()));
    }

    /// These may ask. Checks that were bound to something else have asked by another way, and those of
    /// before a reload something else: what is not answered yet says nothing any more.
    fn end_asks(&mut self, askers: Vec<MayAsk>, out: &mut Vec<Output>) {
        let old = core::mem::replace(&mut self.askers, askers);
        for old in old.iter().filter(|old| !self.askers.contains(old)) {
            out.push(Output::CancelAsks(old.asker));
        }
    }

    /// The uplink whose checks have this port.
    pub(super) fn checks_of(&self, port: PortId) -> Option<usize> {
        let is_its = |prober: &Prober| prober.port(FAMILY).is_some_and(|(id, _)| id == port);
        self.list.iter().position(|uplink| is_its(&uplink.prober))
    }

    /// The uplink whose checks have asked this.
    pub(super) fn asker(&self, asker: Asker) -> Option<usize> {
        match asker {
            Asker::Probe(id, _) => self.list.iter().position(|uplink| uplink.prober.id() == id),
        }
    }

    fn port(&self, index: usize, binding: Binding) -> Option<Port> {
        let (id, kind) = self.list[index].prober.port(FAMILY)?;
        Some(Port { id, kind, binding })
    }

    /// What an uplink without an address is bound to; `None` while it has no carrier.
    fn link_binding(&self, index: usize, config: &Config) -> Option<Binding> {
        let (own, facts) = (&config.uplinks[index], &self.list[index].facts);
        let is_ready =
            own.enabled && facts.link_up && facts.carrier && !self.is_idle(index, config);
        let ifindex = facts.ifindex.filter(|_| is_ready)?;
        let mark = render::mark(config, facts.id);
        Some(Binding { ifname: own.ifname, ifindex, source: None, mark })
    }

    /// What the checks of an uplink are bound to in a family; `None` while it cannot send there.
    pub(super) fn binding(&self, index: usize, family: Family, config: &Config) -> Option<Binding> {
        let (own, facts) = (&config.uplinks[index], &self.list[index].facts);
        let ready = own.enabled && facts.is_routable(family);
        Some(Binding {
            ifname: own.ifname,
            ifindex: facts.ifindex.filter(|_| ready)?,
            source: Some(facts.address(family)?.address),
            mark: render::mark(config, facts.id),
        })
    }
}

/// The checks are of this family.
pub(super) const FAMILY: Family = Family::V4;
