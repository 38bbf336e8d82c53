//! Routes in our tables: read, set, deleted. Ours bear protocol 82, and a delete names it.

use super::{Names, unless};
use crate::netlink::{RequestSocket, of};
use rail_core::Watch;
use rail_core::net::Prefix;
use rail_core::state::{Nexthop, ObservedRoute, OpError, PROTOCOL, RouteKey, RouteValue};
use rail_wire::netlink::{NexthopMessage, RouteKind, RouteMessage, family, kind};
use std::collections::BTreeMap;

impl RequestSocket {
    pub(super) fn routes(
        &mut self,
        watch: &Watch,
        names: &Names,
    ) -> Result<BTreeMap<RouteKey, ObservedRoute>, OpError> {
        let mut routes = BTreeMap::new();
        // Beside a full Internet table it is cheaper to ask for each of our tables. What is left in
        // ranges that were ours before is looked for in all.
        let used = &watch.used_tables;
        let single = self.other_routes > MANY_ROUTES
            && watch.old_tables.is_empty()
            && (1..=MANY_TABLES).contains(&used.len());
        for family in [family::INET, family::INET6] {
            if single {
                for table in used {
                    self.routes_of(family, Some(*table), watch, names, &mut routes)?;
                }
            } else {
                self.routes_of(family, None, watch, names, &mut routes)?;
            }
        }
        Ok(routes)
    }

    fn routes_of(
        &mut self,
        family: u8,
        table: Option<u32>,
        watch: &Watch,
        names: &Names,
        routes: &mut BTreeMap<RouteKey, ObservedRoute>,
    ) -> Result<(), OpError> {
        let mut others = 0;
        let found = self.dump(&RouteMessage::dump(family, table), |message| {
            let route = of(message, kind::NEW_ROUTE, RouteMessage::decode)?;
            if route.is_other_key || !watch.has_route(route.table, route.protocol) {
                others += 1;
                return None;
            }
            Some(observed_route(route, names))
        });
        if table.is_none() {
            // Also from a dump that failed: it may have been too much to read in the time.
            self.other_routes = self.other_routes.max(others);
        }
        let found = match found {
            // The table does not exist: it has no routes. (The family may be switched off, too.)
            Err(e) if matches!(e.errno, libc::ENOENT | libc::EAFNOSUPPORT) => return Ok(()),
            other => other?,
        };
        for (key, route) in found {
            routes.entry(key).or_insert(route);
        }
        Ok(())
    }

    pub(super) fn put_route(
        &mut self,
        key: &RouteKey,
        value: &RouteValue,
        replace: bool,
    ) -> Result<(), OpError> {
        let route = self.route(key, value)?;
        self.change(&route.set(replace))
    }

    fn route(&mut self, key: &RouteKey, value: &RouteValue) -> Result<RouteMessage, OpError> {
        let mut route = RouteMessage {
            table: key.table,
            destination: key.prefix.network().address,
            length: key.prefix.length,
            priority: key.metric,
            protocol: PROTOCOL,
            kind: RouteKind::Unreachable,
            nexthops: Vec::new(),
            source: None,
            mtu: None,
            is_other_key: false,
            is_partial: false,
        };
        if let RouteValue::Unicast { nexthops, source, mtu } = value {
            route.kind = RouteKind::Unicast;
            (route.source, route.mtu) = (*source, *mtu);
            for hop in nexthops {
                let index = self.index_of(hop.ifname)?;
                let weight = u16::from(hop.weight.max(1));
                route.nexthops.push(NexthopMessage {
                    index,
                    gateway: hop.via,
                    weight,
                    dead: false,
                    onlink: hop.onlink,
                });
            }
        }
        Ok(route)
    }

    pub(super) fn drop_route(&mut self, key: &RouteKey) -> Result<(), OpError> {
        // Metric 0 means "any" to the kernel: it would take the next one if ours is gone.
        if key.metric == 0 {
            let mut routes = BTreeMap::new();
            let of = family::of(&key.prefix.address);
            let watch = Watch { tables: (key.table, key.table), ..Watch::default() };
            self.routes_of(of, Some(key.table), &watch, &BTreeMap::new(), &mut routes)?;
            if routes.get(key).is_none_or(|found| found.protocol != PROTOCOL) {
                return Ok(());
            }
        }
        let route = self.route(key, &RouteValue::Unreachable)?;
        unless(self.change(&route.remove()), &[libc::ESRCH, libc::ENOENT])
    }
}

fn observed_route(route: RouteMessage, names: &Names) -> (RouteKey, ObservedRoute) {
    let prefix = Prefix { address: route.destination, length: route.length };
    let key = RouteKey { table: route.table, prefix, metric: route.priority };
    let dead = route.nexthops.iter().any(|hop| hop.dead);
    let protocol = route.protocol;
    (key, ObservedRoute { value: route_value(route, names), protocol, dead })
}

fn route_value(route: RouteMessage, names: &Names) -> Option<RouteValue> {
    if route.is_partial {
        return None;
    }
    match route.kind {
        RouteKind::Unreachable => Some(RouteValue::Unreachable),
        RouteKind::Other(_) => None,
        RouteKind::Unicast => {
            let hop = |hop: &NexthopMessage| {
                let ifname = *names.get(&hop.index)?;
                let weight = u8::try_from(hop.weight).ok()?;
                Some(Nexthop { ifname, via: hop.gateway, weight, onlink: hop.onlink })
            };
            let mut nexthops: Vec<_> = route.nexthops.iter().map(hop).collect::<Option<_>>()?;
            nexthops.sort();
            let (source, mtu) = (route.source, route.mtu);
            (!nexthops.is_empty()).then_some(RouteValue::Unicast { nexthops, source, mtu })
        }
    }
}

/// From so many routes beside ours on, our tables are asked for one by one.
const MANY_ROUTES: usize = 4096;
/// Up to so many tables.
const MANY_TABLES: usize = 512;
