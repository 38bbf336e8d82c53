//! Names and numbers of the network: interface names, prefixes, uplink ids.

mod link;

pub use link::{Identity, Link};

use alloc::string::{String, ToString};
use core::fmt;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::str::FromStr;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Address family.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl Family {
    /// Every family.
    pub const ALL: [Self; 2] = [Self::V4, Self::V6];

    /// The family of an address.
    pub const fn of(address: &IpAddr) -> Self {
        match address {
            IpAddr::V4(_) => Self::V4,
            IpAddr::V6(_) => Self::V6,
        }
    }
}

/// An address that a single host can have: neither of this host, nor of a group, nor reserved (RFC 6890).
pub const fn is_host(address: Ipv4Addr) -> bool {
    let [first, ..] = address.octets();
    first != 0 && first != 127 && first < 224
}

/// A kernel interface name: 1 to 15 bytes, no `/`, white space or control character.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IfName {
    bytes: [u8; 15],
    len: u8,
}

/// Why a text is no interface name.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum IfNameError {
    /// Empty, `.`, or `..`.
    Empty,
    /// `all` or `default`: in the kernel's settings they stand for no device.
    Reserved,
    /// More than 15 bytes.
    TooLong,
    /// A character that the kernel or nft would refuse.
    BadCharacter(char),
}

impl fmt::Display for IfNameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("an interface name cannot be empty, `.` or `..`"),
            Self::Reserved => f.write_str("no interface can be called `all` or `default`"),
            Self::TooLong => f.write_str("an interface name has at most 15 characters"),
            Self::BadCharacter(c) => write!(f, "{c:?} cannot stand in an interface name"),
        }
    }
}

impl IfName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..usize::from(self.len)]).unwrap_or("?")
    }

    /// True if no interface can have it: it stands for one that was not found.
    pub fn is_nowhere(&self) -> bool {
        self.as_str().starts_with(':')
    }

    /// True if no program takes it for anything but itself.
    pub fn is_plain(&self) -> bool {
        let is_plain =
            |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@' | ':');
        self.as_str().chars().all(is_plain)
    }

    /// Whether iptables takes it for all names that begin so.
    pub fn is_wildcard(&self) -> bool {
        self.as_str().ends_with('+')
    }
}

impl FromStr for IfName {
    type Err = IfNameError;
    fn from_str(text: &str) -> Result<Self, IfNameError> {
        if text.is_empty() || text == "." || text == ".." {
            return Err(IfNameError::Empty);
        }
        if text == "all" || text == "default" {
            return Err(IfNameError::Reserved);
        }
        // The kernel puts a number in the place of `%d`.
        let allowed = |c: char| c.is_ascii_graphic() && !matches!(c, '/' | '"' | '\\' | '*' | '%');
        if let Some(c) = text.chars().find(|c| !allowed(*c)) {
            return Err(IfNameError::BadCharacter(c));
        }
        let mut bytes = [0; 15];
        let Some(room) = bytes.get_mut(..text.len()) else {
            return Err(IfNameError::TooLong);
        };
        room.copy_from_slice(text.as_bytes());
        Ok(Self { bytes, len: u8::try_from(text.len()).unwrap_or(15) })
    }
}

impl fmt::Display for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for IfName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An address with a prefix length; host bits are kept.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Prefix {
    /// The address as written.
    pub address: IpAddr,
    /// Prefix length in bits.
    pub length: u8,
}

impl Prefix {
    /// `0.0.0.0/0` or `::/0`.
    pub const fn default_route(family: Family) -> Self {
        match family {
            Family::V4 => Self { address: IpAddr::V4(Ipv4Addr::UNSPECIFIED), length: 0 },
            Family::V6 => Self { address: IpAddr::V6(Ipv6Addr::UNSPECIFIED), length: 0 },
        }
    }

    /// The single address as a /32 or /128.
    pub const fn host(address: IpAddr) -> Self {
        let length = match address {
            IpAddr::V4(_) => 32,
            IpAddr::V6(_) => 128,
        };
        Self { address, length }
    }

    /// The family.
    pub const fn family(&self) -> Family {
        Family::of(&self.address)
    }

    /// The prefix with its host bits cleared.
    pub fn network(&self) -> Self {
        let address = match self.address {
            IpAddr::V4(a) => {
                let keep = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V4(Ipv4Addr::from_bits(a.to_bits() & keep))
            }
            IpAddr::V6(a) => {
                let keep = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                IpAddr::V6(Ipv6Addr::from_bits(a.to_bits() & keep))
            }
        };
        Self { address, length: self.length }
    }

    /// True if `address` lies in this prefix.
    pub fn contains(&self, address: IpAddr) -> bool {
        Family::of(&address) == self.family()
            && Self { address, length: self.length }.network() == self.network()
    }

    /// True if one of the two networks holds the other.
    pub fn meets(&self, other: Self) -> bool {
        self.contains(other.address) || other.contains(self.address)
    }

    /// True if somebody with the other address is most likely in this network. Their lengths may
    /// differ, but a network of everything says nothing about whose it is.
    pub fn shares_network(&self, other: Self) -> bool {
        other.length > 0 && self.meets(other)
    }
}

impl FromStr for Prefix {
    type Err = PrefixError;
    fn from_str(text: &str) -> Result<Self, PrefixError> {
        let (address, length) = text.split_once('/').ok_or(PrefixError)?;
        let address: IpAddr = address.parse().map_err(|_| PrefixError)?;
        let most = Self::host(address).length;
        if length.is_empty() || !length.bytes().all(|b| b.is_ascii_digit()) {
            return Err(PrefixError);
        }
        let length: u8 = length.parse().map_err(|_| PrefixError)?;
        if length > most { Err(PrefixError) } else { Ok(Self { address, length }) }
    }
}

/// A text that is no `address/length`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct PrefixError;

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected an address with a prefix length, such as 198.51.100.2/24")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

impl fmt::Debug for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The number of an uplink: 1 to 126. It is the uplink's mark (shifted into the
/// configured mask) and the offset of its table; it belongs to the uplink's
/// *name* and survives reordering and reload.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UplinkId(pub u8);

impl fmt::Display for UplinkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A hardware address of Ethernet.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Mac(pub [u8; 6]);

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

macro_rules! serde_as_text {
    ($($t:ty),*) => {$(
        impl Serialize for $t {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $t {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = String::deserialize(d)?;
                text.parse().map_err(|e: <Self as FromStr>::Err| {
                    serde::de::Error::custom(e.to_string())
                })
            }
        }
    )*};
}
serde_as_text!(IfName, Prefix);

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    /// Given names that the kernel would make others of, or that stand for no device, then they are refused;
    /// names that only look like them are good.
    #[test]
    fn a_name_is_of_one_interface() {
        for bad in ["wan%d", "%", "all", "default", ".", "..", "", "a/b", "sixteen-letters."] {
            assert!(bad.parse::<IfName>().is_err(), "{bad}");
        }
        for good in ["wan0", "all0", "default.7", "Default", "eth0.20"] {
            assert_eq!(good.parse::<IfName>().map(|name| name.to_string()), Ok(good.to_string()));
        }
    }
}
