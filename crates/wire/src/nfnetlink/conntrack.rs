//! Conntrack netlink: connections of the kernel to values, requests to bytes.
//!
//! Owns the dump request, the entry and the deletion. Promises: a reader takes
//! what it knows and skips the rest; any bytes give a value or a [`DecodeError`].
//! A deletion repeats the tuple byte for byte as the kernel gave it, so that
//! protocols we know nothing about can be deleted too. Leaves out sockets, and
//! which connections should go. Numbers from Linux `nfnetlink_conntrack.h`.
//!
//! ```text
//!  message    family:u8 version:u8=0 resource:be16 attributes
//!  tuple      [ip [source][destination]] [protocol [...]] [zone:be16]
//! ```
//! The numbers in attributes are big endian.

use crate::DecodeError;
use crate::netlink::{Attribute, Message, Request, attributes, family, flag};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Message kind of an entry (`NFNL_SUBSYS_CTNETLINK`, `IPCTNL_MSG_CT_NEW`).
pub const NEW: u16 = 0x100;
/// Message kind of a question (`IPCTNL_MSG_CT_GET`).
pub const GET: u16 = 0x101;
/// Message kind of a deletion (`IPCTNL_MSG_CT_DELETE`).
pub const DELETE: u16 = 0x102;

/// Bit of [`Connection::status`]: the source is translated (`IPS_SRC_NAT`).
pub const SOURCE_NAT: u32 = 1 << 4;
/// Bit of [`Connection::status`]: the destination is translated (`IPS_DST_NAT`).
pub const DESTINATION_NAT: u32 = 1 << 5;

/// The packets of one direction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tuple {
    /// Source address.
    pub source: IpAddr,
    /// Destination address.
    pub destination: IpAddr,
    /// What is above IP; `None`: the kernel does not say.
    pub protocol: Option<u8>,
    /// The whole tuple as the kernel wrote it, ports and all.
    pub bytes: Vec<u8>,
}

/// An entry of the connection table.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Connection {
    /// Direction of the first packet.
    pub original: Tuple,
    /// Where answers go: the source, or what it was translated to.
    pub answered_at: Option<IpAddr>,
    /// Bits such as [`DESTINATION_NAT`].
    pub status: u32,
    /// Connection mark.
    pub mark: u32,
    /// Zone, if the whole entry has one.
    pub zone: Option<u16>,
    /// Tells it from a later one with the same tuple.
    pub id: Option<u32>,
}

/// Asks for the entries of both families; those with `mark` under `mask` if `filter` is
/// `(mark, mask)`.
pub fn dump(filter: Option<(u32, u32)>) -> Request {
    let mut request = Request::new(GET, flag::DUMP, &[family::UNSPECIFIED, 0, 0, 0]);
    if let Some((mark, mask)) = filter {
        request.attribute(CTA_MARK, &mark.to_be_bytes());
        request.attribute(CTA_MARK_MASK, &mask.to_be_bytes());
    }
    request
}

impl Connection {
    /// Reads an entry.
    ///
    /// # Errors
    /// The message is no entry, or bears no original addresses.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        if message.kind != NEW {
            return Err(DecodeError::Unsupported);
        }
        Self::decode_payload(message.payload)
    }

    fn decode_payload(payload: &[u8]) -> Result<Self, DecodeError> {
        let rest = payload.get(FIXED_LENGTH..).ok_or(DecodeError::Truncated)?;
        let (mut original, mut answered_at, mut zone, mut id) = (None, None, None, None);
        let (mut status, mut mark) = (0, 0);
        for attribute in attributes(rest) {
            match attribute.kind {
                CTA_TUPLE_ORIG => original = Some(attribute.payload),
                CTA_TUPLE_REPLY => answered_at = Tuple::addresses(attribute.payload).1,
                CTA_STATUS => status = be32(&attribute).unwrap_or(status),
                CTA_MARK => mark = be32(&attribute).unwrap_or(mark),
                CTA_ID => id = be32(&attribute),
                CTA_ZONE => zone = be16(&attribute),
                _ => {}
            }
        }
        let original = Tuple::decode(original.ok_or(DecodeError::Malformed)?)?;
        Ok(Self { original, answered_at, status, mark, zone, id })
    }

    /// Asks for the deletion of exactly this entry, with an acknowledgement.
    pub fn delete(&self) -> Request {
        let family = family::of(&self.original.source);
        let mut request = Request::new(DELETE, flag::ACK, &[family, 0, 0, 0]);
        request.attribute(CTA_TUPLE_ORIG | NESTED, &self.original.bytes);
        if let Some(zone) = self.zone {
            request.attribute(CTA_ZONE, &zone.to_be_bytes());
        }
        if let Some(id) = self.id {
            request.attribute(CTA_ID, &id.to_be_bytes());
        }
        request
    }
}

impl Tuple {
    fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        match Self::addresses(bytes) {
            (Some(source), Some(destination)) if source.is_ipv4() == destination.is_ipv4() => {
                let protocol = Self::protocol(bytes);
                Ok(Self { source, destination, protocol, bytes: Vec::from(bytes) })
            }
            _ => Err(DecodeError::Malformed),
        }
    }

    /// Source and destination.
    fn addresses(bytes: &[u8]) -> (Option<IpAddr>, Option<IpAddr>) {
        let (mut source, mut destination) = (None, None);
        for outer in attributes(bytes).filter(|a| a.kind == CTA_TUPLE_IP) {
            for inner in attributes(outer.payload) {
                match inner.kind {
                    CTA_IP_V4_SRC | CTA_IP_V6_SRC => source = inner.address(),
                    CTA_IP_V4_DST | CTA_IP_V6_DST => destination = inner.address(),
                    _ => {}
                }
            }
        }
        (source, destination)
    }

    fn protocol(bytes: &[u8]) -> Option<u8> {
        let mut outer = attributes(bytes).filter(|a| a.kind == CTA_TUPLE_PROTO);
        let mut inner = outer.next().into_iter().flat_map(|a| attributes(a.payload));
        inner.find(|a| a.kind == CTA_PROTO_NUM)?.payload.first().copied()
    }
}

