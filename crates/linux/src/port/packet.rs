//! Payloads of Ethernet frames: a packet socket, bound to one device and one type.
//!
//! On the segment of a provider ARP never rests. A filter in the kernel passes replies to the port's
//! source alone, before the rest costs a wake-up. packet(7), RFC 826 (ARP).

use super::receive::Received;
use super::{Arrival, wrong_peer};
use crate::option::{attach_filter, bind_to, instruction, note_times, set_number};
use rail_core::net::Mac;
use rail_core::{Binding, Peer};
use rail_wire::ip::arp;
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, socket_with};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn open(binding: &Binding, ethertype: u16) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol it receives nothing until it is bound.
    let fd = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    if ethertype == arp::ETHERTYPE {
        let Some(IpAddr::V4(source)) = binding.source else {
            return Err(io::ErrorKind::Unsupported.into());
        };
        attach_filter(&fd, &mut only_replies_to(source))?;
    }
    bind_to(&fd, binding)?;
    set_number(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES)?;
    note_times(&fd);
    bind(&fd, &address(binding.ifindex, ethertype, None))?;
    Ok(fd)
}

pub(super) fn send(
    fd: &OwnedFd,
    binding: &Binding,
    ethertype: u16,
    to: Peer,
    bytes: &[u8],
) -> io::Result<()> {
    let Peer::Link(mac) = to else { return Err(wrong_peer()) };
    send_to(fd, &address(binding.ifindex, ethertype, Some(mac)), bytes)
}

pub(super) fn arrival<'a>(received: &Received, bytes: &'a [u8]) -> Option<Arrival<'a>> {
    let (from, ifindex) = peer(received)?;
    Some(Arrival { from, ifindex, bytes })
}

/// The card that sent it, and the device that it came in by.
pub(super) fn peer(received: &Received) -> Option<(Peer, u32)> {
    // A sockaddr_ll: family, protocol, index, hardware type, packet type, length, address.
    let [_, _, _, _, i0, i1, i2, i3, _, _, _, length, mac @ ..] = received.name.0;
    let from = Peer::Link(Mac(*mac.first_chunk()?));
    (length == 6).then_some((from, u32::from_ne_bytes([i0, i1, i2, i3])))
}

/// Passes ARP replies to this address. The socket sees the packet from behind the Ethernet header on.
fn only_replies_to(address: Ipv4Addr) -> [libc::sock_filter; 6] {
    [
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 6), // operation
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 3, 2),
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 24), // target
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, address.to_bits()),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

pub(super) fn address(ifindex: u32, ethertype: u16, mac: Option<Mac>) -> libc::sockaddr_ll {
    let mut address = libc::sockaddr_ll {
        sll_family: u16::try_from(libc::AF_PACKET).unwrap_or(0),
        sll_protocol: ethertype.to_be(),
        sll_ifindex: i32::try_from(ifindex).unwrap_or(0),
        sll_hatype: 0,
        sll_pkttype: 0,
        sll_halen: 0,
        sll_addr: [0; 8],
    };
    if let Some(Mac(mac)) = mac {
        address.sll_halen = 6;
        address.sll_addr[..6].copy_from_slice(&mac);
    }
    address
}

#[expect(unsafe_code, reason = "addresses of packet sockets are not in rustix")]
pub(super) fn bind(fd: &OwnedFd, address: &libc::sockaddr_ll) -> io::Result<()> {
    let pointer = std::ptr::from_ref(address).cast::<libc::sockaddr>();
    // SAFETY: the pointer and the length describe `address`, which the kernel only reads.
    let result = unsafe { libc::bind(fd.as_raw_fd(), pointer, ADDRESS_LENGTH) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// True of a packet socket whose device is gone; another one of that index does not get it.
#[expect(unsafe_code, reason = "addresses of packet sockets are not in rustix")]
pub(super) fn is_orphan(fd: &OwnedFd) -> bool {
    let (mut bound, mut length) = (address(0, 0, None), ADDRESS_LENGTH);
    let pointer = std::ptr::from_mut(&mut bound).cast::<libc::sockaddr>();
    // SAFETY: the pointer and the length describe `bound`; the kernel writes no more than that.
    let result = unsafe { libc::getsockname(fd.as_raw_fd(), pointer, &raw mut length) };
    let is_packet = i32::from(bound.sll_family) == libc::AF_PACKET;
    result == 0 && is_packet && bound.sll_ifindex == -1
}

#[expect(unsafe_code, reason = "addresses of packet sockets are not in rustix")]
pub(super) fn send_to(fd: &OwnedFd, address: &libc::sockaddr_ll, bytes: &[u8]) -> io::Result<()> {
    let flags = SendFlags::DONTWAIT.bits().cast_signed();
    let pointer = std::ptr::from_ref(address).cast::<libc::sockaddr>();
    let data = bytes.as_ptr().cast::<libc::c_void>();
    // SAFETY: the pointers and the lengths describe `address` and `bytes`, which the kernel only reads.
    let result =
        unsafe { libc::sendto(fd.as_raw_fd(), data, bytes.len(), flags, pointer, ADDRESS_LENGTH) };
    if result >= 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The length of a `sockaddr_ll`.
const ADDRESS_LENGTH: libc::socklen_t = 20;
const _: () = assert!(size_of::<libc::sockaddr_ll>() == 20);
/// Enough for dozens of replies; a flood drops its own rest.
const RECEIVE_BUFFER_BYTES: i32 = 16 * 1024;
