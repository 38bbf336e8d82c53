//! A leased address is on the interface of the uplink whose card it was granted to, on no other uplink's, and
//! only while its lease lives. What goes by it stands in the uplink's own table, and the shared default. What the
//! client says are messages of RFC 2131 in the name of that card. Long after the last fault each client
//! has a lease.

use super::{Happening, Law, Often};
use crate::lessor;
use crate::scene::{Change, Scene};
use rail_core::net::{Mac, Prefix};
use rail_core::notice::{LeaseNews, Notice};
use rail_core::state::{Key, Op, Resource, RouteValue};
use rail_core::time::{Duration, Instant};
use rail_core::{Peer, PortId, PortKind, render};
use rail_wire::dhcp4::{Request, UdpChecksum};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// See the module.
#[derive(Default)]
pub(super) struct Lease {
    /// Since when an uplink's interface has an address that its client does not hold.
    wrong: BTreeMap<usize, Instant>,
}

impl Law for Lease {
    fn hears(&self) -> Often {
        Often::Sent
    }

    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        if scene.net.street.sites.is_empty() {
            return Ok(());
        }
        match what {
            Happening::Sent { port, to, bytes } => sent(scene, *port, *to, bytes),
            Happening::Said(Notice::Lease(LeaseNews::Leased { uplink, address, .. })) => {
                let mut uplinks = scene.config.uplinks.iter();
                let line = uplinks.position(|own| own.name == *uplink).unwrap_or(usize::MAX);
                granted(scene, (line, client(scene, line)), *address)
            }
            Happening::Change(change) if change.done => changed(scene, change),
            Happening::Tick => self.outlived(scene),
            Happening::Ended(_) => all_leased(scene),
            _ => Ok(()),
        }
    }
}

impl Lease {
    /// No address stays that is not leased any more.
    fn outlived(&mut self, scene: &Scene) -> Result<(), String> {
        for line in scene.net.street.sites.keys() {
            let uplink = &scene.config.uplinks[*line];
            let mut found = scene.kernel.addresses.keys().filter(|(name, _)| *name == uplink.ifname);
            let is_held = |own: &Prefix| uplink.address() == Some(*own) && is_alive(scene, *line, *own);
            let wrong = found.find(|(_, own)| !is_held(own)).map(|(_, own)| *own);
            let Some(wrong) = wrong.filter(|_| scene.is_running && !scene.withdrawing) else {
                self.wrong.remove(line);
                continue;
            };
            let since = self.wrong.entry(*line).or_insert(scene.now);
            // What the rules that stand translate to stays until others are in.
            if scene.is_writing || scene.are_rules_refused {
                *since = scene.now;
            }
            let since = *since;
            if scene.excuses.is_overdue_though_blind(scene.now, since, EFFECT) {
                return Err(format!("{} has {wrong} since {since}, and no lease of it", uplink.name));
            }
        }
        Ok(())
    }
}

/// The lease of this address to the uplink's card has not ended. Without a carrier nobody looks at the card.
fn is_alive(scene: &Scene, line: usize, address: Prefix) -> bool {
    let ends = match is_open(scene, line) {
        true => ends(scene, card(scene, line), address),
        false => scene.net.street.last_end(address),
    };
    ends.is_some_and(|ends| scene.now <= ends)
}

fn is_open(scene: &Scene, line: usize) -> bool {
    let link = scene.kernel.links.get(&scene.config.uplinks[line].ifname);
    link.is_some_and(|link| link.up && link.carrier)
}

fn ends(scene: &Scene, card: Option<Mac>, address: Prefix) -> Option<Instant> {
    let IpAddr::V4(address) = address.address else { return None };
    scene.net.street.ends(card?, address)
}

/// The card in whose name the client of an uplink hears; the device may be gone, and nobody know it yet.
fn client(scene: &Scene, line: usize) -> Option<Mac> {
    let id = scene.lines.get(line)?.id;
    let client = |kind| match kind {
        PortKind::DhcpReplies { client } => Some(client),
        _ => None,
    };
    let mut ports = scene.ports.iter().filter(|port| port.id.uplink() == Some(id));
    ports.find_map(|port| client(port.kind))
}

fn card(scene: &Scene, line: usize) -> Option<Mac> {
    let uplink = scene.config.uplinks.get(line)?;
    scene.kernel.links.get(&uplink.ifname)?.identity.mac
}

