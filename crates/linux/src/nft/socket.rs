//! A netfilter socket: requests, dumps and batches, or notifications.

use crate::netlink::{Counters, error, port, read, receive, set_option};
use rail_core::state::OpError;
use rail_wire::netlink::{Ack, Message, Request, flag, kind, messages};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::io;
use std::time::Duration;

/// Room for the largest datagram that the kernel sends.
const BUFFER: usize = 256 * 1024;
/// A transaction goes out in one piece. The largest map, all of it taken out and put back, is
/// 230 KB, which is more than the usual limit of a socket.
const ROOM_TO_SEND: i32 = 1 << 20;
/// How long the kernel may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often an interrupted dump is begun again.
const ATTEMPTS: usize = 20;
/// The first type that is no control message.
const FIRST_KIND: u16 = 16;

/// A netfilter socket.
#[derive(Debug)]
pub(super) struct Socket {
    fd: OwnedFd,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
    counters: Counters,
}

impl Socket {
    /// Opens one in the network namespace of the calling thread.
    pub(super) fn open() -> io::Result<Self> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            Some(NETFILTER),
        )?;
        rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
        for option in [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK] {
            // Old kernels have neither and are as right without.
            let _old_kernel = set_option(&fd, libc::SOL_NETLINK, option, &1_i32);
        }
        buffer_size(&fd, [libc::SO_SNDBUFFORCE, libc::SO_SNDBUF], ROOM_TO_SEND)?;
        set_socket_timeout(&fd, Timeout::Recv, Some(PATIENCE))?;
        let port = port(&fd)?;
        let (buffer, counters) = (vec![0; BUFFER], Counters::default());
        Ok(Self { fd, port, sequence: 0, buffer, counters })
    }

    /// Makes it a listener: joins a group, never blocks, with this much room for bursts.
    pub(super) fn listen(&mut self, group: u32, room: i32) -> io::Result<()> {
        set_option(&self.fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &group)?;
        buffer_size(&self.fd, [libc::SO_RCVBUFFORCE, libc::SO_RCVBUF], room)?;
        Ok(rustix::io::ioctl_fionbio(&self.fd, true)?)
    }

    /// The port that the kernel knows us by.
    pub(super) const fn port(&self) -> u32 {
        self.port
    }

    /// What was counted since the start.
    pub(super) const fn counters(&self) -> Counters {
        self.counters
    }

    /// A fresh sequence number.
    pub(super) const fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    /// The next datagram of the kernel; `AGAIN` when none comes, `NOBUFS` when some were lost.
    pub(super) fn receive(&mut self) -> Result<&[u8], Errno> {
        self.receive_with(RecvFlags::empty())
    }

    fn receive_with(&mut self, flags: RecvFlags) -> Result<&[u8], Errno> {
        loop {
            match receive(&self.fd, &mut self.buffer, flags, &mut self.counters) {
                Ok(Some(length)) => {
                    // Looked at here once, so that no reader of datagrams need count.
                    read(&self.buffer[..length], &mut self.counters).for_each(drop);
                    return Ok(&self.buffer[..length]);
                }
                Ok(None) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), OpError> {
        // The socket is not connected, and the kernel is the default destination.
        rustix::net::send(&self.fd, bytes, SendFlags::empty()).map(drop).map_err(failed)
    }

    /// Asks for one object.
    pub(super) fn get<T>(
        &mut self,
        request: &Request,
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, OpError> {
        let sequence = self.next_sequence();
        self.send(&request.finish(sequence))?;
        loop {
            let datagram = self.receive().map_err(failed)?;
            let answer = messages(datagram).flatten().find(|m| m.sequence == sequence);
            if let Some(message) = answer {
                if message.kind == kind::ERROR {
                    return outcome(&message).map(|()| None);
                }
                return Ok(read(&message));
            }
        }
    }

    /// Asks for many objects. A dump that a change interrupted is begun again.
    pub(super) fn dump<T>(
        &mut self,
        request: &Request,
        begin: impl Fn() -> T,
        take: impl Fn(&mut T, &Message<'_>),
    ) -> Result<T, OpError> {
        for _ in 0..ATTEMPTS {
            let mut found = begin();
            match self.answers(request, &mut |message| take(&mut found, message)) {
                Ok(false) => return Ok(found),
                Ok(true) => {}
                Err(e) if [libc::EINTR, libc::EBUSY].contains(&e.errno) => {}
                Err(e) => return Err(e),
            }
        }
        Err(error(libc::EBUSY, "the ruleset changes faster than it can be read"))
    }

    /// Reads to the end of the answer; true if a change interrupted it.
    fn answers(
        &mut self,
        request: &Request,
        take: &mut dyn FnMut(&Message<'_>),
    ) -> Result<bool, OpError> {
        let sequence = self.next_sequence();
        self.send(&request.finish(sequence))?;
        let mut interrupted = false;
        loop {
            let datagram = self.receive().map_err(failed)?;
            for message in messages(datagram).flatten().filter(|m| m.sequence == sequence) {
                interrupted |=
                    message.flags & flag::DUMP_INTERRUPTED != 0 && message.kind != kind::ERROR;
                match message.kind {
                    kind::ERROR | kind::DONE => return outcome(&message).map(|()| interrupted),
                    other if other >= FIRST_KIND => take(&message),
                    _ => {}
                }
            }
        }
    }

    /// Sends a batch whose messages bear the numbers from `first` on. All answers are there when
    /// the sending returns: as many acknowledgements as expected, or an error.
    pub(super) fn batch(&mut self, bytes: &[u8], first: u32, acks: usize) -> Result<(), OpError> {
        self.send(bytes)?;
        let (mut good, mut bad) = (0, None);
        let most = u32::try_from(acks).unwrap_or(u32::MAX).saturating_add(1);
        loop {
            let datagram = match self.receive_with(RecvFlags::DONTWAIT) {
                Ok(datagram) => datagram,
                Err(Errno::AGAIN) => break,
                Err(error) => return Err(failed(error)),
            };
            for message in messages(datagram).flatten() {
                let is_ours = message.sequence.wrapping_sub(first) <= most;
                if message.kind == kind::ERROR && is_ours {
                    match outcome(&message) {
                        Ok(()) => good += 1,
                        Err(error) => bad = bad.or(Some(error)),
                    }
                }
            }
        }
        match bad {
            Some(error) => Err(error),
            None if good >= acks => Ok(()),
            None => Err(error(libc::EIO, "the kernel did not answer")),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Beyond the system's limit if we may (the first option), else up to it.
fn buffer_size(fd: &OwnedFd, options: [i32; 2], bytes: i32) -> io::Result<()> {
    let set = |option| set_option(fd, libc::SOL_SOCKET, option, &bytes);
    set(options[0]).or_else(|_| set(options[1]))
}

/// The kernel's answer as a result.
fn outcome(message: &Message<'_>) -> Result<(), OpError> {
    let ack = Ack::decode(message).map_err(|_| error(libc::EBADMSG, "the answer is torn"))?;
    match ack.errno {
        0 => Ok(()),
        errno => Err(error(errno, &ack.text)),
    }
}

fn failed(errno: Errno) -> OpError {
    error(errno.raw_os_error(), "")
}
