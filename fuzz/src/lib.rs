//! Bodies for fuzzing: each takes any bytes and must not panic.
//!
//! They are plain functions, so that libFuzzer, the driver for a stable compiler
//! (`src/bin/mutate.rs`) and the tests run the same code.

mod dhcp4;
mod dice;
mod generated;
#[path = "../../crates/rail/src/hidden.rs"]
mod hidden;
#[expect(
    dead_code,
    unused_imports,
    reason = "built here for fuzzing only; the binary uses the rest"
)]
#[path = "../../crates/rail/src/load/mod.rs"]
mod load;
mod news;
mod notifier;
mod world;

pub use dhcp4::dhcp4;
pub use news::news;
pub use world::{diff, router};

use rail_wire::ip::arp::Arp;
use rail_wire::ip::icmp4::Echo;
use rail_wire::netlink::{
    self, Ack, AddressMessage, LinkMessage, LinkPackets, Message, NeighbourMessage, Request,
    RouteMessage, RuleMessage, family,
};
use rail_wire::nfnetlink::{conntrack, nftables};
use std::path::Path;

/// A name, its body, and inputs to begin with.
pub type Body = (&'static str, fn(&[u8]), fn() -> Vec<Vec<u8>>);

/// All bodies.
pub const BODIES: &[Body] = &[
    ("icmp", icmp, seeds_icmp),
    ("arp", arp, seeds_arp),
    ("dhcp4", dhcp4, dhcp4::seeds),
    ("netlink", netlink, seeds_netlink),
    ("nfnetlink", nfnetlink, seeds_nfnetlink),
    ("config", config, seeds_config),
    ("news", news, news::seeds),
    ("router", router, seeds_noise),
    ("diff", diff, seeds_noise),
];

/// An ICMP message. What is accepted can be written again, and means the same. (Not byte for
/// byte: a checksum of all ones is as good as one of all zeros.)
pub fn icmp(data: &[u8]) {
    if let Ok(echo) = Echo::parse(data) {
        assert_eq!(Echo::parse(&echo.emit()), Ok(echo));
    }
}

/// An ARP packet, with or without padding. What is accepted can be written again, byte for byte.
pub fn arp(data: &[u8]) {
    if let Ok(arp) = Arp::parse(data) {
        let bytes = arp.emit();
        assert_eq!(data.get(..bytes.len()), Some(bytes.as_slice()));
    }
}

/// A datagram from the kernel's routing socket. What is understood can be written again.
pub fn netlink(data: &[u8]) {
    for message in netlink::messages(data).flatten() {
        read(&message);
    }
    // The same bytes as the payload of each type that we read.
    for kind in 0..40 {
        read(&Message { kind, flags: 0, sequence: 0, port: 0, payload: data });
    }
}

fn read(message: &Message<'_>) {
    let _ = (Ack::decode(message), LinkMessage::decode(message), NeighbourMessage::decode(message));
    let _ = LinkPackets::decode(message);
    if let Ok(address) = AddressMessage::decode(message) {
        let _ = (address.add().finish(1), address.remove().finish(1));
    }
    if let Ok(route) = RouteMessage::decode(message) {
        let _ = (route.set(true).finish(1), route.remove().finish(1));
    }
    if let Ok(rule) = RuleMessage::decode(message) {
        let _ = (rule.add(true).finish(1), rule.remove().finish(1));
    }
    walk(message.payload, 3);
}

/// Attributes in attributes, every value read in every way.
fn walk(bytes: &[u8], depth: u8) {
    for attribute in netlink::attributes(bytes) {
        let _ = (attribute.u8(), attribute.u32(), attribute.address(), attribute.text());
        if depth > 0 {
            walk(attribute.payload, depth - 1);
        }
    }
}

/// A datagram from the kernel's netfilter socket. What is understood can be asked for.
pub fn nfnetlink(data: &[u8]) {
    for message in netlink::messages(data).flatten() {
        filter(&message);
    }
    // The same bytes as the payload of each type that we read: connections, nftables.
    for kind in (0x100..0x106).chain(0xa00..0xa20) {
        filter(&Message { kind, flags: 0, sequence: 0, port: 0, payload: data });
    }
}

fn filter(message: &Message<'_>) {
    if let Ok(connection) = conntrack::Connection::decode(message) {
        let _ = connection.delete().finish(1);
    }
    let _ = (nftables::Chain::parse(message, "rail"), nftables::Rule::parse(message, "rail"));
    let _ = (nftables::table_of(message), nftables::is_dormant(message));
    let _ = (nftables::generation(message), nftables::elements(message));
    walk(message.payload.get(4..).unwrap_or(&[]), 3);
}

/// A configuration file. What is accepted has lines within the limits, and
/// gives helper programs files in which each line is one directive.
pub fn config(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok((config, _)) = load::load(Path::new("rail.toml"), text) {
        assert!(!config.uplinks.is_empty() && config.uplinks.len() <= 126);
        assert!(config.uplinks.iter().all(|uplink| uplink.weight > 0));
        generated::check(&config);
    }
}

fn seeds_icmp() -> Vec<Vec<u8>> {
    use rail_wire::ip::icmp4::EchoKind;
    let echo = |kind| Echo { kind, ident: 1, sequence: 2, nonce: 3 }.emit();
    vec![echo(EchoKind::Request), echo(EchoKind::Reply)]
}

fn seeds_arp() -> Vec<Vec<u8>> {
    let request = Arp::request([2; 6], [100, 64, 1, 2].into(), [100, 64, 1, 1].into());
    let mut padded = request.reply([4; 6]).emit();
    padded.resize(46, 0);
    vec![request.emit(), padded]
}

fn seeds_netlink() -> Vec<Vec<u8>> {
    let mut all = vec![
        LinkMessage::dump().finish(1),
        LinkMessage::get("wan1").finish(1),
        LinkMessage::set_up(7, true).finish(1),
        AddressMessage::dump().finish(1),
        RouteMessage::dump(family::INET, Some(20001)).finish(1),
        RuleMessage::dump(family::INET).finish(1),
    ];
    // A route with every attribute that we read, and one next hop.
    let mut route = Request::new(24, 0, &[2, 0, 0, 0, 254, 82, 0, 1, 0, 0, 0, 0]);
    route.u32(15, 20001);
    route.u32(4, 7);
    route.u32(6, 5);
    route.attribute(5, &[192, 0, 2, 1]);
    route.attribute(9, &[16, 0, 0, 0, 7, 0, 0, 0, 8, 0, 5, 0, 192, 0, 2, 1]);
    all.push(route.finish(1));
    let mut rule = Request::new(32, 0, &[2, 0, 0, 0, 254, 0, 0, 1, 0, 0, 0, 0]);
    for kind in [6, 10, 14, 15, 16, 21] {
        rule.u32(kind, 20101);
    }
    rule.text(3, "wan1");
    all.push(rule.finish(1));
    all
}

fn seeds_nfnetlink() -> Vec<Vec<u8>> {
    // A connection: addresses of its first direction, status, mark.
    let v4 = |kind: u8, last| [8, 0, kind, 0, 192, 0, 2, last];
    let addresses = [[20, 0, 1, 128, 8, 0, 1, 0].as_slice(), &v4(1, 1)[4..], &v4(2, 2)].concat();
    let mut connection = Request::new(0x100, 0, &[2, 0, 0, 0]);
    connection.attribute(1, &addresses);
    connection.attribute(3, &[0, 0, 0, 8]);
    connection.attribute(8, &[1, 0, 0, 0]);
    // A rule: table, chain, handle, comment.
    let mut rule = Request::new(0xa06, 0, &[1, 0, 0, 0]);
    rule.text(1, "rail");
    rule.text(2, "restore");
    rule.attribute(3, &[0, 0, 0, 0, 0, 0, 0, 7]);
    rule.attribute(7, b"\x00\x16rail:0123456789abcdef\x00");
    // A chain: table, name, hook.
    let mut chain = Request::new(0xa03, 0, &[1, 0, 0, 0]);
    chain.text(1, "rail");
    chain.text(3, "restore");
    chain.attribute(4, &[8, 0, 1, 0, 0, 0, 0, 0, 8, 0, 2, 0, 255, 255, 255, 106]);
    let mut all = vec![connection.finish(1), rule.finish(1), chain.finish(1)];
    all.push(conntrack::dump(Some((1, 1))).finish(1));
    all.push(nftables::dump_elements("rail", "slots").finish(1));
    all
}

fn seeds_config() -> Vec<Vec<u8>> {
    let sample = include_str!("../../crates/rail/src/cli/sample.toml");
    let small = "[lan]\ninterfaces = [\"lan0\"]\n[[uplink]]\nname = \"a\"\ninterface = \"wan1\"\n\
                 address = \"198.51.100.2/24\"\ngateway = \"198.51.100.1\"\nweight = 2\n\
                 [[forward]]\nprotocol = \"tcp\"\nport = 80\nto = \"192.168.1.2:80\"\n\
                 [firewall]\nallow = [\"tcp 22 from 203.0.113.0/24\"]\n\
                 [check]\nloss = { degraded = \"10%\" }\ninterval = \"200ms\"\n";
    let whole = [
        include_str!("../../crates/rail/tests/good/services.toml"),
        include_str!("../../crates/rail/tests/good/ppp.toml"),
        include_str!("../../crates/rail/tests/good/notify.toml"),
        include_str!("../../crates/rail/tests/good/networks.toml"),
    ];
    [sample, small].into_iter().chain(whole).map(Into::into).collect()
}

fn seeds_noise() -> Vec<Vec<u8>> {
    let noise = |n: u8| (0..=255_u8).map(move |i| i.wrapping_mul(n) ^ (i >> 3));
    vec![noise(1).collect(), noise(167).chain(noise(31)).chain(noise(89)).collect()]
}

#[cfg(test)]
mod tests {
    /// Given the inputs to begin with, and every cut of them, then no body panics.
    #[test]
    fn seeds_pass() {
        for (_, body, seeds) in super::BODIES {
            for seed in seeds() {
                (0..=seed.len()).for_each(|cut| body(&seed[..cut]));
            }
        }
    }
}
