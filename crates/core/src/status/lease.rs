//! A lease on the screens.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// The DHCP client of an uplink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct LeaseStatus {
    /// What it is about: `bound`, `discovering`, ..
    pub phase: String,
    /// The server of the lease.
    pub server: Option<Ipv4Addr>,
    /// Seconds that the lease still lasts; `None`: there is none, or it lasts for ever.
    pub remaining_s: Option<u64>,
    /// Name servers of the provider.
    pub resolvers: Vec<Ipv4Addr>,
    /// Messages sent since the start.
    pub sent: u64,
    /// Answers to them.
    pub received: u64,
    /// Answers that were wrong, or of no use.
    pub refusals: u64,
    /// Answers that denied what was asked for.
    pub denied: u64,
    /// Why the last offer was refused; empty: none was.
    pub refused: String,
}
