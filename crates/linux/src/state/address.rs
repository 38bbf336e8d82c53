//! Addresses on interfaces: read, added, removed. Ours bear protocol 82.

use super::{Names, unless};
use crate::netlink::{RequestSocket, of};
use rail_core::net::{IfName, Prefix};
use rail_core::state::{GivenAddress, OpError, Ownership, PROTOCOL};
use rail_wire::netlink::{AddressKind, AddressMessage, kind};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What a dump of addresses tells.
pub(crate) struct Found {
    pub(crate) addresses: BTreeMap<(IfName, Prefix), Ownership>,
    pub(crate) peers: BTreeMap<(IfName, Prefix), IpAddr>,
    pub(crate) given: Vec<GivenAddress>,
}

impl RequestSocket {
    /// All, the other ends of those that have one, and those of others that may attach an uplink, in the order of
    /// the kernel.
    pub(crate) fn addresses(&mut self, names: &Names) -> Result<Found, OpError> {
        let found = self.dump(&AddressMessage::dump(), |message| {
            of(message, kind::NEW_ADDRESS, AddressMessage::decode)
        })?;
        let key = |found: &AddressMessage| Some((*names.get(&found.index)?, prefix_of(found)));
        let named = |found: &AddressMessage| {
            let owner =
                if found.protocol == PROTOCOL { Ownership::Ours } else { Ownership::Foreign };
            Some((key(found)?, owner))
        };
        Ok(Found {
            addresses: found.iter().filter_map(named).collect(),
            peers: found.iter().filter_map(|found| Some((key(found)?, found.peer?))).collect(),
            given: found.iter().filter_map(given).collect(),
        })
    }

    pub(super) fn put_address(&mut self, ifname: IfName, prefix: &Prefix) -> Result<(), OpError> {
        let added = self.address(ifname, prefix)?.add();
        unless(self.change(&added), &[libc::EEXIST])
    }

    pub(super) fn drop_address(&mut self, ifname: IfName, prefix: &Prefix) -> Result<(), OpError> {
        let address = match self.address(ifname, prefix) {
            // With its interface the address went.
            Err(e) if e.errno == libc::ENODEV => return Ok(()),
            other => other?,
        };
        unless(self.change(&address.remove()), &[libc::EADDRNOTAVAIL, libc::ENODEV])
    }

    fn address(&mut self, ifname: IfName, prefix: &Prefix) -> Result<AddressMessage, OpError> {
        let index = self.index_of(ifname)?;
        let Prefix { address, length } = *prefix;
        let kind = AddressKind::default();
        Ok(AddressMessage { index, address, length, peer: None, protocol: PROTOCOL, kind })
    }
}

const fn prefix_of(found: &AddressMessage) -> Prefix {
    Prefix { address: found.address, length: found.length }
}

/// One of somebody else that is good for connections to everywhere.
fn given(found: &AddressMessage) -> Option<GivenAddress> {
    let AddressKind { is_local, is_deprecated, is_secondary } = found.kind;
    let is_good = found.address.is_ipv4() && !is_local && !is_deprecated;
    (is_good && found.protocol != PROTOCOL).then(|| GivenAddress {
        ifindex: found.index,
        prefix: prefix_of(found),
        has_peer: found.peer.is_some(),
        is_secondary,
    })
}
