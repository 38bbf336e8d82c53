//! A line that is dialled, on the screens.

use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// The PPP connection of an uplink.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct PppStatus {
    /// What it is about: `up`, `dialling`, `resting`, ..
    pub phase: String,
    /// The other end, while it is up.
    pub peer: Option<Ipv4Addr>,
    /// Name servers of the provider, while it is up.
    pub resolvers: Vec<Ipv4Addr>,
    /// How often pppd was started since the start of the daemon.
    pub dials: u64,
    /// Seconds until it is dialled again; `None`: it is up, is dialled, or waits for something.
    pub redial_s: Option<u64>,
    /// Why the last connection ended, or was not made; empty: it is up, or was never tried.
    pub cause: String,
    /// What you can do about it; empty: nothing.
    pub advice: String,
    /// How pppd ended.
    pub ended: String,
    /// What pppd said last, the newest last.
    pub said: Vec<String>,
}
