//! The client's end of the control socket: one line of JSON there, lines of JSON
//! back.
//!
//! Promises: it never hangs for a daemon that does not answer, except where it
//! follows events.

use super::{complain, exit};
use crate::daemon::GUARD_IS_CLOSED;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nobody listens.
    NoDaemon(String),
    /// Somebody listens and says no, or nonsense.
    Refused(String),
}

impl Failure {
    /// Tells it and gives the exit code.
    pub(super) fn tell(&self) -> ExitCode {
        match self {
            Self::NoDaemon(text) => {
                complain(&format!("rail: no daemon answers: {text}\n"));
                // Whoever may not look at the tables is told no more.
                if rail_linux::guard::is_closed() == Ok(true) {
                    complain(&format!("rail: {GUARD_IS_CLOSED}\n"));
                }
                exit::NO_DAEMON.into()
            }
            Self::Refused(text) => {
                complain(&format!("rail: {text}\n"));
                exit::ERROR.into()
            }
        }
    }
}

/// Which of the two sockets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Access {
    /// Looking only.
    Read,
    /// Commands.
    Write,
}

/// An open question.
pub(super) struct Answers {
    lines: BufReader<std::io::Take<UnixStream>>,
}

/// Sends a command.
///
/// # Errors
/// [`Failure::NoDaemon`] when nobody listens.
pub(super) fn ask(
    runtime_dir: &Path,
    access: Access,
    command: &Value,
    patience: Option<Duration>,
) -> Result<Answers, Failure> {
    let (mut stream, path) = connect(runtime_dir, access)?;
    let line = format!("{command}\n");
    let sent = stream
        .set_read_timeout(patience)
        .and_then(|()| stream.set_write_timeout(Some(SOON)))
        .and_then(|()| stream.write_all(line.as_bytes()));
    if let Err(error) = sent {
        return Err(Failure::NoDaemon(format!("{path}: {error}")));
    }
    let most = if patience.is_some() { MOST_BYTES } else { u64::MAX };
    Ok(Answers { lines: BufReader::new(stream.take(most)) })
}

/// Sends a command that has one answer.
///
/// # Errors
/// No daemon, or a refusal in its own words.
pub(super) fn ask_once(
    runtime_dir: &Path,
    access: Access,
    command: &Value,
    patience: Duration,
) -> Result<Value, Failure> {
    let mut answers = ask(runtime_dir, access, command, Some(patience))?;
    let answer = answers.next_line()?;
    let answer = answer.ok_or_else(|| Failure::NoDaemon("it closed the connection".into()))?;
    accept(answer)
}

/// The snapshot.
///
/// # Errors
/// No daemon, or a refusal in its own words.
pub(super) fn status(runtime_dir: &Path) -> Result<Value, Failure> {
    let command = json!({"command": "status"});
    let mut answer = ask_once(runtime_dir, Access::Read, &command, SOON)?;
    match answer.get_mut("status").map(Value::take) {
        Some(status) => Ok(status),
        None => Err(Failure::Refused("the answer holds no status".into())),
    }
}

/// Passes what says `ok`.
pub(super) fn accept(answer: Value) -> Result<Value, Failure> {
    if answer.get("ok") == Some(&Value::Bool(false)) {
        let words = answer.get("error").and_then(Value::as_str).unwrap_or("refused");
        return Err(Failure::Refused(words.to_owned()));
    }
    Ok(answer)
}

impl Answers {
    /// The next answer; `None` at the end.
    pub(super) fn next_line(&mut self) -> Result<Option<Value>, Failure> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => Ok(None),
            Ok(_) => serde_json::from_str(&line)
                .map(Some)
                .map_err(|e| Failure::Refused(format!("the answer cannot be read: {e}"))),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Failure::NoDaemon("it is there, but does not answer".into()))
            }
            Err(error) => Err(Failure::NoDaemon(error.to_string())),
        }
    }
}

/// Whoever may only look has the read-only socket; where that one is missing, the other serves.
fn connect(runtime_dir: &Path, access: Access) -> Result<(UnixStream, String), Failure> {
    let names: &[&str] = match access {
        Access::Read => &["rail-ro.sock", "rail.sock"],
        Access::Write => &["rail.sock"],
    };
    let mut first = None;
    for name in names {
        let path = runtime_dir.join(name);
        match UnixStream::connect(&path) {
            Ok(stream) => return Ok((stream, path.display().to_string())),
            Err(error) => drop(first.get_or_insert(format!("{}: {error}", path.display()))),
        }
    }
    Err(Failure::NoDaemon(first.unwrap_or_default()))
}

/// True while somebody listens for commands.
pub(super) fn is_listening(runtime_dir: &Path) -> bool {
    UnixStream::connect(runtime_dir.join("rail.sock")).is_ok()
}

/// A healthy daemon answers within milliseconds.
pub(super) const SOON: Duration = Duration::from_secs(5);
/// Longer answers are not ours.
const MOST_BYTES: u64 = 16 << 20;
