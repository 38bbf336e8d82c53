//! What was ours and is not wanted any more: it is forgotten once it is back.

use super::{Reconciler, Wants};
use crate::config::Network;
use crate::desk::Desk;
use crate::io::Output;
use crate::saved::Saved;
use crate::state::Key;
use alloc::vec::Vec;

impl Reconciler {
    /// What was given back is the administrator's again: from now on it is neither watched nor
    /// restored, and an address or a link of his own is not taken for ours.
    pub(crate) fn forget_given_back(
        &mut self,
        wants: &Wants<'_>,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) {
        // This is asked at every wake; the answer changes only with what is read or desired.
        if !self.may_be_back || !self.is_at_rest() {
            return;
        }
        let desired = self.desired(wants, &desk.saved);
        self.may_be_back = false;
        let (observed, saved) = (&self.observed, &mut desk.saved);
        let count =
            |saved: &Saved| (saved.sysctls.len(), saved.addresses.len(), saved.links_up.len());
        let before = count(saved);
        for path in &self.restoring {
            if observed.setting(path) == saved.sysctls.get(path) {
                saved.sysctls.remove(path);
            }
        }
        saved.addresses.retain(|(ifname, prefix)| {
            let key = Key::Address { ifname: *ifname, prefix: *prefix };
            observed.addresses.contains_key(&(*ifname, *prefix)) || desired.contains_key(&key)
        });
        let config = wants.config;
        saved.links_up.retain(|ifname| {
            let has_address = |n: &Network| n.ifname == *ifname && n.address.is_some();
            config.uplinks.iter().any(|u| u.ifname == *ifname || u.port() == *ifname)
                || config.networks.iter().any(has_address)
        });
        if count(saved) == before {
            return;
        }
        self.remember(&desk.saved);
        self.rendered = None;
        desk.save_soon();
        self.refresh_watch(wants, &desk.saved, out);
    }

    /// Nothing of ours was read back from the tables that were ours before: they are no matter now.
    pub(crate) fn forget_old_tables(
        &mut self,
        wants: &Wants<'_>,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) {
        if desk.saved.old_tables.is_empty() || !self.is_at_rest() {
            return;
        }
        if self.observed.routes.keys().all(|route| self.watch.is_ours(route.table)) {
            desk.saved.old_tables.clear();
            desk.save_soon();
            self.refresh_watch(wants, &desk.saved, out);
        }
    }
}
