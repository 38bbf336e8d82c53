//! The snapshot that every screen is made from. Its JSON form is an interface:
//! names are only added, never changed.

mod conflict;
mod own;
mod public;
mod uplink;

pub use conflict::*;
pub use own::*;
pub use uplink::*;

use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// The whole snapshot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Router name.
    pub router: String,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Counts configurations that were taken.
    pub generation: u64,
    /// Uplinks in the order of the configuration.
    pub uplinks: Vec<UplinkStatus>,
    /// VRRP instances; none in this version.
    pub vrrp: Vec<VrrpStatus>,
    /// True when the kernel has what we want.
    pub settled: bool,
    /// The boot guard is closed: nothing is forwarded.
    #[serde(default)]
    pub guarded: bool,
    /// Which configuration is in force; filled in by the daemon.
    #[serde(default)]
    pub configuration: ConfigurationStatus,
    /// Objects that the kernel refused, or that somebody fights over.
    pub trouble: Vec<Trouble>,
    /// Foreign objects inside our ranges, as text; never touched.
    pub foreign: Vec<String>,
    /// Where other software takes, drops or moves what is ours; never touched.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// What of other software could not be looked at, and why.
    #[serde(default)]
    pub unread: Vec<String>,
    /// Targets that fail on every uplink and are ignored.
    #[serde(rename = "blamed")]
    pub ignored: Vec<IpAddr>,
    /// What became of packets from outside.
    pub counters: Counters,
    /// Repairs of drift since the start.
    pub repairs: u64,
    /// The daemon itself; filled in by the daemon.
    #[serde(rename = "self", default)]
    pub own: SelfStatus,
}

/// Which configuration is in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigurationStatus {
    /// Where it comes from.
    pub source: Source,
    /// When it was taken; wall clock.
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

/// A VRRP instance (reserved).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// Name.
    pub name: String,
    /// `active`, `backup`, `fault`, `init`.
    pub state: String,
}
