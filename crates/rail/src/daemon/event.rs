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
    lines: VecDeque<Line>,
    /// When the first one was, in milliseconds since boot.
    begun_ms: Option<u64>,
    /// How many there were.
    count: u64,
}

/// An event as a JSON line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    whole: Rc<str>,
    /// For those who may not look at the rules, where that is less.
    public: Option<Rc<str>>,
}

impl Line {
    /// What root may read, or everybody else.
    pub(super) fn text(&self, is_root: bool) -> &str {
        self.public.as_ref().filter(|_| !is_root).unwrap_or(&self.whole)
    }
}

#[derive(Serialize)]
struct Event<'a> {
    at_ms: u64,
    /// With `n`, the number of the event in this boot: it grows from one daemon to the next, too.
    daemon: u64,
    n: u64,
    wall: &'a str,
    severity: Severity,
    notice: &'a Notice,
}

impl EventRing {
    /// Keeps the notice, and returns its line for those who follow.
    pub(super) fn push(&mut self, now: Instant, wall: &str, notice: &Notice) -> Option<Line> {
        let severity = notice.severity();
        if severity > Severity::Info {
            return None;
        }
        let at_ms = now.as_nanos() / 1_000_000;
        let daemon = *self.begun_ms.get_or_insert(at_ms);
        let n = self.count;
        self.count += 1;
        let text = |notice: &Notice| -> Option<Rc<str>> {
            let line =
                serde_json::to_string(&Event { at_ms, daemon, n, wall, severity, notice }).ok()?;
            Some((line + "\n").into())
        };
        let less = notice.for_anybody();
        let public = if let Some(less) = &less { Some(text(less)?) } else { None };
        let line = Line { whole: text(notice)?, public };
        if self.lines.len() == KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(line.clone());
        Some(line)
    }

    /// The kept lines, oldest first.
    pub(super) fn lines(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter()
    }
}

const KEPT: usize = 1000;
