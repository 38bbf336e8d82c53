//! ICMP echo: a raw socket.
//!
//! Promises that what is received is an echo reply with an identifier of ours: a filter in the kernel
//! drops the rest before it costs a wake-up. Leaves out IPv6, whose echoes are of another protocol.
//! RFC 792 (ICMP), RFC 791 §3.1 (header length).

use super::receive::Received;
use super::{Arrival, wrong_peer};
use crate::option::{attach_filter, bind_to, instruction, note_times, set_number};
use rail_core::{Binding, IDENT_PREFIX, Peer};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SendFlags, SocketAddrV4, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr};

pub(super) fn open(binding: &Binding, ident: u16) -> io::Result<OwnedFd> {
    let Some(IpAddr::V4(source)) = binding.source else {
        return Err(io::ErrorKind::Unsupported.into());
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(ipproto::ICMP))?;
    // First of all the filter: what comes in before the rest is set is dropped as well.
    attach_filter(&fd, &mut only_replies(ident))?;
    // The type of service comes first because it sets the priority as well.
    set_number(&fd, libc::IPPROTO_IP, libc::IP_TOS, TOS_NETWORK_CONTROL)?;
    bind_to(&fd, binding)?;
    set_number(&fd, libc::SOL_SOCKET, libc::SO_RCVBUF, RECEIVE_BUFFER_BYTES)?;
    set_number(&fd, libc::IPPROTO_IP, libc::IP_PKTINFO, 1)?;
    note_times(&fd);
    rustix::net::bind(&fd, &SocketAddrV4::new(source, 0))?;
    Ok(fd)
}

pub(super) fn send(fd: &OwnedFd, to: Peer, bytes: &[u8]) -> io::Result<()> {
    let Peer::Host(IpAddr::V4(to)) = to else { return Err(wrong_peer()) };
    sendto(fd, bytes, SendFlags::DONTWAIT, &SocketAddrV4::new(to, 0))?;
    Ok(())
}

pub(super) fn arrival<'a>(received: &Received, packet: &'a [u8]) -> Option<Arrival<'a>> {
    let (from, bytes) = icmp_of(packet)?;
    Some(Arrival { from: Peer::Host(IpAddr::V4(from)), ifindex: received.ifindex?, bytes })
}

/// The source and the ICMP message of an IPv4 packet.
fn icmp_of(packet: &[u8]) -> Option<(Ipv4Addr, &[u8])> {
    let first = packet.first()?;
    let header_length = usize::from(first & 0xf) * 4;
    if first >> 4 != 4 || header_length < 20 {
        return None;
    }
    let source: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
    Some((source.into(), packet.get(header_length..)?))
}

/// Passes echo replies (type 0, code 0) with the prefix of this identifier, and nothing else. A raw
/// socket sees the packet from its IP header on.
fn only_replies(ident: u16) -> [libc::sock_filter; 8] {
    [
        instruction(libc::BPF_LDX | libc::BPF_B | libc::BPF_MSH, 0, 0, 0), // x = IP header length
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 0),  // type and code
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 4, 0),
        instruction(libc::BPF_LD | libc::BPF_H | libc::BPF_IND, 0, 0, 4), // identifier
        instruction(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, IDENT_PREFIX.into()),
        instruction(
            libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
            0,
            1,
            (ident & IDENT_PREFIX).into(),
        ),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, u32::MAX),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0),
    ]
}

/// Class selector 6, "internetwork control" (RFC 2474 §4.2.2.2).
const TOS_NETWORK_CONTROL: i32 = 0xc0;
/// Enough for hundreds of replies; a flood drops its own rest.
const RECEIVE_BUFFER_BYTES: i32 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given IP headers with options, cut short or of another version, then the message begins where
    /// the header says, or there is none.
    #[test]
    fn header_lengths_are_honoured() {
        let mut packet = vec![0x46; 24];
        packet[12..16].copy_from_slice(&[192, 0, 2, 1]);
        packet.extend([0, 0, 1, 2]);
        assert_eq!(icmp_of(&packet), Some((Ipv4Addr::new(192, 0, 2, 1), &[0, 0, 1, 2][..])));
        for (first, length) in [(0x45, 0), (0x45, 15), (0x44, 28), (0x60, 40), (0x4f, 30)] {
            assert_eq!(icmp_of(&vec![first; length]), None, "{first:x} {length}");
        }
    }
}
