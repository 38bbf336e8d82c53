//! What stood before us is on the disk before we change it: a withdrawal must find it, whatever
//! happens in between.
//!
//! The disk may take its time. Only first changes wait for it, and what hangs on them; a switch needs
//! none.

use super::Router;
use crate::io::Output;
use crate::state::{ACCEPT_REDIRECTS, FORWARDING, Key, Resource, State};
use alloc::vec::Vec;

impl Router {
    /// Writes down what is about to change for the first time. It waits until the disk has answered.
    pub(super) fn note_originals(&mut self, desired: &State, out: &mut Vec<Output>) {
        let mut is_new = false;
        for (key, want) in desired {
            let is_first = match (key, want) {
                (Key::Sysctl(path), Resource::Sysctl(want)) => {
                    let differs = self.observed.sysctls.get(path).is_some_and(|have| have != want);
                    // The kernel changes the second one along.
                    let along = differs && path == FORWARDING && self.note(ACCEPT_REDIRECTS);
                    (differs && self.note(path)) || along
                }
                (Key::Address { ifname, prefix }, Resource::Address) => {
                    let address = (*ifname, *prefix);
                    let is_first = !self.observed.addresses.contains_key(&address)
                        && self.engine.memory.addresses.insert(address);
                    if is_first {
                        self.saved.addresses.push(address);
                    }
                    is_first
                }
                _ => false,
            };
            if is_first {
                self.engine.memory.unsaved.insert(key.clone(), self.durable_saves + 1);
                is_new = true;
            }
        }
        if is_new {
            self.rendered = None;
            self.save(true, out);
        }
    }

    /// Notes the value of a setting; true if none was noted before.
    fn note(&mut self, path: &str) -> bool {
        let value = self.observed.sysctls.get(path);
        let Some(value) = value.filter(|_| !self.saved.sysctls.contains_key(path)) else {
            return false;
        };
        self.saved.sysctls.insert(path.into(), value.clone());
        true
    }

    /// So many states are on the disk, or not waited for any longer.
    pub(super) fn take_saved(&mut self, count: u64) {
        let unsaved = &mut self.engine.memory.unsaved;
        let before = unsaved.len();
        unsaved.retain(|_, save| *save > count);
        self.dirty |= unsaved.len() < before;
    }
}
