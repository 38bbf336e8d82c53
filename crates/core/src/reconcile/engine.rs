//! The one engine: makes the kernel equal to the desired state, one pass at a
//! time, and remembers per object what failed, who fights, and when to try again.
//!
//! A pass is: difference, apply, read back. The next pass begins only after the
//! read-back, so the kernel's answer, not our memory, decides what is left to do. An `nft`
//! transaction may outlast its pass: see `lanes`.

use crate::net::IfName;
use crate::notice::{Notice, ReconcileNews};
use crate::state::{
    ACCEPT_REDIRECTS, Conflict, FORWARDING, Key, Memory, Observed, OpError, Plan, Resource, Scope,
    State, Step, diff, is_out_of_sight,
};
use crate::status::Trouble;
use crate::time::{Duration, Instant};
use alloc::collections::BTreeSet;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use lanes::{Interim, Stood, Transaction, join_buckets, switches_forwarding_on};
use ledger::{Entry, Fight, Ledger};

mod fight;
mod lanes;
mod ledger;

const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// More repairs of one object than this within [`FIGHT_WINDOW`] and it is contested.
const FIGHT_REPAIRS: usize = 5;
const FIGHT_WINDOW: Duration = Duration::from_secs(60);
const FOUGHT: &str = "somebody else keeps changing it";
/// A contested object is repaired at most once in this time.
const FIGHT_PACE: Duration = Duration::from_secs(10);

