//! The fixed part of every message: RFC 2131 §2, RFC 951.
//!
//! Owns the places of the fields and the cookie. Leaves out `hops`, what stands behind the hardware
//! address, and names of boot servers and files.

use super::options::{Options, Writer};
use super::{take, take_slice};
use crate::DecodeError;
use core::net::Ipv4Addr;

/// From a client to a server.
pub(super) const REQUEST: u8 = 1;
/// From a server to a client.
pub(super) const REPLY: u8 = 2;

/// The fields before the options.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) op: u8,
    pub(super) xid: u32,
    pub(super) secs: u16,
    pub(super) is_broadcast: bool,
    pub(super) ciaddr: Ipv4Addr,
    pub(super) yiaddr: Ipv4Addr,
    pub(super) siaddr: Ipv4Addr,
    pub(super) giaddr: Ipv4Addr,
    pub(super) chaddr: [u8; 6],
}

impl Header {
    /// A header of a client with nothing in it but who asks.
    pub(super) const fn request(xid: u32, chaddr: [u8; 6]) -> Self {
        let none = Ipv4Addr::UNSPECIFIED;
        Self {
            op: REQUEST,
            xid,
            secs: 0,
            is_broadcast: false,
            ciaddr: none,
            yiaddr: none,
            siaddr: none,
            giaddr: none,
            chaddr,
        }
    }

    /// Reads a message of this direction.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], also for an option that is longer than its place;
    /// [`DecodeError::Unsupported`] for the other direction and other hardware;
    /// [`DecodeError::Malformed`] without the cookie.
    pub(super) fn parse(message: &[u8], op: u8) -> Result<(Self, Options<'_>), DecodeError> {
        let mut rest = message;
        let [its_op, hardware, hardware_length, _hops] = take(&mut rest)?;
        if (its_op, hardware, hardware_length) != (op, ETHERNET, ETHERNET_LENGTH) {
            return Err(DecodeError::Unsupported);
        }
        let xid = u32::from_be_bytes(take(&mut rest)?);
        let secs = u16::from_be_bytes(take(&mut rest)?);
        let flags = u16::from_be_bytes(take(&mut rest)?);
        let header = Self {
            op,
            xid,
            secs,
            is_broadcast: flags & BROADCAST != 0,
            ciaddr: take::<4>(&mut rest)?.into(),
            yiaddr: take::<4>(&mut rest)?.into(),
            siaddr: take::<4>(&mut rest)?.into(),
            giaddr: take::<4>(&mut rest)?.into(),
            chaddr: take(&mut rest)?,
        };
        take_slice(&mut rest, CHADDR_PADDING)?;
        let sname = take_slice(&mut rest, SNAME_LENGTH)?;
        let file = take_slice(&mut rest, FILE_LENGTH)?;
        if take(&mut rest)? != COOKIE {
            return Err(DecodeError::Malformed);
        }
        Ok((header, Options::new(rest, file, sname)?))
    }

    /// The fields and the cookie as bytes; options are to follow.
    pub(super) fn emit(&self) -> Writer {
        let mut writer = Writer::new();
        let flags = if self.is_broadcast { BROADCAST } else { 0 };
        writer.raw(&[self.op, ETHERNET, ETHERNET_LENGTH, 0]);
        writer.raw(&self.xid.to_be_bytes());
        writer.raw(&self.secs.to_be_bytes());
        writer.raw(&flags.to_be_bytes());
        for address in [self.ciaddr, self.yiaddr, self.siaddr, self.giaddr] {
            writer.raw(&address.octets());
        }
        writer.raw(&self.chaddr);
        writer.raw(&[0; CHADDR_PADDING + SNAME_LENGTH + FILE_LENGTH]);
        writer.raw(&COOKIE);
        writer
    }
}

const ETHERNET: u8 = 1;
const ETHERNET_LENGTH: u8 = 6;
/// The client cannot hear a packet to an address that it does not have yet.
const BROADCAST: u16 = 0x8000;
const CHADDR_PADDING: usize = 10;
const SNAME_LENGTH: usize = 64;
const FILE_LENGTH: usize = 128;
const COOKIE: [u8; 4] = [0x63, 0x82, 0x53, 0x63];
