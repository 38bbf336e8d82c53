//! What arrives by ports, and the answers to questions.

use super::{Event, Shell};
use crate::clock;
use rail_core::time::Instant;
use rail_core::{Ask, AskId, Input};

impl Shell {
    pub(super) fn ask(&mut self, id: AskId, ask: Ask) {
        let answer = self.asks.begin(&self.poller, clock::now(), id, ask);
        self.events.extend(answer.map(Event::Input));
    }

    /// Takes what arrived for this token of a port or of a question.
    pub(super) fn arrived(&mut self, token: u64) {
        let mut inputs: Vec<Input> = Vec::new();
        if token >= super::TOKEN_ASKS {
            inputs.extend(self.asks.ready(clock::now(), token));
        } else {
            // What is left is reported again: readiness is by level.
            let _ = self.ports.drain(token, &mut inputs);
        }
        self.events.extend(inputs.into_iter().map(Event::Input));
    }

    pub(super) fn end_asks(&mut self, now: Instant) {
        self.events.extend(self.asks.expire(now).into_iter().map(Event::Input));
    }
}
