//! What others have in the routing policy: their rules, whether their tables
//! have a route for everything, and their routes in our tables; and the devices,
//! addresses and routes of `main` that may be in our way.

use super::observe::of;
use super::request::RequestSocket;
use crate::sysctl;
use rail_core::coexist::{Device, ForeignRoute, Host, MainRoute, PolicyRule, RuleAction};
use rail_core::net::{Family, Prefix};
use rail_core::state::table::MAIN;
use rail_core::state::{
    FORWARDING, GivenDefault, MainDefault, MainReading, ObservedRoute, OpError, PROTOCOL, RouteKey,
    is_wide,
};
use rail_wire::netlink::{
    AddressMessage, LinkMessage, NexthopMessage, RouteKind, RouteMessage, RuleMessage, family, kind,
};
use std::collections::BTreeMap;
use std::net::IpAddr;

impl RequestSocket {
    /// All rules of IPv4, with the selectors of others.
    ///
    /// # Errors
    /// The kernel's.
    pub fn policy_rules(&mut self) -> Result<Vec<PolicyRule>, OpError> {
        let rules = self.rules()?;
        Ok(rules.into_iter().filter(|rule| rule.family == family::INET).map(policy_rule).collect())
    }

    /// Where a table leads.
    ///
    /// # Errors
    /// The kernel's.
    pub fn reach(&mut self, table: u32) -> Result<Reach, OpError> {
        let mut reach = Reach::default();
        let found = self.dump(&RouteMessage::dump(family::INET, Some(table)), |message| {
            let route = of(message, kind::NEW_ROUTE, RouteMessage::decode)?;
            let counts = route.table == table
                && !route.is_other_key
                && route.kind != RouteKind::Other(THROW);
            reach.any |= counts;
            (counts && route.length <= 1).then_some(route)
        });
        match found {
            Err(e) if e.errno == libc::ENOENT => Ok(Reach::default()),
            Err(e) => Err(e),
            Ok(wide) => {
                let is_default = |route: &RouteMessage| route.length == 0;
                reach.everywhere = wide.iter().any(is_default) || wide.len() >= 2;
                if let [RouteMessage { length: 0, nexthops, .. }] = wide.as_slice()
                    && let [hop] = nexthops.as_slice()
                {
                    reach.way = Some((hop.index, hop.gateway));
                }
                Ok(reach)
            }
        }
    }

    /// Devices and IPv4 addresses, and the routes of `main` that may decide over everything.
    ///
    /// # Errors
    /// The kernel's.
    pub fn host(&mut self) -> Result<Host, OpError> {
        let links = self.dump(&LinkMessage::dump(), |message| {
            of(message, kind::NEW_LINK, LinkMessage::decode)
        })?;
        let name = |index: u32| {
            links.iter().find(|link| link.index == index).map(|link| link.name.clone())
        };
        let is_off = |path: &str| sysctl::read(path).is_ok_and(|value| value == "0");
        let forwards = !is_off(FORWARDING);
        let device = |link: &LinkMessage| {
            let master = link.place.master.and_then(name);
            Device {
                index: link.index,
                name: link.name.clone(),
                master: master.map(|master| (master, link.place.port_of.clone())),
                dormant: link.up && link.place.dormant,
                forwards_nothing: forwards
                    && is_off(&format!("net/ipv4/conf/{}/forwarding", link.name)),
            }
        };
        let addresses = self.dump(&AddressMessage::dump(), |message| {
            let found = of(message, kind::NEW_ADDRESS, AddressMessage::decode)?;
            let prefix = Prefix { address: found.address, length: found.length };
            Some((name(found.index)?, prefix)).filter(|_| prefix.family() == Family::V4)
        })?;
        let main_route = |route: RouteMessage| {
            let decides = route.table == MAIN && !route.is_other_key && route.length <= SHORT;
            let route = decides.then_some(route)?;
            let refuses = refusal(route.kind);
            if refuses.is_none() && !matches!(route.kind, RouteKind::Unicast) {
                return None;
            }
            let first = route.nexthops.first();
            Some(MainRoute {
                prefix: prefix_of(&route),
                metric: route.priority,
                protocol: route.protocol,
                refuses,
                device: first.and_then(|hop| name(hop.index)),
                via: first.and_then(|hop| hop.gateway),
            })
        };
        let request = RouteMessage::dump(family::INET, Some(MAIN));
        let read =
            self.dump_until(&request, |read: &mut (MainReading, Vec<MainRoute>), message| {
                if let Some(route) = of(message, kind::NEW_ROUTE, RouteMessage::decode) {
                    note(&mut read.0, &route);
                    read.1.extend(main_route(route));
                }
                true
            });
        let (main, routes) = match read {
            // Before the first address there is no table.
            Err(e) if e.errno == libc::ENOENT => (MainReading::default(), Vec::new()),
            read => read?,
        };
        let devices = links.iter().map(device).collect();
        Ok(Host { devices, addresses, routes, main: main.finish() })
    }

