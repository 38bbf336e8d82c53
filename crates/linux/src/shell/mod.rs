//! Performs what the core asks for, in the order it asks.
//!
//! Owns every descriptor that touches the network. Promises: an output begins
//! only after the one before it has taken effect, but for an `nft` child, which
//! has only begun: nothing waits for it, and its answer comes when it ends. Nor
//! does anything wait for the disk but the end of the daemon; a state that must
//! be on it is answered when it is, or after two seconds. What goes through a port
//! never waits, nor does a question.
//! Every answer comes back as an [`Input`]. Leaves out all decisions: an error
//! is an answer like any other.

mod carrier;
mod children;
mod kernel;
mod ports;
mod record;
mod saves;
mod strays;
mod survey;
mod worker;

use crate::ask::Asks;
use crate::child::Children;
use crate::clock;
use crate::netlink::Counters;
use crate::poll::{Poller, Ready};
use crate::port::{PortCounters, Ports};
use crate::process::Spawner;
use carrier::CarrierWatch;
pub use kernel::Kernel;
use kernel::Monitors;
use rail_core::Watch;
use rail_core::net::IfName;
use rail_core::notice::{Notice, ReconcileNews, Severity};
use rail_core::render::FOREIGN;
use rail_core::state::{Key, Op, OpError, Scope, Step};
use rail_core::time::{Duration, Instant};
use rail_core::{Input, MOST_ASKS, NOBODY, Output};
use record::{Moment, Record};
use saves::Saves;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::rc::Rc;
use strays::Strays;
use survey::Turn;
use worker::{Finished, Workers};

/// What the shell has to say.
#[derive(Debug)]
pub enum Event {
    /// For the core.
    Input(Input),
    /// For people.
    Notice(Notice),
    /// Withdrawal is complete and the outputs before it are performed.
    Done,
}

/// The shell.
#[derive(Debug)]
pub struct Shell {
    poller: Rc<Poller>,
    kernel: Kernel,
    monitors: Monitors,
    spawner: Spawner,
    children: Children,
    workers: Workers,
    carriers: CarrierWatch,
    ports: Ports,
    asks: Asks,
    watch: Watch,
    record: Record,
    queue: VecDeque<Work>,
    waiting: Option<Waiting>,
    /// States that must be on the disk and are not yet.
    saving: Saves,
    /// How many states had to be on the disk.
    durable_saves: u64,
    /// What the `nft` child that runs changes.
    transaction: Option<Key>,
    /// What others changed and the core does not know yet, and when it is reported.
    changed: Option<(Scope, Instant)>,
    /// When changes were last reported to the core.
    reported: Instant,
    survey: Turn,
    strays: Strays,
    events: VecDeque<Event>,
    save_error: Option<String>,
    /// The disk let a state wait too long, and has not answered since.
    disk_hangs: bool,
    observe_error: Option<String>,
}

/// What stands in the queue: an [`Output::Apply`] as single steps, all else as it came.
#[derive(Debug)]
enum Work {
    Step(Step),
    Output(Output),
}

/// What the queue waits for.
#[derive(Debug)]
enum Waiting {
    /// The disk, before the end.
    Disk,
    /// The end of the children, before our own.
    Children,
    /// Another attempt to read the kernel, at this time.
    Retry(Instant),
}

impl Shell {
    /// Opens everything. The spawners were started first, before threads and rights were changed:
    /// one for our changes, one for looking at other software, which may take its time.
    ///
    /// # Errors
    /// The kernel refuses a socket, a thread or a descriptor.
    pub fn open(
        poller: Rc<Poller>,
        [spawner, surveyor]: [Spawner; 2],
        children: Children,
        state_dir: &Path,
    ) -> io::Result<Self> {
        let kernel = Kernel::open()?;
        let workers = Workers::start(state_dir.into(), surveyor)?;
        let monitors = Monitors::open(&kernel, &poller)?;
        poller.add(&spawner, TOKEN_SPAWNER)?;
        poller.add(&children, TOKEN_CHILDREN)?;
        poller.add(&workers, TOKEN_WORKERS)?;
        let carriers = CarrierWatch::start()?;
        poller.add(&carriers, TOKEN_CARRIERS)?;
        Ok(Self {
            poller,
            kernel,
            monitors,
            spawner,
            children,
            workers,
            carriers,
            ports: Ports::new(TOKEN_PORTS..TOKEN_ASKS),
            asks: Asks::new(TOKEN_ASKS..TOKENS_END),
            watch: Watch::default(),
            record: Record::from_environment(),
            queue: VecDeque::new(),
            waiting: None,
            saving: Saves::default(),
            durable_saves: 0,
            transaction: None,
            changed: None,
            reported: Instant::ZERO,
            survey: Turn::default(),
            strays: Strays::default(),
            events: VecDeque::new(),
            save_error: None,
            disk_hangs: false,
            observe_error: None,
        })
    }

