//! News of other software.

use crate::notice::Entry;
use crate::status::Conflict;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of other software.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum CoexistNews {
    /// A conflict with other software was found, or is over. `place`: as in [`Conflict`].
    Conflict {
        owner: String,
        object: String,
        #[serde(skip)]
        place: Option<String>,
        effect: String,
        remedy: String,
        gone: bool,
    },
}

impl CoexistNews {
    /// Of a conflict that was found, or is over.
    pub fn conflict(conflict: &Conflict, gone: bool) -> Self {
        let Conflict { owner, object, place, effect, remedy, .. } = conflict.clone();
        Self::Conflict { owner, object, place, effect, remedy, gone }
    }

    /// The same for those who may not look at the rules, where that is less.
    pub(crate) fn for_anybody(&self) -> Option<Self> {
        let mut less = self.clone();
        let Self::Conflict { object, place, .. } = &mut less;
        *object = place.take()?;
        Some(less)
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Conflict { owner, object, effect, remedy, gone, .. } => if *gone {
                Entry::info("conflict resolved")
            } else {
                Entry::warn("conflict with other software")
            }
            .with("owner", owner)
            .with("key", object)
            .with("effect", effect)
            .with("remedy", remedy),
        }
    }
}
