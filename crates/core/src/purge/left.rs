//! Connections of an uplink that was left for a better one (`on_failback`).
//!
//! The uplink is well, and what it carries works: so neither its death nor its return changes anything
//! here, only that it carries again. What can move is deleted at its time, once the new state was read back
//! and another uplink carries; and once more a little later, for what began before the rules were there.

use super::stale::Deletion;
use super::{Carrier, Pass, Purger, SWEEP_AFTER, movable};
use crate::config::{Config, OnFailback};
use crate::desk::Desk;
use crate::facts::UplinkFacts;
use crate::io::{Output, Purge, Which};
use crate::net::UplinkId;
use crate::state::Observed;
use crate::time::Instant;
use alloc::vec::Vec;

/// What is to be deleted of an uplink that was left, and when.
#[derive(Copy, Clone, Debug)]
pub(super) struct Left {
    /// `None`: now.
    at: Option<Instant>,
    which: Which,
    pass: Pass,
}

impl Purger {
    /// An uplink was left at this moment for a better one.
    pub(crate) fn leave(&mut self, id: UplinkId, since: Instant, wanted: OnFailback) {
        let Some(after) = wanted.after() else { return };
        let which = match wanted {
            OnFailback::CutUdp => Which::MovableUdp,
            OnFailback::Keep | OnFailback::Drain(_) | OnFailback::Cut => Which::Movable,
        };
        self.left.insert(id, Left { at: Some(since + after), which, pass: Pass::First });
    }

    /// It carries again, or is to keep its connections: they stay.
    pub(crate) fn stay(&mut self, id: UplinkId, out: &mut Vec<Output>) {
        self.left.remove(&id);
        let is_it = |deletion: &Deletion| deletion.purge.uplink == id && deletion.is_left();
        self.refused.retain(|(_, refused)| !is_it(refused));
        if self.asked.iter().any(is_it) {
            out.push(Output::CancelPurge(id));
        }
    }

    /// The uplinks whose connections wait for their time.
    pub(crate) fn left(&self) -> Vec<UplinkId> {
        self.left.keys().copied().collect()
    }

    /// Something of them is due.
    pub(super) fn is_left_due(&self) -> bool {
        self.left.values().any(|left| left.at.is_none())
    }

    /// Takes up what waited for its time.
    pub(super) fn wake_left(&mut self, now: Instant) {
        for left in self.left.values_mut() {
            left.at = left.at.filter(|at| *at > now);
        }
    }

    /// When something of them is due.
    pub(super) fn left_deadline(&self) -> impl Iterator<Item = Instant> {
        self.left.values().filter_map(|left| left.at)
    }

    /// The new state is verified: asks for the deletion of what is due.
    pub(crate) fn delete_left<'a>(
        &mut self,
        (config, observed): (&'a Config, &Observed),
        facts: impl Iterator<Item = &'a UplinkFacts> + Clone,
        mut carriers: impl Iterator<Item = Carrier<'a>> + Clone,
        out: &mut Vec<Output>,
    ) {
        let asked = || self.asked.iter().chain(self.refused.iter().map(|(_, refused)| refused));
        let is_asked = |id| asked().any(|d| d.purge.uplink == id && d.is_left());
        let due = self.left.iter().filter(|(id, left)| left.at.is_none() && !is_asked(**id));
        let due: Vec<(UplinkId, Left)> = due.map(|(id, left)| (*id, *left)).collect();
        // One that was left does not carry.
        if due.is_empty() || !carriers.any(|carrier| carrier.carries_since(Instant::ZERO)) {
            return;
        }
        for (id, Left { which, pass, .. }) in due {
            let purge = Purge { which, ..movable(config, facts.clone(), observed, id) };
            self.ask_for(Deletion::left(purge, pass), out);
        }
    }

    /// What was asked for is done.
    pub(super) fn note_left(&mut self, now: Instant, id: UplinkId, pass: Pass, desk: &mut Desk) {
        match (self.left.get_mut(&id), pass) {
            (Some(left), Pass::First) => {
                (left.at, left.pass) = (Some(now + SWEEP_AFTER), Pass::Sweep);
            }
            (Some(_), Pass::Sweep) => {
                self.left.remove(&id);
                desk.saved.left.remove(&id);
                desk.save_soon();
            }
            (None, _) => {}
        }
    }
}
