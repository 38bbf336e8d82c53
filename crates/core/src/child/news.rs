//! News of supervised children.

use crate::notice::Entry;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// News of supervised children.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum ChildNews {
    /// It runs; `adopted`: an earlier daemon had started it.
    #[serde(rename = "child-started")]
    Started { child: String, pid: u32, adopted: bool },
    /// It was told that its files changed.
    #[serde(rename = "child-reloaded")]
    Reloaded { child: String },
    /// It ended because it is not wanted, or to be started anew.
    #[serde(rename = "child-stopped")]
    Stopped { child: String },
    /// It ended by itself, so many times since this was last told.
    #[serde(rename = "child-ended")]
    Ended { child: String, exit: String, words: Option<String>, times: u64 },
    /// It does not take its new files, and goes on with the old ones.
    #[serde(rename = "child-refused")]
    Refused { child: String, why: String },
    /// The system's own questions do not go to it as they should, or do so again.
    #[serde(rename = "child-hindered")]
    Hindered { child: String, why: Option<String> },
    /// It wrote a line.
    #[serde(rename = "child-said")]
    Said { child: String, line: String },
}

impl ChildNews {
    /// The same for those who may not read what others write, where that is less.
    pub(crate) fn for_anybody(&self) -> Option<Self> {
        match self.clone() {
            Self::Ended { child, exit, words: Some(_), times } => {
                Some(Self::Ended { child, exit, words: None, times })
            }
            Self::Refused { child, .. } => Some(Self::Refused { child, why: String::new() }),
            Self::Said { child, .. } => Some(Self::Said { child, line: String::new() }),
            _ => None,
        }
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Started { child, pid, adopted } => {
                let sentence = if *adopted {
                    "helper program still running; adopted"
                } else {
                    "helper program started"
                };
                Entry::info(sentence).with("child", child).with("pid", pid)
            }
            Self::Reloaded { child } => {
                Entry::info("helper program reloaded its files").with("child", child)
            }
            Self::Stopped { child } => Entry::info("helper program stopped").with("child", child),
            Self::Ended { child, exit, words, times } => {
                let entry = Entry::warn("helper program ended; it is started again")
                    .with("child", child)
                    .with("exit", exit);
                let entry = match words {
                    Some(words) => entry.with("last_words", words),
                    None => entry,
                };
                if *times > 1 { entry.with("times", times) } else { entry }
            }
            Self::Refused { child, why } => {
                let text = "helper program refused its new configuration; goes on with the old one";
                Entry::warn(text).with("child", child).with("why", why)
            }
            Self::Hindered { child, why: Some(why) } => {
                Entry::warn("the router does not ask its own resolver")
                    .with("child", child)
                    .with("why", why)
            }
            Self::Hindered { child, why: None } => {
                Entry::info("the router asks its own resolver").with("child", child)
            }
            Self::Said { child, line } => {
                Entry::debug("helper program wrote").with("child", child).with("line", line)
            }
        }
    }
}
