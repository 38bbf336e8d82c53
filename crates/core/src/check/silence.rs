//! Silence: probes that are overdue and that no later answer has overtaken.
//!
//! It becomes a *doubt* after some 0.3 s: new connections go elsewhere, nothing is cut, and a few
//! answers end it. It becomes *sure* when no loss explains it and it has outlasted the gaps that this
//! uplink has survived, which it learns.

use super::evidence::Evidence;
use super::flight::Flight;
use super::nats::{Nats, Share};
use super::settings::{DOUBT, LEAST_WAIT, QUICK, SURE, Settings};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// The silence of an uplink, and what it has learnt of it.
#[derive(Clone, Debug)]
pub(super) struct Silence {
    /// The newest arrival.
    last_arrival: Option<Instant>,
    /// Nothing before this counts: the uplink began, or we slept.
    floor: Instant,
    /// The first probe of the present silence, and the answered one before it: the probes themselves
    /// are soon forgotten.
    began: Option<(Instant, u64, u64)>,
    doubt: Option<Doubt>,
    /// Patience of a doubt, and of a death.
    doubting: Patience,
    dying: Patience,
    interval: Duration,
    least_wait: Duration,
    latest: Duration,
}

/// A silence that is no accident.
#[derive(Clone, Debug)]
struct Doubt {
    since: Instant,
    /// The first probe that it was raised by, and when that was sent: it is soon forgotten.
    first: u64,
    asked: Instant,
    /// Answers to probes that it covers, and by whom.
    answers: u32,
    targets: Vec<usize>,
    /// When there were enough.
    ends: Option<Instant>,
}

/// The present silence.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Quiet {
    /// How many probes.
    pub(super) count: u32,
    /// When the first of them was sent, and its number.
    first: Option<(Instant, u64)>,
    /// Evidence for a doubt and for a death.
    doubt: Nats,
    sure: Nats,
}

impl Doubt {
    /// One that was raised then, by a silence that began with this probe.
    const fn new(since: Instant, (asked, first): (Instant, u64)) -> Self {
        Self { since, first, asked, answers: 0, targets: Vec::new(), ends: None }
    }
}

impl Quiet {
    /// When the first of them was sent.
    pub(super) fn since(&self) -> Option<Instant> {
        self.first.map(|(sent, _)| sent)
    }
}

impl Silence {
    /// An uplink that begins now.
    pub(super) fn new(now: Instant, settings: &Settings) -> Self {
        Self {
            last_arrival: None,
            floor: now,
            began: None,
            doubt: None,
            doubting: Patience::new(LEAST_WAIT, MOST_DOUBT_LATE, DOUBT_HALF_LIFE),
            dying: Patience::new(LEAST_DEATH, settings.latest(), DEATH_HALF_LIFE),
            interval: settings.interval,
            least_wait: settings.least_wait(),
            latest: settings.latest(),
        }
    }

    /// Other settings hold from now on; what it has learnt stays.
    pub(super) fn set_settings(&mut self, settings: &Settings) {
        (self.interval, self.latest) = (settings.interval, settings.latest());
        self.least_wait = settings.least_wait();
        self.dying.most = self.latest;
    }

    /// There was a doubt in an earlier process. Answers to this probe and later ones end it.
    pub(super) fn take_over_doubt(&mut self, now: Instant, first: u64) {
        self.doubt = Some(Doubt::new(now, (now, first)));
    }

    /// Silence counts from now: the uplink begins, or we slept.
    pub(super) fn begin(&mut self, now: Instant) {
        self.floor = now;
    }

    /// An answer arrived. `survived` is when the silence that it ended was begun to be asked about, if it was
    /// looked at closely; `is_late`: it answers a probe of that silence, so that nothing was lost.
    pub(super) fn heard(&mut self, at: Instant, survived: Option<Instant>, is_late: bool) {
        let gap = survived.map(|first| at.since(self.since(first))).unwrap_or_default();
        self.last_arrival = self.last_arrival.max(Some(at));
        if gap >= LONGEST_LESSON || gap <= SHORTEST_LESSON {
            return;
        }
        let longer = gap + gap / 4;
        // Round trips that became longer will do so again. An outage of that length may not.
        let most = if is_late { MOST_DOUBT_LATE } else { MOST_DOUBT };
        self.doubting.learn(at, (longer + DOUBT_MARGIN).min(most));
        if gap > self.dying.now(at) * 3 / 5 {
            self.dying.learn(at, longer + DEATH_MARGIN);
        }
    }

