//! The checks of one uplink: what is asked when, what comes of it, and the verdict.
//!
//! The owner reads all sockets before it asks for anything: [`answer`](Prober::answer) first, then
//! [`question`](Prober::question), then [`judge`](Prober::judge), at each wake-up; and it wakes up at
//! [`deadline`](Prober::deadline).

use super::evidence::{Evidence, Outcome, Test};
use super::flight::{Fate, Flight};
use super::kind::Kind;
use super::limiter::Limiter;
use super::loss::Past;
use super::nats::Nats;
use super::pace::{Mode, Pace, View};
use super::quality::Quality;
use super::rounds::Rounds;
use super::rtt::{Bloat, RoundTrip};
use super::settings::{DEGRADED, RECOVERED, Settings};
use super::silence::{Quiet, Silence};
use super::verdict::{Cause, Verdict, judge};
use crate::net::UplinkId;
use crate::random::Secret;
use crate::status::{ProbeCounters, RefusedCounters};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// What others know at the moment of a judgement.
#[derive(Copy, Clone, Debug, Default)]
pub struct Context<'a> {
    /// Targets that are left out of the count, by index.
    pub ignored: &'a [bool],
    /// Other uplinks fell silent at the same time ([`common_cause`](super::common_cause)).
    pub is_common: bool,
    /// Other uplinks have yet to show whether the silent targets are at fault
    /// ([`is_comparing`](super::is_comparing)).
    pub is_comparing: bool,
}

#[derive(Clone, Debug)]
struct Target {
    trip: RoundTrip,
    quality: Quality,
    probes: ProbeCounters,
    last_answer: Option<Instant>,
    /// Settled questions since then.
    unanswered: u32,
}

/// When the uplink is running.
#[derive(Copy, Clone, Debug)]
struct Running {
    /// When it began.
    started: Instant,
    /// When the gateway's hardware address was last asked for again.
    resolved: Option<Instant>,
    /// It sends nothing for the moment.
    is_halted: bool,
}

/// The checks of one uplink.
#[derive(Clone, Debug)]
pub struct Prober {
    id: UplinkId,
    settings: Settings,
    kind: Kind,
    addresses: Vec<Ipv4Addr>,
    targets: Vec<Target>,
    flight: Flight,
    evidence: Evidence,
    silence: Silence,
    quiet: Quiet,
    bloat: Bloat,
    limiter: Limiter,
    past: Past,
    rounds: Rounds,
    pace: Pace,
    verdict: Verdict,
    running: Option<Running>,
    neighbour_failed: bool,
    /// Since when too few targets answer for the uplink to live, while others are asked about them.
    comparing: Option<Instant>,
    /// It was degraded when it lost its way.
    was_degraded: bool,
    /// The newest answer, however late; and since when there are some without a break.
    last_sign: Option<Instant>,
    heard_from: Instant,
    /// When it fell silent for good, the last time.
    fell_silent: Instant,
    /// Of the newest probe that was answered: when it was sent, and its round trip.
    proof: Option<(Instant, Duration)>,
    /// The next probe whose outcome belongs to a run of losses.
    next_run: u64,
    /// The loss that is shown, and when it was reckoned.
    shown_loss: (u64, Instant),
    is_common: bool,
    /// When it ceased to be so, the last time.
    was_common: Instant,
    /// Since when its rounds were good when it began to be held back.
    held_from: Option<Instant>,
    /// How often we slept since the last answer.
    pauses: u32,
    /// The last judgement.
    judged: Instant,
    refused: RefusedCounters,
}

impl Prober {
    /// A prober that does not run yet, and asks in this way. `secret` differs by uplink and start.
    /// `verdict` is what was known before.
    pub fn new(
        now: Instant,
        id: UplinkId,
        (settings, targets): (Settings, Vec<Ipv4Addr>),
        (kind, secret): (Kind, Secret),
        verdict: Verdict,
    ) -> Self {
        let count = targets.len();
        let target = || Target {
            trip: RoundTrip::default(),
            quality: Quality::new(now),
            probes: ProbeCounters::default(),
            last_answer: None,
            unanswered: 0,
        };
        Self {
            id,
            kind,
            targets: (0..count).map(|_| target()).collect(),
            addresses: targets,
            flight: Flight::default(),
            evidence: Evidence::new(&settings, count),
            silence: Silence::new(now, &settings),
            quiet: Quiet::default(),
            bloat: Bloat::default(),
            limiter: Limiter::default(),
            past: Past::of(now, verdict),
            rounds: Rounds::default(),
            pace: Pace::new(now, count, secret),
            settings,
            verdict,
            running: None,
            neighbour_failed: false,
            comparing: None,
            was_degraded: false,
            last_sign: None,
            heard_from: Instant::ZERO,
            fell_silent: Instant::ZERO,
            proof: None,
            next_run: 1,
            shown_loss: (0, Instant::ZERO),
            is_common: false,
            was_common: Instant::ZERO,
            held_from: None,
            pauses: 0,
            judged: now,
            refused: RefusedCounters::default(),
        }
    }

