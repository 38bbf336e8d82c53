//! The dialler for people: its phase in a word, how the last connection ended, and what pppd said.

use super::{Dialler, Last, Phase};
use crate::time::{Duration, Instant};
use alloc::string::String;

impl Dialler {
    /// What it is about, in a word.
    pub(crate) const fn phase(&self) -> &'static str {
        match self.phase {
            Phase::Idle if self.stranger.is_some() => "blocked",
            Phase::Idle => "waiting",
            Phase::Resting { .. } => "resting",
            Phase::Dialling { .. } => "dialling",
            Phase::Up { .. } => "up",
            Phase::HangingUp { .. } => "hanging up",
        }
    }

    /// An interface of somebody else's has its name.
    pub(crate) const fn is_blocked(&self) -> bool {
        self.stranger.is_some()
    }

    /// Time until the next dial.
    pub(crate) fn rest(&self, now: Instant) -> Option<Duration> {
        match self.phase {
            Phase::Resting { until } => Some(until.since(now)),
            _ => None,
        }
    }

    /// How the last one ended; `None` while the line is up.
    pub(crate) const fn last(&self) -> Option<&Last> {
        match self.phase {
            Phase::Up { .. } => None,
            _ => self.last.as_ref(),
        }
    }

    /// Whether it is up.
    pub(crate) const fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// pppd is to end, and runs yet.
    pub(crate) const fn is_ending(&self) -> bool {
        matches!(self.phase, Phase::HangingUp { .. })
    }

    /// What pppd said last, the newest last.
    pub(crate) fn words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(String::as_str)
    }

    /// How often pppd was started by this process.
    pub(crate) const fn dials(&self) -> u64 {
        self.dials
    }
}
