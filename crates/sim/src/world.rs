//! The world: events in the order of virtual time, one router, its fake kernel,
//! and the laws that watch.
//!
//! Promises: everything follows from the seed; between any two changes of the
//! kernel the laws are asked. Time passes only from event to event.

mod children;
#[cfg(test)]
mod kinds;
mod ports;
mod shell;
mod traffic;

use crate::dice::Dice;
use crate::fault::{Fault, Mix};
use crate::invariant::{Happening, Judged, Laws, Share};
use crate::node::{Node, Trouble};
use crate::scenario::Scenario;
use crate::scene::{Excuses, Line, Scene, Ways};
use crate::trace::Trace;
use rail_core::net::{IfName, UplinkId};
use rail_core::status::Role;
use rail_core::time::{Duration, Instant};
use rail_core::{Asker, Input, Output, Purge, Router, Saved};
use std::collections::{BTreeMap, BTreeSet};
use traffic::Counting;

/// What is going to happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    /// The router wanted to be woken.
    Wake(u64),
    /// The first of the queue is done.
    Work(u64),
    /// The child of a process of this number ends.
    Transaction(u64),
    /// A cable is pulled while a child of this process runs.
    Cut(u64),
    /// Something reaches the router.
    Input(u64, Input, Option<usize>),
    /// A state is on the disk; it was asked for that.
    Saved(u64, u64, Box<Saved>, bool),
    /// The shell looks at the links in use.
    Look(u64),
    /// The shell looks at the traffic of a device.
    Count(u64, Box<Counting>),
    /// Connections are deleted.
    Purge(u64, Purge),
    /// The supervised child of this number ends, if it still runs.
    ChildEnds(u32),
    /// Something goes wrong.
    Fault(Fault),
    /// Something is well again.
    Heal(Heal),
    /// Clients begin connections; laws look at the clock.
    Clients,
}

/// What is well again.
#[derive(Copy, Clone, Debug)]
pub(crate) enum Heal {
    Carrier(IfName),
    Up(IfName),
    Plug(IfName),
    Uplink(usize),
    NeighbourFails(usize),
    Step(usize, u32),
    Targets,
    Refusals,
    Slowness,
    Deafness,
    Delays,
    Pause(u64),
    Place,
    Given(usize),
    Servers,
    Restart,
}

/// A run that broke a law.
#[derive(Clone, Debug)]
pub struct Violation {
    /// The law.
    pub law: &'static str,
    /// What happened.
    pub text: String,
}

/// The world.
pub struct World {
    pub(crate) dice: Dice,
    pub(crate) scene: Scene,
    pub(crate) node: Node,
    pub(crate) trouble: Trouble,
    pub(crate) trace: Trace,
    pub(crate) mix: Mix,
    pub(crate) faults: [u64; Fault::ALL.len()],
    pub(crate) violation: Option<Violation>,
    pub(crate) deaf_permille: u32,
    pub(crate) overrun_permille: u32,
    pub(crate) delay: Duration,
    pub(crate) ops: u64,
    /// Whoever stands in our place at the start goes late.
    pub(crate) stands_long: bool,
    /// Reloads change the tier of the last uplink.
    pub(crate) retiers: bool,
    /// Reloads give the first uplink further addresses.
    pub(crate) extends: bool,
    /// Reloads give the last uplink further addresses and exemptions.
    pub(crate) extends_last: bool,
    events: BTreeMap<(Instant, u64), Event>,
    /// Who has asked questions.
    askers: BTreeSet<Asker>,
    sequence: u64,
    laws: Laws,
    last_said: Instant,
    last_quiet: Instant,
    is_done: bool,
}

