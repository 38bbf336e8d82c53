//! Policy rules: read, added, deleted. Ours bear protocol 82; a delete is preceded by a look, so that it
//! cannot hit another rule which the kernel would take for the same.

use super::unless;
use crate::netlink::{RequestSocket, error, of};
use rail_core::net::{Family, Prefix};
use rail_core::state::{NO_WAY, ObservedRule, OpError, PROTOCOL, REFUSED, Rule};
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
            let acts = |rule: &RuleMessage| (rule.table, rule.refuses, rule.drops);
            (found.family, found.priority, found.protocol)
                == (wanted.family, wanted.priority, PROTOCOL)
                && acts(found) == acts(&wanted)
                && wanted.destination.is_none_or(|to| found.destination == Some(to))
                && wanted.source.is_none_or(|source| found.source == Some(source))
                && (wanted.iif.is_none() || found.iif == wanted.iif)
                && (wanted.oif.is_none() || found.oif == wanted.oif)
                && wanted.mark.is_none_or(|mark| found.mark == Some(mark))
                && wanted.ip_protocol.is_none_or(|number| found.ip_protocol == Some(number))
                && wanted.source_ports.is_none_or(|ports| found.source_ports == Some(ports))
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
        table: if rule.table == NO_WAY { 0 } else { rule.table },
        refuses: rule.table == REFUSED,
        drops: rule.table == NO_WAY,
        source: rule.from.map(|prefix| (prefix.network().address, prefix.length)),
        destination: rule.to.map(|prefix| (prefix.network().address, prefix.length)),
        iif: rule.iif.map(|name| name.to_string()),
        oif: rule.oif.map(|name| name.to_string()),
        mark: rule.fwmark,
        ip_protocol: rule.udp_from.map(|_| UDP),
        source_ports: rule.udp_from.map(|port| (port, port)),
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
    let udp_from = match (rule.ip_protocol, rule.source_ports) {
        (None, None) => None,
        (Some(UDP), Some((first, last))) if first == last => Some(first),
        _ => return None,
    };
    // What only tunnels have is not looked for in rules of others.
    let is_special = rule.drops || udp_from.is_some();
    if rule.is_partial || (is_special && rule.protocol != PROTOCOL) {
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
        udp_from,
        table: match (rule.refuses, rule.drops) {
            (true, _) => REFUSED,
            (false, true) => NO_WAY,
            (false, false) => rule.table,
        },
        suppress_prefixlength: rule.suppress_prefix_length,
    })
}

const UDP: u8 = 17;
