//! One message from a socket, with what the kernel knows of it.

use crate::clock;
use crate::option::SO_TIMESTAMPNS_NEW;
use rail_core::time::Duration;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::RecvFlags;
use std::io;

/// A message that was received.
pub(super) struct Received {
    /// Length in bytes; `None`: it was longer than the buffer.
    pub(super) length: Option<usize>,
    /// Where it came from, as the bytes of a `sockaddr`.
    pub(super) name: Name,
    /// Index of the device that it came in by, if the socket was asked to tell.
    pub(super) ifindex: Option<u32>,
    /// How long ago the kernel received it; zero where it does not tell.
    pub(super) age: Duration,
    /// On a packet socket: the checksum of the transport is to be made by a card that it never met.
    pub(super) is_sum_unfinished: bool,
}

impl Received {
    /// On a packet socket: the frame was for another machine, or for a VLAN that has no device here.
    pub(super) fn is_for_others(&self) -> bool {
        self.name.0.get(10) == Some(&libc::PACKET_OTHERHOST)
    }
}

/// The bytes of a `sockaddr`; all zero where the kernel filled in nothing.
#[repr(align(8))]
pub(super) struct Name(pub(super) [u8; 128]);

/// Receives one message.
///
/// # Errors
/// The kernel's; [`io::ErrorKind::WouldBlock`] if none waits.
#[expect(unsafe_code, reason = "IP_PKTINFO and the time of receipt are not in rustix")]
pub(super) fn receive(fd: &OwnedFd, buffer: &mut [u8]) -> io::Result<Received> {
    #[repr(align(8))]
    struct Control([u8; 128]);
    let (mut control, mut name) = (Control([0; 128]), Name([0; 128]));
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    // SAFETY: all zero is a valid msghdr (null pointers, zero lengths).
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_name = name.0.as_mut_ptr().cast();
    message.msg_namelen = 128;
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = control.0.as_mut_ptr().cast();
    // The length of `control`. The C libraries do not agree on the type of the field.
    message.msg_controllen = 128;
    let flags = RecvFlags::DONTWAIT.bits().cast_signed();
    // SAFETY: the buffers described by `message` live through the call and have those lengths.
    let length = unsafe { libc::recvmsg(fd.as_raw_fd(), &raw mut message, flags) };
    let Ok(length) = usize::try_from(length) else {
        return Err(io::Error::last_os_error());
    };
    let (mut ifindex, mut age, mut status) = (None, Duration::ZERO, 0);
    // SAFETY: the macros walk the control buffer within msg_controllen, which the kernel set; data
    // of type IP_PKTINFO is an in_pktinfo, that of IPV6_PKTINFO an in6_pktinfo, that of
    // PACKET_AUXDATA begins with a number of 32 bits, and that of a time two
    // numbers of 64 bits on every machine, all read without assuming their alignment.
    unsafe {
        let mut header = libc::CMSG_FIRSTHDR(&raw const message);
        while let Some(found) = header.as_ref() {
            let data = libc::CMSG_DATA(header);
            match (found.cmsg_level, found.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info = data.cast::<libc::in_pktinfo>().read_unaligned();
                    ifindex = u32::try_from(info.ipi_ifindex).ok();
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    // An unsigned number here, a signed one in other C libraries; never negative.
                    let info = data.cast::<libc::in6_pktinfo>().read_unaligned();
                    ifindex = u32::try_from(i64::from(info.ipi6_ifindex)).ok();
                }
                (libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW) => {
                    let [seconds, nanos] = data.cast::<[i64; 2]>().read_unaligned();
                    age = clock::age(seconds, nanos);
                }
                (libc::SOL_PACKET, libc::PACKET_AUXDATA) => {
                    // The first field of a tpacket_auxdata.
                    status = data.cast::<u32>().read_unaligned();
                }
                _ => {}
            }
            header = libc::CMSG_NXTHDR(&raw const message, header);
        }
    }
    let is_torn = message.msg_flags & libc::MSG_TRUNC != 0;
    let length = (!is_torn).then_some(length);
    let is_sum_unfinished = status & libc::TP_STATUS_CSUMNOTREADY != 0;
    Ok(Received { length, name, ifindex, age, is_sum_unfinished })
}