    /// Performs an output now, or as soon as those before it are through.
    pub fn perform(&mut self, output: Output) {
        match output {
            // These need nothing that waits: a probe or a piece of news that is late is wrong.
            Output::Send { port, to, bytes } => self.ports.send(&self.poller, port, to, &bytes),
            Output::Ask(id, ask) => self.ask(id, ask),
            Output::CancelAsks(asker) => self.asks.cancel(asker),
            // It is meant for the probe that follows. If it fails, the kernel asks again by itself.
            Output::Resolve(ifname, address) => drop(self.kernel.resolve(ifname, &address)),
            Output::Ports(ports) => self.ports.set(&self.poller, ports),
            Output::Children(list) => self.children.set(list),
            Output::Notice(mut notice) => {
                if let Notice::Reconcile(ReconcileNews::Repaired { object, by, .. }) = &mut notice {
                    *by = self.monitors.author(object);
                }
                self.events.push_back(Event::Notice(notice));
            }
            Output::Apply(plan) => self.queue.extend(plan.into_iter().map(Work::Step)),
            Output::Observe(scope) => self.queue_reading(scope),
            other => self.queue.push_back(Work::Output(other)),
        }
        self.work();
    }

    /// Takes what arrived for this token, if it is one of ours.
    pub fn ready(&mut self, ready: Ready) {
        match ready.token {
            TOKEN_SPAWNER => self.take_transactions(),
            TOKEN_CHILDREN => self.take_child_news(),
            TOKEN_WORKERS => self.take_finished(),
            TOKEN_CARRIERS => self.take_finds(),
            token @ TOKEN_MONITORS..TOKEN_PORTS => {
                let scope = self.monitors.changed(token, &self.watch);
                if self.monitors.take_others() {
                    self.survey.want(clock::now());
                } else if self.monitors.take_around() || around(scope) {
                    self.survey.want_around(clock::now());
                }
                self.note_changed(scope);
            }
            token @ TOKEN_PORTS..TOKENS_END => self.arrived(token),
            _ => {}
        }
        self.work();
    }

    /// The next thing it has to say.
    pub fn next_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// True if [`Shell::next_event`] has something.
    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// When [`Shell::wake`] has something to do.
    pub fn deadline(&self) -> Option<Instant> {
        let waiting = match self.waiting {
            Some(Waiting::Retry(at)) => Some(at),
            _ => None,
        };
        let saving = self.saving.deadline();
        let changed = self.changed.map(|(_, at)| at);
        let others = [self.survey.deadline(), self.asks.deadline(), self.children.deadline()];
        [waiting, saving, changed].into_iter().chain(others).flatten().min()
    }

    /// Does what is due.
    pub fn wake(&mut self, now: Instant) {
        if let Some((scope, _)) = self.changed.take_if(|(_, at)| *at <= now) {
            self.reported = now;
            self.events.push_back(Event::Input(Input::Changed(scope)));
        }
        self.end_asks(now);
        self.wake_children(now);
        if let Some(look) = self.survey.begin(now) {
            self.workers.survey(look);
        }
        if self.saving.deadline().is_some_and(|until| until <= now) {
            self.disk_hangs = true;
            self.tell_save_error(Some(DISK_HANGS.into()));
            self.end_saving(u64::MAX);
        }
        if matches!(self.waiting, Some(Waiting::Retry(at)) if at <= now) {
            self.waiting = None;
        }
        self.work();
    }

    /// What the ports counted.
    pub const fn port_counters(&self) -> PortCounters {
        self.ports.counters()
    }

    /// What the netlink sockets counted.
    pub fn netlink_counters(&self) -> Counters {
        self.kernel.counters() + self.monitors.counters()
    }

    /// In a storm of changes readings would pile up while something is waited for, and then all be
    /// performed in one go: one that stands last takes in those that follow.
    fn queue_reading(&mut self, scope: Scope) {
        match self.queue.back_mut() {
            Some(Work::Output(Output::Observe(last))) => *last |= scope,
            _ => self.queue.push_back(Work::Output(Output::Observe(scope))),
        }
    }

