//! `[lan.dhcp]`, `[lan.dns]`, and the same of a `[[network]]`.

use super::Config;
use crate::net::Mac;
use crate::time::Duration;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// `dhcp` of a network: its hosts get their addresses from the router.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhcpService {
    /// `ranges`: first and last address of each.
    pub ranges: Vec<(Ipv4Addr, Ipv4Addr)>,
    /// How long a host has an address without asking again.
    pub lease: Duration,
    /// `reservations`.
    pub reservations: Vec<Reservation>,
    /// The domain of the hosts; the resolver knows them by their names in it.
    pub domain: Option<String>,
    /// Name servers that the hosts are told; none: the router, if it resolves for this network.
    pub dns: Vec<Ipv4Addr>,
    /// Time servers that the hosts are told.
    pub ntp: Vec<Ipv4Addr>,
    /// `options`: what else hosts are told if they ask for it.
    pub options: Vec<DhcpOption>,
}

/// An option of DHCP that has no key of its own (RFC 2132 §2).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DhcpOption {
    /// Its number.
    pub code: u8,
    /// Its content.
    pub value: OptionValue,
}

/// The content of an option.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum OptionValue {
    /// Addresses, one after the other.
    Addresses(Vec<Ipv4Addr>),
    /// A text of printable ASCII.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// A host that always gets the same address, or its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reservation {
    /// Its network card.
    pub mac: Mac,
    /// Its address.
    pub address: Ipv4Addr,
    /// Its name; `None`: as it calls itself.
    pub name: Option<String>,
}

/// `dns` of a network: its hosts ask the router for names.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct DnsService {
    /// `servers`: whom the router asks; none: the resolvers of healthy uplinks (`forward = "health"`).
    pub servers: Vec<Ipv4Addr>,
    /// `names`: what the router answers itself.
    pub names: Vec<(String, Ipv4Addr)>,
    /// `resolv_conf`: the router itself asks it, too.
    pub resolv_conf: bool,
}

/// Whom the resolver asks: addresses for documentation (RFC 5737), which nobody has. Our rules lead
/// them to uplinks; the second one to another uplink where several carry.
pub const ASKED: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 2, 252), Ipv4Addr::new(192, 0, 2, 253)];

impl Config {
    /// True if the router asks its own resolver for names.
    pub fn asks_itself(&self) -> bool {
        self.networks.iter().filter_map(|network| network.dns.as_ref()).any(|dns| dns.resolv_conf)
    }

    /// True if the router resolves names by the resolvers of its uplinks.
    pub fn asks_uplinks(&self) -> bool {
        let services = self.networks.iter().filter_map(|network| network.dns.as_ref());
        services.into_iter().any(|dns| dns.servers.is_empty())
    }
}
