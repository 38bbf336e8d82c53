//! Neighbours (ARP, ND): `ndmsg`.
//!
//! ```text
//!  family:u8 pad:u8 pad:u16 index:i32 state:u16 flags:u8 type:u8
//! ```

use super::{Message, Request, family, flag, kind, split, u16_at, u32_at};
use crate::DecodeError;
use core::net::IpAddr;

/// Neighbour states (`NUD_*`), one bit each.
#[expect(missing_docs, reason = "named as in linux/neighbour.h")]
pub mod nud {
    pub const INCOMPLETE: u16 = 0x1;
    pub const REACHABLE: u16 = 0x2;
    pub const STALE: u16 = 0x4;
    pub const DELAY: u16 = 0x8;
    pub const PROBE: u16 = 0x10;
    pub const FAILED: u16 = 0x20;
    pub const NOARP: u16 = 0x40;
    pub const PERMANENT: u16 = 0x80;
}

/// A neighbour.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct NeighbourMessage {
    /// Interface index.
    pub index: u32,
    /// Its address; `None` if the message has none.
    pub address: Option<IpAddr>,
    /// One of [`nud`]; 0: none.
    pub state: u16,
    /// Its hardware address, if that is one of Ethernet.
    pub hardware: Option<[u8; 6]>,
}

impl NeighbourMessage {
    /// Reads `RTM_NEWNEIGH` and `RTM_DELNEIGH`.
    ///
    /// # Errors
    /// The fixed header is torn.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let (mut address, mut hardware) = (None, None);
        for attribute in attributes {
            match attribute.kind {
                NDA_DST => address = attribute.address(),
                NDA_LLADDR => hardware = attribute.payload.try_into().ok(),
                _ => {}
            }
        }
        Ok(Self { index: u32_at(fixed, 4)?, address, state: u16_at(fixed, 8)?, hardware })
    }

    /// Asks for one neighbour; `ENOENT` if the kernel does not know it.
    pub fn get(index: u32, address: &IpAddr) -> Request {
        Self::about(index, address, kind::GET_NEIGHBOUR, 0, 0)
    }

    /// Takes the state from a neighbour that is there, so that the next packet to it begins a new
    /// resolution; packets that wait for it go on waiting. `ENOENT` if the kernel does not know it.
    pub fn reset(index: u32, address: &IpAddr) -> Request {
        Self::about(index, address, kind::NEW_NEIGHBOUR, flag::ACK | flag::REPLACE, 0)
    }

    /// Has a neighbour whose hardware address is known asked whether it is still there; packets go
    /// on meanwhile. `ENOENT` if the kernel does not know it.
    pub fn probe(index: u32, address: &IpAddr) -> Request {
        Self::about(index, address, kind::NEW_NEIGHBOUR, flag::ACK | flag::REPLACE, nud::PROBE)
    }

    fn about(index: u32, address: &IpAddr, kind: u16, flags: u16, state: u16) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[0] = family::of(address);
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..10].copy_from_slice(&state.to_ne_bytes());
        let mut request = Request::new(kind, flags, &fixed);
        request.address(NDA_DST, address);
        request
    }
}

const FIXED_LENGTH: usize = 12;
const NDA_DST: u16 = 1;
const NDA_LLADDR: u16 = 2;
