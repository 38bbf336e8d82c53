//! The kernel as one thing: netlink, nftables and settings behind one `observe`
//! and one `apply`.
//!
//! Promises: an observation is read from the kernel at that moment, never from
//! memory; a notification says only that something changed, what it is now is
//! read. Leaves out the `nft` child, which takes time: that is the shell's.

use crate::netlink::{Counters, Monitor, NeighbourMonitor, RequestSocket};
use crate::nft::{Monitor as NftMonitor, Nft};
use crate::poll::Poller;
use crate::sysctl;
use rail_core::net::IfName;
use rail_core::state::{Key, Observed, Op, OpError, Scope, Watch};
use std::io;
use std::net::IpAddr;

/// Sockets to the kernel's tables.
#[derive(Debug)]
pub struct Kernel {
    request: RequestSocket,
    nft: Nft,
}

/// Sockets that hear when the tables change.
#[derive(Debug)]
pub(super) struct Monitors {
    own_port: u32,
    routing: Monitor,
    neighbours: NeighbourMonitor,
    firewall: NftMonitor,
}

impl Kernel {
    /// Opens them in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self { request: RequestSocket::open()?, nft: Nft::open()? })
    }

    /// What these sockets counted.
    pub(super) fn counters(&self) -> Counters {
        self.request.counters() + self.nft.counters()
    }

    /// Reads the kinds in `scope`.
    ///
    /// # Errors
    /// The kernel's.
    pub fn observe(&mut self, scope: Scope, watch: &Watch) -> Result<Observed, OpError> {
        let mut observed = self.request.observe(scope, watch)?;
        if scope.has(Scope::FIREWALL) {
            observed.firewall = self.nft.observe()?;
            observed.guard = self.nft.observe_guard()?;
        }
        if scope.has(Scope::SYSCTLS) {
            // One that cannot be read is missing: its interface may be.
            let read = |path: &String| Some((path.clone(), sysctl::read(path).ok()?));
            observed.sysctls = watch.sysctls.iter().filter_map(read).collect();
        }
        Ok(observed)
    }

    /// Reads everything; without root the firewall may be kept from us, and is left out with a
    /// sentence about it.
    ///
    /// # Errors
    /// What else cannot be read, as a sentence.
    pub fn observe_readable(
        &mut self,
        watch: &Watch,
    ) -> Result<(Observed, Option<String>), String> {
        let rest = Scope(Scope::ALL.0 & !Scope::FIREWALL.0);
        let mut observed = self
            .observe(rest, watch)
            .map_err(|e| format!("cannot read the kernel's routing tables: {e}"))?;
        match self.nft.observe() {
            Ok(firewall) => {
                observed.firewall = firewall;
                Ok((observed, None))
            }
            Err(e) => Ok((
                observed,
                Some(format!(
                    "the firewall could not be read ({e}) and is shown as missing; start as root"
                )),
            )),
        }
    }

    /// What a chain of our table has counted; `None` if that cannot be told.
    pub fn packets(&mut self, chain: &str) -> Option<u64> {
        self.nft.packets(chain).ok().flatten()
    }

    /// Performs one change; all but [`Op::Nft`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn apply(&mut self, key: &Key, op: &Op) -> Result<(), OpError> {
        match op {
            Op::Buckets { del, add } => self.nft.set_buckets(del, add),
            Op::SetSysctl(value) => match key {
                Key::Sysctl(path) => sysctl::write(path, value),
                _ => Err(mismatch()),
            },
            Op::Nft(_) => Err(mismatch()),
            _ => self.request.apply(key, op),
        }
    }

    /// Lets the next packet to a neighbour that is being asked for ask again.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn resolve(&mut self, ifname: IfName, address: &IpAddr) -> Result<(), OpError> {
        self.request.resolve(ifname, address)
    }

    /// Sets a link administratively up or down.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn set_link(&mut self, ifname: IfName, up: bool) -> Result<(), OpError> {
        self.request.link_set_up(ifname, up)
    }
}

impl Monitors {
    /// Opens them, with tokens from [`super::TOKEN_MONITORS`] on: what changes from now on by
    /// another hand than that of `kernel` is reported.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub(super) fn open(kernel: &Kernel, poller: &Poller) -> io::Result<Self> {
        let monitors = Self {
            own_port: kernel.request.port(),
            routing: Monitor::open()?,
            neighbours: NeighbourMonitor::open()?,
            firewall: NftMonitor::open(vec![kernel.nft.port()])?,
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

/// A step whose key and change do not belong together; the core does not make such.
fn mismatch() -> OpError {
    OpError { errno: libc::EINVAL, text: "this change does not fit its object".into() }
}
