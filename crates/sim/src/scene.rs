//! What the laws look at: the fake kernel, the truth about each uplink, the ways of
//! new and of pinned connections, what the router said, and what excuses it.

mod bounds;
mod damping;
mod excuses;
mod line;
mod truth;

pub use excuses::Excuses;
pub use line::{Class, Line};

use crate::invariant::Share;
use crate::kernel::{FibRule, Kernel, Outcome, Query};
use crate::net::Net;
use rail_core::config::{Config, OnFailback, Tier, UplinkConfig};
use rail_core::state::{Key, Op, RouteKey};
use rail_core::status::Role;
use rail_core::time::{Duration, Instant};
use rail_core::{Port, Purge, Saved, Which, render};

/// A way that a new connection takes.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Way {
    /// The line it is meant for, by its bucket or by the shared default; `None`: for no line.
    pub line: Option<usize>,
    /// Where it goes.
    pub outcome: Outcome,
}

/// The ways of all connections, recomputed when the kernel changes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ways {
    /// New connections, each way once.
    pub fresh: Vec<Way>,
    /// Mark of each bucket.
    pub buckets: Vec<u32>,
    /// Of each uplink's pinned connections.
    pub pinned: Vec<Outcome>,
    /// Of each uplink's probes.
    pub probes: Vec<Outcome>,
}

impl Outcome {
    /// The one outcome of several, or [`Outcome::Lost`].
    fn single(ways: &[Self]) -> Self {
        match ways {
            [one] => *one,
            _ => Self::Lost,
        }
    }
}

impl Ways {
    /// Asks the kernel.
    pub fn of(kernel: &Kernel, config: &Config, marks: &[u32]) -> Self {
        let lookup = |mark| kernel.lookup(Query { mark, ..Query::default() });
        let buckets = kernel.new_connection_marks(render::bucket_count(config));
        let mut fresh = Vec::new();
        let mut seen = if kernel.takes_no_bucket() { Vec::new() } else { buckets.clone() };
        seen.push(0);
        seen.sort_unstable();
        seen.dedup();
        for mark in seen {
            for outcome in lookup(mark) {
                let by_device =
                    |o: Outcome| config.uplinks.iter().position(|u| o == Outcome::Via(u.ifname));
                let line = match mark {
                    0 => by_device(outcome),
                    _ => marks.iter().position(|m| *m == mark),
                };
                fresh.push(Way { line, outcome });
            }
        }
        fresh.sort_unstable();
        fresh.dedup();
        let pinned = marks.iter().map(|mark| Outcome::single(&lookup(*mark))).collect();
        let probe = |(mark, uplink): (&u32, &UplinkConfig)| {
            let (from, oif) = (uplink.address().map(|own| own.address), Some(uplink.ifname));
            Outcome::single(&kernel.lookup(Query { mark: *mark, from, oif }))
        };
        let probes = marks.iter().zip(&config.uplinks).map(probe).collect();
        Self { fresh, buckets, pinned, probes }
    }
}

/// A change that the router makes.
#[derive(Clone, Debug)]
pub struct Change {
    /// The object.
    pub key: Key,
    /// The change.
    pub op: Op,
    /// The kernel took it.
    pub done: bool,
    /// The kernel before it.
    pub before: Kernel,
    /// The ways before it.
    pub ways_before: Ways,
}

