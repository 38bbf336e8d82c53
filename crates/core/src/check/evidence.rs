//! Evidence of loss: sequential tests over the probes that were settled, one by one (Page's CUSUM,
//! 1954; Wald's likelihood ratios, 1945).
//!
//! | Sum | Speaks for | Against |
//! |---|---|---|
//! | `down`, three of them | a loss of 1.125, 1.5 and 2 times `down` | 0.75 times |
//! | `degraded`, three of them | 1.25, 2 and 4 times `degraded` | between `recovered` and `degraded` |
//! | `recovered` | `recovered` | between `recovered` and `degraded` |
//! | `returning` | less than `down` | more |
//! | `pool` | any loss on any target: how closely to look | none |
//!
//! Each target has its own sums. An uplink is bad if too few targets are good, so against an uplink
//! count those `required` targets that have the *least* evidence, and for it those that have the *most*.

use super::nats::{Nats, Share, Step};
use super::settings::{DEGRADED, Settings};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// The sums of one target.
#[derive(Copy, Clone, Debug, Default)]
struct Sums {
    down: [Nats; 3],
    degraded: [Nats; 3],
    recovered: Nats,
    returning: Nats,
    /// Slow average of the loss.
    loss: Share,
    /// Its own fault: it loses, and enough others do not.
    is_odd: bool,
    /// What its sums hold was its own fault, whatever the others do by now.
    was_odd: bool,
    /// Left out of the count.
    is_ignored: bool,
    /// Answers since the last loss.
    run: u32,
}

/// Which of the tests.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Test {
    /// The uplink is down by loss.
    Down,
    /// It is degraded by loss.
    Degraded,
}

/// A settled probe.
#[derive(Copy, Clone, Debug)]
pub(super) struct Outcome {
    /// Whom it asked.
    pub(super) target: usize,
    /// Which loss of one silence it is, from 1; `None`: answered.
    pub(super) nth_lost: Option<u32>,
    /// What it counts.
    pub(super) weight: Share,
}

/// The sums of an uplink.
#[derive(Clone, Debug)]
pub(super) struct Evidence {
    steps: Steps,
    required: usize,
    targets: Vec<Sums>,
    pool: Nats,
    /// Slow average of the loss of the whole uplink.
    loss: Share,
    bursts: Bursts,
    /// It fell by loss: a return takes more.
    is_strict: bool,
}

impl Evidence {
    /// No evidence.
    pub(super) fn new(settings: &Settings, targets: usize) -> Self {
        Self {
            steps: Steps::new(settings),
            required: settings.required,
            targets: alloc::vec![Sums::default(); targets],
            pool: Nats::ZERO,
            loss: Share::ZERO,
            bursts: Bursts::default(),
            is_strict: false,
        }
    }

    /// Other limits hold from now on.
    pub(super) fn set_settings(&mut self, settings: &Settings) {
        (self.steps, self.required) = (Steps::new(settings), settings.required);
    }

    /// Books a settled probe.
    pub(super) fn book(&mut self, outcome: Outcome) {
        let Outcome { target, nth_lost, weight } = outcome;
        let weight = self.bursts.weigh(weight);
        let is_lost = nth_lost.is_some();
        let counts = |most: u32| nth_lost.is_none_or(|nth| nth <= most);
        let returning = self.steps.returning[usize::from(self.is_strict)].of(is_lost);
        let steps = &self.steps;
        let Some(sums) = self.targets.get_mut(target) else { return };
        sums.run = if is_lost { 0 } else { sums.run.saturating_add(1) };
        if sums.was_odd && sums.run >= OWN_FAULT_OVER {
            (sums.down, sums.degraded) = ([Nats::ZERO; 3], [Nats::ZERO; 3]);
            sums.was_odd = sums.is_odd;
        }
        if counts(MOST_FOR_DOWN) {
            for (sum, step) in sums.down.iter_mut().zip(&steps.down) {
                *sum = sum.step(step.of(is_lost).weighed(weight), DOWN_CAP);
            }
            sums.returning = sums.returning.step(-returning.weighed(weight), CAP);
            sums.loss = sums.loss.toward(is_lost, TARGET_GAIN.times(weight));
            if !sums.is_odd && !sums.is_ignored {
                self.loss = self.loss.toward(is_lost, LINE_GAIN.times(weight));
            }
        }
        if counts(MOST_FOR_DEGRADED) {
            for (sum, step) in sums.degraded.iter_mut().zip(&steps.degraded) {
                *sum = sum.step(step.of(is_lost).weighed(weight), CAP);
            }
            let step = steps.recovered.of(is_lost).weighed(weight);
            sums.recovered = sums.recovered.step(-step, CAP);
            if !sums.is_odd && !sums.is_ignored {
                let step = steps.pool.of(is_lost).weighed(weight);
                self.pool = self.pool.step(step, POOL_CAP);
            }
        }
    }

