//! One pass towards what is wanted, and what follows when the kernel has it: the end of the boot
//! guard, news of the switch, and the removal of connections.

use super::Router;
use crate::io::Output;
use crate::reconcile::Wants;
use crate::state::Key;
use crate::time::Instant;
use alloc::vec::Vec;

impl Router {
    /// One pass of the engine, if something changed or is due.
    pub(super) fn reconcile(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.kernel.is_pass_due(now) {
            return;
        }
        let Self { config, desk, uplinks, system, kernel, .. } = self;
        kernel.begin_pass();
        let wants = Wants { config, facts: &|| uplinks.facts(system) };
        let desired = kernel.desired(&wants, &desk.saved);
        kernel.watch_tables(&desired, &wants, &desk.saved, out);
        kernel.note_originals(&desired, desk, out);
        let plan = kernel.plan(now, &desired, out);
        kernel.note_foreign(config, &desired, out);
        let is_news = uplinks.is_way_in_trouble(kernel) || uplinks.is_link_news(config, kernel);
        let is_news = is_news && !kernel.is_withdrawing();
        kernel.note_routes(desk);
        kernel.perform(plan, out);
        uplinks.links_due |= is_news;
    }

    /// Once routes and buckets are verified: tells of the switch, deletes what can move, sweeps later.
    pub(super) fn after_pass(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Self { config, desk, uplinks, system, kernel, purge, .. } = self;
        let facts = || uplinks.facts(system);
        let wants = Wants { config, facts: &facts };
        if kernel.is_withdrawing() {
            kernel.finish_withdrawal(&wants, desk, out);
            return;
        }
        kernel.verify(&wants, &desk.saved, out);
        kernel.forget_given_back(&wants, desk, out);
        let makes = |key: &Key| matches!(key, Key::Firewall | Key::Buckets);
        if !purge.unasked(&desk.saved.stale).is_empty()
            && kernel.is_at_rest()
            && kernel.are_in_place(&wants, &desk.saved, makes)
        {
            let facts = uplinks.facts_of_each();
            purge.delete_stale((config, &kernel.observed), facts, &desk.saved.stale, out);
        }
        purge.ask_again(now, uplinks.carriers(), &desk.saved.stale, out);
        kernel.forget_old_tables(&wants, desk, out);
        purge.wake(now, uplinks.carriers());
        let waits = uplinks.switching.is_some() || purge.waits();
        if !waits || !kernel.is_quiet() || !kernel.is_balance_in_place(&wants, &desk.saved) {
            return;
        }
        let is_moved = kernel.engine.has_moved() || !kernel.engine.has_left();
        uplinks.tell_switched(is_moved, now, config, out);
        purge.delete_movable(now, uplinks.carriers(), out);
        let facts = uplinks.facts_of_each();
        purge.delete_left((config, &kernel.observed), facts, uplinks.carriers(), out);
    }
}
