//! News of the kernel state.

use crate::notice::Entry;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the kernel state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum ReconcileNews {
    /// Somebody else changed an object of ours; it was repaired. Who it was the shell adds, if it is
    /// known.
    Repaired { object: String, took_us: u64, by: String },
    /// Somebody keeps changing an object of ours; we slow down.
    Contested { object: String, repairs: u32 },
    /// A contested object is left alone by others again.
    Uncontested { object: String },
    /// The kernel refused a change.
    Refused { object: String, error: String, retry_ms: u64 },
    /// A foreign object stands inside our ranges. It is left alone.
    Foreign { object: String },
    /// A kernel object was changed.
    Changed { object: String, change: String },
    /// The boot guard was found, or is taken away because the first state is verified.
    Guard { closed: bool },
    /// The state was taken away.
    Withdrawn,
}

impl ReconcileNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Repaired { object, took_us, by } => repaired(object, *took_us, by),
            Self::Contested { object, repairs } => contested(object, *repairs),
            Self::Uncontested { object } => {
                Entry::info("repairing this object at the usual pace again").with("key", object)
            }
            Self::Refused { object, error, retry_ms } => Entry::warn("failed to change an object")
                .with("key", object)
                .with("errno", error)
                .with("retry_ms", retry_ms),
            Self::Foreign { object } => {
                Entry::warn("object not created by rail inside its ranges; ignored")
                    .with("key", object)
            }
            Self::Changed { object, change } => {
                Entry::debug("changed an object").with("key", object).with("op", change)
            }
            Self::Guard { closed: true } => Entry::info(
                "boot guard closed: forwarding blocked until the first state is verified",
            ),
            Self::Guard { .. } => Entry::info("verified the first state and opened the boot guard"),
            Self::Withdrawn => Entry::info("removed everything rail had installed"),
        }
    }
}

/// How the repair of an object reads. `by`: who changed it, empty if unknown.
fn repaired<'a>(object: &str, took_us: u64, by: &str) -> Entry<'a> {
    let entry = Entry::warn("repaired an object that somebody changed")
        .with("key", object)
        .with("took_us", took_us);
    if by.is_empty() { entry } else { entry.with("by", by) }
}

/// How a contested object reads.
fn contested<'a>(object: &str, repairs: u32) -> Entry<'a> {
    Entry::warn("another program keeps changing this object; repairing less often")
        .with("key", object)
        .with("repairs", repairs)
}
