//! Which configuration is in force, and when it goes back.
//!
//! Owns the last good configuration, the history, and the trial of `rail apply
//! --confirm`. Promises: a start has a configuration whenever one was good
//! before; a trial that nobody confirms ends at its time on the boot clock, and
//! with the boot. Leaves out reading and validating a text, and the disk: the
//! daemon brings what they say.

pub(crate) mod news;
mod path;

pub use path::{Path, cut, ssh_path};

use crate::config::Config;
use crate::status::{ConfigurationStatus, Source, TrialStatus};
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A valid text, and what it says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Version {
    /// The content of the file.
    pub text: String,
    /// What it says.
    pub config: Config,
}

/// Who took a configuration, when and how.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Origin {
    /// Wall clock, for people.
    pub wall: String,
    /// A user, and where from.
    pub by: String,
    /// `start`, `reload`, `apply` or `rollback`.
    pub how: String,
}

/// A configuration that was in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// Who, when and how.
    #[serde(flatten)]
    pub origin: Origin,
    /// The content of the file.
    pub text: String,
}

/// What was in force, the newest last.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// At most [`KEPT`] entries and [`MOST_BYTES`] of text.
    pub entries: Vec<Entry>,
}

/// A configuration that goes back unless it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trial {
    /// Who, when and how.
    #[serde(flatten)]
    pub origin: Origin,
    /// The content of the file.
    pub text: String,
    /// What was in force before.
    pub back: String,
    /// The boot in which it began.
    pub boot_id: String,
    /// Its end.
    pub until: Instant,
    /// Somebody confirmed it: noted before its text replaces the configuration file.
    #[serde(default)]
    pub is_confirmed: bool,
    /// What the configuration file held then, if that was another text: perhaps an edit that was never
    /// loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<String>,
}

/// What the state directory holds.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Kept {
    /// The text that was taken last.
    pub last_good: Option<String>,
    /// What was taken before.
    pub history: History,
    /// A trial that was neither confirmed nor taken back.
    pub trial: Option<Trial>,
}

/// What a start begins with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Choice {
    /// Where the text comes from.
    pub source: Source,
    /// The text.
    pub text: String,
    /// What a trial goes back to.
    pub back: Option<String>,
    /// A trial that was found and is over.
    pub over: Option<Over>,
}

/// How a trial ended that a start found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Over {
    /// It was confirmed, and its text had become the configuration file, before the daemon died.
    Confirmed,
    /// Its time had run out, or the machine was booted.
    TakenBack,
}

/// True if a text is nothing but the beginning of the one that was good before: what a crash leaves of
/// a file that was being written may be good, and mean less. Who deletes the end on purpose leaves
/// whole lines; a crash leaves them only where it cuts at a page.
pub fn is_torn(text: &str, good: &str) -> bool {
    let is_cut = !text.ends_with('\n') || text.len().is_multiple_of(PAGE);
    let (text, good) = (text.trim_end(), good.trim_end());
    is_cut && text.len() < good.len() && good.starts_with(text)
}

/// Chooses what a start begins with: a trial of this boot until its time is over, else the file,
/// else the newest good one of before. `file` is the content of the configuration file if it is
/// good; `None` if nothing is good.
pub fn at_start(
    now: Instant,
    boot_id: &str,
    file: Option<&str>,
    kept: &Kept,
    is_good: &dyn Fn(&str) -> bool,
) -> Option<Choice> {
    let before = || {
        let newest_first = kept.history.entries.iter().rev().map(|entry| entry.text.as_str());
        let mut all = kept.last_good.as_deref().into_iter().chain(newest_first);
        all.find(|text| is_good(text))
    };
    let is_whole = |text: &&str| {
        let torn = kept.last_good.as_deref().filter(|good| is_torn(text, good));
        torn.is_none_or(|good| !is_good(good))
    };
    let choice = |source, text: &str, over| Choice { source, text: text.into(), back: None, over };
    if let Some(trial) = kept.trial.as_ref() {
        let is_file = file == Some(&trial.text);
        // What was confirmed was written into the file, perhaps in part, and perhaps edited since.
        let is_cut = |text: &str| is_torn(text, &trial.text) && is_good(&trial.text);
        let is_whole = |text: &&str| is_whole(text) && !(trial.is_confirmed && is_cut(text));
        let is_older = |text: &str| text == trial.back || trial.replaced.as_deref() == Some(text);
        let is_later = |text: &&str| !is_older(text) && is_whole(text);
        let confirmed = file.filter(|text| is_file || is_later(text));
        if let Some(text) = confirmed.filter(|_| trial.is_confirmed) {
            return Some(choice(Source::File, text, Some(Over::Confirmed)));
        }
        // Who edited the file itself and tried that did not confirm it by editing.
        let file = file.filter(|_| !is_file).filter(is_whole);
        let back = Some(trial.back.as_str()).filter(|text| is_good(text));
        if !trial.is_over(now, boot_id) && is_good(&trial.text) {
            let (source, text) = (Source::Trial, trial.text.clone());
            let back = back.or(file).or_else(before).map(Into::into);
            return Some(Choice { source, text, back, over: None });
        }
        let over = Some(Over::TakenBack);
        return match file {
            Some(text) => Some(choice(Source::File, text, over)),
            // The file becomes what it was as soon as the daemon runs.
            None if is_file => {
                let text = back.or_else(before).unwrap_or(&trial.text);
                Some(choice(Source::File, text, over))
            }
            None => before().map(|text| choice(Source::LastGood, text, over)),
        };
    }
    let file = file.filter(is_whole);
    let choice = |source, text| choice(source, text, None);
    match file {
        Some(text) => Some(choice(Source::File, text)),
        None => before().map(|text| choice(Source::LastGood, text)),
    }
}

