//! Connections that lead nowhere: an uplink has another address, another number or another
//! translation than when they were made. The kernel remembers for each what it was, and one
//! that refreshes itself would leave with a dead source for ever.
//!
//! They are deleted however well the line is, and need no other one to move to; but only when the
//! rules that make new ones were read back, so that none forms again as the old ones were.

use super::{Router, settle};
use crate::net::UplinkId;
use crate::output::{Output, Purge};
use crate::saved::Void;
use crate::state::Key;
use alloc::vec::Vec;

impl Router {
    /// Asks for the deletion of what is void, once.
    pub(super) fn delete_void(&mut self, out: &mut Vec<Output>) {
        let is_asked =
            |void: &&Void| self.asked.iter().any(|(_, asked)| asked.as_ref() == Some(*void));
        let new: Vec<Void> =
            self.saved.void.iter().filter(|void| !is_asked(void)).cloned().collect();
        // The rules and slots of new connections.
        let makes = |key: &Key| matches!(key, Key::Firewall | Key::Slots);
        if new.is_empty() || !self.is_quiet() || !self.are_in_place(makes) {
            return;
        }
        for void in new {
            let keep = settle::purge(&self.config, &self.observed, void.uplink);
            let (mark, mask, which) = (void.mark, void.mask, void.which);
            let purge = Purge { mark, mask, which, ..keep };
            self.ask_for(purge, Some(void), out);
        }
    }

    /// Asks for a deletion; of what is void, or of what can move.
    pub(super) fn ask_for(&mut self, purge: Purge, void: Option<Void>, out: &mut Vec<Output>) {
        self.asked.push((purge.uplink, void));
        out.push(Output::Purge(purge));
    }

    /// A deletion was answered. The state file forgets what is void only then.
    pub(super) fn note_voided(&mut self, id: UplinkId) {
        // Of one uplink the answers come in the order of the requests.
        let Some(at) = self.asked.iter().position(|(uplink, _)| *uplink == id) else { return };
        if let (_, Some(done)) = self.asked.remove(at) {
            self.saved.void.retain(|void| *void != done);
            self.save_due = true;
        }
    }
}
