//! ARP for IPv4 over Ethernet: RFC 826, numbers of RFC 5494, detection of conflicts of RFC 5227.
//!
//! ```text
//!  0                   1                   2                   3
//!  0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7 8 9 0 1
//! +-------------------------------+-------------------------------+
//! |       Hardware Type (1)       |     Protocol Type (0x0800)    |
//! +---------------+---------------+-------------------------------+
//! | Hw Length (6) | Pr Length (4) |       Operation (1, 2)        |
//! +---------------+---------------+-------------------------------+
//! |                    Sender Hardware Address                    |
//! +                               +-------------------------------+
//! |                               |    Sender Protocol Address    |
//! +-------------------------------+-------------------------------+
//! |                               |    Target Hardware Address    |
//! +-------------------------------+                               +
//! |                                                               |
//! +---------------------------------------------------------------+
//! |                    Target Protocol Address                    |
//! +---------------------------------------------------------------+
//! ```
//! Leaves out the Ethernet header, and every other hardware.

use crate::DecodeError;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// The EtherType of ARP.
pub const ETHERTYPE: u16 = 0x0806;

const ETHERNET: u16 = 1;
const IPV4: u16 = 0x0800;
const REQUEST: u16 = 1;
const REPLY: u16 = 2;
const LENGTH: usize = 28;

/// The direction of an ARP packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum ArpKind {
    /// Operation 1: who has the target's protocol address?
    Request,
    /// Operation 2: the sender has it.
    Reply,
}

/// An ARP packet.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Arp {
    /// Request or reply.
    pub kind: ArpKind,
    /// Hardware address of the sender.
    pub sender_mac: [u8; 6],
    /// Protocol address of the sender.
    pub sender: Ipv4Addr,
    /// Hardware address of the target; zero in a request that asks for it.
    pub target_mac: [u8; 6],
    /// Protocol address of the target.
    pub target: Ipv4Addr,
}

impl Arp {
    /// Asks who has `target`; the answer goes to `sender`.
    pub const fn request(sender_mac: [u8; 6], sender: Ipv4Addr, target: Ipv4Addr) -> Self {
        Self { kind: ArpKind::Request, sender_mac, sender, target_mac: [0; 6], target }
    }

    /// Asks whether somebody holds `address`, without claiming it: the sender is 0.0.0.0, so that no
    /// neighbour takes `mac` for its holder (RFC 5227 §2.1.1, "ARP Probe").
    pub const fn probe(mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self::request(mac, Ipv4Addr::UNSPECIFIED, address)
    }

    /// Tells all neighbours that `mac` holds `address`, and defends it (RFC 5227 §2.3, §2.4, "ARP
    /// Announcement").
    pub const fn announcement(mac: [u8; 6], address: Ipv4Addr) -> Self {
        Self::request(mac, address, address)
    }

    /// True if the packet is a probe, which claims no address (RFC 5227 §1.1).
    pub const fn is_probe(&self) -> bool {
        matches!(self.kind, ArpKind::Request) && self.sender.is_unspecified()
    }

    /// What the target of a request answers, if this is its hardware address.
    pub const fn reply(&self, mac: [u8; 6]) -> Self {
        Self {
            kind: ArpKind::Reply,
            sender_mac: mac,
            sender: self.target,
            target_mac: self.sender_mac,
            target: self.sender,
        }
    }

    /// Reads the payload of an Ethernet frame; what follows the packet is padding.
    ///
    /// # Errors
    /// [`DecodeError::Truncated`], [`DecodeError::Unsupported`] for another hardware, protocol or
    /// operation, [`DecodeError::Malformed`] for lengths that do not belong to Ethernet and IPv4.
    pub fn parse(bytes: &[u8]) -> Result<Self, DecodeError> {
        let fixed: &[u8; LENGTH] = bytes.first_chunk().ok_or(DecodeError::Truncated)?;
        let [h0, h1, p0, p1, mac_length, ip_length, o0, o1, addresses @ ..] = *fixed;
        let types = (u16::from_be_bytes([h0, h1]), u16::from_be_bytes([p0, p1]));
        if types != (ETHERNET, IPV4) {
            return Err(DecodeError::Unsupported);
        }
        if (mac_length, ip_length) != (6, 4) {
            return Err(DecodeError::Malformed);
        }
        let kind = match u16::from_be_bytes([o0, o1]) {
            REQUEST => ArpKind::Request,
            REPLY => ArpKind::Reply,
            _ => return Err(DecodeError::Unsupported),
        };
        let [s0, s1, s2, s3, s4, s5, a0, a1, a2, a3, rest @ ..] = addresses;
        let [t0, t1, t2, t3, t4, t5, b0, b1, b2, b3] = rest;
        Ok(Self {
            kind,
            sender_mac: [s0, s1, s2, s3, s4, s5],
            sender: Ipv4Addr::new(a0, a1, a2, a3),
            target_mac: [t0, t1, t2, t3, t4, t5],
            target: Ipv4Addr::new(b0, b1, b2, b3),
        })
    }

