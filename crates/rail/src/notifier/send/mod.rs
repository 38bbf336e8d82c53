//! How a message is handed over: one file for each kind of target.
//!
//! Pure: each says what curl (or the command) gets, and what its end means. curl reads its orders from its
//! standard input, so no secret is an argument; it follows nobody elsewhere, speaks no other protocol, and
//! ends in [`TIME_S`]. Promises: whatever a server says, a judgement is made, and no secret is in its words.

pub(crate) mod base64;
pub(crate) mod command;
pub(crate) mod curl;
pub(crate) mod ddns;
pub(crate) mod http;
pub(crate) mod mail;
pub(crate) mod webhook;

use std::net::Ipv4Addr;

/// By what way it goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// As the router's routes say: the other end is inside, or is this machine.
    Inside,
    /// By an uplink, with its address.
    Uplink {
        /// Its address.
        address: Ipv4Addr,
        /// Its interface, where its address is another's as well.
        device: Option<String>,
    },
}

/// How a program ended.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Ended {
    /// Its code; `None`: it was killed, or could not be started.
    pub(crate) code: Option<i32>,
    /// Why there is no code.
    pub(crate) problem: String,
    /// The first of what it wrote.
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
}

/// Seconds that an attempt may take.
pub(crate) const TIME_S: u64 = 60;
