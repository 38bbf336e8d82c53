//! The router: owns all machines and ties them together.
//!
//! `handle` only takes note of what happened; every decision falls in `wake`, which
//! the loop calls after it has drained all inputs. So a loop that was late never
//! takes its own sleep for a dead peer.

mod adopt;
mod copies;
mod decide;
mod links;
mod names;
mod originals;
mod overrides;
mod packets;
mod reload;
mod report;
mod settle;
mod stale;
mod stray;
mod watch;
mod way;

pub use overrides::{Action, Override, Overrides};

use crate::check::Line;
use crate::coexist::Findings;
use crate::config::{Config, Devices};
use crate::facts::{Facts, PerFamily};
use crate::io::Input;
use crate::io::{Output, ProbeSocket, Purge};
use crate::net::UplinkId;
use crate::notice::Notice;
use crate::random::Secret;
use crate::reconcile::{DUMPED, Doubts, Engine};
use crate::render;
use crate::saved::Saved;
use crate::state::{Key, Observed, Plan, Resource, Rule, Scope, State, Watch, describe};
use crate::status::{Conflict, Counters, HistoryEntry, Role};
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

/// Settings send no notification; they are read this often.
const SYSCTL_POLL: Duration = Duration::from_millis(250);
/// Everything is read again this often, whatever the notifications said.
const FULL_OBSERVATION: Duration = Duration::from_secs(60);
/// Connections that were begun while the dead uplink still had some are swept after this time.
const SWEEP_AFTER: Duration = Duration::from_secs(2);
/// So many readings in a row may delay a change because each left something in doubt.
const MOST_LOOKS: u32 = 4;
/// What the kernel refused to delete is asked for again after this time, and then ever later.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);
/// Entries kept per uplink in `rail why`.
const HISTORY: usize = 16;

/// What the router remembers of an uplink for its screens.
#[derive(Clone, Debug)]
struct Book {
    since: Instant,
    cause: String,
    role: Role,
    history: VecDeque<HistoryEntry>,
    transitions: u64,
    /// People know its health from this process.
    is_told: bool,
    /// The way of its probes.
    way: way::Way,
    neighbour: String,
}

/// One router.
#[derive(Clone, Debug)]
pub struct Router {
    /// As the file says.
    file: Config,
    /// As it is meant now: with what was said of uplinks by command.
    config: Config,
    saved: Saved,
    key: Secret,
    started: Instant,
    lines: Vec<Line>,
    books: Vec<Book>,
    facts: Facts,
    blamed: Vec<bool>,
    next_blame: Instant,
    observed: Observed,
    /// What the last reading lacked for the first time.
    doubts: Doubts,
    /// The kinds that are read again; until that is done nothing is changed.
    doubtful: Scope,
    /// How many readings in a row left something in doubt.
    looks: u32,
    /// A first full observation has come in.
    has_read: bool,
    /// And so has a second one of the kinds that it can have torn.
    knows_kernel: bool,
    /// What protects was read back and found good once since the start: the boot guard may go.
    verified: bool,
    engine: Engine,
    /// The last desired state, and what it was made from.
    rendered: Option<(Facts, Arc<State>)>,
    /// Settings in it that only go back to what they were.
    restoring: Vec<String>,
    /// Read or rendered anew since it was last asked what was given back.
    may_be_back: bool,
    /// Facts, configuration or observation changed since the last pass.
    dirty: bool,
    links_dirty: bool,
    lines_dirty: Vec<bool>,
    sockets: Vec<ProbeSocket>,
    watch: Watch,
    /// Connections to delete once the new state is verified.
    pending_purges: BTreeMap<UplinkId, settle::Pending>,
    sweeps: Vec<(Instant, Purge)>,
    /// Deletions that were not answered yet.
    asked: Vec<stale::Deletion>,
    /// Deletions that the kernel refused, and when they are asked for again.
    refused: Vec<(Instant, stale::Deletion)>,
    /// Who carried before an uplink died, and when it fell silent or died, until one of those that carry
    /// now has answered: they may all be dying.
    cascade: Option<(Vec<bool>, Instant)>,
    /// Since when a change of the active set waits for its verification.
    switching: Option<Instant>,
    /// The saved state changed in a way that need not wait for the disk.
    save_due: bool,
    /// How many states had to be on the disk.
    durable_saves: u64,
    next_sysctl_poll: Instant,
    /// Not before this time is `main` read again, if it has many routes.
    next_main: Instant,
    /// It changed meanwhile.
    main_is_due: bool,
    next_full: Instant,
    next_strays: Instant,
    /// A deletion of what no uplink has was not answered yet.
    strays_asked: bool,
    /// No uplink is usable, and people know.
    lost_all: bool,
    withdrawing: bool,
    done: bool,
    foreign: Vec<String>,
    /// What was last found of other software.
    beside: Findings,
    /// Copies of rules of others that somebody deleted, and until when each stays away.
    deleted_copies: Vec<(Instant, Rule)>,
    /// Interfaces that are not found, or not for certain.
    unnamed: Vec<Conflict>,
    /// The devices of those whose place nobody has looked up yet.
    unread: Devices,
    counters: Counters,
}

