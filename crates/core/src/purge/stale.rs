//! Deletions of connections: what is asked for, what came of it, and what is asked again.
//!
//! Connections of a dead uplink can move, and wait until another one carries. Others lead
//! nowhere: an uplink has another address, another number or another translation than when
//! they were made. The kernel remembers for each what it was, and one that refreshes itself would
//! leave with a dead source for ever. They are deleted however well the uplink is, and need no other
//! one to move to; but only when the rules that make new ones were read back, so that none forms
//! again as the old ones were.
//!
//! A deletion that the kernel refuses is not done. It is asked for again, each time later.

use super::{Carrier, Pass, Pending, Purger, movable};
use crate::config::Config;
use crate::desk::Desk;
use crate::facts::UplinkFacts;
use crate::io::{Output, Purge};
use crate::net::UplinkId;
use crate::notice::ReconcileNews;
use crate::saved::Stale;
use crate::state::{Observed, OpError};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// What the kernel refused to delete is asked for again after this time, and then ever later.
const FIRST_RETRY: Duration = Duration::from_millis(100);
const LAST_RETRY: Duration = Duration::from_secs(60);

/// Why connections are deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Reason {
    /// They can move.
    Movable(Pass),
    /// Their uplink was left for a better one.
    Left(Pass),
    /// They lead nowhere.
    Stale(Stale),
}

/// A deletion that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) purge: Purge,
    reason: Reason,
    /// How often it was refused.
    refusals: u32,
}

impl Deletion {
    pub(super) const fn movable(purge: Purge, pass: Pass) -> Self {
        Self { purge, reason: Reason::Movable(pass), refusals: 0 }
    }

    pub(super) const fn left(purge: Purge, pass: Pass) -> Self {
        Self { purge, reason: Reason::Left(pass), refusals: 0 }
    }

    pub(super) const fn is_left(&self) -> bool {
        matches!(self.reason, Reason::Left(_))
    }

    fn is_of(&self, stale: &Stale) -> bool {
        matches!(&self.reason, Reason::Stale(mine) if mine == stale)
    }

    pub(super) const fn is_movable(&self) -> bool {
        matches!(self.reason, Reason::Movable(_))
    }

    fn wait(&self) -> Duration {
        (FIRST_RETRY * 2_u32.saturating_pow(self.refusals.min(12))).min(LAST_RETRY)
    }
}

impl Purger {
    /// Asks for the deletion of what is stale, once; `is_ready` says whether the rules and buckets of new
    /// connections are in place.
    pub(crate) fn delete_stale<'a>(
        &mut self,
        (config, observed): (&'a Config, &Observed),
        facts: impl Iterator<Item = &'a UplinkFacts> + Clone,
        stale: &[Stale],
        out: &mut Vec<Output>,
    ) {
        for stale in self.unasked(stale) {
            let keep = movable(config, facts.clone(), observed, stale.uplink);
            let (mark, mask, which) = (stale.mark, stale.mask, stale.which);
            let purge = Purge { mark, mask, which, yields: false, ..keep };
            self.ask_for(Deletion { purge, reason: Reason::Stale(stale), refusals: 0 }, out);
        }
    }

    /// What of it was not asked for yet.
    pub(crate) fn unasked(&self, stale: &[Stale]) -> Vec<Stale> {
        let asked = || self.asked.iter().chain(self.refused.iter().map(|(_, refused)| refused));
        let is_asked = |stale: &&Stale| asked().any(|deletion| deletion.is_of(stale));
        stale.iter().filter(|stale| !is_asked(stale)).cloned().collect()
    }

    pub(super) fn ask_for(&mut self, deletion: Deletion, out: &mut Vec<Output>) {
        out.push(Output::Purge(deletion.purge.clone()));
        self.asked.push(deletion);
    }

    /// A deletion was answered. The state file forgets what is done only then. Returns how many
    /// connections of the uplink were deleted.
    pub(crate) fn take_answer(
        &mut self,
        now: Instant,
        id: UplinkId,
        result: Result<u32, OpError>,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) -> u32 {
        // Of one uplink the answers come in the order of the requests.
        let at = self.asked.iter().position(|deletion| deletion.purge.uplink == id);
        let deletion = at.map(|at| self.asked.remove(at));
        match (result, deletion) {
            (Ok(connections), deletion) => {
                desk.counters.purged += u64::from(connections);
                match deletion.as_ref().map(|deletion| &deletion.reason) {
                    Some(Reason::Left(pass)) => self.note_left(now, id, *pass, desk),
                    Some(reason) => note_deleted(id, reason, desk),
                    None => {}
                }
                return connections;
            }
            (Err(error), deletion) => {
                let wait = deletion.as_ref().map_or(Duration::ZERO, Deletion::wait);
                if deletion.as_ref().is_none_or(|deletion| deletion.refusals == 0) {
                    let object = format!("connections of uplink number {id}");
                    let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let error = error.to_string();
                    out.push(Output::tell(ReconcileNews::Refused { object, error, retry_ms }));
                }
                if let Some(deletion) = deletion {
                    let refusals = deletion.refusals.saturating_add(1);
                    self.refused.push((now + wait, Deletion { refusals, ..deletion }));
                }
            }
        }
        0
    }

    /// Asks again for what was refused, if it is still to be deleted.
    pub(crate) fn ask_again<'a>(
        &mut self,
        now: Instant,
        carriers: impl Iterator<Item = Carrier<'a>> + Clone,
        stale: &[Stale],
        out: &mut Vec<Output>,
    ) {
        if self.refused.iter().all(|(at, _)| *at > now) {
            return;
        }
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.refused).into_iter().partition(|(at, _)| *at <= now);
        self.refused = later;
        let can_move = carriers.clone().any(|carrier| carrier.carries_since(Instant::ZERO));
        let is_alive = |id| {
            carriers.clone().any(|c: Carrier<'_>| c.facts.id == id && c.facts.health.is_alive())
        };
        for (_, deletion) in due {
            let id = deletion.purge.uplink;
            match &deletion.reason {
                Reason::Stale(it) if !stale.contains(it) => {}
                Reason::Movable(_) if is_alive(id) => {}
                Reason::Movable(pass) if !can_move => {
                    let again = Pending::new(deletion.purge, *pass);
                    self.pending.entry(id).or_insert(again);
                }
                // It was called off, or is still due.
                Reason::Left(_) if !can_move || !self.left.contains_key(&id) => {}
                Reason::Movable(_) | Reason::Left(_) | Reason::Stale(_) => {
                    self.ask_for(deletion, out);
                }
            }
        }
    }
}

fn note_deleted(id: UplinkId, reason: &Reason, desk: &mut Desk) {
    let saved = &mut desk.saved;
    match reason {
        Reason::Stale(done) => saved.stale.retain(|stale| stale != done),
        Reason::Movable(Pass::Sweep) if saved.leaving.contains(&id) => {
            saved.leaving.retain(|leaving| *leaving != id);
        }
        Reason::Movable(_) | Reason::Left(_) => return,
    }
    desk.save_soon();
}
