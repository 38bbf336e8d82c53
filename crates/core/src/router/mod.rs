//! The router: a switchboard. It owns the machines, hands each what happened, and lets them decide
//! one after the other.
//!
//! `handle` only takes note of what happened; every decision falls in `wake`, which
//! the loop calls after it has drained all inputs. So a loop that was late never
//! takes its own sleep for a dead peer.

pub(crate) mod news;
mod observe;
mod overrides;
mod pass;
mod reload;
mod report;
mod start;
mod system;

use crate::child::Children;
use crate::coexist::Findings;
use crate::config::Config;
use crate::desk::Desk;
use crate::facts::SystemFacts;
use crate::io::{ChildId, Input, NOBODY, Output};
use crate::names::Names;
use crate::net::UplinkId;
use crate::notice::{CoexistNews, PurgeNews};
use crate::notifier::Notifier;
use crate::purge::Purger;
use crate::random::Secret;
use crate::reconcile::Reconciler;
use crate::service::Services;
use crate::state::OpError;
use crate::status::Conflict;
use crate::time::Instant;
use crate::uplink::{Context, Uplinks};
use alloc::format;
use alloc::vec::Vec;

/// One router.
#[derive(Clone, Debug)]
pub struct Router {
    /// As the file says.
    file: Config,
    /// As it is meant now: with what was said of uplinks by command, and the names of interfaces here.
    config: Config,
    secret: Secret,
    desk: Desk,
    uplinks: Uplinks,
    system: SystemFacts,
    kernel: Reconciler,
    purge: Purger,
    names: Names,
    /// What was last found of other software.
    coexist: Findings,
    children: Children,
    services: Services,
    notifier: Notifier,
}

