//! Messages of DHCPv4 from anyone on the network of an uplink.

use rail_wire::dhcp4::{
    ClasslessRoute, LeaseTime, Name, Names, Reply, ReplyKind, Request, RequestKind, Text,
    UdpChecksum,
};
use std::net::Ipv4Addr;

/// A message of DHCPv4 from a server or a client, as a packet or as the payload of UDP. What is accepted
/// can be written again and means the same, and its text can be shown.
pub fn dhcp4(data: &[u8]) {
    let (here, all) = (Ipv4Addr::LOCALHOST, Ipv4Addr::BROADCAST);
    let checksums = [UdpChecksum::Complete, UdpChecksum::NotReady];
    let packets = checksums.map(|checksum| Reply::parse_packet(data, checksum));
    for reply in packets.into_iter().chain([Reply::parse(data, here)]).flatten() {
        for text in [&reply.message, &reply.captive_portal].into_iter().flatten() {
            assert!(text.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
        }
        let packet = reply.emit_packet(all);
        assert_eq!(Reply::parse_packet(&packet, UdpChecksum::Complete), Ok(reply));
    }
    let packets = checksums.map(|checksum| Request::parse_packet(data, checksum));
    let payloads = [Request::parse(data, all), Request::parse(data, here)];
    for request in packets.into_iter().chain(payloads).flatten() {
        let payload = request.emit();
        assert_eq!(Request::parse(&payload, request.destination()), Ok(request));
    }
}

/// An offer, a request and a release, as packets and as payloads, and an offer with options in `file` and
/// `sname`.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (mac, address, server) = ([2; 6], [100, 64, 7, 154].into(), [100, 64, 7, 1].into());
    let route = ClasslessRoute {
        destination: [198, 51, 100, 0].into(),
        prefix_length: 24,
        gateway: server,
    };
    let offer = Reply {
        yiaddr: address,
        server_id: Some(server),
        message: Text::new(b"welcome"),
        lease: Some(LeaseTime::Seconds(3600)),
        renewal: Some(LeaseTime::Infinite),
        prefix_length: Some(24),
        domain: Name::new("example.net"),
        routes: Some(vec![route, route]),
        mtu: Some(1492),
        resolvers: vec![server, address],
        routers: vec![server],
        captive_portal: Text::new(b"https://example.net"),
        search: Names::new(&Vec::from_iter(Name::new("a.example.net"))),
        client_id: Some(vec![1, 2, 2, 2, 2, 2, 2]),
        ..Reply::new(ReplyKind::Offer, server, 1, mac)
    };
    let selecting = RequestKind::Selecting { requested: address, server };
    let mut all = vec![offer.emit_packet(address), offer.emit()];
    for kind in [selecting, RequestKind::Release { address, server }] {
        let request = Request::new(kind, 1, mac);
        all.extend([request.emit_packet(), request.emit()]);
    }
    let mut overloaded = offer.emit();
    overloaded.splice(240..240, [52, 1, 3]);
    overloaded[44..48].copy_from_slice(&[56, 2, b'h', b'i']);
    overloaded[108..115].copy_from_slice(&[119, 5, 1, b'b', 0xc0, 2, 255]);
    all.push(overloaded);
    all
}
