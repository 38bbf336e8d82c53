//! The thread that reads, validates and writes configurations, so that no disk and
//! no long file holds the loop up.
//!
//! Tasks are done in the order they were asked for, and answered in that order;
//! with each the loop leaves a note of what it does with the answer.

use crate::load;
use rail_core::notice::{Notice, Severity};
use rail_core::revision::{History, Trial, Version};
use rail_core::time::Duration;
use rail_linux::{clock, revision};
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{self, JoinHandle};

/// Something to do.
#[derive(Debug)]
pub(super) enum Task {
    /// Read and validate the configuration file.
    Read(PathBuf),
    /// Validate a text that came from the file of this name.
    Validate(PathBuf, String),
    /// Write that a trial begins.
    Try(Box<Trial>),
    /// Put a text in the place of the configuration file, where `loaded` was the last that was loaded.
    Install { config: PathBuf, text: String, loaded: String },
    /// Note that the trial is confirmed, and put its text in the place of the configuration file.
    Confirm(PathBuf, Box<Trial>),
    /// Write what was taken last, and the history; without `trial`, there is none any more, and
    /// the configuration file does not keep its text.
    Keep { config: PathBuf, last_good: String, history: History, trial: bool },
}

/// The answer.
#[derive(Debug)]
pub(super) enum Done {
    /// To [`Task::Read`] and [`Task::Validate`].
    Validated(Box<Result<Validated, Bad>>),
    /// To [`Task::Keep`]; the path of a text that had to leave the configuration file.
    Kept(Result<Option<PathBuf>, String>),
    /// To [`Task::Install`] and [`Task::Confirm`]; the path of an edit of the configuration file that
    /// was never loaded.
    Installed(Result<Option<PathBuf>, String>),
    /// To [`Task::Try`].
    Written(Result<(), String>),
}

/// A good text.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Validated {
    pub(super) version: Version,
    /// Its warnings.
    pub(super) notices: Vec<Notice>,
}

/// A text that cannot be used, or could not be read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Bad {
    /// The drawn report.
    pub(super) report: String,
    /// One sentence.
    pub(super) problem: String,
    /// Another attempt may find it well.
    pub(super) may_pass: bool,
}

/// The thread, and what to do with its answers.
#[derive(Debug)]
pub(super) struct Keeper<Then> {
    tasks: Option<Sender<Task>>,
    done: Receiver<Done>,
    wake: Arc<OwnedFd>,
    thread: Option<JoinHandle<()>>,
    then: VecDeque<Then>,
}

impl<Then> Keeper<Then> {
    /// Starts the thread.
    ///
    /// # Errors
    /// No thread or descriptor left.
    pub(super) fn start(state_dir: PathBuf) -> io::Result<Self> {
        let wake = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (tasks, to_do) = channel();
        let (sender, done) = channel();
        let bell = Arc::clone(&wake);
        let thread = thread::Builder::new().name("rail-config".into()).spawn(move || {
            while let Ok(task) = to_do.recv() {
                // The receiver is gone only at the end of the daemon.
                let _ = sender.send(perform(task, &state_dir));
                let _ = rustix::io::write(&bell, &1u64.to_ne_bytes());
            }
        })?;
        Ok(Self { tasks: Some(tasks), done, wake, thread: Some(thread), then: VecDeque::new() })
    }

    /// Asks for something; `then` comes back with the answer.
    pub(super) fn ask(&mut self, task: Task, then: Then) {
        if let Some(tasks) = &self.tasks {
            self.then.push_back(then);
            // The thread ends only after this sender.
            let _ = tasks.send(task);
        }
    }

    /// True if all was answered.
    pub(super) fn is_idle(&self) -> bool {
        self.then.is_empty()
    }

    /// The answers since the last call.
    pub(super) fn answers(&mut self) -> Vec<(Then, Done)> {
        let mut count = [0; 8];
        // Nothing to read means that nothing was done.
        let _ = rustix::io::read(&self.wake, &mut count);
        let done: Vec<Done> = self.done.try_iter().collect();
        done.into_iter().filter_map(|done| Some((self.then.pop_front()?, done))).collect()
    }
}

impl<Then> AsFd for Keeper<Then> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl<Then> Drop for Keeper<Then> {
    fn drop(&mut self) {
        self.tasks = None;
        let Some(thread) = self.thread.take() else { return };
        // The daemon ends, even if the disk never answers.
        let until = clock::now() + DISK_MAY_TAKE;
        while !thread.is_finished() && clock::now() < until {
            clock::wait(Duration::from_millis(1));
        }
        if thread.is_finished() {
            // If it panicked, it has said so on stderr.
            let _ = thread.join();
        }
    }
}

