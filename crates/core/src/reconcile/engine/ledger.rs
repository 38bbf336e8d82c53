//! What the engine remembers: one record for each object.
//!
//! Promises: all that is known of an object stands in its record, and goes with it.

use super::fight::end;
use super::{FIRST_RETRY, LAST_RETRY};
use crate::net::IfName;
use crate::state::{Key, OpError, Resource, goes_with};
use crate::time::Instant;
use alloc::collections::btree_map::{BTreeMap, Iter, IterMut};
use alloc::collections::{BTreeSet, VecDeque};
use alloc::string::String;
use alloc::vec::Vec;
use core::cell::Cell;

/// The records.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    records: BTreeMap<Key, Entry>,
    /// Asked for at each wake-up, and another one only after a record was changed.
    due: Cell<Option<Due>>,
}

/// When the first record is due, if one is.
#[derive(Copy, Clone, Debug)]
struct Due(Option<Instant>);

/// The record of one object.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Entry {
    /// The value that was in place once; a difference from it that we did not want is drift.
    pub(super) in_place: Option<Resource>,
    /// What was applied last, and has not been seen in place yet.
    pub(super) pending: Option<Pending>,
    /// The kernel refused it.
    pub(super) failure: Option<Failure>,
    /// Somebody else's stands in its place: what, in words.
    pub(super) conflict: Option<String>,
    /// Somebody else changes it.
    pub(super) fight: Fight,
    /// Left for later in the last pass, because a transaction runs, the disk has not answered, or other
    /// steps come first.
    pub(super) is_waiting: bool,
}

/// A wish that was applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Pending {
    /// The value; `None`: it was deleted.
    pub(super) wish: Option<Resource>,
    /// How often the kernel took it.
    pub(super) tries: u32,
}

/// A refusal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Failure {
    pub(super) error: OpError,
    /// The kernel took it, and it did not stick: no change of the surroundings mends that, and what it
    /// brought about for a moment may be such a change itself.
    pub(super) is_lie: bool,
    attempts: u32,
    pub(super) next_try: Instant,
}

/// Repairs of what somebody else changed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Fight {
    /// When repairs began, the last ones.
    pub(super) repairs: VecDeque<Instant>,
    /// The one under way, and since when.
    pub(super) repairing: Option<Instant>,
    /// It is contested; from then on it may be repaired again.
    pub(super) turn: Option<Instant>,
    /// Contested, and left for later in the last pass.
    pub(super) is_held_back: bool,
}

impl Ledger {
    /// The record of an object, if there is one.
    pub(super) fn get(&self, key: &Key) -> Option<&Entry> {
        self.records.get(key)
    }

    /// The same, to change it.
    pub(super) fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        self.records_mut().get_mut(key)
    }

    /// The record of an object; a new one if there is none.
    pub(super) fn of(&mut self, key: &Key) -> &mut Entry {
        self.records_mut().entry(key.clone()).or_default()
    }

    pub(super) fn iter(&self) -> Iter<'_, Key, Entry> {
        self.records.iter()
    }

    pub(super) fn iter_mut(&mut self) -> IterMut<'_, Key, Entry> {
        self.records_mut().iter_mut()
    }

    /// True if one of the records is so.
    pub(super) fn any(&self, is_so: impl Fn(&Entry) -> bool) -> bool {
        self.records.values().any(is_so)
    }

    /// The kernel refused it.
    pub(super) fn has_failed(&self, key: &Key) -> bool {
        self.get(key).is_some_and(|entry| entry.failure.is_some())
    }

    /// A new pass: only what differs can have failed, or wait to be verified. What was deleted and is
    /// gone has been verified by that.
    pub(super) fn begin_pass(&mut self, differs: &BTreeSet<&Key>) {
        self.records_mut().retain(|key, entry| {
            if !differs.contains(key) {
                (entry.failure, entry.pending) = (None, None);
            }
            entry.fight.is_held_back = false;
            *entry != Entry::default()
        });
    }

    /// What was in place went with its interface, and is no drift.
    pub(super) fn interface_changed(&mut self, ifname: IfName) {
        for (key, entry) in self.records_mut() {
            if entry.in_place.as_ref().is_some_and(|value| goes_with(key, value, ifname)) {
                entry.in_place = None;
                // The loss may have been seen before its cause.
                if entry.fight.repairing.take().is_some() {
                    entry.fight.repairs.pop_back();
                }
            }
        }
    }

    /// All that are contested.
    pub(super) fn contested(&self) -> Vec<Key> {
        let contested = self.records.iter().filter(|(_, entry)| entry.fight.turn.is_some());
        contested.map(|(key, _)| key.clone()).collect()
    }

    /// When a failed or contested object is due, or a fight is over.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let look = || {
            let ends = self.records.values().filter_map(|entry| entry.fight.turn).map(end);
            Due(self.records.values().filter_map(Entry::deadline).chain(ends).min())
        };
        let due = self.due.get().unwrap_or_else(look);
        self.due.set(Some(due));
        due.0
    }

    fn records_mut(&mut self) -> &mut BTreeMap<Key, Entry> {
        self.due.set(None);
        &mut self.records
    }
}