    /// Takes a loss back: its answer was only late. Then it is booked as answered.
    pub(super) fn take_back(&mut self, outcome: Outcome) {
        let Outcome { target, nth_lost, weight } = outcome;
        let counts = |most: u32| nth_lost.is_some_and(|nth| nth <= most);
        let weight = self.bursts.weigh(weight);
        let steps = &self.steps;
        let Some(sums) = self.targets.get_mut(target) else { return };
        if counts(MOST_FOR_DOWN) {
            for (sum, step) in sums.down.iter_mut().zip(&steps.down) {
                *sum = sum.step(-step.of(true).weighed(weight), CAP);
            }
            sums.loss = sums.loss.toward(false, TARGET_GAIN.times(weight));
            self.loss = self.loss.toward(false, LINE_GAIN.times(weight));
        }
        if counts(MOST_FOR_DEGRADED) {
            for (sum, step) in sums.degraded.iter_mut().zip(&steps.degraded) {
                *sum = sum.step(-step.of(true).weighed(weight), CAP);
            }
            self.pool = self.pool.step(-steps.pool.of(true).weighed(weight), POOL_CAP);
        }
        self.book(Outcome { nth_lost: None, ..outcome });
    }

    /// Notes what became of the next probe in the order of their numbers.
    pub(super) fn note_run(&mut self, sent: Instant, is_lost: bool) {
        self.bursts.note(sent, is_lost);
    }

    /// Leaves targets out of the count. True if one leaves it now.
    pub(super) fn ignore(&mut self, ignored: &[bool]) -> bool {
        let mut leaves = false;
        for (t, sums) in self.targets.iter_mut().enumerate() {
            let is_ignored = ignored.get(t).copied().unwrap_or(false);
            match (core::mem::replace(&mut sums.is_ignored, is_ignored), is_ignored) {
                (true, false) => *sums = Sums::default(),
                (false, true) => leaves = true,
                _ => {}
            }
        }
        leaves
    }

    /// Finds the targets that lose while enough others do not. Less tells that one still is odd than
    /// that it is.
    pub(super) fn find_odd(&mut self) {
        let good = self.targets.iter().filter(|sums| !sums.is_ignored && sums.degraded[1] < GOOD);
        let good = good.count();
        let are_fair = self.targets.iter().filter(|sums| !sums.is_ignored && !sums.is_odd);
        let are_fair = are_fair.filter(|sums| sums.worst_degraded() < DEGRADED).count();
        let required = self.required.min(self.targets.len());
        for sums in &mut self.targets {
            let is_bad = sums.worst_degraded() >= DEGRADED;
            let is_odd = is_bad && (good >= required || sums.is_odd && are_fair >= required);
            // The others lose, too, and this one answers again: what it lost by its own fault condemns
            // no uplink.
            if core::mem::replace(&mut sums.is_odd, is_odd) && !is_odd && sums.run > 0 {
                sums.down = [Nats::ZERO; 3];
            }
            sums.was_odd |= is_odd;
        }
    }

