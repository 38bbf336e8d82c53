//! Notifications that a watched interface's neighbour stopped or began to answer.
//!
//! Promises: a filter in the kernel passes only these two states on the watched
//! interfaces, so that neighbour churn elsewhere costs nothing. What is lost in
//! a storm is lost: probes find out as well.

use super::{Counters, DATAGRAM_BYTES, open, read, receive, set_option};
use rail_core::state::Scope;
use rail_wire::netlink::{kind, nud};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::{RecvFlags, SocketFlags, sockopt};
use std::io;

/// A socket that hears about neighbours; never blocks.
#[derive(Debug)]
pub struct NeighbourMonitor {
    fd: OwnedFd,
    buffer: Vec<u8>,
    counters: Counters,
}

impl NeighbourMonitor {
    /// Opens one in the network namespace of the calling thread; it watches nothing yet.
    ///
    /// # Errors
    /// The kernel refuses the socket.
    pub fn open() -> io::Result<Self> {
        let fd = open(SocketFlags::NONBLOCK)?;
        let (buffer, counters) = (vec![0; DATAGRAM_BYTES / 4], Counters::default());
        let mut monitor = Self { fd, buffer, counters };
        monitor.watch_ifindexes(&[])?;
        sockopt::set_socket_recv_buffer_size(&monitor.fd, RECEIVE_BUFFER_BYTES)?;
        set_option(&monitor.fd, libc::SOL_NETLINK, libc::NETLINK_NO_ENOBUFS, &1i32)?;
        set_option(&monitor.fd, libc::SOL_NETLINK, libc::NETLINK_ADD_MEMBERSHIP, &GROUP)?;
        Ok(monitor)
    }

    /// Passes these interfaces from now on; at most 240, the rest is left out.
    ///
    /// # Errors
    /// The kernel refuses the filter.
    pub fn watch_ifindexes(&mut self, indexes: &[u32]) -> io::Result<()> {
        let mut program = program(&indexes[..indexes.len().min(MOST_INTERFACES)]);
        let filter = libc::sock_fprog {
            len: u16::try_from(program.len()).unwrap_or(0),
            filter: program.as_mut_ptr(),
        };
        set_option(&self.fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
    }

    /// Reads what waits: [`Scope::NEIGHBOURS`] if there was anything.
    pub fn drain(&mut self) -> Scope {
        let mut scope = Scope::NONE;
        for _ in 0..PER_DRAIN {
            let dontwait = RecvFlags::DONTWAIT;
            match receive(&self.fd, &mut self.buffer, dontwait, &mut self.counters) {
                Ok(Some(length)) => {
                    let about = |m: rail_wire::netlink::Message<'_>| m.kind == kind::NEW_NEIGHBOUR;
                    let mut all = read(&self.buffer[..length], &mut self.counters);
                    if all.any(|m| m.is_ok_and(about)) {
                        scope = Scope::NEIGHBOURS;
                    }
                }
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(_) => break,
            }
        }
        scope
    }

    /// What was counted since the start; losses are not reported here.
    pub const fn counters(&self) -> Counters {
        self.counters
    }
}

impl AsFd for NeighbourMonitor {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Passes `RTM_NEWNEIGH` in state failed or reachable on these interfaces. The filter reads in
/// network byte order what the kernel wrote in the host's.
fn program(indexes: &[u32]) -> Vec<libc::sock_filter> {
    let op = |code: u32, jt: usize, jf: usize, k: u32| libc::sock_filter {
        code: u16::try_from(code).unwrap_or(0),
        jt: u8::try_from(jt).unwrap_or(u8::MAX),
        jf: u8::try_from(jf).unwrap_or(u8::MAX),
        k,
    };
    let half = |value: u16| u32::from(value.to_be());
    let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
    let any_bit = libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K;
    let count = indexes.len();
    // Jumps count from the next instruction: drop is the last but one, pass the last.
    let mut program = vec![
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 4), // message kind
        op(equal, 0, 3 + count, half(kind::NEW_NEIGHBOUR)),
        op(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 24), // state
        op(any_bit, 0, 1 + count, half(nud::FAILED | nud::REACHABLE)),
        op(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 20), // interface
    ];
    for (i, index) in indexes.iter().enumerate() {
        program.push(op(equal, count - i, 0, index.to_be()));
    }
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, 0));
    program.push(op(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX));
    program
}

/// More than there can be uplinks; a jump in a filter reaches 255 instructions.
const MOST_INTERFACES: usize = 240;

const PER_DRAIN: usize = 256;
const RECEIVE_BUFFER_BYTES: usize = 64 * 1024;
/// `RTNLGRP_NEIGH`.
const GROUP: u32 = 3;
