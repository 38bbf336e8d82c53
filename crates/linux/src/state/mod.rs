//! Kernel objects as the core knows them: a file for each kind, and the lists that name them.
//!
//! Promises: an observation is read from the kernel at that moment, never from memory. What is made
//! bears our mark; nothing else is deleted. An interface is found by its name at the moment of the
//! change. Leaves out the `nft` child, which takes time: that is the shell's; and nftables itself, which
//! is [`nft`](crate::nft).

use crate::netlink::{Counters, RequestSocket, error};
use crate::nft::Nft;
use crate::queues;
use rail_core::Watch;
use rail_core::net::{IfName, Mac};
use rail_core::queues::Place;
use rail_core::state::{Key, Observed, Op, OpError, Resource, Scope};
use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

mod address;
mod link;
mod route;
mod rule;
mod setting;

/// Names of interfaces by index.
pub(crate) type Names = BTreeMap<u32, IfName>;

/// Sockets to the kernel's tables.
#[derive(Debug)]
pub struct Kernel {
    request: RequestSocket,
    nft: Nft,
}

impl Kernel {
    /// Opens them in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel refuses a socket.
    pub fn open() -> io::Result<Self> {
        Ok(Self { request: RequestSocket::open()?, nft: Nft::open()? })
    }

    /// The port by which changes of its routing socket are known.
    pub(crate) const fn routing_port(&self) -> u32 {
        self.request.port()
    }

    /// The port by which changes of its nftables socket are known.
    pub(crate) const fn firewall_port(&self) -> u32 {
        self.nft.port()
    }

    /// What these sockets counted.
    pub(crate) fn counters(&self) -> Counters {
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
            observed.sysctls = setting::observe(watch);
        }
        if scope.has(Scope::QUEUES) && !watch.ports.is_empty() {
            observed.queues = Arc::new(queues::read(Path::new("/"), &watch.ports));
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
        let rest = Scope::ALL.without(Scope::FIREWALL);
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

    /// What a chain of our table has counted; `None` if that is unknown.
    pub fn packets(&mut self, chain: &str) -> Option<u64> {
        self.nft.packets(chain).ok().flatten()
    }

    /// Performs one change; all but [`Op::Script`].
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn apply(&mut self, key: &Key, op: &Op) -> Result<(), OpError> {
        match (key, op) {
            (Key::Buckets, Op::Buckets { del, add }) => self.nft.set_buckets(del, add),
            (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. }) => {
                match Place::parse(path) {
                    Some(place) => self.put_mask(place, value),
                    None => setting::put(path, value),
                }
            }
            _ => self.request.apply(key, op),
        }
    }

    /// Sets the mask of a queue of the device that has this name now.
    fn put_mask(&mut self, place: Place, mask: &str) -> Result<(), OpError> {
        let link = self.request.link(place.ifname)?;
        let device = link.and_then(|link| Some((link.index, Mac(link.mac?))));
        let no_device = || error(libc::ENODEV, &format!("there is no port {}", place.ifname));
        queues::write(Path::new("/"), place, device.ok_or_else(no_device)?, mask)
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

impl RequestSocket {
    /// Reads the kinds in `scope` that routing netlink has; the other fields stay empty.
    ///
    /// # Errors
    /// The kernel's; `EINTR` if a table changes faster than it can be read.
    pub fn observe(&mut self, scope: Scope, watch: &Watch) -> Result<Observed, OpError> {
        let mut observed = Observed::default();
        if scope.meets(BY_LINK) {
            let links = self.links(watch.paths)?;
            let names: Names = links.iter().map(|(name, link)| (link.index, *name)).collect();
            if scope.has(Scope::ADDRESSES) {
                let found = self.addresses(&names)?;
                (observed.addresses, observed.peers) = (found.addresses, found.peers);
                observed.given = found.given;
            }
            if scope.has(Scope::ROUTES) {
                observed.routes = self.routes(watch, &names)?;
            }
            if scope.has(Scope::NEIGHBOURS) {
                observed.neighbours = self.neighbours(watch, &links)?;
            }
            if scope.has(Scope::LINKS) {
                observed.links = links;
            }
        }
        if scope.has(Scope::MAIN) {
            (observed.main, observed.defaults) = self.main_default()?;
        }
        if scope.has(Scope::RULES) {
            let rules = self.rules()?.into_iter();
            observed.rules = rules.filter_map(|rule| rule::observed_rule(&rule)).collect();
        }
        Ok(observed)
    }

    /// Performs one change of what routing netlink has. Deleting what is gone, and adding what is
    /// there, is a success.
    ///
    /// # Errors
    /// The kernel's refusal, with its sentence; `ENODEV` if the interface does not exist;
    /// `EINVAL` if the change is of another kind or does not fit its key.
    pub fn apply(&mut self, key: &Key, op: &Op) -> Result<(), OpError> {
        match (key, op) {
            (Key::Link(ifname), Op::Put { value: Resource::Link(value), .. }) => {
                self.put_link(*ifname, value)
            }
            (Key::Link(ifname), Op::Drop) => self.drop_link(*ifname),
            (Key::Address { ifname, prefix }, Op::Put { .. }) => self.put_address(*ifname, prefix),
            (Key::Address { ifname, prefix }, Op::Drop) => self.drop_address(*ifname, prefix),
            (Key::Route(key), Op::Put { value: Resource::Route(value), replace }) => {
                self.put_route(key, value, *replace)
            }
            (Key::Route(key), Op::Drop) => self.drop_route(key),
            (Key::Rule(rule), Op::Put { .. }) => self.put_rule(rule),
            (Key::Rule(rule), Op::Drop) => self.drop_rule(rule),
            _ => Err(error(libc::EINVAL, "this change does not fit its object")),
        }
    }
}

/// What names an interface by its index.
const BY_LINK: Scope =
    Scope::LINKS.with(Scope::ADDRESSES).with(Scope::ROUTES).with(Scope::NEIGHBOURS);

/// These errors say that all is as it should be.
fn unless(result: Result<(), OpError>, fine: &[i32]) -> Result<(), OpError> {
    result.or_else(|e| if fine.contains(&e.errno) { Ok(()) } else { Err(e) })
}
