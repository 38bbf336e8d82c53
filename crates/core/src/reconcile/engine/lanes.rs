//! Two lanes for changes: one for `nft` transactions, and one for all that is a message to the kernel.
//!
//! A transaction is a child process. It can take seconds on a slow board, or hang. A failover needs
//! messages alone, and does not wait for it. So a transaction is started last in its pass, and what
//! comes while it runs is changed beside it, if the rules that stand meanwhile allow it. What depends
//! on the new rules waits until they were read back.
//!
//! In the same way a first change of what stood there before waits until that is on the disk, and
//! nothing else does.

use super::Engine;
use crate::net::{IfName, Prefix};
use crate::notice::Notice;
use crate::state::table::MAIN;
use crate::state::{
    Key, MainDefault, NFT_ELEMENTS, Nexthop, Observed, Op, OpError, PROMOTE_SECONDARIES, PROTOCOL,
    Plan, Rank, Resource, RouteValue, Rule, State, Step, firewall, is_forwarding,
};
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use known::Known;

pub(super) use known::Stood;

mod known;

/// A transaction that was not answered yet.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    /// What it changes.
    pub(super) key: Key,
    /// The buckets that are in it, if they are.
    pub(super) buckets: Option<Resource>,
    /// The rules as they will be.
    pub(super) rules: Option<Resource>,
    /// The map changed after it was made.
    pub(super) is_overtaken: bool,
}

/// What the buckets are while the wanted ones wait for the rules that draw them.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Interim {
    /// Of the wanted uplinks alone, of those that the rules know.
    Left,
    /// Of all wanted uplinks, and of no other.
    Moved,
}

impl Transaction {
    /// True if it was refused for a map that has changed. A child that did not end has other reasons.
    pub(super) const fn was_overtaken(&self, error: &OpError) -> bool {
        self.is_overtaken && error.errno == 0
    }
}

impl Engine {
    /// True if buckets can get this mark now: rules that are there know it, and so do those that a
    /// transaction is making.
    pub fn knows(&self, mark: u32, desired: &State, observed: &Observed) -> bool {
        self.known(desired, observed).has(mark)
    }

    /// Rules of which every mark stands serve later, though others of them may never have stood: a process
    /// that finds such a table must know it when the wish goes on.
    pub(super) fn note_marks(&mut self, desired: &State, observed: &Observed) {
        let Some(Resource::Firewall(want)) = desired.get(&Key::Firewall) else { return };
        if !self.stood.is_last(want) && self.known(desired, observed).all_stand() {
            self.stood.add(want, observed.firewall.as_ref());
        }
    }

