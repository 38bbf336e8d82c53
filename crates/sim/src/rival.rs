//! Somebody else with root: a careless administrator, another daemon. Deletes,
//! flushes and changes what is ours; adds what is not ours, and must survive.

use crate::dice::Dice;
use crate::kernel::{Kernel, NftRule};
use crate::scenario::{ifname, prefix};
use rail_core::config::Config;
use rail_core::net::{Family, Prefix};
use rail_core::state::table;
use rail_core::state::{Nexthop, PROTOCOL, RouteKey, RouteValue, Rule, Scope};

/// Damages something; what changed, and in words.
pub(crate) fn damage(
    kernel: &mut Kernel,
    config: &Config,
    dice: &mut Dice,
) -> Option<(Scope, String)> {
    match dice.below(12) {
        0 => delete_rule(kernel, dice),
        1 => delete_route(kernel, dice),
        2 => flush_table(kernel, config, dice),
        3 => {
            kernel.nft.take()?;
            Some((Scope::FIREWALL, "flushes the ruleset".into()))
        }
        4 => edit_chain(kernel, dice, false),
        5 => edit_chain(kernel, dice, true),
        6 => edit_buckets(kernel, dice),
        7 => change_setting(kernel, dice),
        8 => {
            let shared = config.ranges.tables.0;
            let is_it = |key: &RouteKey| key.table == shared && key.prefix.length == 0;
            let key = kernel.routes.keys().find(|key| is_it(key))?.clone();
            kernel.routes.remove(&key);
            Some((Scope::ROUTES, "removes the shared default".into()))
        }
        9 => {
            kernel.nft.as_mut()?.dormant = true;
            Some((Scope::FIREWALL, "switches our table off".into()))
        }
        10 => {
            let mut chains = kernel.nft.as_mut()?.chains.values_mut();
            chains.find(|chain| chain.base.is_some())?.drops = true;
            Some((Scope::FIREWALL, "lets a chain drop".into()))
        }
        _ => {
            let own = |r: &crate::kernel::FibRule| r.protocol == PROTOCOL;
            kernel.rules.iter().any(own).then(|| kernel.rules.retain(|r| !own(r)))?;
            Some((Scope::RULES, "removes all our rules".into()))
        }
    }
}

fn delete_rule(kernel: &mut Kernel, dice: &mut Dice) -> Option<(Scope, String)> {
    let own: Vec<usize> =
        (0..kernel.rules.len()).filter(|i| kernel.rules[*i].protocol == PROTOCOL).collect();
    let at = *own.get(dice.below(own.len()))?;
    let gone = kernel.rules.remove(at);
    Some((Scope::RULES, format!("deletes the rule {}", gone.rule)))
}

fn delete_route(kernel: &mut Kernel, dice: &mut Dice) -> Option<(Scope, String)> {
    let own: Vec<RouteKey> = kernel
        .routes
        .iter()
        .filter(|(_, route)| route.protocol == PROTOCOL)
        .map(|(key, _)| key.clone())
        .collect();
    let key = own.get(dice.below(own.len()))?;
    kernel.routes.remove(key);
    Some((Scope::ROUTES, format!("deletes the route {key}")))
}

fn flush_table(kernel: &mut Kernel, config: &Config, dice: &mut Dice) -> Option<(Scope, String)> {
    let number = u32::try_from(dice.below(config.uplinks.len() + 1)).unwrap_or(0);
    let table = config.ranges.tables.0 + number;
    let before = kernel.routes.len();
    kernel.routes.retain(|key, _| key.table != table);
    (kernel.routes.len() < before).then(|| (Scope::ROUTES, format!("flushes table {table}")))
}

/// Deletes one of our rules, or all rules of a chain.
fn edit_chain(kernel: &mut Kernel, dice: &mut Dice, all: bool) -> Option<(Scope, String)> {
    let table = kernel.nft.as_mut()?;
    let names: Vec<String> =
        table.chains.iter().filter(|(_, c)| !c.rules.is_empty()).map(|(n, _)| n.clone()).collect();
    let name = names.get(dice.below(names.len()))?;
    let rules = &mut table.chains.get_mut(name)?.rules;
    if all {
        rules.clear();
        return Some((Scope::FIREWALL, format!("flushes chain {name}")));
    }
    let at = dice.below(rules.len());
    rules.remove(at);
    Some((Scope::FIREWALL, format!("deletes a rule of chain {name}")))
}

fn edit_buckets(kernel: &mut Kernel, dice: &mut Dice) -> Option<(Scope, String)> {
    let buckets = kernel.nft.as_mut()?.buckets.as_mut()?;
    let marks: Vec<u32> = buckets.values().copied().collect();
    let mark = *marks.get(dice.below(marks.len()))?;
    let keys: Vec<u32> = buckets.keys().copied().collect();
    for key in keys {
        match dice.below(4) {
            0 => drop(buckets.remove(&key)),
            1 => drop(buckets.insert(key, mark)),
            _ => {}
        }
    }
    Some((Scope::FIREWALL, "edits the slot map".into()))
}