/// Everything that the laws look at.
#[derive(Clone, Debug)]
pub struct Scene {
    /// Now.
    pub now: Instant,
    /// Configuration.
    pub config: Config,
    /// Uplinks whose interfaces another program configures.
    pub kept: Vec<usize>,
    /// Kernel.
    pub kernel: Kernel,
    /// Internet.
    pub net: Net,
    /// Uplinks in the order of the configuration.
    pub lines: Vec<Line>,
    /// How many uplinks that can be probed are steady.
    pub steady: Share,
    /// Ways of connections.
    pub ways: Ways,
    /// Since when a new connection is lost that is meant for no uplink.
    pub lost_since: Option<Instant>,
    /// Ports.
    pub ports: Vec<Port>,
    /// Excuses.
    pub excuses: Excuses,
    /// The router runs.
    pub is_running: bool,
    /// The router was settled once since the boot.
    pub is_configured: bool,
    /// Somebody else edited our objects at some time.
    pub had_rival: bool,
    /// Somebody edited our objects since all was last in order.
    pub is_damaged: bool,
    /// Everything is to be taken away.
    pub withdrawing: bool,
    /// An `nft` child of ours runs.
    pub is_writing: bool,
    /// The last one was refused.
    pub are_rules_refused: bool,
    /// The state that is on the disk.
    pub disk: Saved,
}

impl Scene {
    /// True if another uplink than `but` can carry new connections, and the router must know.
    pub fn has_alternative(&self, but: Option<usize>) -> bool {
        self.is_alternative(but, Excuses::is_overdue)
    }

    /// True if an uplink carries nothing, and such connections of it are to be deleted once it was left.
    pub fn is_left(&self, i: usize, purge: &Purge) -> bool {
        let which = match self.config.uplinks[i].on_failback {
            OnFailback::Keep => return false,
            OnFailback::CutUdp => Which::MovableUdp,
            OnFailback::Drain(_) | OnFailback::Cut => Which::Movable,
        };
        // A reload may have changed the tiers since.
        which == purge.which && self.lines[i].role != Role::Active
    }

    /// The same as [`has_alternative`](Self::has_alternative) where it does not matter whether notifications come.
    pub fn has_alternative_though_blind(&self, but: usize) -> bool {
        self.is_alternative(Some(but), Excuses::is_overdue_though_blind)
    }

    fn is_alternative(
        &self,
        but: Option<usize>,
        is_overdue: fn(&Excuses, Instant, Instant, Duration) -> bool,
    ) -> bool {
        let carries = |i: usize| self.config.uplinks[i].tier != Tier::Inbound;
        let is_well = |i: usize, line: &Line| {
            let bound = self.rounds_bound(i) + self.check(i).stable_for;
            line.class == Class::Perfect && is_overdue(&self.excuses, self.now, line.since, bound)
        };
        let mut lines = self.lines.iter().enumerate();
        lines.any(|(i, line)| Some(i) != but && carries(i) && is_well(i, line))
    }

    /// True if routes through the uplink can exist, and the router has had the time to know.
    pub fn is_firm(&self, line: usize) -> bool {
        let since = self.lines[line].routable_since;
        since.is_some_and(|at| self.excuses.is_overdue(self.now, at, KNOWN))
    }

    /// Computes the truth anew; cheap, called at every event.
    pub fn refresh(&mut self) {
        for i in 0..self.lines.len() {
            let (class, now) = (self.classify(i), self.now);
            let line = &mut self.lines[i];
            line.note_class(now, class);
            let since = line.unplugged_since.unwrap_or(now);
            line.unplugged_since = (!line.is_plugged).then_some(since);
            let since = line.routable_since.unwrap_or(now);
            line.routable_since = line.is_routable.then_some(since);
            let truth = self.truth(i);
            let line = &mut self.lines[i];
            line.was_limited |= truth.is_limited;
            line.was_lossy |= truth.loss_pct > 0 || truth.is_limited;
            if line.truth != truth {
                (line.truth, line.steady_since) = (truth, now);
            }
        }
        self.steady = self.steady_share();
    }

    /// A target died, or lives again: which of them count is found out anew, on every uplink.
    pub fn targets_changed(&mut self) {
        for line in &mut self.lines {
            line.targets_changed(self.now);
        }
    }

