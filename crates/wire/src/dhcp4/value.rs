//! Values of options: numbers, addresses, text.
//!
//! Each reader gives `None` for bytes that are no such value. A number that is too long counts by its
//! beginning: a server that repeats an option says it twice, and RFC 3396 joins both.

use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv4Addr;

/// A time of a lease (RFC 2131 §3.3).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum LeaseTime {
    /// As many seconds from the sending of the request on; less than `u32::MAX`.
    Seconds(u32),
    /// For ever: 0xffffffff.
    Infinite,
}

impl LeaseTime {
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        Some(match u32::from_be_bytes(*bytes.first_chunk()?) {
            u32::MAX => Self::Infinite,
            seconds => Self::Seconds(seconds),
        })
    }

    pub(super) const fn bytes(self) -> [u8; 4] {
        match self {
            Self::Seconds(seconds) => seconds.to_be_bytes(),
            Self::Infinite => u32::MAX.to_be_bytes(),
        }
    }
}

/// Text from a server: any bytes but none at all, and no zeros at the end (RFC 2132 §2).
///
/// It is shown as printable ASCII; every other byte is shown as `\xNN`, a backslash as two.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Text(Vec<u8>);

impl Text {
    /// Takes bytes without the zeros at their end; `None` if nothing is left (RFC 2132 §2).
    pub fn new(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte != 0)?;
        bytes.get(..=end).map(|text| Self(text.to_vec()))
    }

    /// The bytes as they came: anything but zeros at the end (RFC 2132 §2).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| match byte {
            b'\\' => f.write_str("\\\\"),
            b' '..=b'~' => write!(f, "{}", char::from(*byte)),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}

/// The value of an option that we send: 1 to 255 bytes, as one piece has room for (RFC 2132 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OptionValue(Vec<u8>);

impl OptionValue {
    /// Takes 1 to 255 bytes; `None` for none and for more (RFC 2132 §2).
    pub fn new(bytes: &[u8]) -> Option<Self> {
        matches!(bytes.len(), 1..=255).then(|| Self(bytes.to_vec()))
    }

    /// The identifier of a client that has no other: `01` and its hardware address (RFC 2132 §9.14).
    pub fn client_id(mac: [u8; 6]) -> Self {
        let [a, b, c, d, e, f] = mac;
        Self([1, a, b, c, d, e, f].to_vec())
    }

    /// The bytes (RFC 2132 §2).
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// One byte.
pub(super) fn byte(bytes: &[u8]) -> Option<u8> {
    bytes.first().copied()
}

/// One address.
pub(super) fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    bytes.first_chunk().copied().map(Ipv4Addr::from)
}

/// One address or more.
pub(super) fn addresses(bytes: &[u8]) -> Option<Vec<Ipv4Addr>> {
    let (all, rest) = bytes.as_chunks::<4>();
    let is_whole = rest.is_empty() && !all.is_empty();
    is_whole.then(|| all.iter().copied().map(Ipv4Addr::from).collect())
}

/// The addresses as bytes.
pub(super) fn address_bytes(addresses: &[Ipv4Addr]) -> Vec<u8> {
    addresses.iter().flat_map(Ipv4Addr::octets).collect()
}

/// The length of the prefix that a mask leaves. A mask with holes is none, and neither is one of zeros,
/// by which the whole internet would be on the link.
pub(super) fn prefix_length(bytes: &[u8]) -> Option<u8> {
    let mask = u32::from_be_bytes(*bytes.first_chunk()?);
    let is_whole = mask != 0 && mask.leading_ones() + mask.trailing_zeros() == u32::BITS;
    u8::try_from(mask.leading_ones()).ok().filter(|_| is_whole)
}

/// The mask of the first `length` bits; of all if there are not so many.
pub(super) fn mask(length: u8) -> u32 {
    !u32::MAX.checked_shr(u32::from(length)).unwrap_or(0)
}

/// An MTU; less than IPv4 allows is none.
pub(super) fn mtu(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.first_chunk()?)).filter(|mtu| *mtu >= LEAST_MTU)
}

/// RFC 791: what every link carries whole.
const LEAST_MTU: u16 = 68;
