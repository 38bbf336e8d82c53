//! What an uplink has of one address family now, wherever it came from.
//!
//! A static uplink has what the file says, from the start and for good. What is learnt (a lease, an
//! advertisement) comes, changes and goes, in each family by itself. Who reads an attachment does
//! not ask which of the two it is.

use crate::net::{Family, Prefix};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use core::ops::{Index, IndexMut};

/// How an uplink is attached to its provider in one family.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attachment {
    /// Our address with its prefix length.
    pub address: Prefix,
    /// Where packets to the outside go.
    pub gateway: Gateway,
    /// Where this came from.
    pub origin: Origin,
    /// Further destinations behind this uplink alone, and their gateways; zeros: on the link.
    pub routes: Vec<(Prefix, Ipv4Addr)>,
    /// Name servers of the provider.
    pub resolvers: Vec<IpAddr>,
    /// Networks that the provider has given us for the inside.
    pub delegated: Vec<Prefix>,
    /// Largest packet that the provider takes, in bytes, where it says so.
    pub mtu: Option<u32>,
}

/// The next hop of what leaves by an uplink.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Gateway {
    /// A neighbour in the network of the address.
    Via(IpAddr),
    /// A neighbour, whatever the prefix length says.
    OnLink(IpAddr),
    /// Whoever is at the other end of the device: it has two ends only.
    Device,
}

impl Gateway {
    /// Its address; none where the device alone says where packets go.
    pub const fn address(self) -> Option<IpAddr> {
        match self {
            Self::Via(address) | Self::OnLink(address) => Some(address),
            Self::Device => None,
        }
    }
}

/// Where an attachment came from.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Origin {
    /// The configuration.
    Static,
    /// A DHCP server (RFC 2131).
    Dhcp,
    /// Another program, which has set the address and looks after it.
    Kept,
    /// The other end of a PPP link (RFC 1332).
    Ppp,
}

impl Origin {
    /// True if the address is set, repaired and taken away by us.
    pub const fn is_set_by_us(self) -> bool {
        matches!(self, Self::Static | Self::Dhcp)
    }
}

/// A value for each address family.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub struct PerFamily<T> {
    v4: T,
    v6: T,
}

impl<T> PerFamily<T> {
    /// Asks for the value of each family.
    pub fn of(mut value: impl FnMut(Family) -> T) -> Self {
        Self { v4: value(Family::V4), v6: value(Family::V6) }
    }

    /// The values, that of IPv4 first.
    pub fn iter(&self) -> impl Iterator<Item = &T> + Clone {
        [&self.v4, &self.v6].into_iter()
    }
}

impl<T> Index<Family> for PerFamily<T> {
    type Output = T;
    fn index(&self, family: Family) -> &T {
        match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        }
    }
}

impl<T> IndexMut<Family> for PerFamily<T> {
    fn index_mut(&mut self, family: Family) -> &mut T {
        match family {
            Family::V4 => &mut self.v4,
            Family::V6 => &mut self.v6,
        }
    }
}

/// What an uplink has of each family; `None`: nothing, or nothing yet.
pub type Ways = PerFamily<Option<Attachment>>;
