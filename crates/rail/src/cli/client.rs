//! The client's end of the control socket: one line of JSON there, lines of JSON
//! back.
//!
//! Promises: it never hangs for a daemon that does not answer, except where it
//! follows events.

use super::{complain, exit};
use crate::daemon::GUARD_IS_CLOSED;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use serde_json::{Value, json};
use std::fmt::Display;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody listens.
    NoDaemon(String),
    /// Somebody listens, but takes no more clients, or does not answer.
    Busy(String),
    /// The socket is not for this user.
    Denied(String),
    /// Somebody listens and says no, or nonsense.
    Refused(String),
}

impl Failure {
    /// Why, in words.
    pub(crate) fn words(&self) -> &str {
        let (Self::NoDaemon(text) | Self::Busy(text) | Self::Denied(text) | Self::Refused(text)) =
            self;
        text
    }

    /// Tells it and gives the exit code.
    pub(super) fn tell(&self) -> ExitCode {
        match self {
            Self::NoDaemon(text) => {
                complain(&format!("rail: no daemon runs: {text}\n"));
                // Whoever may not look at the tables learns no more.
                if rail_linux::guard::is_closed() == Ok(true) {
                    complain(&format!("rail: {GUARD_IS_CLOSED}\n"));
                }
                exit::NO_DAEMON.into()
            }
            Self::Busy(text) => {
                complain(&format!("rail: {text}\n"));
                exit::BUSY.into()
            }
            Self::Denied(text) => {
                complain(&format!("rail: {text}; run as root\n"));
                exit::ERROR.into()
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
pub(crate) enum Access {
    /// Looking only.
    Read,
    /// Commands.
    Write,
}

/// An open question.
pub(super) struct Answers {
    lines: BufReader<io::Take<UnixStream>>,
}

/// Sends a command.
///
/// # Errors
/// [`Failure::NoDaemon`] when nobody listens, [`Failure::Busy`] when it takes no more clients.
pub(super) fn ask(
    runtime_dir: &Path,
    access: Access,
    command: &Value,
    patience: Option<Duration>,
) -> Result<Answers, Failure> {
    first_that_serves(runtime_dir, access, |path| ask_at(path, command, patience))
}

/// Sends a command that has one answer.
///
/// # Errors
/// No daemon, or a refusal in its own words.
pub(crate) fn ask_once(
    runtime_dir: &Path,
    access: Access,
    command: &Value,
    patience: Duration,
) -> Result<Value, Failure> {
    first_that_serves(runtime_dir, access, |path| {
        let mut answers = ask_at(path, command, Some(patience))?;
        let answer = answers.next_line()?;
        let answer =
            answer.ok_or_else(|| Failure::Busy("the daemon closed the connection".into()))?;
        accept(answer)
    })
}

fn ask_at(path: &Path, command: &Value, patience: Option<Duration>) -> Result<Answers, Failure> {
    let reported = |error: &dyn Display| Failure::Busy(format!("{}: {error}", path.display()));
    let mut stream = connect(path).map_err(|error| {
        let text = format!("{}: {error}", path.display());
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => Failure::NoDaemon(text),
            ErrorKind::PermissionDenied => Failure::Denied(text),
            // The queue of those who want to connect is full.
            ErrorKind::WouldBlock | ErrorKind::TimedOut => Failure::Busy(SILENT.into()),
            _ => Failure::Busy(text),
        }
    })?;
    stream.set_read_timeout(Some(patience.unwrap_or(SOON))).map_err(|e| reported(&e))?;
    let sent = stream.write_all(format!("{command}\n").as_bytes());
    let most = if patience.is_some() { MOST_BYTES } else { u64::MAX };
    let lines = BufReader::new(stream.take(most));
    let mut answers = Answers { lines };
    if let Err(error) = sent {
        // It may have said why it closed the connection.
        return match answers.next_line() {
            Ok(Some(answer)) => accept(answer).and(Err(reported(&error))),
            Ok(None) | Err(_) => Err(reported(&error)),
        };
    }
    answers.lines.get_ref().get_ref().set_read_timeout(patience).map_err(|e| reported(&e))?;
    Ok(answers)
}

/// The snapshot.
///
/// # Errors
/// No daemon, or a refusal in its own words.
pub(crate) fn status(runtime_dir: &Path) -> Result<Value, Failure> {
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
        let words = words.to_owned();
        let is_crowded = words.starts_with(CROWDED);
        return Err(if is_crowded { Failure::Busy(words) } else { Failure::Refused(words) });
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
                Err(Failure::Busy(SILENT.into()))
            }
            Err(error) => Err(Failure::Busy(format!("the daemon does not answer: {error}"))),
        }
    }
}

/// Root has its own socket first, for anybody can crowd the public one; others have the public one.
/// Where one is missing or takes no more clients the other serves; what is reported is about the first.
fn first_that_serves<T>(
    runtime_dir: &Path,
    access: Access,
    ask: impl Fn(&Path) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let names: &[&str] = match access {
        Access::Read if rustix::process::geteuid().is_root() => &["rail.sock", "rail-ro.sock"],
        Access::Read => &["rail-ro.sock", "rail.sock"],
        Access::Write => &["rail.sock"],
    };
    let mut first = None;
    for name in names {
        match ask(&runtime_dir.join(name)) {
            Ok(answer) => return Ok(answer),
            Err(failure @ Failure::Refused(_)) => return Err(failure),
            // That somebody is there says more than a socket that is not there.
            Err(failure) if first.is_none() || matches!(failure, Failure::Busy(_)) => {
                first = Some(failure);
            }
            Err(_) => {}
        }
    }
    Err(first.unwrap_or(Failure::NoDaemon(String::new())))
}

/// Connects, and waits for a place in the queue no longer than [`SOON`].
pub(crate) fn connect(path: &Path) -> io::Result<UnixStream> {
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None)?;
    set_socket_timeout(&socket, Timeout::Send, Some(SOON))?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket.into())
}

/// True while somebody listens for commands.
pub(super) fn is_listening(runtime_dir: &Path) -> bool {
    connect(&runtime_dir.join("rail.sock")).is_ok()
}

/// A healthy daemon answers within milliseconds.
pub(crate) const SOON: Duration = Duration::from_secs(5);
/// Longer answers are not ours.
const MOST_BYTES: u64 = 16 << 20;
/// It took the question, or would have to take the connection first.
const SILENT: &str = "the daemon does not answer";
/// Begins the refusal of a socket that has no room.
const CROWDED: &str = "too many clients";
