//! Somebody else changes an object of ours again and again: it is contested, and repaired more slowly, until
//! nobody has changed it for a while. Then that is over, and reported as its begin was.

use super::{Engine, FIGHT_PACE, FIGHT_REPAIRS, FIGHT_WINDOW};
use crate::notice::{Notice, ReconcileNews};
use crate::state::{Key, Plan};
use crate::time::Instant;
use alloc::string::ToString;
use alloc::vec::Vec;

impl Engine {
    /// Decides whether drift of an object is repaired now.
    pub(super) fn may_repair(&mut self, now: Instant, key: &Key, news: &mut Vec<Notice>) -> bool {
        let fight = &mut self.ledger.of(key).fight;
        if fight.turn.is_some_and(|turn| turn > now) {
            return false;
        }
        while fight.repairs.front().is_some_and(|at| now.since(*at) > FIGHT_WINDOW) {
            fight.repairs.pop_front();
        }
        if fight.repairing.is_none() {
            fight.repairs.push_back(now);
        }
        let count = fight.repairs.len();
        let is_contested = count > FIGHT_REPAIRS;
        let was = core::mem::replace(&mut fight.turn, is_contested.then(|| now + FIGHT_PACE));
        if is_contested && was.is_none() {
            let repairs = u32::try_from(count).unwrap_or(u32::MAX);
            news.push(ReconcileNews::Contested { object: key.to_string(), repairs }.into());
        }
        fight.repairing.get_or_insert(now);
        true
    }

    /// Forgets the fights that are over. One whose object is still not as wanted goes on.
    pub(super) fn end_fights(&mut self, now: Instant, plan: &Plan) {
        for (key, entry) in self.ledger.iter_mut() {
            let Some(turn) = entry.fight.turn.filter(|turn| end(*turn) <= now) else { continue };
            let differs = plan.iter().any(|step| step.key == *key);
            entry.fight.turn =
                Some(if differs { now } else { turn }).filter(|turn| end(*turn) > now);
        }
    }

    /// Tells of those among these fights that are over, for whatever reason.
    pub(super) fn tell_ends(&self, fought: Vec<Key>, news: &mut Vec<Notice>) {
        let goes_on =
            |key: &Key| self.ledger.get(key).is_some_and(|entry| entry.fight.turn.is_some());
        let over = fought.into_iter().filter(|key| !goes_on(key));
        news.extend(over.map(|key| ReconcileNews::Uncontested { object: key.to_string() }.into()));
    }
}

/// The last repair is so long ago that another one would begin a new series.
pub(super) fn end(next: Instant) -> Instant {
    next + (FIGHT_WINDOW - FIGHT_PACE)
}
