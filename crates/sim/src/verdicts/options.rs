//! The words of the command line.

use super::rules::Kind;
use rail_core::time::Duration;
use std::hash::{BuildHasher, RandomState};

/// What is said when the words make no sense.
pub const USAGE: &str = "usage: rail-sim verdicts [--short] [--trials N] [--hours H] [--seed S]
                         [--jobs J] [--rule NAME] [--row NAME]
  --trials N   faults of each kind, default 300
  --hours H    virtual hours on each uplink that does not break, default 48
  --short      10 faults, one hour
  --seed S     repeats a run; fresh by default
  --jobs J     threads; all processors by default
  --rule NAME  only rules whose name contains this; again for others
  --row NAME   only rows whose name contains this; again for others";

/// What to measure.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Faults of each kind.
    pub trials: usize,
    /// Time on each uplink that does not break.
    pub hours: Duration,
    /// All chance comes from it.
    pub seed: u64,
    /// Threads.
    pub jobs: usize,
    /// Parts of the names of the rules that are wanted; none: all.
    pub rules: Vec<String>,
    /// Parts of the names of the rows that are wanted; none: all.
    pub rows: Vec<String>,
}

impl Options {
    /// The long form, with a fresh seed.
    pub fn long() -> Self {
        Self {
            trials: 300,
            hours: HOUR * 48,
            // Short, so that a person can type it.
            seed: RandomState::new().hash_one(0) % 1_000_000_000,
            jobs: std::thread::available_parallelism().map_or(1, usize::from),
            rules: Vec::new(),
            rows: Vec::new(),
        }
    }

    /// Reads the words behind `verdicts`; `None` if they make no sense.
    pub fn parse(mut words: impl Iterator<Item = String>) -> Option<Self> {
        let mut options = Self::long();
        while let Some(word) = words.next() {
            match word.as_str() {
                "--short" => (options.trials, options.hours) = (10, HOUR),
                "--trials" => options.trials = words.next()?.parse().ok().filter(|n| *n > 0)?,
                "--hours" => {
                    let hours: u32 = words.next()?.parse().ok().filter(|n| *n > 0)?;
                    options.hours = HOUR * hours;
                }
                "--seed" => options.seed = words.next()?.parse().ok()?,
                "--jobs" => options.jobs = words.next()?.parse().ok()?,
                "--rule" => options.rules.push(words.next()?.to_lowercase()),
                "--row" => options.rows.push(words.next()?.to_lowercase()),
                _ => return None,
            }
        }
        Some(options)
    }

    /// True for rules that are wanted.
    pub(super) fn wants(&self, kind: &Kind) -> bool {
        is_among(&self.rules, kind.name)
    }

    /// True for rows that are wanted.
    pub(super) fn wants_row(&self, name: &str) -> bool {
        is_among(&self.rows, name)
    }
}

fn is_among(parts: &[String], name: &str) -> bool {
    let name = name.to_lowercase();
    parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
}

const HOUR: Duration = Duration::from_secs(3600);
