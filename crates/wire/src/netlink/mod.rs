//! Netlink framing: messages and attributes (RFC 3549, `linux/netlink.h`).
//!
//! ```text
//!  0                   1                   2                   3
//! +---------------------------------------------------------------+
//! |                     Length (header included)                  |
//! +-------------------------------+-------------------------------+
//! |             Type              |             Flags             |
//! +-------------------------------+-------------------------------+
//! |                        Sequence number                        |
//! +---------------------------------------------------------------+
//! |                  Port of the process, 0 = kernel              |
//! +---------------------------------------------------------------+
//! ```
//! Numbers are in the byte order of the machine. Reading is lenient: an unknown
//! attribute, or a known one of another length, is passed over, and never costs
//! the message around it.

mod ack;
mod address;
mod link;
mod neighbour;
mod route;
mod rule;

pub use ack::Ack;
pub use address::Address;
pub use link::Link;
pub use neighbour::{Neighbour, nud};
pub use route::{Nexthop, Route, RouteKind};
pub use rule::Rule;

use alloc::vec::Vec;

/// Length of a message header.
pub const HEADER: usize = 16;

/// `NLMSG_ERROR`.
pub const ERROR: u16 = 2;
/// `NLMSG_DONE`.
pub const DONE: u16 = 3;
/// `NLMSG_MIN_TYPE`: lower types are control messages.
pub const FIRST_TYPE: u16 = 16;

