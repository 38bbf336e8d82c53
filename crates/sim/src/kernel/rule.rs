//! Rules of the fake kernel.

use super::Kernel;
use rail_core::state::{ObservedRule, OpError, PROTOCOL, Rule};

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FibRule {
    /// Rule.
    pub rule: Rule,
    /// Protocol.
    pub protocol: u8,
}

impl Kernel {
    pub(super) fn observe_rules(&self) -> Vec<ObservedRule> {
        let seen = |have: &FibRule| ObservedRule {
            rule: Some(have.rule.clone()),
            priority: have.rule.priority,
            family: have.rule.family,
            protocol: have.protocol,
        };
        self.rules.iter().map(seen).collect()
    }

    pub(super) fn put_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        self.add_rule(rule.clone(), PROTOCOL);
        Ok(())
    }

    /// Deletes a rule of ours.
    pub(super) fn del_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        self.rules.retain(|have| have.rule != *rule || have.protocol != PROTOCOL);
        Ok(())
    }

    /// Adds a rule behind those of the same priority; the same one is not added twice.
    pub fn add_rule(&mut self, rule: Rule, protocol: u8) {
        if self.rules.iter().any(|r| r.rule == rule) {
            return;
        }
        let at = self.rules.partition_point(|r| r.rule.priority <= rule.priority);
        self.rules.insert(at, FibRule { rule, protocol });
    }
}