    /// An answer to this probe may end the doubt.
    pub(super) fn answered(&mut self, at: Instant, id: u64, target: usize, required: usize) {
        let Some(doubt) = self.doubt.as_mut().filter(|doubt| id >= doubt.first) else { return };
        doubt.answers += 1;
        if !doubt.targets.contains(&target) {
            doubt.targets.push(target);
        }
        if doubt.answers >= ENOUGH_ANSWERS && doubt.targets.len() >= required.min(2) {
            doubt.ends = doubt.ends.or(Some(at + DOUBT_DWELL));
        }
    }

    /// Looks at the probes that are overdue and not overtaken.
    pub(super) fn look(&mut self, flight: &Flight, evidence: &Evidence, targets: usize) -> Quiet {
        let floor = self.floor;
        let mut quiet = Quiet::default();
        // Most of the time there is none.
        let mut probes = flight.quiet().filter(|probe| probe.sent >= floor).peekable();
        if probes.peek().is_none() {
            return quiet;
        }
        let of = |least: Share| -> Vec<Nats> {
            (0..targets).map(|target| evidence.of_silence(target, least)).collect()
        };
        let (doubt, sure) = (of(DOUBT.1), of(SURE.1));
        for probe in probes.filter(|probe| !evidence.is_ignored(probe.target)) {
            quiet.count += 1;
            quiet.first = quiet.first.or(Some((probe.sent, probe.id)));
            // A test at full pace may find an empty bucket and nothing else.
            if !probe.is_test {
                quiet.doubt = quiet.doubt + doubt.get(probe.target).copied().unwrap_or_default();
            }
            quiet.sure = quiet.sure + sure.get(probe.target).copied().unwrap_or_default();
        }
        quiet.first = quiet.first.map(|first| self.began(first, flight.mark()));
        quiet
    }

    /// The first probe of the present silence. `oldest` is the oldest that is remembered, and `mark` the
    /// last one that was answered.
    fn began(&mut self, oldest: (Instant, u64), mark: u64) -> (Instant, u64) {
        match self.began {
            Some((sent, id, before)) if before == mark && sent >= self.floor => (sent, id),
            _ => {
                self.began = Some((oldest.0, oldest.1, mark));
                oldest
            }
        }
    }

    /// Raises a doubt, or ends it. `may_end`: no loss and no question is open.
    pub(super) fn doubt(&mut self, now: Instant, quiet: &Quiet, may_end: bool) {
        let is_due = self.doubt_due(quiet).is_some_and(|at| at <= now);
        match (&mut self.doubt, quiet.first) {
            (None, Some(first)) if is_due => self.doubt = Some(Doubt::new(now, first)),
            // Silent again before the end.
            (Some(doubt), Some(first)) if is_due && doubt.ends.is_some() => {
                *doubt = Doubt::new(doubt.since, first);
            }
            (Some(doubt), _) if may_end && doubt.ends.is_some_and(|at| at <= now) => {
                self.doubt = None;
            }
            _ => {}
        }
    }

    /// When the silence becomes a doubt, if nothing answers.
    pub(super) fn doubt_due(&self, quiet: &Quiet) -> Option<Instant> {
        let (first, _) = quiet.first.filter(|_| quiet.doubt >= DOUBT.0)?;
        let since = self.since(first);
        Some((first + self.least_wait).max(since + self.doubting.now(since)))
    }

    /// When the silence is sure, if nothing answers. `slowest` is the longest time-out of a target,
    /// `limited` the spacing of probes behind a limiter; `is_common`: other uplinks fell silent as well,
    /// so it takes as long as the administrator allows.
    pub(super) fn sure_due(
        &self,
        quiet: &Quiet,
        (slowest, limited): (Duration, Duration),
        is_common: bool,
    ) -> Option<Instant> {
        let (first, _) = quiet.first?;
        let outlasts = match quiet.sure >= SURE.0 {
            true => Duration::ZERO,
            // Where much is lost and answers take seconds, what is remembered never says as much.
            false if quiet.count >= MANY_ASKED => LONG_SILENCE,
            false => return None,
        };
        let since = self.since(first);
        let learnt = if is_common { self.latest } else { self.dying.now(since) };
        let patience = learnt.min(self.latest);
        let eight = (slowest + LEAST_WAIT + QUICK * 8).max(limited * 8);
        Some(since + patience.max(eight).max(outlasts))
    }

