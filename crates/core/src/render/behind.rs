//! Policy rules of others that stand behind ours and pick out few.
//!
//! A rule that somebody adds without a priority before rail starts stands behind all of ours, which
//! take everything; added a moment later it stands before them. One that picks out a few clients, a
//! few destinations or a mark is meant to act in either case, so the ladder has a copy of it. One
//! that would take a whole network from the uplinks is named instead: who balances has old ones.
//!
//! A copy stands where rail asks questions of its own, and alone. So nothing is copied that answers
//! for the router's own addresses, and nothing that is one of a set: a refusal behind a way through a
//! VPN, or a look into `main` before it.

use super::ladder::step;
use super::rule_span;
use crate::config::Config;
use crate::net::{Family, Prefix};
use crate::state::table::{DEFAULT, LOCAL};
use crate::state::{ObservedRule, PROTOCOL, REFUSED, Rule};
use alloc::vec::Vec;
use core::ops::Range;

/// The copies that the ladder is to have of what others have behind it. `own` are the addresses of all
/// interfaces.
pub(crate) fn copies(config: &Config, rules: &[ObservedRule], own: &[Prefix]) -> Vec<Rule> {
    let (first, last) = rule_span(config);
    let theirs = rules.iter().filter(|r| r.protocol != PROTOCOL && r.family == Family::V4);
    let behind = theirs.filter(|r| r.priority > last).map(|r| (r.priority, r.rule.as_ref()));
    let copy = |(rule, priority): (&Rule, u32)| Rule { priority, ..rule.clone() };
    eligible(behind, own, config.ranges.mark_mask)
        .into_iter()
        .zip(places(first))
        .map(copy)
        .collect()
}

/// The rules that are to have a copy if there is a place for it, in the order of the places. They are
/// chosen from all rules of others behind ours, each with its priority; `None`: not known in full.
pub(crate) fn eligible<'a>(
    behind: impl IntoIterator<Item = (u32, Option<&'a Rule>)>,
    own: &[Prefix],
    mark_mask: u32,
) -> Vec<&'a Rule> {
    let behind = behind.into_iter().filter(|(priority, _)| *priority < KERNELS);
    // One with an action or a selector that rail does not know may belong to any of them.
    let Some(behind) = behind.map(|(_, rule)| rule).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let (mut alone, stay): (Vec<&Rule>, Vec<&Rule>) =
        behind.into_iter().partition(|rule| leads_away(rule));
    alone.retain(|rule| {
        picks_few(rule, own, mark_mask) && !stay.iter().any(|other| selects(other) == selects(rule))
    });
    alone.sort_unstable();
    alone.dedup();
    alone
}

/// The priorities of the copies, in a ladder that begins at `first`.
pub(crate) const fn places(first: u32) -> Range<u32> {
    first + step::BEHIND..first + step::BEHIND + MOST
}

/// It leads into a table that is neither `main` nor another one of the kernel's.
fn leads_away(rule: &Rule) -> bool {
    !matches!(rule.table, REFUSED | DEFAULT..=LOCAL) && rule.suppress_prefixlength.is_none()
}

fn selects(rule: &Rule) -> (Option<Prefix>, Option<Prefix>, Option<(u32, u32)>) {
    (rule.from, rule.to, rule.fwmark)
}

/// Whether a rule picks out few of the packets that uplinks carry, and none of the router itself. One
/// that is bound to a device is not met by rail's own questions, and the kernel writes a prefix with
/// host bits otherwise than it was asked to.
fn picks_few(rule: &Rule, own: &[Prefix], mark_mask: u32) -> bool {
    let is_plain = |prefix: Option<Prefix>| prefix.is_none_or(|p| p == p.network());
    if rule.iif.is_some() || rule.oif.is_some() || !is_plain(rule.from) || !is_plain(rule.to) {
        return false;
    }
    let is_ours = |from: Prefix| own.iter().any(|own| from.contains(own.address));
    match (rule.from, rule.to, rule.fwmark) {
        (Some(from), ..) if from.length < FEW_CLIENTS || is_ours(from) => false,
        (None, Some(to), None) => to.length > WIDE,
        (None, _, Some((value, mask))) => value & mask & !mark_mask != 0,
        (from, ..) => from.is_some(),
    }
}

/// Copies, at the most: each is a rule that what begins walks past.
const MOST: u32 = 20;
/// Clients of a longer prefix are few.
const FEW_CLIENTS: u8 = 29;
/// Prefixes of this length or less are a good part of all addresses.
const WIDE: u8 = 8;
/// The kernel's own rules begin here.
const KERNELS: u32 = 32_766;
