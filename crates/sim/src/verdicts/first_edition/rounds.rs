//! The short window: the last rounds of probes and what came of each. It gives
//! the run of good rounds that a dead uplink needs to return.

use rail_core::time::{Duration, Instant};
use std::collections::VecDeque;

/// Rounds older than this are forgotten, if enough for a return are left; answers to them are
/// counted as refused.
const KEEP: Duration = Duration::from_secs(10);
/// At most this many rounds are kept, whatever the interval, if that is enough for a return.
const MOST: usize = 1200;
/// Rounds beyond those that a return takes: the pending ones.
const PENDING: usize = 16;

/// One round: an echo to each target, at one moment.
#[derive(Clone, Debug)]
pub(super) struct Round {
    /// Counts up from 1; its low 16 bits are the ICMP sequence number.
    pub(super) number: u64,
    /// When it was sent.
    pub(super) sent_at: Instant,
    /// Per target: answered.
    pub(super) answered: Vec<bool>,
    /// Its timeout has been dealt with.
    pub(super) closed: bool,
}

impl Round {
    /// How many targets have answered.
    pub(super) fn answers(&self) -> usize {
        self.answered.iter().filter(|answered| **answered).count()
    }
}

/// The rounds of the last seconds.
#[derive(Clone, Debug, Default)]
pub(super) struct Rounds {
    rounds: VecDeque<Round>,
    next: u64,
}

/// The newest unbroken run of good rounds.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Run {
    /// How many.
    pub(super) length: u32,
    /// When its oldest round was sent.
    pub(super) since: Instant,
    /// Probes that are due in it, to targets that answered at least once in it.
    pub(super) probes: u32,
    /// Of these, unanswered.
    pub(super) lost: u32,
}

impl Rounds {
    /// Begins a round; returns its number. `run` good rounds must fit in what is kept.
    pub(super) fn begin(&mut self, now: Instant, targets: usize, run: u32) -> u64 {
        let least = usize::try_from(run).unwrap_or(MOST).saturating_add(PENDING);
        let old = |r: &Round| now.since(r.sent_at) > KEEP;
        while self.rounds.len() >= least
            && (self.rounds.len() >= MOST || self.rounds.front().is_some_and(old))
        {
            self.rounds.pop_front();
        }
        self.next += 1;
        self.rounds.push_back(Round {
            number: self.next,
            sent_at: now,
            answered: vec![false; targets],
            closed: false,
        });
        self.next
    }

    /// Forgets all rounds, but not the numbering.
    pub(super) fn clear(&mut self) {
        self.rounds.clear();
    }

    /// The round that a 16-bit sequence number belongs to, to note an answer.
    pub(super) fn find_mut(&mut self, sequence: u16) -> Option<&mut Round> {
        let index = self.index_of(sequence)?;
        self.rounds.get_mut(index)
    }

    /// Rounds are numbered without a gap, so a flood of guesses costs no search.
    fn index_of(&self, sequence: u16) -> Option<usize> {
        let first = u16::try_from(self.rounds.front()?.number & 0xffff).ok()?;
        Some(usize::from(sequence.wrapping_sub(first)))
    }

    /// True if the target answered one of the last `count` closed rounds, or a younger one.
    pub(super) fn answered_lately(&self, target: usize, count: usize) -> bool {
        let mut closed = 0;
        let mut lately = self.rounds.iter().rev().take_while(|round| {
            closed += usize::from(round.closed);
            closed <= count
        });
        lately.any(|round| round.answered.get(target) == Some(&true))
    }

    /// The first round whose timeout has not been dealt with.
    pub(super) fn first_open(&mut self) -> Option<&mut Round> {
        let index = self.closed_count();
        self.rounds.get_mut(index)
    }

    /// When the first open round was sent.
    pub(super) fn oldest_pending(&self) -> Option<Instant> {
        self.rounds.get(self.closed_count()).map(|round| round.sent_at)
    }

    /// Rounds are closed in their order, so those that are stand first.
    fn closed_count(&self) -> usize {
        self.rounds.partition_point(|round| round.closed)
    }

    /// The newest run of rounds sent since `from` with as many answers as they need. Rounds
    /// younger than `patience` that are not good yet neither count nor break the run.
    pub(super) fn good_run(
        &self,
        now: Instant,
        from: Instant,
        required: usize,
        patience: Duration,
    ) -> Run {
        let mut run = Run { since: now, ..Run::default() };
        let mut per_target: Vec<(u32, u32)> = Vec::new();
        for round in self.rounds.iter().rev().take_while(|r| r.sent_at >= from) {
            if round.answers() < required {
                if now.since(round.sent_at) < patience {
                    continue;
                }
                break;
            }
            run.length += 1;
            run.since = round.sent_at;
            per_target.resize(round.answered.len(), (0, 0));
            for (count, answered) in per_target.iter_mut().zip(&round.answered) {
                if *answered || now.since(round.sent_at) >= patience {
                    count.0 += 1;
                    count.1 += u32::from(*answered);
                }
            }
        }
        for (due, answered) in per_target.into_iter().filter(|(_, answered)| *answered > 0) {
            run.probes += due;
            run.lost += due - answered;
        }
        run
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn rounds(pattern: &[usize]) -> (Rounds, Instant) {
        let mut rounds = Rounds::default();
        let mut at = Instant::from_nanos(1_000_000_000);
        for answers in pattern {
            let number = rounds.begin(at, 3, 10);
            let sequence = u16::try_from(number).unwrap();
            for answered in rounds.find_mut(sequence).unwrap().answered.iter_mut().take(*answers) {
                *answered = true;
            }
            at = at + MS * 200;
        }
        (rounds, at)
    }

    /// Given good, bad, good, good and one pending round, then the run is two rounds long.
    #[test]
    fn a_bad_round_breaks_the_run_and_a_young_one_does_not() {
        let (rounds, now) = rounds(&[3, 1, 3, 2, 0]);
        let run = rounds.good_run(now, Instant::ZERO, 2, MS * 500);
        assert_eq!((run.length, run.probes, run.lost), (2, 5, 0));
        let later = rounds.good_run(now + MS * 500, Instant::ZERO, 2, MS * 500);
        assert_eq!(later.length, 0);
    }

    /// Given a target that never answers, then its silence is no loss of the run.
    #[test]
    fn a_silent_target_is_not_loss() {
        let (rounds, now) = rounds(&[2, 2, 2, 2]);
        let run = rounds.good_run(now + MS * 900, Instant::ZERO, 2, MS * 500);
        assert_eq!((run.length, run.probes, run.lost), (4, 8, 0));
    }
}
