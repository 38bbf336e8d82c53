//! What an administrator says of an uplink beside the file: `rail disable`,
//! `drain`, `prefer`.
//!
//! Each is a small change of the configuration that is not written there, so
//! that everything behind it (routes, shares, connections) is as if the file
//! said so. Promises: it ends with its time on the boot clock, with `rail
//! enable`, and with the second configuration that lacks the uplink; without a time it outlives a boot.

use super::{Config, Tier};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::String;
use serde::{Deserialize, Serialize};

/// What to do with an uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// As `enabled = false`.
    Disable,
    /// New connections avoid it while another can carry them; those there are stay.
    Drain,
    /// It is used before all others while it is usable.
    Prefer,
}

impl Action {
    /// What became of the uplink.
    pub const fn participle(self) -> &'static str {
        match self {
            Self::Disable => "disabled",
            Self::Drain => "drained",
            Self::Prefer => "preferred",
        }
    }
}

/// An [`Action`], who wants it, and how long.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Override {
    /// What to do.
    pub action: Action,
    /// Who said so.
    pub by: String,
    /// Its end; `None`: until somebody ends it.
    pub until: Option<Instant>,
    /// Its end on the wall clock, for people; empty without one.
    pub until_wall: String,
}

impl Override {
    /// `disabled by root until 2026-01-31T12:00:00.000Z`.
    pub(crate) fn sentence(&self) -> String {
        let until = &self.until_wall;
        let until = if until.is_empty() { String::new() } else { format!(" until {until}") };
        format!("{}{until}", self.origin())
    }

    /// `disabled by root`.
    pub(crate) fn origin(&self) -> String {
        format!("{} by {}", self.action.participle(), self.by)
    }
}

/// By uplink.
pub type Overrides = BTreeMap<String, Override>;

/// The file's configuration as it is meant now.
pub(crate) fn effective(file: &Config, overrides: &Overrides) -> Config {
    let mut config = file.clone();
    for uplink in &mut config.uplinks {
        match overrides.get(&uplink.name).map(|o| o.action) {
            Some(Action::Disable) => uplink.enabled = false,
            // Before the first tier of any file.
            Some(Action::Prefer) if uplink.tier != Tier::Inbound => uplink.tier = Tier::Number(0),
            Some(Action::Prefer | Action::Drain) | None => {}
        }
    }
    config
}
