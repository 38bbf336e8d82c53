//! The files that a child's program took last, with which it runs while it refuses newer ones.
//!
//! They are remembered, and lie in `STATE/children/NAME.taken` for the next boot. Promises: nothing but the content of
//! files comes from there, neither a program nor a right; what somebody else could have written is not believed; a
//! disk that takes nothing costs no more than that boot. Secrets are in neither place: see `secret`.

use super::place::Place;
use super::record;
use crate::file;
use rail_core::{Child, ChildFile};
use serde::{Deserialize, Serialize};
use std::fs;

/// What the program took.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Taken {
    files: Vec<ChildFile>,
    /// With these it answers the system's own questions.
    is_resolver: bool,
}

impl Taken {
    /// The files of this child.
    pub(super) fn of(child: &Child) -> Self {
        Self { files: child.files.clone(), is_resolver: child.is_resolver }
    }

    /// True if this child has the same.
    pub(super) fn is_of(&self, child: &Child) -> bool {
        self.files == child.files
    }

    /// The child with these in the place of its own.
    pub(super) fn put_into(&self, child: &Child) -> Child {
        let (files, is_resolver) = (self.files.clone(), self.is_resolver);
        Child { files, is_resolver, ..child.clone() }
    }

    /// What lies there for the child of this name.
    pub(super) fn load(place: &Place, name: &str) -> Option<Self> {
        serde_json::from_slice(&record::read_file(&place.taken(name))?).ok()
    }

    /// Puts it there.
    pub(super) fn save(&self, place: &Place, name: &str) {
        let text = serde_json::to_vec(self).unwrap_or_default();
        // Where nothing can be written there is no more than our memory of it.
        let _ = file::replace(&place.taken(name), &text);
    }

    /// Nobody wants the child of this name any more.
    pub(super) fn forget(place: &Place, name: &str) {
        // One that stays serves where the child is wanted again, and its program refuses what it gets then.
        let _ = fs::remove_file(place.taken(name));
    }
}
