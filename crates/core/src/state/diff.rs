//! The difference between desired and observed: which changes bring the kernel
//! from one to the other. Pure; empty when they are equal.
//!
//! Creates and replaces run in the order of [`Key`], deletes run backward and
//! last, so there is no moment without what is wanted.

use super::{
    Key, NFT_GUARD, NFT_TABLE, Observed, ObservedRoute, Op, Ownership, PROTOCOL, Plan, Resource,
    RouteKey, State, Step, firewall,
};
use crate::net::{IfName, Prefix};
use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// What we know beside the two states.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Routes that are wanted and have been in place: what stands at their key now has pushed
    /// ours out and may be replaced.
    pub routes: BTreeSet<RouteKey>,
    /// Addresses that we added, for kernels that cannot mark them.
    pub addresses: BTreeSet<(IfName, Prefix)>,
    /// Objects that we are about to change for the first time, while what stood there before is not
    /// on the disk yet: which of the saves that are waited for will bring it there.
    pub unsaved: BTreeMap<Key, u64>,
}

/// A wanted object that cannot be had because somebody else's stands in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Conflict {
    /// The object.
    pub key: Key,
    /// What stands there.
    pub text: String,
}

/// The plan, and what stands in its way.
pub fn diff(desired: &State, observed: &Observed, memory: &Memory) -> (Plan, Vec<Conflict>) {
    let mut plan = Plan::new();
    let mut conflicts = Vec::new();
    for (key, resource) in desired {
        match wanted(key, resource, observed, memory) {
            Ok(Some(op)) => plan.push(Step { key: key.clone(), op }),
            Ok(None) => {}
            Err(conflict) => conflicts.push(*conflict),
        }
    }
    // Whatever else is set: the machine becomes a router last.
    plan.sort_by_key(|step| matches!(&step.key, Key::Sysctl(path) if is_forwarding(path)));
    let mut surplus = surplus(desired, observed, memory);
    surplus.sort_by(|a, b| b.key.cmp(&a.key));
    plan.extend(surplus);
    (plan, conflicts)
}

/// A change in words, for the log.
pub fn describe(op: &Op) -> String {
    match op {
        Op::Nft(script) => alloc::format!("nft transaction of {} lines", script.lines().count()),
        Op::Buckets { del, add } => alloc::format!("{} buckets out, {} in", del.len(), add.len()),
        Op::AddAddress | Op::AddRule => "added".into(),
        Op::DelAddress | Op::DelRoute | Op::DelRule => "deleted".into(),
        Op::SetRoute { value, replace: false } => alloc::format!("created {value}"),
        Op::SetRoute { value, replace: true } => alloc::format!("replaced by {value}"),
        Op::SetSysctl(value) => alloc::format!("set to {value}"),
    }
}

/// True if the object is there as it is wanted.
pub fn is_met(key: &Key, resource: &Resource, observed: &Observed) -> bool {
    matches!(wanted(key, resource, observed, &Memory::default()), Ok(None))
}

/// The change that brings one wanted object about; `None` if it is there.
fn wanted(
    key: &Key,
    resource: &Resource,
    observed: &Observed,
    memory: &Memory,
) -> Result<Option<Op>, Box<Conflict>> {
    Ok(match (key, resource) {
        (Key::Firewall, Resource::Firewall(want)) => {
            firewall::script(want, observed.firewall.as_ref()).map(Op::Nft)
        }
        (Key::Buckets, Resource::Buckets(want)) => {
            let have = observed.firewall.as_ref().and_then(|f| f.buckets.as_ref());
            let (del, add) = firewall::buckets_delta(want, have);
            (!del.is_empty() || !add.is_empty()).then_some(Op::Buckets { del, add })
        }
        (Key::Address { ifname, prefix }, Resource::Address) => {
            (!observed.addresses.contains_key(&(*ifname, *prefix))).then_some(Op::AddAddress)
        }
        (Key::Route(route), Resource::Route(value)) => {
            let set = |replace| Some(Op::SetRoute { value: value.clone(), replace });
            match observed.routes.get(route) {
                None => set(false),
                Some(have) if have.protocol == PROTOCOL => {
                    if have.value.as_ref() == Some(value) && !have.dead { None } else { set(true) }
                }
                Some(_) if memory.routes.contains(route) => set(true),
                Some(have) => return Err(occupied(key, have)),
            }
        }
        (Key::Rule(rule), Resource::Rule) => {
            let there = observed.rules.iter().any(|r| r.rule.as_ref() == Some(rule));
            (!there).then_some(Op::AddRule)
        }
        (Key::Sysctl(path), Resource::Sysctl(want)) => match observed.sysctls.get(path) {
            Some(have) if have == want => None,
            // A setting that cannot be read belongs to a device that is gone.
            None => None,
            Some(_) => Some(Op::SetSysctl(want.clone())),
        },
        _ => None,
    })
}

