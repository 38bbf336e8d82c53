//! A reading of the kernel: completed, taken over, and handed to all whom it concerns.

use super::Router;
use crate::io::Output;
use crate::names::{Sight, follow_renamed};
use crate::notice::ReconcileNews;
use crate::reconcile::tuned;
use crate::state::{Observed, Scope};
use crate::time::Instant;
use alloc::sync::Arc;
use alloc::vec::Vec;

impl Router {
    pub(super) fn take_observation(
        &mut self,
        now: Instant,
        scope: Scope,
        mut observed: Observed,
        out: &mut Vec<Output>,
    ) {
        self.desk.counters.observations += 1;
        if scope.has(Scope::LINKS) {
            follow_renamed(&observed, &self.config, &mut self.kernel, &mut self.desk);
        }
        self.kernel.complete(scope, &mut observed, out);
        if scope.has(Scope::RULES) {
            self.kernel.note_deleted_copies(now, &self.system.copies, &observed, out);
        }
        let changed = self.kernel.merge(scope, observed);
        if scope.has(Scope::LINKS) {
            self.take_names(now, out);
        }
        if scope.has(Scope::LINKS) || scope.has(Scope::QUEUES) {
            self.refresh_queues(out);
        }
        let is_first = self.kernel.begin_to_know();
        if is_first {
            let (saved, observed) = (&self.desk.saved, &self.kernel.observed);
            self.uplinks.adopt_newcomers(&self.config, saved, observed);
            self.purge_forgotten();
        }
        if changed || is_first {
            self.kernel.touch();
        }
        let ways = [Scope::LINKS, Scope::ADDRESSES, Scope::ROUTES, Scope::RULES, Scope::MAIN];
        self.uplinks.links_due |= ways.iter().any(|kind| scope.has(*kind));
        if scope.has(Scope::NEIGHBOURS)
            && self.uplinks.refresh_neighbours(&self.config, &self.kernel.observed)
        {
            self.kernel.touch();
        }
        if is_first && self.kernel.is_guarded() {
            out.push(Output::tell(ReconcileNews::Guard { closed: true }));
        }
    }

    /// Looks at the ports that there are now, and finds what their queues are to have.
    fn refresh_queues(&mut self, out: &mut Vec<Output>) {
        if self.kernel.is_withdrawing() {
            return;
        }
        if !self.kernel.watches_ports(&self.config, &self.desk.saved) {
            self.refresh_watch(out);
        }
        let observed = &self.kernel.observed;
        let masks = observed.queues.masks(tuned(&self.config, &observed.links));
        if *self.system.masks != masks {
            self.system.masks = Arc::new(masks);
            self.kernel.touch();
        }
    }

    /// Takes the names that the interfaces have now.
    fn take_names(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.kernel.is_withdrawing() {
            return;
        }
        let Self { names, config, kernel, desk, .. } = self;
        let sight = Sight { config, observed: &kernel.observed, saved: &desk.saved };
        if let Some(names) = names.look(sight, out) {
            let config = self.config.clone().with_names(&names);
            self.load_config(now, config, out);
        }
        self.names.note_devices(&self.config, &self.kernel.observed, &mut self.desk);
        self.note_unnamed(out);
    }
}
