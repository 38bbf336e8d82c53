//! Is it loss, or does somebody limit the rate of our probes?
//!
//! A router on the way or a target may answer only so many echoes a second. Asked quickly, it looks
//! like an uplink that loses nine of ten. Random loss leaves gaps of all lengths between answers; a
//! limiter leaves even ones. Where that does not tell, the uplink is asked slowly: a limiter answers
//! then. A short test at full pace follows, for a gap that has ended meanwhile answers as well.

use super::flight::{Fate, Flight, Probe};
use super::nats::{Nats, Share};
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
}

/// A limiter that was found.
#[derive(Copy, Clone, Debug)]
struct Limit {
    /// Answers in 1,000 seconds.
    rate: u32,
    since: Instant,
    /// How often it was still too quick.
    cuts: u32,
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
        let limit = |rate: u32| Limit { rate: rate.max(SLOWEST), since: now, cuts: 0 };
        self.limit = rate.map(limit);
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
        let condemned = accused == Accused::Condemned;
        if self.question.is_some() {
            return self.go_on(now, flight, timeout);
        }
        if let Some(limit) = &self.limit {
            if now.since(limit.since) >= REVIEW {
                self.begin_test(now, false, true);
            }
            // The rate is kept to, so what is lost is lost.
            return condemned.then_some(Finding::Real);
        }
        if now < self.trusted_until {
            return condemned.then_some(Finding::Real);
        }
        let is_due = self.scheduled.is_some_and(|(at, _)| at <= now);
        if accused == Accused::No && !is_due {
            return None;
        }
        let seen = Pattern::of(now, flight, |target| timeout(target).is_some());
        if !condemned && seen.loss() < LEAST_LOSS {
            return None;
        }
        // An outage that has just ended looks the same, and needs no question.
        let is_over = seen.run >= LOSS_IS_OVER || seen.losses < LEAST_LOSSES;
        if accused == Accused::No && (is_over || seen.line.sum < LEAST_SPAN_MS) {
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
        let is_mute = seen.loss() >= LIMITERS_LOSS && seen.quick >= MOST_QUICK;
        if accused == Accused::Soon && !is_due && !is_mute {
            return None;
        }
        let pause = Duration::from_millis(1500 * seen.span_ms() / (1000 * seen.answered).max(1));
        let spacing = interval.max(pause.min(SLOWEST_QUESTION));
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
            Question::Slow { next, sum, quick, .. } => {
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
        let lately = answered.iter().rev().take(24).filter(|answered| **answered).count();
        if lately >= 18 {
            // It is over, or there is no limiter any more.
            self.limit = None;
            return (!is_review).then_some(Finding::Over);
        }
        if is_review {
            if let Some(limit) = &mut self.limit {
                *limit = Limit { since: now, cuts: 0, ..*limit };
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
        let rate = rate(Duration::from_secs(1)).min(rate(Duration::from_secs(5))).max(SLOWEST);
        self.limit = Some(Limit { rate, since: now, cuts: 0 });
        self.scheduled = None;
        Some(Finding::Limited)
    }
}

/// The gaps between answers, over the last seconds and from the third loss on.
#[derive(Clone, Debug, Default)]
struct Pattern {
    answered: u64,
    lost: u64,
    /// Gaps of the uplink.
    gaps: u64,
    line: Spread,
    /// By target.
    targets: Vec<(Option<Instant>, Spread)>,
    first: Option<Instant>,
    last: Option<Instant>,
    /// Probes at full pace lately.
    quick: usize,
    /// Answers since the last loss, and how often an answer was followed by a loss.
    run: u64,
    losses: u64,
}

/// Sums that give a variance.
#[derive(Copy, Clone, Debug, Default)]
struct Spread {
    count: u64,
    sum: u64,
    squares: u64,
}

impl Spread {
    fn take(&mut self, gap: Duration) {
        let gap = millis(gap);
        self.count += 1;
        self.sum += gap;
        self.squares += gap * gap;
    }

    /// The sum of squared deviations from the mean.
    fn deviations(&self) -> u64 {
        let mean = (self.sum * self.sum).checked_div(self.count).unwrap_or(0);
        self.squares.saturating_sub(mean)
    }
}

impl Pattern {
    fn of(now: Instant, flight: &Flight, is_fair: impl Fn(usize) -> bool) -> Self {
        let mut seen = Self::default();
        let mut before = None;
        for probe in flight.since(0).filter(|probe| !probe.is_test && is_fair(probe.target)) {
            seen.quick += usize::from(now.since(probe.sent) <= QUICK_TIME);
            let is_lost = matches!(probe.fate, Fate::Lost { .. }) || probe.is_overdue;
            match probe.fate {
                Fate::Answered => seen.run += 1,
                _ if is_lost => {
                    seen.losses += u64::from(seen.run > 0);
                    seen.run = 0;
                }
                _ => {}
            }
            match probe.fate {
                Fate::Answered if seen.lost >= 3 => {
                    seen.answered += 1;
                    if let Some(before) = before.replace(probe.sent) {
                        seen.line.take(probe.sent.since(before));
                    }
                    if seen.targets.len() <= probe.target {
                        seen.targets.resize(probe.target + 1, (None, Spread::default()));
                    }
                    if let Some((last, spread)) = seen.targets.get_mut(probe.target)
                        && let Some(last) = last.replace(probe.sent)
                    {
                        spread.take(probe.sent.since(last));
                    }
                }
                Fate::Lost { .. } => seen.lost += 1,
                Fate::Open if probe.is_overdue => seen.lost += 1,
                Fate::Answered | Fate::Open | Fate::Forgotten => {}
            }
            if seen.lost >= 3 {
                seen.first = seen.first.or(Some(probe.sent));
                seen.last = Some(probe.sent);
            }
        }
        seen.gaps = seen.line.count;
        seen
    }

    fn loss(&self) -> Share {
        Share::of(self.lost, self.lost + self.answered)
    }

    fn span_ms(&self) -> u64 {
        self.first.zip(self.last).map_or(0, |(first, last)| millis(last.since(first)))
    }

    /// What the losses look like: random ones leave uneven gaps, on the uplink and at each target.
    fn judge(&self) -> Likeness {
        let loss = self.loss();
        let limiter_if = |is_long| if is_long { Likeness::Limiter } else { Likeness::Unknown };
        if self.gaps < LEAST_GAPS {
            let enough = if loss >= LIMITERS_LOSS { LEAST_QUICK } else { MOST_QUICK };
            return limiter_if(self.quick >= enough || self.span_ms() >= LONG_MS);
        }
        let has_many = self.gaps >= MANY_GAPS;
        let is_long = has_many || self.quick >= MOST_QUICK;
        let Some(unevenness) = self.unevenness() else { return limiter_if(is_long) };
        // For random loss cv² is the loss.
        let at_least = |permille: u64| unevenness >= loss.as_permille() * permille / 1000;
        if at_least(RANDOM) || has_many && at_least(RANDOM_AT_LAST) {
            return Likeness::Random;
        }
        limiter_if(is_long || !at_least(REGULAR))
    }

    /// The squared coefficient of variation of the gaps in thousandths, of the uplink or within the
    /// targets, whichever is less; `None`: there are too few to tell.
    fn unevenness(&self) -> Option<u64> {
        let cv2 = |deviations: u64, degrees: u64, mean: u64| {
            (deviations * 1000).checked_div(degrees * mean * mean).unwrap_or(0)
        };
        let line = &self.line;
        let of_line = cv2(line.deviations(), line.count, line.sum / line.count.max(1));
        let spreads = || self.targets.iter().map(|(_, spread)| spread).filter(|s| s.count > 0);
        let count: u64 = spreads().map(|spread| spread.count).sum();
        let sum: u64 = spreads().map(|spread| spread.sum).sum();
        let degrees = count - u64::try_from(spreads().count()).unwrap_or(0);
        if degrees < LEAST_DEGREES {
            return None;
        }
        let deviations = spreads().map(Spread::deviations).sum();
        Some(of_line.min(cv2(deviations, degrees, sum / count.max(1))))
    }
}

/// What losses look like.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Likeness {
    /// Each fell by itself.
    Random,
    /// Even gaps, or hardly an answer.
    Limiter,
    /// More probes will tell.
    Unknown,
}

fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

const LEAST_GAPS: u64 = 8;
const MANY_GAPS: u64 = 16;
const LEAST_DEGREES: u64 = 2;
const LEAST_QUICK: usize = 40;
/// So many probes at full pace in [`QUICK_TIME`] are nearly all that fit.
const MOST_QUICK: usize = 75;
/// Shares of the unevenness of random loss, in thousandths: surely random; surely not; in between, when
/// there are gaps enough.
const RANDOM: u64 = 350;
const REGULAR: u64 = 120;
const RANDOM_AT_LAST: u64 = 250;
const QUICK_TIME: Duration = Duration::from_millis(1500);
/// Less loss asks for no question by itself.
const LEAST_LOSS: Share = Share::permille(200);
/// So much loss looks like a limiter rather than like a bad uplink.
const LIMITERS_LOSS: Share = Share::permille(920);
/// Answers over less time are the end of an outage.
const LEAST_SPAN_MS: u64 = 3500;
/// After so many answers in a row whatever lost them is over.
const LOSS_IS_OVER: u64 = 8;
/// A limiter takes the answers from between others, an outage all at once.
const LEAST_LOSSES: u64 = 3;
/// Nearly all of the time that is remembered.
const LONG_MS: u64 = 5000;
const SLOWEST_QUESTION: Duration = Duration::from_secs(2);
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
