//! Changing our objects in the kernel's tables.
//!
//! Promises: everything is created with protocol 82; a delete names protocol 82
//! and is preceded by a look, so that it cannot hit another object which the
//! kernel would take for the same. An interface is found by its name at the
//! moment of the change.

use super::error;
use super::observe::known_rule;
use super::request::RequestSocket;
use rail_core::net::{Family, IfName, Prefix};
use rail_core::state::{Key, Op, OpError, PROTOCOL, REFUSED, RouteKey, RouteValue, Rule, Watch};
use rail_wire::netlink::{
    AddressMessage, Beyond, NexthopMessage, RouteKind, RouteMessage, RuleMessage, family,
};
use std::collections::BTreeMap;

impl RequestSocket {
    /// Performs one change of an address, a route or a rule. Deleting what is gone, and adding
    /// an address or a rule that is there, is a success.
    ///
    /// # Errors
    /// The kernel's refusal, with its sentence; `ENODEV` if the interface does not exist;
    /// `EINVAL` if the change is of another kind or does not fit its key.
    pub fn apply(&mut self, key: &Key, op: &Op) -> Result<(), OpError> {
        match (key, op) {
            (Key::Address { ifname, prefix }, Op::AddAddress) => self.add_address(*ifname, prefix),
            (Key::Address { ifname, prefix }, Op::DelAddress) => self.del_address(*ifname, prefix),
            (Key::Route(key), Op::SetRoute { value, replace }) => {
                let route = self.route(key, value)?;
                self.change(&route.set(*replace))
            }
            (Key::Route(key), Op::DelRoute) => self.del_route(key),
            (Key::Rule(rule), Op::AddRule) => self.add_rule(rule),
            (Key::Rule(rule), Op::DelRule) => self.del_rule(rule),
            _ => Err(error(libc::EINVAL, "this change does not fit its object")),
        }
    }

    fn add_address(&mut self, ifname: IfName, prefix: &Prefix) -> Result<(), OpError> {
        let added = self.address(ifname, prefix)?.add();
        unless(self.change(&added), &[libc::EEXIST])
    }

    fn del_address(&mut self, ifname: IfName, prefix: &Prefix) -> Result<(), OpError> {
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
        Ok(AddressMessage { index, address, length, protocol: PROTOCOL })
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
            is_other_key: false,
            is_partial: false,
        };
        if let RouteValue::Unicast { nexthops, source } = value {
            route.kind = RouteKind::Unicast;
            route.source = *source;
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

    fn del_route(&mut self, key: &RouteKey) -> Result<(), OpError> {
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

    fn add_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        match self.change(&rule_message(rule).add(true)) {
            // The kernel says so as well about a narrower rule; ours is added beside it.
            Err(e) if e.errno == libc::EEXIST => {
                let is_it = |found| known_rule(&found, rule.family).as_ref() == Some(rule);
                let of_family = self.rules()?.into_iter();
                let family = rule_message(rule).family;
                if of_family.filter(|found| found.family == family).any(is_it) {
                    return Ok(());
                }
                self.change(&rule_message(rule).add(false))
            }
            other => other,
        }
    }

    fn del_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        // To the kernel a missing selector means "any", and it deletes the first that fits.
        let wanted = rule_message(rule);
        let fits = |found: &RuleMessage| {
            (found.family, found.priority, found.protocol, found.table, found.refuses)
                == (wanted.family, wanted.priority, PROTOCOL, wanted.table, wanted.refuses)
                && wanted.destination.is_none_or(|to| found.destination == Some(to))
                && wanted.source.is_none_or(|source| found.source == Some(source))
                && (wanted.iif.is_none() || found.iif == wanted.iif)
                && (wanted.oif.is_none() || found.oif == wanted.oif)
                && wanted.mark.is_none_or(|mark| found.mark == Some(mark))
                && wanted
                    .suppress_prefix_length
                    .is_none_or(|length| found.suppress_prefix_length == Some(length))
        };
        let mut fitting = self.rules()?.into_iter().filter(fits);
        let Some(first) = fitting.next() else { return Ok(()) };
        if known_rule(&first, rule.family).as_ref() == Some(rule) {
            return unless(self.change(&wanted.remove()), &[libc::ENOENT]);
        }
        if fitting.any(|found| known_rule(&found, rule.family).as_ref() == Some(rule)) {
            return Err(error(libc::EBUSY, "a narrower rule with the same priority hides it"));
        }
        Ok(())
    }
}

fn rule_message(rule: &Rule) -> RuleMessage {
    RuleMessage {
        family: match rule.family {
            Family::V4 => family::INET,
            Family::V6 => family::INET6,
        },
        priority: rule.priority,
        protocol: PROTOCOL,
        table: rule.table,
        refuses: rule.table == REFUSED,
        source: rule.from.map(|prefix| (prefix.network().address, prefix.length)),
        destination: rule.to.map(|prefix| (prefix.network().address, prefix.length)),
        iif: rule.iif.map(|name| name.to_string()),
        oif: rule.oif.map(|name| name.to_string()),
        mark: rule.fwmark,
        suppress_prefix_length: rule.suppress_prefixlength,
        is_partial: false,
        beyond: Beyond::default(),
    }
}

/// These errors say that all is as it should be.
fn unless(result: Result<(), OpError>, fine: &[i32]) -> Result<(), OpError> {
    result.or_else(|e| if fine.contains(&e.errno) { Ok(()) } else { Err(e) })
}