fn perform(task: Task, state_dir: &Path) -> Done {
    let cannot = |what: &str, path: &Path, e: io::Error| format!("{what} {}: {e}", path.display());
    match task {
        Task::Read(config) => Done::Validated(Box::new(read(&config))),
        Task::Validate(path, text) => Done::Validated(Box::new(validate(&path, text))),
        Task::Try(trial) => Done::Written(
            revision::keep_trial(state_dir, &trial)
                .map_err(|e| cannot("could not write the trial to", state_dir, e)),
        ),
        Task::Install { config, text, loaded } => Done::Installed(
            revision::install_over(&config, &text, &loaded)
                .map_err(|e| cannot("could not write", &config, e)),
        ),
        Task::Confirm(path, trial) => Done::Installed(
            revision::confirm(state_dir, &path, &trial)
                .map_err(|e| cannot("could not write", &path, e)),
        ),
        Task::Keep { config, last_good, history, trial } => {
            let dropped = if trial { Ok(None) } else { end_trial(state_dir, &config, &last_good) };
            let kept = revision::keep(state_dir, &last_good, &history)
                .map_err(|e| cannot("could not write the history to", state_dir, e));
            Done::Kept(dropped.and_then(|rejected| kept.map(|()| rejected)))
        }
    }
}

/// The note goes last: a crash before finds it, and does the rest.
fn end_trial(state_dir: &Path, config: &Path, good: &str) -> Result<Option<PathBuf>, String> {
    let rejected = revision::restore(state_dir, config, good).map_err(|e| {
        format!("could not take the configuration of the trial out of {}: {e}", config.display())
    })?;
    revision::drop_trial(state_dir)
        .map_err(|e| format!("could not write the history to {}: {e}", state_dir.display()))?;
    Ok(rejected)
}

/// Reads and validates the file.
///
/// # Errors
/// What is wrong with it, or why it could not be read.
pub(super) fn read(path: &Path) -> Result<Validated, Bad> {
    // A pipe would be waited for without end, and says nothing the second time. A directory is refused by
    // the kernel.
    if path.metadata().is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir()) {
        let report = load::Report::whole_file(
            &path.display().to_string(),
            "the file cannot be read: it is a pipe or a device, and no file".to_owned(),
        );
        return Err(Bad::new(path, &report, false));
    }
    match load::read_text(path) {
        Ok(text) => validate(path, text),
        Err(unread) => Err(Bad::new(path, &unread.report, unread.may_pass)),
    }
}

/// Validates a text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn validate(path: &Path, text: String) -> Result<Validated, Bad> {
    let (config, warnings) =
        load::load(path, &text).map_err(|report| Bad::new(path, &report, false))?;
    let reported = warnings.iter().map(|warning| {
        let (line, message) = (warning.entry.line, &warning.entry.message);
        let text = format!("{}, line {line}: {message}", path.display());
        Notice::daemon(Severity::Warn, text)
    });
    let notices = reported.collect();
    Ok(Validated { version: Version { text, config }, notices })
}

impl Bad {
    fn new(path: &Path, report: &load::Report, may_pass: bool) -> Self {
        let first = report.entries.first();
        let place = match first.map_or(0, |entry| entry.line) {
            0 => path.display().to_string(),
            line => format!("{}, line {line}", path.display()),
        };
        let more = match report.entries.len() {
            0 | 1 => String::new(),
            n => format!(" (and {} more)", n - 1),
        };
        let message = first.map_or("it has errors", |entry| &entry.message);
        let problem = format!("{place}: {message}{more}");
        Self { report: report.render(false).to_owned(), problem, may_pass }
    }
}

/// A worn memory card takes some hundred milliseconds now and then; one that takes longer hangs.
const DISK_MAY_TAKE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a pipe that nobody writes to in the place of the file, then it is refused and not waited for.
    #[test]
    fn a_pipe_is_no_configuration() {
        let path = std::env::temp_dir().join(format!("rail-pipe-{}", std::process::id()));
        let fifo = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &path, fifo, 0o600.into(), 0).unwrap();
        let bad = read(&path).err();
        std::fs::remove_file(&path).unwrap();
        let bad = bad.unwrap();
        assert!(bad.problem.contains("no file") && !bad.may_pass, "{}", bad.problem);
    }

    /// Given a secret that is written wrongly, then what everybody may read of it does not say it.
    #[test]
    fn a_problem_says_no_secret() {
        let text = "[lan]\ninterfaces = [\"lan0\"]\n\n[[uplink]]\nname = \"isp1\"\ninterface = \"wan1\"\n\
                    address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\n\n[notify.webhook]\n\
                    url = \"http://x.example\"\nheaders = [\"Authorization:Bearer s3cr3t\"]\n";
        let bad = validate(Path::new("rail.toml"), text.into()).err().unwrap();
        assert!(
            bad.problem.contains("header") && !bad.problem.contains("s3cr3t"),
            "{}",
            bad.problem
        );
    }
}
