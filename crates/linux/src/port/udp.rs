//! UDP datagrams of both families. RFC 768.

use super::receive::Received;
use super::{Arrival, wrong_peer};
use crate::option::{attach_filter, bind_to, instruction, note_times, set_number};
use rail_core::{Binding, Peer};
use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, SendFlags, SocketFlags, SocketType, ipproto, sendto, socket_with,
};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

pub(super) fn open(binding: &Binding, local: u16, is_deaf: bool) -> io::Result<OwnedFd> {
    let source = binding.source.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let (family, level, option) = match source {
        IpAddr::V4(_) => (AddressFamily::INET, libc::IPPROTO_IP, libc::IP_PKTINFO),
        IpAddr::V6(_) => (AddressFamily::INET6, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO),
    };
    let fd = socket_with(family, SocketType::DGRAM, flags, Some(ipproto::UDP))?;
    if is_deaf {
        // Anybody may send to a port that is known, and each datagram would wake the loop.
        attach_filter(&fd, &mut [instruction(libc::BPF_RET | libc::BPF_K, 0, 0, 0)])?;
    }
    bind_to(&fd, binding)?;
    set_number(&fd, level, option, 1)?;
    // The DHCP client of another interface has the port of clients on every address: without this, the second
    // of us could not start.
    set_number(&fd, libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    note_times(&fd);
    rustix::net::bind(&fd, &local_end(source, local, binding.ifindex))?;
    Ok(fd)
}

pub(super) fn send(fd: &OwnedFd, to: Peer, bytes: &[u8]) -> io::Result<()> {
    let Peer::Socket(to) = to else { return Err(wrong_peer()) };
    sendto(fd, bytes, SendFlags::DONTWAIT, &to)?;
    Ok(())
}

pub(super) fn arrival<'a>(received: &Received, bytes: &'a [u8]) -> Option<Arrival<'a>> {
    let from = Peer::Socket(socket_of(&received.name.0)?);
    Some(Arrival { from, ifindex: received.ifindex?, bytes })
}

/// A link-local address means a device, too.
fn local_end(source: IpAddr, port: u16, ifindex: u32) -> SocketAddr {
    match source {
        IpAddr::V6(v6) if v6.is_unicast_link_local() => {
            SocketAddr::V6(SocketAddrV6::new(v6, port, 0, ifindex))
        }
        source => SocketAddr::new(source, port),
    }
}

/// Reads a `sockaddr_in` or `sockaddr_in6`: family, port, then address or flow, address and scope.
fn socket_of(name: &[u8; 128]) -> Option<SocketAddr> {
    let [f0, f1, p0, p1, rest @ ..] = name;
    let (family, port) = (u16::from_ne_bytes([*f0, *f1]), u16::from_be_bytes([*p0, *p1]));
    match i32::from(family) {
        libc::AF_INET => {
            let octets: [u8; 4] = *rest.first_chunk()?;
            Some(SocketAddr::new(IpAddr::V4(octets.into()), port))
        }
        libc::AF_INET6 => {
            let (octets, scope) = rest.get(4..)?.split_first_chunk::<16>()?;
            let scope = u32::from_ne_bytes(*scope.first_chunk()?);
            let v6 = Ipv6Addr::from(*octets);
            Some(SocketAddr::V6(SocketAddrV6::new(v6, port, 0, scope)))
        }
        _ => None,
    }
}
