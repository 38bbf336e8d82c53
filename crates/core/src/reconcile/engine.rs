//! The one engine: makes the kernel equal to the desired state, one pass at a
//! time, and remembers per object what failed, who fights, and when to try again.
//!
//! A pass is: difference, apply, read back. The next pass begins only after the
//! read-back, so the kernel's answer, not our memory, decides what is left to do. An `nft`
//! transaction may outlast its pass: see `lanes`.

use crate::net::IfName;
use crate::notice::Notice;
use crate::state::{
    ACCEPT_REDIRECTS, Conflict, FORWARDING, Key, Memory, Observed, OpError, Plan, Resource, Scope,
    State, Step, diff, goes_with, is_out_of_sight,
};
use crate::status::Trouble;
use crate::time::{Duration, Instant};
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use lanes::{Interim, Stood, Transaction, join_buckets, switches_forwarding_on};

mod fight;
mod lanes;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// More repairs of one object than this within [`FIGHT_WINDOW`] and it is contested.
const FIGHT_REPAIRS: usize = 5;
const FIGHT_WINDOW: Duration = Duration::from_secs(60);
const FOUGHT: &str = "somebody else keeps changing it";
/// A contested object is repaired at most once in this time.
const FIGHT_PACE: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
struct Failure {
    error: OpError,
    attempts: u32,
    next_try: Instant,
}

/// The engine's memory.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// What is or was ours.
    pub memory: Memory,
    /// Values that were in place once; a difference from them that we did not want is drift.
    in_place: BTreeMap<Key, Resource>,
    /// Rules that may still stand, and serve while others are wanted.
    stood: Stood,
    failures: BTreeMap<Key, Failure>,
    conflicts: Vec<Conflict>,
    repairs: BTreeMap<Key, VecDeque<Instant>>,
    contested: BTreeMap<Key, Instant>,
    /// Contested, and left for later in the last pass.
    held_back: BTreeSet<Key>,
    /// Repairs under way, and since when.
    repairing: BTreeMap<Key, Instant>,
    /// The wish that was applied last and has not been seen in place yet, and how often with success.
    unverified: BTreeMap<Key, (Option<Resource>, u32)>,
    /// The transaction that was not answered yet. There is one at a time.
    transaction: Option<Transaction>,
    /// Left for later in the last pass, because a transaction runs, the disk has not answered, or
    /// other steps come first.
    waiting: BTreeSet<Key>,
    /// The buckets that this pass makes while the wanted ones wait for the rules that draw them.
    stand_in: Option<Resource>,
    /// How far the buckets are meanwhile.
    interim: Option<Interim>,
    /// Answers that are still to come, but for that of the transaction.
    outstanding: usize,
    /// What must be read back before the next pass.
    awaiting: Scope,
    repaired: u64,
}

impl Engine {
    /// True while a pass is under way. A transaction alone is none: it may take its time.
    pub const fn is_busy(&self) -> bool {
        self.outstanding > 0 || !self.awaiting.is_empty()
    }

    /// True while a transaction runs.
    pub const fn is_in_transaction(&self) -> bool {
        self.transaction.is_some()
    }