    /// Nothing has changed for the probes of this uplink for a while, and none is lost but those to a
    /// target that is dead everywhere: whatever its verdict is by now, it has no reason to fall.
    fn is_line_steady(&self, i: usize) -> bool {
        let (line, condition) = (&self.lines[i], &self.net.lines[i]);
        let is_whole = line.truth.is_there && !line.truth.is_dead && line.truth.loss_pct == 0;
        // One target left, and the uplink that reaches another one decides what is asked of all.
        let is_fair = self.net.lines.iter().all(|l| l.missing_target.is_none())
            && (self.dead_targets(i) == 0 || self.are_targets_enough(i));
        is_whole
            && !line.truth.is_limited
            && is_fair
            && self.now >= condition.unsteady_until
            && self.excuses.has_passed(self.now, line.steady_since, STEADY)
    }

    /// The same, by name.
    pub fn is_steady(&self, name: &str) -> bool {
        self.config
            .uplinks
            .iter()
            .position(|u| u.name == name)
            .is_some_and(|i| self.is_line_steady(i))
    }

    fn steady_share(&self) -> Share {
        let there = |i: &usize| self.lines[*i].class != Class::Dead && self.is_running;
        let all = (0..self.lines.len()).filter(there).count();
        let judged =
            (0..self.lines.len()).filter(there).filter(|i| self.is_line_steady(*i)).count();
        Share { judged, excused: all - judged }
    }

    /// How many uplinks are of a class that is judged, and of one that is excused.
    pub fn class_share(
        &self,
        judged: impl Fn(Class) -> bool,
        excused: impl Fn(Class) -> bool,
    ) -> Share {
        let count = |is_it: &dyn Fn(Class) -> bool| {
            self.lines.iter().filter(|line| self.is_running && is_it(line.class)).count()
        };
        Share { judged: count(&judged), excused: count(&excused) }
    }

    /// Asks the kernel for all ways anew; called whenever it has changed.
    pub fn refresh_ways(&mut self) {
        let marks: Vec<u32> = self.lines.iter().map(|line| line.mark).collect();
        self.ways = Ways::of(&self.kernel, &self.config, &marks);
        for (i, line) in self.lines.iter_mut().enumerate() {
            let uplink = &self.config.uplinks[i];
            let link = self.kernel.links.get(&uplink.ifname).filter(|link| link.up);
            let is_there = |own| self.kernel.addresses.contains_key(&(uplink.ifname, own));
            let has_address = uplink.address().is_some_and(is_there);
            line.is_plugged = link.is_some_and(|link| link.carrier);
            line.is_routable = link.is_some() && has_address;
            let has_way = has_way(&self.kernel, line.mark);
            if has_way && !line.has_way {
                line.way_since = self.now;
            }
            line.has_way = has_way;
            line.pinned = self.ways.pinned[i];
            line.probe = self.ways.probes[i];
            let carries = self.ways.fresh.iter().any(|way| way.line == Some(i));
            let since = line.carrying_since.unwrap_or(self.now);
            line.carrying_since = carries.then_some(since);
        }
        let lost = |way: &Way| way.line.is_none() && way.outcome == Outcome::Lost;
        let is_lost = self.ways.fresh.iter().any(lost);
        let since = self.lost_since.unwrap_or(self.now);
        self.lost_since = is_lost.then_some(since);
        self.refresh();
    }
}

/// A rule leads from this mark to a table that has a default.
fn has_way(kernel: &Kernel, mark: u32) -> bool {
    let leads = |rule: &&FibRule| rule.rule.fwmark.is_some_and(|(value, _)| value == mark);
    let is_default =
        |table, key: &RouteKey| key.table == table && key.prefix.length == 0 && key.metric == 0;
    let mut rules = kernel.rules.iter().filter(leads);
    rules.any(|rule| kernel.routes.keys().any(|key| is_default(rule.rule.table, key)))
}

/// All that was before has had its effect on a verdict by then.
const STEADY: Duration = Duration::from_secs(7);
/// The router has heard of a change.
const KNOWN: Duration = Duration::from_millis(300);