impl Trial {
    /// True if it no longer counts.
    fn is_over(&self, now: Instant, boot_id: &str) -> bool {
        self.boot_id != boot_id || now >= self.until
    }
}

impl History {
    /// Adds what is in force now; the same text again is no news.
    pub fn add(&mut self, entry: Entry) {
        if self.entries.last().is_some_and(|last| last.text == entry.text) {
            return;
        }
        self.entries.push(entry);
        let mut bytes: usize = self.entries.iter().map(|entry| entry.text.len()).sum();
        while self.entries.len() > KEPT || (bytes > MOST_BYTES && self.entries.len() > 1) {
            bytes -= self.entries.remove(0).text.len();
        }
    }

    /// The entry `steps` before the newest.
    pub fn back(&self, steps: usize) -> Option<&Entry> {
        self.entries.iter().rev().nth(steps)
    }
}

/// What is due.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Due {
    /// Nobody confirmed: this comes back.
    TakeBack(Box<Version>),
    /// Read the configuration file again.
    Look,
    /// Write last good and history, and no trial.
    Keep,
}

/// The configuration of a running daemon.
#[derive(Clone, Debug)]
pub struct Revisions {
    /// What is in force, or comes back after the trial.
    good: Version,
    origin: Origin,
    history: History,
    trial: Option<(Trial, Version)>,
    /// It is being confirmed: its time does not run out.
    is_held: bool,
    lapse: Option<Lapse>,
    /// When the disk gets what it does not have yet.
    keep_at: Option<Instant>,
}

/// The file could not be used at the start, and something else is in force.
#[derive(Clone, Debug)]
struct Lapse {
    problem: String,
    /// A good text that was seen; it is taken when the next look finds it unchanged.
    seen: Option<String>,
    look_at: Instant,
}

impl Revisions {
    /// Begins with a good version. `problem`: why it is not the file's.
    pub fn begin(
        now: Instant,
        good: Version,
        origin: Origin,
        history: History,
        problem: Option<String>,
    ) -> Self {
        let lapse = problem.map(|problem| Lapse { problem, seen: None, look_at: now + LOOK_EVERY });
        let mut begun =
            Self { good, origin, history, trial: None, is_held: false, lapse, keep_at: Some(now) };
        // What was kept is in the history already, with the name of who took it.
        match begun.history.entries.last() {
            Some(last) if last.text == begun.good.text => begun.origin = last.origin.clone(),
            _ if begun.lapse.is_some() => {}
            _ => begun.note(),
        }
        begun
    }

    /// When something is due.
    pub fn deadline(&self) -> Option<Instant> {
        let trial = self.trial.as_ref().filter(|_| !self.is_held).map(|(trial, _)| trial.until);
        let look = self.lapse.as_ref().map(|lapse| lapse.look_at);
        [trial, look, self.keep_at].into_iter().flatten().min()
    }

