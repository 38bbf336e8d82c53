//! The ports that are declared, and what arrives on them: whose answer it is, or why it is refused.

use super::Router;
use crate::check::Refusal;
use crate::io::{AskId, Asker, Output, Peer, Port, PortId};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

impl Router {
    /// Declares these ports. Whose port changes has asked by another way: what is not answered yet
    /// says nothing any more.
    pub(super) fn declare_ports(&mut self, ports: Vec<Port>, out: &mut Vec<Output>) {
        let old = core::mem::replace(&mut self.ports, ports.clone());
        for port in old.iter().filter(|port| !ports.contains(port)) {
            if let PortId::Probe(uplink, family) = port.id {
                out.push(Output::CancelAsks(Asker::Probe(uplink, family)));
            }
        }
        out.push(Output::Ports(ports));
    }

    /// Takes what arrived on a port, as old as the kernel says.
    pub(super) fn take_packet(
        &mut self,
        now: Instant,
        age: Duration,
        (port, from): (PortId, Peer),
        bytes: &[u8],
    ) {
        let line = match port {
            PortId::Probe(id, _) => self.lines.iter().position(|line| line.id() == id),
            PortId::Arp(_) => None,
        };
        let (Some(i), Some(from)) = (line, from.ip()) else {
            self.counters.packets_refused += 1;
            return;
        };
        let refusal = match self.lines[i].packet(now, age, from, bytes) {
            Ok((target, before)) => {
                self.counters.probes_answered += 1;
                self.lines_dirty[i] = true;
                self.note_return(now, i, target, before);
                return;
            }
            Err(Refusal::WrongSequence) if self.lines.iter().any(|l| l.is_answer(from, bytes)) => {
                Refusal::WrongInterface
            }
            Err(refusal) => refusal,
        };
        self.lines[i].count_refusal(refusal);
        match refusal {
            Refusal::Duplicate => self.counters.duplicates += 1,
            _ => self.counters.packets_refused += 1,
        }
    }

    /// Takes the answer to a question. The checks that there are ask by packets alone, so it answers
    /// none of them.
    pub(super) const fn take_answer(&mut self, id: AskId) {
        match id.asker {
            Asker::Probe(..) => self.counters.packets_refused += 1,
        }
    }
}