    /// Performs what stands in the queue up to something that must be waited for.
    fn work(&mut self) {
        while self.waiting.is_none() {
            match self.queue.pop_front() {
                Some(Work::Step(step)) => self.step(step),
                Some(Work::Output(output)) => self.output(output),
                None => return,
            }
        }
    }

    fn output(&mut self, output: Output) {
        match output {
            Output::Watch(watch) => {
                self.survey.set_view(clock::now(), &watch.beside);
                self.carriers.watch(&watch.links);
                self.watch = watch;
            }
            Output::Observe(scope) => self.observe(scope),
            // A look for connections of no uplink is a change only if it finds some.
            Output::Purge(purge) if purge.is_routine() => {
                let dropped = FOREIGN.iter().filter_map(|chain| self.kernel.packets(chain));
                let dropped = dropped.reduce(u64::wrapping_add);
                if self.strays.is_due(clock::now(), dropped) {
                    self.workers.purge(purge);
                } else {
                    let nothing = Input::Purged { uplink: purge.uplink, result: Ok(0) };
                    self.events.push_back(Event::Input(nothing));
                }
            }
            Output::Purge(purge) => {
                self.record.at(Moment::Before);
                self.workers.purge(purge);
                self.record.at(Moment::During);
            }
            Output::CancelPurge(uplink) => self.workers.cancel_purge(uplink),
            Output::LinkUp(ifname) => self.set_link(ifname, true),
            Output::LinkDown(ifname) => self.set_link(ifname, false),
            Output::Save { saved, durable } => {
                let number = self.workers.save(saved);
                if durable {
                    self.durable_saves += 1;
                    self.saving.push(number, self.durable_saves, clock::now() + DISK_MAY_TAKE);
                }
                // One that is known to hang is not waited for again.
                if durable && self.disk_hangs {
                    self.end_saving(number);
                }
            }
            Output::Done if !self.saving.is_empty() => {
                self.queue.push_front(Work::Output(Output::Done));
                self.waiting = Some(Waiting::Disk);
            }
            Output::Done if !self.children.is_carried_out() => {
                self.queue.push_front(Work::Output(Output::Done));
                self.waiting = Some(Waiting::Children);
            }
            Output::Done => self.events.push_back(Event::Done),
            Output::Send { .. }
            | Output::Ask(..)
            | Output::CancelAsks(_)
            | Output::Resolve(..)
            | Output::Ports(_)
            | Output::Children(_)
            | Output::Notice(_)
            | Output::Apply(_) => {}
        }
    }

    /// Reads the kernel. A guess would be worse than none, so a failure is tried again until it
    /// succeeds; what is behind waits, because it was meant to see the answer.
    fn observe(&mut self, scope: Scope) {
        match self.kernel.observe(scope, &self.watch) {
            Ok(observed) => {
                self.observe_error = None;
                if scope.has(Scope::LINKS) {
                    self.monitors.watch_neighbours(&self.watch, &observed);
                }
                self.events.push_back(Event::Input(Input::Observed(scope, Box::new(observed))));
            }
            Err(error) => {
                if self.observe_error.as_ref() != Some(&error.text) {
                    self.tell(Severity::Error, format!("could not read the kernel: {error}"));
                    self.observe_error = Some(error.text);
                }
                self.queue.push_front(Work::Output(Output::Observe(scope)));
                self.waiting = Some(Waiting::Retry(clock::now() + RETRY_AFTER));
            }
        }
    }

    /// One command of somebody else often makes many changes, and some (`ip route flush`) look
    /// again whether they are through: these are reported together, a moment later. Links and
    /// neighbours are reported at once, with all that waits; in a storm of them each reading of the
    /// kernel takes in those that came since the last, or a busy link would cost a whole core.
    fn note_changed(&mut self, scope: Scope) {
        if scope.is_empty() {
            return;
        }
        let now = clock::now();
        let (mut all, mut at) = self.changed.unwrap_or((Scope::NONE, now + COLLECT_FOR));
        all |= scope;
        if scope.has(Scope::LINKS) || scope.has(Scope::NEIGHBOURS) {
            at = at.min(now.max(self.reported + BETWEEN_READINGS));
        }
        self.changed = Some((all, at));
        self.wake(now);
    }