/// True for a setting that makes a router of the machine or of one of its devices, in either family.
pub fn is_forwarding(path: &str) -> bool {
    let of_conf =
        |family: &str| path.strip_prefix(family).is_some_and(|rest| rest.ends_with("/forwarding"));
    path == super::FORWARDING || of_conf("net/ipv4/conf/") || of_conf("net/ipv6/conf/")
}

fn occupied(key: &Key, have: &ObservedRoute) -> Box<Conflict> {
    let what = have.value.as_ref().map_or("a route of another kind".into(), ToString::to_string);
    Box::new(Conflict {
        key: key.clone(),
        text: alloc::format!("a foreign route stands here: {what} (protocol {})", have.protocol),
    })
}

/// What is ours and no longer wanted.
fn surplus(desired: &State, observed: &Observed, memory: &Memory) -> Plan {
    let mut plan = Plan::new();
    let mut drop = |key: Key, op: Op| {
        if !desired.contains_key(&key) {
            plan.push(Step { key, op });
        }
    };
    for ((ifname, prefix), owner) in &observed.addresses {
        // An address was read later than its link: look again before anything is taken away.
        if !observed.links.contains_key(ifname) {
            continue;
        }
        if *owner == Ownership::Ours || memory.addresses.contains(&(*ifname, *prefix)) {
            drop(Key::Address { ifname: *ifname, prefix: *prefix }, Op::DelAddress);
        }
    }
    for (route, have) in &observed.routes {
        if have.protocol == PROTOCOL {
            drop(Key::Route(route.clone()), Op::DelRoute);
        }
    }
    for rule in observed.rules.iter().filter(|r| r.protocol == PROTOCOL) {
        if let Some(rule) = &rule.rule {
            drop(Key::Rule(rule.clone()), Op::DelRule);
        }
    }
    let tables =
        [(Key::Firewall, NFT_TABLE, &observed.firewall), (Key::Guard, NFT_GUARD, &observed.guard)];
    for (key, name, table) in tables {
        if let Some(table) = table
            && firewall::has_ours(table)
        {
            drop(key, Op::Nft(firewall::removal(name, table)));
        }
    }
    plan
}

/// Foreign objects inside our ranges, as text for the screen.
pub fn foreign(desired: &State, observed: &Observed, priorities: (u32, u32)) -> Vec<String> {
    let mut found = Vec::new();
    for (key, have) in &observed.routes {
        if have.protocol != PROTOCOL {
            let value = have.value.as_ref().map_or("of another kind".into(), ToString::to_string);
            found.push(alloc::format!("route {key}: {value} (protocol {})", have.protocol));
        }
    }
    for rule in &observed.rules {
        let inside = (priorities.0..=priorities.1).contains(&rule.priority);
        let wanted =
            rule.rule.as_ref().is_some_and(|r| desired.contains_key(&Key::Rule(r.clone())));
        if inside && rule.protocol != PROTOCOL && !wanted {
            let text = rule.rule.as_ref().map_or_else(
                || alloc::format!("{}: with other selectors", rule.priority),
                ToString::to_string,
            );
            found.push(alloc::format!("rule {text} (protocol {})", rule.protocol));
        }
    }
    if let Some(table) = &observed.firewall {
        for (name, chain) in &table.chains {
            let count = chain.rules.iter().filter(|r| r.stamp.is_none()).count();
            if count > 0 {
                found.push(alloc::format!("{count} nft rule(s) in chain inet rail {name}"));
            }
        }
    }
    found
}
