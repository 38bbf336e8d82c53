//! Which marks buckets can get now: those that the rules in the kernel know.
//!
//! The rules that stand may be older than the wanted ones for as long as a transaction takes, or for
//! ever if it is refused. A mark that they know as it was wanted before leads out by its uplink, too,
//! as it did until now. That is enough, unless the uplink has become another one since: then packets
//! would leave with the source of before.

use super::Transaction;
use crate::state::{
    Chain, Firewall, Key, NFT_BUCKETS, Observed, ObservedFirewall, Op, Resource, RouteValue,
    Sender, State, Step, firewall,
};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

/// What the rules know.
#[derive(Copy, Clone)]
pub(in super::super) struct Known<'a> {
    pub(super) desired: &'a State,
    pub(super) observed: &'a Observed,
    pub(super) transaction: Option<&'a Transaction>,
    pub(super) stood: &'a Stood,
}

/// What rules that were wanted before had of each mark, some of which may still stand. What became of a
/// transaction is not asked here: a child may fail after the kernel has taken what it was to make, or
/// succeed for nothing. The kernel's table tells which of them stand.
#[derive(Clone, Debug, Default)]
pub(in super::super) struct Stood {
    /// By mark, in the order in which they were wanted.
    parts: BTreeMap<u32, Vec<Firewall>>,
    /// The rules that came last.
    last: Option<Firewall>,
}

impl Stood {
    /// Kept of one mark at most.
    const KEPT: usize = 4;

    /// These stand, or may from now on. Of too many the first is forgotten that is not in this table.
    pub(in super::super) fn add(&mut self, rules: &Firewall, have: Option<&ObservedFirewall>) {
        if self.is_last(rules) {
            return;
        }
        for (mark, sender) in &rules.senders {
            let part = part(rules, *mark, sender);
            let known = self.parts.entry(*mark).or_default();
            if known.contains(&part) {
                continue;
            }
            if known.len() >= Self::KEPT {
                let stands = |part: &Firewall| have.is_some_and(|have| stands(part, *mark, have));
                let gone = known.iter().position(|part| !stands(part));
                known.remove(gone.unwrap_or(0));
            }
            known.push(part);
        }
        self.last = Some(rules.clone());
    }

    /// True if these came last.
    pub(super) fn is_last(&self, rules: &Firewall) -> bool {
        self.last.as_ref() == Some(rules)
    }

    /// Whether the rules that stand let out nothing that the wanted ones would not, if any of these stand.
    /// Some may be a part of others: those with the most rules let out the most.
    fn serves(&self, mark: u32, want: &Firewall, have: &ObservedFirewall) -> Option<bool> {
        let known = self.parts.get(&mark).into_iter().flatten();
        let standing = known.filter(|part| stands(part, mark, have));
        let count =
            |part: &Firewall| part.chains.iter().map(|chain| chain.rules.len()).sum::<usize>();
        let most = standing.map(|part| (count(part), is_same_sender(mark, want, part))).max();
        most.map(|(_, is_same)| is_same)
    }
}

/// What rules have of one mark, but for the way to the chains of all marks.
fn part(rules: &Firewall, mark: u32, sender: &Sender) -> Firewall {
    let mut chains: Vec<Chain> = Vec::new();
    for (chain, rule, _) in rules.mentions(mark).filter(|(.., leads)| !leads) {
        match chains.last_mut() {
            Some(last) if last.name == chain.name => last.rules.push(rule.into()),
            _ => {
                chains.push(Chain { rules: vec![rule.into()], name: chain.name.clone(), ..*chain })
            }
        }
    }
    Firewall::new(chains, BTreeMap::from([(mark, sender.clone())]))
}