    /// What `main` does with what it has no route for, and its routes for everything. The defaults come
    /// first, so beside a full Internet table only the beginning is read.
    ///
    /// # Errors
    /// The kernel's.
    pub fn main_default(&mut self) -> Result<(MainDefault, Vec<GivenDefault>), OpError> {
        // A dump that is left half-way keeps its socket busy, so it has one of its own. Without a
        // descriptor for that the table is read to its end.
        let mut own = Self::open().ok();
        let may_leave = own.is_some();
        let socket = own.as_mut().unwrap_or(self);
        let request = RouteMessage::dump(family::INET, Some(MAIN));
        let read = socket.dump_until(&request, |reading: &mut MainReading, message| {
            let route = of(message, kind::NEW_ROUTE, RouteMessage::decode);
            route.is_none_or(|route| note(reading, &route)) || !may_leave
        });
        if let Some(own) = own {
            self.counters = self.counters + own.counters;
        }
        match read {
            // Before the first address there is no table.
            Err(e) if e.errno == libc::ENOENT => Ok((MainDefault::Passable, Vec::new())),
            read => {
                let mut reading = read?;
                let defaults = reading.defaults();
                Ok((reading.finish(), defaults))
            }
        }
    }

    /// The foreign ones among observed routes.
    pub fn foreign_routes(routes: &BTreeMap<RouteKey, ObservedRoute>) -> Vec<ForeignRoute> {
        let foreign = routes.iter().filter(|(_, route)| route.protocol != PROTOCOL);
        foreign
            .map(|(key, route)| ForeignRoute { text: key.to_string(), protocol: route.protocol })
            .collect()
    }
}

/// Takes a route of `main`; false if no more are needed.
fn note(reading: &mut MainReading, route: &RouteMessage) -> bool {
    let is_of_main = route.table == MAIN && !route.is_other_key;
    if is_of_main && matches!(route.kind, RouteKind::Unicast) && is_wide(&prefix_of(route)) {
        defaults_of(route).for_each(|default| reading.take_default(default));
    }
    !is_of_main || reading.take(prefix_of(route), refusal(route.kind).is_some())
}

/// The next hops of a route for everything. Without a gateway one that says more than is read here may
/// have it in another form.
fn defaults_of(route: &RouteMessage) -> impl Iterator<Item = GivenDefault> {
    let is_known = |hop: &&NexthopMessage| hop.gateway.is_some() || !route.is_partial;
    route.nexthops.iter().filter(is_known).map(|hop| GivenDefault {
        prefix: prefix_of(route),
        metric: route.priority,
        protocol: route.protocol,
        ifindex: hop.index,
        gateway: hop.gateway,
        source: route.source,
        mtu: route.mtu,
    })
}

const fn prefix_of(route: &RouteMessage) -> Prefix {
    Prefix { address: route.destination, length: route.length }
}

/// Where a table leads.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Reach {
    /// It has a route.
    pub any: bool,
    /// It has a default, or its two halves.
    pub everywhere: bool,
    /// Index of the device, and gateway, if that is a single default.
    pub way: Option<(u32, Option<IpAddr>)>,
}

fn policy_rule(rule: RuleMessage) -> PolicyRule {
    let prefix = |(address, length): (IpAddr, u8)| Prefix { address, length };
    PolicyRule {
        priority: rule.priority,
        protocol: rule.protocol,
        inverted: rule.beyond.inverted,
        from: rule.source.map(prefix),
        to: rule.destination.map(prefix),
        iif: rule.iif,
        oif: rule.oif,
        mark: rule.mark,
        suppress: rule.suppress_prefix_length,
        has_more: rule.beyond.more || rule.ip_protocol.is_some() || rule.source_ports.is_some(),
        action: match rule.beyond.action {
            None if rule.refuses || rule.drops => RuleAction::Refuse,
            None => RuleAction::Lookup(rule.table),
            Some(BLACKHOLE..=PROHIBIT) => RuleAction::Refuse,
            Some(_) => RuleAction::Other,
        },
    }
}

/// The word for an error route, as `ip route` has it.
const fn refusal(kind: RouteKind) -> Option<&'static str> {
    match kind {
        RouteKind::Unreachable => Some("unreachable"),
        RouteKind::Other(RTN_BLACKHOLE) => Some("blackhole"),
        RouteKind::Other(RTN_PROHIBIT) => Some("prohibit"),
        RouteKind::Unicast | RouteKind::Other(_) => None,
    }
}

/// Destinations of this length or less may be half of everything together.
pub(super) const SHORT: u8 = 8;
/// `RTN_BLACKHOLE` and `RTN_PROHIBIT`.
const RTN_BLACKHOLE: u8 = 6;
const RTN_PROHIBIT: u8 = 8;
/// `RTN_THROW`: back to the rules.
const THROW: u8 = 9;
/// `FR_ACT_BLACKHOLE`, `_UNREACHABLE` and `_PROHIBIT`.
const BLACKHOLE: u8 = 6;
const PROHIBIT: u8 = 8;
