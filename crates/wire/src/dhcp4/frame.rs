//! UDP in IPv4, as a packet socket hands it over: from the IP header on. RFC 791, RFC 768.
//!
//! ```text
//! +---------------+---------------+-------------------------------+
//! |Version|  IHL  | DSCP CS6, ECN |         Total Length          |
//! +---------------+---------------+-----+-------------------------+
//! |        Identification         |Flags|     Fragment Offset     |
//! +---------------+---------------+-----+-------------------------+
//! |   TTL (64)    | Protocol (17) |        Header Checksum        |
//! +---------------+---------------+-------------------------------+
//! |                        Source Address                         |
//! +---------------------------------------------------------------+
//! |                     Destination Address                       |
//! +-------------------------------+-------------------------------+
//! |          Source Port          |       Destination Port        |
//! +-------------------------------+-------------------------------+
//! |            Length             |           Checksum            |
//! +-------------------------------+-------------------------------+
//! ```
//! Leaves out fragments, and what the options of IP say.

use super::{take, take_slice};
use crate::DecodeError;
use crate::ip::icmp4::checksum as internet_checksum;
use alloc::vec::Vec;
use core::net::{Ipv4Addr, SocketAddrV4};

/// Whether the UDP checksum of a packet is there yet (RFC 768; `packet(7)`, `PACKET_AUXDATA`).
///
/// A server on the same machine, behind a bridge or in a guest leaves it to a network card that the
/// packet never meets.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum UdpChecksum {
    /// It is complete, and must be right; a zero says that the sender made none.
    Complete,
    /// `TP_STATUS_CSUMNOTREADY`: the field holds something else, and is not looked at.
    NotReady,
}

/// A datagram and where it goes.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Datagram<'a> {
    pub(super) source: SocketAddrV4,
    pub(super) destination: SocketAddrV4,
    pub(super) payload: &'a [u8],
}

impl<'a> Datagram<'a> {
    /// Reads a packet to `port`; what follows its total length is padding.
    ///
    /// # Errors
    /// [`DecodeError::Unsupported`] for another protocol, port, version of IP, and for fragments;
    /// [`DecodeError::Checksum`]; [`DecodeError::Truncated`] and [`DecodeError::Malformed`] for lengths
    /// that are longer than the packet, or shorter than a header.
    pub(super) fn parse(
        bytes: &'a [u8],
        port: u16,
        checksum: UdpChecksum,
    ) -> Result<Self, DecodeError> {
        let mut rest = bytes;
        let [first, _, l0, l1, _, _, f0, f1, _, protocol, _, _] = take(&mut rest)?;
        let source = Ipv4Addr::from(take::<4>(&mut rest)?);
        let destination = Ipv4Addr::from(take::<4>(&mut rest)?);
        if first >> 4 != VERSION {
            return Err(DecodeError::Unsupported);
        }
        let header_length = usize::from(first & 0xf) * 4;
        let total_length = usize::from(u16::from_be_bytes([l0, l1]));
        if header_length < IP_LENGTH || total_length < header_length {
            return Err(DecodeError::Malformed);
        }
        let mut segment = bytes.get(..total_length).ok_or(DecodeError::Truncated)?;
        let header = take_slice(&mut segment, header_length)?;
        if internet_checksum(header) != 0 {
            return Err(DecodeError::Checksum);
        }
        if protocol != UDP || u16::from_be_bytes([f0, f1]) & FRAGMENT != 0 {
            return Err(DecodeError::Unsupported);
        }
        let (ports, payload) = open(segment, (source, destination), port, checksum)?;
        Ok(Self {
            source: SocketAddrV4::new(source, ports.0),
            destination: SocketAddrV4::new(destination, ports.1),
            payload,
        })
    }

    /// The packet as bytes, with this identification and both checksums.
    pub(super) fn emit(&self, identification: u16) -> Vec<u8> {
        let udp_length = UDP_LENGTH + self.payload.len();
        let total_length = u16::try_from(IP_LENGTH + udp_length).unwrap_or(u16::MAX);
        let mut bytes = Vec::with_capacity(IP_LENGTH + udp_length);
        bytes.extend([VERSION << 4 | 5, DSCP_CS6]);
        bytes.extend(total_length.to_be_bytes());
        bytes.extend(identification.to_be_bytes());
        bytes.extend([0, 0, TTL, UDP, 0, 0]);
        bytes.extend(self.source.ip().octets());
        bytes.extend(self.destination.ip().octets());
        let sum = internet_checksum(&bytes);
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        bytes.extend(self.source.port().to_be_bytes());
        bytes.extend(self.destination.port().to_be_bytes());
        bytes.extend(u16::try_from(udp_length).unwrap_or(u16::MAX).to_be_bytes());
        bytes.extend([0, 0]);
        bytes.extend(self.payload);
        let sum = udp_checksum(*self.source.ip(), *self.destination.ip(), &bytes[IP_LENGTH..]);
        // A zero would say that there is no checksum; all ones mean the same number.
        let sum = if sum == 0 { u16::MAX } else { sum };
        bytes[IP_LENGTH + 6..IP_LENGTH + 8].copy_from_slice(&sum.to_be_bytes());
        bytes
    }
}

/// The ports and the payload of a segment to `port`; what follows its length is padding.
fn open(
    segment: &[u8],
    (source, destination): (Ipv4Addr, Ipv4Addr),
    port: u16,
    checksum: UdpChecksum,
) -> Result<((u16, u16), &[u8]), DecodeError> {
    let mut rest = segment;
    let [s0, s1, d0, d1, l0, l1, c0, c1] = take(&mut rest)?;
    let ports = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
    if ports.1 != port {
        return Err(DecodeError::Unsupported);
    }
    let length = usize::from(u16::from_be_bytes([l0, l1]));
    let segment = segment.get(..length).ok_or(DecodeError::Truncated)?;
    let payload = segment.get(UDP_LENGTH..).ok_or(DecodeError::Malformed)?;
    let must_check = checksum == UdpChecksum::Complete && [c0, c1] != [0, 0];
    if must_check && udp_checksum(source, destination, segment) != 0 {
        return Err(DecodeError::Checksum);
    }
    Ok((ports, payload))
}

/// The checksum of a segment and its pseudo header; 0 if the segment contains the right one.
fn udp_checksum(source: Ipv4Addr, destination: Ipv4Addr, segment: &[u8]) -> u16 {
    let mut pseudo = Vec::with_capacity(12);
    pseudo.extend(source.octets());
    pseudo.extend(destination.octets());
    pseudo.extend([0, UDP]);
    pseudo.extend(u16::try_from(segment.len()).unwrap_or(u16::MAX).to_be_bytes());
    let (sum, carries) = (!internet_checksum(&pseudo)).overflowing_add(!internet_checksum(segment));
    !(sum + u16::from(carries))
}

const VERSION: u8 = 4;
const IP_LENGTH: usize = 20;
const UDP_LENGTH: usize = 8;
const UDP: u8 = 17;
const TTL: u8 = 64;
/// CS6 in the upper six bits: routing and what keeps the network alive (RFC 4594 §3.1).
const DSCP_CS6: u8 = 48 << 2;
/// More fragments, and the offset of this one: a first fragment has the former alone.
const FRAGMENT: u16 = 0x3fff;
