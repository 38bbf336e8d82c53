//! Ports: the sockets that the core declares, one module for each kind.
//!
//! Promises: exactly the declared ports are open; one that is declared again as it was stays as it is,
//! with what waits in it. What is sent leaves by the port's device, from its source and with its mark;
//! what is received came in by that device. The kernel notes when it received something: a loop that is
//! late does not make an uplink slow. An error of one port is counted and never touches another.
//! Leaves out what the bytes mean: that the core decides.

mod close;
mod dhcp;
mod echo;
mod packet;
mod receive;
mod udp;

use crate::poll::Poller;
use close::Closer;
use rail_core::time::Duration;
use rail_core::{Input, Peer, Port, PortId, PortKind};
use receive::{Received, receive};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

/// Counted events of the ports.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct PortCounters {
    /// Ports that could not be opened, attempts counted.
    pub open_errors: u64,
    /// Messages that could not be sent.
    pub send_errors: u64,
    /// Messages received and dropped: torn, or from another device.
    pub dropped: u64,
}

/// All ports.
#[derive(Debug)]
pub struct Ports {
    tokens: Range<u64>,
    open: BTreeMap<PortId, Open>,
    closer: Closer,
    counters: PortCounters,
}

#[derive(Debug)]
struct Open {
    port: Port,
    token: u64,
    /// Not yet, while the device or the source address is missing; tried again at each send.
    fd: Option<OwnedFd>,
}

/// Something that arrived on a socket.
struct Arrival<'a> {
    from: Peer,
    /// The device that it came in by.
    ifindex: u32,
    bytes: &'a [u8],
}

impl Ports {
    /// None open. Each gets one of these tokens.
    pub fn new(tokens: Range<u64>) -> Self {
        let (closer, counters) = (Closer::default(), PortCounters::default());
        Self { tokens, open: BTreeMap::new(), closer, counters }
    }

    /// Has exactly these open from now on.
    pub fn set(&mut self, poller: &Poller, wanted: Vec<Port>) {
        let over = self.open.iter().filter(|(_, open)| !wanted.contains(&open.port));
        let over: Vec<PortId> = over.map(|(id, _)| *id).collect();
        for id in over {
            let Some(open) = self.open.remove(&id) else { continue };
            // Any other one is closed at once: its address may be wanted again.
            let is_slow =
                matches!(open.port.kind, PortKind::Packet { .. } | PortKind::DhcpReplies { .. });
            if let Some(fd) = open.fd.filter(|_| is_slow) {
                poller.remove(&fd);
                self.closer.close(fd);
            }
        }
        for port in wanted {
            if !self.open.contains_key(&port.id) {
                let Some(token) = self.free_token() else {
                    self.counters.open_errors += 1;
                    continue;
                };
                self.open.insert(port.id, Open { port, token, fd: None });
            }
            if let Some(open) = self.open.get_mut(&port.id)
                && open.fd.is_none()
            {
                self.counters.open_errors += u64::from(!open.try_open(poller));
            }
        }
    }

    fn free_token(&self) -> Option<u64> {
        let is_free = |token: &u64| self.open.values().all(|open| open.token != *token);
        self.tokens.clone().find(is_free)
    }

    /// Sends something; a failure is counted, and its time-out tells the rest.
    pub fn send(&mut self, poller: &Poller, id: PortId, to: Peer, bytes: &[u8]) {
        let Some(open) = self.open.get_mut(&id) else {
            self.counters.send_errors += 1;
            return;
        };
        // A device that goes and comes back with its name and its index has left its packet sockets behind.
        if let Some(orphan) = open.fd.take_if(|fd| packet::is_orphan(fd)) {
            poller.remove(&orphan);
            self.closer.close(orphan);
        }
        if open.fd.is_none() && !open.try_open(poller) {
            self.counters.open_errors += 1;
        }
        let sent = open.fd.as_ref().map(|fd| send(fd, &open.port, to, bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.counters.send_errors += 1;
        }
    }

    /// Takes what arrived on the port with this token, at most [`PER_PASS`] messages. True if more may
    /// wait.
    pub fn drain(&mut self, token: u64, inputs: &mut Vec<Input>) -> bool {
        let open = self.open.values().find(|open| open.token == token);
        let Some(Open { port, fd: Some(fd), .. }) = open else { return false };
        let mut buffer = [0; 2048];
        for _ in 0..PER_PASS {
            let received = match receive(fd, &mut buffer) {
                Ok(received) => received,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => {
                    self.counters.dropped += 1;
                    return false;
                }
            };
            match arrival(port.kind, &received, &buffer) {
                Some(arrival) if arrival.ifindex == port.binding.ifindex => {
                    inputs.push(packet(port.id, &arrival, received.age));
                }
                _ => self.counters.dropped += 1,
            }
        }
        true
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> PortCounters {
        self.counters
    }
}

impl Open {
    fn try_open(&mut self, poller: &Poller) -> bool {
        let opened = open(&self.port)
            .and_then(|fd| poller.add(&fd, self.token).map_err(Into::into).map(|()| fd));
        self.fd = opened.ok();
        self.fd.is_some()
    }
}

fn packet(port: PortId, arrival: &Arrival<'_>, age: Duration) -> Input {
    Input::Packet { port, from: arrival.from, age, bytes: arrival.bytes.to_vec() }
}

fn open(port: &Port) -> io::Result<OwnedFd> {
    match port.kind {
        PortKind::IcmpEcho { ident } => echo::open(&port.binding, ident),
        PortKind::Packet { ethertype } => packet::open(&port.binding, ethertype),
        PortKind::DhcpReplies { client } => dhcp::open(&port.binding, client),
        PortKind::Udp { local, is_deaf } => udp::open(&port.binding, local, is_deaf),
    }
}

fn send(fd: &OwnedFd, port: &Port, to: Peer, bytes: &[u8]) -> io::Result<()> {
    match port.kind {
        PortKind::IcmpEcho { .. } => echo::send(fd, to, bytes),
        PortKind::Packet { ethertype } => packet::send(fd, &port.binding, ethertype, to, bytes),
        PortKind::DhcpReplies { .. } => dhcp::send(fd, &port.binding, to, bytes),
        PortKind::Udp { .. } => udp::send(fd, to, bytes),
    }
}

fn arrival<'a>(kind: PortKind, received: &Received, buffer: &'a [u8]) -> Option<Arrival<'a>> {
    let bytes = buffer.get(..received.length?)?;
    match kind {
        PortKind::IcmpEcho { .. } => echo::arrival(received, bytes),
        PortKind::Packet { .. } => packet::arrival(received, bytes),
        PortKind::DhcpReplies { .. } => dhcp::arrival(received, bytes),
        PortKind::Udp { .. } => udp::arrival(received, bytes),
    }
}

/// A port cannot send there: the core does not ask for such.
fn wrong_peer() -> io::Error {
    io::ErrorKind::InvalidInput.into()
}

/// How many messages one call of [`Ports::drain`] takes at most.
pub const PER_PASS: usize = 64;

#[cfg(test)]
mod tests;