impl Entry {
    /// True if it is there as it is to be, as far as we know.
    pub(super) fn is_good(&self, value: &Resource) -> bool {
        let is_free = self.failure.is_none() && !self.is_waiting;
        self.in_place.as_ref() == Some(value) && is_free && self.fight.repairing.is_none()
    }

    /// The kernel took this wish twice, and still it is not there.
    pub(super) fn is_lie(&self, wish: Option<&Resource>) -> bool {
        let pending = self.pending.as_ref();
        pending.is_some_and(|pending| pending.tries >= 2 && pending.wish.as_ref() == wish)
    }

    /// A step for this wish begins. Each wish has its own tries.
    pub(super) fn apply(&mut self, wish: Option<&Resource>) {
        // Our own change to another value: what was in place before is so no more.
        if self.in_place.as_ref() != wish {
            self.in_place = None;
        }
        if self.pending.as_ref().is_none_or(|pending| pending.wish.as_ref() != wish) {
            self.pending = Some(Pending { wish: wish.cloned(), tries: 0 });
        }
    }

    /// The kernel took it.
    pub(super) fn succeed(&mut self, now: Instant) {
        if let Some(pending) = &mut self.pending {
            pending.tries += 1;
        }
        if let Some(failure) = &mut self.failure {
            failure.next_try = now;
        }
    }

    /// The kernel refused it: how long to wait in ms, if the reason is new.
    pub(super) fn fail(&mut self, now: Instant, error: OpError) -> Option<u64> {
        let attempts = self.failure.as_ref().map_or(0, |failure| failure.attempts);
        let wait = (FIRST_RETRY * 2_u32.saturating_pow(attempts.min(12))).min(LAST_RETRY);
        let is_known = self.failure.as_ref().is_some_and(|failure| failure.error == error);
        let next_try = now + wait;
        self.failure = Some(Failure { error, is_lie: false, attempts: attempts + 1, next_try });
        (!is_known).then(|| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX))
    }

    /// What failed may work now; what did not stick only if `lies` may, too.
    pub(super) fn retry_now(&mut self, now: Instant, lies: bool) {
        if let Some(failure) = self.failure.as_mut().filter(|failure| lies || !failure.is_lie) {
            failure.next_try = failure.next_try.min(now);
            failure.attempts = 0;
        }
    }

    /// When it is due, if it is to be tried or repaired again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.is_waiting {
            return None;
        }
        let Fight { repairing, turn, is_held_back, .. } = &self.fight;
        match &self.failure {
            // What fails waits for its next try, and if it was held back then, for its turn as well.
            Some(failure) => {
                let turn = turn.filter(|_| *is_held_back).unwrap_or_default();
                Some(failure.next_try.max(turn))
            }
            None => turn.filter(|_| repairing.is_some() || *is_held_back),
        }
    }
}
