//! What DHCP servers answer: a packet socket, which hears them before the device has an address, and what
//! the firewall would drop.
//!
//! Promises that what is received is a reply to this client with a right checksum, or one that has none yet:
//! a server on the same machine leaves it to a network card that the packet never meets. A filter in the
//! kernel drops what is for others, before it costs a wake-up: a whole street hears what a server sends to
//! everybody, and anybody can send to the port of clients.
//! packet(7), RFC 2131 §4.1.

use super::packet::{address, bind, peer, send_to};
use super::receive::Received;
use super::{Arrival, wrong_peer};
use crate::option::{attach_filter, bind_to, instruction, note_times, set_number};
use rail_core::net::Mac;
use rail_core::{Binding, Peer};
use rail_wire::dhcp4::{CLIENT_PORT, Reply, UdpChecksum};
use rustix::fd::OwnedFd;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use std::io;

pub(super) fn open(binding: &Binding, client: Mac) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Without a protocol it receives nothing until it is bound, so no packet passes the filter by.
    let fd = socket_with(AddressFamily::PACKET, SocketType::DGRAM, flags, None)?;
    attach_filter(&fd, &mut only_replies_to(client))?;
    bind_to(&fd, binding)?;
    set_number(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES)?;
    set_number(&fd, libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
    note_times(&fd);
    bind(&fd, &address(binding.ifindex, IPV4, None))?;
    Ok(fd)
}

pub(super) fn send(fd: &OwnedFd, binding: &Binding, to: Peer, bytes: &[u8]) -> io::Result<()> {
    let Peer::Link(mac) = to else { return Err(wrong_peer()) };
    send_to(fd, &address(binding.ifindex, IPV4, Some(mac)), bytes)
}

pub(super) fn arrival<'a>(received: &Received, bytes: &'a [u8]) -> Option<Arrival<'a>> {
    let (from, ifindex) = peer(received)?;
    let checksum = match received.is_sum_unfinished {
        true => UdpChecksum::NotReady,
        false => UdpChecksum::Complete,
    };
    let is_good = !received.is_for_others() && Reply::parse_packet(bytes, checksum).is_ok();
    is_good.then_some(Arrival { from, ifindex, bytes })
}

/// Passes UDP to the port of clients that is no fragment and names this one. The socket sees the packet from
/// its IP header on; a load from behind its end drops it.
fn only_replies_to(Mac([a, b, c, d, e, f]): Mac) -> [libc::sock_filter; 13] {
    let jump = libc::BPF_JMP | libc::BPF_K;
    let is = jump | libc::BPF_JEQ;
    let (head, tail) = (u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([0, 0, e, f]));
    [
        instruction(libc::BPF_LD | libc::BPF_B | libc::BPF_ABS, 0, 0, 9), // protocol
        instruction(is, 0, 10, 17),
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_ABS, 0, 0, 6), // fragment
        instruction(jump | libc::BPF_JSET, 8, 0, 0x3fff),
        instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0), // header length
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 2),  // destination port
        instruction(is, 0, 5, CLIENT_PORT.into()),
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_IND, 0, 0, CHADDR),
        instruction(is, 0, 3, head),
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, CHADDR + 4),
        instruction(is, 0, 1, tail),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

/// Where the hardware address of the client stands behind the IP header: RFC 768, RFC 2131 §2.
const CHADDR: u32 = 8 + 28;
/// The EtherType of IPv4.
const IPV4: u16 = 0x0800;
/// Enough for what some servers answer at once.
const RECEIVE_BUFFER_BYTES: i32 = 64 * 1024;