impl Router {
    /// A router that knows nothing of the kernel yet. `seed` is secret; `boot_id` tells whether
    /// the verdicts in `saved` still count.
    pub fn new(config: Config, saved: Saved, boot_id: String, seed: [u8; 16]) -> Self {
        let file = config;
        let saved = adopt::prepare(saved, boot_id, &file);
        let config = overrides::effective(&file, &saved.overrides);
        let mut router = Self {
            key: Secret::new(seed),
            started: Instant::ZERO,
            lines: Vec::new(),
            books: Vec::new(),
            facts: Facts::default(),
            blamed: Vec::new(),
            next_blame: Instant::ZERO,
            observed: Observed::default(),
            doubts: Doubts::default(),
            doubtful: Scope::NONE,
            looks: 0,
            has_read: false,
            knows_kernel: false,
            verified: false,
            engine: Engine::default(),
            rendered: None,
            restoring: Vec::new(),
            may_be_back: false,
            dirty: true,
            links_dirty: true,
            lines_dirty: Vec::new(),
            sockets: Vec::new(),
            watch: Watch::default(),
            pending_purges: BTreeMap::new(),
            sweeps: Vec::new(),
            asked: Vec::new(),
            refused: Vec::new(),
            cascade: None,
            switching: None,
            save_due: false,
            durable_saves: 0,
            next_sysctl_poll: Instant::ZERO,
            next_main: Instant::ZERO,
            main_is_due: false,
            next_full: Instant::ZERO,
            next_strays: Instant::ZERO,
            strays_asked: false,
            lost_all: false,
            withdrawing: false,
            done: false,
            foreign: Vec::new(),
            beside: Findings::default(),
            deleted_copies: Vec::new(),
            unnamed: Vec::new(),
            unread: Devices::new(),
            counters: Counters::default(),
            file,
            config,
            saved,
        };
        router.engine.memory.addresses = router.saved.addresses.iter().copied().collect();
        router.engine.memory.routes = router.saved.routes.iter().cloned().collect();
        router
    }

    /// Begins: asks for the whole kernel state.
    pub fn start(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.started = now;
        self.saved.generation += 1;
        let adopted = !self.saved.verdicts.is_empty();
        self.adopt_uplinks(now);
        let router = self.config.router.name.clone();
        out.push(Output::Notice(Notice::Started { router, adopted }));
        self.refresh_watch(out);
        out.push(Output::Observe(Scope::ALL));
        self.next_full = now + FULL_OBSERVATION;
        self.next_sysctl_poll = now + SYSCTL_POLL;
        self.save(true, out);
    }