impl Router {
    /// Takes note of something that happened.
    pub fn handle(&mut self, now: Instant, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Packet { port, from, age, bytes } => {
                let Self { uplinks, config, desk, .. } = self;
                uplinks.take_packet((now, age), (port, from, &bytes), config, (desk, out));
            }
            Input::Answered(id, outcome) => {
                let Self { uplinks, config, desk, .. } = self;
                uplinks.take_answer(now, (id, outcome), config, (desk, out));
            }
            Input::Child(id, event) => {
                let lived = self.children.take(now, id, &event, out);
                match id {
                    ChildId::Services => self.services.take(now, &event, lived),
                    ChildId::Notifier => self.notifier.take(now, &event, lived),
                    ChildId::Ppp(uplink) => self.uplinks.take_child(uplink, event),
                }
            }
            Input::Unanswered(device, found) => {
                self.uplinks.take_unanswered(device, found, &self.config);
            }
            Input::Changed(scope) => self.kernel.take_change(now, scope, out),
            Input::Observed(scope, observed) => self.take_observation(now, scope, *observed, out),
            Input::Applied(key, result) => self.kernel.take_applied(now, &key, result, out),
            Input::Purged { uplink: NOBODY, result } => {
                self.purge.take_strays(now, result, &mut self.desk, out);
            }
            Input::Purged { uplink, result } => self.take_purged(now, uplink, result, out),
            Input::Saved(count) => self.kernel.take_saved(count),
            Input::Surveyed(findings) => self.take_findings(*findings, out),
            Input::Reload(config) => self.reload(now, *config, out),
            Input::Override(uplink, wanted) => self.take_override(now, &uplink, wanted, out),
            Input::Withdraw => {
                self.kernel.withdraw();
                self.uplinks.withdraw(now, out);
                self.purge.withdraw();
                self.children.declare(Vec::new(), out);
            }
        }
    }

    /// Does what is due: probes, verdicts, decisions, one pass of the engine.
    pub fn wake(&mut self, now: Instant, out: &mut Vec<Output>) {
        if !self.kernel.knows() || self.kernel.is_withdrawn() {
            return;
        }
        if !self.kernel.is_withdrawing() {
            self.end_overrides(now, out);
            let due = [self.uplinks.way_deadline(), self.kernel.copies_deadline()];
            let is_due = due.into_iter().flatten().any(|at| at <= now);
            if core::mem::take(&mut self.uplinks.links_due) || is_due {
                self.refresh_links(now, out);
            }
            let (uplinks, mut context) = self.uplinks(now, out);
            let has_dialled = uplinks.dial(&mut context);
            uplinks.lease(&mut context);
            uplinks.probe(&mut context);
            uplinks.judge(&mut context);
            uplinks.decide(&mut context);
            uplinks.call(&mut context);
            if has_dialled {
                self.children.touch();
            }
            self.declare_children(now, out);
        }
        self.reconcile(now, out);
        self.after_pass(now, out);
        self.poll(now, out);
        self.desk.save_if_due(out);
    }

    /// When something is due; [`Instant::ZERO`] when it is due already.
    pub fn deadline(&self) -> Option<Instant> {
        if !self.kernel.knows() || self.kernel.is_withdrawn() {
            return None;
        }
        // Nothing is decided any more while the state is taken away.
        let decides = !self.kernel.is_withdrawing();
        if decides && self.uplinks.are_due() {
            return Some(Instant::ZERO);
        }
        let deciding = [
            self.uplinks.way_deadline(),
            self.kernel.copies_deadline(),
            self.purge.return_deadline(),
            self.override_deadline(),
            self.services.deadline(),
            Some(Instant::ZERO).filter(|_| self.children.is_due()),
            self.notifier.deadline(),
        ];
        let deciding = deciding.into_iter().flatten().filter(|_| decides);
        let always = self.uplinks.deadline().into_iter().chain(self.kernel.deadline());
        always.chain(self.purge.deadline()).chain(deciding).min()
    }

    /// The uplinks, and what they work with.
    fn uplinks<'a>(
        &'a mut self,
        now: Instant,
        out: &'a mut Vec<Output>,
    ) -> (&'a mut Uplinks, Context<'a>) {
        let Self { file, config, desk, uplinks, system, kernel, purge, .. } = self;
        (uplinks, Context { now, file, config, system, kernel, purge, desk, out })
    }

    /// Asks each owner which child is to run.
    fn declare_children(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.notifier.is_due(now) || self.services.is_due(now) {
            self.children.touch();
        }
        if self.children.is_due() {
            let services = self.services.child(&self.config);
            let notifier = self.notifier.child(now, &self.config);
            let wanted = services.into_iter().chain(notifier);
            let wanted = wanted.chain(self.uplinks.children(&self.config));
            self.children.declare(wanted.collect(), out);
        }
    }

    fn poll(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.kernel.is_verified() && !self.kernel.is_withdrawing() {
            self.purge.delete_strays(now, &self.config, out);
        }
        self.kernel.poll(now, out);
    }

    /// Connections of an uplink were deleted, or not.
    fn take_purged(
        &mut self,
        now: Instant,
        id: UplinkId,
        result: Result<u32, OpError>,
        out: &mut Vec<Output>,
    ) {
        let connections = self.purge.take_answer(now, id, result, &mut self.desk, out);
        let pairs = self.uplinks.iter_mut().zip(&self.config.uplinks);
        let found = pairs.into_iter().find(|(uplink, _)| uplink.facts.id == id);
        if let Some((uplink, own)) = found.filter(|_| connections > 0) {
            uplink.note(now, format!("deleted {connections} connections"));
            let uplink = own.name.clone();
            out.push(Output::tell(PurgeNews::Purged { uplink, connections }));
        }
    }

    /// Tells what is new among the conflicts, and what is over.
    fn take_findings(&mut self, findings: Findings, out: &mut Vec<Output>) {
        let old = core::mem::replace(&mut self.coexist, findings);
        let new = &self.coexist.conflicts;
        let reported = |gone| move |c: &Conflict| Output::tell(CoexistNews::conflict(c, gone));
        out.extend(new.iter().filter(|c| !old.conflicts.contains(c)).map(reported(false)));
        out.extend(old.conflicts.iter().filter(|c| !new.contains(c)).map(reported(true)));
    }

    /// True once what protects was read back and found good.
    pub const fn is_verified(&self) -> bool {
        self.kernel.is_verified()
    }
}

#[cfg(test)]
mod tests;
