//! What daemons do that run `ping` again and again: targets one after another, one answer waited for
//! at a time, and counters of good and bad rounds.

use super::{Answer, Probe, Rule};
use crate::dice::Dice;
use rail_core::time::{Duration, Instant};

/// How such a daemon works.
#[derive(Copy, Clone, Debug)]
pub(super) struct Script {
    /// Targets in a round; the same one again counts as another.
    pub(super) targets: &'static [usize],
    /// Answers that make a round good; it ends with the last of them.
    pub(super) required: usize,
    /// The round ends, too, when it cannot become good any more.
    pub(super) gives_up: bool,
    /// Each round has another order.
    pub(super) is_shuffled: bool,
    /// How long an answer is waited for.
    pub(super) timeout: Duration,
    /// Time from one round to the next.
    pub(super) interval: Duration,
    /// The interval counts from the beginning of a round, not from its end.
    pub(super) is_clocked: bool,
    /// So many bad rounds in a row: down.
    pub(super) fall: u32,
    /// So many good rounds in a row: up.
    pub(super) rise: u32,
    /// The carrier is watched: lost means down at once.
    pub(super) sees_carrier: bool,
}

/// A daemon of this kind at work.
pub(super) struct Serial {
    script: Script,
    dice: Dice,
    next_round: Instant,
    round: Option<Round>,
    sent: u64,
    bad: u32,
    good: u32,
    is_down: bool,
}

struct Round {
    began: Instant,
    /// Who is left to be asked, last first.
    left: Vec<usize>,
    answers: usize,
    /// When the newest question is given up, and whether it was answered.
    until: Instant,
    is_answered: bool,
}

impl Serial {
    pub(super) fn new(now: Instant, seed: u64, script: Script) -> Self {
        Self {
            script,
            dice: Dice::new(seed),
            next_round: now,
            round: None,
            sent: 0,
            bad: 0,
            good: 0,
            is_down: false,
        }
    }

    fn begin(&mut self, now: Instant, out: &mut Vec<Probe>) {
        let mut left: Vec<usize> = self.script.targets.iter().rev().copied().collect();
        if self.script.is_shuffled {
            for i in (1..left.len()).rev() {
                left.swap(i, self.dice.below(i + 1));
            }
        }
        let round = Round { began: now, left, answers: 0, until: now, is_answered: false };
        self.round = Some(round);
        self.ask(now, out);
    }

    fn ask(&mut self, now: Instant, out: &mut Vec<Probe>) {
        if let Some(round) = &mut self.round
            && let Some(target) = round.left.pop()
        {
            round.until = now + self.script.timeout;
            round.is_answered = false;
            self.sent += 1;
            out.push(Probe { id: self.sent, target });
        }
    }

    fn end(&mut self, now: Instant, began: Instant, is_good: bool) {
        let (grown, cleared) =
            if is_good { (&mut self.good, &mut self.bad) } else { (&mut self.bad, &mut self.good) };
        *grown += 1;
        *cleared = 0;
        if self.bad >= self.script.fall {
            self.is_down = true;
        } else if self.good >= self.script.rise {
            self.is_down = false;
        }
        self.round = None;
        let from = if self.script.is_clocked { began } else { now };
        self.next_round = (from + self.script.interval).max(now);
    }
}

impl Rule for Serial {
    fn deadline(&self) -> Option<Instant> {
        Some(self.round.as_ref().map_or(self.next_round, |round| round.until))
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        let Some(round) = &mut self.round else {
            if now >= self.next_round {
                self.begin(now, out);
            }
            return;
        };
        if !round.is_answered && now < round.until {
            return;
        }
        round.answers += usize::from(round.is_answered);
        let is_good = round.answers >= self.script.required;
        let is_lost = round.answers + round.left.len() < self.script.required;
        if is_good || round.left.is_empty() || (is_lost && self.script.gives_up) {
            let began = round.began;
            self.end(now, began, is_good);
        } else {
            self.ask(now, out);
        }
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        if let Some(round) = &mut self.round
            && answer.probe.id == self.sent
            && now <= round.until
        {
            round.is_answered = true;
        }
    }

    fn carrier(&mut self, _: Instant, is_up: bool) {
        if !is_up && self.script.sees_carrier {
            self.is_down = true;
            self.good = 0;
        }
    }

    fn is_down(&self) -> bool {
        self.is_down
    }
}
