//! Absences that are not believed yet.
//!
//! A dump of addresses, routes or rules can omit an entry without a flag when another entry changes
//! while it is read. So an entry that was there and is missing for the first time is kept, and the
//! kernel is read once more; only an entry that two readings in a row lack is gone. Leaves out what
//! the kernel answers to a question about a single object, and tables that are read whole.

use crate::net::{IfName, Prefix};
use crate::state::{Key, MainDefault, Observed, ObservedRule, RouteKey, Scope};
use alloc::collections::BTreeSet;
use alloc::vec::Vec;

/// What the last reading lacked for the first time.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    addresses: BTreeSet<(IfName, Prefix)>,
    routes: BTreeSet<RouteKey>,
    rules: Vec<ObservedRule>,
    main: Option<MainDefault>,
    /// They were asked for, and no reading has shown them yet.
    created: BTreeSet<Key>,
}

impl Doubts {
    /// The kernel answered a change that brings this object about.
    pub fn created(&mut self, key: &Key) {
        if matches!(key, Key::Address { .. } | Key::Route(_) | Key::Rule(_)) {
            self.created.insert(key.clone());
        }
    }

    /// Adds to `newer` what it lacks for the first time, and names the kinds to be read again.
    pub fn complete(&mut self, scope: Scope, known: &Observed, newer: &mut Observed) -> Scope {
        let mut again = Scope::NONE;
        if scope.has(Scope::ADDRESSES) {
            let lacks = |k: &&(IfName, Prefix)| !newer.addresses.contains_key(*k);
            let missing: BTreeSet<_> = known.addresses.keys().filter(lacks).copied().collect();
            let first: Vec<_> = missing.difference(&self.addresses).copied().collect();
            newer.addresses.extend(first.iter().map(|key| (*key, known.addresses[key])));
            self.addresses = first.into_iter().collect();
            again |= asked(Scope::ADDRESSES, self.addresses.is_empty());
        }
        if scope.has(Scope::ROUTES) {
            let lacks = |k: &&RouteKey| !newer.routes.contains_key(*k);
            let missing: BTreeSet<_> = known.routes.keys().filter(lacks).cloned().collect();
            let first: BTreeSet<_> = missing.difference(&self.routes).cloned().collect();
            newer.routes.extend(first.iter().map(|key| (key.clone(), known.routes[key].clone())));
            self.routes = first;
            again |= asked(Scope::ROUTES, self.routes.is_empty());
        }
        if scope.has(Scope::RULES) {
            let is_first =
                |rule: &&ObservedRule| !newer.rules.contains(rule) && !self.rules.contains(rule);
            let first: Vec<ObservedRule> = known.rules.iter().filter(is_first).cloned().collect();
            newer.rules.extend(first.iter().cloned());
            self.rules = first;
            again |= asked(Scope::RULES, self.rules.is_empty());
        }
        if scope.has(Scope::MAIN) {
            let is_less = !newer.main.has_all_of(&known.main);
            let is_first = is_less && self.main.as_ref() != Some(&newer.main);
            self.main = is_first.then(|| core::mem::replace(&mut newer.main, known.main.clone()));
            again |= asked(Scope::MAIN, !is_first);
        }
        again | self.missed(scope, newer)
    }

    /// The kinds of what was created and the first reading after it lacks.
    fn missed(&mut self, scope: Scope, newer: &Observed) -> Scope {
        let mut missed = Scope::NONE;
        self.created.retain(|key| {
            let (kind, is_there) = match key {
                Key::Address { ifname, prefix } => {
                    (Scope::ADDRESSES, newer.addresses.contains_key(&(*ifname, *prefix)))
                }
                Key::Route(route) => (Scope::ROUTES, newer.routes.contains_key(route)),
                Key::Rule(rule) => {
                    (Scope::RULES, newer.rules.iter().any(|r| r.rule.as_ref() == Some(rule)))
                }
                Key::Guard | Key::Firewall | Key::Buckets | Key::Sysctl(_) => return false,
            };
            let is_read = scope.has(kind);
            missed |= asked(kind, is_there || !is_read);
            !is_read
        });
        missed
    }
}

/// Of these kinds a dump can lack an entry that is there.
pub const DUMPED: Scope =
    Scope(Scope::ADDRESSES.0 | Scope::ROUTES.0 | Scope::RULES.0 | Scope::MAIN.0);

const fn asked(scope: Scope, is_empty: bool) -> Scope {
    if is_empty { Scope::NONE } else { scope }
}

impl Observed {
    /// Forgets an object that we have deleted: that it is missing is no surprise.
    pub fn forget(&mut self, key: &Key) {
        match key {
            Key::Address { ifname, prefix } => drop(self.addresses.remove(&(*ifname, *prefix))),
            Key::Route(route) => drop(self.routes.remove(route)),
            Key::Rule(rule) => {
                let is_it = |r: &ObservedRule| {
                    r.protocol == crate::state::PROTOCOL && r.rule.as_ref() == Some(rule)
                };
                self.rules.retain(|r| !is_it(r));
            }
            Key::Guard | Key::Firewall | Key::Buckets | Key::Sysctl(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::Family;
    use crate::state::{Ownership, PROTOCOL, Rule};

    /// Given an address, a rule and a later reading without them, then they count as there until a
    /// second reading lacks them, too; one that has them takes the doubt away.
    #[test]
    fn one_absence_is_no_evidence() {
        let all = Scope::ADDRESSES | Scope::ROUTES | Scope::RULES;
        let address: (IfName, Prefix) = ("wan1".parse().unwrap(), "192.0.2.2/24".parse().unwrap());
        let rule = Rule::lookup(20_100, Family::V4, 20_001);
        let mut known = Observed::default();
        known.addresses.insert(address, Ownership::Ours);
        let (priority, family) = (rule.priority, rule.family);
        known.rules.push(ObservedRule {
            rule: Some(rule.clone()),
            priority,
            family,
            protocol: PROTOCOL,
        });
        let mut doubts = Doubts::default();
        let mut look = |newer: &Observed| {
            let mut newer = newer.clone();
            let again = doubts.complete(all, &known, &mut newer);
            (again, newer == known)
        };
        let nothing = Observed::default();
        assert_eq!(look(&nothing), (Scope::ADDRESSES | Scope::RULES, true));
        assert_eq!(look(&known), (Scope::NONE, true));
        assert_eq!(look(&nothing), (Scope::ADDRESSES | Scope::RULES, true));
        assert_eq!(look(&nothing), (Scope::NONE, false));
        known.forget(&Key::Rule(rule));
        known.forget(&Key::Address { ifname: address.0, prefix: address.1 });
        assert_eq!(known, nothing);
    }
}
