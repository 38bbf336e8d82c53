//! Which CPU takes the packets of which queue: the masks of receive packet steering (RPS) and transmit
//! packet steering (XPS) of physical ports, from what the machine has.
//!
//! Promises: a pure function of the topology. A queue gets a mask only where the kernel shows one, so a
//! port with one transmit queue has none there. A port with as many receive queues as there are CPUs is
//! spread by its hardware already: its masks are empty, but for the queue that PPPoE comes in by (RFC 2516).
//! Leaves out: which ports (`reconcile`), reading
//! and writing (`rail_linux::queues`), where interrupts go (irqbalance or the administrator), and RFS,
//! which helps local sockets alone. Kernel: Documentation/networking/scaling.rst.

mod place;

pub use place::{Mask, Place, Side};

use crate::net::{IfName, Mac};
use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

/// A port whose queues are to be read. A device is believed to be this one if index and address agree: what
/// is shown below `/sys` may be another network namespace's.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WatchedPort {
    /// Its name.
    pub ifname: IfName,
    /// Its index.
    pub index: u32,
    /// Its hardware address.
    pub mac: Mac,
    /// It is up: drivers make their queues anew when it goes up.
    pub up: bool,
}

/// What a port carries, as its hardware sees it.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Carries {
    /// IP: it tells one connection from another.
    Ip,
    /// PPPoE, too: cards do not look into a session, and put all of it into their first queue.
    Pppoe,
}

/// What the machine has.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Topology {
    /// The CPUs that are online, in ascending order.
    pub cpus: Vec<Cpu>,
    /// Physical ports, of those that are watched.
    pub ports: BTreeMap<IfName, PortQueues>,
}

/// A CPU.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Cpu {
    /// Its number.
    pub number: u16,
    /// How much it does in a time, compared with the others; all the same where the kernel says nothing.
    pub capacity: u32,
}

/// The queues of a port.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct PortQueues {
    /// The receive queues.
    pub receive: Vec<ReceiveQueue>,
    /// The XPS mask of each transmit queue; `None`: it has none.
    pub transmit: Vec<Option<String>>,
    /// Why no mask can be written.
    pub refused: Option<String>,
}

/// A receive queue.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ReceiveQueue {
    /// Its RPS mask; `None`: this kernel has no RPS.
    pub mask: Option<String>,
    /// The CPU that its interrupt goes to; `None`: that cannot be told.
    pub cpu: Option<u16>,
}

impl Topology {
    /// The mask that stands there now.
    pub fn mask(&self, path: &str) -> Option<&String> {
        let place = Place::parse(path)?;
        let port = self.ports.get(&place.ifname)?;
        match place.side {
            Side::Receive => port.receive.get(place.number)?.mask.as_ref(),
            Side::Transmit => port.transmit.get(place.number)?.as_ref(),
        }
    }

    /// The masks that these ports are to have, by their paths.
    pub fn masks(
        &self,
        ports: impl IntoIterator<Item = (IfName, Carries)>,
    ) -> Vec<(String, String)> {
        let mut masks = Vec::new();
        let is_open = |port: &&PortQueues| port.refused.is_none() && !self.cpus.is_empty();
        for (ifname, carries) in ports {
            let Some(port) = self.ports.get(&ifname).filter(is_open) else { continue };
            for (number, queue) in port.receive.iter().enumerate() {
                if queue.mask.is_some() {
                    let place = Place { ifname, side: Side::Receive, number };
                    let helpers = self.helpers((port, carries), number, queue);
                    masks.push((place.path(), Mask::of(helpers).to_text()));
                }
            }
            for (number, mask) in port.transmit.iter().enumerate() {
                if mask.is_some() && port.transmit.len() > 1 {
                    let place = Place { ifname, side: Side::Transmit, number };
                    masks.push((place.path(), self.xps(port.transmit.len(), number)));
                }
            }
        }
        masks
    }

    /// The CPUs that a port's packets are handed to in software; 0 where its own queues do.
    pub fn spread_over(&self, port: &PortQueues, carries: Carries) -> usize {
        let queues = port.receive.iter().enumerate();
        let mut cpus: Vec<u16> = queues
            .flat_map(|(number, queue)| self.helpers((port, carries), number, queue))
            .collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus.len()
    }

    /// Every CPU but the one that the interrupt keeps busy; of unlike CPUs the fast ones. Where it goes is
    /// unknown on boards that deliver all to their first CPU.
    fn helpers(
        &self,
        (port, carries): (&PortQueues, Carries),
        number: usize,
        queue: &ReceiveQueue,
    ) -> Vec<u16> {
        let is_spread = number != 0 || carries == Carries::Ip;
        if port.receive.len() >= self.cpus.len() && is_spread {
            return Vec::new();
        }
        let is_online = |number: &u16| self.cpus.iter().any(|cpu| cpu.number == *number);
        let first = self.cpus.first().map(|cpu| cpu.number);
        let busy = queue.cpu.filter(is_online).or(first);
        let fastest = self.cpus.iter().map(|cpu| cpu.capacity).max().unwrap_or(0);
        let is_fast = |cpu: &&Cpu| u64::from(cpu.capacity) * 2 > u64::from(fastest);
        let others = || self.cpus.iter().filter(|cpu| Some(cpu.number) != busy);
        let fast: Vec<u16> = others().filter(is_fast).map(|cpu| cpu.number).collect();
        if fast.is_empty() { others().map(|cpu| cpu.number).collect() } else { fast }
    }

    /// The CPUs of one of several transmit queues: each CPU has one, and all have as many.
    fn xps(&self, queues: usize, number: usize) -> String {
        let mine = self.cpus.iter().enumerate().filter(|(at, _)| at % queues == number);
        Mask::of(mine.map(|(_, cpu)| cpu.number)).to_text()
    }
}

#[cfg(test)]
mod tests;
