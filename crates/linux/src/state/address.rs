//! Addresses on interfaces: read, added, removed. Ours bear protocol 82.

use super::{Names, unless};
use crate::netlink::{RequestSocket, of};
use rail_core::net::{IfName, Prefix};
use rail_core::state::{OpError, Ownership, PROTOCOL};
use rail_wire::netlink::{AddressMessage, kind};
use std::collections::BTreeMap;
use std::net::IpAddr;

type Addresses = BTreeMap<(IfName, Prefix), Ownership>;
type Peers = BTreeMap<(IfName, Prefix), IpAddr>;

impl RequestSocket {
    /// The addresses, and the other ends of those that have one.
    pub(crate) fn addresses(&mut self, names: &Names) -> Result<(Addresses, Peers), OpError> {
        let found = self.dump(&AddressMessage::dump(), |message| {
            let found = of(message, kind::NEW_ADDRESS, AddressMessage::decode)?;
            let owner =
                if found.protocol == PROTOCOL { Ownership::Ours } else { Ownership::Foreign };
            let prefix = Prefix { address: found.address, length: found.length };
            Some(((*names.get(&found.index)?, prefix), owner, found.peer))
        })?;
        let peers = found.iter().filter_map(|(key, _, peer)| Some((*key, (*peer)?))).collect();
        Ok((found.into_iter().map(|(key, owner, _)| (key, owner)).collect(), peers))
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
        Ok(AddressMessage { index, address, length, peer: None, protocol: PROTOCOL })
    }
}