    /// What the rules know.
    pub(super) fn known<'a>(&'a self, desired: &'a State, observed: &'a Observed) -> Known<'a> {
        let transaction = self.transaction.as_ref();
        Known { desired, observed, transaction, stood: &self.stood }
    }

    /// A change of the map makes a transaction fail that has elements in it.
    pub(super) fn note_overtaking(&mut self, plan: &Plan) {
        if let Some(transaction) = &mut self.transaction
            && transaction.buckets.is_some()
        {
            transaction.is_overtaken |= plan.iter().any(|step| step.key == Key::Buckets);
        }
    }

    /// What a transaction made is our own change, also if something else is wanted by now and was in
    /// place while it ran.
    pub(super) fn note_ended(&mut self, ended: &Transaction) {
        let made = [(Key::Firewall, &ended.rules), (Key::Buckets, &ended.buckets)];
        for (key, made) in made {
            let is_made = ended.key == Key::Firewall && made.is_some();
            if let Some(entry) = self.ledger.get_mut(&key).filter(|_| is_made)
                && entry.in_place != *made
            {
                entry.in_place = None;
            }
        }
    }

    /// The steps that run in this pass, a transaction last. What may not run beside one waits until
    /// it was read back.
    pub(super) fn choose(
        &mut self,
        now: Instant,
        desired: &State,
        observed: &Observed,
        plan: Plan,
        news: &mut Vec<Notice>,
    ) -> Plan {
        for (_, entry) in self.ledger.iter_mut() {
            entry.is_waiting = false;
        }
        (self.stand_in, self.interim) = (None, None);
        let (texts, rest): (Plan, Plan) = plan.into_iter().partition(is_text);
        let (changes, removals): (Plan, Plan) =
            texts.into_iter().partition(|step| desired.contains_key(&step.key));
        let under_way = self.transaction.clone();
        let are_old = changes.iter().any(|step| step.key == Key::Firewall);
        let mut text = self.choose_text(now, desired, under_way.is_some(), changes, news);
        let is_writing = under_way.is_some() || text.is_some();
        let are_refused = are_old && self.ledger.has_failed(&Key::Firewall);
        let is_in_it = |step: &Step| {
            let buckets = under_way.as_ref().and_then(|transaction| transaction.buckets.as_ref());
            step.key == Key::Buckets && buckets.is_some() && buckets == desired.get(&Key::Buckets)
        };
        let mut chosen = Plan::new();
        for step in rest {
            let joins = step.key == Key::Buckets && text.is_some();
            let known = self.known(desired, observed);
            let fits = joins || may_run_beside(&step, &known);
            // Also while rules are refused and not tried again yet.
            let is_known = (joins || known.has_all(&step)) && !known.is_opened_too_early(&step);
            let hangs = hangs_on(&step, &self.memory.unsaved, observed);
            // Rules that are refused still draw from what they drew from.
            let is_early = is_writing
                || takes_buckets(&step)
                || (are_old && makes_link(&step))
                || (are_refused && is_used_by_rules(&step, observed))
                || (are_old && changes_main_rung(&step, desired, observed));
            if hangs || !is_known || (is_early && !fits) || is_in_it(&step) {
                chosen.extend(self.stand_in(now, step, desired, observed, news));
            } else if self.may_run(now, desired.get(&step.key), &step.key, news) {
                chosen.push(step);
            }
        }
        // The filter and the guard go after all that they protect from.
        let is_early = is_writing || !chosen.is_empty() || !self.memory.unsaved.is_empty();
        text = text.or(self.choose_text(now, desired, is_early, removals, news));
        chosen.extend(text);
        chosen
    }

    /// A step that waits. If it is that of the buckets, the uplinks that are no longer wanted give theirs
    /// away meanwhile, under the keys that the rules draw from: a failover needs no more.
    fn stand_in(
        &mut self,
        now: Instant,
        step: Step,
        desired: &State,
        observed: &Observed,
        news: &mut Vec<Notice>,
    ) -> Option<Step> {
        let is_buckets = step.key == Key::Buckets;
        let have = observed.firewall.as_ref().and_then(|table| table.buckets.as_ref());
        let left = vacated(&self.known(desired, observed)).filter(|_| is_buckets);
        let (Some(have), Some(left)) = (have, left) else {
            self.ledger.of(&step.key).is_waiting = true;
            return None;
        };
        if left == *have {
            self.interim = Some(interim(have, desired));
            self.ledger.of(&step.key).is_waiting = true;
            return None;
        }
        let (del, add) = firewall::buckets_delta(&left, Some(have));
        let left = Resource::Buckets(left);
        let may_run = self.may_run(now, Some(&left), &step.key, news);
        self.stand_in = Some(left);
        may_run.then_some(Step { key: step.key, op: Op::Buckets { del, add } })
    }

    /// The first of these transactions that may run, unless all have to wait.
    fn choose_text(
        &mut self,
        now: Instant,
        desired: &State,
        must_wait: bool,
        texts: Plan,
        news: &mut Vec<Notice>,
    ) -> Option<Step> {
        let mut chosen = None;
        for step in texts {
            if must_wait || chosen.is_some() {
                self.ledger.of(&step.key).is_waiting = true;
            } else if self.may_run(now, desired.get(&step.key), &step.key, news) {
                chosen = Some(step);
            }
        }
        chosen
    }
}

/// True for a step that needs a child.
pub(super) const fn is_text(step: &Step) -> bool {
    matches!(step.op, Op::Script(_))
}

/// True if a step may run while a transaction does: it is right before it and after it.
pub(super) fn may_run_beside(step: &Step, known: &Known<'_>) -> bool {
    let Known { desired, observed, .. } = *known;
    match (&step.key, &step.op) {
        // It comes up at once, and then it must be filtered.
        _ if makes_link(step) => false,
        // A route that is there has its new way in any case.
        (Key::Route(_), Op::Put { replace: true, .. }) => true,
        (Key::Rule(rule), Op::Put { .. } | Op::Drop) if is_main_rung(rule) => {
            has_map(observed) && !changes_main_rung(step, desired, observed)
        }
        // What is wanted comes first, and it may hang on the transaction.
        (_, Op::Drop | Op::Script(_)) => false,
        (Key::Sysctl(_), Op::Put { .. }) => !switches_forwarding_on(step),
        (_, Op::Buckets { .. }) => known.fits(step),
        // Without a filter nothing new is let through.
        (_, Op::Put { .. }) => has_map(observed),
    }
}