    /// The packet as bytes, without padding.
    pub fn emit(&self) -> Vec<u8> {
        let operation = match self.kind {
            ArpKind::Request => REQUEST,
            ArpKind::Reply => REPLY,
        };
        let mut bytes = Vec::with_capacity(LENGTH);
        bytes.extend(ETHERNET.to_be_bytes());
        bytes.extend(IPV4.to_be_bytes());
        bytes.extend([6, 4]);
        bytes.extend(operation.to_be_bytes());
        bytes.extend(self.sender_mac);
        bytes.extend(self.sender.octets());
        bytes.extend(self.target_mac);
        bytes.extend(self.target.octets());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const OURS: [u8; 6] = [0x02, 0, 0, 0, 0, 0x01];
    const THEIRS: [u8; 6] = [0x02, 0, 0, 0, 0, 0xfe];
    const US: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
    const GATEWAY: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 1);

    /// Laid out by hand after the drawing of RFC 826, "Packet format".
    const REQUEST_BYTES: [u8; 28] =
        [0, 1, 8, 0, 6, 4, 0, 1, 2, 0, 0, 0, 0, 1, 100, 64, 1, 2, 0, 0, 0, 0, 0, 0, 100, 64, 1, 1];
    const REPLY_BYTES: [u8; 28] = [
        0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 0xfe, 100, 64, 1, 1, 2, 0, 0, 0, 0, 1, 100, 64, 1, 2,
    ];

    /// Given a request for the gateway and its reply, then they have the layout of RFC 826.
    #[test]
    fn packets_have_the_layout_of_the_rfc() {
        let request = Arp::request(OURS, US, GATEWAY);
        assert_eq!(request.emit(), REQUEST_BYTES);
        assert_eq!(Arp::parse(&REQUEST_BYTES), Ok(request));
        assert_eq!(request.reply(THEIRS).emit(), REPLY_BYTES);
        assert_eq!(Arp::parse(&REPLY_BYTES), Ok(request.reply(THEIRS)));
    }

    /// Given an address to be probed and announced, then the packets have the fields of RFC 5227, and only
    /// the probe claims nothing.
    #[test]
    fn probes_and_announcements_have_the_fields_of_the_rfc() {
        let probe = Arp::probe(OURS, US);
        let mut bytes = REQUEST_BYTES;
        bytes[14..18].fill(0);
        bytes[24..].copy_from_slice(&US.octets());
        assert_eq!(probe.emit(), bytes);
        assert_eq!(Arp::parse(&bytes), Ok(probe));
        let announcement = Arp::announcement(OURS, US);
        bytes[14..18].copy_from_slice(&US.octets());
        assert_eq!(announcement.emit(), bytes);
        assert!(probe.is_probe() && !announcement.is_probe());
        assert!(!probe.reply(THEIRS).is_probe() && !Arp::request(OURS, US, GATEWAY).is_probe());
    }

    /// Given a frame of the least length, then the padding behind the packet is passed over; given a cut
    /// packet, then it is truncated.
    #[test]
    fn padding_is_no_part_of_a_packet() {
        let mut padded = REPLY_BYTES.to_vec();
        padded.resize(46, 0xaa);
        assert_eq!(Arp::parse(&padded), Arp::parse(&REPLY_BYTES));
        for cut in 0..LENGTH {
            assert_eq!(Arp::parse(&REPLY_BYTES[..cut]), Err(DecodeError::Truncated), "cut {cut}");
        }
    }

    /// Given another hardware, protocol, length or operation, then each is refused for its reason.
    #[test]
    fn what_is_not_ethernet_and_ipv4_is_refused() {
        let with = |at: usize, byte: u8| {
            let mut bytes = REPLY_BYTES;
            bytes[at] = byte;
            Arp::parse(&bytes)
        };
        assert_eq!(with(1, 6), Err(DecodeError::Unsupported));
        assert_eq!(with(2, 0x86), Err(DecodeError::Unsupported));
        assert_eq!(with(4, 8), Err(DecodeError::Malformed));
        assert_eq!(with(5, 16), Err(DecodeError::Malformed));
        assert_eq!(with(7, 3), Err(DecodeError::Unsupported));
        assert_eq!(with(6, 1), Err(DecodeError::Unsupported));
    }

    proptest! {
        /// Given any packet, when emitted and parsed, then it is the same.
        #[test]
        fn round_trip(asks: bool, sender_mac: [u8; 6], sender: u32, target_mac: [u8; 6], target: u32) {
            let kind = if asks { ArpKind::Request } else { ArpKind::Reply };
            let (sender, target) = (Ipv4Addr::from_bits(sender), Ipv4Addr::from_bits(target));
            let arp = Arp { kind, sender_mac, sender, target_mac, target };
            prop_assert_eq!(Arp::parse(&arp.emit()), Ok(arp));
        }
    }
}
