//! What follows when the kernel has the new state: the end of the boot guard, news of
//! the switch, and the removal of connections that can move. Route first, then marks,
//! verified, and only then are connections deleted, so that none forms again on the dead uplink.

use super::{Router, SWEEP_AFTER, way};
use crate::check::Line;
use crate::config::{Config, Network};
use crate::facts::Facts;
use crate::io::{Output, Purge, Which};
use crate::net::{Family, Prefix, UplinkId};
use crate::notice::Notice;
use crate::render;
use crate::saved::Saved;
use crate::state::firewall::has_ours;
use crate::state::{Key, Observed, OpError, Resource, Scope};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// Which of the two passes a pending purge is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Pass {
    /// Right after the switch.
    First,
    /// A little later, for connections that were being made meanwhile.
    Sweep,
}

/// Connections to delete once the new state is verified.
#[derive(Clone, Debug)]
pub(super) struct Pending {
    pub(super) purge: Purge,
    pub(super) pass: Pass,
    /// The uplink went silent at this moment. Those that carry now may have gone with it: until one of
    /// them has answered a probe from after that, nothing is deleted, for nothing could move. Without
    /// such a moment one of them must have answered at all.
    pub(super) silent: Option<Instant>,
    /// Its address went. Put back at once, it costs no connection.
    pub(super) lost: Option<Lost>,
}

impl Pending {
    /// They have nothing to wait for but an uplink that carries.
    pub(super) const fn new(purge: Purge, pass: Pass) -> Self {
        Self { purge, pass, silent: None, lost: None }
    }
}

/// The loss of an address that may be put back.
#[derive(Copy, Clone, Debug)]
pub(super) struct Lost {
    at: Instant,
    /// Until then nothing is deleted.
    until: Instant,
}

impl Lost {
    pub(super) fn at(at: Instant) -> Self {
        Self { at, until: at + way::GRACE }
    }
}

/// Which connections of an uplink can move: not the router's own from an address of lines, to which
/// they are bound, and not those that came in by it. Those from an inside address are translated, and
/// move as any other.
pub(super) fn purge(config: &Config, facts: &Facts, observed: &Observed, id: UplinkId) -> Purge {
    let is_uplink = |name| config.uplinks.iter().any(|u| u.ifname == name);
    // An address that went with its device may come back, and its connections with it.
    let pairs = config.uplinks.iter().zip(&facts.uplinks);
    let meant = pairs.flat_map(|(uplink, fact)| fact.prefixes(uplink)).map(|own| own.address);
    let own = observed.addresses.keys().map(|(_, prefix)| prefix.address).chain(meant.clone());
    let outside = observed.addresses.keys().filter(|(name, _)| is_uplink(*name));
    let inside = observed.addresses.keys().filter(|(name, _)| !is_uplink(*name));
    let mut keep_destinations: Vec<Prefix> = inside.map(|(_, p)| p.network()).collect();
    keep_destinations.extend(own.clone().map(Prefix::host));
    keep_destinations.sort();
    keep_destinations.dedup();
    Purge {
        uplink: id,
        mark: render::mark(config, id),
        mask: config.ranges.mark_mask,
        which: Which::Movable,
        keep_sources: outside.map(|(_, prefix)| prefix.address).chain(meant).collect(),
        keep_destinations,
        yields: true,
    }
}

impl Router {
    /// Writes down which routes are ours: what stands there after a restart has pushed them out.
    pub(super) fn note_routes(&mut self) {
        let ours = &self.engine.memory.routes;
        if !self.withdrawing && !ours.iter().eq(&self.saved.routes) {
            self.saved.routes = ours.iter().cloned().collect();
            self.save_due = true;
        }
    }

    pub(super) fn take_applied(
        &mut self,
        now: Instant,
        key: &Key,
        result: Result<(), OpError>,
        out: &mut Vec<Output>,
    ) {
        let mut news = Vec::new();
        match (self.engine.is_deletion(key), &result) {
            (true, Ok(())) => self.observed.forget(key),
            (true, Err(_)) => {}
            // What was refused may have happened nevertheless.
            (false, _) => self.doubts.created(key),
        }
        let scope = self.engine.applied(now, key, result, &mut news);
        out.extend(news.into_iter().map(Output::Notice));
        if !scope.is_empty() {
            out.push(Output::Observe(scope));
        }
        self.dirty = true;
    }

