//! What a restart takes over: numbers of names always, verdicts and originals
//! within one boot.

use super::{Book, Router};
use crate::check::{Cause, Line, Verdict};
use crate::config::{CheckConfig, Config};
use crate::facts::UplinkFacts;
use crate::net::UplinkId;
use crate::random::Key;
use crate::render;
use crate::saved::Saved;
use crate::status::{Health, Role};
use crate::time::Instant;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Makes the saved state fit this boot and this configuration.
pub(super) fn prepare(saved: Saved, boot_id: String, config: &Config) -> Saved {
    let mut saved = saved.of_boot(boot_id);
    saved.sysctls.retain(|path, _| render::is_known_setting(path));
    saved.take(config);
    saved
}

/// The verdict that a restart begins with.
const fn adopted(health: Health) -> Verdict {
    match health {
        Health::Up | Health::Degraded => Verdict::Up,
        Health::Held => Verdict::Held(Cause::Adopted),
        Health::Down => Verdict::Down(Cause::Adopted),
        // What a device lacked is looked at again, and the state is written a moment after what it
        // tells of: of an uplink that has come up since, nothing is known.
        Health::NoCarrier
        | Health::NoAddress
        | Health::Absent
        | Health::NoWay
        | Health::Probing
        | Health::Disabled => Verdict::Probing,
    }
}

impl Router {
    /// Sets up uplinks, books and facts for the configuration, from the saved verdicts.
    pub(super) fn adopt_uplinks(&mut self, now: Instant) {
        for index in 0..self.config.uplinks.len() {
            let name = &self.config.uplinks[index].name;
            let health = self.saved.verdicts.get(name).copied().unwrap_or(Health::Probing);
            let id = self.saved.ids.get(name).copied().unwrap_or(UplinkId(0));
            let (line, book, mut fact) = self.fresh_uplink(now, id, adopted(health));
            fact.active = self.saved.active.contains(name);
            self.lines.push(line);
            self.books.push(book);
            self.facts.uplinks.push(fact);
            self.lines_dirty.push(true);
        }
        self.note_drained();
        let ignored = self.saved.ignored.clone();
        self.blamed = self.still_ignored(&ignored);
    }

    /// Those of the targets that were left out of the count before; all of them cannot be.
    pub(super) fn still_ignored(&self, ignored: &[IpAddr]) -> Vec<bool> {
        let targets = &self.config.check.targets;
        let mut still: Vec<bool> =
            targets.iter().map(|target| ignored.contains(&IpAddr::V4(*target))).collect();
        if still.iter().all(|ignored| *ignored) {
            still.fill(false);
        }
        still
    }

    /// Line, book and facts of an uplink that begins with `verdict`.
    pub(super) fn fresh_uplink(
        &self,
        now: Instant,
        id: UplinkId,
        verdict: Verdict,
    ) -> (Line, Book, UplinkFacts) {
        let check: CheckConfig = self.config.check.clone();
        let line = Line::new(now, id, check, self.line_key(id, now), verdict);
        let book = Book {
            since: now,
            cause: String::new(),
            role: Role::Standby,
            history: VecDeque::new(),
            transitions: 0,
            is_told: false,
            way: super::way::Way::default(),
            neighbour: "unknown".into(),
        };
        (line, book, UplinkFacts::new(id))
    }

    /// The key of a line, and the prefix of the identifiers of all.
    fn line_key(&self, id: UplinkId, now: Instant) -> (Key, u16) {
        let word = |n| self.key.hash(&[u64::from(id.0), now.as_nanos(), n]).to_le_bytes();
        let mut seed = [0; 16];
        let (low, high) = seed.split_at_mut(8);
        low.copy_from_slice(&word(0));
        high.copy_from_slice(&word(1));
        let prefix = u16::try_from(self.key.hash(&[]) & 0xffff).unwrap_or(0);
        (Key::new(seed), prefix)
    }
}
