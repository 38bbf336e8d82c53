//! Supervised children: programs that run beside the router, and outlive the daemon.
//!
//! The supervisor is this program again, started before the daemon gives up its rights. It alone starts,
//! watches and ends children, and writes their files. Promises: a child lives on when daemon and supervisor
//! die, and the next supervisor adopts it by its record (see `record`): a number that now belongs to
//! another process is never signalled. A supervisor that dies is followed by another one with the same rights. A
//! program that refuses new files runs with those that it took last. Nothing that a child does delays the daemon. What
//! a child leaves behind in its session is killed after it.
//! Leaves out which children run, and when one is started again: see `rail_core::Child`.
//!
//! ```text
//!  order     number:u64, with a memfd: directories and list (JSON)
//!  report    what happened to a child, or that an order is carried out (JSON)
//! ```

mod holder;
mod message;
mod output;
mod place;
mod record;
mod resolv;
mod secret;
mod server;
mod session;
mod slot;
mod start;
mod taken;
#[cfg(test)]
mod tests;
mod trial;
mod user;

pub use resolv::resolv_conf_obstacle;
pub use server::supervisor_main;

use crate::clock;
use crate::process::{Link, MESSAGE, Spawner, input_file};
use message::{Order, Report};
use rail_core::time::{Duration, Instant};
use rail_core::{Child, ChildEvent, ChildId};
use rustix::event::epoll::{self, CreateFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::io;
use std::path::{Path, PathBuf};

/// The daemon's end. Readable when something happened.
#[derive(Debug)]
pub struct Children {
    link: Option<Link>,
    /// Outlives every link.
    poller: OwnedFd,
    directories: (PathBuf, PathBuf),
    /// What is to run; `None` until that is known.
    list: Option<Vec<Child>>,
    number: u64,
    carried_out: u64,
    /// When the list is sent again, or the supervisor started again.
    retry_at: Option<Instant>,
}

/// What there is to say.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum News {
    /// Something happened to a child.
    Child(ChildId, ChildEvent),
    /// The supervisor is gone; it is started again.
    Lost,
    /// It was started again with fewer rights than the first one had.
    Weak,
}

impl Children {
    /// Starts the supervisor.
    ///
    /// # Errors
    /// The kernel's: no process or descriptor left, or `/proc` is missing.
    pub fn start(runtime_dir: &Path, state_dir: &Path) -> io::Result<Self> {
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        let link = Some(Link::start(&poller, WORD)?);
        let directories = (std::path::absolute(runtime_dir)?, std::path::absolute(state_dir)?);
        let (list, number, carried_out, retry_at) = (None, 0, 0, None);
        Ok(Self { link, poller, directories, list, number, carried_out, retry_at })
    }

    /// Exactly these are to run from now on.
    pub fn set(&mut self, list: Vec<Child>) {
        self.list = Some(list);
        self.number += 1;
        self.send();
    }

    /// What happened since the last call.
    pub fn drain(&mut self) -> Vec<News> {
        let mut news = Vec::new();
        let mut buffer = vec![0; MESSAGE];
        while let Some(link) = &self.link {
            match recv(link.socket(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) if length > 0 => {
                    match serde_json::from_slice(&buffer[..length.min(MESSAGE)]) {
                        Ok(Report::Child(id, event)) => news.push(News::Child(id, event)),
                        Ok(Report::CarriedOut(number)) => self.carried_out = number,
                        // The supervisor is our own program, started from the same file.
                        Err(_) => {}
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => {
                    self.lose_link();
                    news.push(News::Lost);
                }
            }
        }
        news
    }

    /// True if all runs that is to run, or has failed, and all else has ended.
    pub const fn is_carried_out(&self) -> bool {
        self.list.is_none() || self.carried_out == self.number
    }

    /// When [`Children::wake`] has something to do.
    pub const fn deadline(&self) -> Option<Instant> {
        self.retry_at
    }

    /// Does what is due. A supervisor that was lost is started again by the spawner, which still has the rights
    /// that we gave up; without it, with ours.
    pub fn wake(&mut self, now: Instant, spawner: &mut Spawner) -> Option<News> {
        self.retry_at.take_if(|at| *at <= now)?;
        let mut news = None;
        if self.link.is_none() {
            self.link = spawner.helper(&self.poller, WORD).ok();
        }
        if self.link.is_none() {
            self.link = Link::start(&self.poller, WORD).ok();
            news = self.link.as_ref().map(|_| News::Weak);
        }
        self.send();
        news
    }

    fn send(&mut self) {
        let Some(list) = &self.list else { return };
        let (runtime, state) = &self.directories;
        let order =
            Order { runtime: runtime.clone(), state: state.clone(), children: list.clone() };
        let sent = serde_json::to_vec(&order).map_err(io::Error::from).and_then(|text| {
            let link = self.link.as_ref().ok_or(Errno::PIPE)?;
            Ok(link.send(&self.number.to_le_bytes(), Some(&input_file(&text)?))?)
        });
        if sent.is_err() {
            // It has no room at the moment, or is gone, which `drain` will find.
            self.retry_at = Some(clock::now() + RETRY);
        }
    }

    fn lose_link(&mut self) {
        if let Some(link) = self.link.take() {
            link.leave(&self.poller);
        }
        self.carried_out = 0;
        self.retry_at = Some(clock::now() + RETRY);
    }
}

impl AsFd for Children {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

/// The supervisor is our own program with this argument.
const WORD: &str = "--supervisor";
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(500);
