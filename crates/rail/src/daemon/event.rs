//! The last events, as the control socket shows them.

use rail_core::notice::{Notice, Severity};
use rail_core::time::Instant;
use serde::Serialize;
use std::collections::VecDeque;
use std::rc::Rc;

/// The newest events as JSON lines, oldest first. Those below level info are not kept: a round of
/// probes five times a second would push everything else out.
#[derive(Debug, Default)]
pub(super) struct EventRing {
    lines: VecDeque<Rc<str>>,
}

#[derive(Serialize)]
struct Event<'a> {
    at_ms: u64,
    wall: &'a str,
    severity: Severity,
    notice: &'a Notice,
}

impl EventRing {
    /// Keeps the notice, and returns its line for those who follow.
    pub(super) fn push(&mut self, now: Instant, wall: &str, notice: &Notice) -> Option<Rc<str>> {
        let severity = notice.severity();
        if severity > Severity::Info {
            return None;
        }
        let at_ms = now.as_nanos() / 1_000_000;
        let mut line = serde_json::to_string(&Event { at_ms, wall, severity, notice }).ok()?;
        line.push('\n');
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        let line: Rc<str> = line.into();
        self.lines.push_back(Rc::clone(&line));
        Some(line)
    }

    /// The kept lines, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &str> {
        self.lines.iter().map(|line| &**line)
    }
}

const KEPT: usize = 1000;
