//! The shell around one router: performs its outputs in order, each in its time,
//! and keeps what outlives the process.

use crate::dice::Dice;
use rail_core::Watch;
use rail_core::state::{Op, OpError, Scope, Step};
use rail_core::time::{Duration, Instant};
use rail_core::{Child, ChildId, Input, Output, Router, Saved};
use std::collections::{BTreeMap, VecDeque};

/// What stands in the queue: an [`Output::Apply`] as single steps, all else as it came.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// One change.
    Step(Step),
    /// All else.
    Output(Output),
}

/// A supervised child that runs.
#[derive(Clone, Debug)]
pub(crate) struct Process {
    /// As what it runs.
    pub(crate) child: Child,
    pub(crate) pid: u32,
    pub(crate) began: Instant,
    /// It was told to end.
    pub(crate) is_ending: bool,
}

/// One router and its shell.
#[derive(Debug)]
pub(crate) struct Node {
    /// The router; `None` while the process is dead.
    pub(crate) router: Option<Router>,
    /// Counts processes: what was meant for an earlier one is void.
    pub(crate) life: u64,
    /// What is still to be performed.
    pub(crate) queue: VecDeque<Work>,
    /// The first of the queue is being performed.
    pub(crate) is_working: bool,
    /// The transaction that a child performs meanwhile.
    pub(crate) transaction: Option<Step>,
    /// What the observations look at.
    pub(crate) watch: Watch,
    /// The supervised children; they outlive the process.
    pub(crate) children: BTreeMap<ChildId, Process>,
    /// Which of them are to run, once this process has said so.
    pub(crate) wanted: Vec<Child>,
    pub(crate) knows_children: bool,
    /// The run that ended by itself, of each.
    pub(crate) failed: BTreeMap<ChildId, u64>,
    pub(crate) last_pid: u32,
    /// When the last that happened to them is told.
    pub(crate) child_news_until: Instant,
    /// What the last look at the watched links saw.
    pub(crate) looked: Vec<Option<(u32, bool, bool)>>,
    /// The state file.
    pub(crate) disk: Saved,
    /// Counts states that were handed to the writer.
    pub(crate) saves: u64,
    /// How many of this process that had to be on the disk are.
    pub(crate) durable: u64,
    written: u64,
    /// When the deletions of connections that were asked for are through.
    pub(crate) purged_until: Instant,
    /// The wake-up that is planned.
    pub(crate) next_wake: Option<Instant>,
    /// The process gets no time; what arrives waits.
    pub(crate) is_paused: bool,
    /// What arrived meanwhile.
    pub(crate) inbox: Vec<Input>,
}

/// What makes operations fail and last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trouble {
    /// How many changes in a thousand are refused.
    pub(crate) refuse_permille: u32,
    /// How many operations in a thousand take long.
    pub(crate) slow_permille: u32,
    /// How many transactions in a thousand hang.
    pub(crate) hang_permille: u32,
    /// How many readings in a thousand omit an entry.
    pub(crate) omit_permille: u32,
    /// Kinds of which the last reading omitted one.
    pub(crate) omitted: Scope,
}

impl Node {
    /// A machine on which no daemon ever ran.
    pub(crate) fn new() -> Self {
        Self {
            router: None,
            life: 0,
            queue: VecDeque::new(),
            is_working: false,
            transaction: None,
            watch: Watch::default(),
            children: BTreeMap::new(),
            wanted: Vec::new(),
            knows_children: false,
            failed: BTreeMap::new(),
            last_pid: 0,
            child_news_until: Instant::ZERO,
            looked: Vec::new(),
            disk: Saved::default(),
            saves: 0,
            durable: 0,
            written: 0,
            purged_until: Instant::ZERO,
            next_wake: None,
            is_paused: false,
            inbox: Vec::new(),
        }
    }

    /// A state reaches the disk; an older one never comes after a newer one.
    pub(crate) fn write(&mut self, number: u64, saved: Saved) {
        if number > self.written {
            self.written = number;
            self.disk = saved;
        }
    }

    /// Queues a reading; as in the daemon, one that stands last and was not begun takes it in.
    pub(crate) fn queue_reading(&mut self, scope: Scope) {
        let is_begun = self.is_working && self.queue.len() == 1;
        match self.queue.back_mut() {
            Some(Work::Output(Output::Observe(last))) if !is_begun => *last |= scope,
            _ => self.queue.push_back(Work::Output(Output::Observe(scope))),
        }
    }

    /// The process dies: all that was not yet done is never done.
    pub(crate) fn kill(&mut self) {
        self.router = None;
        self.life += 1;
        self.queue.clear();
        self.is_working = false;
        self.transaction = None;
        self.durable = 0;
        self.watch = Watch::default();
        self.looked.clear();
        self.wanted.clear();
        self.failed.clear();
        (self.knows_children, self.child_news_until) = (false, Instant::ZERO);
        self.purged_until = Instant::ZERO;
        self.next_wake = None;
        self.is_paused = false;
        self.inbox.clear();
    }
}

impl Default for Node {
    fn default() -> Self {
        Self::new()
    }
}

impl Trouble {
    /// How long a piece of work takes.
    pub(crate) fn latency(&self, work: &Work, dice: &mut Dice) -> Duration {
        let (low, high) = match work {
            // To start a child; the transaction has its own time.
            Work::Step(Step { op: Op::Script(_), .. }) => (10, 400),
            Work::Step(_) => (10, 400),
            Work::Output(Output::Observe(_)) => (50, 2000),
            Work::Output(_) => (1, 50),
        };
        let high = if dice.permille(self.slow_permille) { 600_000 } else { high };
        dice.between(Duration::from_micros(low), Duration::from_micros(high))
    }

    /// How long a child takes for its transaction: on a slow board, or beside a large one of somebody
    /// else, it seems to hang.
    pub(crate) fn transaction(&self, dice: &mut Dice) -> Duration {
        let high = if dice.permille(self.slow_permille.max(self.hang_permille)) {
            10_000_000
        } else {
            25_000
        };
        dice.between(Duration::from_micros(4000), Duration::from_micros(high))
    }

    /// How long the disk takes.
    pub(crate) fn disk(&self, durable: bool, dice: &mut Dice) -> Duration {
        let hangs = durable && dice.permille(self.slow_permille.max(self.hang_permille));
        let high = if hangs { 2_000_000 } else { 10_000 };
        dice.between(Duration::from_micros(100), Duration::from_micros(high))
    }

    /// Whether a change is refused, and if so whether it happened nevertheless.
    pub(crate) fn refusal(&self, op: &Op, dice: &mut Dice) -> Option<(OpError, bool)> {
        if !dice.permille(self.refuse_permille) {
            return None;
        }
        let error = match op {
            Op::Script(_) => OpError { errno: 0, text: "nft: exit 1".into() },
            _ => {
                let (errno, text) = dice.pick(&[
                    (105, "No buffer space available"),
                    (16, "Device or resource busy"),
                    (12, "Cannot allocate memory"),
                    (100, "Network is down"),
                ]);
                OpError { errno, text: text.into() }
            }
        };
        Some((error, dice.permille(200)))
    }
}
