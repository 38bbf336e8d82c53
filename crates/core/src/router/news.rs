//! News of the router as a whole.

use crate::notice::Entry;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the router as a whole.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum RouterNews {
    /// The daemon began its work.
    Started { router: String, adopted: bool },
    /// A configuration was loaded.
    Reloaded { generation: u64 },
    /// An operator overrode an uplink by command; or that is over.
    Override { uplink: String, action: Option<String>, by: String, until: String },
}

impl RouterNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Started { router, adopted } => {
                Entry::info(if *adopted { "started and adopted what was there" } else { "started" })
                    .with("router", router)
            }
            Self::Reloaded { generation } => {
                Entry::info("configuration reloaded").with("generation", generation)
            }
            Self::Override { uplink, action: Some(action), by, until } => {
                Entry::info("uplink overridden by command")
                    .with("uplink", uplink)
                    .with("action", action)
                    .with("by", by)
                    .with("until", until)
            }
            Self::Override { uplink, .. } => {
                Entry::info("uplink used as configured again").with("uplink", uplink)
            }
        }
    }
}
