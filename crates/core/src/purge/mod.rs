//! The removal of connections: which, when, and called off.
//!
//! Route first, then marks, verified, and only then are connections deleted, so that none forms
//! again on the dead uplink. What can move waits here until another uplink carries; what leads
//! nowhere ([`stale`]) until the rules that make new ones were read back.

mod left;
pub(crate) mod news;
mod stale;
mod stray;

use crate::check::Prober;
use crate::config::Config;
use crate::facts::UplinkFacts;
use crate::io::{Output, Purge, Which};
use crate::net::{Family, Prefix, UplinkId};
use crate::render;
use crate::state::Observed;
use crate::time::{Duration, Instant};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::net::IpAddr;
use left::Left;
use stale::Deletion;
use stray::Strays;

/// What is lost for this long is not being repaired; one refusal may be tried again in it.
pub(crate) const GRACE: Duration = Duration::from_millis(200);
/// Connections that were begun while the dead uplink still had some are swept after this time.
const SWEEP_AFTER: Duration = Duration::from_secs(2);

/// An uplink, as far as connections can move to it.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Carrier<'a> {
    pub(crate) facts: &'a UplinkFacts,
    pub(crate) prober: &'a Prober,
}

impl Carrier<'_> {
    /// It carries, has answered a probe that was sent after this moment, and has not fallen silent since
    /// as far as anybody can see.
    pub(crate) fn carries_since(&self, at: Instant) -> bool {
        self.facts.active
            && self.facts.is_serving()
            && self.prober.is_proven_since(at)
            && !self.prober.may_be_silent()
    }
}

/// Which of the two passes a pending purge is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Pass {
    /// Right after the switch.
    First,
    /// A little later, for connections that were being made meanwhile.
    Sweep,
}

/// Connections to delete once the new state is verified.
#[derive(Clone, Debug)]
pub(crate) struct Pending {
    purge: Purge,
    pass: Pass,
    /// The uplink went silent at this moment. Those that carry now may have gone with it: until one of
    /// them has answered a probe from after that, nothing is deleted, for nothing could move. Without
    /// such a moment one of them must have answered at all.
    silent: Option<Instant>,
    /// Its address went. Put back at once, it costs no connection.
    lost: Option<Lost>,
}

impl Pending {
    /// They have nothing to wait for but an uplink that carries.
    pub(crate) const fn first(purge: Purge) -> Self {
        Self::new(purge, Pass::First)
    }

    /// Those of an uplink that died: silent since then, or because its address went.
    pub(crate) const fn of_dead(purge: Purge, silent: Option<Instant>, lost: Option<Lost>) -> Self {
        Self { purge, pass: Pass::First, silent, lost }
    }

    const fn new(purge: Purge, pass: Pass) -> Self {
        Self { purge, pass, silent: None, lost: None }
    }
}

/// The loss of an address that may be restored.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Lost {
    at: Instant,
    /// Until then nothing is deleted.
    until: Instant,
}

impl Lost {
    pub(crate) fn at(at: Instant) -> Self {
        Self { at, until: at + GRACE }
    }

    /// What lost its address keeps its connections while the address may be restored, then as long as
    /// the uplink may still show that it works again, and then as long as it does.
    fn next(self, now: Instant, carrier: Option<Carrier<'_>>) -> Option<Self> {
        let prober = carrier.filter(|carrier| carrier.facts.has_address[Family::V4])?.prober;
        let patience = prober.patience(now);
        let first = self.at + patience.max(GRACE * 2);
        let is_good = prober.verdict().is_usable() || prober.is_returning(now);
        let works = is_good && prober.is_proven_since(self.at) && prober.has_heard(now);
        let until = if works { Some(now + patience) } else { Some(first).filter(|at| *at > now) };
        until.map(|until| Self { until, ..self })
    }
}

/// Which connections of an uplink can move: not the router's own from an address of uplinks, to which
/// they are bound, and not those that came in by it. Those from an inside address are translated, and
/// move as any other.
pub(crate) fn movable<'a>(
    config: &'a Config,
    facts: impl Iterator<Item = &'a UplinkFacts> + Clone,
    observed: &Observed,
    id: UplinkId,
) -> Purge {
    let is_uplink = |name| config.uplinks.iter().any(|u| u.ifname == name);
    // An address that went with its device may come back, and its connections with it.
    let pairs = config.uplinks.iter().zip(facts);
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

/// All removals: those that wait, those that were asked for, and those to be asked for again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Purger {
    /// By the uplink that died.
    pending: BTreeMap<UplinkId, Pending>,
    sweeps: Vec<(Instant, Purge)>,
    /// Deletions that were not answered yet.
    asked: Vec<Deletion>,
    /// Deletions that the kernel refused, and when they are asked for again.
    refused: Vec<(Instant, Deletion)>,
    /// What is to be deleted of uplinks that were left for a better one.
    left: BTreeMap<UplinkId, Left>,
    strays: Strays,
}

