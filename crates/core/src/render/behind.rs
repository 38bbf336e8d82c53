//! Policy rules of others that stand behind ours and pick out few.
//!
//! A rule that somebody adds without a priority before rail starts stands behind all of ours, which
//! take everything; added a moment later it stands before them. One that picks out a few clients, a
//! few destinations or a mark is meant to act in either case, so the ladder has a copy of it. One
//! that would take a whole network from the uplinks is named instead: who balances has old ones.

use super::ladder::{MAIN, rung, step};
use super::rule_span;
use crate::config::Config;
use crate::net::{Family, Prefix};
use crate::state::{ObservedRule, PROTOCOL, REFUSED, Rule};
use alloc::vec::Vec;

/// The copies that the ladder is to have of what others have behind it. `inside` are the networks of
/// inside interfaces.
pub(crate) fn copies(config: &Config, rules: &[ObservedRule], inside: &[Prefix]) -> Vec<Rule> {
    let (_, last) = rule_span(config);
    let theirs = rules.iter().filter(|r| r.protocol != PROTOCOL && r.family == Family::V4);
    let mut behind: Vec<&Rule> = theirs
        .filter_map(|observed| observed.rule.as_ref())
        .filter(|rule| (last + 1..KERNELS).contains(&rule.priority) && rule.oif.is_none())
        .filter(|rule| !matches!(rule.table, REFUSED | DEFAULT..=LOCAL))
        .filter(|rule| {
            picks_few((rule.from, rule.to, rule.fwmark), inside, config.ranges.mark_mask)
        })
        .collect();
    behind.sort_unstable();
    behind.dedup();
    let places = step::BEHIND..step::BEHIND + MOST;
    let copy = |(rule, place): (&Rule, u32)| Rule {
        priority: rung(config, place, MAIN).priority,
        ..rule.clone()
    };
    behind.into_iter().zip(places).map(copy).collect()
}

/// Whether selectors (source, destination, mark) pick out few of the packets that uplinks carry.
pub(crate) fn picks_few(
    (from, to, mark): (Option<Prefix>, Option<Prefix>, Option<(u32, u32)>),
    inside: &[Prefix],
    mark_mask: u32,
) -> bool {
    let is_whole =
        |from: &Prefix, net: &Prefix| from.length <= net.length && from.contains(net.address);
    let few_clients = from
        .is_some_and(|from| from.length > WIDE && !inside.iter().any(|net| is_whole(&from, net)));
    let few_servers = to.is_some_and(|to| to.length > WIDE);
    few_clients || few_servers || mark.is_some_and(|(value, mask)| value & mask & !mark_mask != 0)
}

/// Copies, at the most: each is a rule that what begins walks past.
pub(crate) const MOST: u32 = 20;
/// Prefixes of this length or less are a good part of all addresses.
const WIDE: u8 = 8;
/// The kernel's own rules begin here.
const KERNELS: u32 = 32_766;
/// Tables with a meaning of their own, fixed by the kernel: `default`, `main`, `local`.
const DEFAULT: u32 = 253;
const LOCAL: u32 = 255;
