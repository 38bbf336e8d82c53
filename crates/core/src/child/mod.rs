//! The supervised children as a whole: the list that is declared, and what people see of each.
//!
//! Owners decide which child is to run, and wait between attempts ([`Backoff`]); what they want is
//! gathered here. Promises: a list goes out only when it differs from the last, the first one always; a
//! child in a loop of crashes makes two log lines a minute at most, and fewer as time goes on: two an hour.

mod backoff;
mod life;
pub(crate) mod news;
#[cfg(test)]
mod tests;

pub use backoff::Backoff;

use crate::io::{Child, ChildEvent, ChildId, Output};
use crate::status::ChildStatus;
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use life::Life;

/// All children.
#[derive(Clone, Debug, Default)]
pub(crate) struct Children {
    lives: BTreeMap<ChildId, Life>,
    /// `None` until the first list: what an earlier daemon left is kept until then.
    declared: Option<Vec<Child>>,
    is_current: bool,
}

impl Children {
    /// Owners may want something else now.
    pub(crate) const fn touch(&mut self) {
        self.is_current = false;
    }

    /// Owners are to be asked.
    pub(crate) const fn is_due(&self) -> bool {
        !self.is_current
    }

    /// Exactly these are to run from now on.
    pub(crate) fn declare(&mut self, mut wanted: Vec<Child>, out: &mut Vec<Output>) {
        self.is_current = true;
        for child in &mut wanted {
            child.run = self.lives.get(&child.id).map_or(0, |life| life.run);
        }
        if self.declared.as_ref() != Some(&wanted) {
            for child in &wanted {
                let Some(life) = self.lives.get_mut(&child.id) else { continue };
                let is_other = |before: &Child| before.id == child.id && !before.is_same(child);
                // Whether these files are taken is said anew.
                if self.declared.iter().flatten().any(is_other) {
                    life.ask_again();
                }
                if !child.is_resolver {
                    life.hindered = None;
                }
            }
            self.declared = Some(wanted.clone());
            out.push(Output::Children(wanted));
        }
    }

    /// Takes note of what happened to one; for how long it had run until now.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        id: ChildId,
        event: &ChildEvent,
        out: &mut Vec<Output>,
    ) -> Duration {
        let life = self.lives.entry(id).or_default();
        let age = life.age(now);
        life.take(now, &id.name(), event, out);
        if !matches!(event, ChildEvent::Said { .. }) {
            self.touch();
        }
        age
    }

    /// What people see. `has_owner`: somebody will want it again, though he waits for the moment.
    pub(crate) fn status(
        &self,
        now: Instant,
        has_owner: impl Fn(ChildId) -> bool,
    ) -> Vec<ChildStatus> {
        let is_wanted = |id: ChildId| self.declared.iter().flatten().any(|child| child.id == id);
        let is_seen = |id: ChildId, life: &Life| {
            is_wanted(id) || life.is_running() || !life.is_over() && has_owner(id)
        };
        let lives = self.lives.iter().filter(|(id, life)| is_seen(**id, life));
        lives.map(|(id, life)| life.status(now, id.name(), is_wanted(*id))).collect()
    }
}