impl World {
    /// A world before the first start of the daemon.
    pub fn new(mut dice: Dice, scenario: Scenario) -> Self {
        let now = Instant::from_nanos(
            u64::try_from(dice.between(SEC * 30, SEC * 90).as_nanos()).unwrap_or(0),
        );
        let config = scenario.config;
        let lines = (1_u8..=u8::try_from(config.uplinks.len()).unwrap_or(0)).map(|n| {
            // The core numbers names in the order of the file.
            Line::new(now, UplinkId(n), rail_core::render::mark(&config, UplinkId(n)))
        });
        let scene = Scene {
            now,
            lines: lines.collect(),
            config,
            kept: scenario.kept,
            kernel: scenario.kernel,
            net: scenario.net,
            steady: Share::default(),
            ways: Ways::default(),
            lost_since: None,
            ports: Vec::new(),
            excuses: Excuses::since(now),
            is_running: false,
            is_configured: false,
            had_rival: false,
            is_damaged: false,
            withdrawing: false,
            is_writing: false,
            are_rules_refused: false,
            disk: Saved::default(),
        };
        let mut world = Self {
            dice,
            scene,
            node: Node::new(),
            trouble: Trouble::default(),
            trace: Trace::default(),
            mix: scenario.mix,
            faults: [0; Fault::ALL.len()],
            violation: None,
            deaf_permille: 0,
            overrun_permille: 0,
            delay: Duration::ZERO,
            ops: 0,
            stands_long: false,
            retiers: false,
            extends: false,
            extends_last: false,
            events: BTreeMap::new(),
            askers: BTreeSet::new(),
            sequence: 0,
            laws: Laws::all(),
            last_said: now,
            last_quiet: now,
            is_done: false,
        };
        world.trouble.omit_permille = world.dice.pick(&[0, 20, 200]);
        world.trouble.hang_permille = world.dice.pick(&[0, 0, 300]);
        world.scene.refresh_ways();
        world.note_configuration();
        world.after(Duration::ZERO, Event::Heal(Heal::Restart));
        world.after(SEC, Event::Clients);
        world
    }

    /// Writes the configuration on top of the timeline.
    fn note_configuration(&mut self) {
        let config = self.scene.config.clone();
        let uplinks = config.uplinks.iter();
        let uplinks: Vec<String> =
            uplinks.map(|u| format!("{} weight {} {:?}", u.name, u.weight, u.tier)).collect();
        let (check, no_uplink) = (&config.check, config.router.no_uplink);
        self.note(format!("{}; {no_uplink:?}; {check:?}", uplinks.join(", ")));
        for uplink in config.uplinks.iter().filter(|uplink| uplink.check != *check) {
            self.note(format!("{} has its own {:?}", uplink.name, uplink.check));
        }
    }

    /// Runs until this moment, or until a law is broken.
    pub fn run_until(&mut self, end: Instant) {
        while self.violation.is_none() {
            let Some(next) = self.events.first_entry().filter(|next| next.key().0 <= end) else {
                break;
            };
            let ((at, _), event) = next.remove_entry();
            self.step(at, event);
        }
        self.scene.now = self.scene.now.max(end);
    }

    fn step(&mut self, at: Instant, event: Event) {
        self.scene.now = at;
        match event {
            Event::Wake(life) if life == self.node.life => {
                if self.node.next_wake.is_some_and(|planned| planned <= at) {
                    self.node.next_wake = None;
                    self.wake();
                }
            }
            Event::Work(life) if life == self.node.life => self.work(),
            Event::Transaction(life) if life == self.node.life => self.end_transaction(),
            Event::Input(life, input, line) if life == self.node.life => {
                if let Some(line) = line {
                    self.scene.net.lines[line].last_arrival = at;
                }
                self.deliver(input);
            }
            Event::Saved(life, number, saved, durable) if life == self.node.life => {
                self.node.write(number, *saved);
                self.scene.disk.clone_from(&self.node.disk);
                if durable {
                    self.node.durable += 1;
                    self.deliver(Input::Saved(self.node.durable));
                }
            }
            Event::Purge(life, purge) if life == self.node.life => self.purge(&purge),
            Event::Look(life) if life == self.node.life => self.look(),
            Event::Count(life, counting) if life == self.node.life => self.count(*counting),
            Event::Cut(life) if life == self.node.life => self.cut(),
            Event::Wake(_)
            | Event::Look(_)
            | Event::Count(..)
            | Event::Work(_)
            | Event::Transaction(_)
            | Event::Cut(_)
            | Event::Input(..)
            | Event::Saved(..)
            | Event::Purge(..) => {}
            Event::ChildEnds(pid) => self.child_ends(pid),
            Event::Fault(fault) => self.inject_and_plan(fault),
            Event::Heal(heal) => self.heal(heal),
            Event::Clients => self.clients(),
        }
        self.scene.refresh();
        self.judge(&Happening::Tick);
    }

    /// Plans an event.
    pub(crate) fn after(&mut self, wait: Duration, event: Event) {
        self.sequence += 1;
        self.events.insert((self.scene.now + wait, self.sequence), event);
    }

    /// From now on only this law is asked, if one is named, and so much of the timeline is kept.
    pub(crate) fn judge_by(&mut self, law: Option<&str>, kept: Option<usize>) {
        if let Some(law) = law {
            self.laws.keep(law);
        }
        if let Some(kept) = kept {
            self.trace.kept = kept;
        }
    }

