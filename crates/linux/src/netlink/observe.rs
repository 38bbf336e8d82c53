//! Reading the devices and neighbours of this machine.

use super::error;
use super::request::RequestSocket;
use crate::device_path;
use crate::state::Names;
use rail_core::Watch;
use rail_core::net::{IfName, Mac, Prefix};
use rail_core::state::{Identity, Link, Neighbour, Observed, OpError, Scope};
use rail_wire::netlink::{LinkMessage, LinkPlace, Message, NeighbourMessage, kind, nud};
use std::collections::BTreeMap;
use std::path::Path;

/// The links of this machine by name; with `paths` also where each device is.
///
/// # Errors
/// The kernel's; also if it refuses a socket.
pub fn links(paths: bool) -> Result<BTreeMap<IfName, Link>, OpError> {
    let mut socket = RequestSocket::open()
        .map_err(|e| error(e.raw_os_error().unwrap_or(0), &format!("no netlink socket: {e}")))?;
    socket.links(paths)
}

/// The IPv4 addresses of this namespace by interface.
///
/// # Errors
/// The kernel's.
pub fn addresses() -> Result<Vec<(IfName, Prefix)>, OpError> {
    let mut socket = RequestSocket::open()
        .map_err(|e| error(e.raw_os_error().unwrap_or(0), &format!("no netlink socket: {e}")))?;
    let links = socket.links(false)?;
    let names: Names = links.iter().map(|(name, link)| (link.index, *name)).collect();
    Ok(socket.addresses(&names)?.addresses.into_keys().collect())
}

/// What other programs have configured here: links, addresses and the routes of `main` for everything.
///
/// # Errors
/// The kernel's.
pub fn given() -> Result<Observed, OpError> {
    let mut socket = RequestSocket::open()
        .map_err(|e| error(e.raw_os_error().unwrap_or(0), &format!("no netlink socket: {e}")))?;
    socket.observe(Scope::LINKS | Scope::ADDRESSES | Scope::MAIN, &Watch::default())
}

impl RequestSocket {
    /// The links by name; with `paths` also where each device is.
    ///
    /// # Errors
    /// The kernel's.
    pub fn links(&mut self, paths: bool) -> Result<BTreeMap<IfName, Link>, OpError> {
        let links = self.dump(&LinkMessage::dump(), |message| {
            let link = of(message, kind::NEW_LINK, LinkMessage::decode)?;
            // A name that the configuration cannot hold is of no interest.
            Some((link.name.parse().ok()?, observed_link(link)))
        })?;
        let mut links: BTreeMap<IfName, Link> = links.into_iter().collect();
        if paths {
            for (ifname, link) in &mut links {
                let path = device_path::of(Path::new("/"), *ifname);
                link.identity.path = Some(path.unwrap_or_default());
            }
        }
        Ok(links)
    }

    pub(crate) fn neighbours(
        &mut self,
        watch: &Watch,
        links: &BTreeMap<IfName, Link>,
    ) -> Result<BTreeMap<(IfName, std::net::IpAddr), Neighbour>, OpError> {
        let mut neighbours = BTreeMap::new();
        for (ifname, address) in &watch.neighbours {
            let Some(link) = links.get(ifname) else { continue };
            let state = self.neighbour(link.index, address)?;
            if let Some(known) = state.and_then(|found| neighbour(&found)) {
                neighbours.insert((*ifname, *address), known);
            }
        }
        Ok(neighbours)
    }

    /// One neighbour; `None` if the kernel knows none, or the link has gone meanwhile.
    pub(super) fn neighbour(
        &mut self,
        index: u32,
        address: &std::net::IpAddr,
    ) -> Result<Option<NeighbourMessage>, OpError> {
        let mut state = None;
        let asked = self.ask(&NeighbourMessage::get(index, address), &mut |message| {
            state = of(message, kind::NEW_NEIGHBOUR, NeighbourMessage::decode);
        });
        match asked {
            Err(e) if !matches!(e.errno, libc::ENOENT | libc::ENODEV) => Err(e),
            _ => Ok(state),
        }
    }
}

/// A message of this kind, decoded; one that cannot be read is skipped.
pub(crate) fn of<T, E>(
    message: &Message<'_>,
    kind: u16,
    decode: impl FnOnce(&Message<'_>) -> Result<T, E>,
) -> Option<T> {
    (message.kind == kind).then(|| decode(message).ok())?
}

fn observed_link(link: LinkMessage) -> Link {
    let LinkMessage { index, up, carrier, mtu, mac, permanent_mac, place, .. } = link;
    let LinkPlace { kind, mode, alias, lower, master, altnames, no_arp, .. } = place;
    let over = ["bridge", "bond", "team"].contains(&kind.as_str());
    let identity = Identity {
        altnames,
        mac: mac.map(Mac),
        permanent_mac: permanent_mac.map(Mac),
        is_stacked: over || lower.is_some(),
        path: None,
    };
    Link { index, up, carrier, no_arp, mtu, lower, master, identity, kind, mode, alias }
}

fn neighbour(found: &NeighbourMessage) -> Option<Neighbour> {
    match found.state {
        nud::FAILED => Some(Neighbour::Failed),
        nud::INCOMPLETE | nud::PROBE => Some(Neighbour::Asking),
        0 => None,
        _ => Some(Neighbour::Known(found.hardware.map(Mac))),
    }
}
