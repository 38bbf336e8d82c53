//! Do probes of an uplink find their way? Without its route and its rule a socket that is bound to
//! a device falls back to "on link": what it finds out then says nothing of the uplink.
//!
//! An uplink that loses its way is not probed. A repair takes milliseconds, so its health stays for
//! [`GRACE`]; after that it is *no-way* and carries nothing. The first good round brings it back.

use super::Router;
use crate::net::Family;
use crate::render;
use crate::state::{Key, State, is_met};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::String;

/// A way that is lost for this long is not being repaired; one refusal may be tried again in it.
pub(super) const GRACE: Duration = Duration::from_millis(200);

/// What is known of the way of an uplink that has link and address.
#[derive(Clone, Debug, Default)]
pub(super) struct Way {
    /// What is missing.
    missing: Option<Key>,
    /// Since when it is lost or refused; not while the first pass is still to bring it.
    lost: Option<Instant>,
    /// Why there is none.
    pub(super) refused: Option<String>,
}

impl Router {
    /// Starts, halts and ends the checks with the way of their probes.
    pub(super) fn refresh_way(&mut self, now: Instant, index: usize, desired: &State) {
        let way = &mut self.books[index].way;
        let (uplink, fact) = (&self.config.uplinks[index], &self.facts.uplinks[index]);
        if !(uplink.enabled && fact.carrier && fact.has_address[Family::V4]) {
            // One that was given up is still lost when the link is back, until the way is there.
            if way.refused.is_none() {
                *way = Way::default();
            }
            return;
        }
        let keys = render::way_of(&self.config, &self.facts, index);
        let is_there =
            |key: &Key| desired.get(key).is_some_and(|value| is_met(key, value, &self.observed));
        let line = &mut self.lines[index];
        way.missing = keys.into_iter().find(|key| !is_there(key));
        let Some(key) = &way.missing else {
            self.lines_dirty[index] |= way.refused.is_some();
            *way = Way::default();
            line.start(now);
            return;
        };
        let trouble = self.engine.trouble_with(key);
        if line.is_running() || trouble.is_some() || way.lost.is_some() {
            let lost = *way.lost.get_or_insert(now);
            line.halt();
            if now.since(lost) >= GRACE {
                line.lose_way();
                let why = trouble.unwrap_or_else(|| "it is missing".into());
                way.refused = Some(format!("{key}: {why}"));
                self.lines_dirty[index] = true;
            }
        }
    }

    /// An uplink waits for its way, and now it is known that it does not come.
    pub(super) fn is_way_in_trouble(&self) -> bool {
        let is_new = |way: &Way| {
            let missing = way.missing.as_ref().filter(|_| way.lost.is_none());
            missing.is_some_and(|key| self.engine.trouble_with(key).is_some())
        };
        self.books.iter().any(|book| is_new(&book.way))
    }

    /// When the next lost way is given up.
    pub(super) fn way_deadline(&self) -> Option<Instant> {
        let open = self.books.iter().map(|book| &book.way).filter(|way| way.refused.is_none());
        open.filter_map(|way| way.lost).map(|at| at + GRACE).min()
    }
}
