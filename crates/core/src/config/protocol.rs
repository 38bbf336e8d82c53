//! What is above IP.

use core::fmt;

/// What is above IP.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// Another one, by its number; it has no ports.
    Other(u8),
}

impl Protocol {
    /// The protocol of this number.
    pub const fn of_number(number: u8) -> Self {
        match number {
            6 => Self::Tcp,
            17 => Self::Udp,
            other => Self::Other(other),
        }
    }

    /// The protocol of this name, or number as text.
    pub fn of_name(name: &str) -> Option<Self> {
        match name {
            "tcp" => Some(Self::Tcp),
            "udp" => Some(Self::Udp),
            _ => match NAMED.iter().find(|(_, known)| *known == name) {
                Some((number, _)) => Some(Self::Other(*number)),
                None if name.bytes().all(|b| b.is_ascii_digit()) => {
                    name.parse().ok().map(Self::of_number)
                }
                None => None,
            },
        }
    }

    /// True if it has ports.
    pub const fn has_ports(self) -> bool {
        matches!(self, Self::Tcp | Self::Udp)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp => f.write_str("tcp"),
            Self::Udp => f.write_str("udp"),
            Self::Other(number) => match NAMED.iter().find(|(known, _)| known == number) {
                Some((_, name)) => f.write_str(name),
                None => number.fmt(f),
            },
        }
    }
}

/// Protocols without ports that have a name in the configuration.
const NAMED: &[(u8, &str)] = &[(1, "icmp"), (47, "gre"), (50, "esp")];
