//! The way to the daemon: its events as they come, and questions.
//!
//! The notifier is a client of the control socket like any other, so that all that holds for one that hangs
//! or dies holds for it. A daemon that does not answer is not waited for longer than five seconds.

use crate::cli::client::{Access, Failure, SOON, ask_once, connect};
use crate::load;
use rail_core::config::Config;
use rail_core::status::{NotifierStatus, Status};
use rustix::fd::{AsFd, BorrowedFd};
use serde_json::{Value, json};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// The stream of events.
#[derive(Debug)]
pub(crate) struct Link {
    stream: UnixStream,
    buffer: Vec<u8>,
}

impl Link {
    /// Follows the events of the daemon, those that it remembers first.
    ///
    /// # Errors
    /// There is no daemon, or it is not for us.
    pub(crate) fn open(runtime_dir: &Path) -> io::Result<Self> {
        let mut stream = connect(&runtime_dir.join("rail.sock"))?;
        stream.set_write_timeout(Some(SOON))?;
        stream.write_all(b"{\"command\":\"events\",\"follow\":true}\n")?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, buffer: Vec::new() })
    }

    /// The lines that have come; the last ones of a daemon that is gone, too.
    ///
    /// # Errors
    /// The daemon has gone, or speaks nonsense.
    pub(crate) fn read(&mut self) -> io::Result<Vec<Vec<u8>>> {
        let mut chunk = [0; 16 * 1024];
        let mut end = Ok(());
        for _ in 0..READS {
            match self.stream.read(&mut chunk) {
                Ok(0) => end = Err(ErrorKind::UnexpectedEof.into()),
                Ok(length) => self.buffer.extend_from_slice(&chunk[..length]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => end = Err(e),
            }
            if end.is_err() {
                break;
            }
        }
        // What it said before its end comes first; the end is there the next time, too.
        let Some(end) = self.buffer.iter().rposition(|byte| *byte == b'\n') else {
            end?;
            let is_endless = self.buffer.len() > LONGEST_LINE;
            return if is_endless { Err(ErrorKind::InvalidData.into()) } else { Ok(Vec::new()) };
        };
        let whole: Vec<u8> = self.buffer.drain(..=end).collect();
        Ok(whole
            .split(|byte| *byte == b'\n')
            .filter(|l| !l.is_empty())
            .map(<[u8]>::to_vec)
            .collect())
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

/// The daemon, to be asked.
#[derive(Clone, Debug)]
pub(crate) struct Questions {
    pub(crate) runtime_dir: PathBuf,
}

impl Questions {
    fn ask(&self, command: &Value) -> Result<Value, String> {
        let answer = ask_once(&self.runtime_dir, Access::Write, command, SOON);
        answer.map_err(|failure: Failure| failure.words().to_owned())
    }

    /// The configuration in force.
    pub(crate) fn configuration(&self) -> Result<Config, String> {
        let answer = self.ask(&json!({"command": "configuration"}))?;
        let text = answer.get("text").and_then(Value::as_str).unwrap_or_default();
        let (config, _) = load::load(Path::new("the configuration"), text)
            .map_err(|report| report.to_string())?;
        Ok(config)
    }

    /// The status.
    pub(crate) fn status(&self) -> Option<Status> {
        let mut answer = self.ask(&json!({"command": "status"})).ok()?;
        serde_json::from_value(answer.get_mut("status")?.take()).ok()
    }

    /// Says how we do.
    pub(crate) fn report(&self, report: &NotifierStatus) -> Result<(), String> {
        self.ask(&json!({"command": "notifier", "report": report})).map(drop)
    }
}

/// Chunks at a time: what comes without end is taken in several rounds.
const READS: usize = 32;
const LONGEST_LINE: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a daemon that says something and ends at once, when it is read, then its last words come, and
    /// its end after them; half a line is none.
    #[test]
    fn the_last_words_of_a_daemon_are_heard() {
        let (stream, mut daemon) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut link = Link { stream, buffer: Vec::new() };
        daemon.write_all(b"one\ntwo\nthr").unwrap();
        drop(daemon);
        assert_eq!(link.read().unwrap(), [b"one".to_vec(), b"two".to_vec()]);
        assert_eq!(link.read().unwrap_err().kind(), ErrorKind::UnexpectedEof);
    }
}
