//! News of the removal of connections.

use crate::notice::Entry;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the removal of connections.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum PurgeNews {
    /// Connections of an uplink that could move were deleted.
    Purged { uplink: String, connections: u32 },
}

impl PurgeNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Purged { uplink, connections } => Entry::info("deleted connections")
                .with("uplink", uplink)
                .with("connections", connections),
        }
    }
}
