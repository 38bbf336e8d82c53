//! The state of the links in use, read again and again by a thread of its own.
//!
//! While links change anywhere on the machine, in any namespace, the kernel merges its
//! notifications of a lost carrier for up to a second; the state itself is right at once. Promises:
//! a difference shows up through one descriptor within [`EVERY`], whether a notification comes or
//! not, and the loop is woken by nothing else. A thread, because the kernel answers under a lock
//! that others may hold for long (a driver that resets its card), and the loop must not wait for
//! it. Leaves out what the difference means: the shell says that links changed, and the core reads
//! them as ever. Netlink and not ethtool: `ETHTOOL_GLINK` asks the hardware, which takes some
//! network cards on USB a millisecond.

use crate::netlink::RequestSocket;
use rail_core::net::IfName;
use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use std::io;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

/// The thread; it ends with this value.
#[derive(Debug)]
pub(super) struct CarrierWatch {
    links: Sender<Vec<IfName>>,
    watched: Vec<IfName>,
    differs: Arc<OwnedFd>,
}

impl CarrierWatch {
    /// Starts it in the network namespace of the calling thread; it looks at nothing yet.
    ///
    /// # Errors
    /// No thread, socket or descriptor left.
    pub(super) fn start() -> io::Result<Self> {
        let differs = Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?);
        let (links, lists) = channel();
        let (socket, tell) = (RequestSocket::open()?, Arc::clone(&differs));
        thread::Builder::new()
            .name("rail-carrier".into())
            .spawn(move || look(socket, &lists, &tell))?;
        Ok(Self { links, watched: Vec::new(), differs })
    }

    /// Looks at exactly these from now on; the first look at a new list counts as a difference.
    pub(super) fn watch(&mut self, links: &[IfName]) {
        if self.watched != links {
            self.watched = links.to_vec();
            // The thread ends only after this sender.
            let _ = self.links.send(self.watched.clone());
        }
    }

    /// True if something differs since the last call.
    pub(super) fn take(&self) -> bool {
        rustix::io::read(&self.differs, &mut [0; 8]).is_ok()
    }
}

impl AsFd for CarrierWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.differs.as_fd()
    }
}

fn look(mut socket: RequestSocket, lists: &Receiver<Vec<IfName>>, tell: &OwnedFd) {
    // Some milliseconds later are early enough, and let the processor sleep on.
    let _ = rustix::thread::set_current_timer_slack(NonZeroU64::new(SLACK_NANOS));
    let (mut links, mut known) = (Vec::new(), Vec::new());
    loop {
        let wait = if links.is_empty() { Duration::MAX } else { EVERY };
        match lists.recv_timeout(wait) {
            Ok(list) => (links, known) = (list, Vec::new()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now: Vec<_> = links.iter().map(|name| socket.link_state(*name)).collect();
        if now != known {
            known = now;
            let _ = rustix::io::write(tell, &1u64.to_ne_bytes());
        }
    }
}

/// From one look to the next.
const EVERY: Duration = Duration::from_millis(20);
const SLACK_NANOS: u64 = 3_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{in_new_netns, ip};
    use rustix::event::{PollFd, PollFlags, Timespec, poll};

    fn differs(watch: &CarrierWatch, millis: i64) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: millis * 1_000_000 };
        poll(&mut [PollFd::new(watch, PollFlags::IN)], Some(&wait)).unwrap();
        watch.take()
    }

    /// Given a link that is watched, when its other end goes down or it vanishes, then that is seen
    /// without any notification; when nothing happens, nothing is said.
    #[test]
    fn a_difference_is_seen() {
        in_new_netns(|| {
            ip("link add wan1 type veth peer name far1");
            ip("link set wan1 up");
            ip("link set far1 up");
            let mut watch = CarrierWatch::start().unwrap();
            assert!(!differs(&watch, 60));
            watch.watch(&["wan1".parse().unwrap(), "absent".parse().unwrap()]);
            assert!(differs(&watch, 900));
            assert!(!differs(&watch, 100));
            ip("link set far1 down");
            assert!(differs(&watch, 900));
            ip("link delete wan1");
            assert!(differs(&watch, 900));
            assert!(!differs(&watch, 100));
        });
    }
}
