//! Which events become one message, and when it may leave.
//!
//! The first event opens a group, and what follows within the window joins it. A group that opens soon
//! after a message has twice the window of the one before, so that what comes and goes becomes ever fewer
//! messages that each say more. No hour has more messages than allowed; in quiet hours a group waits for
//! their end, unless it tells of a total loss, or of its end. Whatever it waits for, it goes on collecting.
//! Pure; time is milliseconds of the boot clock, and the minute of the day.

use super::event::{Loss, Number, Told};
use rail_core::config::{Notify, Quiet};
use rail_core::time::Duration;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;

/// What is collected. Written to the disk as it is.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Fold {
    open: Option<Group>,
    /// When messages left, the newest last.
    sent_ms: VecDeque<u64>,
    /// How often the window was doubled.
    doubled: u32,
    /// No uplink can be used.
    is_lost: bool,
}

/// Events that become one message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Group {
    /// The number of the first event; names the message.
    pub(crate) first: Number,
    /// The first of them.
    pub(crate) told: Vec<Told>,
    /// How many more there were.
    pub(crate) more: u64,
    /// Events before it were lost.
    #[serde(default)]
    pub(crate) is_torn: bool,
    opened_ms: u64,
    is_urgent: bool,
}

/// What the configuration says of it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Rules {
    window_ms: u64,
    at_most: usize,
    quiet: Option<Quiet>,
}

/// A point in time.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) struct Moment {
    /// Milliseconds since boot.
    pub(crate) ms: u64,
    /// Minutes since midnight, local time.
    pub(crate) minute: u16,
}

impl From<&Notify> for Rules {
    fn from(notify: &Notify) -> Self {
        Self {
            window_ms: millis(notify.fold),
            at_most: usize::try_from(notify.at_most).unwrap_or(usize::MAX),
            quiet: notify.quiet,
        }
    }
}

impl Fold {
    /// Takes an event in. `is_torn`: some before it were lost.
    pub(crate) fn take(&mut self, now_ms: u64, number: Number, told: Told, is_torn: bool) {
        let is_urgent = match told.loss {
            Loss::Total => !std::mem::replace(&mut self.is_lost, true),
            Loss::Over => std::mem::take(&mut self.is_lost),
            Loss::Unsaid => false,
        };
        if self.open.is_none() {
            let is_calm =
                self.sent_ms.back().is_none_or(|at| now_ms.saturating_sub(*at) >= CALM_MS);
            self.doubled = if is_calm { 0 } else { (self.doubled + 1).min(MOST_DOUBLED) };
        }
        let group = self.open.get_or_insert_with(|| Group {
            first: number,
            told: Vec::new(),
            more: 0,
            is_torn: false,
            opened_ms: now_ms,
            is_urgent: false,
        });
        group.is_urgent |= is_urgent;
        group.is_torn |= is_torn;
        if group.told.len() < MOST_TOLD {
            group.told.push(told);
        } else {
            // The last one is how things are now.
            group.more += 1;
            group.told[MOST_TOLD - 1] = told;
        }
    }

    /// The group whose time has come.
    pub(crate) fn due(&mut self, rules: &Rules, now: Moment) -> Option<Group> {
        if self.due_ms(rules, now)? > now.ms {
            return None;
        }
        self.sent_ms.push_back(now.ms);
        while self.sent_ms.len() > rules.at_most {
            self.sent_ms.pop_front();
        }
        self.open.take()
    }

    /// When the group may leave, as far as is known now.
    pub(crate) fn due_ms(&self, rules: &Rules, now: Moment) -> Option<u64> {
        let group = self.open.as_ref()?;
        let most = if group.is_urgent { URGENT_MS } else { LONGEST_MS };
        let window = (rules.window_ms << self.doubled).min(most).max(rules.window_ms);
        let mut due = group.opened_ms.saturating_add(window);
        if self.sent_ms.len() >= rules.at_most
            && let Some(first) = self.sent_ms.get(self.sent_ms.len() - rules.at_most)
        {
            due = due.max(first.saturating_add(HOUR_MS));
        }
        let left = rules.quiet.and_then(|quiet| quiet.left(now.minute));
        if let Some(left) = left.filter(|_| !group.is_urgent) {
            // By the minute, so up to one late.
            due = due.max(now.ms.saturating_add(u64::from(left) * 60_000));
        }
        Some(due)
    }

    /// Events that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.open.as_ref().map_or(0, |group| group.told.len() as u64 + group.more)
    }

    /// The number of the message that it collects.
    pub(crate) fn first(&self) -> Option<Number> {
        self.open.as_ref().map(|group| group.first)
    }

    /// Forgets the group: its message was made before a crash.
    pub(crate) fn drop_open(&mut self) {
        self.open = None;
    }

    /// Another boot has another clock: what waits is due, and the hour begins anew.
    pub(crate) fn after_boot(&mut self) {
        self.sent_ms.clear();
        self.doubled = 0;
        if let Some(group) = &mut self.open {
            group.opened_ms = 0;
        }
    }
}

/// Milliseconds of a time.
pub(crate) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A message that has no other within this time is the first of a story.
const CALM_MS: u64 = 600_000;
/// The longest window, unless the configuration has a longer one.
const LONGEST_MS: u64 = 600_000;
/// The same of a total loss.
const URGENT_MS: u64 = 60_000;
const MOST_DOUBLED: u32 = 10;
const HOUR_MS: u64 = 3_600_000;
/// Events of which a message knows the words.
const MOST_TOLD: usize = 100;

#[cfg(test)]
#[path = "fold/tests.rs"]
mod tests;
