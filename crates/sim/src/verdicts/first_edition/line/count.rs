//! Which targets count on an uplink, and what they say together.

use super::{Duration, Instant, Line, Run, Sums, Target, is_blamed};
use crate::verdicts::first_edition::rounds::Counted;

impl Line {
    /// A target that is taken back into the count has a fresh start on this line: what it did not
    /// answer while it was left out is nobody's fault.
    pub(super) fn note_ignored(&mut self, now: Instant, blamed: &[bool]) {
        for (t, target) in self.targets.iter_mut().enumerate() {
            let is_ignored = is_blamed(blamed, t);
            if std::mem::replace(&mut target.ignored, is_ignored) && !is_ignored {
                target.counts_from = now;
            }
        }
    }

    /// The target was silent on every uplink, and has answered on one: what it did not answer here
    /// meanwhile is nobody's fault.
    pub fn forgive(&mut self, now: Instant, target: usize) {
        if let Some(target) = self.targets.get_mut(target) {
            target.counts_from = now;
        }
    }

    /// Which targets count, and how many of them must answer.
    pub(super) fn counted(&self, blamed: &[bool]) -> Counted {
        let from =
            |(t, target): (usize, &Target)| (!is_blamed(blamed, t)).then_some(target.counts_from);
        let since = self.targets.iter().enumerate().map(from).collect();
        Counted { since, required: self.check.required }
    }

    /// The newest run of good rounds.
    pub fn run(&self, now: Instant, blamed: &[bool]) -> Run {
        self.run_since(now, Instant::ZERO, blamed)
    }

    pub(super) fn run_since(&self, now: Instant, from: Instant, blamed: &[bool]) -> Run {
        let Some(running) = self.running else { return Run::default() };
        let slowest = self.targets.iter().filter_map(|t| t.quality.last_rtt()).max();
        let patience = slowest.map_or(Duration::ZERO, |rtt| rtt * 2).min(Duration::from_secs(3));
        let patience = patience.max(self.check.timeout);
        let from = from.max(running.good_from);
        self.rounds.good_run(now, from, &self.counted(blamed), patience, blamed)
    }

    /// Sums over the targets that answer on this line and are not blamed.
    pub fn sums(&self, now: Instant, blamed: &[bool]) -> Sums {
        let mut sums = Sums::default();
        for (t, target) in self.targets.iter().enumerate() {
            if self.is_answering(t) && !is_blamed(blamed, t) {
                sums += target.quality.sums(now, self.check.timeout);
            }
        }
        sums
    }
}
