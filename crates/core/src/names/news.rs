//! News of the interfaces and their names.

use crate::notice::Entry;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of the interfaces and their names.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum NamesNews {
    /// An interface that the configuration names otherwise has this name now.
    Named { interface: String, ifname: String },
}

impl NamesNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Named { interface, ifname } => {
                Entry::info("interface of the configuration has this name now")
                    .with("interface", interface)
                    .with("ifname", ifname)
            }
        }
    }
}
