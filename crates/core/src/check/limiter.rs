//! Is it loss, or does somebody limit the rate of our probes?
//!
//! A router on the way or a target may answer only so many echoes a second. Asked quickly, it looks
//! like an uplink that loses nine of ten. Random loss leaves gaps of all lengths between answers; a
//! limiter leaves even ones. Where that does not tell, the uplink is asked slowly: a limiter answers
//! then. A short test at full pace follows, for a gap that has ended meanwhile answers as well.

use super::flight::{Fate, Flight, Probe};
use super::nats::{Nats, Share};
use super::pattern::{Likeness, Pattern, millis};
use super::settings::QUICK;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// What is known of a limiter, and the question that is open.
#[derive(Clone, Debug, Default)]
pub(super) struct Limiter {
    limit: Option<Limit>,
    question: Option<Question>,
    /// Losses until then are taken for real without a question.
    trusted_until: Instant,
    /// When it is asked unasked-for, and how often it was.
    scheduled: Option<(Instant, u32)>,
    /// The pace at which the last slow question was answered.
    answered_every: Duration,
    /// The last probe before the uplink fell silent.
    fell: u64,
}

/// A limiter that was found.
#[derive(Copy, Clone, Debug)]
struct Limit {
    /// Answers in 1,000 seconds.
    rate: u32,
    since: Instant,
    /// How often it was still too quick.
    cuts: u32,
    /// The uplink has fallen silent since: an answer to a later probe asks whether it is still there.
    doubted: Option<u64>,
}

impl Limit {
    fn new(now: Instant, rate: u32) -> Self {
        Self { rate: rate.max(SLOWEST), since: now, cuts: 0, doubted: None }
    }
}

#[derive(Clone, Debug)]
enum Question {
    /// Probes at a slow pace.
    Slow { spacing: Duration, begins: Instant, next: u64, sum: Nats, quick: Share },
    /// A test at full pace. It is the second one, or asks whether a limit is still there.
    Test { begins: Instant, first: u64, sent: u32, is_second: bool, is_review: bool },
}

/// What was found out.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Finding {
    /// The loss is real.
    Real,
    /// The loss was over: the evidence is out of date.
    Over,
    /// It was a limiter: the evidence is worth nothing.
    Limited,
}

/// How near to its fall by loss an uplink is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Accused {
    /// Not near.
    No,
    /// There is evidence, and not enough.
    Soon,
    /// There is enough.
    Condemned,
}

/// What the open question wants asked.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Demand {
    /// The next probe so long after the last one, and not before this moment.
    Slow(Duration, Instant),
    /// Full pace from this moment on; evidence of nothing else.
    Test(Instant),
}

impl Limiter {
    /// The spacing that the limiter allows, with a reserve.
    pub(super) fn spacing(&self) -> Option<Duration> {
        let rate = u64::from(self.limit?.rate).max(1);
        // 1 / (0.7 rate), in microseconds.
        Some(Duration::from_micros(10_000_000_000 / (rate * 7)))
    }

    /// Answers in 1,000 seconds that the limiter allows.
    pub(super) fn rate(&self) -> Option<u32> {
        self.limit.map(|limit| limit.rate)
    }

    /// Takes over what an earlier process knew.
    pub(super) fn set_rate(&mut self, now: Instant, rate: Option<u32>) {
        self.limit = rate.map(|rate| Limit::new(now, rate));
    }

    /// What the open question wants asked.
    pub(super) fn demand(&self) -> Option<Demand> {
        match *self.question.as_ref()? {
            Question::Slow { spacing, begins, .. } => Some(Demand::Slow(spacing, begins)),
            Question::Test { begins, sent, .. } if sent < TEST_PROBES => Some(Demand::Test(begins)),
            // Until the last answers are in.
            Question::Test { begins, .. } => Some(Demand::Slow(AFTER_TEST, begins)),
        }
    }

    /// When the open question begins to be asked. Until then nothing is, so that the limiter has something
    /// to give.
    pub(super) fn begins(&self) -> Option<Instant> {
        match self.question.as_ref()? {
            Question::Slow { begins, .. } | Question::Test { begins, .. } => Some(*begins),
        }
    }

    /// True while a question is open.
    pub(super) const fn is_asking(&self) -> bool {
        self.question.is_some()
    }

    /// Notes that a probe of the test is sent.
    pub(super) fn note_sent(&mut self, id: u64) {
        if let Some(Question::Test { first, sent, .. }) = &mut self.question {
            if *sent == 0 {
                *first = id;
            }
            *sent += 1;
        }
    }

    /// The uplink was interrupted, or is silent: the question is void.
    pub(super) fn cancel(&mut self) {
        self.question = None;
    }

    /// The uplink is silent, and `newest` was its last probe. What it was like before may have been the
    /// beginning of that, and no limiter.
    pub(super) fn note_silence(&mut self, newest: u64) {
        self.fell = newest;
        if let Some(limit) = &mut self.limit {
            limit.doubted = Some(newest);
        }
    }

