//! What others ask of a line.

use super::{CheckConfig, Duration, Instant, Line, Quality, Running, Verdict};
use crate::verdicts::first_edition::Cause;
use rail_core::status::{ProbeCounters, RefusedCounters};

impl Line {
    /// The verdict.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The settings.
    pub const fn check(&self) -> &CheckConfig {
        &self.check
    }

    /// True while it sends probes.
    pub const fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// Since when a dead uplink has been good without a break.
    pub const fn well_since(&self) -> Option<Instant> {
        self.well_since
    }

    /// Last answer of a target.
    pub fn last_answer(&self, target: usize) -> Option<Instant> {
        self.targets.get(target).and_then(|t| t.last_answer)
    }

    /// The long window of a target.
    pub fn quality(&self, target: usize) -> Option<&Quality> {
        self.targets.get(target).map(|t| &t.quality)
    }

    /// What became of the probes to a target.
    pub fn probes(&self, target: usize) -> ProbeCounters {
        self.targets.get(target).map(|t| t.probes).unwrap_or_default()
    }

    /// What arrived and was not taken.
    pub const fn refused(&self) -> RefusedCounters {
        self.refused
    }

    /// True if the target answered within `window`.
    pub fn heard_within(&self, now: Instant, target: usize, window: Duration) -> bool {
        self.last_answer(target).is_some_and(|at| now.since(at) < window)
    }

    /// True if something arrived lately: by its silence it is not dead. An uplink that has just begun
    /// has not shown it; after a restart others may need longer for their first answer.
    pub fn is_heard(&self, now: Instant) -> bool {
        let patience = self.patience();
        self.running.is_some_and(|running| now.since(running.started) >= patience)
            && self.has_heard(now)
    }

    /// The same of one that may have just begun.
    pub fn has_heard(&self, now: Instant) -> bool {
        self.last_arrival.is_some_and(|at| now.since(at) < self.patience())
    }

    /// True if a probe was answered that was sent at this moment or later, and not before the line
    /// began: what it was before an interruption, or in an earlier process, proves nothing.
    pub fn is_proven_since(&self, at: Instant) -> bool {
        let proves =
            |running: Running| self.proof.is_some_and(|(sent, _)| sent >= at.max(running.started));
        self.running.is_some_and(proves)
    }

    /// For an uplink that is down because it fell silent: since when. Before that, a probe that is
    /// answered elsewhere proves nothing; it may have passed what then broke for all.
    pub fn silent_since(&self) -> Option<Instant> {
        let is_silent = matches!(self.verdict, Verdict::Down(Cause::Silent(_) | Cause::Neighbour));
        let rtt = self.proof.map_or(Duration::ZERO, |(_, rtt)| rtt);
        self.rounds.unanswered_since().filter(|_| is_silent).map(|at| at + rtt)
    }

    /// True if the target answered a probe that was sent within `window`: one that dies is then silent
    /// on a slow uplink as soon as on a quick one. With a very long round trip the arrival counts.
    pub fn lived_within(&self, now: Instant, target: usize, window: Duration) -> bool {
        let Some(target) = self.targets.get(target) else { return false };
        let (Some(heard), Some(asked)) = (target.last_answer, target.last_asked) else {
            return false;
        };
        let from = if heard.since(asked) < window / 2 { asked } else { heard };
        now.since(from) < window
    }

    /// True if it has asked at full pace for `window`: its silence says something.
    pub fn has_asked_for(&self, now: Instant, window: Duration) -> bool {
        let full = self.running.filter(|running| running.fast);
        full.is_some_and(|running| now.since(running.floor.max(running.pace_since)) >= window)
    }
}
