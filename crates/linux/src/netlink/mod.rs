//! Routing netlink with the kernel: read its tables, change our objects in
//! them, hear about changes.
//!
//! Promises: what is read is a fresh and consistent dump; what is changed is
//! marked as ours (protocol 82) and nothing foreign is ever deleted; only the
//! kernel is believed, whoever else writes to our sockets. Leaves out nftables
//! and connections (other netlink families), and every decision. RFC 3549.

mod foreign;
mod monitor;
mod neighbour_monitor;
mod observe;
mod request;

pub use monitor::Monitor;
pub use neighbour_monitor::NeighbourMonitor;
pub(crate) use observe::of;
pub use observe::{addresses, given, links};
pub use request::{LinkState, RequestSocket};

use rail_core::state::OpError;
use rail_wire::DecodeError;
use rail_wire::netlink::{Message, messages};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType};
use std::io;

/// A bound routing netlink socket; the kernel chooses its port.
fn open(flags: SocketFlags) -> io::Result<OwnedFd> {
    let fd = rustix::net::socket_with(
        AddressFamily::NETLINK,
        SocketType::RAW,
        flags | SocketFlags::CLOEXEC,
        None, // `NETLINK_ROUTE` is 0
    )?;
    rustix::net::bind(&fd, &SocketAddrNetlink::new(0, 0))?;
    Ok(fd)
}

/// The port of a bound socket.
pub(crate) fn port(fd: &OwnedFd) -> io::Result<u32> {
    let address = SocketAddrNetlink::try_from(rustix::net::getsockname(fd)?)?;
    Ok(address.pid())
}

/// What a socket to the kernel's tables counted since it was opened.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct Counters {
    /// Messages read.
    pub messages: u64,
    /// Datagrams that were not the kernel's.
    pub forged: u64,
    /// Datagrams that were cut, and messages that were torn.
    pub malformed: u64,
    /// Times that messages were lost for want of room.
    pub overruns: u64,
}

impl std::ops::Add for Counters {
    type Output = Self;

    fn add(self, o: Self) -> Self {
        Self {
            messages: self.messages + o.messages,
            forged: self.forged + o.forged,
            malformed: self.malformed + o.malformed,
            overruns: self.overruns + o.overruns,
        }
    }
}

/// One datagram: its length, or `None` if it is not from the kernel or was cut. What goes wrong
/// is counted.
pub(crate) fn receive(
    fd: &OwnedFd,
    buffer: &mut [u8],
    flags: RecvFlags,
    counters: &mut Counters,
) -> Result<Option<usize>, Errno> {
    let room = buffer.len();
    let received = rustix::net::recvfrom(fd, buffer, flags | RecvFlags::TRUNC);
    counters.overruns += u64::from(matches!(received, Err(Errno::NOBUFS)));
    let (_, length, from) = received?;
    let sender = from.and_then(|from| SocketAddrNetlink::try_from(from).ok());
    let from_kernel = sender.is_some_and(|sender| sender.pid() == 0);
    counters.forged += u64::from(!from_kernel);
    counters.malformed += u64::from(from_kernel && length > room);
    Ok((from_kernel && length <= room).then_some(length))
}

/// The messages of a datagram; a torn one is counted, and what is behind it is lost.
pub(crate) fn read<'a>(
    datagram: &'a [u8],
    counters: &'a mut Counters,
) -> impl Iterator<Item = Result<Message<'a>, DecodeError>> {
    messages(datagram).inspect(|message| {
        counters.messages += u64::from(message.is_ok());
        counters.malformed += u64::from(message.is_err());
    })
}

#[expect(unsafe_code, reason = "netlink and filter options are not in rustix")]
pub(crate) fn set_option<T: ?Sized>(
    fd: &OwnedFd,
    level: i32,
    name: i32,
    value: &T,
) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    let pointer = std::ptr::from_ref(value).cast::<libc::c_void>();
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads; a filter
    // program that it points to lives in the caller.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// An error with the kernel's sentence, or else the name of the error.
pub(crate) fn error(errno: i32, sentence: &str) -> OpError {
    let name = Errno::from_raw_os_error(errno);
    let text = if sentence.is_empty() {
        io::Error::from(name).to_string()
    } else {
        format!("{sentence} ({})", io::Error::from(name))
    };
    OpError { errno, text }
}

/// Receive buffer for datagrams; the kernel's dumps come in parts of at most 32 KiB.
const DATAGRAM_BYTES: usize = 64 * 1024;
