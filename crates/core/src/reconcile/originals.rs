//! What stood before us is on the disk before we change it: a withdrawal must find it, whatever
//! happens in between.
//!
//! The disk may take its time. Only first changes wait for it, and what hangs on them; a switch needs
//! none.

use super::Reconciler;
use crate::desk::Desk;
use crate::io::Output;
use crate::saved::Saved;
use crate::state::{ACCEPT_REDIRECTS, FORWARDING, Key, Observed, Resource, State};
use alloc::vec::Vec;

impl Reconciler {
    /// Writes down what is about to change for the first time. It waits until the disk has answered.
    pub(crate) fn note_originals(
        &mut self,
        desired: &State,
        desk: &mut Desk,
        out: &mut Vec<Output>,
    ) {
        let mut is_new = false;
        for (key, want) in desired {
            let is_first = match (key, want) {
                (Key::Sysctl(path), Resource::Sysctl(want)) => {
                    let observed = &self.observed;
                    let differs = observed.setting(path).is_some_and(|have| have != want);
                    // The kernel changes the second one along.
                    let along = differs
                        && path == FORWARDING
                        && note(ACCEPT_REDIRECTS, observed, &mut desk.saved);
                    (differs && note(path, observed, &mut desk.saved)) || along
                }
                (Key::Address { ifname, prefix }, Resource::Address) => {
                    let address = (*ifname, *prefix);
                    let is_first = !self.observed.addresses.contains_key(&address)
                        && self.engine.memory.addresses.insert(address);
                    if is_first {
                        desk.saved.addresses.push(address);
                    }
                    is_first
                }
                _ => false,
            };
            if is_first {
                self.engine.memory.unsaved.insert(key.clone(), desk.next_durable());
                is_new = true;
            }
        }
        if is_new {
            self.rendered = None;
            desk.save(true, out);
        }
    }

    /// So many states are on the disk, or not waited for any longer.
    pub(crate) fn take_saved(&mut self, count: u64) {
        let unsaved = &mut self.engine.memory.unsaved;
        let before = unsaved.len();
        unsaved.retain(|_, save| *save > count);
        self.dirty |= unsaved.len() < before;
    }

    /// Writes down which routes are ours: what stands there after a restart has pushed them out.
    pub(crate) fn note_routes(&self, desk: &mut Desk) {
        let ours = &self.engine.memory.routes;
        if !self.is_withdrawing() && !ours.iter().eq(&desk.saved.routes) {
            desk.saved.routes = ours.iter().cloned().collect();
            desk.save_soon();
        }
    }
}

/// Notes the value of a setting; true if none was noted before.
fn note(path: &str, observed: &Observed, saved: &mut Saved) -> bool {
    let value = observed.setting(path);
    let Some(value) = value.filter(|_| !saved.sysctls.contains_key(path)) else {
        return false;
    };
    saved.sysctls.insert(path.into(), value.clone());
    true
}
