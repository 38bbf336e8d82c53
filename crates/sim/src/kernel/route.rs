//! Routes of the fake kernel.

use super::{EEXIST, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, Kernel, error};
use rail_core::Watch;
use rail_core::net::IfName;
use rail_core::state::table::MAIN;
use rail_core::state::{
    GivenDefault, MainDefault, MainReading, Nexthop, ObservedRoute, OpError, PROTOCOL, RouteKey,
    RouteValue,
};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A route.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FibRoute {
    /// Value.
    pub value: RouteValue,
    /// Protocol.
    pub protocol: u8,
    /// Devices whose next hop is dead.
    pub dead: BTreeSet<IfName>,
}

impl FibRoute {
    /// Next hops that work.
    pub fn living(&self) -> impl Iterator<Item = &Nexthop> {
        let all: &[Nexthop] = match &self.value {
            RouteValue::Unicast { nexthops, .. } => nexthops,
            RouteValue::Unreachable => &[],
        };
        all.iter().filter(|hop| !self.dead.contains(&hop.ifname))
    }

    pub(super) fn has_source(&self, address: IpAddr) -> bool {
        matches!(&self.value, RouteValue::Unicast { source, .. } if *source == Some(address))
    }

    /// IP ends on a device; true if the route goes with it.
    pub(super) fn disable_device(&mut self, ifname: IfName) -> bool {
        if self.living().all(|hop| hop.ifname != ifname) {
            return false;
        }
        self.dead.insert(ifname);
        self.living().next().is_none()
    }

    /// True if the route has a next hop on this device. When a device is deleted Linux deletes
    /// such a route as a whole, however many next hops are left.
    pub(super) fn uses_device(&self, ifname: IfName) -> bool {
        match &self.value {
            RouteValue::Unicast { nexthops, .. } => nexthops.iter().any(|hop| hop.ifname == ifname),
            RouteValue::Unreachable => false,
        }
    }
}

impl Kernel {
    /// Those in the watched tables.
    pub(super) fn observe_routes(&self, watch: &Watch) -> BTreeMap<RouteKey, ObservedRoute> {
        let watched = self.routes.iter().filter(|(k, r)| watch.has_route(k.table, r.protocol));
        let seen = |route: &FibRoute| ObservedRoute {
            value: Some(route.value.clone()),
            protocol: route.protocol,
            dead: !route.dead.is_empty(),
        };
        watched.map(|(key, route)| (key.clone(), seen(route))).collect()
    }

    /// What `main` does with what it has no route for, and its routes for everything.
    pub(super) fn observe_main(&self) -> (MainDefault, Vec<GivenDefault>) {
        let mut reading = MainReading::default();
        for (key, route) in self.routes.iter().filter(|(key, _)| key.table == MAIN) {
            for hop in route.living() {
                let Some(link) = self.links.get(&hop.ifname) else { continue };
                reading.take_default(GivenDefault {
                    prefix: key.prefix,
                    metric: key.metric,
                    protocol: route.protocol,
                    ifindex: link.index,
                    gateway: hop.via,
                    source: None,
                    mtu: None,
                });
            }
            reading.take(key.prefix, route.value == RouteValue::Unreachable);
        }
        let defaults = reading.defaults();
        (reading.finish(), defaults)
    }

    /// Deletes a route of ours.
    pub(super) fn del_route(&mut self, key: &RouteKey) -> Result<(), OpError> {
        if self.routes.get(key).is_some_and(|route| route.protocol == PROTOCOL) {
            self.routes.remove(key);
        }
        Ok(())
    }

    /// Creates or replaces a route in place.
    ///
    /// # Errors
    /// `EEXIST`, `ENODEV`, `ENETDOWN`, `ENETUNREACH` (the gateway is not on link), `EINVAL`
    /// (the source is no address of ours).
    pub fn set_route(
        &mut self,
        key: &RouteKey,
        value: &RouteValue,
        replace: bool,
        protocol: u8,
    ) -> Result<(), OpError> {
        if !replace && self.routes.contains_key(key) {
            return Err(error(EEXIST, "File exists"));
        }
        if let RouteValue::Unicast { nexthops, source, .. } = value {
            for hop in nexthops {
                self.check_hop(hop)?;
            }
            let is_local = |ip: &IpAddr| self.addresses.keys().any(|(_, p)| p.address == *ip);
            if !source.as_ref().is_none_or(is_local) {
                return Err(error(EINVAL, "Invalid prefsrc address"));
            }
        }
        let route = FibRoute { value: value.clone(), protocol, dead: BTreeSet::new() };
        self.routes.insert(key.clone(), route);
        Ok(())
    }

    fn check_hop(&self, hop: &Nexthop) -> Result<(), OpError> {
        let link = self.links.get(&hop.ifname).ok_or_else(|| error(ENODEV, "No such device"))?;
        if !link.up {
            return Err(error(ENETDOWN, "Nexthop device is not up"));
        }
        let on_link = |via: IpAddr| {
            self.addresses.keys().any(|(name, p)| *name == hop.ifname && p.contains(via))
        };
        if !hop.onlink && hop.via.is_some_and(|via| !on_link(via)) {
            return Err(error(ENETUNREACH, "Nexthop has invalid gateway"));
        }
        Ok(())
    }
}
