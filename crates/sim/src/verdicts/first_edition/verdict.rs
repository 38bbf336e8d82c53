//! What the checks say of a line, and why, in words.

use rail_core::time::Duration;
use std::fmt;

/// What the checks say of a line.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Never judged.
    Probing,
    /// Good.
    Up,
    /// Usable, but not good.
    Degraded(Cause),
    /// Dead.
    Down(Cause),
    /// Good again, but not for `stable_for` yet; with the cause it had gone down for.
    Held(Cause),
}

/// Why an uplink is not good.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Cause {
    /// No valid answer from any target for this long.
    Silent(Duration),
    /// The gateway does not answer ARP.
    Neighbour,
    /// Fewer targets answer than required.
    Quorum {
        /// Answering.
        answering: usize,
        /// Required.
        required: usize,
    },
    /// Loss over the long window, in tenths of a per cent.
    Loss(u64),
    /// Mean round-trip time.
    Latency(Duration),
    /// Mean jitter.
    Jitter(Duration),
    /// The link, the address or the interface had gone.
    Interrupted,
    /// It was down before the restart.
    Adopted,
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Silent(d) => write!(f, "no answer from any target for {:.1} s", d.as_secs_f32()),
            Self::Neighbour => f.write_str("the gateway does not answer ARP"),
            Self::Quorum { answering, required } => {
                write!(f, "{answering} targets answer, {required} are required")
            }
            Self::Loss(permille) => write!(f, "loss {}.{} %", permille / 10, permille % 10),
            Self::Latency(d) => write!(f, "round-trip time {} ms", d.as_millis()),
            Self::Jitter(d) => write!(f, "jitter {} ms", d.as_millis()),
            Self::Interrupted => f.write_str("the link or its address was gone"),
            Self::Adopted => f.write_str("it was down before the restart"),
        }
    }
}
