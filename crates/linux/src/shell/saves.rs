//! States that must be on the disk and are not yet.
//!
//! Each is reported as it arrives: what waits for an older one does not wait for a newer one.

use super::{Event, Shell, Waiting};
use rail_core::Input;
use rail_core::notice::Severity;
use rail_core::time::Instant;
use std::collections::VecDeque;

#[derive(Debug)]
struct Save {
    /// The number of the write.
    number: u64,
    /// As which of those that had to be there it was asked for.
    count: u64,
    /// It is not waited for any longer.
    until: Instant,
}

/// The oldest first.
#[derive(Debug, Default)]
pub(super) struct Saves(VecDeque<Save>);

impl Saves {
    pub(super) fn push(&mut self, number: u64, count: u64, until: Instant) {
        self.0.push_back(Save { number, count, until });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When the oldest is given up.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.0.front().map(|save| save.until)
    }

    /// Those up to this write are on the disk, or given up: how many have been in all, if it is more
    /// than before.
    pub(super) fn end(&mut self, number: u64) -> Option<u64> {
        let mut count = None;
        while self.0.front().is_some_and(|save| save.number <= number) {
            count = self.0.pop_front().map(|save| save.count);
        }
        count
    }
}

impl Shell {
    /// The states up to this number are on the disk, or are not waited for any longer.
    pub(super) fn end_saving(&mut self, number: u64) {
        let there = self.saving.end(number);
        self.events.extend(there.map(|count| Event::Input(Input::Saved(count))));
        if self.saving.is_empty() && matches!(self.waiting, Some(Waiting::Disk)) {
            self.waiting = None;
        }
    }

    /// A disk that is full stays full: reported once, and again when it changes.
    pub(super) fn tell_save_error(&mut self, error: Option<String>) {
        if error != self.save_error {
            match &error {
                Some(text) => self.tell(Severity::Error, format!("{text}; goes on without it")),
                None => self.tell(Severity::Info, "could write the state again".into()),
            }
        }
        self.save_error = error;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given three writes, when the first is on the disk, then it alone is reported; when the last one is,
    /// which was written for both, then that.
    #[test]
    fn each_is_told_as_it_arrives() {
        let mut saves = Saves::default();
        for (number, count) in [(4, 1), (6, 2), (7, 3)] {
            saves.push(number, count, Instant::from_nanos(number));
        }
        assert_eq!((saves.end(3), saves.end(5), saves.end(5)), (None, Some(1), None));
        assert_eq!(saves.deadline(), Some(Instant::from_nanos(6)));
        assert_eq!((saves.end(7), saves.is_empty()), (Some(3), true));
    }
}