    /// What the test says of the uplink.
    pub(super) fn against(&self, test: Test) -> Nats {
        let of = |k: usize| {
            let sums = self.counted().map(|sums| sums.of(test).get(k).copied().unwrap_or_default());
            least(sums.collect(), self.required)
        };
        (0..3).map(of).max().unwrap_or_default()
    }

    /// How much speaks for an uplink that is degraded no more.
    pub(super) fn recovered(&self) -> Nats {
        most(self.counted().map(|sums| sums.recovered).collect(), self.required)
    }

    /// How much speaks for a return.
    pub(super) fn returning(&self) -> Nats {
        most(self.counted().map(|sums| sums.returning).collect(), self.required)
    }

    /// Evidence of any loss that is no single target's.
    pub(super) const fn pool(&self) -> Nats {
        self.pool
    }

    /// How much one unanswered probe to the target says, if the loss is at least `least`.
    pub(super) fn of_silence(&self, target: usize, least: Share) -> Nats {
        let own = self.targets.get(target).map_or(Share::ZERO, |sums| sums.loss);
        -own.max(self.loss).max(least).min(MOST_LOSS).ln()
    }

    /// True if the target's losses are its own.
    pub(super) fn is_odd(&self, target: usize) -> bool {
        self.targets.get(target).is_some_and(|sums| sums.is_odd)
    }

    /// True if the target is left out.
    pub(super) fn is_ignored(&self, target: usize) -> bool {
        self.targets.get(target).is_some_and(|sums| sums.is_ignored)
    }

    /// What the test says of a target.
    pub(super) fn of_target(&self, target: usize, test: Test) -> Nats {
        let sums = self.targets.get(target);
        sums.and_then(|sums| sums.of(test).iter().copied().max()).unwrap_or_default()
    }

    /// How many targets count.
    pub(super) fn counting(&self) -> usize {
        self.counted().count()
    }

    /// The uplink falls: what led to it is used up.
    pub(super) fn begin_outage(&mut self, by_loss: bool) {
        self.is_strict = by_loss;
        for sums in &mut self.targets {
            sums.down = [Nats::ZERO; 3];
            sums.returning = Nats::ZERO;
        }
    }

    /// The uplink begins to be degraded: what speaks for its recovery begins anew.
    pub(super) fn begin_degraded(&mut self) {
        self.targets.iter_mut().for_each(|sums| sums.recovered = Nats::ZERO);
    }

    /// The uplink is up.
    pub(super) fn begin_up(&mut self) {
        self.targets.iter_mut().for_each(|sums| sums.degraded = [Nats::ZERO; 3]);
    }

    /// The uplink returns: its outage condemns it no more.
    pub(super) fn forget_down(&mut self) {
        self.targets.iter_mut().for_each(|sums| sums.down = [Nats::ZERO; 3]);
    }

    /// Forgets everything: it was a limiter's, or another uplink's.
    pub(super) fn clear(&mut self) {
        for sums in &mut self.targets {
            let Sums { is_ignored, returning, recovered, .. } = *sums;
            *sums = Sums { is_ignored, returning, recovered, ..Sums::default() };
        }
        self.pool = Nats::ZERO;
        self.loss = Share::ZERO;
        self.bursts = Bursts::default();
    }

    fn counted(&self) -> impl Iterator<Item = &Sums> {
        self.targets.iter().filter(|sums| !sums.is_ignored)
    }
}

impl Sums {
    const fn of(&self, test: Test) -> &[Nats; 3] {
        match test {
            Test::Down => &self.down,
            Test::Degraded => &self.degraded,
        }
    }

    fn worst_degraded(&self) -> Nats {
        self.degraded.iter().copied().max().unwrap_or_default()
    }
}

/// The sum of the smallest.
fn least(mut sums: Vec<Nats>, count: usize) -> Nats {
    sums.sort_unstable();
    sums.into_iter().take(count.max(1)).sum()
}

/// The sum of the largest.
fn most(mut sums: Vec<Nats>, count: usize) -> Nats {
    sums.sort_unstable();
    sums.into_iter().rev().take(count.max(1)).sum()
}

