//! The keeper of the kernel state: what is there, what is wanted, and the way from one to the other.
//!
//! `Reconciler` holds what was read, renders what is wanted, and lets the [`Engine`] change what
//! differs. The kernel's answer decides, never our memory.

mod copies;
mod doubts;
mod engine;
mod given_back;
pub(crate) mod news;
mod originals;
mod polls;
mod ports;
mod readings;
mod watch;
mod withdraw;

pub use doubts::{DUMPED, Doubts};
pub use engine::Engine;
pub(crate) use ports::tuned;

use crate::config::Config;
use crate::facts::Facts;
use crate::io::Output;
use crate::io::Watch;
use crate::net::{Family, IfName, Prefix};
use crate::notice::ReconcileNews;
use crate::render;
use crate::saved::Saved;
use crate::state::firewall::has_ours;
use crate::state::{Key, Observed, OpError, Plan, Resource, Rule, State, describe};
use crate::time::Instant;
use alloc::collections::btree_map::Entry;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use polls::Polls;
use readings::Readings;

/// What the desired state is made from.
pub(crate) struct Wants<'a> {
    pub(crate) config: &'a Config,
    /// Asked only where the state may have to be made anew.
    pub(crate) facts: &'a dyn Fn() -> Facts,
}

/// What becomes of the state.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
enum Life {
    /// It is kept as it is wanted.
    #[default]
    Kept,
    /// It is taken away.
    Withdrawing,
    /// Nothing is left of it.
    Withdrawn,
}

/// The keeper of the kernel state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reconciler {
    pub(crate) observed: Observed,
    pub(crate) engine: Engine,
    readings: Readings,
    polls: Polls,
    /// The last desired state, and what it was made from.
    rendered: Option<(Facts, Arc<State>)>,
    /// Settings in it that only go back to what they were.
    restoring: Vec<String>,
    /// Read or rendered anew since it was last asked what was given back.
    may_be_back: bool,
    /// Facts, configuration or observation changed since the last pass.
    dirty: bool,
    /// What protects was read back and found good once since the start: the boot guard may go.
    verified: bool,
    watch: Watch,
    /// Copies of rules of others that somebody deleted, and until when each stays away.
    deleted_copies: Vec<(Instant, Rule)>,
    /// What is in our ranges and not ours.
    pub(crate) foreign: Vec<String>,
    life: Life,
}

impl Reconciler {
    /// One that knows nothing of the kernel yet, but what was ours before.
    pub(crate) fn new(saved: &Saved) -> Self {
        let mut kernel = Self { dirty: true, ..Self::default() };
        kernel.remember(saved);
        kernel.engine.memory.routes = saved.routes.iter().cloned().collect();
        kernel
    }

    /// The addresses in the state file are ours.
    pub(crate) fn remember(&mut self, saved: &Saved) {
        self.engine.memory.addresses = saved.addresses.iter().copied().collect();
    }

    /// Facts changed: the next pass is to look what is wanted now.
    pub(crate) const fn touch(&mut self) {
        self.dirty = true;
    }

    /// What is wanted must be made anew, whatever the facts.
    pub(crate) fn forget_rendered(&mut self) {
        self.rendered = None;
    }

    /// The last desired state.
    pub(crate) fn rendered(&self) -> Option<&State> {
        self.rendered.as_ref().map(|(_, state)| &**state)
    }

    /// The last desired state, if it was made from these facts.
    pub(crate) fn rendered_from(&self, facts: &Facts) -> Option<&State> {
        let is_known = |(known, _): &&(Facts, Arc<State>)| known == facts;
        self.rendered.as_ref().filter(is_known).map(|(_, state)| &**state)
    }

    /// What we want: everything, or while withdrawing nothing; settings that we changed and no
    /// longer need go back to what they were. Rendered anew only when a fact changed.
    pub(crate) fn desired(&mut self, wants: &Wants<'_>, saved: &Saved) -> Arc<State> {
        let facts = (wants.facts)().essence();
        if let Some((known, state)) = &self.rendered
            && *known == facts
        {
            return state.clone();
        }
        let mut desired =
            if self.is_withdrawing() { State::new() } else { render::render(wants.config, &facts) };
        if !self.verified && !self.is_withdrawing() {
            desired.insert(Key::Guard, Resource::Guard);
        }
        self.restoring.clear();
        for (path, original) in &saved.sysctls {
            if let Entry::Vacant(free) = desired.entry(Key::Sysctl(path.clone())) {
                free.insert(Resource::Sysctl(original.clone()));
                self.restoring.push(path.clone());
            }
        }
        let desired = Arc::new(desired);
        self.rendered = Some((facts, desired.clone()));
        self.may_be_back = true;
        desired
    }

    /// A pass is due and can begin.
    pub(crate) fn is_pass_due(&self, now: Instant) -> bool {
        let due = self.dirty || self.engine.deadline().is_some_and(|at| at <= now);
        due && !self.engine.is_busy() && !self.readings.look_again()
    }

    /// The steps of one pass towards `desired`, asked for with the readings that must follow.
    pub(crate) fn plan(&mut self, now: Instant, desired: &State, out: &mut Vec<Output>) -> Plan {
        let mut news = Vec::new();
        let plan = self.engine.plan(now, desired, &self.observed, &mut news);
        out.extend(news.into_iter().map(Output::Notice));
        plan
    }

    /// Has the steps performed, and what they change read back.
    pub(crate) fn perform(&self, plan: Plan, out: &mut Vec<Output>) {
        if plan.is_empty() {
            return;
        }
        for step in &plan {
            let object = step.key.to_string();
            out.push(Output::tell(ReconcileNews::Changed { object, change: describe(&step.op) }));
        }
        out.push(Output::Apply(plan));
        let scope = self.engine.awaiting();
        if !scope.is_empty() {
            out.push(Output::Observe(scope));
        }
    }