    /// What is due now; each is reported once, and again after its time.
    pub fn due(&mut self, now: Instant) -> Vec<Due> {
        let mut deeds = Vec::new();
        if !self.is_held && self.trial.as_ref().is_some_and(|(trial, _)| trial.until <= now) {
            deeds.push(Due::TakeBack(Box::new(self.take_back(now))));
        }
        let is_on_trial = self.trial.is_some();
        if let Some(lapse) = self.lapse.as_mut().filter(|lapse| lapse.look_at <= now) {
            lapse.look_at = now + LOOK_EVERY;
            // What is tried is not taken away by a file.
            deeds.extend((!is_on_trial).then_some(Due::Look));
        }
        if self.keep_at.is_some_and(|at| at <= now) {
            self.keep_at = Some(now + KEEP_AGAIN);
            deeds.push(Due::Keep);
        }
        deeds
    }

    /// The file was read again: what it says if that is to be taken now. A file that has just
    /// changed may be half of what somebody is writing.
    pub fn looked(&mut self, file: Result<Version, String>) -> Option<Version> {
        let lapse = self.lapse.as_mut()?;
        match file {
            Ok(version) if is_torn(&version.text, &self.good.text) => {
                (lapse.problem, lapse.seen) = (TORN.into(), None);
                None
            }
            Ok(version) if lapse.seen.as_ref() == Some(&version.text) => Some(version),
            Ok(version) => {
                lapse.seen = Some(version.text);
                None
            }
            Err(problem) => {
                (lapse.problem, lapse.seen) = (problem, None);
                None
            }
        }
    }

    /// A version was loaded for good.
    pub fn taken(&mut self, now: Instant, version: Version, origin: Origin) {
        (self.good, self.origin) = (version, origin);
        (self.trial, self.lapse) = (None, None);
        self.note();
        self.keep_at = Some(now);
    }

    /// A version is tried; the trial is on the disk.
    pub fn tried(&mut self, trial: Trial, version: Version) {
        self.trial = Some((trial, version));
    }

    /// While it is being confirmed a trial does not end by its time.
    pub const fn hold(&mut self, is_held: bool) {
        self.is_held = is_held;
    }

    /// The version on trial, to be confirmed.
    pub fn on_trial(&self) -> Option<(&Trial, &Version)> {
        self.trial.as_ref().map(|(trial, version)| (trial, version))
    }

    /// Ends the trial, if there is one; the version that comes back.
    pub fn take_back(&mut self, now: Instant) -> Version {
        if self.trial.take().is_some() {
            self.keep_at = Some(now);
        }
        self.good.clone()
    }

    /// The disk has everything; or it refused.
    pub fn kept(&mut self, now: Instant, is_kept: bool) {
        self.keep_at = if is_kept { None } else { Some(now + KEEP_AGAIN) };
    }

    /// What works now.
    pub fn running(&self) -> &Version {
        self.trial.as_ref().map_or(&self.good, |(_, version)| version)
    }

    /// What comes back after a trial; without one, what works now.
    pub const fn good(&self) -> &Version {
        &self.good
    }

    /// What was in force.
    pub const fn history(&self) -> &History {
        &self.history
    }

    /// For the screens.
    pub fn status(&self, now: Instant) -> ConfigurationStatus {
        let (source, origin) = match (&self.trial, &self.lapse) {
            (Some((trial, _)), _) => (Source::Trial, &trial.origin),
            (None, Some(_)) => (Source::LastGood, &self.origin),
            (None, None) => (Source::File, &self.origin),
        };
        ConfigurationStatus {
            source,
            taken: origin.wall.clone(),
            by: origin.by.clone(),
            problem: self.lapse.as_ref().map(|lapse| lapse.problem.clone()),
            trial: self
                .trial
                .as_ref()
                .map(|(trial, _)| TrialStatus { left_s: trial.until.since(now).as_secs() }),
        }
    }

    fn note(&mut self) {
        let (origin, text) = (self.origin.clone(), self.good.text.clone());
        self.history.add(Entry { origin, text });
    }
}

/// What is wrong with a file that [`is_torn`].
pub const TORN: &str = "the file ends before the last good configuration does, as if it had been cut \
                        off; `rail reload` takes it";
/// File systems write whole pages.
const PAGE: usize = 4096;
/// So many entries of the history are kept.
pub const KEPT: usize = 20;
/// So much text of them; a configuration is a few kilobytes.
pub const MOST_BYTES: usize = 2_000_000;
/// A file that could not be used is read again this often.
pub const LOOK_EVERY: Duration = Duration::from_secs(2);
/// A disk that refused is tried again after this time.
pub const KEEP_AGAIN: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests;
