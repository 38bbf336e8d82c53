//! Waiting for descriptors: a thin cover over epoll.
//!
//! Promises level-triggered readiness by token; a token is the owner's number
//! and means nothing here. Leaves out time: a [`Timer`](crate::clock::Timer) is
//! one more descriptor.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io;

/// What became ready.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Ready {
    /// The token given with [`Poller::add`].
    pub token: u64,
    /// There is something to read, or an error or hang-up to be read.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
}

/// An epoll instance.
#[derive(Debug)]
pub struct Poller {
    fd: OwnedFd,
}

impl Poller {
    /// Makes an empty one.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { fd: epoll::create(CreateFlags::CLOEXEC)? })
    }

    /// Reports from now on when `source` is readable.
    ///
    /// # Errors
    /// The kernel's: already added, or out of memory.
    pub fn add(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        epoll::add(&self.fd, source, EventData::new_u64(token), EventFlags::IN)
    }

    /// Reports from now on when `source` is writable, or has an error to be read.
    ///
    /// # Errors
    /// As of [`Poller::add`].
    pub fn add_for_writing(&self, source: impl AsFd, token: u64) -> io::Result<()> {
        epoll::add(&self.fd, source, EventData::new_u64(token), EventFlags::OUT)
    }

    /// Changes what is reported for `source`; an error or hang-up always is, as readable.
    ///
    /// # Errors
    /// The kernel's: not added.
    pub fn modify(&self, source: impl AsFd, token: u64, read: bool, write: bool) -> io::Result<()> {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, read);
        flags.set(EventFlags::OUT, write);
        epoll::modify(&self.fd, source, EventData::new_u64(token), flags)
    }

    /// Reports nothing more for `source`. Closing the last copy of a descriptor does the same.
    pub fn remove(&self, source: impl AsFd) {
        // Not added, or closed already: nothing is reported either way.
        let _ = epoll::delete(&self.fd, source);
    }

    /// Waits until something is ready; `block: false` only looks. At most 256 at a time.
    ///
    /// # Errors
    /// The kernel's; an interruption by a signal is not one.
    pub fn wait(&self, block: bool) -> io::Result<Vec<Ready>> {
        let mut events: Vec<epoll::Event> = Vec::with_capacity(256);
        let zero = rustix::time::Timespec { tv_sec: 0, tv_nsec: 0 };
        let timeout = if block { None } else { Some(&zero) };
        match epoll::wait(&self.fd, rustix::buffer::spare_capacity(&mut events), timeout) {
            Ok(_) | Err(io::Errno::INTR) => {}
            Err(e) => return Err(e),
        }
        Ok(events.iter().map(ready).collect())
    }
}

fn ready(event: &epoll::Event) -> Ready {
    let flags = event.flags;
    let gone = EventFlags::ERR | EventFlags::HUP | EventFlags::RDHUP;
    Ready {
        token: event.data.u64(),
        readable: flags.intersects(EventFlags::IN | gone),
        writable: flags.contains(EventFlags::OUT),
    }
}
