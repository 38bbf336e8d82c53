//! The end: everything of ours is taken away, and what we changed is what it was before.

use super::{Life, Reconciler, Wants};
use crate::desk::Desk;
use crate::io::Output;
use crate::notice::ReconcileNews;
use crate::state::{Key, Resource};
use alloc::vec::Vec;

impl Reconciler {
    /// From now on nothing is wanted any more.
    pub(crate) fn withdraw(&mut self) {
        self.life = Life::Withdrawing;
        self.rendered = None;
        self.dirty = true;
    }

    /// The state is being taken away, or is gone.
    pub(crate) const fn is_withdrawing(&self) -> bool {
        !matches!(self.life, Life::Kept)
    }

    /// Nothing is left to do.
    pub(crate) const fn is_withdrawn(&self) -> bool {
        matches!(self.life, Life::Withdrawn)
    }

    /// Ends the withdrawal once everything is gone or back.
    pub(crate) fn finish_withdrawal(
        &mut self,
        wants: &Wants<'_>,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) {
        let desired = self.desired(wants, &desk.saved);
        let is_there = |(key, value): (&Key, &Resource)| self.engine.is_in_place(key, value);
        let waits = |path: &str| self.observed.setting(path).is_some();
        let restored = desired.iter().all(|(key, value)| match key {
            Key::Sysctl(path) if !waits(path) => true,
            _ => is_there((key, value)),
        });
        if self.is_withdrawn() || self.dirty || !self.engine.is_in_sync() || !restored {
            return;
        }
        let saved = &mut desk.saved;
        for ifname in core::mem::take(&mut saved.links_up) {
            out.push(Output::LinkDown(ifname));
        }
        saved.sysctls.clear();
        saved.addresses.clear();
        saved.routes.clear();
        saved.links_seen.clear();
        saved.verdicts.clear();
        saved.learnt.clear();
        saved.active.clear();
        saved.replaced.clear();
        saved.left.clear();
        desk.save(true, out);
        out.push(Output::tell(ReconcileNews::Withdrawn));
        out.push(Output::Done);
        self.life = Life::Withdrawn;
    }
}