    /// Asks all laws.
    pub(crate) fn judge(&mut self, what: &Happening<'_>) {
        if self.violation.is_none()
            && let Some(violation) = self.laws.judge(&self.scene, what)
        {
            self.note(format!("LAW BROKEN: {}: {}", violation.law, violation.text));
            self.violation = Some(violation);
        }
    }

    /// For how long each law judged, and excused.
    pub(crate) fn judged(&self) -> BTreeMap<&'static str, Judged> {
        self.laws.times()
    }

    /// Writes into the timeline.
    pub(crate) fn note(&mut self, text: String) {
        self.trace.note(self.scene.now, text);
    }

    /// Begins to inject faults.
    pub fn begin_faults(&mut self) {
        if let Some((fault, wait)) = self.mix.next(&mut self.dice) {
            self.after(wait, Event::Fault(fault));
        }
    }

    fn inject_and_plan(&mut self, fault: Fault) {
        if self.mix.next(&mut self.dice).is_none() {
            return;
        }
        self.faults[fault.index()] += 1;
        self.inject(fault);
        self.begin_faults();
    }

    /// Starts the daemon.
    pub(crate) fn start(&mut self) {
        let now = self.scene.now;
        let key = self.dice.key();
        let (config, saved) = (self.scene.told(), self.node.disk.clone());
        self.scene.adopt_leases(&saved);
        let mut router = Router::new(config, saved, "boot".into(), key);
        self.scene.excuses.started = now;
        self.scene.is_running = true;
        for (line, uplink) in self.scene.lines.iter_mut().zip(&self.scene.config.uplinks) {
            let carried = self.node.disk.active.contains(&uplink.name);
            line.begin(if carried { Role::Active } else { Role::Standby });
        }
        self.note("the daemon starts".into());
        // Whoever stands in our place goes before the laws ask whether all is as desired.
        let wait = if self.stands_long { SEC * 8 } else { MS * 700 };
        self.after(wait, Event::Heal(Heal::Place));
        if self.stands_long {
            self.scene.excuses.disturbed = now + wait;
        }
        let mut out = Vec::new();
        router.start(now, &mut out);
        self.node.router = Some(router);
        self.judge(&Happening::Started);
        self.perform(out);
        self.wake();
    }

    /// The daemon is killed.
    pub(crate) fn crash(&mut self) {
        // An nft child may live longer than its parent.
        if let Some(step) = self.node.transaction.take()
            && self.dice.permille(500)
        {
            // Nobody is left to hear of it.
            let _ = self.change(&step);
        }
        self.node.kill();
        self.scene.is_writing = false;
        self.scene.are_rules_refused = false;
        self.scene.is_running = false;
        self.scene.ports.clear();
        self.note("the daemon is killed".into());
        self.judge(&Happening::Killed);
    }

    /// Hands something to the router, and lets it decide.
    pub(crate) fn deliver(&mut self, input: Input) {
        if self.node.is_paused {
            self.node.inbox.push(input);
            return;
        }
        let now = self.scene.now;
        let Some(router) = &mut self.node.router else { return };
        let mut out = Vec::new();
        router.handle(now, input, &mut out);
        self.perform(out);
        self.wake();
    }

    pub(crate) fn perform_and_wake(&mut self, out: Vec<Output>) {
        self.perform(out);
        self.wake();
    }

    fn wake(&mut self) {
        if self.node.is_paused {
            return;
        }
        let now = self.scene.now;
        let mut deadline = None;
        for _ in 0..16 {
            let Some(router) = &mut self.node.router else { return };
            let mut out = Vec::new();
            router.wake(now, &mut out);
            deadline = router.deadline();
            self.judge(&Happening::Woken);
            self.perform(out);
            if deadline.is_none_or(|at| at > now) {
                break;
            }
        }
        if let Some(at) = deadline {
            let at = at.max(now + Duration::from_micros(1));
            if self.node.next_wake.is_none_or(|planned| planned > at || planned < now) {
                self.node.next_wake = Some(at);
                let late = self.dice.between(Duration::ZERO, Duration::from_micros(500));
                self.after(at.since(now) + late, Event::Wake(self.node.life));
            }
        }
    }

    /// True once a withdrawal is complete.
    pub const fn is_done(&self) -> bool {
        self.is_done
    }
}

pub(crate) const MS: Duration = Duration::from_millis(1);
pub(crate) const SEC: Duration = Duration::from_secs(1);
