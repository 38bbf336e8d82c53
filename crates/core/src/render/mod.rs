//! From configuration and facts to the desired state: whole, every time, pure.
//!
//! Policy rules lead to a table for each uplink (`ladder`). Each ends in an
//! `unreachable` of the highest metric, so that a pinned packet never falls through
//! to another uplink when its own interface goes down.

pub mod balance;
pub(crate) mod behind;
pub mod explain;
pub mod external;
pub(crate) mod firewall;
mod ladder;
mod link;
mod setting;
mod shared;

pub use firewall::FOREIGN;
pub(crate) use firewall::{SRCNAT, nobody};
pub(crate) use ladder::LOOPBACK;
pub use ladder::rule_span;
pub use setting::is_known as is_known_setting;
pub use setting::paths as sysctl_paths;
pub(crate) use shared::shares_interface;

use crate::config::{Config, FirewallMode, NoUplink, Tier, UplinkConfig};
use crate::facts::{Facts, UplinkFacts};
use crate::net::{Family, Prefix, UplinkId};
use crate::state::{Key, NFT_ELEMENTS, Nexthop, Resource, RouteKey, RouteValue, State};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use balance::Member;
use core::ops::RangeInclusive;

/// Metric of the `unreachable` route that ends each uplink's table.
const LAST_METRIC: u32 = u32::MAX;

/// Metrics of the spare defaults in the shared table, one for each id of an uplink. They come after
/// the default that they are for, and after those of devices that uplinks share.
pub(crate) const SPARE_METRICS: RangeInclusive<u32> = 1000..=1255;

/// The mark of an uplink.
pub fn mark(config: &Config, id: UplinkId) -> u32 {
    u32::from(id.0) << config.ranges.mark_mask.trailing_zeros()
}

/// The routing table of an uplink.
pub fn table(config: &Config, id: UplinkId) -> u32 {
    config.ranges.tables.0 + u32::from(id.0)
}

/// A port, or a range with `between` in the middle.
fn ports((first, last): (u16, u16), between: char) -> String {
    if first == last { format!("{first}") } else { format!("{first}{between}{last}") }
}

/// The objects that probes of an uplink need to find their way.
pub fn way_of(config: &Config, facts: &Facts, index: usize) -> [Key; 2] {
    ladder::way(config, &config.uplinks[index], facts.uplinks[index].id)
}

/// The desired state.
pub fn render(config: &Config, facts: &Facts) -> State {
    let mut state = State::new();
    let pairs = || config.uplinks.iter().zip(&facts.uplinks).filter(|(u, _)| u.enabled);
    if config.firewall.mode != FirewallMode::External {
        state.insert(Key::Firewall, Resource::Firewall(firewall::render(config, facts)));
        let mut elements = buckets(config, facts);
        elements.extend(firewall::elements(config, facts));
        elements.extend(shared::elements(config, facts));
        state.insert(Key::Buckets, Resource::Buckets(elements));
    }
    for (uplink, fact) in pairs() {
        for prefix in addresses(uplink, fact) {
            let key = Key::Address { ifname: uplink.ifname, prefix };
            state.insert(key, Resource::Address);
        }
        uplink_routes(&mut state, config, uplink, fact);
        if let Some(route) = shared::device_default(config, facts, uplink) {
            let key = default_key(config.ranges.tables.0, u32::from(fact.id.0));
            state.insert(key, Resource::Route(route));
        }
        if let Some(route) = spare_default(config, uplink, fact) {
            let key =
                default_key(config.ranges.tables.0, SPARE_METRICS.start() + u32::from(fact.id.0));
            state.insert(key, Resource::Route(route));
        }
        for rule in ladder::rules_of(config, uplink, fact) {
            state.insert(Key::Rule(rule), Resource::Rule);
        }
    }
    ladder::render(&mut state, config, facts);
    for copy in &facts.copies {
        state.insert(Key::Rule(copy.clone()), Resource::Rule);
    }
    if let Some(route) = shared_default(config, facts) {
        let key = default_key(config.ranges.tables.0, 0);
        state.insert(key, Resource::Route(route));
    }
    link::render(&mut state, config);
    firewall::networks::render(&mut state, config, facts);
    setting::render(&mut state, config, facts);
    state
}

/// Our addresses on the interface of an uplink. The first one comes first, in time, too: of one
/// subnet the kernel takes the address that was there first as its own source.
fn addresses(uplink: &UplinkConfig, fact: &UplinkFacts) -> impl Iterator<Item = Prefix> {
    let is_due = |prefix: &Prefix| {
        *prefix == uplink.address || fact.has_address || fact.further.contains(prefix)
    };
    uplink.prefixes().filter(move |prefix| fact.ifindex.is_some() && is_due(prefix))
}

fn default_key(table: u32, metric: u32) -> Key {
    Key::Route(RouteKey { table, prefix: Prefix::default_route(Family::V4), metric })
}

