//! News of the configuration in force.

use crate::notice::{Entry, Severity};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the configuration in force.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum RevisionNews {
    /// The configuration file could not be used at the start.
    LastGood { problem: String },
    /// A configuration was installed by command.
    Installed { by: String, how: String },
    /// A configuration is in force until its time is over.
    OnTrial { by: String, limit_s: u64 },
    /// It is in force for good.
    Confirmed { by: String },
    /// What was before it is in force again.
    TakenBack { why: String },
}

impl RevisionNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::LastGood { problem } => {
                Entry::new(Severity::Error, "started with the last good configuration")
                    .with("problem", problem)
            }
            Self::Installed { by, how } => {
                Entry::info("installed a configuration").with("by", by).with("how", how)
            }
            Self::OnTrial { by, limit_s } => {
                Entry::warn("configuration on trial").with("by", by).with("limit_s", limit_s)
            }
            Self::Confirmed { by } => {
                Entry::info("confirmed the configuration on trial").with("by", by)
            }
            Self::TakenBack { why } => {
                Entry::warn("configuration on trial rolled back").with("why", why)
            }
        }
    }
}
