//! Round trips, cuts, and bytes from the kernel.

use super::*;
use alloc::string::String;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr};

const GATEWAY: IpAddr = IpAddr::V4(Ipv4Addr::new(100, 64, 1, 1));

fn only(bytes: &[u8]) -> Message<'_> {
    let mut all = messages(bytes);
    let first = all.next().unwrap();
    assert!(all.next().is_none());
    first
}

fn route(kind: RouteKind) -> Route {
    Route {
        table: 20001,
        destination: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        length: 0,
        metric: 7,
        protocol: 82,
        kind,
        source: Some(IpAddr::V4(Ipv4Addr::new(100, 64, 1, 2))),
    }
}

fn rule() -> Rule {
    Rule {
        family: AF_INET,
        priority: 20301,
        protocol: 82,
        from: Some((IpAddr::V4(Ipv4Addr::new(100, 64, 1, 2)), 32)),
        oif: Some("wan1".into()),
        fwmark: Some((0x0100_0000, 0x7f00_0000)),
        table: 20001,
        suppress_prefixlength: Some(0),
        other: false,
    }
}

/// Given what we send, when read back, then it is the same.
#[test]
fn round_trips() {
    let hop = |index, weight| Nexthop { index, via: Some(GATEWAY), weight, dead: false };
    for kind in [
        RouteKind::Unreachable,
        RouteKind::Unicast(vec![hop(3, 1)]),
        RouteKind::Unicast(vec![hop(3, 1), hop(4, 256), hop(5, 7)]),
    ] {
        let bytes = route(kind.clone()).set(1, false).finish();
        assert_eq!(Route::parse(&only(&bytes)), Some(route(kind)));
        assert_eq!(Route::table_of(&only(&bytes)), Some(20001));
    }
    assert_eq!(Rule::parse(&only(&rule().add(1).finish())), Some(rule()));
    let address = Address { index: 9, address: GATEWAY, length: 24, protocol: 82 };
    assert_eq!(Address::parse(&only(&address.add(1).finish())), Some(address));
}

/// Given a message cut anywhere, or with any byte changed, then reading ends without a panic.
#[test]
fn cuts_and_flips_never_panic() {
    let hop = Nexthop { index: 3, via: Some(GATEWAY), weight: 2, dead: false };
    let mut bytes = route(RouteKind::Unicast(vec![hop, hop])).set(1, true).finish();
    bytes.extend(rule().add(2).finish());
    let read = |bytes: &[u8]| {
        for message in messages(bytes) {
            let _ = (Route::parse(&message), Rule::parse(&message), Address::parse(&message));
            let _ = (Link::parse(&message), Neighbour::parse(&message), Ack::parse(&message));
        }
    };
    for cut in 0..bytes.len() {
        read(&bytes[..cut]);
    }
    for at in 0..bytes.len() {
        for value in [0, 1, 4, 127, 255] {
            let mut bad = bytes.clone();
            bad[at] = value;
            read(&bad);
        }
    }
}

/// Given an attribute that we do not know, then the message is read around it.
#[test]
fn unknown_attributes_are_passed_over() {
    let mut builder = route(RouteKind::Unreachable).set(1, false);
    builder.attribute(999, b"from a newer kernel");
    assert_eq!(Route::parse(&only(&builder.finish())), Some(route(RouteKind::Unreachable)));
    let mut builder = rule().add(1);
    builder.attribute(999, b"narrower");
    assert!(Rule::parse(&only(&builder.finish())).unwrap().other);
}

/// Given the kernel's refusal of `ip route add default via 10.9.9.9` (Linux 6.18, extended ack on,
/// capped), then errno and words come out.
#[test]
fn refusal_with_words() {
    let words = b"Nexthop has invalid gateway\0";
    let mut bytes = Builder::new(ERROR, 0x100 | 0x200, 5, &(-101_i32).to_ne_bytes());
    bytes.raw(&[0; HEADER]).attribute(1, words);
    let ack = Ack::parse(&only(&bytes.finish()));
    assert_eq!((ack.errno, ack.text), (101, Some(String::from("Nexthop has invalid gateway"))));
}
