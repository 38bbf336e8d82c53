//! Routing netlink: messages to values and back.
//!
//! Owns the walk over messages and attributes, and the writer of requests; the
//! files beside it know one kind of object each. Promises: a reader takes what
//! it knows and skips the rest, so that an attribute which a newer kernel adds,
//! lengthens or tears never costs the message; any bytes give a value or a
//! [`DecodeError`]. Leaves out sockets, and what the objects
//! mean to us. RFC 3549; numbers from Linux `linux/netlink.h`, `linux/rtnetlink.h`.
//!
//! ```text
//!  message    length:u32 kind:u16 flags:u16 sequence:u32 port:u32 payload, padded to 4
//!  attribute  length:u16 kind:u16 payload, padded to 4
//! ```
//! All numbers are in the host's byte order, except where noted.

mod ack;
mod address;
mod link;
mod macvlan;
mod neighbour;
mod route;
mod rule;
#[cfg(test)]
mod tests;

pub use ack::Ack;
pub use address::{AddressKind, AddressMessage};
pub use link::{LinkMessage, LinkPackets, LinkPlace, MACVLAN};
pub use macvlan::MacvlanMessage;
pub use neighbour::{NeighbourMessage, nud};
pub use route::{NexthopMessage, RouteKind, RouteMessage};
pub use rule::{Beyond, RuleMessage};

use crate::DecodeError;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Message kinds (`RTM_*` and `NLMSG_*`).
#[expect(missing_docs, reason = "named as in linux/rtnetlink.h")]
pub mod kind {
    pub const ERROR: u16 = 2;
    pub const DONE: u16 = 3;
    pub const OVERRUN: u16 = 4;
    pub const NEW_LINK: u16 = 16;
    pub const DEL_LINK: u16 = 17;
    pub const GET_LINK: u16 = 18;
    pub const NEW_ADDRESS: u16 = 20;
    pub const DEL_ADDRESS: u16 = 21;
    pub const GET_ADDRESS: u16 = 22;
    pub const NEW_ROUTE: u16 = 24;
    pub const DEL_ROUTE: u16 = 25;
    pub const GET_ROUTE: u16 = 26;
    pub const NEW_NEIGHBOUR: u16 = 28;
    pub const DEL_NEIGHBOUR: u16 = 29;
    pub const GET_NEIGHBOUR: u16 = 30;
    pub const NEW_RULE: u16 = 32;
    pub const DEL_RULE: u16 = 33;
    pub const GET_RULE: u16 = 34;
}

/// Message flags (`NLM_F_*`).
#[expect(missing_docs, reason = "named as in linux/netlink.h")]
pub mod flag {
    pub const REQUEST: u16 = 0x1;
    pub const MULTI: u16 = 0x2;
    pub const ACK: u16 = 0x4;
    /// A dump was torn by a change; repeat it.
    pub const DUMP_INTERRUPTED: u16 = 0x10;
    pub const DUMP: u16 = 0x300;
    pub const REPLACE: u16 = 0x100;
    pub const EXCLUSIVE: u16 = 0x200;
    pub const CREATE: u16 = 0x400;
    /// In an error: the request is not repeated in it.
    pub const CAPPED: u16 = 0x100;
    /// In an error: attributes follow.
    pub const ACK_ATTRIBUTES: u16 = 0x200;
}

/// Address families of the kernel.
#[expect(missing_docs, reason = "named as in socket.h")]
pub mod family {
    pub const UNSPECIFIED: u8 = 0;
    pub const INET: u8 = 2;
    pub const INET6: u8 = 10;

    /// The family of an address.
    pub const fn of(address: &core::net::IpAddr) -> u8 {
        match address {
            core::net::IpAddr::V4(_) => INET,
            core::net::IpAddr::V6(_) => INET6,
        }
    }
}

/// One message.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// What it is: one of [`kind`].
    pub kind: u16,
    /// Bits of [`flag`].
    pub flags: u16,
    /// Number of the request it answers.
    pub sequence: u32,
    /// Port of the socket that asked for the change; 0 is the kernel.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// Walks the messages of a datagram. A torn one ends the walk with an error.
#[derive(Clone, Debug)]
pub struct Messages<'a> {
    rest: &'a [u8],
}

/// The messages of a datagram.
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages { rest: datagram }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, DecodeError>;
    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let whole = core::mem::take(&mut self.rest);
        let read = |whole: &'a [u8]| {
            let length = usize::try_from(u32_at(whole, 0)?).map_err(|_| DecodeError::Malformed)?;
            if length < HEADER_LENGTH {
                return Err(DecodeError::Malformed);
            }
            let payload = whole.get(HEADER_LENGTH..length).ok_or(DecodeError::Truncated)?;
            let message = Message {
                kind: u16_at(whole, 4)?,
                flags: u16_at(whole, 6)?,
                sequence: u32_at(whole, 8)?,
                port: u32_at(whole, 12)?,
                payload,
            };
            Ok((message, whole.get(padded(length)..).unwrap_or(&[])))
        };
        Some(read(whole).map(|(message, rest)| {
            self.rest = rest;
            message
        }))
    }
}

/// One attribute.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Attribute<'a> {
    /// What it is, without the flags for nesting and byte order.
    pub kind: u16,
    /// Its bytes.
    pub payload: &'a [u8],
}

/// Walks attributes. Bytes that are no attribute end the walk: what came before stays good.
#[derive(Clone, Debug)]
pub struct Attributes<'a> {
    rest: &'a [u8],
}

/// The attributes in `bytes`.
pub const fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes { rest: bytes }
}