/// True if a step takes away what the rules that stand may still use: they were to change, and the
/// kernel refuses that. An address, to which they translate; where the mark of an uplink leads, and
/// the rungs by which packets get there or pass it by.
fn is_used_by_rules(step: &Step, observed: &Observed) -> bool {
    let is_marked =
        |table: u32| our_rules(observed).any(|rule| rule.fwmark.is_some() && rule.table == table);
    match (&step.key, &step.op) {
        // With what an address is on it goes, too.
        (key, Op::Drop) if key.rank() <= Rank::Address => true,
        (Key::Route(route), Op::Drop) => is_marked(route.table),
        (Key::Rule(rule), Op::Drop) => {
            rule.fwmark.is_some() || rule.iif.is_some() || is_marked(rule.table)
        }
        _ => false,
    }
}

/// True for a link of ours that comes up, or takes the place of another one: rules that do not know it would
/// let everything by, and those that stand may still use the other one.
const fn makes_link(step: &Step) -> bool {
    matches!((&step.key, &step.op), (Key::Link(_), Op::Put { .. }))
}

fn our_rules(observed: &Observed) -> impl Iterator<Item = &Rule> {
    let ours = observed.rules.iter().filter(|have| have.protocol == PROTOCOL);
    ours.filter_map(|have| have.rule.as_ref())
}

/// A rung that asks `main` about what begins: for some destinations, or for all.
fn main_rung(step: &Step) -> Option<&Rule> {
    let Key::Rule(rule) = &step.key else { return None };
    is_main_rung(rule).then_some(rule)
}

fn is_main_rung(rule: &Rule) -> bool {
    let Rule { from, iif, oif, fwmark, table, suppress_prefixlength, .. } = rule;
    let is_for_all = from.is_none() && iif.is_none() && oif.is_none() && fwmark.is_none();
    is_for_all && *table == MAIN && suppress_prefixlength.is_some()
}

/// True if it is too early for a step with such a rung, while the rules are not as wanted. One goes
/// when all that are wanted instead are there. The one for all destinations comes back after the rules
/// if an error route of `main` stands behind it: the rules of before would take that for an answer.
fn changes_main_rung(step: &Step, desired: &State, observed: &Observed) -> bool {
    let Some(rule) = main_rung(step) else { return false };
    let mut there = our_rules(observed).filter(|rule| is_main_rung(rule));
    match step.op {
        Op::Drop => {
            let there: Vec<&Rule> = there.collect();
            let mut wanted = desired.keys().filter_map(|key| match key {
                Key::Rule(rule) if is_main_rung(rule) => Some(rule),
                _ => None,
            });
            !wanted.all(|rule| there.contains(&rule))
        }
        Op::Put { .. } => {
            let is_refusing = observed.main != MainDefault::Passable;
            rule.to.is_none() && is_refusing && there.any(|rule| rule.to.is_some())
        }
        _ => false,
    }
}

/// True if a step has to wait until what stood in these places is on the disk: it changes one of them,
/// needs an address among them, or comes after all that is wanted. A route needs the address that is its
/// source, and one in whose network its gateway is, if the interface has none yet.
fn hangs_on(step: &Step, unsaved: &BTreeMap<Key, u64>, observed: &Observed) -> bool {
    let is_coming = |needs: &dyn Fn(IfName, Prefix) -> bool| {
        unsaved.keys().any(|key| match key {
            Key::Address { ifname, prefix } => needs(*ifname, *prefix),
            _ => false,
        })
    };
    let has_network = |hop: &Nexthop| {
        let mut there = observed.addresses.keys().filter(|(name, _)| *name == hop.ifname);
        hop.onlink || there.any(|(_, own)| hop.via.is_none_or(|via| own.contains(via)))
    };
    !unsaved.is_empty()
        && match &step.op {
            Op::Put {
                value: Resource::Route(RouteValue::Unicast { nexthops, source, .. }),
                ..
            } => {
                let without = nexthops.iter().filter(|hop| !has_network(hop));
                let without: Vec<IfName> = without.map(|hop| hop.ifname).collect();
                // Two uplinks may have the same address, each on its interface.
                let leads_by = |ifname| nexthops.iter().any(|hop| hop.ifname == ifname);
                is_coming(&|ifname, own| {
                    *source == Some(own.address) && leads_by(ifname) || without.contains(&ifname)
                })
            }
            Op::Drop => true,
            _ => unsaved.contains_key(&step.key) || switches_forwarding_on(step),
        }
}

/// Buckets that do not fit the rules as they are change with them in one transaction: between the two
/// a new connection would get the mark of an uplink that the rules do not know. The transaction comes
/// last in the plan, so the routes of a new uplink are in place by then. True if they are joined.
pub(super) fn join_buckets(known: &Known<'_>, plan: &mut Plan) -> bool {
    let place = |key: Key| plan.iter().position(|step| step.key == key);
    let (Some(rules), Some(buckets)) = (place(Key::Firewall), place(Key::Buckets)) else {
        return false;
    };
    let Op::Buckets { del, add } = &plan[buckets].op else { return false };
    if !has_map(known.observed) || known.fits(&plan[buckets]) {
        return false;
    }
    let script = firewall::buckets_script(del, add);
    let Op::Script(text) = &mut plan[rules].op else { return false };
    text.push_str(&script);
    plan.remove(buckets);
    true
}