fn be32(attribute: &Attribute<'_>) -> Option<u32> {
    attribute.payload.first_chunk().map(|b| u32::from_be_bytes(*b))
}

fn be16(attribute: &Attribute<'_>) -> Option<u16> {
    attribute.payload.first_chunk().map(|b| u16::from_be_bytes(*b))
}

/// Length of `nfgenmsg`.
const FIXED_LENGTH: usize = 4;
/// `NLA_F_NESTED`.
const NESTED: u16 = 0x8000;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_MARK: u16 = 8;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_MARK_MASK: u16 = 21;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_PROTO_NUM: u16 = 1;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;
    use alloc::vec;

    fn nested(parts: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut request = Request::new(0, 0, &[]);
        for (kind, payload) in parts {
            request.attribute(*kind, payload);
        }
        request.finish(0).split_off(16)
    }

    fn tuple(source: IpAddr, destination: IpAddr) -> Tuple {
        let bytes = |a: IpAddr| match a {
            IpAddr::V4(v4) => v4.octets().to_vec(),
            IpAddr::V6(v6) => v6.octets().to_vec(),
        };
        let kinds = if source.is_ipv4() { [1, 2] } else { [3, 4] };
        let ip = nested(&[(kinds[0], bytes(source)), (kinds[1], bytes(destination))]);
        let protocol = nested(&[(1, vec![6]), (2, vec![0x30, 0x39]), (3, vec![0, 80])]);
        let bytes = nested(&[(1 | NESTED, ip), (2 | NESTED, protocol)]);
        Tuple { source, destination, protocol: Some(6), bytes }
    }

    fn connections() -> [Connection; 2] {
        let four = tuple([192, 0, 2, 1].into(), [198, 51, 100, 7].into());
        let six = tuple(IpAddr::from([0x20; 16]), IpAddr::from([0x21; 16]));
        let entry = |original, zone, id| Connection {
            original,
            answered_at: None,
            status: 0,
            mark: 0,
            zone,
            id,
        };
        [entry(four, None, Some(7)), entry(six, Some(9), None)]
    }

    #[test]
    fn a_deletion_names_what_was_read() {
        for connection in connections() {
            let bytes = connection.delete().finish(3);
            let message = messages(&bytes).next().unwrap().unwrap();
            assert_eq!((message.kind, message.sequence), (DELETE, 3));
            assert_eq!(message.flags, flag::REQUEST | flag::ACK);
            assert_eq!(message.payload[0], family::of(&connection.original.source));
            assert_eq!(Connection::decode_payload(message.payload), Ok(connection));
            assert_eq!(Connection::decode(&message), Err(DecodeError::Unsupported));
        }
    }

    #[test]
    fn an_entry_with_mark_and_status_is_read() {
        let original = tuple([192, 0, 2, 1].into(), [198, 51, 100, 7].into());
        let mut request = Request::new(NEW, 0, &[2, 0, 0, 0]);
        let translated = [100, 64, 1, 2].into();
        let reply = tuple([198, 51, 100, 7].into(), translated);
        request.attribute(CTA_TUPLE_ORIG | NESTED, &original.bytes);
        request.attribute(CTA_TUPLE_REPLY | NESTED, &reply.bytes);
        request.attribute(CTA_STATUS, &0x0000_002e_u32.to_be_bytes());
        request.attribute(CTA_MARK, &0x0003_0001_u32.to_be_bytes());
        request.attribute(99, &[1]);
        let bytes = request.finish(0);
        let read = Connection::decode(&messages(&bytes).next().unwrap().unwrap()).unwrap();
        assert_eq!(read.mark, 0x0003_0001);
        assert_eq!(read.status & DESTINATION_NAT, DESTINATION_NAT);
        assert_eq!(read.answered_at, Some(translated));
        assert_eq!((read.original, read.zone, read.id), (original, None, None));
    }

    #[test]
    fn a_dump_asks_the_kernel_to_filter() {
        let bytes = dump(Some((0x10000, 0xff0000))).finish(1);
        let found: Vec<_> = attributes(&bytes[20..]).map(|a| (a.kind, be32(&a))).collect();
        assert_eq!(found, [(CTA_MARK, Some(0x10000)), (CTA_MARK_MASK, Some(0xff0000))]);
        assert_eq!(dump(None).finish(1).len(), 20);
    }

    #[test]
    fn torn_and_foreign_bytes_do_no_harm() {
        for connection in connections() {
            let payload = connection.delete().finish(0).split_off(16);
            for length in 0..payload.len() {
                let _ = Connection::decode_payload(&payload[..length]);
            }
            for at in 0..payload.len() {
                for value in [0, 1, 2, 0x7f, 0xff] {
                    let mut bytes = payload.clone();
                    bytes[at] = value;
                    let _ = Connection::decode_payload(&bytes);
                }
            }
        }
        let empty = Connection::decode_payload(&[2, 0, 0, 0]);
        assert_eq!(empty, Err(DecodeError::Malformed));
        assert_eq!(Connection::decode_payload(&[2]), Err(DecodeError::Truncated));
    }
}
