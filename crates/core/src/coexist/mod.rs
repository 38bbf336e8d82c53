//! Beside other software: where rules, marks, tables and routes of others take,
//! drop or move what is ours, and where the surroundings do.
//!
//! Promises: a pure examination of what was read ([`Survey`]); it changes nothing,
//! and does not cry wolf: what is not understood is reported as doubtful, and what
//! an ordinary packet does not meet is not reported. Leaves out reading, and IPv6,
//! which no uplink carries yet.

mod chains;
mod host;
mod ladder;
mod marks;
pub(crate) mod news;
mod owner;
mod survey;
mod walk;

pub use host::{Device, Host, MainRoute, NetworkView, UplinkView};
pub use survey::{
    Base, Chain, Effect, Flowtable, ForeignRoute, MarkWrite, Match, PolicyRule, Rule, RuleAction,
    Survey, Table, Test, Verdict, View, state,
};

use crate::state::PROTOCOL;
use crate::status::{Conflict, ConflictKind};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use owner::Owner;
use walk::Place;

/// What was found; and what could not be looked at, a sentence each.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Findings {
    /// Conflicts, the worst first.
    pub conflicts: Vec<Conflict>,
    /// What could not be looked at.
    pub unread: Vec<String>,
}

/// Examines what was read.
pub fn examine(view: &View, survey: &Survey) -> Findings {
    let mut steps = MOST_STEPS;
    let mut conflicts = Vec::new();
    for table in &survey.tables {
        conflicts.extend(chains::examine(view, survey, table, &mut steps));
    }
    let is_foreign = |rule: &&PolicyRule| rule.protocol != PROTOCOL;
    let rules: Vec<&PolicyRule> = survey.rules.iter().filter(is_foreign).collect();
    conflicts.extend(ladder::examine(view, survey, &rules));
    conflicts.extend(marks::all(view, survey, &rules));
    conflicts.extend(ladder::routes(view, &survey.routes));
    conflicts.extend(host::examine(view, survey));
    if view.external && survey.has_firewall && !marks::pins(view, survey) {
        conflicts.push(not_loaded(view));
    }
    conflicts.sort_by_key(|conflict| (!conflict.certain, conflict.kind));
    let mut unread = survey.unread.clone();
    if steps == 0 {
        unread.push("the foreign rules are too many: only a part of them was followed".into());
    }
    if conflicts.len() > MOST_CONFLICTS {
        unread.push(format!("{} more conflicts", conflicts.len() - MOST_CONFLICTS));
        conflicts.truncate(MOST_CONFLICTS);
    }
    Findings { conflicts, unread }
}

fn not_loaded(view: &View) -> Conflict {
    Conflict {
        kind: ConflictKind::NotLoaded,
        certain: true,
        owner: "firewall mode external".into(),
        object: format!("no rule sets connection marks under {:#010x}", view.mark_mask),
        place: None,
        effect: "no connection is pinned to its uplink, nor translated".into(),
        remedy: "rail generate firewall --format nft | nft -f -".into(),
        uplinks: Vec::new(),
    }
}

/// A conflict with a rule, or a policy, of a table.
fn conflict(
    kind: ConflictKind,
    certain: bool,
    owner: Option<Owner>,
    table: &Table,
    place: Place<'_>,
    effect: String,
    remedy: String,
) -> Conflict {
    let program = if table.iptables { "iptables" } else { "nft" };
    let chain = table.chains.iter().find(|chain| chain.name == place.chain);
    let rule = place.rule.and_then(|index| chain?.rules.get(index));
    let what = rule.map_or_else(|| "policy drop".to_string(), |rule| rule.text.clone());
    let whole = format!("{} {}", table.family, table.name);
    let at = format!("{program} table {whole}, chain {}", place.chain);
    Conflict {
        kind,
        certain,
        owner: owner.map_or_else(|| format!("table {whole}"), |owner| owner.name().into()),
        object: format!("{at}: {what}"),
        place: Some(at),
        effect,
        remedy,
        uplinks: Vec::new(),
    }
}

/// A conflict with a policy rule.
fn policy_conflict(
    kind: ConflictKind,
    certain: bool,
    rule: &PolicyRule,
    effect: String,
    remedy: String,
) -> Conflict {
    let owner = ladder::owner_name(rule);
    Conflict {
        kind,
        certain,
        owner,
        object: format!("ip rule {rule}"),
        place: None,
        effect,
        remedy,
        uplinks: Vec::new(),
    }
}

fn list(names: &[String]) -> String {
    names.join(", ")
}

/// Rules that are looked at; a host with thousands of services has some ten thousand.
const MOST_STEPS: u32 = 500_000;
/// Conflicts that are reported.
const MOST_CONFLICTS: usize = 32;

#[cfg(test)]
mod tests;
