//! What the other end of a line by PPP has given.

use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// What the other end of a line by PPP has given.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SavedPpp {
    /// Our address.
    pub address: Ipv4Addr,
    /// That of the other end; pppd makes one up where the other end names none.
    pub peer: Ipv4Addr,
    /// Name servers.
    #[serde(default)]
    pub resolvers: Vec<Ipv4Addr>,
    /// How often pppd lacked a plugin of the name that was tried.
    #[serde(default)]
    pub plugin: u32,
}