/// `NLM_F_REQUEST`.
pub const REQUEST: u16 = 0x001;
/// `NLM_F_ACK`.
pub const ACK: u16 = 0x004;
/// `NLM_F_DUMP_INTR`: the dump is inconsistent, do it again.
pub const DUMP_INTERRUPTED: u16 = 0x010;
/// `NLM_F_DUMP`.
pub const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE`.
pub const REPLACE: u16 = 0x100;
/// `NLM_F_EXCL`.
pub const EXCLUSIVE: u16 = 0x200;
/// `NLM_F_CREATE`.
pub const CREATE: u16 = 0x400;
/// `NLM_F_APPEND`.
pub const APPEND: u16 = 0x800;

/// `RTM_*` message types.
#[expect(missing_docs, reason = "named as in linux/rtnetlink.h")]
pub mod rtm {
    pub const NEWLINK: u16 = 16;
    pub const DELLINK: u16 = 17;
    pub const GETLINK: u16 = 18;
    pub const SETLINK: u16 = 19;
    pub const NEWADDR: u16 = 20;
    pub const DELADDR: u16 = 21;
    pub const GETADDR: u16 = 22;
    pub const NEWROUTE: u16 = 24;
    pub const DELROUTE: u16 = 25;
    pub const GETROUTE: u16 = 26;
    pub const NEWNEIGH: u16 = 28;
    pub const DELNEIGH: u16 = 29;
    pub const GETNEIGH: u16 = 30;
    pub const NEWRULE: u16 = 32;
    pub const DELRULE: u16 = 33;
    pub const GETRULE: u16 = 34;
}

/// `AF_INET`.
pub const AF_INET: u8 = 2;
/// `AF_INET6`.
pub const AF_INET6: u8 = 10;

/// One message of a datagram.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Message<'a> {
    /// Type.
    pub kind: u16,
    /// Flags.
    pub flags: u16,
    /// Sequence number.
    pub sequence: u32,
    /// Port of the process whose request this belongs to.
    pub port: u32,
    /// What follows the header.
    pub payload: &'a [u8],
}

/// The messages of a datagram; ends at the first that is cut short.
#[derive(Clone, Debug)]
pub struct Messages<'a>(&'a [u8]);

/// Reads the messages of a datagram.
pub const fn messages(datagram: &[u8]) -> Messages<'_> {
    Messages(datagram)
}

impl<'a> Iterator for Messages<'a> {
    type Item = Message<'a>;
    fn next(&mut self) -> Option<Message<'a>> {
        let length = usize::try_from(u32_at(self.0, 0)?).ok()?;
        let payload = self.0.get(HEADER..length)?;
        let message = Message {
            kind: u16_at(self.0, 4)?,
            flags: u16_at(self.0, 6)?,
            sequence: u32_at(self.0, 8)?,
            port: u32_at(self.0, 12)?,
            payload,
        };
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some(message)
    }
}

/// The attributes of a message; ends at the first that is cut short.
#[derive(Clone, Debug)]
pub struct Attributes<'a>(&'a [u8]);

/// Reads attributes: each gives its type (without the nested and byte-order bits) and its value.
pub const fn attributes(bytes: &[u8]) -> Attributes<'_> {
    Attributes(bytes)
}

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);
    fn next(&mut self) -> Option<Self::Item> {
        let length = usize::from(u16_at(self.0, 0)?);
        let kind = u16_at(self.0, 2)? & 0x3fff;
        let value = self.0.get(4..length)?;
        self.0 = self.0.get(align(length)..).unwrap_or(&[]);
        Some((kind, value))
    }
}

/// A message being written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Builder(Vec<u8>);

impl Builder {
    /// Begins a message with this fixed part after the header.
    pub fn new(kind: u16, flags: u16, sequence: u32, fixed: &[u8]) -> Self {
        let mut bytes = Vec::with_capacity(128);
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes());
        bytes.extend(fixed);
        let mut builder = Self(bytes);
        builder.pad();
        builder
    }

    /// Adds an attribute.
    pub fn attribute(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        let length = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.pad();
        self
    }

    /// Adds an attribute with a number in the machine's byte order.
    pub fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attribute(kind, &value.to_ne_bytes())
    }

    /// Adds an attribute with a text and its closing zero.
    pub fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let mut bytes: Vec<u8> = value.as_bytes().into();
        bytes.push(0);
        self.attribute(kind, &bytes)
    }

    /// Adds an attribute that holds what `inside` writes.
    pub fn nested(&mut self, kind: u16, inside: impl FnOnce(&mut Self)) -> &mut Self {
        let start = self.0.len();
        self.attribute(kind, &[]);
        inside(self);
        let length = u16::try_from(self.0.len() - start).unwrap_or(u16::MAX).to_ne_bytes();
        self.0[start..start + 2].copy_from_slice(&length);
        self
    }

    /// Adds bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend(bytes);
        self.pad();
        self
    }

    /// The message with its length filled in.
    pub fn finish(&self) -> Vec<u8> {
        let mut bytes = self.0.clone();
        let length = u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_ne_bytes();
        bytes[..4].copy_from_slice(&length);
        bytes
    }

    fn pad(&mut self) {
        self.0.resize(align(self.0.len()), 0);
    }
}

const fn align(length: usize) -> usize {
    (length + 3) & !3
}

/// The byte at `at`.
pub(crate) fn u8_at(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

/// The 16-bit number at `at`, in the machine's byte order.
pub(crate) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|b| u16::from_ne_bytes(*b))
}

/// The 32-bit number at `at`, in the machine's byte order.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|b| u32::from_ne_bytes(*b))
}

/// An address of 4 or 16 bytes.
pub(crate) fn ip(bytes: &[u8]) -> Option<core::net::IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(core::net::IpAddr::V4(v4.into()));
    }
    <[u8; 16]>::try_from(bytes).ok().map(|v6| core::net::IpAddr::V6(v6.into()))
}

/// A text up to its closing zero; `None` if it is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> Option<&str> {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    core::str::from_utf8(&bytes[..end]).ok()
}

/// The bytes of an address, and its family number.
pub(crate) fn octets(address: core::net::IpAddr) -> (u8, Vec<u8>) {
    match address {
        core::net::IpAddr::V4(a) => (AF_INET, a.octets().into()),
        core::net::IpAddr::V6(a) => (AF_INET6, a.octets().into()),
    }
}

#[cfg(test)]
mod tests;