impl<'a> Iterator for Attributes<'a> {
    type Item = Attribute<'a>;
    fn next(&mut self) -> Option<Attribute<'a>> {
        let whole = core::mem::take(&mut self.rest);
        let length = usize::from(u16_at(whole, 0).ok()?);
        let kind = u16_at(whole, 2).ok()? & ATTRIBUTE_KIND_MASK;
        let payload = whole.get(ATTRIBUTE_HEADER_LENGTH..length)?;
        self.rest = whole.get(padded(length)..).unwrap_or(&[]);
        Some(Attribute { kind, payload })
    }
}

impl<'a> Attribute<'a> {
    /// As a number of one byte; longer ones are cut, as the kernel does.
    pub fn u8(&self) -> Option<u8> {
        self.payload.first().copied()
    }

    /// As a number of four bytes.
    pub fn u32(&self) -> Option<u32> {
        u32_at(self.payload, 0).ok()
    }

    /// As an address: four bytes or sixteen.
    pub fn address(&self) -> Option<IpAddr> {
        if let Ok(v4) = <[u8; 4]>::try_from(self.payload) {
            return Some(IpAddr::from(v4));
        }
        <[u8; 16]>::try_from(self.payload).ok().map(IpAddr::from)
    }

    /// As text up to the first zero; `None` if it is not UTF-8.
    pub fn text(&self) -> Option<&'a str> {
        let text = self.payload.split(|byte| *byte == 0).next()?;
        core::str::from_utf8(text).ok()
    }
}

/// Writes one request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    bytes: Vec<u8>,
    /// What follows it in the same datagram.
    next: Vec<Self>,
}

impl Request {
    /// A request with its fixed header (`rtmsg`, `ifaddrmsg`, ...), no attributes yet.
    /// [`flag::REQUEST`] is added.
    pub fn new(kind: u16, flags: u16, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((flags | flag::REQUEST).to_ne_bytes());
        bytes.extend([0; 8]);
        bytes.extend(fixed);
        let mut request = Self { bytes, next: Vec::new() };
        request.pad();
        request
    }

    /// Adds an attribute. A payload of more than 65,531 bytes is left out.
    pub fn attribute(&mut self, kind: u16, payload: &[u8]) {
        let Ok(length) = u16::try_from(payload.len() + ATTRIBUTE_HEADER_LENGTH) else { return };
        self.bytes.extend(length.to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend(payload);
        self.pad();
    }

    /// Adds a number of four bytes.
    pub fn u32(&mut self, kind: u16, value: u32) {
        self.attribute(kind, &value.to_ne_bytes());
    }

    /// Adds attributes inside another one.
    pub fn nested(&mut self, kind: u16, fill: impl FnOnce(&mut Self)) {
        let mut inner = Self { bytes: Vec::new(), next: Vec::new() };
        fill(&mut inner);
        self.attribute(kind, &inner.bytes);
    }

    /// Adds an address.
    pub fn address(&mut self, kind: u16, address: &IpAddr) {
        match address {
            IpAddr::V4(v4) => self.attribute(kind, &v4.octets()),
            IpAddr::V6(v6) => self.attribute(kind, &v6.octets()),
        }
    }

    /// Adds a text with its closing zero.
    pub fn text(&mut self, kind: u16, text: &str) {
        let mut bytes = Vec::from(text);
        bytes.push(0);
        self.attribute(kind, &bytes);
    }

    /// The bytes to send, with this number.
    pub fn finish(&self, sequence: u32) -> Vec<u8> {
        let mut bytes = self.bytes.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        bytes[0..4].copy_from_slice(&length.to_ne_bytes());
        bytes[8..12].copy_from_slice(&sequence.to_ne_bytes());
        bytes.extend(self.next.iter().flat_map(|next| next.finish(sequence)));
        bytes
    }

    /// Has another request performed right after this one: the kernel takes both in one call. If only
    /// the last one asks for an acknowledgement, there is one answer: the first refusal, or that.
    #[must_use]
    pub fn then(mut self, next: Self) -> Self {
        self.next.push(next);
        self
    }

    /// Adds flags.
    pub fn add_flags(&mut self, flags: u16) {
        let flags = u16::from_ne_bytes([self.bytes[6], self.bytes[7]]) | flags;
        self.bytes[6..8].copy_from_slice(&flags.to_ne_bytes());
    }

    fn pad(&mut self) {
        self.bytes.resize(padded(self.bytes.len()), 0);
    }
}

const fn padded(length: usize) -> usize {
    length.saturating_add(3) & !3
}

fn u16_at(bytes: &[u8], at: usize) -> Result<u16, DecodeError> {
    let two = bytes.get(at..at + 2).and_then(|b| b.try_into().ok());
    two.map(u16::from_ne_bytes).ok_or(DecodeError::Truncated)
}

fn u32_at(bytes: &[u8], at: usize) -> Result<u32, DecodeError> {
    let four = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
    four.map(u32::from_ne_bytes).ok_or(DecodeError::Truncated)
}

/// The fixed header and the attributes behind it.
fn split(payload: &[u8], fixed: usize) -> Result<(&[u8], Attributes<'_>), DecodeError> {
    let (fixed, rest) = payload.split_at_checked(fixed).ok_or(DecodeError::Truncated)?;
    Ok((fixed, attributes(rest)))
}

/// Length of a message header.
const HEADER_LENGTH: usize = 16;
/// Length of an attribute header.
const ATTRIBUTE_HEADER_LENGTH: usize = 4;
/// `NLA_TYPE_MASK`.
const ATTRIBUTE_KIND_MASK: u16 = 0x3fff;
