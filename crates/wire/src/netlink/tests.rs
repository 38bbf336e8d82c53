//! Bytes from the kernel, round trips, cuts and flips.
//!
//! The vectors were captured from Linux 6.18 (x86_64) in a network namespace with
//! `wan1` (index 3, 100.64.1.2/24) and `wan2` (index 5), by plain dumps; the port
//! in the header is zeroed. They are little endian, as are the tests that use them.

use super::*;
use alloc::string::ToString;
use alloc::vec;
use proptest::prelude::*;

fn bytes(hex: &str) -> Vec<u8> {
    let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
    (0..hex.len()).step_by(2).map(digit).collect()
}

fn only(datagram: &[u8]) -> Message<'_> {
    let mut all = messages(datagram);
    let first = all.next().unwrap().unwrap();
    assert!(all.next().is_none());
    first
}

fn v4(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// `default table 20001 proto 82 src 100.64.1.2 nexthop via 100.64.1.1 dev wan1 weight 3
/// nexthop via 100.64.2.1 dev wan2 weight 1`
const MULTIPATH: &str = concat!(
    "5000000018002200010000000000000002000000fc5200010000000008000f00214e000008000700644001022400",
    "09001000000203000000080005006440010110000000050000000800050064400201"
);
/// `unreachable default table 20001 proto 82 metric 4294967295`
const UNREACHABLE: &str =
    "2c00000018002200010000000000000002000000fc5200070000000008000f00214e000008000600ffffffff";
/// `20101: from all fwmark 0x1000000/0x7f000000 lookup 20001 proto 82`
const MARK_RULE: &str = concat!(
    "4c00000020000200010000000000000002000000fc0000010000000008000f00214e000008000e00ffffffff0500",
    "15005200000008000600854e000008000a0000000001080010000000007f"
);
/// `20501: from 100.64.1.2 oif wan1 lookup 20001 proto 82`
const SOURCE_RULE: &str = concat!(
    "5000000020000200010000000000000002002000fc0000010000000008000f00214e000008000e00ffffffff0500",
    "1500520000000900110077616e310000000008000600155000000800020064400102"
);
/// `100.64.1.2/24 brd 100.64.1.255 dev wan1`
const ADDRESS: &str = concat!(
    "580000001400020001000000000000000218800003000000080001006440010208000200644001020800040064",
    "4001ff0900030077616e3100000000080008008000000014000600ffffffffffffffffa6a70700a6a70700"
);
/// `100.64.1.1 dev wan1 FAILED`
const NEIGHBOUR: &str = concat!(
    "400000001c00020001000000000000000200000003000000200000010800010064400101080004000000000014",
    "00030070170000000000000000000000000000"
);
/// `wan1`, up, with carrier: the first attributes (length corrected); the rest says nothing to us.
const LINK: &str = concat!(
    "440000001000020001000000000000000000010003000000431001000000",
    "00000900030077616e310000000008000d00e80300000500100006000000",
    "08000400dc050000"
);
/// Refusal of a route to interface 999, answers capped: `ENODEV` without a sentence.
const REFUSAL: &str = "24000000020000010100000000000000edffffff24000000180005060100000000000000";
/// End of a dump of table 777, which does not exist.
const DONE: &str = concat!(
    "38000000030022020100000000000000feffffff23000100697076343a20464942207461626c6520646f6573206e",
    "6f742065786973740000"
);
const VECTORS: [&str; 9] =
    [MULTIPATH, UNREACHABLE, MARK_RULE, SOURCE_RULE, ADDRESS, NEIGHBOUR, LINK, REFUSAL, DONE];

fn plain_rule() -> RuleMessage {
    RuleMessage {
        family: family::INET,
        priority: 20_101,
        protocol: 82,
        table: 20_001,
        refuses: false,
        drops: false,
        source: None,
        destination: None,
        iif: None,
        oif: None,
        mark: None,
        ip_protocol: None,
        source_ports: None,
        suppress_prefix_length: None,
        is_partial: false,
        beyond: Beyond::default(),
    }
}

fn plain_route() -> RouteMessage {
    RouteMessage {
        table: 20_001,
        destination: v4("0.0.0.0"),
        length: 0,
        priority: u32::MAX,
        protocol: 82,
        kind: RouteKind::Unreachable,
        nexthops: vec![],
        source: None,
        mtu: None,
        is_other_key: false,
        is_partial: false,
    }
}

/// Reads bytes as everything: the only promise is that nothing panics.
fn read_all(datagram: &[u8]) {
    for message in messages(datagram).map_while(Result::ok) {
        let _ = Ack::decode(&message);
        let _ = AddressMessage::decode(&message);
        let _ = (LinkMessage::decode(&message), LinkPackets::decode(&message));
        let _ = NeighbourMessage::decode(&message);
        let _ = RouteMessage::decode(&message);
        let _ = RuleMessage::decode(&message);
    }
}

#[cfg(target_endian = "little")]
#[test]
fn the_kernels_routes() {
    let hop = |index, gateway, weight| NexthopMessage {
        index,
        gateway: Some(v4(gateway)),
        weight,
        dead: false,
        onlink: false,
    };
    let multipath = RouteMessage {
        priority: 0,
        kind: RouteKind::Unicast,
        nexthops: vec![hop(3, "100.64.1.1", 3), hop(5, "100.64.2.1", 1)],
        source: Some(v4("100.64.1.2")),
        ..plain_route()
    };
    assert_eq!(RouteMessage::decode(&only(&bytes(MULTIPATH))), Ok(multipath));
    assert_eq!(RouteMessage::decode(&only(&bytes(UNREACHABLE))), Ok(plain_route()));
}

#[cfg(target_endian = "little")]
#[test]
fn the_kernels_rules() {
    let rule = RuleMessage { mark: Some((0x0100_0000, 0x7f00_0000)), ..plain_rule() };
    assert_eq!(RuleMessage::decode(&only(&bytes(MARK_RULE))), Ok(rule));
    let rule = RuleMessage {
        priority: 20_501,
        source: Some((v4("100.64.1.2"), 32)),
        oif: Some("wan1".into()),
        ..plain_rule()
    };
    assert_eq!(RuleMessage::decode(&only(&bytes(SOURCE_RULE))), Ok(rule));
}

#[cfg(target_endian = "little")]
#[test]
fn the_kernels_links_addresses_and_neighbours() {
    let link = LinkMessage::decode(&only(&bytes(LINK))).unwrap();
    assert_eq!((link.index, link.name.as_str(), link.mtu), (3, "wan1", 1500));
    assert!(link.up && link.carrier);
    let address = AddressMessage {
        index: 3,
        address: v4("100.64.1.2"),
        length: 24,
        peer: None,
        protocol: 0,
        kind: AddressKind::default(),
    };
    assert_eq!(AddressMessage::decode(&only(&bytes(ADDRESS))), Ok(address));
    let address = Some(v4("100.64.1.1"));
    let neighbour = NeighbourMessage { index: 3, address, state: nud::FAILED, hardware: None };
    assert_eq!(NeighbourMessage::decode(&only(&bytes(NEIGHBOUR))), Ok(neighbour));
}

/// Given a link with counters (`rtnl_link_stats64`), then its packets are read; where they are cut or not
/// there, nothing is.
#[cfg(target_endian = "little")]
#[test]
fn the_kernels_counters() {
    assert_eq!(LinkPackets::decode(&only(&bytes(LINK))), None);
    for (length, expected) in [(24_u8, Some((7, 9))), (16, Some((7, 9))), (15, None), (0, None)] {
        let mut datagram = bytes(LINK);
        datagram.extend([length + 4, 0, 23, 0]);
        let words = [7_u64, 9, 700].map(u64::to_le_bytes).concat();
        datagram.extend(words.iter().take(length.into()));
        datagram[0] += length + 4;
        let packets = LinkPackets::decode(&only(&datagram));
        assert_eq!(packets.map(|packets| (packets.received, packets.sent)), expected);
    }
}

#[cfg(target_endian = "little")]
#[test]
fn the_kernels_refusals() {
    let refusal = Ack { errno: 19, text: "".to_string() };
    assert_eq!(Ack::decode(&only(&bytes(REFUSAL))), Ok(refusal));
    let done = Ack { errno: 2, text: "ipv4: FIB table does not exist".to_string() };
    assert_eq!(Ack::decode(&only(&bytes(DONE))), Ok(done));
}

/// Given a message cut anywhere, then it is an error, or what was cut off is left out.
#[test]
fn every_cut_is_an_error_or_a_smaller_message() {
    for vector in VECTORS.map(bytes) {
        for cut in 1..vector.len() {
            assert!(messages(&vector[..cut]).next().unwrap().is_err());
            // The length says that this is all: only the attributes are torn.
            let mut short = vector[..cut].to_vec();
            if cut >= HEADER_LENGTH {
                short[0..4].copy_from_slice(&u32::try_from(cut).unwrap().to_ne_bytes());
            }
            read_all(&short);
        }
        assert!(messages(&vector).next().unwrap().is_ok());
    }
}

/// Given an attribute that we do not know, then the message is read, and says that it is not all.
#[test]
fn unknown_attributes_cost_nothing_but_completeness() {
    let mut rule = plain_rule().add(true);
    rule.attribute(999, b"narrower");
    let read = RuleMessage::decode(&only(&rule.finish(1))).unwrap();
    let beyond = Beyond { more: true, ..Beyond::default() };
    assert_eq!(read, RuleMessage { is_partial: true, beyond, ..plain_rule() });
    let mut route = plain_route().set(false);
    route.attribute(999, b"from a newer kernel");
    let read = RouteMessage::decode(&only(&route.finish(1))).unwrap();
    assert_eq!(read, RouteMessage { is_partial: true, ..plain_route() });
    let address = AddressMessage {
        index: 3,
        address: v4("192.0.2.1"),
        length: 24,
        peer: None,
        protocol: 82,
        kind: AddressKind::default(),
    };
    let mut request = address.add();
    request.attribute(999, b"");
    assert_eq!(AddressMessage::decode(&only(&request.finish(1))), Ok(address));
}

/// Given the address of a point-to-point link, then its own end and the other one are told apart; what is
/// set alike at both ends has no other end.
#[test]
fn an_address_may_have_another_end() {
    let peer = Some(v4("100.64.0.1"));
    let address = AddressMessage {
        index: 7,
        address: v4("100.64.1.2"),
        length: 32,
        peer,
        protocol: 0,
        kind: AddressKind::default(),
    };
    let read = |request: Request| AddressMessage::decode(&only(&request.finish(1)));
    assert_eq!(read(address.add()), Ok(address));
    let alone = AddressMessage { peer: Some(address.address), ..address };
    assert_eq!(read(alone.add()), Ok(AddressMessage { peer: None, ..address }));
}

#[test]
fn two_messages_in_one_datagram_and_a_torn_third() {
    let mut datagram = bytes(UNREACHABLE);
    datagram.extend(bytes(MARK_RULE));
    datagram.extend([1, 2, 3]);
    let kinds: Vec<_> = messages(&datagram).map(|m| m.map(|m| m.kind)).collect();
    let expected = [Ok(kind::NEW_ROUTE), Ok(kind::NEW_RULE), Err(DecodeError::Truncated)];
    assert_eq!(kinds, expected);
}

fn any_address(v6: bool) -> BoxedStrategy<IpAddr> {
    if v6 {
        any::<[u8; 16]>().prop_map(IpAddr::from).boxed()
    } else {
        any::<[u8; 4]>().prop_map(IpAddr::from).boxed()
    }
}

fn any_route() -> impl Strategy<Value = RouteMessage> {
    any::<bool>().prop_flat_map(|v6| {
        let gateway = proptest::option::of(any_address(v6));
        let hop = (1..u32::MAX, gateway, 1..=256u16, any::<bool>()).prop_map(
            |(index, gateway, weight, onlink)| {
                let dead = false;
                NexthopMessage { index, gateway, weight, dead, onlink }
            },
        );
        let key = (1..u32::MAX, any_address(v6), 1..=32u8, any::<u32>(), any::<u8>());
        let hops = proptest::collection::vec(hop, 0..200);
        let source = proptest::option::of(any_address(v6));
        let value = (hops, source, proptest::option::of(any::<u32>()));
        (key, value).prop_map(|((table, destination, length, priority, protocol), value)| {
            let (mut nexthops, source, mtu) = value;
            if let [single] = nexthops.as_mut_slice() {
                single.weight = 1;
            }
            let kind =
                if nexthops.is_empty() { RouteKind::Unreachable } else { RouteKind::Unicast };
            let key = RouteMessage { table, destination, length, priority, ..plain_route() };
            RouteMessage { protocol, kind, nexthops, source, mtu, ..key }
        })
    })
}

fn any_rule() -> impl Strategy<Value = RuleMessage> {
    any::<bool>().prop_flat_map(|v6| {
        let key = (any::<u32>(), any::<u8>(), 1..u32::MAX);
        let source = proptest::option::of((any_address(v6), 1..=32u8));
        let device = || proptest::option::of("[a-z0-9.@-]{1,15}");
        let devices = (device(), device(), any::<bool>());
        let ports = proptest::option::of(any::<(u16, u16)>());
        let (mark, most) =
            (proptest::option::of(any::<(u32, u32)>()), proptest::option::of(0..128u32));
        let rest = (mark, most, ports);
        (key, source, devices, rest).prop_map(
            move |((priority, protocol, table), source, (iif, oif, refuses), rest)| {
                let family = if v6 { family::INET6 } else { family::INET };
                let (mark, suppress_prefix_length, source_ports) = rest;
                let drops = !refuses && source_ports.is_some();
                let ip_protocol = source_ports.map(|_| 17);
                let plain = RuleMessage { drops, ip_protocol, source_ports, ..plain_rule() };
                let key = RuleMessage { family, priority, protocol, table, ..plain };
                RuleMessage { refuses, source, iif, oif, mark, suppress_prefix_length, ..key }
            },
        )
    })
}

proptest! {
    #[test]
    fn routes_round_trip(route in any_route(), replace: bool) {
        let request = route.set(replace).finish(7);
        prop_assert_eq!(only(&request).sequence, 7);
        prop_assert_eq!(RouteMessage::decode(&only(&request)), Ok(route));
    }

    #[test]
    fn rules_round_trip(rule in any_rule()) {
        prop_assert_eq!(RuleMessage::decode(&only(&rule.add(true).finish(1))), Ok(rule));
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(datagram in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all(&datagram);
        let mut framed = u32::try_from(datagram.len() + 16).unwrap().to_ne_bytes().to_vec();
        framed.extend([0; 12]);
        framed.extend(&datagram);
        framed[4] = 2 + datagram.len().to_le_bytes()[0] % 32;
        read_all(&framed);
    }

    #[test]
    fn flipped_bytes_are_read_without_a_panic(which in 0..9usize, at: usize, value: u8) {
        let mut vector = bytes(VECTORS[which]);
        let at = at % vector.len();
        vector[at] = value;
        read_all(&vector);
    }
}
