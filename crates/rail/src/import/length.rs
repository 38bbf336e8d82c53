//! The prefix length of an address. The foreign file has none: it leaves the interface to the system,
//! and routes to a gateway that the kernel must know as a neighbour already.

use rail_core::net::{IfName, Prefix};
use std::net::{IpAddr, Ipv4Addr};

/// How an uplink's address is written, and how that is known.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Length {
    pub(super) length: u8,
    /// The gateway lies outside.
    pub(super) is_onlink: bool,
    /// This machine's interface has the address so.
    pub(super) is_seen: bool,
}

/// The prefix length that the interface of this machine has, or else the longest that holds both as
/// hosts. One that would make a network of more than 65536 addresses our neighbours is no guess:
/// then the address stands alone, and the gateway is a neighbour by word.
pub(super) fn length(
    interface: &str,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    here: &[(IfName, Prefix)],
) -> Length {
    let is_it = |(ifname, prefix): &&(IfName, Prefix)| {
        ifname.as_str() == interface && prefix.address == IpAddr::V4(address)
    };
    if let Some((_, prefix)) = here.iter().find(is_it) {
        let is_onlink = !prefix.contains(IpAddr::V4(gateway));
        return Length { length: prefix.length, is_onlink, is_seen: true };
    }
    let common = (address.to_bits() ^ gateway.to_bits()).leading_zeros();
    let longest = u8::try_from(common.min(30)).unwrap_or(30);
    let holds = |length: &u8| is_host(address, *length) && is_host(gateway, *length);
    match (WIDEST..=longest).rev().find(holds) {
        Some(length) => Length { length, is_onlink: false, is_seen: false },
        None => Length { length: 32, is_onlink: true, is_seen: false },
    }
}

/// Neither the network address nor the broadcast address of the prefix, which is 30 at most.
fn is_host(address: Ipv4Addr, length: u8) -> bool {
    let host_bits = u32::MAX >> length;
    let bits = address.to_bits() & host_bits;
    bits != 0 && bits != host_bits
}

/// The shortest length that is guessed.
const WIDEST: u8 = 16;

#[cfg(test)]
mod tests {
    use super::*;

    fn guessed(address: &str, gateway: &str) -> (u8, bool) {
        let parsed = |text: &str| text.parse().expect("an address");
        let found = length("eth1", parsed(address), parsed(gateway), &[]);
        assert!(!found.is_seen);
        (found.length, found.is_onlink)
    }

    /// Given an address and its gateway, then the guess is the longest prefix in which both are hosts;
    /// where they have too little in common, the gateway is outside.
    #[test]
    fn the_longest_prefix_holds_both() {
        for (address, gateway, expected) in [
            ("198.51.100.2", "198.51.100.1", (30, false)),
            ("198.51.100.3", "198.51.100.1", (29, false)),
            ("198.51.100.5", "198.51.100.6", (30, false)),
            ("198.51.100.8", "198.51.100.9", (28, false)),
            ("198.51.100.17", "198.51.100.1", (27, false)),
            ("198.51.100.1", "198.51.100.254", (24, false)),
            ("198.51.100.255", "198.51.100.1", (23, false)),
            ("10.9.0.2", "10.9.255.254", (16, false)),
            ("10.9.0.2", "10.200.0.1", (32, true)),
            ("203.0.113.7", "172.31.1.1", (32, true)),
            // Our reader refuses it by itself.
            ("203.0.113.7", "203.0.113.7", (28, false)),
        ] {
            assert_eq!(guessed(address, gateway), expected, "{address} by {gateway}");
        }
    }

    /// Given an interface of this machine that has the address, then its prefix length is taken; one of
    /// another interface, or of another address, is not.
    #[test]
    fn the_interface_knows_better() {
        let here = |ifname: &str, prefix: &str| {
            vec![(ifname.parse().expect("a name"), prefix.parse().expect("a prefix"))]
        };
        let [address, gateway] = [Ipv4Addr::new(198, 51, 100, 2), Ipv4Addr::new(198, 51, 100, 1)];
        let of = |here: &[(IfName, Prefix)]| length("eth1", address, gateway, here);
        let seen = Length { length: 24, is_onlink: false, is_seen: true };
        assert_eq!(of(&here("eth1", "198.51.100.2/24")), seen);
        let alone = Length { length: 32, is_onlink: true, is_seen: true };
        assert_eq!(of(&here("eth1", "198.51.100.2/32")), alone);
        let guess = Length { length: 30, is_onlink: false, is_seen: false };
        assert_eq!(of(&here("eth2", "198.51.100.2/24")), guess);
        assert_eq!(of(&here("eth1", "198.51.100.3/24")), guess);
    }
}
