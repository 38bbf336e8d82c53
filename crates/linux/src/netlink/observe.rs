//! Reading the kernel's tables.

use super::error;
use super::request::RequestSocket;
use crate::device_path;
use rail_core::net::{Family, IfName, Mac, Prefix};
use rail_core::state::{
    Identity, Link, Neighbour, Nexthop, Observed, ObservedRoute, ObservedRule, OpError, Ownership,
    PROTOCOL, REFUSED, RouteKey, RouteValue, Rule, Scope, Watch,
};
use rail_wire::netlink::{
    AddressMessage, LinkMessage, Message, NeighbourMessage, RouteKind, RouteMessage, RuleMessage,
    family, kind, nud,
};
use std::collections::BTreeMap;
use std::path::Path;

type Names = BTreeMap<u32, IfName>;

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
    Ok(socket.addresses(&names)?.into_keys().collect())
}

impl RequestSocket {
    /// Reads the kinds in `scope` that routing netlink has; the other fields stay empty.
    ///
    /// # Errors
    /// The kernel's; `EINTR` if a table changes faster than it can be read.
    pub fn observe(&mut self, scope: Scope, watch: &Watch) -> Result<Observed, OpError> {
        let mut observed = Observed::default();
        if scope.0 & (Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES | Scope::NEIGHBOURS).0 != 0 {
            let links = self.links(watch.paths)?;
            let names: Names = links.iter().map(|(name, link)| (link.index, *name)).collect();
            if scope.has(Scope::ADDRESSES) {
                observed.addresses = self.addresses(&names)?;
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
            observed.main = self.main_default()?;
        }
        if scope.has(Scope::RULES) {
            let rules = self.rules()?.into_iter();
            observed.rules = rules.filter_map(|rule| observed_rule(&rule)).collect();
        }
        Ok(observed)
    }

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

    fn addresses(
        &mut self,
        names: &Names,
    ) -> Result<BTreeMap<(IfName, Prefix), Ownership>, OpError> {
        let addresses = self.dump(&AddressMessage::dump(), |message| {
            let found = of(message, kind::NEW_ADDRESS, AddressMessage::decode)?;
            let owner =
                if found.protocol == PROTOCOL { Ownership::Ours } else { Ownership::Foreign };
            let prefix = Prefix { address: found.address, length: found.length };
            Some(((*names.get(&found.index)?, prefix), owner))
        })?;
        Ok(addresses.into_iter().collect())
    }

    fn routes(
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

    pub(super) fn routes_of(
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

    pub(super) fn rules(&mut self) -> Result<Vec<RuleMessage>, OpError> {
        let mut rules = Vec::new();
        for family in [family::INET, family::INET6] {
            let found = self.dump(&RuleMessage::dump(family), |message| {
                of(message, kind::NEW_RULE, RuleMessage::decode)
            });
            match found {
                Ok(found) => rules.extend(found),
                // A kernel without IPv6 has no rules for it.
                Err(e) if e.errno == libc::EAFNOSUPPORT || e.errno == libc::EOPNOTSUPP => {}
                Err(e) => return Err(e),
            }
        }
        Ok(rules)
    }

    fn neighbours(
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
pub(super) fn of<T, E>(
    message: &Message<'_>,
    kind: u16,
    decode: impl FnOnce(&Message<'_>) -> Result<T, E>,
) -> Option<T> {
    (message.kind == kind).then(|| decode(message).ok())?
}

fn observed_link(link: LinkMessage) -> Link {
    let LinkMessage { index, up, carrier, mtu, mac, permanent_mac, place, .. } = link;
    let over = ["bridge", "bond", "team"].contains(&place.kind.as_str());
    let identity = Identity {
        altnames: place.altnames,
        mac: mac.map(Mac),
        permanent_mac: permanent_mac.map(Mac),
        is_stacked: over || place.lower.is_some(),
        path: None,
    };
    Link { index, up, carrier, mtu, lower: place.lower, master: place.master, identity }
}

fn neighbour(found: &NeighbourMessage) -> Option<Neighbour> {
    match found.state {
        nud::FAILED => Some(Neighbour::Failed),
        nud::INCOMPLETE | nud::PROBE => Some(Neighbour::Asking),
        0 => None,
        _ => Some(Neighbour::Known(found.hardware.map(Mac))),
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
            let hop = |hop: &rail_wire::netlink::NexthopMessage| {
                let ifname = *names.get(&hop.index)?;
                let weight = u8::try_from(hop.weight).ok()?;
                Some(Nexthop { ifname, via: hop.gateway, weight, onlink: hop.onlink })
            };
            let mut nexthops: Vec<_> = route.nexthops.iter().map(hop).collect::<Option<_>>()?;
            nexthops.sort();
            (!nexthops.is_empty()).then_some(RouteValue::Unicast { nexthops, source: route.source })
        }
    }
}

fn observed_rule(rule: &RuleMessage) -> Option<ObservedRule> {
    let family = match rule.family {
        family::INET => Family::V4,
        family::INET6 => Family::V6,
        _ => return None,
    };
    let RuleMessage { priority, protocol, .. } = *rule;
    Some(ObservedRule { rule: known_rule(rule, family), priority, family, protocol })
}

/// The rule, if it has no more than we know.
pub(super) fn known_rule(rule: &RuleMessage, family: Family) -> Option<Rule> {
    if rule.is_partial {
        return None;
    }
    let device = |name: &Option<String>| match name {
        Some(name) => name.parse().ok().map(Some),
        None => Some(None),
    };
    let (iif, oif) = (device(&rule.iif)?, device(&rule.oif)?);
    let prefix = |(address, length)| Prefix { address, length };
    Some(Rule {
        priority: rule.priority,
        family,
        from: rule.source.map(prefix),
        to: rule.destination.map(prefix),
        iif,
        oif,
        fwmark: rule.mark,
        table: if rule.refuses { REFUSED } else { rule.table },
        suppress_prefixlength: rule.suppress_prefix_length,
    })
}

/// From so many routes beside ours on, our tables are asked for one by one.
const MANY_ROUTES: usize = 4096;
/// Up to so many tables.
const MANY_TABLES: usize = 512;
