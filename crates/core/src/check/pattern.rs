//! What the losses of the last seconds look like: those of a bad uplink, or of a limiter.

use super::flight::{Fate, Probe};
use super::nats::Share;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// The gaps between answers, over the last seconds and from the third loss on.
#[derive(Clone, Debug, Default)]
pub(super) struct Pattern {
    answered: u64,
    lost: u64,
    /// Gaps of the uplink.
    line: Spread,
    /// The newest of them, in turn: a limiter may have begun in the midst.
    newest: [Duration; NEWEST],
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
    /// The pattern of these probes, oldest first. A target that is not fair has a fault of its own.
    pub(super) fn of<'a>(
        now: Instant,
        probes: impl Iterator<Item = &'a Probe>,
        is_fair: impl Fn(usize) -> bool,
    ) -> Self {
        let mut seen = Self::default();
        let mut before = None;
        for probe in probes.filter(|probe| !probe.is_test && is_fair(probe.target)) {
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
                        let gap = probe.sent.since(before);
                        let place = usize::try_from(seen.line.count).unwrap_or(0) % NEWEST;
                        seen.line.take(gap);
                        seen.newest[place] = gap;
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
        seen
    }

    /// Share of the lost.
    pub(super) fn loss(&self) -> Share {
        Share::of(self.lost, self.lost + self.answered)
    }

    /// The mean time between two probes.
    pub(super) fn spacing(&self) -> Duration {
        let gaps = (self.lost + self.answered).saturating_sub(3).max(1);
        Duration::from_millis(self.span_ms() / gaps)
    }

    /// One and a half times the mean time between two answers.
    pub(super) fn pause(&self) -> Duration {
        Duration::from_millis(1500 * self.span_ms() / (1000 * self.answered).max(1))
    }

    /// An outage that has just ended looks the same as a limiter.
    pub(super) fn is_end_of_outage(&self) -> bool {
        self.run >= LOSS_IS_OVER || self.losses < LEAST_LOSSES || self.line.sum < LEAST_SPAN_MS
    }

    /// Hardly an answer for long, at full pace.
    pub(super) fn is_mute(&self) -> bool {
        self.loss() >= LIMITERS_LOSS && self.quick >= MOST_QUICK
    }

    fn span_ms(&self) -> u64 {
        self.first.zip(self.last).map_or(0, |(first, last)| millis(last.since(first)))
    }

    /// What the losses look like: random ones leave uneven gaps, on the uplink and at each target.
    pub(super) fn judge(&self) -> Likeness {
        let loss = self.loss();
        let limiter_if = |is_long| if is_long { Likeness::Limiter } else { Likeness::Unknown };
        if self.line.count < LEAST_GAPS {
            let enough = if loss >= LIMITERS_LOSS { LEAST_QUICK } else { MOST_QUICK };
            return limiter_if(self.quick >= enough || self.span_ms() >= LONG_MS);
        }
        let has_many = self.line.count >= MANY_GAPS;
        let is_long = has_many || self.quick >= MOST_QUICK;
        let Some(unevenness) = self.unevenness() else { return limiter_if(is_long) };
        // For random loss cv² is the loss.
        let at_least = |permille: u64| unevenness >= loss.as_permille() * permille / 1000;
        if self.are_newest_even(loss) {
            return Likeness::Limiter;
        }
        if at_least(RANDOM) || has_many && at_least(RANDOM_AT_LAST) {
            return Likeness::Random;
        }
        limiter_if(is_long || !at_least(REGULAR))
    }

    /// The newest gaps are as even as no random loss leaves them.
    fn are_newest_even(&self, loss: Share) -> bool {
        let mut newest = Spread::default();
        self.newest.iter().for_each(|gap| newest.take(*gap));
        let (deviations, mean) = (newest.deviations(), newest.sum / newest.count.max(1));
        let squares = newest.count.saturating_sub(1) * mean * mean;
        let unevenness = (deviations * 1000).checked_div(squares);
        unevenness.is_some_and(|cv2| cv2 < loss.as_permille() * EVEN / 1000)
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
pub(super) enum Likeness {
    /// Each fell by itself.
    Random,
    /// Even gaps, or hardly an answer.
    Limiter,
    /// More probes will tell.
    Unknown,
}

/// In whole milliseconds.
pub(super) fn millis(d: Duration) -> u64 {
    u64::try_from(d.as_millis()).unwrap_or(u64::MAX)
}

const LEAST_GAPS: u64 = 8;
const NEWEST: usize = 8;
const MANY_GAPS: u64 = 16;
const LEAST_DEGREES: u64 = 2;
const LEAST_QUICK: usize = 40;
/// So many probes at full pace in [`QUICK_TIME`] are nearly all that fit.
const MOST_QUICK: usize = 75;
/// Shares of the unevenness of random loss, in thousandths: surely random; surely not; in between, when
/// there are gaps enough.
const RANDOM: u64 = 350;
const REGULAR: u64 = 120;
/// Of the newest few.
const EVEN: u64 = 60;
const RANDOM_AT_LAST: u64 = 250;
const QUICK_TIME: Duration = Duration::from_millis(1500);
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
