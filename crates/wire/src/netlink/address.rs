//! Addresses: `ifaddrmsg`.
//!
//! ```text
//!  family:u8 length:u8 flags:u8 scope:u8 index:u32
//! ```

use super::{Message, Request, family, flag, kind, split, u32_at};
use crate::DecodeError;
use core::net::{IpAddr, Ipv4Addr};

/// An address on an interface.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct AddressMessage {
    /// Interface index.
    pub index: u32,
    /// The address of this end.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
    /// The address of the other end, on a link that has two ends only and where it is another one.
    pub peer: Option<IpAddr>,
    /// Who set it (`IFA_PROTO`, Linux 5.18); 0: unknown.
    pub protocol: u8,
    /// What it is good for.
    pub kind: AddressKind,
}

/// What an address is good for; by default for everything.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct AddressKind {
    /// For the link or the host alone.
    pub is_local: bool,
    /// Its time is nearly over: not for new connections (`IFA_F_DEPRECATED`).
    pub is_deprecated: bool,
    /// Another one of its subnet was there before (`IFA_F_SECONDARY`).
    pub is_secondary: bool,
}

impl AddressMessage {
    /// Reads `RTM_NEWADDR` and `RTM_DELADDR`.
    ///
    /// # Errors
    /// The fixed header is torn, or there is no address.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let (mut local, mut far, mut protocol) = (None, None, 0);
        // Eight of them are in the header, all in the attribute.
        let mut flags = u32::from(fixed[2]);
        for attribute in attributes {
            match attribute.kind {
                IFA_ADDRESS => far = attribute.address(),
                IFA_LOCAL => local = attribute.address(),
                IFA_PROTO => protocol = attribute.u8().unwrap_or(0),
                IFA_FLAGS => flags = attribute.u32().unwrap_or(flags),
                _ => {}
            }
        }
        // On a point-to-point link `IFA_ADDRESS` is the other end.
        let address = local.or(far).ok_or(DecodeError::Malformed)?;
        let peer = local.and(far).filter(|far| *far != address);
        let kind = AddressKind {
            is_local: fixed[3] != SCOPE_UNIVERSE,
            is_deprecated: flags & IFA_F_DEPRECATED != 0,
            is_secondary: flags & IFA_F_SECONDARY != 0,
        };
        Ok(Self { index: u32_at(fixed, 4)?, address, length: fixed[1], peer, protocol, kind })
    }

    /// Asks for all addresses of both families.
    pub fn dump() -> Request {
        Request::new(kind::GET_ADDRESS, flag::DUMP, &[0; FIXED_LENGTH])
    }

    /// Adds it; an IPv4 network of more than two addresses gets its broadcast address.
    pub fn add(&self) -> Request {
        let mut request = self.request(kind::NEW_ADDRESS, flag::CREATE | flag::EXCLUSIVE);
        if let (IpAddr::V4(address), 1..=30) = (self.address, self.length) {
            let hosts = u32::MAX >> self.length;
            let broadcast = Ipv4Addr::from_bits(address.to_bits() | hosts);
            request.attribute(IFA_BROADCAST, &broadcast.octets());
        }
        request.attribute(IFA_PROTO, &[self.protocol]);
        request
    }

    /// Removes it.
    pub fn remove(&self) -> Request {
        self.request(kind::DEL_ADDRESS, 0)
    }

    fn request(&self, kind: u16, flags: u16) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[0] = family::of(&self.address);
        fixed[1] = self.length;
        fixed[4..8].copy_from_slice(&self.index.to_ne_bytes());
        let mut request = Request::new(kind, flags | flag::ACK, &fixed);
        request.address(IFA_LOCAL, &self.address);
        request.address(IFA_ADDRESS, &self.peer.unwrap_or(self.address));
        request
    }
}

const FIXED_LENGTH: usize = 8;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_PROTO: u16 = 11;
const IFA_F_SECONDARY: u32 = 0x01;
const IFA_F_DEPRECATED: u32 = 0x20;
const SCOPE_UNIVERSE: u8 = 0;
