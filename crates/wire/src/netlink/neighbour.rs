//! Neighbours: `struct ndmsg`.

use super::{Builder, Message, REQUEST, attributes, ip, octets, rtm, u16_at, u32_at};
use core::net::IpAddr;

const NDA_DST: u16 = 1;

/// `NUD_*`: states of a neighbour, as bits.
#[expect(missing_docs, reason = "named as in linux/neighbour.h")]
pub mod nud {
    pub const INCOMPLETE: u16 = 0x01;
    pub const REACHABLE: u16 = 0x02;
    pub const PROBE: u16 = 0x10;
    pub const FAILED: u16 = 0x20;
}

/// A neighbour.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Neighbour {
    /// Index of the link.
    pub index: u32,
    /// Its address.
    pub address: IpAddr,
    /// State, one of [`nud`] or another bit.
    pub state: u16,
}

impl Neighbour {
    /// Reads `RTM_NEWNEIGH`; `None` without an address.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let index = u32_at(message.payload, 4)?;
        let state = u16_at(message.payload, 8)?;
        let mut all = attributes(message.payload.get(12..)?);
        let address = ip(all.find(|(kind, _)| *kind == NDA_DST)?.1)?;
        Some(Self { index, address, state })
    }

    /// A request for one neighbour.
    pub fn get(sequence: u32, index: u32, address: IpAddr) -> Builder {
        let (family, bytes) = octets(address);
        let mut fixed = [0; 12];
        fixed[0] = family;
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        let mut builder = Builder::new(rtm::GETNEIGH, REQUEST, sequence, &fixed);
        builder.attribute(NDA_DST, &bytes);
        builder
    }
}
