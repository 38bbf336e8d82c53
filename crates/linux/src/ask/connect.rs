//! A TCP connection that is made only to see whether it can be.
//!
//! Promises: its segments leave by the device of the binding, from its source and with its mark; of
//! the connection nothing is left, here or there: it ends with a reset (RST). RFC 9293.

use super::{Begun, Outcome, Work};
use crate::option::{bind_to, get, set_number};
use rail_core::time::{Duration, Instant};
use rail_core::{Answer, AskError, Binding};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, ipproto, socket_with, sockopt};
use std::io;
use std::net::SocketAddr;

/// A connection that is being made.
#[derive(Debug)]
pub(super) struct Connection {
    fd: OwnedFd,
    begun: Instant,
}

/// Sends the first segment.
pub(super) fn begin(now: Instant, binding: &Binding, to: SocketAddr) -> Begun {
    let Ok(fd) = open(binding, to) else { return Begun::Done(Err(AskError::NotAsked)) };
    let result = rustix::net::connect(&fd, &to);
    let connection = Connection { fd, begun: now };
    match result {
        Ok(()) | Err(Errno::INPROGRESS) => Begun::Waits(Work::Connect(connection)),
        Err(Errno::CONNREFUSED) => Begun::Done(connection.refused(Duration::ZERO)),
        Err(Errno::NETUNREACH | Errno::HOSTUNREACH) => Begun::Done(Err(AskError::Unreachable)),
        // No port is free, our own filter forbids it, ..
        Err(_) => Begun::Done(Err(AskError::NotAsked)),
    }
}

impl Connection {
    /// What became of it; `None` while it is not known.
    pub(super) fn outcome(&self, now: Instant) -> Option<Outcome> {
        let elapsed = now.since(self.begun);
        match sockopt::socket_error(&self.fd) {
            Ok(Ok(())) => {
                // It is writable only now, or the token had another meaning a moment ago.
                rustix::net::getpeername(&self.fd).ok()?;
                Some(Ok(Answer::Connected { rtt: self.measured().unwrap_or(elapsed).min(elapsed) }))
            }
            Ok(Err(Errno::CONNREFUSED | Errno::CONNRESET)) => Some(self.refused(elapsed)),
            Ok(Err(Errno::TIMEDOUT)) => Some(Err(AskError::TimedOut)),
            Ok(Err(_)) | Err(_) => Some(Err(AskError::Unreachable)),
        }
    }

    /// What a refusal means. A reset is a segment of the other end. An ICMP error (port unreachable)
    /// gives the same error, but comes from whoever rejects the connection: a modem, or a filter of
    /// this router.
    fn refused(&self, rtt: Duration) -> Outcome {
        let received = self.info().and_then(|info| number(&info, SEGS_IN)).unwrap_or(0);
        if received > 0 { Ok(Answer::Refused { rtt }) } else { Err(AskError::Unreachable) }
    }

    /// The round-trip time as the kernel measured it, however late the loop looks. What had to be sent
    /// again took as long as it took.
    fn measured(&self) -> Option<Duration> {
        let info = self.info()?;
        let rtt_us = number(&info, RTT_US).filter(|us| *us > 0)?;
        (number(&info, TOTAL_RETRANS)? == 0).then_some(Duration::from_micros(rtt_us.into()))
    }

    /// What the kernel knows of the connection.
    fn info(&self) -> Option<[u8; SEGS_IN + 4]> {
        let mut info = [0; SEGS_IN + 4];
        let length = get(&self.fd, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info).ok()?;
        (length == info.len()).then_some(info)
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

fn open(binding: &Binding, to: SocketAddr) -> io::Result<OwnedFd> {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(family, SocketType::STREAM, flags, Some(ipproto::TCP))?;
    bind_to(&fd, binding)?;
    // Closed with a reset: a check every second leaves no connections that wait for their end.
    sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
    if let Some(source) = binding.source {
        // The port is chosen when the other end is known; kernels before 4.2 choose it now.
        let _ = set_number(&fd, libc::IPPROTO_IP, libc::IP_BIND_ADDRESS_NO_PORT, 1);
        rustix::net::bind(&fd, &SocketAddr::new(source, 0))?;
    }
    Ok(fd)
}

/// The number at this place.
fn number(info: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*info.get(at..)?.first_chunk()?))
}

/// Where the numbers stand in a `tcp_info` (linux/tcp.h): its layout only ever grows.
const RTT_US: usize = 68;
const TOTAL_RETRANS: usize = 100;
/// Segments that came in, the reset among them (Linux 4.2).
const SEGS_IN: usize = 140;
