//! Ports: the sockets that the router wants open, declared like state by their owner.
//!
//! The shell opens what is new in the list, closes what is no longer in it, and leaves the rest as it
//! is. What is sent names its port; what arrives says by which port it came, and how long ago. A new
//! kind is a variant of [`PortKind`] here, a file in the shell and one in the simulator.

use crate::net::{Family, IfName, Mac, UplinkId};
use core::net::{IpAddr, SocketAddr};

/// Whose port it is, and what for.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PortId {
    /// The checks of an uplink in one family.
    Probe(UplinkId, Family),
    /// Questions for the hardware address of an uplink's gateway (ARP, RFC 826).
    Arp(UplinkId),
    /// The DHCP client of an uplink: to every server, and all that they answer.
    Dhcp(UplinkId),
    /// The same, to the server of its lease.
    DhcpServer(UplinkId),
    /// Whether somebody else has the address of an uplink (RFC 5227).
    Claim(UplinkId),
}

/// What a port carries, and so what the bytes are that it sends and receives.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum PortKind {
    /// ICMP messages, checksum included, without the IP header. Received are echo replies alone, whose
    /// identifier agrees with this one in [`IDENT_PREFIX`]. The other end is a [`Peer::Host`].
    IcmpEcho {
        /// Identifier.
        ident: u16,
    },
    /// Payloads of Ethernet frames. Of ARP only replies to the port's source are received. The other end
    /// is a [`Peer::Link`].
    Packet {
        /// Type of the frames (EtherType).
        ethertype: u16,
    },
    /// IPv4 packets, from the IP header on; received are replies of DHCP servers to this client alone, whose
    /// checksum is right or not there yet. The other end is a [`Peer::Link`].
    DhcpReplies {
        /// Hardware address of the client.
        client: Mac,
    },
    /// UDP datagrams, without the header. The other end is a [`Peer::Socket`].
    Udp {
        /// Port number of our end; 0: the kernel chooses one.
        local: u16,
        /// Nothing is received.
        is_deaf: bool,
    },
}

/// What a socket is bound to: all that it sends leaves by this device, from this source and with this
/// mark, and all that it receives came in by this device.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Binding {
    /// Device.
    pub ifname: IfName,
    /// Index of the device: another index is another device, and wants a new socket.
    pub ifindex: u32,
    /// Source address; `None`: the kernel chooses one, or there is none yet.
    pub source: Option<IpAddr>,
    /// Packet mark.
    pub mark: u32,
}

/// A socket that is to be open.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Port {
    /// Its name; a list holds each name once.
    pub id: PortId,
    /// What it carries.
    pub kind: PortKind,
    /// What it is bound to.
    pub binding: Binding,
}

/// The other end of a port.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Peer {
    /// A host.
    Host(IpAddr),
    /// A port of a host.
    Socket(SocketAddr),
    /// A network card on the same segment.
    Link(Mac),
}

/// The part of an ICMP identifier that all uplinks of a router share, so that a port also hears the
/// answers that came by the wrong one; the rest is the uplink's number.
pub const IDENT_PREFIX: u16 = 0xff80;

impl PortId {
    /// The uplink that it belongs to, if it belongs to one.
    pub const fn uplink(self) -> Option<UplinkId> {
        match self {
            Self::Probe(uplink, _)
            | Self::Arp(uplink)
            | Self::Dhcp(uplink)
            | Self::DhcpServer(uplink)
            | Self::Claim(uplink) => Some(uplink),
        }
    }
}

impl Peer {
    /// Its IP address, where it has one.
    pub const fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Host(ip) => Some(*ip),
            Self::Socket(socket) => Some(socket.ip()),
            Self::Link(_) => None,
        }
    }
}

impl From<IpAddr> for Peer {
    fn from(ip: IpAddr) -> Self {
        Self::Host(ip)
    }
}