    /// Takes note of something that happened.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Packet { uplink, from, age, bytes } => {
                self.take_packet(now, age, (uplink, from), &bytes);
            }
            Input::Changed(scope) => {
                let scope = self.without_early_main(now, scope);
                if !scope.is_empty() {
                    out.push(Output::Observe(scope));
                }
            }
            Input::Observed(scope, observed) => self.take_observation(now, scope, *observed, out),
            Input::Applied(key, result) => self.take_applied(now, &key, result, out),
            Input::Purged { uplink: crate::io::NOBODY, result } => {
                self.take_strays(now, result, out)
            }
            Input::Purged { uplink, result } => self.take_purged(now, uplink, result, out),
            Input::Saved(count) => self.take_saved(count),
            Input::Surveyed(findings) => self.take_findings(*findings, out),
            Input::Reload(config) => self.reload(now, *config, out),
            Input::Override(uplink, wanted) => self.take_override(now, &uplink, wanted, out),
            Input::Withdraw => {
                self.withdrawing = true;
                self.rendered = None;
                self.dirty = true;
                for line in &mut self.lines {
                    line.stop();
                }
                self.sockets.clear();
                self.sweeps.clear();
                self.refused.clear();
                out.push(Output::Sockets(Vec::new()));
            }
        }
    }

    /// Does what is due: probes, verdicts, decisions, one pass of the engine.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.knows_kernel || self.done {
            return;
        }
        if !self.withdrawing {
            self.end_overrides(now, out);
            let due = [self.way_deadline(), self.copies_deadline()];
            let is_due = due.into_iter().flatten().any(|at| at <= now);
            if core::mem::take(&mut self.links_dirty) || is_due {
                self.refresh_links(now, out);
            }
            self.probe(now, out);
            self.judge(now, out);
            self.decide(now, out);
        }
        self.reconcile(now, out);
        self.after_settling(now, out);
        self.poll(now, out);
        if core::mem::take(&mut self.save_due) {
            self.save(false, out);
        }
    }

    /// When something is due; [`Instant::ZERO`] when it is due already.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.knows_kernel || self.done {
            return None;
        }
        let decides = self.links_dirty || self.lines_dirty.iter().any(|d| *d);
        // Nothing is decided any more while the state is taken away.
        let may_plan = !self.engine.is_busy() && !self.looks_again();
        if (self.dirty && may_plan) || (decides && !self.withdrawing) {
            return Some(Instant::ZERO);
        }
        let lines = self.lines.iter().filter_map(Line::deadline);
        let refused = self.refused.iter().map(|(at, _)| *at);
        let sweeps = self.sweeps.iter().map(|(at, _)| *at).chain(refused);
        let main = self.main_is_due.then_some(self.next_main);
        let polls = [self.next_sysctl_poll, self.next_full].into_iter().chain(main);
        let engine = self.engine.deadline().filter(|_| may_plan);
        let ways = [self.way_deadline(), self.copies_deadline(), self.return_deadline()];
        let ways = ways.into_iter().flatten().filter(|_| !self.withdrawing);
        let said = self.override_deadline().filter(|_| !self.withdrawing);
        lines.chain(sweeps).chain(polls).chain(engine).chain(ways).chain(said).min()
    }

    /// True while a reading is under way that tells an absence from an omission. Where entries
    /// vanish without end it is not waited for: what is missing counts as there meanwhile.
    const fn looks_again(&self) -> bool {
        self.looks > 0 && self.looks <= MOST_LOOKS
    }

    fn take_observation(
        &mut self,
        now: Instant,
        scope: Scope,
        mut observed: Observed,
        out: &mut Vec<Output>,
    ) {
        self.counters.observations += 1;
        self.note_renamed(scope, &observed);
        let mut again = self.doubts.complete(scope, &self.observed, &mut observed);
        if scope == Scope::ALL && !core::mem::replace(&mut self.has_read, true) {
            // What the first reading omits is not known from before.
            again = DUMPED;
        }
        self.doubtful = Scope(self.doubtful.0 & !scope.0) | again;
        self.looks = match (self.doubtful.is_empty(), again.is_empty()) {
            (true, _) => 0,
            (false, true) => self.looks,
            (false, false) => self.looks + 1,
        };
        if !again.is_empty() {
            out.push(Output::Observe(again));
        }
        self.may_be_back = true;
        self.note_deleted_copies(now, scope, &observed, out);
        let was_busy = self.engine.is_busy();
        let changed = self.observed.merge(scope, observed);
        self.engine.observed(scope);
        if scope.has(Scope::LINKS) {
            self.take_names(now, out);
        }
        let is_first = !self.knows_kernel && self.has_read && !self.looks_again();
        self.knows_kernel |= is_first;
        if is_first {
            self.adopt_newcomers();
            self.purge_forgotten();
        }
        self.dirty |= changed || was_busy || is_first;
        let ways = [Scope::LINKS, Scope::ADDRESSES, Scope::ROUTES, Scope::RULES, Scope::MAIN];
        self.links_dirty |= ways.iter().any(|kind| scope.has(*kind));
        if scope.has(Scope::NEIGHBOURS) {
            self.refresh_neighbours();
        }
        if is_first && self.is_guarded() {
            out.push(Output::Notice(Notice::Guard { closed: true }));
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.delete_strays(now, out);
        if self.main_is_due && now >= self.next_main {
            out.push(Output::Observe(self.without_early_main(now, Scope::MAIN)));
        }
        if now >= self.next_full {
            self.next_full = now + FULL_OBSERVATION;
            self.next_sysctl_poll = now + SYSCTL_POLL;
            out.push(Output::Observe(Scope::ALL));
        } else if now >= self.next_sysctl_poll {
            self.next_sysctl_poll = now + SYSCTL_POLL;
            out.push(Output::Observe(Scope::SYSCTLS));
        }
    }

    /// One pass of the engine, if something changed or is due.
    fn reconcile(&mut self, now: Instant, out: &mut Vec<Output>) {
        let due = self.dirty || self.engine.deadline().is_some_and(|at| at <= now);
        if self.engine.is_busy() || self.looks_again() || !due {
            return;
        }
        self.dirty = false;
        let desired = self.desired();
        let is_used = |table| self.watch.used_tables.binary_search(&table).is_ok();
        if !desired.keys().filter_map(watch::table_of).all(is_used) {
            self.refresh_watch(out);
        }
        self.note_originals(&desired, out);
        let mut news = Vec::new();
        let plan = self.engine.plan(now, &desired, &self.observed, &mut news);
        out.extend(news.into_iter().map(Output::Notice));
        self.note_foreign(&desired, out);
        self.links_dirty |= !self.withdrawing && self.is_way_in_trouble();
        self.note_routes();
        if plan.is_empty() {
            return;
        }
        for step in &plan {
            let object = step.key.to_string();
            out.push(Output::Notice(Notice::Changed { object, change: describe(&step.op) }));
        }
        out.push(Output::Apply(plan));
        let scope = self.engine.awaiting();
        if !scope.is_empty() {
            out.push(Output::Observe(scope));
        }
    }

    /// What we want: everything, or while withdrawing nothing; settings that we changed and no
    /// longer need go back to what they were. Rendered anew only when a fact changed.
    fn desired(&mut self) -> Arc<State> {
        let facts = self.facts.essence();
        if let Some((known, state)) = &self.rendered
            && *known == facts
        {
            return state.clone();
        }
        let mut desired =
            if self.withdrawing { State::new() } else { render::render(&self.config, &facts) };
        if !self.verified && !self.withdrawing {
            desired.insert(Key::Guard, Resource::Guard);
        }
        self.restoring.clear();
        for (path, original) in &self.saved.sysctls {
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

    fn note_foreign(&mut self, desired: &State, out: &mut Vec<Output>) {
        let priorities = self.config.ranges.rule_priorities;
        let foreign = crate::state::foreign(desired, &self.observed, priorities);
        for object in foreign.iter().filter(|object| !self.foreign.contains(object)) {
            out.push(Output::Notice(Notice::Foreign { object: object.clone() }));
        }
        self.foreign = foreign;
    }

    /// Tells what is new among the conflicts, and what is over.
    fn take_findings(&mut self, findings: Findings, out: &mut Vec<Output>) {
        let old = core::mem::replace(&mut self.beside, findings);
        let new = &self.beside.conflicts;
        let told = |gone| move |c: &Conflict| Output::Notice(Notice::conflict(c, gone));
        out.extend(new.iter().filter(|c| !old.conflicts.contains(c)).map(told(false)));
        out.extend(old.conflicts.iter().filter(|c| !new.contains(c)).map(told(true)));
    }

    /// The steps that a first pass would take; for `rail plan`. Needs one full observation.
    pub fn preview(&mut self, now: Instant) -> Plan {
        let mut ignored = Vec::new();
        self.adopt_newcomers();
        self.refresh_links(now, &mut ignored);
        for fact in self.facts.uplinks.iter_mut().filter(|fact| fact.ifindex.is_some()) {
            // As it will be when the first steps are done: all of them in one list.
            (fact.link_up, fact.carrier) = (true, true);
            fact.has_address = PerFamily::of(|family| fact.way[family].is_some());
        }
        self.decide(now, &mut ignored);
        let desired = self.desired();
        self.engine.preview(&desired, &self.observed)
    }

    fn save(&mut self, durable: bool, out: &mut Vec<Output>) {
        self.durable_saves += u64::from(durable);
        out.push(Output::Save { saved: Box::new(self.saved.clone()), durable });
    }

    fn note_history(&mut self, now: Instant, index: usize, text: String) {
        let at_ms = now.as_nanos() / 1_000_000;
        let history = &mut self.books[index].history;
        while history.len() >= HISTORY {
            history.pop_front();
        }
        history.push_back(HistoryEntry { at_ms, text });
    }
}

#[cfg(test)]
mod tests;
