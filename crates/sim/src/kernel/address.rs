//! Addresses of the fake kernel.

use super::{ENODEV, Kernel, error};
use rail_core::net::{Family, IfName, Prefix};
use rail_core::state::{GivenAddress, OpError, Ownership, PROTOCOL, Scope};
use std::collections::BTreeMap;

impl Kernel {
    pub(super) fn observe_addresses(&self) -> BTreeMap<(IfName, Prefix), Ownership> {
        let owner = |protocol: u8| match protocol {
            PROTOCOL if self.marks_addresses => Ownership::Ours,
            _ => Ownership::Foreign,
        };
        self.addresses.iter().map(|(key, protocol)| (*key, owner(*protocol))).collect()
    }

    /// Those of others, all good for everything.
    pub(super) fn observe_given(&self) -> Vec<GivenAddress> {
        let others = self.addresses.iter().filter(|(_, protocol)| **protocol != PROTOCOL);
        let given = others.filter_map(|((ifname, prefix), _)| {
            let ifindex = self.links.get(ifname)?.index;
            Some(GivenAddress { ifindex, prefix: *prefix, has_peer: false, is_secondary: false })
        });
        given.filter(|own| own.prefix.family() == Family::V4).collect()
    }

    /// Adds an address.
    ///
    /// # Errors
    /// `ENODEV`. That it is there already is no error.
    pub fn add_address(
        &mut self,
        ifname: IfName,
        prefix: Prefix,
        protocol: u8,
    ) -> Result<(), OpError> {
        if !self.links.contains_key(&ifname) {
            return Err(error(ENODEV, "No such device"));
        }
        self.addresses.entry((ifname, prefix)).or_insert(protocol);
        Ok(())
    }

    /// Removes an address, and without a word the routes that depend on it.
    pub fn del_address(&mut self, ifname: IfName, prefix: Prefix) -> Scope {
        if self.addresses.remove(&(ifname, prefix)).is_none() {
            return Scope::NONE;
        }
        if self.addresses.keys().all(|(name, _)| *name != ifname) {
            self.disable(ifname);
        }
        if self.addresses.keys().all(|(_, other)| other.address != prefix.address) {
            self.routes.retain(|_, route| !route.has_source(prefix.address));
        }
        Scope::ADDRESSES | Scope::ROUTES
    }
}
