//! Requests and their answers, one at a time.
//!
//! Promises: an answer is taken only from the kernel and only for the request
//! that waits; late answers are dropped. A dump that a change tore is repeated.

use super::{Counters, DATAGRAM_BYTES, error, open, port, read, receive, set_option};
use crate::realtime;
use rail_core::check::Packets;
use rail_core::net::IfName;
use rail_core::state::OpError;
use rail_wire::netlink::{
    Ack, LinkMessage, LinkPackets, Message, NeighbourMessage, Request, flag, kind, nud,
};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{RecvFlags, SendFlags, SocketFlags};
use std::io;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// A socket for requests.
#[derive(Debug)]
pub struct RequestSocket {
    fd: OwnedFd,
    port: u32,
    sequence: u32,
    buffer: Vec<u8>,
    pub(crate) counters: Counters,
    /// How many routes the last whole dump had outside the watched tables.
    pub(crate) other_routes: usize,
}

/// What a link can do.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LinkState {
    /// Interface index.
    pub index: u32,
    /// Administratively up.
    pub up: bool,
    /// Carrier.
    pub carrier: bool,
}

impl AsFd for RequestSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl LinkState {
    /// The link of this name; another one may have it as an alternative name.
    fn of(message: &Message<'_>, name: IfName) -> Option<Self> {
        let link = LinkMessage::decode(message).ok()?;
        let LinkMessage { index, up, carrier, .. } = link;
        (link.name == name.as_str()).then_some(Self { index, up, carrier })
    }
}

/// What ended one attempt.
enum Failure {
    /// The kernel asks to try again.
    Again(i32),
    Final(OpError),
}