    /// Says whether the uplink carries new connections; one that does not is asked more seldom.
    pub fn set_in_use(&mut self, now: Instant, in_use: bool) {
        self.pace.set_in_use(now, in_use);
    }

    /// Says what the kernel knows of the gateway. It condemns a silent uplink sooner, and keeps none up.
    pub fn set_neighbour_failed(&mut self, failed: bool) {
        self.neighbour_failed = failed;
    }

    /// Something else looks as if the uplink were silent, or others ask about its targets: ask all of
    /// them quickly, at once.
    pub fn suspect(&mut self, now: Instant) {
        let alert = Mode::Alert(now + SUSPECTED);
        self.raise(now, if self.pace.is_in_use() { Mode::Burst } else { alert });
    }

    /// Another uplink may be silent: look whether this one is not, at once.
    pub fn look_closely(&mut self, now: Instant) {
        self.raise(now, Mode::Alert(now + SUSPECTED));
    }

    fn raise(&mut self, now: Instant, mode: Mode) {
        if self.is_asked() && self.verdict.is_usable() {
            self.pace.raise(mode);
            self.plan(now);
        }
    }

    /// Judges the uplink.
    pub fn judge(&mut self, now: Instant, context: &Context<'_>) {
        let is_accused = self.evidence.against(Test::Degraded) >= DEGRADED;
        if self.evidence.ignore(context.ignored)
            && is_accused
            && self.evidence.against(Test::Degraded) < DEGRADED
            && self.has_heard(now)
        {
            // What the uplink was accused of was the target's fault. One that is silent is accused of
            // more.
            self.acquit();
        }
        if !self.is_asked() {
            return;
        }
        self.note_pause(now);
        self.judged = now;
        if core::mem::replace(&mut self.is_common, context.is_common) && !self.is_common {
            self.was_common = now;
        }
        self.book_losses(now);
        self.evidence.find_odd();
        self.quiet = self.silence.look(&self.flight, &self.evidence, self.targets.len());
        self.count_rounds(now);
        let findings = self.findings(now, context);
        let next = judge(self.verdict, &findings);
        self.enter(now, next);
        self.settle_doubt(now);
        self.settle_pace(now);
        self.plan(now);
    }

    /// Books what is overdue and overtaken, and looks closely at what is overdue.
    fn book_losses(&mut self, now: Instant) {
        let timeouts = self.timeouts(now);
        let of = |target: usize| timeouts.get(target).copied().unwrap_or_default();
        let (mut alarms, mut late) = (0, Vec::new());
        let evidence = &self.evidence;
        let overtaken = self.flight.note_overdue(now, of, |probe| {
            late.push(probe.target);
            let is_own = evidence.is_odd(probe.target) || evidence.is_ignored(probe.target);
            alarms += usize::from(!is_own && !probe.is_test);
        });
        for target in late {
            if let Some(target) = self.targets.get_mut(target) {
                target.probes.lost += 1;
            }
        }
        for id in overtaken {
            let nth = self.flight.lose(id);
            let Some(probe) = self.flight.get(id).copied() else { continue };
            let target = probe.target;
            if let Some(target) = self.targets.get_mut(target) {
                target.unanswered = target.unanswered.saturating_add(1);
            }
            if !probe.is_test {
                self.evidence.book(Outcome { target, nth_lost: Some(nth), weight: probe.weight });
            }
        }
        self.note_runs();
        if alarms > 0 && self.verdict.is_usable() && !self.limiter.is_asking() {
            match self.pace.mode {
                Mode::Rest => self.pace.raise(Mode::Burst),
                Mode::Alert(_) if self.flight.quiet().nth(1).is_some() => {
                    self.pace.raise(Mode::Burst)
                }
                Mode::Alert(_) | Mode::Burst => {}
            }
        }
    }

