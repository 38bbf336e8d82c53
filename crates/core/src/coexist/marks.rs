//! Who else uses bits of the marks that are ours.

use super::survey::{Effect, MarkWrite, PolicyRule, Rule, Survey, Table, Test, View};
use super::walk::Place;
use super::{conflict, ladder, owner, policy_conflict};
use crate::status::{Conflict, ConflictKind};
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Rules of a table that use our bits, one conflict for each owner.
fn examine(view: &View, table: &Table, remedy: &str) -> Vec<Conflict> {
    let mut found: BTreeMap<&str, (Place<'_>, Option<owner::Owner>, usize)> = BTreeMap::new();
    for chain in &table.chains {
        for (index, rule) in chain.rules.iter().enumerate() {
            if uses(view, rule) {
                let place = Place { chain: &chain.name, rule: Some(index) };
                let owner = owner::of_place(table, place.chain, place.rule);
                let name = owner.map_or("", owner::Owner::name);
                found.entry(name).or_insert((place, owner, 0)).2 += 1;
            }
        }
    }
    let tell = |(place, owner, count): (Place<'_>, Option<owner::Owner>, usize)| {
        let more = if count > 1 { format!(" ({count} rules)") } else { String::new() };
        let effect =
            format!("uses bits of the marks that are ours, {:#010x}{more}", view.mark_mask);
        conflict(ConflictKind::Marks, true, owner, table, place, effect, remedy.into())
    };
    found.into_values().map(tell).collect()
}

/// Policy rules that ask for bits that are ours, one conflict for each owner.
fn policy(view: &View, rules: &[&PolicyRule], remedy: &str) -> Vec<Conflict> {
    let mut found: BTreeMap<String, (&PolicyRule, usize)> = BTreeMap::new();
    for rule in rules.iter().filter(|rule| asks(view, rule)) {
        found.entry(ladder::owner_name(rule)).or_insert((rule, 0)).1 += 1;
    }
    let tell = |(rule, count): (&PolicyRule, usize)| {
        let more = if count > 1 { format!(" ({count} rules)") } else { String::new() };
        let effect =
            format!("asks for bits of the mark that are ours, {:#010x}{more}", view.mark_mask);
        policy_conflict(ConflictKind::Marks, true, rule, effect, remedy.into())
    };
    found.into_values().map(tell).collect()
}

fn asks(view: &View, rule: &PolicyRule) -> bool {
    rule.mark.is_some_and(|(value, mask)| matches_ours(view, value, mask))
}

/// True if a rule writes a mark of ours into a connection, as the generated rules do.
pub(super) fn pins(view: &View, survey: &Survey) -> bool {
    let rules = survey.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
    let mut effects = rules.flat_map(|rule| &rule.effects);
    effects.any(|effect| match effect {
        Effect::Mark(write) => write.connection && write.value & view.mark_mask != 0,
        Effect::Offload(_) => false,
    })
}

/// Bits that nobody here uses, as far as it is known.
fn other_bits(view: &View, survey: &Survey, rules: &[&PolicyRule]) -> String {
    let is_free = |mask: &u32| {
        let view = View { mark_mask: *mask, ..view.clone() };
        let mut all = survey.tables.iter().flat_map(|t| &t.chains).flat_map(|c| &c.rules);
        !all.any(|rule| uses(&view, rule)) && !rules.iter().any(|rule| asks(&view, rule))
    };
    match CANDIDATES.iter().find(|mask| is_free(mask)) {
        Some(mask) => format!("give rail other bits: [ranges] marks = \"{mask:#010x}\""),
        None => "give one of them other bits; rail's are [ranges] marks".into(),
    }
}

fn uses(view: &View, rule: &Rule) -> bool {
    let asks = rule.matches.iter().any(|m| match m.test {
        // The generated rules of mode `external` are the administrator's own.
        Test::Mark { mask, .. } if view.external && mask == view.mark_mask => false,
        Test::Mark { value, mask } => matches_ours(view, value, mask),
        _ => false,
    });
    let writes = rule.effects.iter().any(|effect| match effect {
        Effect::Mark(write) => writes_ours(view, *write),
        Effect::Offload(_) => false,
    });
    asks || writes
}

/// An exact comparison that has none of our bits belongs to somebody who knows no masks: it only
/// fails for packets of ours.
const fn matches_ours(view: &View, value: u32, mask: u32) -> bool {
    let ours = view.mark_mask;
    value & mask & ours != 0 || (mask != u32::MAX && mask & ours != 0)
}

const fn writes_ours(view: &View, write: MarkWrite) -> bool {
    let ours = view.mark_mask;
    if view.external && write.bits == ours {
        return false;
    }
    let new = write.bits & !write.copied & ours;
    write.value & ours != 0 || (!write.is_whole() && new != 0)
}

/// Conflicts about marks, in tables and in policy rules.
pub(super) fn all(view: &View, survey: &Survey, rules: &[&PolicyRule]) -> Vec<Conflict> {
    let remedy = other_bits(view, survey, rules);
    let in_tables = survey.tables.iter().flat_map(|table| examine(view, table, &remedy));
    in_tables.chain(policy(view, rules, &remedy)).collect()
}

/// Masks with room for 126 uplinks, ours first.
const CANDIDATES: [u32; 4] = [0x7f00_0000, 0x007f_0000, 0x0000_7f00, 0x0000_007f];
