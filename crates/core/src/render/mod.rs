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
mod view;

pub use firewall::FOREIGN;
pub(crate) use firewall::{SRCNAT, nobody};
pub(crate) use ladder::LOOPBACK;
pub use ladder::rule_span;
pub use setting::is_known as is_known_setting;
pub use setting::paths as sysctl_paths;
pub(crate) use view::{UplinkView, View, shares_interface};

use crate::config::{Config, FirewallMode, NoUplink};
use crate::facts::{Attachment, Facts, Gateway, UplinkFacts};
use crate::net::{Family, Prefix, UplinkId};
use crate::state::{Key, NFT_ELEMENTS, Nexthop, Resource, RouteKey, RouteValue, State};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use balance::Member;
use core::net::IpAddr;
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
    ladder::way(config, facts.uplinks[index].id, view::is_inside(config, index))
}

/// The desired state.
pub fn render(config: &Config, facts: &Facts) -> State {
    let (mut state, view) = (State::new(), View::new(config, facts));
    if config.firewall.mode != FirewallMode::External {
        state.insert(Key::Firewall, Resource::Firewall(firewall::render(&view)));
        let mut elements = buckets(&view);
        elements.extend(firewall::elements(&view));
        elements.extend(shared::elements(&view));
        elements.extend(firewall::resolver::elements(&view));
        state.insert(Key::Buckets, Resource::Buckets(elements));
    }
    for uplink in view.enabled() {
        for prefix in addresses(uplink) {
            let key = Key::Address { ifname: uplink.ifname, prefix };
            state.insert(key, Resource::Address);
        }
    }
    for family in view.families() {
        routes(&mut state, &view, family);
        ladder::render(&mut state, &view, family);
    }
    for copy in &facts.system.copies {
        state.insert(Key::Rule(copy.clone()), Resource::Rule);
    }
    link::render(&mut state, &view);
    firewall::networks::render(&mut state, config, facts);
    setting::render(&mut state, &view);
    state
}

/// The addresses on the interface of an uplink that rail sets there. That of the attachment comes first, in time, too: of
/// one subnet the kernel takes the address that was there first as its own source.
fn addresses(uplink: &UplinkView<'_>) -> impl Iterator<Item = Prefix> {
    let fact = uplink.fact;
    let is_kept = |prefix: &Prefix| {
        uplink.way[prefix.family()]
            .is_some_and(|way| !way.origin.is_set_by_us() && way.address == *prefix)
    };
    let is_due = |prefix: &Prefix| {
        uplink.way[prefix.family()].is_some_and(|way| way.address == *prefix)
            || fact.has_address[prefix.family()]
            || fact.further.contains(prefix)
    };
    let all = uplink.prefixes.iter().flatten().copied();
    all.filter(move |prefix| fact.ifindex.is_some() && is_due(prefix) && !is_kept(prefix))
}

/// The routes of one family: a table for each uplink, and the shared one.
fn routes(state: &mut State, view: &View<'_>, family: Family) {
    let shared = view.config.ranges.tables.0;
    let mut add = |table, metric, route: Option<RouteValue>| {
        let key = default_key(family, table, metric);
        state.extend(route.map(|route| (key, Resource::Route(route))));
    };
    for uplink in view.enabled() {
        let id = u32::from(uplink.id.0);
        add(uplink.table, 0, uplink.route(family).map(|way| default_by(uplink, way)));
        add(uplink.table, LAST_METRIC, Some(RouteValue::Unreachable));
        add(shared, id, shared::device_default(view, uplink, family));
        add(shared, SPARE_METRICS.start() + id, spare_default(view, uplink, family));
    }
    add(shared, 0, shared_default(view, family));
    for uplink in view.enabled() {
        let attached = uplink.route(family).into_iter();
        state.extend(attached.flat_map(|way| further_routes(uplink, way)));
    }
}

fn default_key(family: Family, table: u32, metric: u32) -> Key {
    Key::Route(RouteKey { table, prefix: Prefix::default_route(family), metric })
}

/// A default by one uplink, with its source.
fn default_by(uplink: &UplinkView<'_>, way: &Attachment) -> RouteValue {
    let source = Some(way.address.address);
    let mtu = narrow(uplink, way);
    RouteValue::Unicast { nexthops: vec![nexthop(uplink, way, 1)], source, mtu }
}

/// Largest packet of an uplink that takes less than its device.
fn narrow(uplink: &UplinkView<'_>, way: &Attachment) -> Option<u32> {
    way.mtu.filter(|mtu| *mtu < uplink.fact.mtu)
}

