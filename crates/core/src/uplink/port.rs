//! The ports of the uplinks: what their checks send through and are bound to, and whose packets these
//! are.

use super::Uplinks;
use crate::config::Config;
use crate::desk::Desk;
use crate::io::{AskId, Asker, Binding, Output, Port, PortId, PortKind};
use crate::net::Family;
use crate::render;
use alloc::vec::Vec;

impl Uplinks {
    /// Opens the ports of those that can send, and closes all others.
    pub(crate) fn refresh_ports(&mut self, config: &Config, out: &mut Vec<Output>) {
        let ports: Vec<_> = (0..self.list.len()).filter_map(|i| self.port(i, config)).collect();
        if ports != self.ports {
            self.declare(ports, out);
        }
    }

    /// Declares these ports. Whose port changes has asked by another way: what is not answered yet says
    /// nothing any more.
    pub(super) fn declare(&mut self, ports: Vec<Port>, out: &mut Vec<Output>) {
        let old = core::mem::replace(&mut self.ports, ports.clone());
        for port in old.iter().filter(|port| !ports.contains(port)) {
            match port.id {
                PortId::Probe(id, family) => {
                    out.push(Output::CancelAsks(Asker::Probe(id, family)));
                }
                PortId::Arp(_) => {}
            }
        }
        out.push(Output::Ports(ports));
    }

    /// Takes the answer to a question. The checks that there are ask by packets alone, so it answers
    /// none of them.
    pub(crate) const fn take_answer(&mut self, id: AskId, desk: &mut Desk) {
        match id.asker {
            Asker::Probe(..) => desk.counters.packets_refused += 1,
        }
    }

    /// The uplink whose checks have this port.
    pub(super) fn checks_of(&self, port: PortId) -> Option<usize> {
        match port {
            PortId::Probe(id, _) => self.list.iter().position(|uplink| uplink.prober.id() == id),
            PortId::Arp(_) => None,
        }
    }

    fn port(&self, index: usize, config: &Config) -> Option<Port> {
        let family = Family::V4;
        let (binding, uplink) = (self.binding(index, family, config)?, &self.list[index]);
        let id = PortId::Probe(uplink.facts.id, family);
        let kind = PortKind::IcmpEcho { ident: uplink.prober.ident() };
        Some(Port { id, kind, binding })
    }

    /// What the checks of an uplink are bound to in a family; `None` while it cannot send there.
    fn binding(&self, index: usize, family: Family, config: &Config) -> Option<Binding> {
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
