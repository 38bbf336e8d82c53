//! The beginning of a router, and what it would do.

use super::Router;
use crate::child::Children;
use crate::coexist::Findings;
use crate::config::{Config, effective};
use crate::desk::Desk;
use crate::facts::{PerFamily, SystemFacts};
use crate::io::Output;
use crate::names::Names;
use crate::notice::RouterNews;
use crate::notifier::Notifier;
use crate::purge::Purger;
use crate::random::Secret;
use crate::reconcile::Reconciler;
use crate::saved::Saved;
use crate::state::{Key, Op, Plan, Rank, Step};
use crate::time::Instant;
use crate::uplink::{Uplinks, prepare};
use alloc::string::String;
use alloc::vec::Vec;

impl Router {
    /// A router that knows nothing of the kernel yet. `seed` is secret; `boot_id` tells whether
    /// the verdicts in `saved` still count.
    pub fn new(config: Config, saved: Saved, boot_id: String, seed: [u8; 16]) -> Self {
        let file = config;
        let saved = prepare(saved, boot_id, &file);
        Self {
            config: effective(&file, &saved.overrides),
            file,
            secret: Secret::new(seed),
            kernel: Reconciler::new(&saved),
            desk: Desk::new(saved),
            uplinks: Uplinks::default(),
            system: SystemFacts::default(),
            purge: Purger::default(),
            names: Names::default(),
            coexist: Findings::default(),
            children: Children::default(),
            notifier: Notifier::default(),
        }
    }

    /// Begins: asks for the whole kernel state.
    pub fn start(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.desk.started = now;
        self.desk.saved.generation = self.desk.saved.generation.saturating_add(1);
        let adopted = !self.desk.saved.verdicts.is_empty();
        self.uplinks.adopt(now, &self.config, &self.desk.saved, &self.secret);
        let router = self.config.router.name.clone();
        out.push(Output::tell(RouterNews::Started { router, adopted }));
        self.refresh_watch(out);
        self.kernel.read_all(now, out);
        self.desk.save(true, out);
    }

    /// The steps that a first pass would take; for `rail plan`. Needs one full observation. What comes with
    /// a link of ours is planned as if that were there.
    pub fn preview(&mut self, now: Instant) -> Plan {
        self.uplinks.adopt_newcomers(&self.config, &self.desk.saved, &self.kernel.observed);
        self.refresh_links(now, &mut Vec::new());
        let made = self.preview_links(now);
        let mut ignored = Vec::new();
        self.refresh_links(now, &mut ignored);
        let (uplinks, mut context) = self.uplinks(now, &mut ignored);
        for fact in uplinks.iter_mut().map(|uplink| &mut uplink.facts) {
            // As it will be when the first steps are done: all of them in one list.
            if fact.ifindex.is_some() {
                (fact.link_up, fact.carrier) = (true, true);
                fact.has_address = PerFamily::of(|family| fact.way[family].is_some());
            }
        }
        uplinks.decide(&mut context);
        let desired = context.desired(uplinks);
        for step in &made {
            self.kernel.observed.assume_settings(step, &desired);
        }
        let mut plan = self.kernel.engine.preview(&desired, &self.kernel.observed);
        let is_later = |step: &Step| step.key.rank() > Rank::Link || step.op == Op::Drop;
        let place = plan.iter().position(is_later).unwrap_or(plan.len());
        plan.splice(place..place, made);
        plan
    }

    /// The steps that make links of ours. From here on they count as done.
    fn preview_links(&mut self, now: Instant) -> Plan {
        let mut ignored = Vec::new();
        let (uplinks, mut context) = self.uplinks(now, &mut ignored);
        let desired = context.desired(uplinks);
        let kernel = &mut self.kernel;
        let mut made = kernel.engine.preview(&desired, &kernel.observed);
        made.retain(|step| matches!((&step.key, &step.op), (Key::Link(_), Op::Put { .. })));
        for step in &made {
            kernel.observed.assume_link(step);
        }
        made
    }
}