impl Purger {
    /// Connections of this uplink are deleted when they can move.
    pub(crate) fn put(&mut self, id: UplinkId, pending: Pending) {
        self.pending.insert(id, pending);
    }

    /// An uplink has this address from now on: connections that bear it cannot move, whatever was to be
    /// deleted before.
    pub(crate) fn keep(&mut self, own: IpAddr) {
        let pending = self.pending.values_mut().map(|pending| &mut pending.purge);
        let sweeps = self.sweeps.iter_mut().map(|(_, purge)| purge);
        let refused = self.refused.iter_mut().map(|(_, refused)| &mut refused.purge);
        for purge in pending.chain(sweeps).chain(refused) {
            purge.keep_sources.push(own);
            purge.keep_destinations.push(Prefix::host(own));
        }
    }

    /// The uplink lives again: its connections stay.
    pub(crate) fn cancel(&mut self, id: UplinkId, out: &mut Vec<Output>) {
        self.pending.remove(&id);
        self.sweeps.retain(|(_, purge)| purge.uplink != id);
        let is_it = |deletion: &Deletion| deletion.purge.uplink == id && deletion.is_movable();
        self.refused.retain(|(_, refused)| !is_it(refused));
        // A large table takes a while: without this its new connections would be deleted.
        if self.asked.iter().any(is_it) {
            out.push(Output::CancelPurge(id));
        }
    }

    /// Nothing is deleted any more that was not asked for yet.
    pub(crate) fn withdraw(&mut self) {
        self.sweeps.clear();
        self.refused.clear();
        self.left.clear();
    }

    /// Takes up what waited for its time.
    pub(crate) fn wake<'a>(
        &mut self,
        now: Instant,
        carriers: impl Iterator<Item = Carrier<'a>> + Clone,
    ) {
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.sweeps).into_iter().partition(|(at, _)| *at <= now);
        self.sweeps = later;
        for (_, purge) in due {
            let entry = self.pending.entry(purge.uplink);
            entry.or_insert_with(|| Pending::new(purge, Pass::Sweep));
        }
        for (id, pending) in &mut self.pending {
            let Some(lost) = pending.lost.filter(|lost| lost.until <= now) else { continue };
            pending.lost = lost.next(now, carriers.clone().find(|c| c.facts.id == *id));
        }
        self.wake_left(now);
    }

    /// Something waits for an uplink that carries.
    pub(crate) fn waits(&self) -> bool {
        !self.pending.is_empty() || self.is_left_due()
    }

    /// The new state is verified: what can move is deleted, and swept later.
    pub(crate) fn delete_movable<'a>(
        &mut self,
        now: Instant,
        carriers: impl Iterator<Item = Carrier<'a>> + Clone,
        out: &mut Vec<Output>,
    ) {
        let (due, waiting): (BTreeMap<_, _>, BTreeMap<_, _>) = core::mem::take(&mut self.pending)
            .into_iter()
            .partition(|(id, pending)| can_delete(now, *id, pending, carriers.clone()));
        self.pending = waiting;
        for Pending { purge, pass, .. } in due.into_values() {
            if pass == Pass::First {
                self.sweeps.push((now + SWEEP_AFTER, purge.clone()));
            }
            self.ask_for(Deletion::movable(purge, pass), out);
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> impl Iterator<Item = Instant> {
        let refused = self.refused.iter().map(|(at, _)| *at);
        self.sweeps.iter().map(|(at, _)| *at).chain(refused).chain(self.left_deadline())
    }

    /// When it is asked next whether a lost address is back.
    pub(crate) fn return_deadline(&self) -> Option<Instant> {
        self.pending.values().filter_map(|pending| Some(pending.lost?.until)).min()
    }
}

/// Connections can move to an uplink that lives, and theirs is not on its way back.
fn can_delete<'a>(
    now: Instant,
    id: UplinkId,
    pending: &Pending,
    mut carriers: impl Iterator<Item = Carrier<'a>> + Clone,
) -> bool {
    let is_it = |carrier: Carrier<'_>| carrier.facts.id == id && carrier.prober.is_returning(now);
    let is_silent = pending.silent.is_none() || !carriers.clone().any(is_it);
    let since = pending.silent.unwrap_or(Instant::ZERO);
    pending.lost.is_none() && is_silent && carriers.any(|carrier| carrier.carries_since(since))
}

#[cfg(test)]
impl Purger {
    pub(crate) fn pending_ids(&self) -> Vec<UplinkId> {
        self.pending.keys().copied().collect()
    }

    pub(crate) fn sweep_at(&mut self, at: Instant, purge: Purge) {
        self.sweeps.push((at, purge));
    }

    pub(crate) fn swept(&self) -> Vec<Purge> {
        self.sweeps.iter().map(|(_, purge)| purge.clone()).collect()
    }

    pub(crate) const fn has_asked(&self) -> bool {
        !self.asked.is_empty()
    }

    pub(crate) const fn was_refused(&self) -> bool {
        !self.refused.is_empty()
    }
}
