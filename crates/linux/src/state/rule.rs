//! Policy rules: read, added, deleted. Ours bear protocol 82; a delete is preceded by a look, so that it
//! cannot hit another rule which the kernel would take for the same.

use super::unless;
use crate::netlink::{RequestSocket, error, of};
use rail_core::net::{Family, Prefix};
use rail_core::state::{ObservedRule, OpError, PROTOCOL, REFUSED, Rule};
use rail_wire::netlink::{Beyond, RuleMessage, family, kind};

impl RequestSocket {
    pub(crate) fn rules(&mut self) -> Result<Vec<RuleMessage>, OpError> {
        let mut rules = Vec::new();
        for family in [family::INET, family::INET6] {
            let found = self.dump(&RuleMessage::dump(family), |message| {
                of(message, kind::NEW_RULE, RuleMessage::decode)
            });
            match found {
                Ok(found) => rules.extend(found),
                // A kernel without IPv6 has no rules for it.
                Err(e) if e.errno == libc::EAFNOSUPPORT || e.errno == libc::EOPNOTSUPP => {}
                Err(e) => return Err(e),
            }
        }
        Ok(rules)
    }

    pub(super) fn put_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        match self.change(&rule_message(rule).add(true)) {
            // The kernel says so as well about a narrower rule; ours is added beside it.
            Err(e) if e.errno == libc::EEXIST => {
                let is_it = |found| known_rule(&found, rule.family).as_ref() == Some(rule);
                let of_family = self.rules()?.into_iter();
                let family = rule_message(rule).family;
                if of_family.filter(|found| found.family == family).any(is_it) {
                    return Ok(());
                }
                self.change(&rule_message(rule).add(false))
            }
            other => other,
        }
    }

    pub(super) fn drop_rule(&mut self, rule: &Rule) -> Result<(), OpError> {
        // To the kernel a missing selector means "any", and it deletes the first that fits.
        let wanted = rule_message(rule);
        let fits = |found: &RuleMessage| {
            (found.family, found.priority, found.protocol, found.table, found.refuses)
                == (wanted.family, wanted.priority, PROTOCOL, wanted.table, wanted.refuses)
                && wanted.destination.is_none_or(|to| found.destination == Some(to))
                && wanted.source.is_none_or(|source| found.source == Some(source))
                && (wanted.iif.is_none() || found.iif == wanted.iif)
                && (wanted.oif.is_none() || found.oif == wanted.oif)
                && wanted.mark.is_none_or(|mark| found.mark == Some(mark))
                && wanted
                    .suppress_prefix_length
                    .is_none_or(|length| found.suppress_prefix_length == Some(length))
        };
        let mut fitting = self.rules()?.into_iter().filter(fits);
        let Some(first) = fitting.next() else { return Ok(()) };
        if known_rule(&first, rule.family).as_ref() == Some(rule) {
            return unless(self.change(&wanted.remove()), &[libc::ENOENT]);
        }
        if fitting.any(|found| known_rule(&found, rule.family).as_ref() == Some(rule)) {
            return Err(error(libc::EBUSY, "a narrower rule with the same priority hides it"));
        }
        Ok(())
    }
}

fn rule_message(rule: &Rule) -> RuleMessage {
    RuleMessage {
        family: match rule.family {
            Family::V4 => family::INET,
            Family::V6 => family::INET6,
        },
        priority: rule.priority,
        protocol: PROTOCOL,
        table: rule.table,
        refuses: rule.table == REFUSED,
        source: rule.from.map(|prefix| (prefix.network().address, prefix.length)),
        destination: rule.to.map(|prefix| (prefix.network().address, prefix.length)),
        iif: rule.iif.map(|name| name.to_string()),
        oif: rule.oif.map(|name| name.to_string()),
        mark: rule.fwmark,
        suppress_prefix_length: rule.suppress_prefixlength,
        is_partial: false,
        beyond: Beyond::default(),
    }
}

pub(super) fn observed_rule(rule: &RuleMessage) -> Option<ObservedRule> {
    let family = match rule.family {
        family::INET => Family::V4,
        family::INET6 => Family::V6,
        _ => return None,
    };
    let RuleMessage { priority, protocol, .. } = *rule;
    Some(ObservedRule { rule: known_rule(rule, family), priority, family, protocol })
}

/// The rule, if it has no more than we know.
fn known_rule(rule: &RuleMessage, family: Family) -> Option<Rule> {
    if rule.is_partial {
        return None;
    }
    let device = |name: &Option<String>| match name {
        Some(name) => name.parse().ok().map(Some),
        None => Some(None),
    };
    let (iif, oif) = (device(&rule.iif)?, device(&rule.oif)?);
    let prefix = |(address, length)| Prefix { address, length };
    Some(Rule {
        priority: rule.priority,
        family,
        from: rule.source.map(prefix),
        to: rule.destination.map(prefix),
        iif,
        oif,
        fwmark: rule.mark,
        table: if rule.refuses { REFUSED } else { rule.table },
        suppress_prefixlength: rule.suppress_prefix_length,
    })
}