    /// Runs of losses go by the numbers of the probes.
    fn note_runs(&mut self) {
        let mut next = self.next_run;
        for probe in self.flight.since(next) {
            match probe.fate {
                Fate::Open if !probe.is_test => break,
                Fate::Answered if !probe.is_test => self.evidence.note_run(probe.sent, false),
                Fate::Lost { .. } if !probe.is_test => self.evidence.note_run(probe.sent, true),
                _ => {}
            }
            next = probe.id + 1;
        }
        self.next_run = next;
    }

    fn count_rounds(&mut self, now: Instant) {
        if self.verdict.is_usable() && self.verdict != Verdict::Probing {
            return;
        }
        if self.limiter.is_asking() {
            self.rounds.skip(&self.flight);
            return;
        }
        let timeouts = self.timeouts(now);
        let of = |target: usize| timeouts.get(target).copied().unwrap_or_default();
        let size = (self.targets.len(), self.settings.required);
        self.rounds.count(now, &self.flight, &self.evidence, size, of);
    }

    /// What comes with a new verdict.
    fn enter(&mut self, now: Instant, next: Verdict) {
        let was = core::mem::replace(&mut self.verdict, next);
        self.was_degraded &= next == Verdict::Probing;
        let is_out = |verdict: Verdict| matches!(verdict, Verdict::Down(_) | Verdict::Held(_));
        match next {
            Verdict::Down(cause) if !matches!(was, Verdict::Down(_)) => {
                self.past.fall(now, cause.is_loss(), self.settings.damping.as_ref());
                if cause.is_silence() {
                    self.fell_silent = now;
                    self.limiter.note_silence(self.flight.newest());
                }
                self.evidence.begin_outage(cause.is_loss());
                self.rounds.begin(&self.flight);
                self.silence.settle();
                self.comparing = None;
                self.limiter.cancel();
                self.limiter.schedule(now, Some(ASK_DOWN));
            }
            // Its outage condemns it no more, or it would fall again at once. What it does from now on may.
            Verdict::Held(_) if !matches!(was, Verdict::Held(_)) => self.evidence.forget_down(),
            Verdict::Up | Verdict::Degraded(_) if is_out(was) => {
                self.past.come_back(now);
                self.evidence.forget_down();
                self.neighbour_failed = false;
                if next.is_lossy() {
                    self.past.return_degraded(now);
                } else {
                    self.evidence.begin_up();
                    self.limiter.schedule(now, None);
                }
                self.pace.raise(Mode::Alert(now));
            }
            Verdict::Degraded(Cause::WasDegraded) if was == Verdict::Probing => {
                self.past.return_degraded(now);
                self.evidence.begin_degraded();
            }
            Verdict::Degraded(Cause::Loss(_)) if !was.is_lossy() => {
                self.past.degrade(now);
                self.evidence.begin_degraded();
                self.limiter.schedule(now, Some(ASK_DEGRADED));
            }
            Verdict::Up | Verdict::Degraded(_) if was.is_lossy() && !next.is_lossy() => {
                self.past.recover(now);
                self.evidence.begin_up();
                self.limiter.schedule(now, None);
            }
            _ => {}
        }
    }

    fn settle_doubt(&mut self, now: Instant) {
        if !matches!(self.verdict, Verdict::Down(_) | Verdict::Held(_)) {
            // An uplink that is known to be degraded has nothing left to settle. One behind a limiter is
            // asked so slowly that it would take minutes.
            let is_open = self.evidence.pool() >= POOL_ENDS_DOUBT || self.limiter.is_asking();
            let is_known = self.past.degraded_since().is_some() || self.limiter.rate().is_some();
            let may_end = is_known || !is_open;
            self.silence.doubt(now, &self.quiet, may_end);
        }
    }

    fn settle_pace(&mut self, now: Instant) {
        let is_settled = self.evidence.pool() == Nats::ZERO
            && self.quiet.count == 0
            && self.silence.doubt_since().is_none()
            && self.past.degraded_since().is_none();
        if is_settled {
            self.pace.calm(now);
        } else if self.past.degraded_since().is_some()
            || self.evidence.pool() > POOL_LEANS
            // One of an earlier process, too, or one that is asked seldom would stay in it for minutes.
            || self.silence.doubt_since().is_some()
        {
            self.pace.raise(Mode::Alert(now));
        }
    }

