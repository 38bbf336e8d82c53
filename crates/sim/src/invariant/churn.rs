//! A good object is never deleted, replaced or added again.

use super::{Happening, Law};
use crate::kernel::Kernel;
use crate::scene::{Change, Scene};
use rail_core::Watch;
use rail_core::net::Prefix;
use rail_core::state::{Key, MainDefault, Nexthop, Op, PROTOCOL, Resource, RouteValue, Rule, Scope};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// See the module.
#[derive(Default)]
pub(super) struct Churn;

impl Law for Churn {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        if scene.withdrawing {
            return Ok(());
        }
        let pointless = match (&change.key, &change.op) {
            (Key::Route(key), Op::Put { value: Resource::Route(value), .. }) => {
                change.before.routes.get(key).is_some_and(|route| {
                    let same = route.protocol == PROTOCOL && route.value == *value;
                    same && route.dead.is_empty() && is_firm(scene, value)
                })
            }
            (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. }) => {
                let of = |name: &str| path.split('/').any(|part| part == name);
                let mut lines = scene.config.uplinks.iter().enumerate();
                let is_new = lines.any(|(i, u)| of(u.ifname.as_str()) && !scene.is_firm(i));
                !is_new && change.before.sysctls.get(path) == Some(value)
            }
            (Key::Rule(rule), Op::Put { .. }) => change.before.rules.iter().any(|r| r.rule == *rule),
            (Key::Address { ifname, prefix }, Op::Put { .. }) => {
                change.before.addresses.contains_key(&(*ifname, *prefix))
            }
            (Key::Buckets, Op::Buckets { del, add }) => add.iter().any(|e| del.contains(e)),
            (Key::Firewall, _) => has_churned(&change.before, &scene.kernel),
            (Key::Rule(rule), Op::Drop) => {
                let is_excused = asks_main(scene, rule) || is_of_learnt(scene, rule);
                change.done && !is_excused && rule_is_wanted(scene, change)
            }
            (Key::Address { ifname, prefix }, Op::Drop) => {
                // One that is leased again a moment later may be on its way out.
                let mut uplinks = scene.config.uplinks.iter().enumerate();
                uplinks.any(|(line, uplink)| {
                    let is_it = uplink.ifname == *ifname && uplink.address() == Some(*prefix);
                    is_it && !scene.has_new_lease(line)
                })
            }
            _ => false,
        };
        if pointless {
            return Err(format!("{} was good, and changed: {:?}", change.key, change.op));
        }
        Ok(())
    }
}

/// No device of the route came back a moment ago.
fn is_firm(scene: &Scene, value: &RouteValue) -> bool {
    let RouteValue::Unicast { nexthops, .. } = value else { return true };
    let line = |hop: &Nexthop| scene.config.uplinks.iter().position(|u| u.ifname == hop.ifname);
    nexthops.iter().all(|hop| line(hop).is_none_or(|i| scene.is_firm(i)))
}

/// While `main` refuses everything it is asked by other rules than before.
fn asks_main(scene: &Scene, rule: &Rule) -> bool {
    let main = scene.kernel.observe(Scope::MAIN, &Watch::default()).main;
    let is_whole = rule.iif.is_none() && rule.to.is_none();
    rule.suppress_prefixlength.is_some() && is_whole && main != MainDefault::Passable
}

/// An address that another program has taken away, or that is leased no more, has no rule in the end.
fn is_of_learnt(scene: &Scene, rule: &Rule) -> bool {
    let own = |line: &usize| scene.config.uplinks[*line].address();
    let mut kept = scene.kept.iter().filter_map(own);
    let is_leased = |from: Prefix| match from.address {
        IpAddr::V4(address) => from.length == 32 && scene.net.street.knows(address),
        IpAddr::V6(_) => false,
    };
    kept.any(|own| rule.from == Some(Prefix::host(own.address))) || rule.from.is_some_and(is_leased)
}

/// The other rules of the ladder depend on the configuration alone: none is ever deleted.
fn rule_is_wanted(scene: &Scene, change: &Change) -> bool {
    change.before.rules.len() > scene.kernel.rules.len()
}

/// A rule with the same stamp has another handle than before.
fn has_churned(before: &Kernel, after: &Kernel) -> bool {
    let handles = |kernel: &Kernel| -> BTreeMap<(String, u64), u64> {
        let chains = kernel.nft.iter().flat_map(|table| &table.chains);
        chains
            .flat_map(|(name, chain)| chain.rules.iter().map(move |rule| (name, rule)))
            .filter_map(|(name, rule)| Some(((name.clone(), rule.stamp?), rule.handle)))
            .collect()
    };
    let old = handles(before);
    let new = handles(after);
    old.iter().any(|(key, handle)| new.get(key).is_some_and(|h| h != handle))
}