/// It was granted to this card, which is the uplink's, and the time is not long over.
fn granted(
    scene: &Scene,
    (line, card): (usize, Option<Mac>),
    address: Prefix,
) -> Result<(), String> {
    let is_over = |ends: Instant| scene.excuses.is_overdue(scene.now, ends, EFFECT);
    match ends(scene, card, address) {
        Some(ends) if !is_over(ends) => Ok(()),
        Some(ends) => Err(format!("{address} was leased until {ends}, and is taken now")),
        None => Err(format!("{address} was never leased to the card of uplink {line}")),
    }
}

/// An address is put on the interface of this uplink. What was decided before the client knew its card, or its
/// loss, may still be under way.
fn placed(scene: &Scene, line: usize, address: Prefix) -> Result<(), String> {
    let site = &scene.net.street.sites[&line];
    let since = site.since.max(scene.excuses.disturbed);
    if !is_open(scene, line) || !scene.excuses.is_overdue_though_blind(scene.now, since, DECIDED) {
        return Ok(());
    }
    granted(scene, (line, card(scene, line)), address)
}

fn changed(scene: &Scene, change: &Change) -> Result<(), String> {
    match (&change.key, &change.op) {
        (Key::Address { ifname, prefix }, Op::Put { .. }) => {
            let leased = || scene.net.street.sites.keys();
            let name = |line: usize| scene.config.uplinks[line].ifname;
            let Some(line) = leased().find(|line| name(**line) == *ifname) else { return Ok(()) };
            placed(scene, *line, *prefix)?;
            let has = |line: usize| scene.kernel.addresses.contains_key(&(name(line), *prefix));
            match leased().find(|other| *other != line && has(**other)) {
                Some(other) => Err(format!("uplinks {line} and {other} have one lease: {prefix}")),
                None => Ok(()),
            }
        }
        (Key::Route(key), Op::Put { value: Resource::Route(value), .. }) => {
            let RouteValue::Unicast { .. } = value else { return Ok(()) };
            let shared = scene.config.ranges.tables.0;
            let is_default = key.prefix.length == 0;
            for line in scene.net.street.sites.keys() {
                let (uplink, id) = (&scene.config.uplinks[*line], scene.lines[*line].id);
                let is_own = key.table == render::table(&scene.config, id);
                if value.uses(uplink.ifname) && !is_own && !(is_default && key.table == shared) {
                    return Err(format!("{key} leads by {}, and is in another table", uplink.name));
                }
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

/// What a client sends is a message of a client, in the name of its card.
fn sent(scene: &Scene, id: PortId, to: Peer, bytes: &[u8]) -> Result<(), String> {
    let Some(port) = scene.ports.iter().find(|port| port.id == id) else { return Ok(()) };
    let request = match (port.kind, to) {
        (PortKind::DhcpReplies { .. }, Peer::Link(_)) => {
            Request::parse_packet(bytes, UdpChecksum::Complete)
        }
        (PortKind::Udp { .. }, Peer::Socket(SocketAddr::V4(to))) => Request::parse(bytes, *to.ip()),
        (PortKind::DhcpReplies { .. } | PortKind::Udp { .. }, _) => {
            return Err(format!("a client asks {to:?}"));
        }
        _ => return Ok(()),
    };
    let request = request.map_err(|e| format!("a client says what is no message: {e:?}"))?;
    let line = scene.lines.iter().position(|line| Some(line.id) == id.uplink());
    let is_there = line.filter(|line| scene.is_leased(*line)).and_then(|line| card(scene, line));
    // A device may have gone a moment ago.
    match is_there.is_none_or(|card| card.0 == request.chaddr) || !is_known(scene) {
        true => Ok(()),
        false => Err(format!("a client asks in the name of {:?}", Mac(request.chaddr))),
    }
}

/// The router can know which devices there are.
fn is_known(scene: &Scene) -> bool {
    scene.excuses.is_overdue(scene.now, scene.excuses.last_loss(), EFFECT)
}

fn all_leased(scene: &Scene) -> Result<(), String> {
    // A server that forgot its leases denies an address half a lease later.
    let without = |line: &&usize| {
        lessor::lacks(&scene.config.uplinks[**line]) && !scene.has_new_lease(**line)
    };
    match scene.net.street.sites.keys().find(without) {
        Some(line) => {
            let name = &scene.config.uplinks[*line].name;
            Err(format!("long after the last fault {name} has no lease"))
        }
        None => Ok(()),
    }
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(50);
/// From the end of a lease to the last of what it gave, with a disk that hangs.
const EFFECT: Duration = Duration::from_secs(3);
