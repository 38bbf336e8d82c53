//! Questions that take time and have one answer.
//!
//! The shell works on them beside all else, on so many at once and for so long at most; each has one
//! answer, unless its asker calls it off. A new kind is a variant of [`Ask`], and of [`Answer`] where its
//! answer is of a new form, a file in the shell and one in the simulator.

use super::port::Binding;
use crate::net::{Family, UplinkId};
use crate::time::Duration;
use core::net::SocketAddr;

/// Who asks.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Asker {
    /// The checks of an uplink in one family.
    Probe(UplinkId, Family),
}

impl Asker {
    /// The uplink that it asks for, if it asks for one.
    pub const fn uplink(self) -> Option<UplinkId> {
        match self {
            Self::Probe(uplink, _) => Some(uplink),
        }
    }
}

/// Which question; its answer bears the same.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct AskId {
    /// Who asks.
    pub asker: Asker,
    /// The asker's number of the question.
    pub n: u64,
}

/// A question.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Ask {
    /// Connect over TCP, and close again at once: does somebody answer there?
    Connect {
        /// What the connection is bound to.
        binding: Binding,
        /// The other end.
        to: SocketAddr,
        /// How long an answer is waited for, 30 s at most.
        timeout: Duration,
    },
}

/// An answer. Of whatever form, it shows that the other end was reached.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Answer {
    /// The connection came about.
    Connected {
        /// Round-trip time, as the kernel measured it where it did.
        rtt: Duration,
    },
    /// The other end refused the connection (RST, RFC 9293 §3.5.2).
    Refused {
        /// Round-trip time.
        rtt: Duration,
    },
}

/// Why there is no answer.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum AskError {
    /// Nothing came in time.
    TimedOut,
    /// The kernel or a router on the way knows no way there.
    Unreachable,
    /// It was never asked: too many questions at once, or no device, address or descriptor. This says
    /// nothing of the other end.
    NotAsked,
}
