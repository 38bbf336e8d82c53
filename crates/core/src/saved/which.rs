//! Which connections of an uplink are meant.

use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Which connections of an uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Which {
    /// Those that can move to another uplink: neither end is tied to this one.
    Movable,
    /// Those of them that are UDP.
    MovableUdp,
    /// Those whose source was translated to this address.
    From(IpAddr),
    /// Those that have this address of the router at one end: they came to it, or are its own.
    At(IpAddr),
    /// All of them.
    All,
}