    /// We slept, not they: what is unanswered says nothing.
    fn note_pause(&mut self, now: Instant) {
        if !self.has_overslept(now) {
            return;
        }
        self.pace.wake(now);
        // A loop that is always late would never see a silence.
        if self.pauses < MOST_PAUSES {
            self.pauses += 1;
            self.flight.forget_open();
            self.silence.begin(now);
            self.quiet = Quiet::default();
        }
    }

    /// True if the loop comes later than one that is awake.
    fn has_overslept(&self, now: Instant) -> bool {
        let spacing = self.pace.spacing(&self.settings, &self.view(now));
        // What the kind holds back is not late.
        let held_back = self.due().since(self.pace.due());
        self.pace.is_overslept(now - held_back, spacing)
    }

    fn plan(&mut self, now: Instant) {
        let view = self.view(now);
        self.pace.plan(now, &self.settings, &view);
    }

    fn view(&self, now: Instant) -> View {
        let leans = if self.past.degraded_since().is_some() {
            self.evidence.against(Test::Down) > DOWN_LEANS
        } else {
            self.evidence.pool() > POOL_LEANS
        };
        View {
            is_usable: self.verdict.is_usable() && self.verdict != Verdict::Probing,
            is_lossy: self.past.degraded_since().is_some(),
            is_steady: self.past.degraded_since().is_some_and(|at| now.since(at) >= STEADY_AFTER),
            is_leaning: leans,
            is_hopeless: self.silence.length(now) >= HOPELESS,
            slowest: self.slowest(now),
            limited: self.limiter.spacing(),
            demand: self.limiter.demand(),
        }
    }

    /// When the next probe is due: at the pace, but no sooner behind the last one than the kind allows.
    fn due(&self) -> Instant {
        let Some(last) = self.flight.last() else { return self.pace.due() };
        // The first one that is overdue may be answered late from now on; how late, nobody knows yet.
        let before = self.flight.get(last.id - 1);
        let is_first = last.is_overdue && before.is_none_or(|probe| probe.fate == Fate::Answered);
        let trip = self.targets.get(last.target).map(|target| target.trip).filter(|_| !is_first);
        let timeout = trip.unwrap_or_default().timeout(self.bloat.now(last.sent));
        self.pace.due().max(last.sent + self.kind.spacing(timeout))
    }

    /// When something is due: a probe, a time-out, a doubt, a death, a return.
    pub fn deadline(&self) -> Option<Instant> {
        self.running.filter(|running| !running.is_halted)?;
        let mut due = self.due();
        // What is overdue and open waits for nothing but the silence.
        let mut waiting = self.flight.open().filter(|probe| !probe.is_overdue).peekable();
        if waiting.peek().is_some() {
            let swelling = self.bloat.now(self.flight.last().map_or(due, |last| last.sent));
            for probe in waiting {
                let target = self.targets.get(probe.target);
                let timeout = target.map_or(Duration::ZERO, |t| t.trip.timeout(swelling));
                due = due.min(probe.sent + timeout);
            }
        }
        let doubt = self.silence.doubt_due(&self.quiet).filter(|_| !self.is_suspect());
        let sure = self.sure_due(self.judged).filter(|_| !matches!(self.verdict, Verdict::Down(_)));
        let ends = [self.silence.doubt_ends(), self.hold_ends()];
        // What was due at the last judgement, and did not come, waits for something else.
        let later = [doubt, sure].into_iter().chain(ends).flatten();
        let later = later.filter(|at| *at > self.judged);
        Some(later.fold(due, Instant::min))
    }
}

/// How long a suspicion of others is looked into.
const SUSPECTED: Duration = Duration::from_millis(400);
/// Whether it is a limiter is asked, besides, so long after it began to be degraded, or fell.
const ASK_DEGRADED: Duration = Duration::from_secs(10);
const ASK_DOWN: Duration = Duration::from_secs(2);
/// So many sleeps without an answer between them are forgiven.
const MOST_PAUSES: u32 = 8;
const POOL_ENDS_DOUBT: Nats = Nats::whole(1);
/// Evidence from which on a few more probes tell.
const POOL_LEANS: Nats = Nats::whole(2);
const DOWN_LEANS: Nats = Nats::whole(2);
/// An uplink that stays degraded for so long is asked less.
const STEADY_AFTER: Duration = Duration::from_secs(20);
/// An uplink that was silent for so long, too.
const HOPELESS: Duration = Duration::from_secs(30);

pub use answer::Told;

mod answer;
mod ask;
mod begin;
mod find;
mod renew;
mod status;
