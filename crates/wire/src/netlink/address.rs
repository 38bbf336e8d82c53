//! Addresses: `struct ifaddrmsg`.

use super::{ACK, Builder, CREATE, EXCLUSIVE, Message, REQUEST, attributes, ip, octets, rtm, u8_at, u32_at};
use core::net::IpAddr;

const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_PROTO: u16 = 11;

/// An address on a link.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// Index of the link.
    pub index: u32,
    /// The local address.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
    /// Address protocol: who added it; 0 if not told (kernels before 5.18 never tell).
    pub protocol: u8,
}

impl Address {
    /// Reads `RTM_NEWADDR` or `RTM_DELADDR`; `None` without an address.
    pub fn parse(message: &Message<'_>) -> Option<Self> {
        let length = u8_at(message.payload, 1)?;
        let index = u32_at(message.payload, 4)?;
        let (mut address, mut local, mut protocol) = (None, None, 0);
        for (kind, value) in attributes(message.payload.get(8..)?) {
            match kind {
                IFA_ADDRESS => address = ip(value),
                IFA_LOCAL => local = ip(value),
                IFA_PROTO => protocol = u8_at(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        Some(Self { index, address: local.or(address)?, length, protocol })
    }

    /// A request for all addresses of both families.
    pub fn dump(sequence: u32) -> Builder {
        Builder::new(rtm::GETADDR, REQUEST | super::DUMP, sequence, &[0; 8])
    }

    /// A request to add it; an IPv4 one gets its broadcast address.
    pub fn add(&self, sequence: u32) -> Builder {
        let flags = REQUEST | ACK | CREATE | EXCLUSIVE;
        let mut builder = self.request(rtm::NEWADDR, flags, sequence);
        if let IpAddr::V4(address) = self.address
            && self.length < 31
        {
            let host = u32::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
            builder.attribute(IFA_BROADCAST, &(address.to_bits() | host).to_be_bytes());
        }
        builder.attribute(IFA_PROTO, &[self.protocol]);
        builder
    }

    /// A request to remove it.
    pub fn delete(&self, sequence: u32) -> Builder {
        self.request(rtm::DELADDR, REQUEST | ACK, sequence)
    }

    fn request(&self, kind: u16, flags: u16, sequence: u32) -> Builder {
        let (family, bytes) = octets(self.address);
        let mut fixed = [family, self.length, 0, 0, 0, 0, 0, 0];
        fixed[4..8].copy_from_slice(&self.index.to_ne_bytes());
        let mut builder = Builder::new(kind, flags, sequence, &fixed);
        builder.attribute(IFA_LOCAL, &bytes).attribute(IFA_ADDRESS, &bytes);
        builder
    }
}
