//! Who carries new connections, and what is reported of it.

use super::choose::{Candidate, Standing, choose};
use super::{Context, Uplinks};
use crate::check::Verdict;
use crate::config::{Config, Degraded, Tier};
use crate::desk::Desk;
use crate::io::Output;
use crate::notice::UplinkNews;
use crate::render;
use crate::status::{Health, Role};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::vec::Vec;

/// After the start, the time in which having no uplink is no news yet.
const LINKS_RISE: Duration = Duration::from_secs(1);

impl Uplinks {
    /// Chooses who carries new connections.
    pub(crate) fn decide(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.list.len() {
            self.set_health(index, cx);
        }
        let cascade = self.cascade.take().filter(|(_, at)| !self.is_carried_since(*at));
        let kept = cascade.as_ref().map(|(kept, _)| kept);
        let mut candidates: Vec<Candidate> =
            (0..self.list.len()).map(|i| self.candidate(cx.now, i, cx.config, kept)).collect();
        self.hold_replaced(&mut candidates, cx.config);
        let (standing, active) = self.choose(candidates, cx);
        let before: Vec<bool> = self.list.iter().map(|uplink| uplink.facts.active).collect();
        let is_dead =
            |i: &usize| cx.config.uplinks[*i].enabled && !self.list[*i].facts.health.is_alive();
        let fell = (0..active.len()).filter(|i| before[*i] && !active[*i]).filter(is_dead);
        let died = fell.map(|i| self.list[i].prober.silent_since().unwrap_or(cx.now)).min();
        if active != before {
            self.switch(&active, cx);
        }
        for (uplink, active) in self.list.iter_mut().zip(&active) {
            uplink.prober.set_in_use(cx.now, *active);
        }
        self.note_replaced(cx);
        let may_follow = died.filter(|at| !self.is_carried_since(*at));
        self.cascade = cascade.or(may_follow.map(|at| (before, at)));
        self.find_left(standing, cx);
        self.tell_no_uplink(standing.carries(), cx.now, cx.desk, cx.out);
        self.refresh_roles(cx);
    }

    /// The best of these. Only if one of them has no buckets it is asked which the rules know.
    fn choose(
        &self,
        mut candidates: Vec<Candidate>,
        cx: &mut Context<'_>,
    ) -> (Standing, Vec<bool>) {
        if cx.kernel.rendered().is_none() {
            cx.desired(self);
        }
        let mode = cx.config.router.no_uplink;
        let best = choose(&candidates, mode);
        let Some(desired) = cx.kernel.rendered() else { return best };
        let is_known = |index: usize| {
            let mark = render::mark(cx.config, self.list[index].facts.id);
            cx.kernel.engine.knows(mark, desired, &cx.kernel.observed)
        };
        if (0..candidates.len()).filter(|index| best.1[*index]).all(is_known) {
            return best;
        }
        for (index, candidate) in candidates.iter_mut().enumerate() {
            candidate.known = is_known(index);
        }
        choose(&candidates, mode)
    }

    /// What counts for and against an uplink.
    fn candidate(
        &self,
        now: Instant,
        index: usize,
        config: &Config,
        before: Option<&Vec<bool>>,
    ) -> Candidate {
        let (own, uplink) = (&config.uplinks[index], &self.list[index]);
        let fact = &uplink.facts;
        let standing = match fact.health {
            Health::Suspect if self.is_avoided(index) => Standing::Doubted,
            Health::Up | Health::Suspect | Health::Degraded if fact.drained => Standing::Drained,
            Health::Up | Health::Suspect | Health::Degraded => Standing::Proven,
            // Not before one that nobody wants empty.
            Health::Probing if fact.drained => Standing::Held,
            Health::Probing => Standing::Probing,
            Health::Held => Standing::Held,
            Health::Down if uplink.prober.is_heard(now) => Standing::Answering,
            Health::Down => Standing::Silent,
            Health::NoWay => Standing::Astray,
            Health::NoCarrier | Health::NoAddress => Standing::Gone,
            Health::Absent | Health::Disabled => Standing::Gone,
        };
        let kept = before.and_then(|before| before.get(index)).copied().unwrap_or(fact.active);
        // A doubt beside it makes it no better.
        let is_degraded = matches!(uplink.prober.verdict(), Verdict::Degraded(_));
        let avoided = is_degraded
            && matches!(fact.health, Health::Degraded | Health::Suspect)
            && own.check.degraded == Degraded::Avoid;
        Candidate { tier: own.tier, standing, kept: kept && own.enabled, avoided, known: true }
    }

    /// New connections go elsewhere while this one is suspect: another one passes it by, or they went
    /// elsewhere before and do not come back to it for a restart or a reload.
    pub(super) fn is_avoided(&self, index: usize) -> bool {
        !self.list[index].facts.active || self.is_passed_by(index)
    }

    /// Another one has answered a probe that was sent since this one fell silent: what has befallen it
    /// has not befallen all.
    fn is_passed_by(&self, index: usize) -> bool {
        let Some(since) = self.list[index].prober.doubted_since() else { return false };
        let mut others = self.list.iter().enumerate().filter(|(other, _)| *other != index);
        others.any(|(_, other)| other.prober.is_proven_since(since))
    }

    fn switch(&mut self, active: &[bool], cx: &mut Context<'_>) {
        for (uplink, active) in self.list.iter_mut().zip(active) {
            uplink.facts.active = *active;
        }
        self.switching = Some(cx.now);
        let names = cx.config.uplinks.iter().zip(&self.list);
        let active = names.filter(|(_, uplink)| uplink.facts.active);
        cx.desk.saved.active = active.map(|(own, _)| own.name.clone()).collect();
        cx.desk.save_soon();
        cx.kernel.touch();
    }

    /// The kernel has the new state: says who carries now, unless connections still wait for their rules.
    pub(crate) fn tell_switched(
        &mut self,
        is_moved: bool,
        now: Instant,
        config: &Config,
        out: &mut Vec<Output>,
    ) {
        if let Some(since) = self.switching.take_if(|_| is_moved) {
            let pairs = config.uplinks.iter().zip(&self.list);
            let active = pairs.filter(|(_, uplink)| uplink.facts.active);
            let active = active.map(|(own, _)| own.name.clone()).collect();
            let took_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
            out.push(Output::tell(UplinkNews::Switched { active, took_us }));
        }
    }

    fn tell_no_uplink(&mut self, any: bool, now: Instant, desk: &Desk, out: &mut Vec<Output>) {
        // Links that were down are set up first; an uplink that was never there is not lost.
        let is_starting = now.since(desk.started) < LINKS_RISE;
        if !any && is_starting {
            return;
        }
        if !any && !self.lost_all {
            let kept = self.list.iter().any(|uplink| uplink.facts.active);
            out.push(Output::tell(UplinkNews::NoUplink { kept }));
        }
        self.lost_all = !any;
    }

    fn refresh_roles(&mut self, cx: &mut Context<'_>) {
        for (uplink, own) in self.list.iter_mut().zip(&cx.config.uplinks) {
            let role = match (own.tier, uplink.facts.active) {
                (Tier::Inbound, _) => Role::Inbound,
                (Tier::Number(_), true) => Role::Active,
                (Tier::Number(_), false) => Role::Standby,
            };
            let from = core::mem::replace(&mut uplink.history.role, role);
            if from != role {
                uplink.note(cx.now, format!("role is now {}", role.as_str()));
                let uplink = own.name.clone();
                cx.out.push(Output::tell(UplinkNews::Role { uplink, from, to: role }));
            }
        }
    }
}
