//! Copies of policy rules of others that stand behind ours.
//!
//! `ip rule del` without a priority deletes the first rule that fits, and that is the copy. Whoever does so
//! wants the rule gone: so for a few seconds the copy stays away, and the same command again finds the rule.
//! If that still stands then, as after a script that deletes rules and adds them again, the copy comes back.
//! A copy that went together with rules of ours is repaired with them at once.

use super::Reconciler;
use crate::config::Config;
use crate::io::Output;
use crate::net::Prefix;
use crate::notice::{Notice, Severity};
use crate::render::behind;
use crate::state::{Observed, ObservedRule, PROTOCOL, Rule};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

impl Reconciler {
    /// Takes note of copies that somebody deleted alone, before a new reading is taken over.
    pub(crate) fn note_deleted_copies(
        &mut self,
        now: Instant,
        wanted: &[Rule],
        newer: &Observed,
        out: &mut Vec<Output>,
    ) {
        let is_gone = |rule: &&Rule| !ours(&newer.rules).any(|there| there == *rule);
        let gone: Vec<Rule> = ours(&self.observed.rules).filter(is_gone).cloned().collect();
        if gone.iter().any(|rule| !wanted.contains(rule)) {
            return;
        }
        for copy in gone {
            let Some(original) = original(&copy, &newer.rules) else { continue };
            out.push(reported(
                Severity::Warn,
                format!(
                    "somebody deleted rail's copy of the policy rule {original}. The rule itself still \
                     stands, without effect; delete it, too: `ip rule del priority {}`. If it still stands \
                     in {} s, rail puts the copy back",
                    original.priority,
                    AWAY.as_secs()
                ),
            ));
            self.deleted_copies.push((now + AWAY, copy));
        }
    }

    /// The copies that there are to be. One that somebody deleted stays away for a while.
    pub(crate) fn copies(
        &mut self,
        now: Instant,
        config: &Config,
        out: &mut Vec<Output>,
    ) -> Vec<Rule> {
        let rules = &self.observed.rules;
        self.deleted_copies.retain(|(until, copy)| {
            let original = original(copy, rules);
            if let Some(original) = original
                && *until <= now
            {
                let text = format!(
                    "rail puts its copy of the policy rule {original} back, because the rule still stands"
                );
                out.push(reported(Severity::Warn, text));
            }
            original.is_some() && *until > now
        });
        let own: Vec<Prefix> = self.observed.addresses.keys().map(|(_, prefix)| *prefix).collect();
        let mut copies = behind::copies(config, rules, &own);
        copies.retain(|copy| !self.deleted_copies.iter().any(|(_, gone)| is_alike(gone, copy)));
        copies
    }

    /// When the next copy that somebody deleted may come back.
    pub(crate) fn copies_deadline(&self) -> Option<Instant> {
        self.deleted_copies.iter().map(|(until, _)| *until).min()
    }
}

/// Time to delete the rule, too. What the rule is for leaves by an uplink meanwhile.
const AWAY: Duration = Duration::from_secs(3);

fn reported(severity: Severity, text: String) -> Output {
    Output::Notice(Notice::daemon(severity, text))
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