    /// The next question that nobody asks for comes so long after now; `None`: there is none.
    pub(super) fn schedule(&mut self, now: Instant, after: Option<Duration>) {
        self.scheduled = after.map(|after| (now + after, 0));
    }

    /// Evidence of degradation behind the limiter: the rate was too high. The fourth time it is loss.
    /// True if the evidence is to be forgotten.
    pub(super) fn cut(&mut self, now: Instant) -> bool {
        let Some(limit) = &mut self.limit else { return false };
        if limit.cuts >= MOST_CUTS {
            self.limit = None;
            self.trusted_until = now + REVIEW;
            return false;
        }
        limit.cuts += 1;
        limit.rate = (limit.rate / 10 * 7).max(SLOWEST);
        true
    }

    /// Goes on with the open question, or opens one. `accused`: the uplink may fall soon, or is about
    /// to. `timeout` is by target; a target without one has a fault of its own, and says nothing.
    pub(super) fn step(
        &mut self,
        now: Instant,
        flight: &Flight,
        interval: Duration,
        accused: Accused,
        timeout: impl Fn(usize) -> Option<Duration>,
    ) -> Option<Finding> {
        let (condemned, unasked) = (accused == Accused::Condemned, accused == Accused::No);
        if self.question.is_some() {
            return self.go_on(now, flight, timeout);
        }
        if let Some(limit) = &self.limit {
            let is_back = limit.doubted.is_some_and(|newest| flight.mark() > newest);
            if is_back || now.since(limit.since) >= REVIEW {
                // The answer just now may have taken all that the limiter had to give.
                let spacing = self.spacing().filter(|_| is_back).unwrap_or_default();
                self.begin_test(now + spacing * 2, false, true);
            }
            // The rate is kept to, so what is lost is lost.
            return condemned.then_some(Finding::Real);
        }
        if now < self.trusted_until {
            return condemned.then_some(Finding::Real);
        }
        let is_due = self.scheduled.is_some_and(|(at, _)| at <= now);
        if unasked && !is_due {
            return None;
        }
        // What was lost before a fallen uplink answered again was its outage.
        let first = if condemned { 0 } else { flight.first_answered(self.fell) };
        let is_fair = |target| timeout(target).is_some();
        let seen = Pattern::of(now, flight.since(first), is_fair);
        let least = if unasked { LEAST_LOSS_UNASKED } else { LEAST_LOSS };
        if !condemned && seen.loss() < least {
            return None;
        }
        if unasked && seen.is_end_of_outage() {
            return None;
        }
        let likeness = seen.judge();
        if likeness != Likeness::Unknown
            && is_due
            && let Some((at, times)) = &mut self.scheduled
        {
            *at = now + AGAIN * (1 << (*times * 2).min(12));
            *times += 1;
        }
        match likeness {
            Likeness::Random => return condemned.then_some(Finding::Real),
            Likeness::Unknown => return None,
            Likeness::Limiter => {}
        }
        // A question slows the evidence down: before there is enough of it, only what has hardly an
        // answer for long is worth one.
        if accused == Accused::Soon && !is_due && !seen.is_mute() {
            return None;
        }
        let spacing = interval.max(seen.pause()).min(SLOWEST_QUESTION);
        // Who is asked slowly already is not asked more slowly.
        if spacing < seen.spacing() * 2 || seen.spacing() >= SLOW {
            return condemned.then_some(Finding::Real);
        }
        let begins = now + spacing * 2;
        let (next, sum) = (flight.newest() + 1, Nats::ZERO);
        let quick = seen.loss().clamp(Share::permille(50), Share::permille(950));
        self.question = Some(Question::Slow { spacing, begins, next, sum, quick });
        None
    }

    fn begin_test(&mut self, begins: Instant, is_second: bool, is_review: bool) {
        self.question = Some(Question::Test { begins, first: 0, sent: 0, is_second, is_review });
    }

