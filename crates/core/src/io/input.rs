//! Everything that can happen to a router.

use crate::coexist::Findings;
use crate::config::{Config, Override};
use crate::net::UplinkId;
use crate::state::{Key, Observed, OpError, Scope};
use crate::time::Duration;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// An ICMP message arrived on the probe socket of an uplink (bound to its device).
    Packet {
        /// The uplink whose socket it was.
        uplink: UplinkId,
        /// Source address.
        from: IpAddr,
        /// How long ago the kernel received it: the loop may be late.
        age: Duration,
        /// The ICMP message, without the IP header.
        bytes: Vec<u8>,
    },
    /// The kernel says that something in this scope changed, by another hand than ours.
    Changed(Scope),
    /// The answer to one [`Output::Observe`](crate::Output::Observe), or to several in a row.
    Observed(Scope, Box<Observed>),
    /// The answer to one step of [`Output::Apply`](crate::Output::Apply).
    Applied(Key, Result<(), OpError>),
    /// The answer to [`Output::Purge`](crate::Output::Purge): connections deleted.
    Purged {
        /// The uplink.
        uplink: UplinkId,
        /// How many, or why not.
        result: Result<u32, OpError>,
    },
    /// So many durable [`Output::Save`](crate::Output::Save) since the start are on the disk, or the disk
    /// refused them or is not waited for any longer.
    Saved(u64),
    /// What other software does to us was looked at again: it, or the system, had changed.
    Surveyed(Box<Findings>),
    /// A new, valid configuration.
    Reload(Box<Config>),
    /// What somebody says of the uplink of this name; `None` ends it.
    Override(String, Option<Override>),
    /// Take everything of ours away (`rail stop --withdraw`).
    Withdraw,
}
