//! Somebody else changes an object of ours again and again: it is contested, and repaired more slowly, until
//! nobody has changed it for a while. Then that is over, and told as its begin was.

use super::{Engine, FIGHT_PACE, FIGHT_REPAIRS, FIGHT_WINDOW};
use crate::notice::Notice;
use crate::state::{Key, Plan};
use crate::time::Instant;
use alloc::string::ToString;
use alloc::vec::Vec;

impl Engine {
    /// Decides whether drift of an object is repaired now.
    pub(super) fn may_repair(&mut self, now: Instant, key: &Key, news: &mut Vec<Notice>) -> bool {
        if self.contested.get(key).is_some_and(|next| *next > now) {
            return false;
        }
        let repairs = self.repairs.entry(key.clone()).or_default();
        while repairs.front().is_some_and(|at| now.since(*at) > FIGHT_WINDOW) {
            repairs.pop_front();
        }
        let is_new_round = !self.repairing.contains_key(key);
        if is_new_round {
            repairs.push_back(now);
        }
        let count = repairs.len();
        if count > FIGHT_REPAIRS {
            if self.contested.insert(key.clone(), now + FIGHT_PACE).is_none() {
                let repairs = u32::try_from(count).unwrap_or(u32::MAX);
                news.push(Notice::Contested { object: key.to_string(), repairs });
            }
        } else {
            self.contested.remove(key);
        }
        self.repairing.entry(key.clone()).or_insert(now);
        true
    }

    /// Forgets the fights that are over. One whose object is still not as wanted goes on.
    pub(super) fn end_fights(&mut self, now: Instant, plan: &Plan) {
        self.contested.retain(|key, next| {
            let differs = plan.iter().any(|step| step.key == *key);
            if end(*next) <= now && differs {
                *next = now;
            }
            end(*next) > now
        });
    }

    /// Tells of those among these fights that are over, for whatever reason.
    pub(super) fn tell_ends(&self, fought: Vec<Key>, news: &mut Vec<Notice>) {
        let over = fought.into_iter().filter(|key| !self.contested.contains_key(key));
        news.extend(over.map(|key| Notice::Uncontested { object: key.to_string() }));
    }

    /// When the first fight is over, if nobody goes on with it.
    pub(super) fn next_end(&self) -> Option<Instant> {
        self.contested.values().copied().map(end).min()
    }
}

/// The last repair is so long ago that another one would begin a new series.
fn end(next: Instant) -> Instant {
    next + (FIGHT_WINDOW - FIGHT_PACE)
}