    /// Begins a pass; empty when there is nothing to do now. `news` receives what people should know.
    pub fn plan(
        &mut self,
        now: Instant,
        desired: &State,
        observed: &Observed,
        news: &mut Vec<Notice>,
    ) -> Plan {
        let fought: Vec<Key> = self.contested.keys().cloned().collect();
        let (mut plan, conflicts) = diff(desired, observed, &self.memory);
        self.note_conflicts(conflicts, news);
        self.note_in_place(now, desired, observed, &plan, news);
        self.note_marks(desired, observed);
        self.let_forwarding_wait(desired, &mut plan);
        let differs: BTreeSet<&Key> = plan.iter().map(|step| &step.key).collect();
        self.failures.retain(|key, _| differs.contains(key));
        // What was deleted and is gone has been verified by that.
        self.unverified.retain(|key, _| differs.contains(key));
        self.held_back.clear();
        self.let_buckets_wait(observed, &mut plan);
        self.let_promotion_wait(&mut plan);
        let mut plan = self.choose(now, desired, observed, plan, news);
        self.tell_ends(fought, news);
        self.note_overtaking(&plan);
        let stand_in = self.stand_in.clone();
        for step in &plan {
            // Our own change to another value: what was in place before is so no more.
            let wish = stand_in.as_ref().filter(|_| step.key == Key::Buckets);
            let wish = wish.or_else(|| desired.get(&step.key));
            if self.in_place.get(&step.key) != wish {
                self.in_place.remove(&step.key);
            }
            // What the kernel changes along is nobody's edit.
            if matches!(&step.key, Key::Sysctl(path) if path == FORWARDING) {
                self.in_place.remove(&Key::Sysctl(ACCEPT_REDIRECTS.into()));
            }
            // Each wish has its own tries.
            if self.unverified.get(&step.key).is_none_or(|(last, _)| last.as_ref() != wish) {
                self.unverified.insert(step.key.clone(), (wish.cloned(), 0));
            }
        }
        let leaving = lanes::evacuate(&self.known(desired, observed), &mut plan);
        let is_joined = join_buckets(&self.known(desired, observed), &mut plan);
        plan.splice(0..0, leaving);
        if let Some(step) = plan.last().filter(|step| lanes::is_text(step)) {
            let buckets = desired.get(&Key::Buckets).filter(|_| is_joined).cloned();
            let rules = desired.get(&Key::Firewall).cloned();
            let key = step.key.clone();
            if let (Key::Firewall, Some(Resource::Firewall(made))) = (&key, &rules) {
                self.stood.add(made, observed.firewall.as_ref());
            }
            self.transaction = Some(Transaction { key, buckets, rules, is_overtaken: false });
        }
        let messages = plan.iter().filter(|step| !lanes::is_text(step));
        self.awaiting = messages.clone().fold(Scope::NONE, |all, step| all | step.key.scope());
        self.outstanding = messages.count();
        plan
    }

    /// The steps that lead to the desired state if nothing is refused, all of them in one list.
    pub fn preview(&self, desired: &State, observed: &Observed) -> Plan {
        let (mut plan, _) = diff(desired, observed, &self.memory);
        join_buckets(&self.known(desired, observed), &mut plan);
        plan
    }

    /// Forwarding is not switched on before the filter was read back as it should be: the kernel
    /// may refuse the filter, and a plan goes on after a step that failed.
    fn let_forwarding_wait(&mut self, desired: &State, plan: &mut Plan) {
        let is_filter = |step: &Step| step.key == Key::Firewall;
        if !desired.contains_key(&Key::Firewall) || !plan.iter().any(is_filter) {
            return;
        }
        while let Some(at) = plan.iter().position(switches_forwarding_on) {
            let key = plan.remove(at).key;
            // Whatever it waited for before, it has no turn of its own now.
            self.contested.remove(&key);
        }
    }

    /// The setting that keeps the other addresses of a subnet is given back when ours are gone: the
    /// kernel would take those of others along.
    fn let_promotion_wait(&mut self, plan: &mut Plan) {
        let early = lanes::early_settings(plan);
        plan.retain(|step| !early.contains(&step.key));
        for key in &early {
            // As with forwarding; nor is it tried while it waits.
            self.contested.remove(key);
            self.failures.remove(key);
        }
    }

    /// The buckets cannot go before their table was read back.
    fn let_buckets_wait(&mut self, observed: &Observed, plan: &mut Plan) {
        if !lanes::has_map(observed) {
            plan.retain(|step| step.key != Key::Buckets);
            self.failures.remove(&Key::Buckets);
            self.contested.remove(&Key::Buckets);
        }
    }

    /// What the pass must read back.
    pub const fn awaiting(&self) -> Scope {
        self.awaiting
    }

    fn note_in_place(
        &mut self,
        now: Instant,
        desired: &State,
        observed: &Observed,
        plan: &Plan,
        news: &mut Vec<Notice>,
    ) {
        self.in_place.retain(|key, _| desired.contains_key(key));
        self.repairing.retain(|key, _| desired.contains_key(key));
        // A place that we have left is free for others.
        self.memory.routes.retain(|route| desired.contains_key(&Key::Route(route.clone())));
        self.end_fights(now, plan);
        for (key, value) in desired {
            if is_out_of_sight(key, observed) {
                self.repairing.remove(key);
                continue;
            }
            if plan.iter().any(|step| step.key == *key) {
                continue;
            }
            self.unverified.remove(key);
            // No step, because there is nothing that we may do: what stands there is not ours.
            if self.conflicts.iter().any(|conflict| conflict.key == *key) {
                self.in_place.remove(key);
                self.repairing.remove(key);
                continue;
            }
            if let Some(since) = self.repairing.remove(key) {
                self.repaired += 1;
                let took_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
                news.push(Notice::Repaired { object: key.to_string(), took_us, by: String::new() });
            }
            if self.in_place.get(key) != Some(value) {
                self.in_place.insert(key.clone(), value.clone());
                if let Key::Route(route) = key {
                    self.memory.routes.insert(route.clone());
                }
            }
        }
    }