/// What a lost or an answered probe says in each test.
#[derive(Clone, Debug)]
struct Steps {
    down: [Step; 3],
    degraded: [Step; 3],
    recovered: Step,
    /// After silence, after loss.
    returning: [Step; 2],
    pool: Step,
}

impl Steps {
    fn new(settings: &Settings) -> Self {
        // None at all would never be sure.
        let pct = |n: u8| Share::permille(if n == 0 { 5 } else { u32::from(n) * 10 });
        let (d, g, r) = (settings.down_pct, settings.degraded_pct, settings.recovered_pct);
        let (d, g, r) = (pct(d), pct(g), pct(r));
        let between = Share::of(g.as_permille() + r.as_permille(), 2000);
        let down = |num, den| Step::new(d.scaled(num, den), d.scaled(3, 4));
        let degraded = |num, den| Step::new(g.scaled(num, den), between);
        Self {
            down: [down(9, 8), down(3, 2), down(2, 1)],
            degraded: [degraded(5, 4), degraded(2, 1), degraded(4, 1)],
            recovered: Step::new(between, r),
            returning: [
                Step::new(d.scaled(9, 8), d.scaled(3, 4)),
                Step::new(d.scaled(9, 10), d.scaled(5, 8)),
            ],
            pool: Step::new(g.scaled(2, 1), between),
        }
    }
}

/// Do losses come in bursts? Then each of them proves less. Sums over about the last 250 probes, in
/// 65,536ths.
#[derive(Copy, Clone, Debug, Default)]
struct Bursts {
    probes: u32,
    lost: u32,
    runs: u32,
    was_lost: bool,
    last_lost: Instant,
}

impl Bursts {
    fn note(&mut self, sent: Instant, is_lost: bool) {
        if is_lost {
            self.last_lost = sent;
        } else if sent.since(self.last_lost) >= BURSTS_OVER {
            *self = Self { last_lost: self.last_lost, ..Self::default() };
        }
        let starts = is_lost && !self.was_lost;
        self.was_lost = is_lost;
        for (sum, one) in
            [(&mut self.probes, true), (&mut self.lost, is_lost), (&mut self.runs, starts)]
        {
            *sum = *sum - *sum / 256 + if one { UNIT } else { 0 };
        }
    }

    /// The mean run of losses is 1 / (1 - loss) if each falls by itself; how many times longer it is.
    fn weigh(&self, weight: Share) -> Share {
        if self.runs < LEAST_RUNS * UNIT {
            return weight;
        }
        let (lost, runs) = (u64::from(self.lost), u64::from(self.runs));
        let expected = runs * u64::from(self.probes);
        let seen = lost * u64::from(self.probes.saturating_sub(self.lost));
        // Burstiness of 1.6 at least.
        if seen * 10 <= expected * 16 { weight } else { weight.times(Share::of(expected, seen)) }
    }
}

/// After so long without a loss its bursts weigh no more: what comes now is something else.
const BURSTS_OVER: Duration = Duration::from_secs(10);
const UNIT: u32 = 1 << 16;
const LEAST_RUNS: u32 = 20;

/// Of the losses of one silence so many count.
const MOST_FOR_DEGRADED: u32 = 3;
const MOST_FOR_DOWN: u32 = 6;
/// No sum grows further, so that all is soon forgotten.
const CAP: Nats = Nats::whole(40);
/// What condemns is not much more than what is needed, so that a target which answers again does so no
/// more after a few answers.
const DOWN_CAP: Nats = Nats::whole(24);
const POOL_CAP: Nats = Nats::whole(20);
/// A target with less has lost nothing lately.
const GOOD: Nats = Nats::hundredths(50);
/// After so many answers in a row what was a target's own fault is over, and speaks neither for another
/// target's nor against the uplink.
const OWN_FAULT_OVER: u32 = 5;
/// Gains of the slow averages of the loss.
const TARGET_GAIN: Share = Share::permille(20);
const LINE_GAIN: Share = Share::permille(30);
const MOST_LOSS: Share = Share::permille(950);
