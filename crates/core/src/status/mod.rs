//! The snapshot that every screen is made from. Its JSON form is an interface:
//! names are only added, never changed.

mod child;
mod configuration;
mod conflict;
mod kept;
mod lease;
mod notifier;
mod own;
mod ppp;
mod public;
mod queues;
mod uplink;
mod vrrp;

pub use child::*;
pub use configuration::*;
pub use conflict::*;
pub use kept::*;
pub use lease::*;
pub use notifier::*;
pub use own::*;
pub use ppp::*;
pub use queues::*;
pub use uplink::*;
pub use vrrp::*;

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
    /// Counts configurations that were loaded.
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
    /// The programs that run beside the router.
    #[serde(default)]
    pub children: Vec<ChildStatus>,
    /// Physical ports whose packets are spread over the CPUs.
    #[serde(default)]
    pub queues: Vec<QueueStatus>,
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
    /// Who is told of all this; `None`: nobody, or not yet. Filled in by the daemon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub notifier: Option<NotifierStatus>,
}