    /// A pass begins: what is wanted from here on needs another one.
    pub(crate) const fn begin_pass(&mut self) {
        self.dirty = false;
    }

    /// Tells of what is in our ranges and not ours, once.
    pub(crate) fn note_foreign(&mut self, config: &Config, desired: &State, out: &mut Vec<Output>) {
        let priorities = config.ranges.rule_priorities;
        let foreign = crate::state::foreign(desired, &self.observed, priorities);
        for object in foreign.iter().filter(|object| !self.foreign.contains(object)) {
            out.push(Output::tell(ReconcileNews::Foreign { object: object.clone() }));
        }
        self.foreign = foreign;
    }

    /// A step was answered.
    pub(crate) fn take_applied(
        &mut self,
        now: Instant,
        key: &Key,
        result: Result<(), OpError>,
        out: &mut Vec<Output>,
    ) {
        let mut news = Vec::new();
        match (self.engine.is_deletion(key), &result) {
            (true, Ok(())) => self.observed.forget(key),
            (true, Err(_)) => {}
            // What was refused may have happened nevertheless.
            (false, _) => self.readings.doubts.created(key),
        }
        let scope = self.engine.applied(now, key, result, &mut news);
        out.extend(news.into_iter().map(Output::Notice));
        if !scope.is_empty() {
            out.push(Output::Observe(scope));
        }
        self.dirty = true;
    }

    /// Something of an interface changed: what was refused of it may be taken now.
    pub(crate) fn interface_changed(&mut self, now: Instant, ifname: IfName) {
        self.engine.interface_changed(ifname);
        self.engine.retry_refused(now);
        self.dirty = true;
    }

    /// The settings of a device went with it, or came new with it; nobody reports that.
    pub(crate) fn forget_settings(&mut self, ifname: IfName, out: &mut Vec<Output>) {
        let path = alloc::format!("net/ipv4/conf/{ifname}/");
        self.observed.sysctls.retain(|name, _| !name.starts_with(&path));
        out.push(Output::Observe(crate::state::Scope::SYSCTLS));
    }

    /// Everything is as desired, and nothing is under way.
    pub(crate) fn is_in_sync(&self) -> bool {
        self.readings.knows && !self.dirty && self.engine.is_in_sync()
    }

    /// The boot guard is there, and it is ours.
    pub(crate) fn is_guarded(&self) -> bool {
        self.observed.guard.as_ref().is_some_and(has_ours)
    }

    /// True once what protects was read back and found good.
    pub(crate) const fn is_verified(&self) -> bool {
        self.verified
    }

    /// No pass is under way, and none is due. A transaction may run: a switch does not wait for it.
    pub(crate) fn is_quiet(&self) -> bool {
        !self.engine.is_busy() && !self.readings.look_again() && !self.dirty
    }

    /// As [`is_quiet`](Self::is_quiet), and nothing waits for a transaction or for the disk.
    pub(crate) fn is_at_rest(&self) -> bool {
        let is_saved = self.engine.memory.unsaved.is_empty();
        self.is_quiet() && is_saved && !self.engine.is_in_transaction()
    }

    /// The objects of these kinds are as desired.
    pub(crate) fn are_in_place(
        &mut self,
        wants: &Wants<'_>,
        saved: &Saved,
        concerns: impl Fn(&Key) -> bool,
    ) -> bool {
        let desired = self.desired(wants, saved);
        let mut all = desired.iter().filter(|(key, _)| concerns(key));
        all.all(|(key, value)| self.engine.is_in_place(key, value))
    }

    /// Connections can move: the bucket map and the shared default are as desired, or the map at least
    /// without the buckets of uplinks that are to have none: those wait for no rules.
    pub(crate) fn is_balance_in_place(&mut self, wants: &Wants<'_>, saved: &Saved) -> bool {
        let (shared, spares) = (wants.config.ranges.tables.0, render::SPARE_METRICS);
        let has_left = self.engine.has_left();
        self.are_in_place(wants, saved, |key| match key {
            Key::Buckets => !has_left,
            // A spare carries nothing, and one that is refused holds nothing up.
            Key::Route(route) => {
                route.table == shared
                    && route.prefix == Prefix::default_route(Family::V4)
                    && !spares.contains(&route.metric)
            }
            _ => false,
        })
    }

    /// Filter, translation and policy rules were read back as they should be: from now on nothing
    /// can leave as it must not, and the boot guard has no more purpose. An uplink whose route is
    /// refused does not hold it, or one bad uplink would close the others.
    pub(crate) fn verify(&mut self, wants: &Wants<'_>, saved: &Saved, out: &mut Vec<Output>) {
        if self.verified || !self.is_at_rest() {
            return;
        }
        // What is copied from somebody else's rule protects nothing.
        let copies = (wants.facts)().system.copies;
        let protects = |key: &Key| match key {
            Key::Firewall | Key::Buckets => true,
            Key::Rule(rule) => !copies.contains(rule),
            _ => false,
        };
        if !self.are_in_place(wants, saved, protects) {
            return;
        }
        self.verified = true;
        // From now on the guard is not wanted; the next pass takes it away.
        self.rendered = None;
        if self.is_guarded() {
            self.dirty = true;
            out.push(Output::tell(ReconcileNews::Guard { closed: false }));
        }
    }

    /// When a pass or a reading is due; [`Instant::ZERO`] if a pass is due already.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let may_plan = !self.engine.is_busy() && !self.readings.look_again();
        if self.dirty && may_plan {
            return Some(Instant::ZERO);
        }
        let engine = self.engine.deadline().filter(|_| may_plan);
        engine.into_iter().chain(self.polls.deadline()).min()
    }
}
