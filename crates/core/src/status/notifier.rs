//! How the process that tells people does, in its own words.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// How the notifier does, as it said last.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NotifierStatus {
    /// Seconds since it said so; filled in by the daemon.
    pub said_ago_s: u64,
    /// Whom it tells.
    pub targets: Vec<TargetNews>,
    /// Names that follow an address.
    pub names: Vec<NameNews>,
    /// Events that become a message later.
    pub collecting: u64,
    /// Lines of the daemon that it did not understand.
    pub unread: u64,
    /// Why messages are not on the disk.
    pub error: Option<String>,
}

impl NotifierStatus {
    /// The same some seconds later.
    #[must_use]
    pub fn aged(&self, seconds: u64) -> Self {
        let mut later = self.clone();
        later.said_ago_s += seconds;
        for target in &mut later.targets {
            target.next_s = target.next_s.map(|left| left.saturating_sub(seconds));
        }
        later
    }
}

/// Somebody who is told.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct TargetNews {
    /// Who: `email ops@example.org`, `webhook`, `command`.
    pub name: String,
    /// Messages that wait.
    pub queued: usize,
    /// Messages that arrived, since the notifier started.
    pub sent: u64,
    /// Messages that were given up, since then.
    pub dropped: u64,
    /// Attempts that failed in a row.
    pub failures: usize,
    /// Seconds until the next one.
    pub next_s: Option<u64>,
    /// When the last message arrived; empty: none has since the start.
    pub last_sent: String,
    /// What went wrong the last time; `None`: nothing.
    pub error: Option<String>,
}

/// A name that follows an address.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NameNews {
    /// The name.
    pub hostname: String,
    /// What its server was told.
    pub address: Option<IpAddr>,
    /// What is wrong; `None`: nothing.
    pub error: Option<String>,
}