    fn note_conflicts(&mut self, conflicts: Vec<Conflict>, news: &mut Vec<Notice>) {
        for conflict in &conflicts {
            if !self.conflicts.contains(conflict) {
                let error = conflict.text.clone();
                let object = conflict.key.to_string();
                news.push(Notice::Refused { object, error, retry_ms: 0 });
            }
        }
        self.conflicts = conflicts;
    }

    /// Decides whether a step runs in this pass, or waits.
    fn may_run(
        &mut self,
        now: Instant,
        wish: Option<&Resource>,
        key: &Key,
        news: &mut Vec<Notice>,
    ) -> bool {
        if self.failures.get(key).is_some_and(|f| f.next_try > now) {
            return false;
        }
        let is_lie = |(last, times): &(Option<Resource>, u32)| *times >= 2 && last.as_ref() == wish;
        if self.unverified.get(key).is_some_and(is_lie) {
            self.unverified.remove(key);
            let text = "the kernel took it, but it is not there".to_string();
            self.fail(now, key, OpError { errno: 0, text }, news);
            return false;
        }
        let is_drift = wish.is_some_and(|want| self.in_place.get(key) == Some(want));
        let may_run = !is_drift || self.may_repair(now, key, news);
        if !may_run {
            self.held_back.insert(key.clone());
        }
        may_run
    }

    /// True if the step under way for this key takes the object away.
    pub fn is_deletion(&self, key: &Key) -> bool {
        self.unverified.get(key).is_some_and(|(wish, _)| wish.is_none())
    }

    /// Takes the answer to one step. What is to be read now: a transaction outlasts the reading that
    /// follows its pass.
    pub fn applied(
        &mut self,
        now: Instant,
        key: &Key,
        result: Result<(), OpError>,
        news: &mut Vec<Notice>,
    ) -> Scope {
        let ended = self.transaction.take_if(|transaction| transaction.key == *key);
        let scope = match &ended {
            Some(_) => key.scope(),
            None => {
                self.outstanding = self.outstanding.saturating_sub(1);
                Scope::NONE
            }
        };
        self.awaiting |= scope;
        if let Some(ended) = &ended {
            self.note_ended(ended);
        }
        match result {
            Ok(()) => {
                if let Some((_, times)) = self.unverified.get_mut(key) {
                    *times += 1;
                }
                if let Some(failure) = self.failures.get_mut(key) {
                    failure.next_try = now;
                }
            }
            // It is made anew from what is read back, and fails again if that was not the reason.
            Err(error) if ended.is_some_and(|ended| ended.was_overtaken(&error)) => {}
            Err(error) => {
                self.fail(now, key, error, news);
                // A repair that was refused is none, and has not used up its turn.
                if let (Some(turn), Some(failed)) =
                    (self.contested.get_mut(key), self.failures.get(key))
                {
                    *turn = failed.next_try.min(*turn);
                }
            }
        }
        scope
    }

    fn fail(&mut self, now: Instant, key: &Key, error: OpError, news: &mut Vec<Notice>) {
        let attempts = self.failures.get(key).map_or(0, |f| f.attempts);
        let wait = (FIRST_RETRY * 2_u32.saturating_pow(attempts.min(12))).min(LAST_RETRY);
        let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        let known = self.failures.get(key).is_some_and(|f| f.error == error);
        if !known {
            news.push(Notice::Refused {
                object: key.to_string(),
                error: error.text.clone(),
                retry_ms,
            });
        }
        let failure = Failure { error, attempts: attempts + 1, next_try: now + wait };
        self.failures.insert(key.clone(), failure);
    }

    /// Takes note that kernel state was read.
    pub fn observed(&mut self, scope: Scope) {
        if self.outstanding == 0 {
            self.awaiting = self.awaiting.without(scope);
        }
    }

    /// The surroundings or the configuration changed: what failed may work now.
    pub fn retry_now(&mut self, now: Instant) {
        for failure in self.failures.values_mut() {
            failure.next_try = failure.next_try.min(now);
            failure.attempts = 0;
        }
    }