    fn step(&mut self, step: Step) {
        self.record.at(Moment::Before);
        let Step { key, op } = step;
        let word = record::word(&op);
        let result = match op {
            // The core asks for one at a time.
            Op::Script(_) if self.transaction.is_some() => {
                Err(OpError { errno: libc::EBUSY, text: "another transaction runs".into() })
            }
            Op::Script(text) => match self.spawner.nft(&text) {
                Ok(()) => {
                    self.monitors.begin_firewall_change();
                    self.record.at(Moment::During);
                    self.transaction = Some(key);
                    return;
                }
                Err(e) => Err(OpError {
                    errno: e.raw_os_error().unwrap_or(0),
                    text: format!("could not start nft: {e}"),
                }),
            },
            op => self.kernel.apply(&key, &op),
        };
        self.applied(key, word, result);
    }

    fn applied(&mut self, key: Key, word: &str, result: Result<(), OpError>) {
        self.record.after_change(clock::now(), &key.to_string(), word, &result);
        self.events.push_back(Event::Input(Input::Applied(key, result)));
    }

    fn set_link(&mut self, ifname: IfName, up: bool) {
        self.record.at(Moment::Before);
        let result = self.kernel.set_link(ifname, up);
        let word = if up { "up" } else { "down" };
        self.record.after_change(clock::now(), &format!("link {ifname}"), word, &result);
        if let Err(e) = result {
            self.tell(Severity::Warn, format!("could not set the link {ifname} {word}: {e}"));
        }
    }

    /// A child ended; it was `nft`.
    fn take_transactions(&mut self) {
        while let Some(result) = self.spawner.finished() {
            if let Some(key) = self.transaction.take() {
                // What the child changed is ours. A foreign change in the same moment is seen by
                // the observation that follows every transaction.
                self.monitors.forget_firewall_changes();
                self.changed = self.changed.and_then(|(scope, at)| {
                    let rest = scope.without(Scope::FIREWALL);
                    (!rest.is_empty()).then_some((rest, at))
                });
                self.applied(key, "nft", result);
            }
        }
    }

    fn take_finished(&mut self) {
        for finished in self.workers.take_finished() {
            match finished {
                Finished::Purged(uplink, result) => {
                    if uplink == NOBODY {
                        self.strays.answered(&result);
                    }
                    let (key, done) =
                        (format!("connections of {uplink}"), result.clone().map(drop));
                    if uplink != NOBODY || result != Ok(0) {
                        self.record.after_change(clock::now(), &key, "purge", &done);
                    }
                    self.events.push_back(Event::Input(Input::Purged { uplink, result }));
                }
                Finished::Surveyed(findings, took) => {
                    self.survey.end(clock::now(), took);
                    self.events.push_back(Event::Input(Input::Surveyed(findings)));
                }
                Finished::Saved(number, result) => {
                    self.disk_hangs = false;
                    self.tell_save_error(result.err());
                    self.end_saving(number);
                }
            }
        }
    }

    fn tell(&mut self, severity: Severity, text: String) {
        self.events.push_back(Event::Notice(Notice::daemon(severity, text)));
    }
}

/// Kinds that the surroundings are examined by.
const fn around(scope: Scope) -> bool {
    scope.has(Scope::LINKS) || scope.has(Scope::ADDRESSES) || scope.has(Scope::RULES)
}

/// The descriptors of the kernel's notifications.
const TOKEN_MONITORS: u64 = 16;
const TOKEN_SPAWNER: u64 = 8;
const TOKEN_WORKERS: u64 = 9;
const TOKEN_CARRIERS: u64 = 10;
const TOKEN_CHILDREN: u64 = 11;
/// Ports, four for each uplink at most; then questions, so many at once.
const TOKEN_PORTS: u64 = 256;
const TOKEN_ASKS: u64 = 768;
/// The shell uses 8 up to here.
const TOKENS_END: u64 = TOKEN_ASKS + MOST_ASKS;

/// Much shorter than anybody notices, much longer than a command takes between two changes.
const COLLECT_FOR: Duration = Duration::from_millis(20);
/// A second change of a link this soon after the first is reported with a delay that nobody notices.
const BETWEEN_READINGS: Duration = Duration::from_millis(5);
/// A worn memory card takes some hundred milliseconds now and then; one that takes longer hangs.
const DISK_MAY_TAKE: Duration = Duration::from_secs(2);
const DISK_HANGS: &str = "could not write the state: the disk does not answer";
/// Between two attempts to read the kernel.
const RETRY_AFTER: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
