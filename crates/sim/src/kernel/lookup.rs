//! Where a packet goes: the ladder of rules, the tables, and the mark that a
//! connection gets from the nftables table.

use super::{Kernel, Table};
use rail_core::net::{IfName, Prefix};
use rail_core::state::{REFUSED, RouteValue, Rule};
use std::net::{IpAddr, Ipv4Addr};

/// Where a packet goes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Outcome {
    /// Out of this device.
    Via(IfName),
    /// Nowhere: no route, or an unreachable one.
    Lost,
}

/// What the rules look at.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Query {
    /// Packet mark.
    pub mark: u32,
    /// Source, if it is chosen already.
    pub from: Option<IpAddr>,
    /// Device the socket is bound to.
    pub oif: Option<IfName>,
}

/// A server somewhere in the internet.
const SERVER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

impl Kernel {
    /// All ways that a packet to the internet can take (several with multipath).
    pub fn lookup(&self, query: Query) -> Vec<Outcome> {
        for rule in self.rules.iter().filter(|r| matches(&r.rule, query)) {
            if rule.rule.table == REFUSED {
                return vec![Outcome::Lost];
            }
            if let Some(ways) = self.lookup_table(&rule.rule, query.oif) {
                return ways;
            }
        }
        vec![Outcome::Lost]
    }

    fn lookup_table(&self, rule: &Rule, oif: Option<IfName>) -> Option<Vec<Outcome>> {
        let mut candidates: Vec<_> = self
            .routes
            .iter()
            .filter(|(key, _)| key.table == rule.table && key.prefix.contains(SERVER))
            .collect();
        candidates.sort_by_key(|(key, _)| (std::cmp::Reverse(key.prefix.length), key.metric));
        for (key, route) in candidates {
            if route.value == RouteValue::Unreachable {
                return Some(vec![Outcome::Lost]);
            }
            let ways: Vec<Outcome> = route
                .living()
                .filter(|hop| oif.is_none_or(|oif| hop.ifname == oif))
                .map(|hop| Outcome::Via(hop.ifname))
                .collect();
            if ways.is_empty() {
                continue;
            }
            let suppressed = |most: u32| u32::from(key.prefix.length) <= most;
            if rule.suppress_prefixlength.is_some_and(suppressed) {
                return None;
            }
            return Some(ways);
        }
        None
    }

    /// True if no new connection takes a bucket, whatever the map says: the rule asks first whether
    /// there is a way without a mark, and there is none.
    pub fn takes_no_bucket(&self) -> bool {
        let asks_way = self.nft.as_ref().is_some_and(Table::asks_way);
        asks_way && self.lookup(Query::default()) == [Outcome::Lost]
    }

    /// The mark that a new connection from the LAN gets in each bucket: from the rule that asks
    /// the bucket map, if it is there and hooked in. 0: none. So many buckets are shown if there is none.
    pub fn new_connection_marks(&self, buckets: u32) -> Vec<u32> {
        let table = self.nft.as_ref().filter(|table| table.asks_buckets());
        let map = table.and_then(|table| table.buckets.as_ref());
        let buckets = table.and_then(Table::draws).unwrap_or(buckets);
        (0..buckets).map(|bucket| map.and_then(|m| m.get(&bucket)).copied().unwrap_or(0)).collect()
    }
}

fn matches(rule: &Rule, query: Query) -> bool {
    let from = |prefix: Prefix| query.from.is_some_and(|ip| prefix.contains(ip));
    let mark = |(value, mask): (u32, u32)| query.mark & mask == value;
    // What came from the inside meets one such rule, the last one, which refuses.
    rule.iif.is_none()
        && rule.udp_from.is_none()
        && rule.from.is_none_or(from)
        && rule.to.is_none_or(|prefix| prefix.contains(SERVER))
        && rule.oif.is_none_or(|oif| query.oif == Some(oif))
        && rule.fwmark.is_none_or(mark)
}
