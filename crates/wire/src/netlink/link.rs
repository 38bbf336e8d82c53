//! Links: `ifinfomsg`.
//!
//! ```text
//!  family:u8 pad:u8 type:u16 index:i32 flags:u32 change:u32
//! ```

use super::{Message, Request, flag, kind, split, u32_at};
use crate::DecodeError;
use alloc::string::String;

/// A link, as far as we look.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LinkMessage {
    /// Family that speaks of it: 0, or that of a bridge (`AF_BRIDGE`) about its port.
    pub family: u8,
    /// Interface index.
    pub index: u32,
    /// Name; empty if it is missing or not UTF-8.
    pub name: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// Carrier (`IFF_LOWER_UP`).
    pub carrier: bool,
    /// MTU in bytes; 0 if it is missing.
    pub mtu: u32,
}

impl LinkMessage {
    /// Reads `RTM_NEWLINK` and `RTM_DELLINK`.
    ///
    /// # Errors
    /// The fixed header is torn.
    pub fn decode(message: &Message<'_>) -> Result<Self, DecodeError> {
        let (fixed, attributes) = split(message.payload, FIXED_LENGTH)?;
        let flags = u32_at(fixed, 8)?;
        let mut link = Self {
            family: fixed[0],
            index: u32_at(fixed, 4)?,
            name: String::new(),
            up: flags & IFF_UP != 0,
            carrier: flags & IFF_LOWER_UP != 0,
            mtu: 0,
        };
        for attribute in attributes {
            match attribute.kind {
                IFLA_IFNAME => link.name = attribute.text().unwrap_or_default().into(),
                IFLA_MTU => link.mtu = attribute.u32().unwrap_or(0),
                _ => {}
            }
        }
        Ok(link)
    }

    /// Asks for all links.
    pub fn dump() -> Request {
        let mut request = Request::new(kind::GET_LINK, flag::DUMP, &[0; FIXED_LENGTH]);
        request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        request
    }

    /// Asks for the link of this name.
    pub fn get(name: &str) -> Request {
        let mut request = Request::new(kind::GET_LINK, 0, &[0; FIXED_LENGTH]);
        request.u32(IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
        request.text(IFLA_IFNAME, name);
        request
    }

    /// Sets a link administratively up or down.
    pub fn set_up(index: u32, up: bool) -> Request {
        let mut fixed = [0; FIXED_LENGTH];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&u32::from(up).to_ne_bytes());
        fixed[12..16].copy_from_slice(&IFF_UP.to_ne_bytes());
        Request::new(kind::NEW_LINK, flag::ACK, &fixed)
    }
}

const FIXED_LENGTH: usize = 16;
const IFF_UP: u32 = 1;
const IFF_LOWER_UP: u32 = 0x1_0000;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_EXT_MASK: u16 = 29;
/// Statistics are most of a link message, and nothing to us.
const RTEXT_FILTER_SKIP_STATS: u32 = 8;
