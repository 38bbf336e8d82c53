//! Which configuration is in force, on the screens.

use alloc::string::String;
use serde::{Deserialize, Serialize};

/// Which configuration is in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigurationStatus {
    /// Where it comes from.
    pub source: Source,
    /// When it was loaded; wall clock.
    pub taken: String,
    /// By whom.
    pub by: String,
    /// Why the file is not in force.
    pub problem: Option<String>,
    /// It waits for `rail confirm`.
    pub trial: Option<TrialStatus>,
}

/// Where the configuration in force comes from.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The configuration file, as it was read last.
    #[default]
    File,
    /// The state directory: the file could not be used at the start.
    LastGood,
    /// `rail apply --confirm`: the file does not have it yet.
    Trial,
}

/// A configuration that goes back unless it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Seconds until then.
    pub left_s: u64,
}