    fn go_on(
        &mut self,
        now: Instant,
        flight: &Flight,
        timeout: impl Fn(usize) -> Option<Duration>,
    ) -> Option<Finding> {
        let is_over = |probe: &Probe| match probe.fate {
            Fate::Open => timeout(probe.target).is_none_or(|time| now >= probe.sent + time),
            Fate::Answered | Fate::Lost { .. } | Fate::Forgotten => true,
        };
        match self.question.as_mut()? {
            Question::Slow { next, sum, quick, spacing, .. } => {
                let spacing = *spacing;
                let is_fair = |probe: &&Probe| timeout(probe.target).is_some();
                for probe in flight.since(*next).take_while(|p| is_over(p)).filter(is_fair) {
                    *next = probe.id + 1;
                    *sum = *sum
                        + if probe.fate == Fate::Answered {
                            SLOW_ANSWERED.ln() - quick.rest().ln()
                        } else {
                            SLOW_ANSWERED.rest().ln() - quick.ln()
                        };
                }
                if *sum <= LOSS_IS_REAL {
                    self.question = None;
                    self.trusted_until = now + TRUSTED;
                    return Some(Finding::Real);
                }
                if *sum >= ANSWERS_SLOWLY {
                    self.answered_every = spacing;
                    self.begin_test(now, false, false);
                }
                None
            }
            Question::Test { first, sent, is_second, is_review, .. } => {
                let (first, is_second, is_review) = (*first, *is_second, *is_review);
                let is_fair = |probe: &&Probe| probe.is_test && timeout(probe.target).is_some();
                let tested = || flight.since(first).filter(is_fair);
                if *sent < TEST_PROBES || !tested().all(is_over) {
                    return None;
                }
                self.question = None;
                let answered: Vec<bool> =
                    tested().map(|probe| probe.fate == Fate::Answered).collect();
                self.conclude(now, flight, &answered, (is_second, is_review))
            }
        }
    }

    /// What the test says.
    fn conclude(
        &mut self,
        now: Instant,
        flight: &Flight,
        answered: &[bool],
        (is_second, is_review): (bool, bool),
    ) -> Option<Finding> {
        let count = answered.iter().filter(|answered| **answered).count();
        // Where few targets count, these are few.
        let newest = answered.iter().rev().take(24);
        let lately = newest.clone().filter(|answered| **answered).count();
        if lately > 0 && lately * 4 >= newest.len() * 3 {
            // It is over, or there is no limiter any more.
            self.limit = None;
            return (!is_review).then_some(Finding::Over);
        }
        if is_review {
            if let Some(limit) = &mut self.limit {
                // Who answers nothing says nothing.
                let doubted = limit.doubted.filter(|_| count == 0).map(|_| flight.newest());
                *limit = Limit { since: now, cuts: 0, doubted, ..*limit };
            }
            return None;
        }
        let lost = || answered.iter().enumerate().filter(|(_, answered)| !**answered);
        let (first, last) = (lost().next().map(|(i, _)| i), lost().next_back().map(|(i, _)| i));
        let width = first.zip(last).map_or(0, |(first, last)| last + 1 - first);
        let is_block = width == lost().count();
        let is_at_end = last.is_some_and(|last| last + 1 == answered.len());
        if is_block && !is_at_end && count > 2 {
            return Some(Finding::Over);
        }
        if is_block && !is_second {
            self.begin_test(now + SECOND_TEST, true, false);
            return None;
        }
        if count == 0 {
            self.trusted_until = now + TRUSTED;
            return Some(Finding::Real);
        }
        let within = |time: Duration| {
            let is_young = |probe: &&Probe| now.since(probe.sent) <= time;
            let young = flight.since(0).rev().take_while(is_young);
            young.filter(|probe| probe.fate == Fate::Answered).count()
        };
        let rate = |time: Duration| {
            let answers = u64::try_from(within(time)).unwrap_or(0);
            u32::try_from(answers * 1_000_000 / millis(time).max(1)).unwrap_or(u32::MAX)
        };
        let rate = rate(Duration::from_secs(1)).min(rate(Duration::from_secs(5)));
        // It answered at least so often before the test.
        let slow = 1_000_000 / millis(self.answered_every).max(1);
        let rate = rate.max(u32::try_from(slow).unwrap_or(u32::MAX));
        self.limit = Some(Limit::new(now, rate));
        self.scheduled = None;
        Some(Finding::Limited)
    }
}

/// Less loss asks for no question by itself.
const LEAST_LOSS: Share = Share::permille(200);
/// The same for a question that nobody needs at once: the less is lost, the longer the question takes.
const LEAST_LOSS_UNASKED: Share = Share::permille(450);
const SLOWEST_QUESTION: Duration = Duration::from_secs(2);
/// At this pace nobody limits probes.
const SLOW: Duration = Duration::from_millis(900);
/// Behind a limiter a slow probe is answered.
const SLOW_ANSWERED: Share = Share::permille(950);
const LOSS_IS_REAL: Nats = Nats::whole(-5);
const ANSWERS_SLOWLY: Nats = Nats::whole(8);
/// How many probes the test has; three quarters of a second.
const TEST_PROBES: u32 = 48;
const AFTER_TEST: Duration = Duration::from_millis(250);
const SECOND_TEST: Duration = Duration::from_secs(1);
/// A loss that was found real is not asked about again for this time.
const TRUSTED: Duration = Duration::from_secs(60);
const AGAIN: Duration = Duration::from_secs(60);
const REVIEW: Duration = Duration::from_secs(3600);
const MOST_CUTS: u32 = 3;
/// Two answers in ten seconds.
const SLOWEST: u32 = 200;
const _: () = assert!(QUICK.as_millis() * 48 < 1000);