/// The engine's memory.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// What is or was ours.
    pub memory: Memory,
    ledger: Ledger,
    /// Rules that may still stand, and serve while others are wanted.
    stood: Stood,
    /// The transaction that was not answered yet. There is one at a time.
    transaction: Option<Transaction>,
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
        let fought = self.ledger.contested();
        let (mut plan, conflicts) = diff(desired, observed, &self.memory);
        self.note_conflicts(conflicts, news);
        self.note_in_place(now, desired, observed, &plan, news);
        self.note_marks(desired, observed);
        self.let_forwarding_wait(desired, &mut plan);
        let differs: BTreeSet<&Key> = plan.iter().map(|step| &step.key).collect();
        self.ledger.begin_pass(&differs);
        self.let_buckets_wait(observed, &mut plan);
        self.let_promotion_wait(&mut plan);
        let mut plan = self.choose(now, desired, observed, plan, news);
        self.tell_ends(fought, news);
        self.note_overtaking(&plan);
        let stand_in = self.stand_in.clone();
        for step in &plan {
            let wish = stand_in.as_ref().filter(|_| step.key == Key::Buckets);
            self.ledger.of(&step.key).apply(wish.or_else(|| desired.get(&step.key)));
            // What the kernel changes along is nobody's edit.
            if matches!(&step.key, Key::Sysctl(path) if path == FORWARDING)
                && let Some(along) = self.ledger.get_mut(&Key::Sysctl(ACCEPT_REDIRECTS.into()))
            {
                along.in_place = None;
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
            self.ledger.of(&key).fight.turn = None;
        }
    }

    /// The setting that keeps the other addresses of a subnet is given back when ours are gone: the
    /// kernel would take those of others along.
    fn let_promotion_wait(&mut self, plan: &mut Plan) {
        let early = lanes::early_settings(plan);
        plan.retain(|step| !early.contains(&step.key));
        for key in &early {
            // As with forwarding; nor is it tried while it waits.
            let entry = self.ledger.of(key);
            (entry.fight.turn, entry.failure) = (None, None);
        }
    }

    /// The buckets cannot go before their table was read back.
    fn let_buckets_wait(&mut self, observed: &Observed, plan: &mut Plan) {
        if !lanes::has_map(observed) {
            plan.retain(|step| step.key != Key::Buckets);
            let entry = self.ledger.of(&Key::Buckets);
            (entry.fight.turn, entry.failure) = (None, None);
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
        for (_, entry) in self.ledger.iter_mut().filter(|(key, _)| !desired.contains_key(key)) {
            (entry.in_place, entry.fight.repairing) = (None, None);
        }
        // A place that we have left is free for others.
        self.memory.routes.retain(|route| desired.contains_key(&Key::Route(route.clone())));
        self.end_fights(now, plan);
        for (key, value) in desired {
            if is_out_of_sight(key, value, observed) {
                self.ledger.of(key).fight.repairing = None;
                continue;
            }
            if plan.iter().any(|step| step.key == *key) {
                continue;
            }
            let entry = self.ledger.of(key);
            entry.pending = None;
            // No step, because there is nothing that we may do: what stands there is not ours.
            if entry.conflict.is_some() {
                (entry.in_place, entry.fight.repairing) = (None, None);
                continue;
            }
            if let Some(since) = entry.fight.repairing.take() {
                self.repaired += 1;
                let took_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
                news.push(
                    ReconcileNews::Repaired { object: key.to_string(), took_us, by: String::new() }
                        .into(),
                );
            }
            if entry.in_place.as_ref() != Some(value) {
                entry.in_place = Some(value.clone());
                if let Key::Route(route) = key {
                    self.memory.routes.insert(route.clone());
                }
            }
        }
    }

    fn note_conflicts(&mut self, conflicts: Vec<Conflict>, news: &mut Vec<Notice>) {
        for (key, entry) in self.ledger.iter_mut() {
            if !conflicts.iter().any(|conflict| conflict.key == *key) {
                entry.conflict = None;
            }
        }
        for Conflict { key, text } in conflicts {
            let entry = self.ledger.of(&key);
            if entry.conflict.as_ref() != Some(&text) {
                let object = key.to_string();
                news.push(
                    ReconcileNews::Refused { object, error: text.clone(), retry_ms: 0 }.into(),
                );
            }
            entry.conflict = Some(text);
        }
    }

    /// Decides whether a step runs in this pass, or waits.
    fn may_run(
        &mut self,
        now: Instant,
        wish: Option<&Resource>,
        key: &Key,
        news: &mut Vec<Notice>,
    ) -> bool {
        let entry = self.ledger.of(key);
        if entry.failure.as_ref().is_some_and(|failure| failure.next_try > now) {
            return false;
        }
        if entry.is_lie(wish) {
            entry.pending = None;
            let text = "the kernel took it, but it is not there".to_string();
            self.fail(now, key, OpError { errno: 0, text }, news);
            if let Some(failure) = &mut self.ledger.of(key).failure {
                failure.is_lie = true;
            }
            return false;
        }
        let is_drift = wish.is_some() && entry.in_place.as_ref() == wish;
        let may_run = !is_drift || self.may_repair(now, key, news);
        self.ledger.of(key).fight.is_held_back |= !may_run;
        may_run
    }

    /// True if the step under way for this key takes the object away.
    pub fn is_deletion(&self, key: &Key) -> bool {
        let pending = self.ledger.get(key).and_then(|entry| entry.pending.as_ref());
        pending.is_some_and(|pending| pending.wish.is_none())
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
            Ok(()) => self.ledger.of(key).succeed(now),
            // It is made anew from what is read back, and fails again if that was not the reason.
            Err(error) if ended.is_some_and(|ended| ended.was_overtaken(&error)) => {}
            Err(error) => {
                self.fail(now, key, error, news);
                // A repair that was refused is none, and has not used up its turn.
                let Entry { failure, fight, .. } = self.ledger.of(key);
                if let (Some(turn), Some(failure)) = (&mut fight.turn, failure) {
                    *turn = failure.next_try.min(*turn);
                }
            }
        }
        scope
    }

    fn fail(&mut self, now: Instant, key: &Key, error: OpError, news: &mut Vec<Notice>) {
        let text = error.text.clone();
        if let Some(retry_ms) = self.ledger.of(key).fail(now, error) {
            news.push(
                ReconcileNews::Refused { object: key.to_string(), error: text, retry_ms }.into(),
            );
        }
    }

    /// Takes note that kernel state was read.
    pub fn observed(&mut self, scope: Scope) {
        if self.outstanding == 0 {
            self.awaiting = self.awaiting.without(scope);
        }
    }

    /// The configuration changed: what failed may work now.
    pub fn retry_now(&mut self, now: Instant) {
        for (_, entry) in self.ledger.iter_mut() {
            entry.retry_now(now, true);
        }
    }

    /// The surroundings changed: what was refused may be taken now. What was taken and did not stick may
    /// itself have changed them, so it keeps its pace.
    pub fn retry_refused(&mut self, now: Instant) {
        for (_, entry) in self.ledger.iter_mut() {
            entry.retry_now(now, false);
        }
    }

    /// The interface was down, replaced, or lost its carrier or address: that its objects went
    /// with it is no drift.
    pub fn interface_changed(&mut self, ifname: IfName) {
        self.ledger.interface_changed(ifname);
    }

    /// True if `key` is as desired, as far as we know.
    pub fn is_in_place(&self, key: &Key, value: &Resource) -> bool {
        self.ledger.get(key).is_some_and(|entry| entry.is_good(value))
    }

    /// The object waits, or is refused: what is there is not what is wanted.
    pub fn is_held(&self, key: &Key) -> bool {
        self.ledger.get(key).is_some_and(|entry| entry.is_waiting || entry.failure.is_some())
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
    pub fn is_in_sync(&self) -> bool {
        let is_in_trouble = |entry: &Entry| {
            let Fight { repairing, is_held_back, .. } = &entry.fight;
            let is_fought = repairing.is_some() || *is_held_back;
            is_fought || entry.failure.is_some() || entry.conflict.is_some()
        };
        let is_idle = !self.is_busy() && !self.is_in_transaction();
        is_idle && self.memory.unsaved.is_empty() && !self.ledger.any(is_in_trouble)
    }

    /// Why an object is not as desired, if that is not just being mended.
    pub fn trouble_with(&self, key: &Key) -> Option<String> {
        let entry = self.ledger.get(key)?;
        let failure = entry.failure.as_ref().map(|failure| failure.error.text.clone());
        let fight = || entry.fight.is_held_back.then(|| FOUGHT.into());
        failure.or_else(|| entry.conflict.clone()).or_else(fight)
    }

    /// When a failed or contested object is due, or a fight is over.
    pub fn deadline(&self) -> Option<Instant> {
        if self.is_busy() { None } else { self.ledger.deadline() }
    }

    /// Objects that are not as we want them.
    pub fn trouble(&self, now: Instant) -> Vec<Trouble> {
        let wait = |at: Instant| u64::try_from(at.since(now).as_millis()).unwrap_or(u64::MAX);
        let failed = self.ledger.iter().filter_map(|(key, entry)| {
            let failure = entry.failure.as_ref()?;
            Some(Trouble {
                object: key.to_string(),
                text: failure.error.text.clone(),
                // None at all is for what is not tried again.
                retry_ms: wait(failure.next_try).max(1),
                contested: entry.fight.turn.is_some(),
            })
        });
        let fought = self.ledger.iter().filter_map(|(key, entry)| {
            let turn = entry.fight.turn.filter(|_| entry.failure.is_none())?;
            Some(Trouble {
                object: key.to_string(),
                text: FOUGHT.into(),
                // None at all is for what is in place.
                retry_ms: if entry.fight.is_held_back { wait(turn).max(1) } else { 0 },
                contested: true,
            })
        });
        let conflicts = self.ledger.iter().filter_map(|(key, entry)| {
            let text = entry.conflict.clone()?;
            Some(Trouble { object: key.to_string(), text, retry_ms: 0, contested: false })
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
