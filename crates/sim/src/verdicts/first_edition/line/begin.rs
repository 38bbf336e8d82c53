//! When an uplink probes, and what is left of its verdict when it does not.

use super::{Instant, Line, Running, Verdict};
use crate::verdicts::first_edition::Cause;

impl Line {
    /// Begins to probe: link, address and way are there. Goes on if it was halted; what was sent
    /// meanwhile is nobody's fault.
    pub fn start(&mut self, now: Instant) {
        if std::mem::take(&mut self.is_halted)
            && let Some(running) = &mut self.running
        {
            running.floor = now;
            running.next_round = now;
        }
        if self.running.is_none() {
            self.running = Some(Running {
                floor: now,
                next_round: now,
                fast: true,
                pace_since: now,
                good_from: now,
                started: now,
                resolved: None,
            });
            self.neighbour_failed = false;
            for target in &mut self.targets {
                target.quality.clear(now);
            }
        }
    }

    /// Sends nothing and judges nothing until it is started again: its probes would not find their
    /// way, by our own doing.
    pub fn halt(&mut self) {
        self.is_halted = self.running.is_some();
    }

    /// Stops probing, because its probes do not find their way. That says nothing of the line: one
    /// that was good is good again after its first good round.
    pub fn lose_way(&mut self) {
        let before = self.verdict;
        self.stop();
        self.verdict = match before {
            Verdict::Up | Verdict::Degraded(_) => Verdict::Probing,
            Verdict::Probing | Verdict::Down(_) | Verdict::Held(_) => before,
        };
    }

    /// Stops probing and forgets the verdict: nobody wants the uplink, or what was adopted says nothing
    /// of it any more.
    pub fn retire(&mut self) {
        self.stop();
        self.verdict = Verdict::Probing;
    }

    /// Stops probing: link or address have gone. An uplink that had been judged is down until it
    /// has proved itself again.
    pub fn stop(&mut self) {
        self.is_halted = false;
        if self.running.take().is_some() {
            self.rounds.clear();
            self.well_since = None;
        }
        if self.verdict != Verdict::Probing && !matches!(self.verdict, Verdict::Down(_)) {
            self.verdict = Verdict::Down(Cause::Interrupted);
        }
    }
}