impl Known<'_> {
    /// True if the rules that are there can do with the buckets as they are to be: each mark is in use
    /// already, or known to them, and the rules that draw a bucket draw from as many.
    pub(super) fn fits(&self, step: &Step) -> bool {
        let Op::Buckets { del, add } = &step.op else { return false };
        let Some(have) = self.observed.firewall.as_ref() else { return false };
        let Some(want) = self.wanted() else { return false };
        let is_number_equal =
            del.iter().map(|(bucket, _)| bucket).eq(add.iter().map(|(bucket, _)| bucket));
        let word = format!("@{NFT_BUCKETS}");
        let draw_alike = || {
            want.chains.iter().all(|chain| {
                let mut rules = chain.rules.iter().filter(|rule| rule.contains(&word));
                rules.all(|rule| is_in_place(have, chain, rule))
            })
        };
        (is_number_equal || draw_alike()) && self.has_all(step)
    }

    /// True if each mark that a step brings into the map is in use already, or known to the rules that
    /// are there, and to those that a transaction is making. Any other step brings none.
    pub(super) fn has_all(&self, step: &Step) -> bool {
        let Op::Buckets { add, .. } = &step.op else { return true };
        let marks: BTreeSet<u32> = add.iter().map(|(_, mark)| *mark).collect();
        marks.iter().all(|mark| self.has(*mark))
    }

    /// The same for one mark.
    pub(super) fn has(&self, mark: u32) -> bool {
        let Some(have) = self.observed.firewall.as_ref() else { return false };
        let Some(buckets) = &have.buckets else { return false };
        let Some(want) = self.wanted() else { return false };
        // Rules that somebody damaged, or that are as they were wanted before, do no more harm than they do.
        let is_in_use = buckets.values().any(|used| *used == mark);
        // That the wanted rules stand says nothing of others that were to go and still let more out.
        let serves =
            || self.stood.serves(mark, want, have).unwrap_or_else(|| stands(want, mark, have));
        let is_known = is_in_use || serves();
        is_known
            && self.transaction.and_then(Transaction::made).is_none_or(|made| {
                makes(made, want, mark)
                    || (is_in_use && made.mentions(mark).next().is_some())
                    || is_same_sender(mark, want, made)
            })
    }

    /// True if a step opens the way out by an interface while the rules that stand still let out there what
    /// the wanted ones would not: connections of an uplink that comes back with another address would leave
    /// with the source of before.
    pub(super) fn is_opened_too_early(&self, step: &Step) -> bool {
        let Op::Put { value: Resource::Route(value), replace: false } = &step.op else {
            return false;
        };
        let RouteValue::Unicast { nexthops, .. } = value else { return false };
        let (Some(have), Some(want)) = (self.observed.firewall.as_ref(), self.wanted()) else {
            return false;
        };
        nexthops.iter().any(|hop| {
            let mut its = want.senders.iter().filter(|(_, sender)| sender.ifname == hop.ifname);
            its.any(|(mark, _)| self.stood.serves(*mark, want, have) == Some(false))
        })
    }

    /// True if the wanted rules of every uplink stand.
    pub(super) fn all_stand(&self) -> bool {
        let (Some(have), Some(want)) = (self.observed.firewall.as_ref(), self.wanted()) else {
            return false;
        };
        want.senders.keys().all(|mark| stands(want, *mark, have))
    }

    fn wanted(&self) -> Option<&Firewall> {
        match self.desired.get(&Key::Firewall) {
            Some(Resource::Firewall(want)) => Some(want),
            _ => None,
        }
    }
}

impl Transaction {
    /// The rules as they will be.
    const fn made(&self) -> Option<&Firewall> {
        match &self.rules {
            Some(Resource::Firewall(made)) => Some(made),
            _ => None,
        }
    }
}

/// True if older rules let out under this mark nothing that the wanted ones would not.
fn is_same_sender(mark: u32, want: &Firewall, older: &Firewall) -> bool {
    let senders = want.senders.get(&mark).zip(older.senders.get(&mark));
    senders.is_some_and(|(new, old)| new.covers(old))
}

/// True if a transaction makes rules that know this mark as the wanted ones do.
fn makes(made: &Firewall, want: &Firewall, mark: u32) -> bool {
    know(want, mark, |chain, rule| {
        let there = made.chains.iter().find(|there| there.name == chain.name);
        there.is_some_and(|there| there.rules.iter().any(|made| made == rule))
    })
}

/// True if a wanted rule is in place.
fn is_in_place(have: &ObservedFirewall, chain: &Chain, rule: &str) -> bool {
    let there = have.chains.get(&chain.name).filter(|there| there.base == chain.base);
    let stamp = Some(firewall::stamp(&chain.name, rule));
    there.is_some_and(|there| there.rules.iter().any(|have| have.stamp == stamp))
}

/// True if rules know a mark as these do. A rule that leads each mark to a chain of its own
/// changes with every other uplink, and says nothing of this one: the chain itself does, for both
/// come and go in one transaction.
fn know(rules: &Firewall, mark: u32, is_there: impl Fn(&Chain, &str) -> bool) -> bool {
    rules.mentions(mark).all(|(chain, rule, leads)| leads || is_there(chain, rule))
}

/// True if what these rules have of a mark is in place.
fn stands(rules: &Firewall, mark: u32, have: &ObservedFirewall) -> bool {
    know(rules, mark, |chain, rule| is_in_place(have, chain, rule))
}
