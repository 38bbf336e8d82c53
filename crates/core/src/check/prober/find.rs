//! What is known of an uplink when its verdict is due: whether it is dead and why, whether it is back,
//! and what speaks for and against it.

use super::{Context, Duration, Instant, Prober, Test, Verdict};
use crate::check::limiter::{Accused, Finding};
use crate::check::nats::Nats;
use crate::check::settings::{
    DEGRADED, DOUBT, DOWN, DOWN_PER_TARGET, LEAST_WAIT, RECOVERED, RETURN,
};
use crate::check::verdict::{Cause, Findings};
use alloc::vec::Vec;

impl Prober {
    /// All that the verdict depends on.
    pub(super) fn findings(&mut self, now: Instant, context: &Context<'_>) -> Findings {
        let dead = self.dead_by_silence(now).or_else(|| self.dead_by_loss(now, context));
        let was_lossy =
            matches!(self.verdict, Verdict::Down(cause) | Verdict::Held(cause) if cause.is_loss());
        let mut is_lossy = self.evidence.against(Test::Degraded) >= DEGRADED;
        if is_lossy && self.verdict.is_usable() && self.limiter.cut(now) {
            self.evidence.clear();
            is_lossy = false;
        }
        let is_usable = self.verdict.is_usable();
        let wanted = self.settings.recover_after;
        let is_good = self.rounds.good() >= wanted;
        // Silence was all that spoke against it: rounds without a loss end it. Loss takes more.
        let seen = (&self.flight, &self.evidence);
        let are_clean = self.rounds.are_clean(seen, wanted, self.targets.len());
        let is_clean = !was_lossy && are_clean;
        let is_proven = is_clean || self.evidence.returning() >= RETURN;
        let is_back = !is_usable && is_good && is_proven;
        let recovered = self.evidence.recovered();
        self.held_from = match self.verdict {
            Verdict::Held(_) => self.held_from.or(self.rounds.since()),
            _ => None,
        };
        Findings {
            dead,
            has_answered: self.rounds.good() > 0,
            is_back: is_back || matches!(self.verdict, Verdict::Held(_)),
            is_released: self.rounds.good() > 0 && self.hold_left(now).is_zero(),
            is_lossy: is_lossy || was_lossy,
            is_recovered: recovered >= RECOVERED && self.past.may_recover(now),
            loss: self.loss_now(now, is_lossy),
            slow: self.slowness(now).or(self.was_degraded.then_some(Cause::WasDegraded)),
        }
    }

    /// Why the uplink is dead by its silence.
    fn dead_by_silence(&self, now: Instant) -> Option<Cause> {
        let length = self.silence.length(now);
        let is_mute =
            self.quiet.doubt_evidence() >= DOUBT.0 && length >= self.settings.interval * 2;
        if self.neighbour_failed && is_mute {
            return Some(Cause::Neighbour);
        }
        self.sure_due(now).is_some_and(|at| at <= now).then_some(Cause::Silent(length))
    }

    /// When the silence is sure.
    pub(super) fn sure_due(&self, now: Instant) -> Option<Instant> {
        let limited = self.limiter.spacing().unwrap_or_default();
        let slowest = self.slowest(now);
        let due = self.silence.sure_due(&self.quiet, (slowest, limited), self.is_common)?;
        // Our own pause is no silence of the uplink. And where others answer again, what was asked since
        // then may be answered as well.
        let begun = self.limiter.begins().unwrap_or_default().max(self.was_common);
        Some(due.max(begun + slowest + LEAST_WAIT))
    }

    /// Why it is dead by loss, once it is known that nobody limits the probes.
    fn dead_by_loss(&mut self, now: Instant, context: &Context<'_>) -> Option<Cause> {
        let heard = self.heard_within(now, RECENT);
        let required = self.settings.required.min(self.evidence.counting()).max(1);
        let missing = (required + 2).saturating_sub(heard);
        let limit = (0..missing).fold(DOWN, |limit, _| limit + DOWN_PER_TARGET);
        let is_standing = !matches!(self.verdict, Verdict::Down(_));
        let against = self.evidence.against(Test::Down);
        let accused = match is_standing {
            true if against >= limit => Accused::Condemned,
            true if against >= ASK_EARLY => Accused::Soon,
            _ => Accused::No,
        };
        let condemned = accused == Accused::Condemned;
        let timeouts = self.fair_timeouts(now);
        let of = |t: usize| timeouts.get(t).copied().flatten();
        match self.limiter.step(now, &self.flight, self.settings.interval, accused, of) {
            Some(Finding::Real) if condemned => self.compared(now, context),
            Some(Finding::Limited) => {
                self.acquit();
                None
            }
            Some(Finding::Over) => {
                self.evidence.clear();
                None
            }
            Some(Finding::Real) | None => {
                if !condemned {
                    self.comparing = None;
                }
                None
            }
        }
    }

    /// The time after which a probe is overdue, by target; `None` if the target has a fault of its own.
    fn fair_timeouts(&self, now: Instant) -> Vec<Option<Duration>> {
        let is_odd = |t: usize| {
            self.evidence.is_odd(t) || self.evidence.is_ignored(t) || self.is_silent_alone(t)
        };
        let timeouts = self.timeouts(now).into_iter().enumerate();
        timeouts.map(|(t, timeout)| (!is_odd(t)).then_some(timeout)).collect()
    }

    /// True if the target is silent while as many others as must have answered their last question. While
    /// a limiter is asked for, little is booked, so nothing else tells that it has died meanwhile.
    fn is_silent_alone(&self, target: usize) -> bool {
        let answers = |t: &usize| self.unanswered(*t) == 0 && !self.evidence.is_ignored(*t);
        let answering = (0..self.targets.len()).filter(answers).count();
        self.unanswered(target) >= SILENT_ALONE && answering >= self.settings.required
    }

    /// The cause of a death by loss. Where targets are silent, it waits for what others hear of them.
    fn compared(&mut self, now: Instant, context: &Context<'_>) -> Option<Cause> {
        let required = self.settings.required.min(self.evidence.counting()).max(1);
        let answering = self.answering();
        if answering >= required {
            // A target that was silent answers again: what it is accused of is forgotten soon.
            let is_back = self.comparing.is_some_and(|at| now.since(at) < LONGEST_COMPARISON);
            return (!is_back).then(|| Cause::Loss(self.loss_now(now, true)));
        }
        let since = *self.comparing.get_or_insert(now);
        if context.is_comparing && now.since(since) < LONGEST_COMPARISON {
            return None;
        }
        Some(Cause::Quorum { answering, required })
    }

    /// It was a limiter, or a target: whatever it looked like, the uplink is good.
    pub(super) fn acquit(&mut self) {
        self.evidence.clear();
        self.past.acquit();
        if self.verdict.is_lossy()
            || matches!(self.verdict, Verdict::Down(cause) | Verdict::Held(cause) if cause.is_loss())
        {
            self.verdict = Verdict::Up;
        }
    }
}

/// Targets that answered within this time count for the limit of a death.
const RECENT: Duration = Duration::from_secs(10);
/// So many unanswered questions in a row are a target's own silence where others answer. At 80 % loss on
/// the uplink, one in 25 looks like it.
const SILENT_ALONE: u32 = 4;
const LONGEST_COMPARISON: Duration = Duration::from_secs(3);
/// Evidence of death from which on it is asked.
const ASK_EARLY: Nats = Nats::hundredths(250);
