//! One of the two sockets that are connected to.
//!
//! Promises: the poller hears of it only while connections may be accepted.

use rail_core::time::{Duration, Instant};
use rail_linux::poll::Poller;
use rustix::fs::Mode;
use rustix::process::umask;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) path: PathBuf,
    pub(super) socket: UnixListener,
    pub(super) token: u64,
    /// No descriptor was left for a connection; it is tried again then.
    pub(super) rests_until: Option<Instant>,
    is_polled: bool,
}

impl Listener {
    /// In place of what a dead daemon left. To be added to the poller.
    pub(super) fn open(path: PathBuf, mode: u32, token: u64) -> io::Result<Self> {
        match fs::remove_file(&path) {
            Ok(()) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        // A mode that is set afterwards goes to whatever stands there by then: who may write in the
        // directory could put a link in its place. There are no other threads yet.
        let before = umask(Mode::from_raw_mode(!mode & 0o777));
        let bound = UnixListener::bind(&path);
        umask(before);
        let socket = bound?;
        // With the most that the kernel allows, those of a user who connects without end would keep
        // everybody else waiting.
        rustix::net::listen(&socket, WAITING)?;
        socket.set_nonblocking(true)?;
        Ok(Self { path, socket, token, rests_until: None, is_polled: true })
    }

    /// Has the poller report who connects, or not: while it is closed or rests.
    pub(super) fn listen(&mut self, poller: &Poller, is_open: bool, now: Instant) {
        if self.rests_until.is_some_and(|until| until <= now) {
            self.rests_until = None;
        }
        let wanted = is_open && self.rests_until.is_none();
        if wanted == self.is_polled {
            return;
        }
        if !wanted {
            poller.remove(&self.socket);
            self.is_polled = false;
        } else if poller.add(&self.socket, self.token).is_ok() {
            self.is_polled = true;
        } else {
            self.rest(now);
        }
    }

    /// Accepts nothing for a while.
    pub(super) fn rest(&mut self, now: Instant) {
        self.rests_until = Some(now + REST);
    }
}

/// How many connections may wait to be accepted: fewer than one pass can take.
const WAITING: i32 = 128;
/// How long a listener rests when there is no descriptor or no memory for a connection.
const REST: Duration = Duration::from_millis(100);
