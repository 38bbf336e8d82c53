//! Questions that take time and have one answer, one module for each kind.
//!
//! Promises: each question is answered once, in its time, or called off; so many are open at once and
//! no more, and each asker has its share of them; none has a thread, nothing waits for one. Leaves out
//! what an answer means.

mod connect;

use crate::poll::Poller;
use connect::Connection;
use rail_core::time::{Duration, Instant};
use rail_core::{Answer, Ask, AskError, AskId, Asker, Input, has_place};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The questions that are open.
#[derive(Debug)]
pub struct Asks {
    tokens: Range<u64>,
    open: BTreeMap<u64, Question>,
    /// Who has asked and was not called off: each has a share of the places.
    askers: BTreeSet<Asker>,
}

#[derive(Debug)]
struct Question {
    id: AskId,
    until: Instant,
    work: Work,
}

/// What a question waits for, by its kind.
#[derive(Debug)]
enum Work {
    Connect(Connection),
}

/// What became of a question.
type Outcome = Result<Answer, AskError>;

/// What becomes of a question that was just asked.
enum Begun {
    /// The answer is there already.
    Done(Outcome),
    /// It shows when the descriptor becomes writable.
    Waits(Work),
}

impl Asks {
    /// None open. Each gets one of these tokens, so there are never more at once.
    pub const fn new(tokens: Range<u64>) -> Self {
        Self { tokens, open: BTreeMap::new(), askers: BTreeSet::new() }
    }

    /// Asks. Returns the answer if it is there at once.
    pub fn begin(&mut self, poller: &Poller, now: Instant, id: AskId, ask: Ask) -> Option<Input> {
        self.askers.insert(id.asker);
        let Some(token) = self.place(id.asker) else {
            return Some(Input::Answered(id, Err(AskError::NotAsked)));
        };
        let (timeout, begun) = match ask {
            Ask::Connect { binding, to, timeout } => (timeout, connect::begin(now, &binding, to)),
        };
        let work = match begun {
            Begun::Done(outcome) => return Some(Input::Answered(id, outcome)),
            Begun::Waits(work) => work,
        };
        if work.watch(poller, token).is_err() {
            return Some(Input::Answered(id, Err(AskError::NotAsked)));
        }
        let until = now + timeout.min(LONGEST);
        self.open.insert(token, Question { id, until, work });
        None
    }

    /// Takes the answer to the question with this token, if it is there.
    pub fn ready(&mut self, now: Instant, token: u64) -> Option<Input> {
        let outcome = self.open.get(&token)?.work.outcome(now)?;
        let question = self.open.remove(&token)?;
        Some(Input::Answered(question.id, outcome))
    }

    /// What this asker has asked is not answered any more.
    pub fn cancel(&mut self, asker: Asker) {
        self.open.retain(|_, question| question.id.asker != asker);
        self.askers.remove(&asker);
    }

    /// When the next question is over.
    pub fn deadline(&self) -> Option<Instant> {
        self.open.values().map(|question| question.until).min()
    }

    /// Ends the questions whose time is over. An answer that came while the loop was late counts.
    pub fn expire(&mut self, now: Instant) -> Vec<Input> {
        let over = self.open.iter().filter(|(_, question)| question.until <= now);
        let over: Vec<u64> = over.map(|(token, _)| *token).collect();
        let end = |token| {
            let Question { id, work, .. } = self.open.remove(&token)?;
            Some(Input::Answered(id, work.outcome(now).unwrap_or(Err(AskError::TimedOut))))
        };
        over.into_iter().filter_map(end).collect()
    }

    /// A token that is free and that this asker may have.
    fn place(&self, asker: Asker) -> Option<u64> {
        let mut held: BTreeMap<Asker, u64> = self.askers.iter().map(|asker| (*asker, 0)).collect();
        for question in self.open.values() {
            *held.entry(question.id.asker).or_default() += 1;
        }
        let most = self.tokens.end - self.tokens.start;
        let is_free = |token: &u64| !self.open.contains_key(token);
        self.tokens.clone().find(is_free).filter(|_| has_place(most, &held, asker))
    }
}

impl Work {
    fn watch(&self, poller: &Poller, token: u64) -> rustix::io::Result<()> {
        match self {
            Self::Connect(connection) => poller.add_for_writing(connection, token),
        }
    }

    /// `None` while there is no answer.
    fn outcome(&self, now: Instant) -> Option<Outcome> {
        match self {
            Self::Connect(connection) => connection.outcome(now),
        }
    }
}

/// Whoever is asked for longer holds a place that others may need.
const LONGEST: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