    /// Since when the uplink is silent. At a slow pace the silence begins with the question.
    fn since(&self, first: Instant) -> Instant {
        let asked = first - self.interval.min(LONGEST_PACE);
        self.floor.max(asked).max(self.last_arrival.unwrap_or(self.floor))
    }

    /// The length of this silence.
    pub(super) fn length(&self, now: Instant) -> Duration {
        now.since(self.last_arrival.unwrap_or(self.floor).max(self.floor))
    }

    /// The doubt is over, for the uplink is down or is not asked.
    pub(super) fn settle(&mut self) {
        self.doubt = None;
    }

    /// Since when there is a doubt.
    pub(super) fn doubt_since(&self) -> Option<Instant> {
        self.doubt.as_ref().map(|doubt| doubt.since)
    }

    /// When the first probe was sent that raised the doubt.
    pub(super) fn doubt_asked(&self) -> Option<Instant> {
        self.doubt.as_ref().map(|doubt| doubt.asked)
    }

    /// When the doubt may end.
    pub(super) fn doubt_ends(&self) -> Option<Instant> {
        self.doubt.as_ref().and_then(|doubt| doubt.ends)
    }

    /// The newest arrival.
    pub(super) const fn last_arrival(&self) -> Option<Instant> {
        self.last_arrival
    }

    /// How long the uplink may be silent before it is down.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.dying.now(now).min(self.latest)
    }
}

impl Quiet {
    /// How much it says, for a doubt.
    pub(super) const fn doubt_evidence(&self) -> Nats {
        self.doubt
    }
}

/// A patience that grows with what the uplink survives, and is forgotten by halves.
#[derive(Copy, Clone, Debug)]
struct Patience {
    least: Duration,
    most: Duration,
    half_life: Duration,
    /// Above the least, at this moment.
    excess: Duration,
    at: Instant,
}

impl Patience {
    const fn new(least: Duration, most: Duration, half_life: Duration) -> Self {
        Self { least, most, half_life, excess: Duration::ZERO, at: Instant::ZERO }
    }

    fn now(&self, now: Instant) -> Duration {
        if self.excess.is_zero() {
            return self.least;
        }
        let part = (self.half_life / 16).as_nanos().max(1);
        let parts = u32::try_from(now.since(self.at).as_nanos() / part).unwrap_or(u32::MAX);
        let whole = self.excess / (1 << (parts / 16).min(31));
        // The sixteenth root of a half.
        let excess = (0..parts % 16).fold(whole, |excess, _| excess * 9576 / 10_000);
        self.least + excess
    }

    fn learn(&mut self, now: Instant, patience: Duration) {
        let patience = patience.min(self.most).max(self.now(now));
        (self.excess, self.at) = (patience.saturating_sub(self.least), now);
    }
}

const MOST_DOUBT: Duration = Duration::from_millis(750);
const MOST_DOUBT_LATE: Duration = Duration::from_millis(1000);
const DOUBT_HALF_LIFE: Duration = Duration::from_secs(30 * 60);
const DOUBT_MARGIN: Duration = Duration::from_millis(25);
const LEAST_DEATH: Duration = Duration::from_millis(1250);
const DEATH_HALF_LIFE: Duration = Duration::from_secs(6 * 3600);
const DEATH_MARGIN: Duration = Duration::from_millis(100);
/// A doubt stays so long after the answers that end it.
const DOUBT_DWELL: Duration = Duration::from_secs(1);
const ENOUGH_ANSWERS: u32 = 3;
/// So many unanswered questions, and so long a silence, are enough whatever was lost before.
const MANY_ASKED: u32 = 12;
const LONG_SILENCE: Duration = Duration::from_secs(10);
/// A longer silence is an outage, a shorter one is the pace.
const LONGEST_LESSON: Duration = Duration::from_secs(6);
const SHORTEST_LESSON: Duration = Duration::from_millis(100);
/// The pace of the question at which a silence begins no earlier than the question.
const LONGEST_PACE: Duration = Duration::from_millis(250);