/// What the provider leads elsewhere than by its default route, in the uplink's table alone.
fn further_routes<'a>(
    uplink: &'a UplinkView<'_>,
    way: &'a Attachment,
) -> impl Iterator<Item = (Key, Resource)> + 'a {
    way.routes.iter().map(|(prefix, gateway)| {
        let gateway = Some(*gateway).filter(|gateway| !gateway.is_unspecified());
        let via = gateway.map(IpAddr::V4);
        let onlink = via.is_some_and(|via| !way.address.contains(via));
        let hop = Nexthop { ifname: uplink.ifname, via, weight: 1, onlink };
        let source = Some(way.address.address);
        let key = RouteKey { table: uplink.table, prefix: *prefix, metric: 0 };
        let mtu = narrow(uplink, way);
        let value = RouteValue::Unicast { nexthops: vec![hop], source, mtu };
        (Key::Route(key), Resource::Route(value))
    })
}

fn nexthop(uplink: &UplinkView<'_>, way: &Attachment, weight: u8) -> Nexthop {
    let onlink = matches!(way.gateway, Gateway::OnLink(_));
    Nexthop { ifname: uplink.ifname, via: way.gateway.address(), weight, onlink }
}

/// The default route for what bears no mark: the router's own traffic. Several next hops name no
/// source, so only uplinks whose address the kernel then takes can be among them.
fn shared_default(view: &View<'_>, family: Family) -> Option<RouteValue> {
    let carrying = view.enabled().filter(|uplink| uplink.fact.active);
    let carrying: Vec<_> =
        carrying.filter_map(|uplink| Some((uplink, uplink.route(family)?))).collect();
    let is_sure = |uplink: &UplinkView<'_>| shared::has_sure_source(view, uplink, family);
    let sure: Vec<_> = carrying.iter().filter(|(uplink, _)| is_sure(uplink)).collect();
    match (sure.as_slice(), carrying.as_slice()) {
        (_, []) if view.config.router.no_uplink == NoUplink::Unreachable => {
            Some(RouteValue::Unreachable)
        }
        (_, []) => None,
        ([(only, way)], _) | ([], [(only, way), ..]) => Some(default_by(only, way)),
        (several, _) => {
            let hops = several.iter().map(|(uplink, way)| nexthop(uplink, way, uplink.weight));
            let mut nexthops: Vec<_> = hops.collect();
            nexthops.sort();
            let mtu = several.iter().filter_map(|(uplink, way)| narrow(uplink, way)).min();
            Some(RouteValue::Unicast { nexthops, source: None, mtu })
        }
    }
}

/// Behind the shared default one by each uplink that carries. The kernel deletes a route of several
/// next hops when the device of *one* goes (a USB stick is pulled, a driver loaded anew). While no
/// daemon runs nobody puts it back, and where no route is found no new connection takes a bucket.
fn spare_default(view: &View<'_>, uplink: &UplinkView<'_>, family: Family) -> Option<RouteValue> {
    let way = uplink.route(family).filter(|_| uplink.fact.active)?;
    shared::has_other_device(view, uplink).then(|| default_by(uplink, way))
}

/// The uplinks whose resolvers are asked for names.
pub(crate) fn resolving(config: &Config, facts: &Facts) -> [Option<UplinkId>; 2] {
    let view = View::new(config, facts);
    firewall::resolver::resolving(&view).map(|uplink| uplink.map(|uplink| uplink.id))
}

/// The number of buckets: it depends on the configuration alone.
pub fn bucket_count(config: &Config) -> u32 {
    balance::bucket_count(view::balanced(config))
}

/// The bucket map: bucket number to mark.
///
/// All members of the tier take part in the placing, dead ones too, so that the
/// living keep their buckets.
fn buckets(view: &View<'_>) -> BTreeMap<u32, u32> {
    let Some(tier) = view.enabled().filter(|u| u.fact.active).map(|u| u.tier).min() else {
        return BTreeMap::new();
    };
    let here = view.enabled().filter(|uplink| uplink.tier == tier);
    let (members, marks): (Vec<Member<'_>>, Vec<u32>) = here
        .map(|u| (Member { name: u.name, weight: u.weight, usable: u.fact.active }, u.mark))
        .unzip();
    let table = balance::fill(&members, bucket_count(view.config));
    (0..).zip(table).map(|(bucket, member)| (bucket, marks[member])).collect()
}

/// The share of each uplink in this map of buckets, in the order of the configuration; without one, in
/// that which is wanted by these facts.
pub fn shares(config: &Config, facts: &Facts, map: Option<&BTreeMap<u32, u32>>) -> Vec<f64> {
    let made = map.map_or_else(|| buckets(&View::new(config, facts)), |_| BTreeMap::new());
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