fn uplink_routes(state: &mut State, config: &Config, uplink: &UplinkConfig, fact: &UplinkFacts) {
    let table = table(config, fact.id);
    if fact.is_routable() {
        state.insert(default_key(table, 0), Resource::Route(default_by(uplink)));
    }
    state.insert(default_key(table, LAST_METRIC), Resource::Route(RouteValue::Unreachable));
}

/// A default by one uplink, with its source.
fn default_by(uplink: &UplinkConfig) -> RouteValue {
    let source = Some(uplink.address.address);
    RouteValue::Unicast { nexthops: vec![nexthop(uplink, 1)], source }
}

const fn nexthop(uplink: &UplinkConfig, weight: u8) -> Nexthop {
    Nexthop {
        ifname: uplink.ifname,
        via: Some(uplink.gateway),
        weight,
        onlink: uplink.gateway_onlink,
    }
}

/// The default route for what bears no mark: the router's own traffic. Several next hops name no
/// source, so only uplinks whose address the kernel then takes can be among them.
fn shared_default(config: &Config, facts: &Facts) -> Option<RouteValue> {
    let carrying = config.uplinks.iter().zip(&facts.uplinks);
    let carrying = carrying.filter(|(u, f)| u.enabled && f.active && f.is_routable());
    let carrying: Vec<&UplinkConfig> = carrying.map(|(u, _)| u).collect();
    let sure: Vec<&UplinkConfig> =
        carrying.iter().copied().filter(|u| shared::has_sure_source(config, u)).collect();
    match (sure.as_slice(), carrying.as_slice()) {
        (_, []) if config.router.no_uplink == NoUplink::Unreachable => {
            Some(RouteValue::Unreachable)
        }
        (_, []) => None,
        ([only], _) | ([], [only, ..]) => Some(default_by(only)),
        (several, _) => {
            let mut nexthops: Vec<_> = several.iter().map(|u| nexthop(u, u.weight)).collect();
            nexthops.sort();
            Some(RouteValue::Unicast { nexthops, source: None })
        }
    }
}

/// Behind the shared default one by each uplink that carries. The kernel deletes a route of several
/// next hops when the device of *one* goes (a USB stick is pulled, a driver loaded anew). While no
/// daemon runs nobody puts it back, and where no route is found no new connection takes a bucket.
fn spare_default(config: &Config, uplink: &UplinkConfig, fact: &UplinkFacts) -> Option<RouteValue> {
    let is_carrying = fact.active && fact.is_routable();
    (is_carrying && shared::has_other_device(config, uplink)).then(|| default_by(uplink))
}

/// The number of buckets: it depends on the configuration alone.
pub fn bucket_count(config: &Config) -> u32 {
    let balanced = |u: &&UplinkConfig| u.enabled && u.tier != Tier::Inbound;
    balance::bucket_count(config.uplinks.iter().filter(balanced).count())
}

/// The bucket map: bucket number to mark.
///
/// All members of the tier take part in the placing, dead ones too, so that the
/// living keep their buckets.
fn buckets(config: &Config, facts: &Facts) -> BTreeMap<u32, u32> {
    let pairs = || config.uplinks.iter().zip(&facts.uplinks).filter(|(u, _)| u.enabled);
    let Some(tier) = pairs().filter(|(_, f)| f.active).map(|(u, _)| u.tier).min() else {
        return BTreeMap::new();
    };
    let (members, ids): (Vec<Member<'_>>, Vec<UplinkId>) = pairs()
        .filter(|(u, _)| u.tier == tier)
        .map(|(u, f)| (Member { name: &u.name, weight: u.weight, usable: f.active }, f.id))
        .unzip();
    let table = balance::fill(&members, bucket_count(config));
    (0..).zip(table).map(|(bucket, member)| (bucket, mark(config, ids[member]))).collect()
}

/// The share of each uplink in this map of buckets, in the order of the configuration; without one, in
/// that which is wanted by these facts.
pub fn shares(config: &Config, facts: &Facts, map: Option<&BTreeMap<u32, u32>>) -> Vec<f64> {
    let made = map.map_or_else(|| buckets(config, facts), |_| BTreeMap::new());
    // Behind the buckets stand elements of another kind.
    let buckets = map.unwrap_or(&made).range(..NFT_ELEMENTS);
    let total = buckets.clone().count().max(1);
    let share = |fact: &UplinkFacts| {
        let mine = mark(config, fact.id);
        let count = buckets.clone().filter(|(_, m)| **m == mine).count();
        ratio(count, total)
    };
    facts.uplinks.iter().map(share).collect()
}

fn ratio(part: usize, whole: usize) -> f64 {
    let exact = |n: usize| f64::from(u32::try_from(n).unwrap_or(u32::MAX));
    exact(part) / exact(whole)
}

#[cfg(test)]
pub(crate) mod tests;