    /// Once routes and buckets are verified: tells of the switch, deletes what can move, sweeps later.
    pub(super) fn after_settling(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.withdrawing {
            self.finish_withdrawal(out);
            return;
        }
        self.verify_first_state(out);
        self.forget_given_back(out);
        self.delete_stale(out);
        self.ask_again(now, out);
        self.forget_old_tables(out);
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.sweeps).into_iter().partition(|(at, _)| *at <= now);
        self.sweeps = later;
        for (_, purge) in due {
            let entry = self.pending_purges.entry(purge.uplink);
            entry.or_insert_with(|| Pending::new(purge, Pass::Sweep));
        }
        self.await_return(now);
        let waits = self.switching.is_some() || !self.pending_purges.is_empty();
        if !waits || !self.is_quiet() || !self.balance_is_in_place() {
            return;
        }
        let is_moved = self.engine.has_moved() || !self.engine.has_left();
        if let Some(since) = self.switching.take_if(|_| is_moved) {
            let pairs = self.config.uplinks.iter().zip(&self.facts.uplinks);
            let active = pairs.filter(|(_, f)| f.active).map(|(u, _)| u.name.clone()).collect();
            let took_us = u64::try_from(now.since(since).as_micros()).unwrap_or(u64::MAX);
            out.push(Output::Notice(Notice::Switched { active, took_us }));
        }
        let (due, waiting): (BTreeMap<_, _>, BTreeMap<_, _>) =
            core::mem::take(&mut self.pending_purges)
                .into_iter()
                .partition(|(id, pending)| self.can_delete(now, *id, pending));
        self.pending_purges = waiting;
        for Pending { purge, pass, .. } in due.into_values() {
            if pass == Pass::First {
                self.sweeps.push((now + SWEEP_AFTER, purge.clone()));
            }
            self.delete_movable(purge, pass, out);
        }
    }

    /// One of those that carry has answered a probe that was sent after this moment: what was never
    /// heard of may be dead.
    pub(super) fn is_carried_since(&self, at: Instant) -> bool {
        let mut pairs = self.facts.uplinks.iter().zip(&self.lines);
        pairs.any(|(fact, line)| fact.active && fact.is_serving() && line.is_proven_since(at))
    }

    /// Connections can move to an uplink that lives, and theirs has not begun to answer again.
    fn can_delete(&self, now: Instant, id: UplinkId, pending: &Pending) -> bool {
        let is_back = |line: &Line| line.id() == id && line.is_heard(now);
        let is_silent = pending.silent.is_none() || !self.lines.iter().any(is_back);
        pending.lost.is_none()
            && is_silent
            && self.is_carried_since(pending.silent.unwrap_or(Instant::ZERO))
    }

    /// What lost its address keeps its connections while the address may be put back, then as long as
    /// the uplink may still show that it works again, and then as long as it does.
    fn await_return(&mut self, now: Instant) {
        for (id, pending) in &mut self.pending_purges {
            let due = |lost: &&mut Lost| lost.until <= now;
            let Some(lost) = pending.lost.as_mut().filter(due) else { continue };
            let mut pairs = self.facts.uplinks.iter().zip(&self.lines);
            let found = pairs.find(|(fact, _)| fact.id == *id && fact.has_address[Family::V4]);
            let next = found.and_then(|(_, line)| {
                let first = lost.at + line.patience().max(way::GRACE * 2);
                let works = line.is_proven_since(lost.at) && line.has_heard(now);
                if works { Some(now + line.patience()) } else { Some(first).filter(|at| *at > now) }
            });
            pending.lost = next.map(|until| Lost { until, ..*lost });
        }
    }

    /// When that is asked next.
    pub(super) fn return_deadline(&self) -> Option<Instant> {
        self.pending_purges.values().filter_map(|pending| Some(pending.lost?.until)).min()
    }

    /// What was given back is the administrator's again: from now on it is neither watched nor
    /// restored, and an address or a link of his own is not taken for ours.
    fn forget_given_back(&mut self, out: &mut Vec<Output>) {
        // This is asked at every wake; the answer changes only with what is read or desired.
        if !self.may_be_back || !self.is_at_rest() {
            return;
        }
        let desired = self.desired();
        self.may_be_back = false;
        let (observed, saved) = (&self.observed, &mut self.saved);
        let count =
            |saved: &Saved| (saved.sysctls.len(), saved.addresses.len(), saved.links_up.len());
        let before = count(saved);
        for path in &self.restoring {
            if observed.sysctls.get(path) == saved.sysctls.get(path) {
                saved.sysctls.remove(path);
            }
        }
        saved.addresses.retain(|(ifname, prefix)| {
            let key = Key::Address { ifname: *ifname, prefix: *prefix };
            observed.addresses.contains_key(&(*ifname, *prefix)) || desired.contains_key(&key)
        });
        let config = &self.config;
        saved.links_up.retain(|ifname| {
            let has_address = |n: &Network| n.ifname == *ifname && n.address.is_some();
            config.uplinks.iter().any(|u| u.ifname == *ifname)
                || config.networks.iter().any(has_address)
        });
        if count(saved) == before {
            return;
        }
        self.engine.memory.addresses = saved.addresses.iter().copied().collect();
        self.rendered = None;
        self.save_due = true;
        self.refresh_watch(out);
    }

    /// True once what protects was read back and found good.
    pub const fn is_verified(&self) -> bool {
        self.verified
    }

    /// Filter, translation and policy rules were read back as they should be: from now on nothing
    /// can leave as it must not, and the boot guard has no more purpose. An uplink whose route is
    /// refused does not hold it, or one bad uplink would close the others.
    fn verify_first_state(&mut self, out: &mut Vec<Output>) {
        if self.verified {
            return;
        }
        // What is copied from somebody else's rule protects nothing.
        let copies = self.facts.copies.clone();
        let protects = |key: &Key| match key {
            Key::Firewall | Key::Buckets => true,
            Key::Rule(rule) => !copies.contains(rule),
            _ => false,
        };
        if !self.is_at_rest() || !self.are_in_place(protects) {
            return;
        }
        self.verified = true;
        // From now on the guard is not wanted; the next pass takes it away.
        self.rendered = None;
        if self.is_guarded() {
            self.dirty = true;
            out.push(Output::Notice(Notice::Guard { closed: false }));
        }
    }

    /// Nothing of ours was read back from the tables that were ours before: they are no matter now.
    fn forget_old_tables(&mut self, out: &mut Vec<Output>) {
        if self.saved.old_tables.is_empty() || !self.is_at_rest() {
            return;
        }
        if self.observed.routes.keys().all(|route| self.watch.is_ours(route.table)) {
            self.saved.old_tables.clear();
            self.save_due = true;
            self.refresh_watch(out);
        }
    }

    /// The boot guard is there, and it is ours.
    pub(super) fn is_guarded(&self) -> bool {
        self.observed.guard.as_ref().is_some_and(has_ours)
    }

    /// No pass is under way, and none is due. A transaction may run: a switch does not wait for it.
    pub(super) fn is_quiet(&self) -> bool {
        !self.engine.is_busy() && !self.looks_again() && !self.dirty
    }

    /// As [`is_quiet`](Self::is_quiet), and nothing waits for a transaction or for the disk.
    pub(super) fn is_at_rest(&self) -> bool {
        let is_saved = self.engine.memory.unsaved.is_empty();
        self.is_quiet() && is_saved && !self.engine.is_in_transaction()
    }

    /// The objects of these kinds are as desired.
    pub(super) fn are_in_place(&mut self, concerns: impl Fn(&Key) -> bool) -> bool {
        let desired = self.desired();
        let mut all = desired.iter().filter(|(key, _)| concerns(key));
        all.all(|(key, value)| self.engine.is_in_place(key, value))
    }

    /// The bucket map and the shared default are as desired, or the map at least without the buckets of
    /// uplinks that are to have none: those wait for no rules.
    fn balance_is_in_place(&mut self) -> bool {
        let (shared, spares) = (self.config.ranges.tables.0, render::SPARE_METRICS);
        let has_left = self.engine.has_left();
        self.are_in_place(|key| match key {
            Key::Buckets => !has_left,
            // A spare carries nothing, and one that is refused holds nothing up.
            Key::Route(route) => {
                route.table == shared
                    && route.prefix == Prefix::default_route(Family::V4)
                    && !spares.contains(&route.metric)
            }
            _ => false,
        })
    }

    fn finish_withdrawal(&mut self, out: &mut Vec<Output>) {
        let desired = self.desired();
        let is_there = |(key, value): (&Key, &Resource)| self.engine.is_in_place(key, value);
        let waits = |path: &str| self.observed.sysctls.contains_key(path);
        let restored = desired.iter().all(|(key, value)| match key {
            Key::Sysctl(path) if !waits(path) => true,
            _ => is_there((key, value)),
        });
        if self.done || self.dirty || !self.engine.is_settled() || !restored {
            return;
        }
        for ifname in core::mem::take(&mut self.saved.links_up) {
            out.push(Output::LinkDown(ifname));
        }
        self.saved.sysctls.clear();
        self.saved.addresses.clear();
        self.saved.routes.clear();
        self.saved.links_seen.clear();
        self.saved.verdicts.clear();
        self.saved.active.clear();
        self.save(true, out);
        out.push(Output::Notice(Notice::Withdrawn));
        out.push(Output::Done);
        self.done = true;
    }
}

/// Every kind, for a fresh look after a reload.
pub(super) const EVERYTHING: Scope = Scope::ALL;