    /// The interface was down, replaced, or lost its carrier or address: that its objects went
    /// with it is no drift.
    pub fn interface_changed(&mut self, ifname: IfName) {
        let goes = |(key, value): &(&Key, &Resource)| goes_with(key, value, ifname);
        let gone: Vec<Key> = self.in_place.iter().filter(goes).map(|(k, _)| k.clone()).collect();
        for key in gone {
            self.in_place.remove(&key);
            // The loss may have been seen before its cause.
            if self.repairing.remove(&key).is_some()
                && let Some(repairs) = self.repairs.get_mut(&key)
            {
                repairs.pop_back();
            }
        }
    }

    /// True if `key` is as desired, as far as we know.
    pub fn is_in_place(&self, key: &Key, value: &Resource) -> bool {
        self.in_place.get(key) == Some(value)
            && !self.failures.contains_key(key)
            && !self.repairing.contains_key(key)
            && !self.waiting.contains(key)
    }

    /// The object waits, or is refused: what is there is not what is wanted.
    pub fn is_held(&self, key: &Key) -> bool {
        self.waiting.contains(key) || self.failures.contains_key(key)
    }

    /// The buckets wait for rules that draw them, and those that are there are of wanted uplinks alone.
    pub fn has_left(&self) -> bool {
        self.interim.is_some()
    }

    /// The same, and each wanted uplink has some.
    pub fn has_moved(&self) -> bool {
        self.interim == Some(Interim::Moved)
    }

    /// True if nothing failed, nothing is contested or in our place, and no pass is under way.
    pub fn is_settled(&self) -> bool {
        let is_clear = self.failures.is_empty() && self.held_back.is_empty();
        let is_clear = is_clear && self.conflicts.is_empty();
        let is_idle = !self.is_busy() && !self.is_in_transaction();
        let is_idle = is_idle && self.memory.unsaved.is_empty();
        is_idle && is_clear && self.repairing.is_empty()
    }

    /// Why an object is not as desired, if that is not just being mended.
    pub fn trouble_with(&self, key: &Key) -> Option<String> {
        let conflict = self.conflicts.iter().find(|conflict| conflict.key == *key);
        let failure = self.failures.get(key).map(|failure| failure.error.text.clone());
        let fight = || self.held_back.contains(key).then(|| FOUGHT.into());
        failure.or_else(|| conflict.map(|conflict| conflict.text.clone())).or_else(fight)
    }

    /// When a failed or contested object is due, or a fight is over.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_busy() {
            return None;
        }
        // What fails waits for its next try, and if it was held back then, for its turn as well.
        let turn = |key: &Key| self.contested.get(key).filter(|_| self.held_back.contains(key));
        let next_try =
            |(key, f): (&Key, &Failure)| f.next_try.max(turn(key).copied().unwrap_or_default());
        let is_free = |key: &Key| !self.waiting.contains(key);
        let failed = self.failures.iter().filter(|(key, _)| is_free(key)).map(next_try);
        let is_waiting = |key: &Key| {
            !self.failures.contains_key(key)
                && is_free(key)
                && (self.repairing.contains_key(key) || self.held_back.contains(key))
        };
        let contested = self.contested.iter().filter(|(key, _)| is_waiting(key));
        failed.chain(contested.map(|(_, next)| *next)).chain(self.next_end()).min()
    }

    /// Objects that are not as we want them.
    pub fn trouble(&self, now: Instant) -> Vec<Trouble> {
        let wait = |at: Instant| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        let failed = self.failures.iter().map(|(key, f)| Trouble {
            object: key.to_string(),
            text: f.error.text.clone(),
            // None at all is for what is not tried again.
            retry_ms: wait(f.next_try).max(1),
            contested: self.contested.contains_key(key),
        });
        let fought = self.contested.iter().filter(|(k, _)| !self.failures.contains_key(*k));
        let fought = fought.map(|(key, next)| Trouble {
            object: key.to_string(),
            text: FOUGHT.into(),
            // None at all is for what is in place.
            retry_ms: if self.held_back.contains(key) { wait(*next).max(1) } else { 0 },
            contested: true,
        });
        let conflicts = self.conflicts.iter().map(|c| Trouble {
            object: c.key.to_string(),
            text: c.text.clone(),
            retry_ms: 0,
            contested: false,
        });
        failed.chain(fought).chain(conflicts).collect()
    }

    /// Repairs of drift since the start.
    pub const fn repairs(&self) -> u64 {
        self.repaired
    }
}

#[cfg(test)]
mod tests;
