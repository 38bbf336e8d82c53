//! When the next probe goes out, and to whom.
//!
//! Single probes go to the targets in turn, never to all at once: a whole round finds nothing sooner
//! and empties the bucket of a limiter. At rest there is one in an `interval`. The first one that is
//! overdue begins a *burst*, the first answer to that turns it into an *alert*, which ends when the
//! evidence is used up.

use super::limiter::Demand;
use super::settings::{ALERT, QUICK, STEADY, Settings};
use crate::random::Secret;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// How urgently an uplink is asked.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    /// All is well.
    Rest,
    /// There is evidence to be settled; not before this moment is it over.
    Alert(Instant),
    /// Something is overdue, and nothing has answered since.
    Burst,
}

/// What the spacing depends on.
#[derive(Copy, Clone, Debug)]
pub(super) struct View {
    /// The uplink is usable; otherwise it has to show rounds.
    pub(super) is_usable: bool,
    /// It is degraded by loss.
    pub(super) is_lossy: bool,
    /// It has been so for some time.
    pub(super) is_steady: bool,
    /// A test is about to tell: look quickly.
    pub(super) is_leaning: bool,
    /// Nothing has answered for long.
    pub(super) is_hopeless: bool,
    /// The longest time-out of a target.
    pub(super) slowest: Duration,
    /// What a limiter allows.
    pub(super) limited: Option<Duration>,
    /// What a question about a limiter wants.
    pub(super) demand: Option<Demand>,
}

/// Mode, order and time of the probes of an uplink.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    pub(super) mode: Mode,
    in_use: bool,
    due: Instant,
    last_sent: Option<Instant>,
    /// So many probes are left of the first round, which is quick.
    first_round: usize,
    /// When each target was asked last, and its place in the order.
    asked: Vec<(Instant, u64)>,
}

impl Pace {
    /// The order of the targets is fixed and differs by uplink: at a slow pace a random one loses by
    /// itself.
    pub(super) fn new(now: Instant, targets: usize, key: Secret) -> Self {
        let place = |target: usize| key.hash(&[u64::try_from(target).unwrap_or(u64::MAX), 1]);
        Self {
            mode: Mode::Rest,
            in_use: true,
            due: now,
            last_sent: None,
            first_round: targets,
            asked: (0..targets).map(|target| (Instant::ZERO, place(target))).collect(),
        }
    }

    /// The uplink begins to be asked: one round at once.
    pub(super) fn begin(&mut self, now: Instant) {
        self.mode = Mode::Rest;
        self.due = now;
        self.last_sent = None;
        self.first_round = self.asked.len();
    }

    /// Says whether the uplink carries new connections. One that is to shows at once that it can.
    pub(super) fn set_in_use(&mut self, now: Instant, in_use: bool) {
        if in_use && !core::mem::replace(&mut self.in_use, in_use) {
            self.raise(Mode::Alert(now + LEAST_ALERT));
            self.due = now;
        }
        self.in_use = in_use;
    }

    /// True if it carries new connections.
    pub(super) const fn is_in_use(&self) -> bool {
        self.in_use
    }

    /// A suspicion: look closely. A closer look is not ended by it.
    pub(super) fn raise(&mut self, mode: Mode) {
        match (self.mode, mode) {
            (Mode::Burst, _) | (_, Mode::Rest) => {}
            (Mode::Alert(until), Mode::Alert(new)) => self.mode = Mode::Alert(until.max(new)),
            _ => self.mode = mode,
        }
    }

    /// An answer ends a burst.
    pub(super) fn answered(&mut self, now: Instant) {
        if self.mode == Mode::Burst {
            self.mode = Mode::Alert(now + LEAST_ALERT);
        }
    }

    /// Nothing is left to settle.
    pub(super) fn calm(&mut self, now: Instant) {
        if matches!(self.mode, Mode::Alert(until) if until <= now) {
            self.mode = Mode::Rest;
        }
    }

    /// The time between two probes.
    pub(super) fn spacing(&self, settings: &Settings, view: &View) -> Duration {
        match view.demand {
            Some(Demand::Test(_)) => return QUICK,
            Some(Demand::Slow(spacing, _)) => return spacing,
            None => {}
        }
        let targets = u32::try_from(self.asked.len().max(1)).unwrap_or(u32::MAX);
        let thrift = if self.in_use { 1 } else { settings.thrift() };
        let spacing = match self.mode {
            _ if self.first_round > 0 => QUICK,
            _ if !view.is_usable && view.is_hopeless => settings.interval * thrift,
            _ if !view.is_usable => (settings.interval / targets).max(QUICK),
            Mode::Burst => QUICK.max(view.slowest / 16),
            Mode::Alert(_) if view.is_leaning => QUICK,
            _ if view.is_steady => STEADY * thrift,
            _ if view.is_lossy => ALERT,
            Mode::Alert(_) => ALERT,
            Mode::Rest if self.in_use => settings.interval,
            Mode::Rest => settings.standby(),
        };
        spacing.max(view.limited.unwrap_or_default())
    }

    /// Moves the next probe to where the present pace wants it, but never into the past.
    pub(super) fn plan(&mut self, now: Instant, settings: &Settings, view: &View) {
        let spacing = self.spacing(settings, view);
        let earliest = match view.demand {
            Some(Demand::Slow(_, at) | Demand::Test(at)) => at,
            None => Instant::ZERO,
        };
        let Some(last) = self.last_sent else { return };
        let wanted = (last + spacing).max(earliest);
        self.due = if wanted >= now { wanted } else { self.due.min(now) };
    }

    /// By how much the next probe is later than it may be for a loop that is awake.
    pub(super) fn is_overslept(&self, now: Instant, spacing: Duration) -> bool {
        now.since(self.due) > PAUSE + spacing / 2
    }

    /// Notes a probe.
    pub(super) fn sent(&mut self, now: Instant, target: usize) {
        self.last_sent = Some(now);
        self.first_round = self.first_round.saturating_sub(1);
        if let Some(asked) = self.asked.get_mut(target) {
            asked.0 = now;
        }
    }

    /// We slept: nothing is late.
    pub(super) fn wake(&mut self, now: Instant) {
        self.due = now;
    }

    /// Whose turn it is among these.
    pub(super) fn turn(&self, among: impl Iterator<Item = usize>) -> Option<usize> {
        among.min_by_key(|target| self.asked.get(*target).copied().unwrap_or_default())
    }

    /// When the next probe is due.
    pub(super) const fn due(&self) -> Instant {
        self.due
    }
}

const LEAST_ALERT: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(100);
