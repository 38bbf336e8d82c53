//! What another program had configured on the interface of an uplink.

use crate::net::Prefix;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// What another program had configured on the interface of an uplink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedKept {
    /// The address with its prefix length.
    pub address: Prefix,
    /// The gateway; `None`: its device has two ends.
    pub gateway: Option<IpAddr>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// It was gone when this was written.
    #[serde(default)]
    pub is_over: bool,
}