/// Before a transaction takes away an uplink, the others get its buckets: a first packet that meets the
/// old rules at its beginning and the new ones at its end would leave by it untranslated. The step
/// that does so; that of the plan then goes on from there.
pub(super) fn evacuate(known: &Known<'_>, plan: &mut Plan) -> Option<Step> {
    if !plan.iter().any(|step| step.key == Key::Firewall) {
        return None;
    }
    let step = plan.iter_mut().find(|step| step.key == Key::Buckets)?;
    let have = known.observed.firewall.as_ref()?.buckets.as_ref()?;
    let Some(Resource::Buckets(want)) = known.desired.get(&Key::Buckets) else { return None };
    let left = vacated(known)?;
    if left == *have || known.fits(step) {
        return None;
    }
    let (del, add) = firewall::buckets_delta(want, Some(&left));
    step.op = Op::Buckets { del, add };
    let (del, add) = firewall::buckets_delta(&left, Some(have));
    Some(Step { key: Key::Buckets, op: Op::Buckets { del, add } })
}

/// The map as it is, but with each bucket of an uplink that is to have none given to those that are to
/// have some, by their shares, if the rules know them; `None` if there is none to give it to.
fn vacated(known: &Known<'_>) -> Option<BTreeMap<u32, u32>> {
    let have = known.observed.firewall.as_ref()?.buckets.as_ref()?;
    let Some(Resource::Buckets(want)) = known.desired.get(&Key::Buckets) else { return None };
    let wanted: BTreeSet<u32> = buckets_of(want).collect();
    let heirs: BTreeSet<u32> = wanted.iter().filter(|mark| known.has(**mark)).copied().collect();
    let mut others = buckets_of(want).filter(|mark| heirs.contains(mark)).cycle();
    let mut left = have.clone();
    for (_, mark) in left.range_mut(..NFT_ELEMENTS).filter(|(_, mark)| !wanted.contains(mark)) {
        *mark = others.next()?;
    }
    Some(left)
}

/// How far such a map is.
fn interim(have: &BTreeMap<u32, u32>, desired: &State) -> Interim {
    let Some(Resource::Buckets(want)) = desired.get(&Key::Buckets) else { return Interim::Left };
    let marks = |map| buckets_of(map).collect::<BTreeSet<u32>>();
    if marks(have) == marks(want) { Interim::Moved } else { Interim::Left }
}

/// True if a step takes buckets away that the rules may draw.
fn takes_buckets(step: &Step) -> bool {
    let Op::Buckets { del, add } = &step.op else { return false };
    let kept: BTreeSet<u32> = add.iter().map(|(bucket, _)| *bucket).collect();
    del.iter().any(|(bucket, _)| !kept.contains(bucket))
}

/// The marks of buckets alone, in order.
fn buckets_of(map: &BTreeMap<u32, u32>) -> impl Iterator<Item = u32> + Clone {
    map.range(..NFT_ELEMENTS).map(|(_, mark)| *mark)
}

/// The map of buckets is there, and so are the rules around it.
pub(super) fn has_map(observed: &Observed) -> bool {
    observed.firewall.as_ref().is_some_and(|table| table.buckets.is_some())
}

/// Settings that would no longer keep the addresses of others when an address of ours goes, which is
/// in the same plan.
pub(super) fn early_settings(plan: &Plan) -> Vec<Key> {
    let leaves = |name: &str| {
        plan.iter().any(|step| {
            matches!((&step.key, &step.op), (Key::Address { ifname, .. }, Op::Drop)
                if ifname.as_str() == name)
        })
    };
    let is_early = |step: &&Step| match (&step.key, &step.op) {
        (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. }) if value != "1" => {
            let of_device =
                path.strip_prefix("net/ipv4/conf/").and_then(|rest| rest.split_once('/'));
            of_device.is_some_and(|(name, key)| key == PROMOTE_SECONDARIES && leaves(name))
        }
        _ => false,
    };
    plan.iter().filter(is_early).map(|step| step.key.clone()).collect()
}

pub(super) fn switches_forwarding_on(step: &Step) -> bool {
    matches!((&step.key, &step.op), (Key::Sysctl(path), Op::Put { value: Resource::Sysctl(value), .. })
        if is_forwarding(path) && value != "0")
}

#[cfg(test)]
mod marks_tests;
#[cfg(test)]
mod older_tests;
#[cfg(test)]
mod tests;
