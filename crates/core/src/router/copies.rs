//! Copies of policy rules of others that stand behind ours.
//!
//! `ip rule del` without a priority deletes the first rule that fits, and that is the copy. Whoever does so
//! wants the rule gone: so the copy does not come back while the rule itself stands, that is told, and the
//! same command then finds the rule. A copy that went together with rules of ours is put back with them.

use super::Router;
use crate::net::Prefix;
use crate::notice::{Notice, Severity};
use crate::output::Output;
use crate::render::behind;
use crate::state::{Observed, ObservedRule, PROTOCOL, Rule, Scope};
use alloc::format;
use alloc::vec::Vec;

impl Router {
    /// Takes note of copies that somebody deleted alone, before a new reading is taken over.
    pub(super) fn note_deleted_copies(
        &mut self,
        scope: Scope,
        newer: &Observed,
        out: &mut Vec<Output>,
    ) {
        if !scope.has(Scope::RULES) {
            return;
        }
        let is_gone = |rule: &&Rule| !ours(&newer.rules).any(|there| there == *rule);
        let gone: Vec<Rule> = ours(&self.observed.rules).filter(is_gone).cloned().collect();
        if gone.iter().any(|rule| !self.facts.copies.contains(rule)) {
            return;
        }
        for copy in gone {
            let Some(original) = original(&copy, &newer.rules) else { continue };
            let text = format!(
                "somebody deleted rail's copy of the policy rule {original}, but not the rule, which acts no \
                 more behind rail's rules: delete it with its priority"
            );
            out.push(Output::Notice(Notice::Daemon { severity: Severity::Warn, text }));
            self.deleted_copies.push(copy);
        }
    }

    /// The copies that there are to be. One that somebody deleted may come again when its rule has gone.
    pub(super) fn copies(&mut self) -> Vec<Rule> {
        let rules = &self.observed.rules;
        self.deleted_copies.retain(|copy| original(copy, rules).is_some());
        let own: Vec<Prefix> = self.observed.addresses.keys().map(|(_, prefix)| *prefix).collect();
        let mut copies = behind::copies(&self.config, rules, &own);
        copies.retain(|copy| !self.deleted_copies.iter().any(|gone| is_alike(gone, copy)));
        copies
    }
}

fn ours(rules: &[ObservedRule]) -> impl Iterator<Item = &Rule> {
    rules.iter().filter(|rule| rule.protocol == PROTOCOL).filter_map(|rule| rule.rule.as_ref())
}

/// The rule of somebody else that a copy is of.
fn original<'a>(copy: &Rule, rules: &'a [ObservedRule]) -> Option<&'a Rule> {
    let theirs = rules.iter().filter(|rule| rule.protocol != PROTOCOL);
    theirs.filter_map(|rule| rule.rule.as_ref()).find(|rule| is_alike(copy, rule))
}

/// Equal but for the priority.
fn is_alike(a: &Rule, b: &Rule) -> bool {
    Rule { priority: b.priority, ..a.clone() } == *b
}
