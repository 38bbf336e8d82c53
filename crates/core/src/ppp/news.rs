//! News of lines that are dialled.

use crate::notice::Entry;
use alloc::string::String;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// News of lines that are dialled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum PppNews {
    /// A line is up. `is_new`: this process has dialled it.
    Connected { uplink: String, address: Ipv4Addr, peer: Ipv4Addr, is_new: bool },
    /// A line is over, or was not made; each cause is told once until it is up again. `said`: the last words
    /// of pppd; `seconds`: until it is dialled again, none: it waits for something.
    Disconnected {
        uplink: String,
        cause: String,
        advice: String,
        said: String,
        seconds: Option<u64>,
    },
}

impl PppNews {
    /// The same for those who may not read what others write, where that is less.
    pub(crate) fn for_anybody(&self) -> Option<Self> {
        let mut less = self.clone();
        match &mut less {
            Self::Disconnected { said, .. } => said.clear(),
            Self::Connected { .. } => return None,
        }
        Some(less)
    }

    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Connected { uplink, address, peer, is_new } => {
                let sentence =
                    if *is_new { "connected by PPP" } else { "took over a PPP connection" };
                Entry::info(sentence)
                    .with("uplink", uplink)
                    .with("address", address)
                    .with("peer", peer)
            }
            Self::Disconnected { uplink, cause, advice, said, seconds } => {
                let again = seconds.map_or_else(|| "none".into(), |s| alloc::format!("{s}"));
                Entry::warn("no PPP connection")
                    .with("uplink", uplink)
                    .with("cause", cause)
                    .with("advice", advice)
                    .with("said", said)
                    .with("redial_s", again)
            }
        }
    }
}