impl RequestSocket {
    /// Opens one in the network namespace of the calling thread.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn open() -> io::Result<Self> {
        let fd = open(SocketFlags::empty())?;
        // The first two are comfort (sentences, short answers), the third makes the kernel filter
        // dumps; old kernels have none of them and are as right without.
        let comfort = [libc::NETLINK_EXT_ACK, libc::NETLINK_CAP_ACK, libc::NETLINK_GET_STRICT_CHK];
        for option in comfort {
            let _old_kernel = set_option(&fd, libc::SOL_NETLINK, option, &1i32);
        }
        set_socket_timeout(&fd, Timeout::Recv, Some(ANSWER_TIMEOUT))?;
        let port = port(&fd)?;
        let (buffer, counters) = (vec![0; DATAGRAM_BYTES], Counters::default());
        Ok(Self { fd, port, sequence: 0, buffer, counters, other_routes: 0 })
    }

    /// Its port: notifications about changes that it made bear it.
    pub const fn port(&self) -> u32 {
        self.port
    }

    /// What was counted since the start.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    /// Sets a link administratively up or down. One that is gone is down.
    ///
    /// # Errors
    /// `ENODEV` if there is no such link to set up; the kernel's refusal.
    pub fn link_set_up(&mut self, ifname: IfName, up: bool) -> Result<(), OpError> {
        let index = match self.index_of(ifname) {
            Err(e) if e.errno == libc::ENODEV && !up => return Ok(()),
            found => found?,
        };
        self.change(&LinkMessage::set_up(index, up))
    }

    /// State and counters of links at this moment, in their order; `None` for one that is not there, or
    /// of which nobody says. They are asked for together: a question alone costs more than its answer.
    pub fn link_states(&mut self, names: &[IfName]) -> Vec<Option<(LinkState, Option<Packets>)>> {
        let mut states = vec![None; names.len()];
        for (names, states) in names.chunks(AT_ONCE).zip(states.chunks_mut(AT_ONCE)) {
            let requests: Vec<_> =
                names.iter().map(|name| LinkMessage::get(name.as_str())).collect();
            // Of those that are not answered nobody says.
            let _ = self.attempt_each(&requests, &mut |which, message| {
                let link = LinkState::of(message, names[which]);
                states[which] = link.map(|link| (link, counted(link.index, message)));
            });
        }
        states
    }

    /// Lets the next packet to a neighbour that is being asked for ask again, and asks one that is
    /// known at once; one in another state is left alone.
    ///
    /// # Errors
    /// The kernel's refusal.
    pub fn resolve(&mut self, ifname: IfName, address: &IpAddr) -> Result<(), OpError> {
        let index = self.index_of(ifname)?;
        match self.neighbour(index, address)?.map_or(0, |found| found.state) {
            nud::INCOMPLETE => self.change(&NeighbourMessage::reset(index, address)),
            // It may wait for our answer to a request of its own, and hears our address in ours.
            nud::REACHABLE | nud::STALE | nud::DELAY => {
                self.change(&NeighbourMessage::probe(index, address))
            }
            _ => Ok(()),
        }
    }

    /// The index of a link at this moment.
    pub(crate) fn index_of(&mut self, ifname: IfName) -> Result<u32, OpError> {
        let link = self.link(ifname)?.map(|link| link.index);
        link.ok_or_else(|| error(libc::ENODEV, &format!("there is no link {ifname}")))
    }

    /// A link at this moment; `None` if there is none.
    pub(crate) fn link(&mut self, ifname: IfName) -> Result<Option<LinkMessage>, OpError> {
        let mut link = None;
        let asked = self.ask(&LinkMessage::get(ifname.as_str()), &mut |message| {
            if message.kind == kind::NEW_LINK {
                link = LinkMessage::decode(message).ok();
            }
        });
        match asked {
            Err(e) if e.errno != libc::ENODEV => Err(e),
            // The name may be an alternative one of another link.
            _ => Ok(link.filter(|link| link.name == ifname.as_str())),
        }
    }

    /// Has a change made.
    pub(crate) fn change(&mut self, request: &Request) -> Result<(), OpError> {
        self.ask(request, &mut |_| {})
    }

    /// Asks for one object.
    pub(crate) fn ask(
        &mut self,
        request: &Request,
        take: &mut dyn FnMut(&Message<'_>),
    ) -> Result<(), OpError> {
        for _ in 0..ATTEMPTS {
            let mut take_all = |message: &Message<'_>| {
                take(message);
                true
            };
            match self.attempt(request, false, &mut take_all) {
                Ok(()) => return Ok(()),
                Err(Failure::Final(e)) => return Err(e),
                Err(Failure::Again(_)) => {}
            }
        }
        Err(error(libc::EBUSY, "the kernel stays busy"))
    }

    /// Asks for many objects; consistent or an error. `decode` may be called for messages of
    /// an attempt that is thrown away.
    pub(crate) fn dump<T>(
        &mut self,
        request: &Request,
        mut decode: impl FnMut(&Message<'_>) -> Option<T>,
    ) -> Result<Vec<T>, OpError> {
        self.dump_until(request, |found: &mut Vec<T>, message| {
            found.extend(decode(message));
            true
        })
    }

    /// The same, and it ends where `take` says that it has enough. The kernel then has more to say:
    /// this socket is of no use any more.
    pub(crate) fn dump_until<R: Default>(
        &mut self,
        request: &Request,
        mut take: impl FnMut(&mut R, &Message<'_>) -> bool,
    ) -> Result<R, OpError> {
        let mut errno = libc::EINTR;
        for _ in 0..ATTEMPTS {
            let mut found = R::default();
            match self.attempt(request, true, &mut |message| take(&mut found, message)) {
                Ok(()) => return Ok(found),
                Err(Failure::Final(e)) => return Err(e),
                Err(Failure::Again(e)) => errno = e,
            }
        }
        Err(error(errno, "the table changes faster than it can be read"))
    }

    fn attempt(
        &mut self,
        request: &Request,
        is_dump: bool,
        take: &mut dyn FnMut(&Message<'_>) -> bool,
    ) -> Result<(), Failure> {
        self.sequence = self.sequence.wrapping_add(1).max(1);
        self.send(&request.finish(self.sequence))?;
        let started = Instant::now();
        let (mut rested, mut interrupted) = (started, false);
        loop {
            if started.elapsed() > ANSWER_TIMEOUT * 2 {
                return Err(Failure::Final(timed_out()));
            }
            if rested.elapsed() > realtime::WITHOUT_PAUSE {
                realtime::pause();
                rested = Instant::now();
            }
            let Some(length) = self.receive()? else { continue };
            for message in read(&self.buffer[..length], &mut self.counters) {
                // The kernel does not tear messages; what is behind a torn one is lost.
                let Ok(message) = message else { return Err(Failure::Again(libc::EBADMSG)) };
                if message.sequence != self.sequence || message.port != self.port {
                    continue;
                }
                interrupted |= is_dump && message.flags & flag::DUMP_INTERRUPTED != 0;
                match message.kind {
                    kind::ERROR | kind::DONE => return finish(&message, is_dump, interrupted),
                    _ if !take(&message) => return Ok(()),
                    _ => {}
                }
                // A single object is its own answer.
                if !is_dump && message.flags & flag::MULTI == 0 {
                    return Ok(());
                }
            }
        }
    }

    /// Asks for some single objects at once; each answer comes with the place of its request.
    fn attempt_each(
        &mut self,
        requests: &[Request],
        take: &mut dyn FnMut(usize, &Message<'_>),
    ) -> Result<(), Failure> {
        let first = self.sequence.wrapping_add(1).max(1);
        let mut bytes = Vec::new();
        for request in requests {
            self.sequence = self.sequence.wrapping_add(1).max(1);
            bytes.extend(request.finish(self.sequence));
        }
        self.send(&bytes)?;
        let (started, mut left) = (Instant::now(), requests.len());
        while left > 0 {
            if started.elapsed() > ANSWER_TIMEOUT * 2 {
                return Err(Failure::Final(timed_out()));
            }
            let Some(length) = self.receive()? else { continue };
            for message in read(&self.buffer[..length], &mut self.counters) {
                let Ok(message) = message else { return Err(Failure::Again(libc::EBADMSG)) };
                let which = usize::try_from(message.sequence.wrapping_sub(first)).ok();
                let which = which.filter(|which| *which < requests.len());
                let Some(which) = which.filter(|_| message.port == self.port) else { continue };
                left = left.saturating_sub(1);
                if message.kind == kind::NEW_LINK {
                    take(which, &message);
                }
            }
        }
        Ok(())
    }

    /// Waits for messages, and puts them into the buffer; `None`: there are none of the kernel's yet.
    fn receive(&mut self) -> Result<Option<usize>, Failure> {
        match receive(&self.fd, &mut self.buffer, RecvFlags::empty(), &mut self.counters) {
            Ok(length) => Ok(length),
            Err(Errno::INTR) => Ok(None),
            Err(Errno::AGAIN) => Err(Failure::Final(timed_out())),
            // Answers were lost for want of memory.
            Err(Errno::NOBUFS) => Err(Failure::Again(libc::ENOBUFS)),
            Err(e) => Err(Failure::Final(error(e.raw_os_error(), ""))),
        }
    }

    fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        loop {
            // The socket is not connected, and the kernel is the default destination.
            match rustix::net::send(&self.fd, bytes, SendFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => return Err(Failure::Again(libc::ENOBUFS)),
                Err(e) => return Err(Failure::Final(error(e.raw_os_error(), ""))),
            }
        }
    }
}

fn finish(message: &Message<'_>, is_dump: bool, interrupted: bool) -> Result<(), Failure> {
    let ack = Ack::decode(message)
        .map_err(|_| Failure::Final(error(libc::EBADMSG, "the answer is torn")))?;
    match ack.errno {
        0 if interrupted => Err(Failure::Again(libc::EINTR)),
        0 => Ok(()),
        libc::EINTR | libc::EAGAIN => Err(Failure::Again(ack.errno)),
        // Another dump is under way. Of a single object it says that this is in use, and that lasts.
        libc::EBUSY if is_dump => Err(Failure::Again(ack.errno)),
        errno => Err(Failure::Final(error(errno, &ack.text))),
    }
}

fn counted(index: u32, message: &Message<'_>) -> Option<Packets> {
    let LinkPackets { received, sent } = LinkPackets::decode(message)?;
    Some(Packets { index, received, sent })
}

fn timed_out() -> OpError {
    error(libc::ETIMEDOUT, "the kernel did not answer")
}

/// The kernel answers within the send call, unless another one holds its lock for long.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);
/// So many answers fit into the receive buffer of a socket, however small the machine.
const AT_ONCE: usize = 16;
/// Repeats of a torn dump; a whole table takes about 10 ms.
const ATTEMPTS: u32 = 10;
