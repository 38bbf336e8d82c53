//! Links: `struct ifinfomsg`.

use super::{Builder, Message, REQUEST, attributes, rtm, text, u32_at};
use alloc::string::String;

const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
/// `IFF_UP`.
const UP: u32 = 0x1;
/// `IFF_LOWER_UP`.
const LOWER_UP: u32 = 0x1_0000;

/// A link.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Administratively up.
    pub up: bool,
    /// Carrier.
    pub carrier: bool,
    /// MTU in bytes; 0 if not told.
    pub mtu: u32,
}

impl Link {
    /// Reads `RTM_NEWLINK` or `RTM_DELLINK`; `None` without index or name.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let index = u32_at(message.payload, 4)?;
        let flags = u32_at(message.payload, 8)?;
        let mut name = None;
        let mut mtu = 0;
        for (kind, value) in attributes(message.payload.get(16..)?) {
            match kind {
                IFLA_IFNAME => name = text(value),
                IFLA_MTU => mtu = u32_at(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        let name = name?.into();
        Some(Self { index, name, up: flags & UP != 0, carrier: flags & LOWER_UP != 0, mtu })
    }

    /// A request for all links.
    pub fn dump(sequence: u32) -> Builder {
        Builder::new(rtm::GETLINK, REQUEST | super::DUMP, sequence, &[0; 16])
    }

    /// A request for the link of this name.
    pub fn get(sequence: u32, name: &str) -> Builder {
        let mut builder = Builder::new(rtm::GETLINK, REQUEST, sequence, &[0; 16]);
        builder.text(IFLA_IFNAME, name);
        builder
    }

    /// A request to set a link up or down.
    pub fn set_up(sequence: u32, index: u32, up: bool) -> Builder {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&if up { UP } else { 0 }.to_ne_bytes());
        fixed[12..16].copy_from_slice(&UP.to_ne_bytes());
        Builder::new(rtm::SETLINK, REQUEST | super::ACK, sequence, &fixed)
    }
}
