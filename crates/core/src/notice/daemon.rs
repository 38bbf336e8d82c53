//! News of the daemon around the core.

use super::{Entry, Severity};
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the daemon around the core.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum DaemonNews {
    /// The loop served something late; how often since the last such notice.
    Late { late_us: u64, times: u64 },
    /// Notifications of the kernel were lost; how often since the last such notice.
    Overrun { times: u64 },
    /// Anything else, as a sentence.
    #[serde(rename = "daemon")]
    Text { severity: Severity, text: String },
}

impl DaemonNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Late { late_us, times } => {
                Entry::warn("event loop delayed").with("late_us", late_us).with("times", times)
            }
            Self::Overrun { times } => {
                Entry::warn("kernel notifications lost; everything read again").with("times", times)
            }
            Self::Text { severity, text } => Entry::new(*severity, text),
        }
    }
}
