//! The log: lines made from notices, written by a thread of their own.
//!
//! Promises: writing a line never waits for a disk, a pipe or a journal; what
//! does not fit into the queue is counted, and the count is written as soon as
//! there is room. A value cannot forge a line. Leaves out what is worth a line:
//! that is the notice's severity.

use crate::hidden::is_hidden;
use rail_core::config;
use rail_core::config::LogLevel;
use rail_core::notice::{Notice, Severity};
use rail_linux::log_file::LogFile;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// The log.
#[derive(Debug)]
pub(super) struct Log {
    sender: Option<SyncSender<Message>>,
    finished: Receiver<()>,
    dropped: Arc<AtomicUsize>,
    target: Target,
    level: LogLevel,
    debug: bool,
}

/// A `[log]` section that the writer loads before the next message, however full its queue is.
type Target = Arc<Mutex<Option<config::Log>>>;

#[derive(Debug)]
enum Message {
    Line {
        severity: Severity,
        wall: String,
        text: String,
    },
    /// There is a new target.
    Look,
}

impl Log {
    /// Starts the writer. With `debug`, lines of that level are written whatever the configuration says.
    ///
    /// # Errors
    /// The log file cannot be opened, or the thread not be started.
    pub(super) fn start(config: &config::Log, debug: bool) -> io::Result<Self> {
        let mut writer = Writer::open(config)?;
        let (sender, lines) = sync_channel(QUEUE_LINES);
        let (done, finished) = sync_channel(1);
        let dropped = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&dropped);
        let target = Target::default();
        let next = Arc::clone(&target);
        thread::Builder::new().name("rail-log".into()).spawn(move || {
            writer.run(&lines, &count, &next);
            // Nobody may be waiting any more.
            let _ = done.send(());
        })?;
        Ok(Self { sender: Some(sender), finished, dropped, target, level: config.level, debug })
    }

    /// Queues a line for the notice, if its level is wanted.
    pub(super) fn write(&self, wall: &str, notice: &Notice) {
        let severity = notice.severity();
        if !self.wants(severity) {
            return;
        }
        let message = Message::Line { severity, wall: wall.into(), text: line(notice) };
        self.send(message);
    }

    /// True if a line of this severity would be written.
    pub(super) fn wants(&self, severity: Severity) -> bool {
        let level = if self.debug { self.level.max(LogLevel::Debug) } else { self.level };
        level_of(severity) <= level
    }

    /// Loads a new `[log]` section; a file that cannot be opened is reported on stderr.
    pub(super) fn configure(&mut self, config: &config::Log) {
        self.level = config.level;
        *self.target.lock().unwrap_or_else(PoisonError::into_inner) = Some(config.clone());
        // If there is no room, what is in the queue wakes the writer as well.
        let _ = self.sender.as_ref().map(|sender| sender.try_send(Message::Look));
    }

    /// Lines dropped because the queue was full or writing failed.
    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed) as u64
    }

    /// Ends the writer, giving it a moment to write what is queued.
    pub(super) fn finish(mut self) {
        self.sender = None;
        match self.finished.recv_timeout(LAST_LINES) {
            Ok(()) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }

    fn send(&self, message: Message) {
        let Some(sender) = &self.sender else { return };
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(message)
        {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Where lines go.
#[derive(Debug)]
enum Writer {
    /// The journal reads our stderr: it knows the time and wants a number for the level.
    Journal,
    /// A person or a file reads our stderr.
    Stderr,
    Rotated(Rotated),
}

impl Writer {
    fn open(config: &config::Log) -> io::Result<Self> {
        match &config.file {
            Some(file) => Ok(Self::Rotated(Rotated::open(config, Path::new(file))?)),
            None => Ok(Self::by_stderr()),
        }
    }

    fn by_stderr() -> Self {
        if stderr_is_journal() { Self::Journal } else { Self::Stderr }
    }

    fn run(&mut self, messages: &Receiver<Message>, dropped: &AtomicUsize, target: &Target) {
        let mut reported = 0;
        while let Ok(message) = messages.recv() {
            let new = target.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(config) = new {
                self.turn_to(config);
            }
            match message {
                Message::Look => {}
                Message::Line { severity, wall, text } => {
                    let lost = dropped.load(Ordering::Relaxed);
                    if lost > reported {
                        let text = format!("dropped log lines count={}", lost - reported);
                        if self.write(Severity::Warn, &wall, &text).is_ok() {
                            reported = lost;
                        }
                    }
                    if self.write(severity, &wall, &text).is_err() {
                        dropped.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
    }

    fn turn_to(&mut self, config: config::Log) {
        match Self::open(&config) {
            Ok(writer) => *self = writer,
            Err(e) => {
                let file = config.file.unwrap_or_default();
                let text = format!("could not open the log file {file}: {e}");
                *self = Self::by_stderr();
                // There is nowhere left to complain.
                let _ = self.write(Severity::Error, &rail_linux::clock::wall(), &text);
            }
        }
    }

    fn write(&mut self, severity: Severity, wall: &str, text: &str) -> io::Result<()> {
        match self {
            Self::Journal => {
                io::stderr().write_all(format!("<{}>{text}\n", syslog_level(severity)).as_bytes())
            }
            Self::Stderr => io::stderr().write_all(with_time(severity, wall, text).as_bytes()),
            Self::Rotated(file) => file.write(with_time(severity, wall, text).as_bytes()),
        }
    }
}

/// A file that is renamed to `FILE.1`, that to `FILE.2` and so on, when it is full.
#[derive(Debug)]
struct Rotated {
    place: LogFile,
    file: File,
    size: u64,
    max_size: u64,
    keep: u32,
}

impl Rotated {
    fn open(config: &config::Log, path: &Path) -> io::Result<Self> {
        let place = LogFile::at(path)?;
        let file = place.open()?;
        let size = file.metadata()?.len();
        let (max_size, keep) = (config.max_size_bytes, config.keep);
        Ok(Self { place, file, size, max_size, keep })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        let length = line.len() as u64;
        if self.size > 0 && self.size + length > self.max_size && self.rotate().is_err() {
            // The old file goes on, and is tried again when it has grown by as much.
            self.size = 0;
        }
        self.file.write_all(line)?;
        self.size += length;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        // Who removed the file wants it no more; the others do not move up for nothing.
        self.place.move_away(self.keep)?;
        self.file = self.place.open()?;
        self.size = 0;
        Ok(())
    }
}

/// `JOURNAL_STREAM` names device and inode of the journal's pipe; a redirected stderr has others.
fn stderr_is_journal() -> bool {
    let Ok(stream) = std::env::var("JOURNAL_STREAM") else { return false };
    let Ok(found) = std::fs::metadata("/proc/self/fd/2") else { return false };
    stream == format!("{}:{}", found.dev(), found.ino())
}

fn with_time(severity: Severity, wall: &str, text: &str) -> String {
    format!("{wall} {} {text}\n", word(severity))
}

/// `sentence key=value ...`; a value with anything unusual in it is quoted and escaped.
fn line(notice: &Notice) -> String {
    let entry = notice.entry();
    let mut line = clean(entry.sentence);
    for (name, value) in entry.fields {
        let plain = |c: char| c.is_alphanumeric() || "-_.:/,%+@".contains(c);
        let result = if !value.is_empty() && value.chars().all(plain) {
            write!(line, " {name}={value}")
        } else {
            write!(line, " {name}=\"{}\"", value.escape_debug())
        };
        result.expect("writing to a String cannot fail");
    }
    line
}

/// A sentence in one line, with nothing that a reader would not see.
fn clean(text: &str) -> String {
    let shown = |c: char| match c {
        c if c.is_control() => ' ',
        c if is_hidden(c) => '?',
        c => c,
    };
    text.chars().map(shown).collect()
}

pub(super) const fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warn => "warn",
        Severity::Info => "info",
        Severity::Debug => "debug",
        Severity::Trace => "trace",
    }
}

const fn level_of(severity: Severity) -> LogLevel {
    match severity {
        Severity::Error => LogLevel::Error,
        Severity::Warn => LogLevel::Warn,
        Severity::Info => LogLevel::Info,
        Severity::Debug => LogLevel::Debug,
        Severity::Trace => LogLevel::Trace,
    }
}

/// Numbers of syslog(3), as sd-daemon(3) wants them.
const fn syslog_level(severity: Severity) -> u8 {
    match severity {
        Severity::Error => 3,
        Severity::Warn => 4,
        Severity::Info => 6,
        Severity::Debug | Severity::Trace => 7,
    }
}

const QUEUE_LINES: usize = 4096;
const LAST_LINES: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::notice::ReconcileNews;

    fn refused(object: &str, error: &str) -> Notice {
        Notice::Reconcile(ReconcileNews::Refused {
            object: object.into(),
            error: error.into(),
            retry_ms: 20,
        })
    }

    #[test]
    fn a_value_cannot_forge_a_line() {
        assert_eq!(
            line(&refused("route default table 20001", "x\" key=1\n<0>hello")),
            "failed to change an object key=\"route default table 20001\" \
             errno=\"x\\\" key=1\\n<0>hello\" retry_ms=20"
        );
        let daemon = Notice::daemon(Severity::Warn, "two\nlines".into());
        assert_eq!(line(&daemon), "two lines");
        assert_eq!(line(&refused("a", "")).matches("errno=\"\"").count(), 1);
    }

    #[test]
    fn a_full_file_is_rotated_and_the_oldest_goes() {
        let dir = std::env::temp_dir().join(format!("rail-log-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("rail.log");
        let config = config::Log {
            file: Some(path.display().to_string()),
            max_size_bytes: 100,
            keep: 2,
            level: LogLevel::Info,
        };
        let log = Log::start(&config, false).unwrap();
        for n in 0..20 {
            log.write("2026-01-01T00:00:00.000Z", &refused(&n.to_string(), "no"));
        }
        log.write(
            "t",
            &Notice::Reconcile(ReconcileNews::Changed {
                object: "unwanted".into(),
                change: String::new(),
            }),
        );
        log.finish();
        let mut names: Vec<_> =
            std::fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["rail.log", "rail.log.1", "rail.log.2"]);
        let newest = std::fs::read_to_string(&path).unwrap();
        assert!(newest.starts_with("2026-01-01T00:00:00.000Z warn failed"), "{newest}");
        assert!(newest.contains("key=19") && !newest.contains("unwanted"));
        std::fs::remove_dir_all(dir).unwrap();
    }

    /// Given a writer that hangs on a full pipe, or at least a full queue, when the section changes, then
    /// the last one counts, whatever was dropped.
    #[test]
    fn a_new_target_is_taken_however_full_the_queue_is() {
        let dir = std::env::temp_dir().join(format!("rail-log-full-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let config = |name: &str| config::Log {
            file: Some(dir.join(name).display().to_string()),
            max_size_bytes: 1 << 20,
            keep: 1,
            level: LogLevel::Info,
        };
        let (sender, queue) = sync_channel(1);
        sender.try_send(Message::Look).unwrap();
        let mut log = Log {
            sender: Some(sender),
            finished: sync_channel(1).1,
            dropped: Arc::default(),
            target: Target::default(),
            level: LogLevel::Info,
            debug: false,
        };
        log.configure(&config("old"));
        log.configure(&config("new"));
        assert_eq!(log.dropped(), 0);
        let mut writer = Writer::Stderr;
        log.sender = None;
        writer.run(&queue, &log.dropped, &log.target);
        assert!(dir.join("new").exists() && !dir.join("old").exists());
        assert!(matches!(writer, Writer::Rotated(_)), "{writer:?}");
        std::fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_that_was_removed_comes_back_and_the_old_ones_stay() {
        let dir = std::env::temp_dir().join(format!("rail-log-gone-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("rail.log");
        let config = config::Log {
            file: Some(path.display().to_string()),
            max_size_bytes: 10,
            keep: 2,
            level: LogLevel::Info,
        };
        let mut log = Rotated::open(&config, &path).unwrap();
        let texts = || {
            ["rail.log", "rail.log.1", "rail.log.2"]
                .map(|name| std::fs::read_to_string(dir.join(name)).ok())
        };
        let text = |text: &str| Some(text.to_string());
        for line in ["one line\n", "two line\n", "three line\n"] {
            log.write(line.as_bytes()).unwrap();
        }
        assert_eq!(texts(), [text("three line\n"), text("two line\n"), text("one line\n")]);
        std::fs::remove_file(&path).unwrap();
        log.write(b"four line\n").unwrap();
        assert_eq!(texts(), [text("four line\n"), text("two line\n"), text("one line\n")]);
        // Where no file can be made the old one goes on.
        log.place = LogFile::at(&dir.join("absent").join("rail.log")).unwrap();
        log.write(b"five line\n").unwrap();
        log.write(b"six line\n").unwrap();
        assert_eq!(texts()[0], text("four line\nfive line\nsix line\n"));
        std::fs::remove_dir_all(dir).unwrap();
    }
}
