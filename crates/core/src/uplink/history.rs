//! What became of an uplink, for those who ask why.

use super::Uplink;
use crate::status::{Health, HistoryEntry, Role};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;

/// Entries kept per uplink in `rail why`.
const MOST: usize = 16;

/// What is reported of an uplink.
#[derive(Clone, Debug)]
pub(crate) struct History {
    /// Since when it has its health.
    pub(crate) since: Instant,
    /// Why it has it.
    pub(crate) cause: String,
    pub(crate) role: Role,
    pub(crate) entries: VecDeque<HistoryEntry>,
    /// Changes of health.
    pub(crate) transitions: u64,
    /// While it is suspect: what it was before, and since when.
    before_doubt: Option<(Health, Instant)>,
    /// People know its health from this process.
    pub(super) is_reported: bool,
    /// What the kernel knows of its gateway, in a word.
    pub(crate) neighbour: String,
}

impl History {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            cause: String::new(),
            role: Role::Standby,
            entries: VecDeque::new(),
            transitions: 0,
            before_doubt: None,
            is_reported: false,
            neighbour: "unknown".into(),
        }
    }

    /// The health changed. False if it is but a doubt, or the end of one: that is no change of what is
    /// known for certain.
    pub(super) fn changed(&mut self, now: Instant, from: Health, to: Health) -> bool {
        let doubted = self.before_doubt.take();
        if to == Health::Suspect {
            self.before_doubt = Some((from, self.since));
            self.since = now;
            return false;
        }
        if let Some((_, since)) = doubted.filter(|(health, _)| *health == to) {
            self.since = since;
            return false;
        }
        self.since = now;
        self.transitions += 1;
        true
    }

    fn note(&mut self, now: Instant, text: String) {
        let at_ms = now.as_nanos() / 1_000_000;
        while self.entries.len() >= MOST {
            self.entries.pop_front();
        }
        self.entries.push_back(HistoryEntry { at_ms, text });
    }
}

impl Uplink {
    /// Notes something in its history.
    pub(crate) fn note(&mut self, now: Instant, text: String) {
        self.history.note(now, text);
    }
}
