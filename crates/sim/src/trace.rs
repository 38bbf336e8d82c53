//! The timeline of a run: the last lines as text, and a hash over everything.

use rail_core::time::Instant;
use std::collections::VecDeque;
use std::fmt::Write;

/// What happened, in order.
#[derive(Clone, Debug)]
pub(crate) struct Trace {
    lines: VecDeque<(Instant, String)>,
    hash: u64,
    /// At most this many lines are kept.
    pub(crate) kept: usize,
}

impl Default for Trace {
    fn default() -> Self {
        Self { lines: VecDeque::new(), hash: 0xcbf2_9ce4_8422_2325, kept: KEPT }
    }
}

/// Uplinks that are kept, but for a replay.
const KEPT: usize = 60;

impl Trace {
    /// Writes an uplink.
    pub(crate) fn note(&mut self, at: Instant, text: String) {
        self.count(at, text.as_bytes());
        if self.lines.len() >= self.kept {
            self.lines.pop_front();
        }
        self.lines.push_back((at, text));
    }

    /// Takes something into the hash alone.
    pub(crate) fn count(&mut self, at: Instant, bytes: &[u8]) {
        for byte in at.as_nanos().to_le_bytes().iter().chain(bytes) {
            self.hash = (self.hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    /// The hash over everything so far.
    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    /// The last lines, oldest first.
    pub(crate) fn text(&self) -> String {
        let mut text = String::new();
        for (at, line) in &self.lines {
            // Writing to a String cannot fail.
            let _ = writeln!(text, "{at}  {line}");
        }
        text
    }
}
