//! What others have in the routing policy: their rules, whether their tables
//! have a route for everything, and their routes in our tables.

use super::observe::of;
use super::request::RequestSocket;
use rail_core::beside::{ForeignRoute, PolicyRule, RuleAction};
use rail_core::net::Prefix;
use rail_core::state::{ObservedRoute, OpError, PROTOCOL, RouteKey};
use rail_wire::netlink::{RouteKind, RouteMessage, RuleMessage, family, kind};
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

    /// True if a table has a route for everything: a default, or its two halves.
    ///
    /// # Errors
    /// The kernel's.
    pub fn leads_everywhere(&mut self, table: u32) -> Result<bool, OpError> {
        let found = self.dump(&RouteMessage::dump(family::INET, Some(table)), |message| {
            let route = of(message, kind::NEW_ROUTE, RouteMessage::decode)?;
            let counts = route.table == table
                && !route.is_other_key
                && route.kind != RouteKind::Other(THROW);
            (counts && route.length <= 1).then_some(route.length)
        });
        match found {
            Err(e) if e.errno == libc::ENOENT => Ok(false),
            found => found.map(|lengths| lengths.contains(&0) || lengths.len() >= 2),
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

fn policy_rule(rule: RuleMessage) -> PolicyRule {
    let prefix = |(address, length): (IpAddr, u8)| Prefix { address, length };
    PolicyRule {
        priority: rule.priority,
        protocol: rule.protocol,
        inverted: rule.beyond.inverted,
        from: rule.source.map(prefix),
        to: rule.beyond.destination.map(prefix),
        iif: rule.beyond.iif,
        oif: rule.oif,
        mark: rule.mark,
        suppress: rule.suppress_prefix_length,
        has_more: rule.beyond.more,
        action: match rule.beyond.action {
            None => RuleAction::Lookup(rule.table),
            Some(BLACKHOLE..=PROHIBIT) => RuleAction::Refuse,
            Some(_) => RuleAction::Other,
        },
    }
}

/// `RTN_THROW`: back to the rules.
const THROW: u8 = 9;
/// `FR_ACT_BLACKHOLE`, `_UNREACHABLE` and `_PROHIBIT`.
const BLACKHOLE: u8 = 6;
const PROHIBIT: u8 = 8;
