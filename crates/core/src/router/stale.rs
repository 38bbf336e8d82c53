//! Deletions of connections: what is asked for, what came of it, and what is asked again.
//!
//! Connections of a dead uplink can move, and wait in [`settle`] until another one carries. Others
//! lead nowhere: an uplink has another address, another number or another translation than when
//! they were made. The kernel remembers for each what it was, and one that refreshes itself would
//! leave with a dead source for ever. They are deleted however well the uplink is, and need no other
//! one to move to; but only when the rules that make new ones were read back, so that none forms
//! again as the old ones were.
//!
//! A deletion that the kernel refuses is not done. It is asked for again, each time later.

use super::settle::{self, Pass};
use super::{FIRST_RETRY, LAST_RETRY, Router};
use crate::io::{Output, Purge};
use crate::net::UplinkId;
use crate::notice::Notice;
use crate::saved::Stale;
use crate::state::{Key, OpError};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::ToString;
use alloc::vec::Vec;

/// Why connections are deleted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Reason {
    /// They can move.
    Movable(Pass),
    /// They lead nowhere.
    Stale(Stale),
}

/// A deletion that was asked for.
#[derive(Clone, Debug)]
pub(super) struct Deletion {
    pub(super) purge: Purge,
    pub(super) reason: Reason,
    /// How often it was refused.
    refusals: u32,
}

impl Deletion {
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

impl Router {
    /// Asks for the deletion of what is stale, once.
    pub(super) fn delete_stale(&mut self, out: &mut Vec<Output>) {
        let asked = || self.asked.iter().chain(self.refused.iter().map(|(_, refused)| refused));
        let is_asked = |stale: &&Stale| asked().any(|deletion| deletion.is_of(stale));
        let new: Vec<Stale> =
            self.saved.stale.iter().filter(|stale| !is_asked(stale)).cloned().collect();
        // The rules and buckets of new connections.
        let makes = |key: &Key| matches!(key, Key::Firewall | Key::Buckets);
        if new.is_empty() || !self.is_at_rest() || !self.are_in_place(makes) {
            return;
        }
        for stale in new {
            let keep = settle::purge(&self.config, &self.facts, &self.observed, stale.uplink);
            let (mark, mask, which) = (stale.mark, stale.mask, stale.which);
            let purge = Purge { mark, mask, which, yields: false, ..keep };
            self.ask_for(Deletion { purge, reason: Reason::Stale(stale), refusals: 0 }, out);
        }
    }

    /// Asks for the deletion of what can move.
    pub(super) fn delete_movable(&mut self, purge: Purge, pass: Pass, out: &mut Vec<Output>) {
        self.ask_for(Deletion { purge, reason: Reason::Movable(pass), refusals: 0 }, out);
    }

    fn ask_for(&mut self, deletion: Deletion, out: &mut Vec<Output>) {
        out.push(Output::Purge(deletion.purge.clone()));
        self.asked.push(deletion);
    }

    /// A deletion was answered. The state file forgets what is done only then.
    pub(super) fn take_purged(
        &mut self,
        now: Instant,
        id: UplinkId,
        result: Result<u32, OpError>,
        out: &mut Vec<Output>,
    ) {
        // Of one uplink the answers come in the order of the requests.
        let at = self.asked.iter().position(|deletion| deletion.purge.uplink == id);
        let deletion = at.map(|at| self.asked.remove(at));
        match (result, deletion) {
            (Ok(connections), deletion) => {
                self.counters.purged += u64::from(connections);
                let index = self.facts.uplinks.iter().position(|f| f.id == id);
                if let Some(index) = index
                    && connections > 0
                {
                    let uplink = self.config.uplinks[index].name.clone();
                    self.note_history(now, index, format!("deleted {connections} connections"));
                    out.push(Output::Notice(Notice::Purged { uplink, connections }));
                }
                if let Some(deletion) = deletion {
                    self.note_deleted(&deletion);
                }
            }
            (Err(error), deletion) => {
                let wait = deletion.as_ref().map_or(Duration::ZERO, Deletion::wait);
                if deletion.as_ref().is_none_or(|deletion| deletion.refusals == 0) {
                    let object = format!("connections of uplink number {id}");
                    let retry_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let error = error.to_string();
                    out.push(Output::Notice(Notice::Refused { object, error, retry_ms }));
                }
                if let Some(deletion) = deletion {
                    let refusals = deletion.refusals.saturating_add(1);
                    self.refused.push((now + wait, Deletion { refusals, ..deletion }));
                }
            }
        }
    }

    fn note_deleted(&mut self, deletion: &Deletion) {
        let id = deletion.purge.uplink;
        match &deletion.reason {
            Reason::Stale(done) => {
                self.saved.stale.retain(|stale| stale != done);
                self.save_due = true;
            }
            Reason::Movable(Pass::Sweep) if self.saved.leaving.contains(&id) => {
                self.saved.leaving.retain(|leaving| *leaving != id);
                self.save_due = true;
            }
            Reason::Movable(_) => {}
        }
    }

    /// Asks again for what was refused, if it is still to be deleted.
    pub(super) fn ask_again(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.refused.iter().all(|(at, _)| *at > now) {
            return;
        }
        let (due, later): (Vec<_>, Vec<_>) =
            core::mem::take(&mut self.refused).into_iter().partition(|(at, _)| *at <= now);
        self.refused = later;
        let can_move = self.is_carried_since(Instant::ZERO);
        for (_, deletion) in due {
            let id = deletion.purge.uplink;
            match &deletion.reason {
                Reason::Stale(stale) if !self.saved.stale.contains(stale) => {}
                Reason::Movable(_) if self.is_alive(id) => {}
                Reason::Movable(pass) if !can_move => {
                    let again = settle::Pending::new(deletion.purge, *pass);
                    self.pending_purges.entry(id).or_insert(again);
                }
                Reason::Movable(_) | Reason::Stale(_) => self.ask_for(deletion, out),
            }
        }
    }

    fn is_alive(&self, id: UplinkId) -> bool {
        self.facts.uplinks.iter().any(|fact| fact.id == id && fact.health.is_alive())
    }
}
