//! Hearing when the kernel's tables change.
//!
//! Promises: a notification says only that something changed; what it is now is read.

use crate::netlink::{Counters, Monitor, NeighbourMonitor};
use crate::nft::Monitor as NftMonitor;
use crate::poll::Poller;
pub use crate::state::Kernel;
use rail_core::Watch;
use rail_core::net::IfName;
use rail_core::state::{Observed, Scope};
use std::io;

/// Sockets that hear when the tables change.
#[derive(Debug)]
pub(super) struct Monitors {
    own_port: u32,
    routing: Monitor,
    neighbours: NeighbourMonitor,
    firewall: NftMonitor,
}

impl Monitors {
    /// Opens them, with tokens from [`super::TOKEN_MONITORS`] on: what changes from now on by
    /// another hand than that of `kernel` is reported.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub(super) fn open(kernel: &Kernel, poller: &Poller) -> io::Result<Self> {
        let monitors = Self {
            own_port: kernel.routing_port(),
            routing: Monitor::open()?,
            neighbours: NeighbourMonitor::open()?,
            firewall: NftMonitor::open(vec![kernel.firewall_port()])?,
        };
        poller.add(&monitors.routing, super::TOKEN_MONITORS)?;
        poller.add(&monitors.neighbours, super::TOKEN_MONITORS + 1)?;
        poller.add(&monitors.firewall, super::TOKEN_MONITORS + 2)?;
        Ok(monitors)
    }

    /// Hears the neighbours on the links of `watch` from now on; those of other links change all
    /// the time and concern nobody here.
    pub(super) fn watch_neighbours(&mut self, watch: &Watch, observed: &Observed) {
        let index = |(ifname, _): &(IfName, _)| Some(observed.links.get(ifname)?.index);
        let mut indexes: Vec<u32> = watch.neighbours.iter().filter_map(index).collect();
        indexes.sort_unstable();
        indexes.dedup();
        // With the old filter it hears too much or too little; the probes find out as well.
        let _ = self.neighbours.watch_ifindexes(&indexes);
    }

    /// Reads the notifications of one descriptor.
    pub(super) fn changed(&mut self, token: u64, watch: &Watch) -> Scope {
        match token - super::TOKEN_MONITORS {
            0 => self.routing.drain(&[self.own_port], watch),
            1 => self.neighbours.drain(),
            _ => self.firewall.drain(),
        }
    }

    /// What all of these sockets counted.
    pub(super) fn counters(&self) -> Counters {
        let routing = self.routing.counters() + self.neighbours.counters();
        routing + self.firewall.counters()
    }

    /// Who changed an object of ours a moment ago; empty if nobody is known.
    pub(super) fn author(&self, object: &str) -> String {
        match object.starts_with("nft ") {
            true => self.firewall.author(),
            false => self.routing.author(object),
        }
    }

    /// True if rules of others changed since the last call.
    pub(super) const fn take_others(&mut self) -> bool {
        self.firewall.take_others()
    }

    /// True if a route of `main` changed since the last call that may decide over everything.
    pub(super) const fn take_around(&mut self) -> bool {
        self.routing.take_wide_routes()
    }

    /// A child of ours is about to change the firewall.
    pub(super) const fn begin_firewall_change(&mut self) {
        self.firewall.begin_own();
    }

    /// Drops the notifications about the firewall that wait.
    pub(super) fn forget_firewall_changes(&mut self) {
        self.firewall.forget();
    }
}
