//! When to look for connections that no uplink has.
//!
//! To walk the connection table costs the more the larger it is, and nearly always nothing is found.
//! Such a connection is condemned by the chain that drops its packet, and that rule counts. So the
//! table is walked when the counter has moved, after a walk that found some or failed, once a minute
//! in any case, and by a new process at once: what was condemned while none ran is not counted anew.

use rail_core::state::OpError;
use rail_core::time::{Duration, Instant};

/// What was seen at the last look.
#[derive(Debug, Default)]
pub(super) struct Strays {
    packets: Option<u64>,
    looked: Option<Instant>,
    /// The last walk found some, or failed, or was not answered yet.
    again: bool,
}

impl Strays {
    /// True if the table is to be walked now. `packets` is what the chain has counted, if that is known.
    pub(super) fn is_due(&mut self, now: Instant, packets: Option<u64>) -> bool {
        let has_moved = packets.is_none() || packets != self.packets;
        let is_old = self.looked.is_none_or(|at| now.since(at) >= AT_LEAST);
        let is_due = has_moved || is_old || self.again;
        if is_due {
            *self = Self { packets, looked: Some(now), again: true };
        }
        is_due
    }

    /// The table was walked.
    pub(super) fn answered(&mut self, result: &Result<u32, OpError>) {
        self.again = !matches!(result, Ok(0));
    }
}

/// A walk can miss a connection, and nobody else would find it.
const AT_LEAST: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a counter that moves or stands still, then the table is walked at the start, when it has
    /// moved, again after a walk that found something, and once a minute.
    #[test]
    fn the_table_is_walked_only_if_something_can_be_found() {
        let mut strays = Strays::default();
        let at = |seconds| Instant::ZERO + Duration::from_secs(seconds);
        let steps = [
            (0, Some(7), true, 0),
            (5, Some(7), false, 0),
            (10, Some(8), true, 3),
            (15, Some(8), true, 0),
            (20, Some(8), false, 0),
            // The rule was made anew.
            (25, Some(0), true, 0),
            (80, Some(0), false, 0),
            (85, Some(0), true, 0),
            (90, None, true, 0),
            (95, None, true, 0),
        ];
        for (seconds, packets, is_due, found) in steps {
            assert_eq!(strays.is_due(at(seconds), packets), is_due, "at {seconds} s");
            if is_due {
                strays.answered(&Ok(found));
            }
        }
    }
}
