//! Everything that can happen to a router.

use super::Unanswered;
use super::{Answer, AskError, AskId, ChildEvent, ChildId, Peer, PortId};
use crate::coexist::Findings;
use crate::config::{Config, Override};
use crate::net::{IfName, UplinkId};
use crate::state::{Key, Observed, OpError, Scope};
use crate::time::Duration;
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// Something arrived on a port.
    Packet {
        /// The port.
        port: PortId,
        /// The other end.
        from: Peer,
        /// How long ago the kernel received it: the loop may be late.
        age: Duration,
        /// What the port's [`PortKind`](crate::PortKind) says.
        bytes: Vec<u8>,
    },
    /// The answer to an [`Output::Ask`](crate::Output::Ask).
    Answered(AskId, Result<Answer, AskError>),
    /// What happened to a supervised child.
    Child(ChildId, ChildEvent),
    /// A device of uplinks that was busy goes on sending, and nothing comes in any more.
    Unanswered(IfName, Unanswered),
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