fn change_setting(kernel: &mut Kernel, dice: &mut Dice) -> Option<(Scope, String)> {
    let paths: Vec<String> = kernel.sysctls.keys().cloned().collect();
    let path = paths.get(dice.below(paths.len()))?;
    // Never the value that rail wants: a rival who repairs a setting between our reading and our
    // write would make that write look pointless.
    let name = path.rsplit('/').next().unwrap_or_default();
    let wrong = match name {
        "accept_redirects" | "send_redirects" | "fwmark_reflect" | "ip_early_demux" => "1",
        "fib_multipath_hash_policy" => "2",
        _ => "0",
    };
    kernel.set_sysctl(path, wrong).ok()?;
    // The kernel tells nobody.
    Some((Scope::NONE, format!("sets {path} to {wrong}")))
}

/// Adds something of his own inside our ranges, harmless to our traffic, or while the daemon is
/// stopped in a place where it will want a route.
pub(crate) fn add_foreign(
    kernel: &mut Kernel,
    config: &Config,
    dice: &mut Dice,
    stopped: bool,
) -> (Scope, String) {
    let lan = ifname("lan0");
    let n = dice.below(200);
    let below = u32::try_from(dice.below(config.uplinks.len() + 1)).unwrap_or(0);
    let table = config.ranges.tables.0 + below;
    match dice.below(4) {
        0 if stopped && occupy(kernel, config, below) => {
            (Scope::ROUTES, format!("takes the place of our default in table {table}"))
        }
        0 => {
            let key = RouteKey { table, prefix: prefix(&format!("10.{n}.0.0/16")), metric: 0 };
            let hop = Nexthop { ifname: lan, via: None, weight: 1, onlink: false };
            let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
            // It cannot fail: lan0 is always up.
            let _ = kernel.set_route(&key, &value, true, 4);
            (Scope::ROUTES, format!("adds a route {key}"))
        }
        1 => {
            let number = u32::try_from(n).unwrap_or(0);
            let rule = Rule {
                from: Some(prefix(&format!("10.{n}.0.1/32"))),
                ..Rule::lookup(
                    config.ranges.rule_priorities.0 + 600 + number % 100,
                    Family::V4,
                    table::MAIN,
                )
            };
            kernel.add_rule(rule.clone(), 3);
            (Scope::RULES, format!("adds a rule {rule}"))
        }
        2 if n < 40 => {
            let prefix = Prefix::default_route(Family::V4);
            let key = RouteKey { table: 254, prefix, metric: 4_278_198_272 };
            // It cannot fail: it has no next hop.
            let _ = kernel.set_route(&key, &RouteValue::Unreachable, true, 4);
            (Scope::MAIN, "adds an error route for everything to main".into())
        }
        2 => {
            kernel.addresses.insert((lan, prefix(&format!("192.168.77.{n}/24"))), 0);
            (Scope::ADDRESSES, "adds an address to lan0".into())
        }
        _ => {
            if let Some(table) = &mut kernel.nft {
                let handle = table.handle();
                let names: Vec<String> = table.chains.keys().cloned().collect();
                if let Some(name) = names.get(dice.below(names.len()))
                    && let Some(chain) = table.chains.get_mut(name)
                {
                    let text = format!("ip saddr 10.{n}.0.1 counter");
                    let at = dice.below(chain.rules.len() + 1);
                    chain.rules.insert(at, NftRule { handle, text, stamp: None });
                }
            }
            (Scope::FIREWALL, "adds an nft rule to our table".into())
        }
    }
}

/// Puts a route where the uplink of this number (from 1) has its default, if that place is free.
/// What pushes a route of a running daemon out is drift, and may be replaced; this may not.
pub(crate) fn occupy(kernel: &mut Kernel, config: &Config, number: u32) -> bool {
    let key = default_of(config, number);
    if number == 0 || kernel.routes.contains_key(&key) {
        return false;
    }
    let hop = Nexthop { ifname: ifname("lan0"), via: None, weight: 1, onlink: false };
    let value = RouteValue::Unicast { nexthops: vec![hop], source: None, mtu: None };
    kernel.set_route(&key, &value, false, 4).is_ok()
}

/// Takes away what [`occupy`] has put in; true if there was anything.
pub(crate) fn vacate(kernel: &mut Kernel, config: &Config) -> bool {
    let before = kernel.routes.len();
    for number in (1..).take(config.uplinks.len()) {
        let key = default_of(config, number);
        if kernel.routes.get(&key).is_some_and(|route| route.protocol != PROTOCOL) {
            kernel.routes.remove(&key);
        }
    }
    kernel.routes.len() < before
}

fn default_of(config: &Config, number: u32) -> RouteKey {
    let table = config.ranges.tables.0 + number;
    RouteKey { table, prefix: Prefix::default_route(Family::V4), metric: 0 }
}
