//! The socket for `rail test-notification`: one line in, one line out for each target.
//!
//! ```text
//! {"only": "email"}                       or null for all
//! {"target": "email ops@example.org", "ok": true, "words": "250 2.0.0 queued"}
//! ```

use super::retry::{Outcome, Verdict};
use rustix::fd::{AsFd, BorrowedFd};
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The socket, and those who wait for an answer.
#[derive(Debug)]
pub(crate) struct Door {
    listener: UnixListener,
    waiting: Vec<Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    id: u64,
    stream: UnixStream,
    left: usize,
}

impl Door {
    /// Makes it, in place of one that a dead process left.
    pub(crate) fn open(runtime_dir: &Path) -> io::Result<Self> {
        let path = path(runtime_dir);
        match std::fs::remove_file(&path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let listener = UnixListener::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        Ok(Self { listener, waiting: Vec::new(), next: 0 })
    }

    /// Somebody who asks: a number for the answers, and which targets he wants.
    pub(crate) fn asked(&mut self) -> Option<(u64, Option<String>)> {
        let (mut stream, _) = self.listener.accept().ok()?;
        let only = question(&mut stream).ok()?;
        if self.waiting.len() >= MOST_WAITING {
            let line = json!({"target": "test", "ok": false, "words": "too many ask at once"});
            let _ = stream.write_all(format!("{line}\n").as_bytes());
            return None;
        }
        self.next += 1;
        self.waiting.push(Waiting { id: self.next, stream, left: usize::MAX });
        Some((self.next, only))
    }

    /// So many answers will come.
    pub(crate) fn expect(&mut self, id: u64, count: usize) {
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            waiting.left = count;
        }
        self.close();
    }

    /// One of them.
    pub(crate) fn answer(&mut self, id: u64, target: &str, outcome: &Outcome) {
        let is_ok = outcome.verdict == Verdict::Done;
        let line = json!({"target": target, "ok": is_ok, "words": outcome.words});
        if let Some(waiting) = self.waiting.iter_mut().find(|waiting| waiting.id == id) {
            // Who asked may have left.
            let _ = waiting.stream.write_all(format!("{line}\n").as_bytes());
            waiting.left = waiting.left.saturating_sub(1);
        }
        self.close();
    }

    fn close(&mut self) {
        self.waiting.retain(|waiting| waiting.left > 0);
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }
}

/// Where it is.
pub(crate) fn path(runtime_dir: &Path) -> PathBuf {
    runtime_dir.join("notifier.sock")
}

fn question(stream: &mut UnixStream) -> io::Result<Option<String>> {
    stream.set_nonblocking(false)?;
    // Only root gets here, and sends it at once.
    stream.set_read_timeout(Some(SOON))?;
    stream.set_write_timeout(Some(SOON))?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < 1000 && stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    let question: Value = serde_json::from_slice(&line)?;
    Ok(question.get("only").and_then(Value::as_str).map(str::to_owned))
}

const SOON: Duration = Duration::from_millis(500);
const MOST_WAITING: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given as many who ask as there is room for, when another one does, then he is told so.
    #[test]
    fn whoever_comes_too_late_is_told() {
        let place = std::env::temp_dir().join(format!("rail-door-{}", std::process::id()));
        std::fs::create_dir_all(&place).unwrap();
        let mut door = Door::open(&place).unwrap();
        let ask = || {
            let mut stream = UnixStream::connect(path(&place)).unwrap();
            stream.write_all(b"{\"only\":null}\n").unwrap();
            stream
        };
        let waiting: Vec<_> = (0..MOST_WAITING).map(|_| (ask(), door.asked())).collect();
        assert!(waiting.iter().all(|(_, asked)| asked.is_some()));
        let (mut last, mut said) = (ask(), String::new());
        assert_eq!(door.asked(), None);
        last.read_to_string(&mut said).unwrap();
        assert!(said.contains("too many ask at once"), "{said}");
        std::fs::remove_dir_all(place).unwrap();
    }
}
