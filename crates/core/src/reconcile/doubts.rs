//! Absences that are not believed yet.
//!
//! A dump of addresses, routes or rules can omit an entry without a flag when another entry changes
//! while it is read. So an entry that was there and is missing for the first time is kept, and the
//! kernel is read once more; only an entry that two readings in a row lack is gone. Leaves out what
//! the kernel answers to a question about a single object, and tables that are read whole.

use crate::net::{IfName, Prefix};
use crate::state::{GivenDefault, Key, MainDefault, Observed, ObservedRule, RouteKey, Scope};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

/// What the last reading lacked for the first time.
#[derive(Clone, Debug, Default)]
pub struct Doubts {
    addresses: BTreeSet<(IfName, Prefix)>,
    routes: BTreeSet<RouteKey>,
    rules: Vec<ObservedRule>,
    main: Option<MainDefault>,
    defaults: Vec<GivenDefault>,
    /// They were asked for, and no reading has shown them yet.
    created: BTreeSet<Key>,
}

impl Doubts {
    /// The kernel answered a change that brings this object about.
    pub fn created(&mut self, key: &Key) {
        if key.in_dump(&Observed::default()).is_some() {
            self.created.insert(key.clone());
        }
    }

    /// Adds to `newer` what it lacks for the first time, and names the kinds to be read again.
    pub fn complete(&mut self, scope: Scope, known: &Observed, newer: &mut Observed) -> Scope {
        let mut again = Scope::NONE;
        if scope.has(Scope::ADDRESSES) {
            let doubted = &mut self.addresses;
            let is_whole = complete(doubted, &known.addresses, &mut newer.addresses);
            let ends = doubted.iter().filter_map(|key| Some((*key, *known.peers.get(key)?)));
            newer.peers.extend(ends);
            again |= asked(Scope::ADDRESSES, is_whole);
            if !is_whole {
                let gone = known.given.iter().filter(|known| !newer.given.contains(known));
                let gone: Vec<_> = gone.cloned().collect();
                newer.given.extend(gone);
            }
        }
        if scope.has(Scope::ROUTES) {
            let is_whole = complete(&mut self.routes, &known.routes, &mut newer.routes);
            again |= asked(Scope::ROUTES, is_whole);
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
            let is_first = |default: &&GivenDefault| {
                !newer.defaults.contains(default) && !self.defaults.contains(default)
            };
            let first: Vec<_> = known.defaults.iter().filter(is_first).copied().collect();
            newer.defaults.extend(&first);
            self.defaults = first;
            again |= asked(Scope::MAIN, self.defaults.is_empty());
        }
        again | self.missed(scope, newer)
    }

    /// The kinds of what was created and the first reading after it lacks.
    fn missed(&mut self, scope: Scope, newer: &Observed) -> Scope {
        let mut missed = Scope::NONE;
        self.created.retain(|key| {
            let Some((kind, is_there)) = key.in_dump(newer) else { return false };
            let is_read = scope.has(kind);
            missed |= asked(kind, is_there || !is_read);
            !is_read
        });
        missed
    }
}

/// Of these kinds a dump can lack an entry that is there.
pub const DUMPED: Scope = Scope::ADDRESSES.with(Scope::ROUTES).with(Scope::RULES).with(Scope::MAIN);

const fn asked(scope: Scope, is_empty: bool) -> Scope {
    if is_empty { Scope::NONE } else { scope }
}

/// Adds what is missing for the first time, and remembers it; true if nothing is.
fn complete<K: Ord + Clone, V: Clone>(
    doubted: &mut BTreeSet<K>,
    known: &BTreeMap<K, V>,
    newer: &mut BTreeMap<K, V>,
) -> bool {
    let is_first = |key: &&K| !newer.contains_key(*key) && !doubted.contains(*key);
    let first: BTreeSet<K> = known.keys().filter(is_first).cloned().collect();
    newer.extend(first.iter().filter_map(|key| Some((key.clone(), known.get(key)?.clone()))));
    *doubted = first;
    doubted.is_empty()
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

    /// Given a device that went and came back with another index, when its new default is read, then it is there at
    /// once, beside the old one, which is gone with the second reading.
    #[test]
    fn what_is_new_is_believed_at_once() {
        let default = |ifindex| GivenDefault {
            prefix: Prefix::default_route(Family::V4),
            metric: 100,
            protocol: 16,
            ifindex,
            gateway: None,
            source: None,
            mtu: None,
        };
        let (before, after) = (default(3), default(4));
        let mut known = Observed { defaults: alloc::vec![before], ..Observed::default() };
        let mut doubts = Doubts::default();
        for (there, again) in
            [(alloc::vec![after, before], Scope::MAIN), (alloc::vec![after], Scope::NONE)]
        {
            let mut newer = Observed { defaults: alloc::vec![after], ..Observed::default() };
            assert_eq!(doubts.complete(Scope::MAIN, &known, &mut newer), again);
            assert_eq!(newer.defaults, there);
            known = newer;
        }
    }
}
