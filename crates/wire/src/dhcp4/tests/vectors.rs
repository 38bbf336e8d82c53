//! Messages as they were on the wire: requests that dnsmasq, ISC dhcpd, Kea and udhcpd took as they
//! stand, and what dnsmasq 2.90 answered through a veth, which leaves UDP checksums unfinished.

use super::*;
use crate::DecodeError;
use crate::dhcp4::frame::Datagram;
use core::net::SocketAddrV4;

const DISCOVER: &str = "45c0014800000000401178e600000000ffffffff 0044004301343088
    010106005a000001 0*20 02005e005301 0*202 63825363 350101
    3d17ff0000530100046ba7b8109dad11d180b400c04fd430c8 390205c0 370d017903060f1a1c2a33363a3b77
    ff 0*12";
const OFFER: &str = "45c001641ed60000401182d8644007016440079a 004300440150d87c
    020106005a000001 0*8 6440079a64400701 0*4 02005e005301 0*202 63825363 350102 360464400701
    330400000e10 3a0400000708 3b0400000c4e 0104ffffff00 1c04644007ff 0f0b6578616d706c652e6e6574
    790d006440070118c6336464400709 1a0205d4 06086440073564400736 030464400701 ff";
const REQUEST: &str = "45c0014800000000401178e600000000ffffffff 0044004301340a49
    010106005a000001 0*20 02005e005301 0*202 63825363 350103 32046440079a 360464400701
    3d17ff0000530100046ba7b8109dad11d180b400c04fd430c8 390205c0 370d017903060f1a1c2a33363a3b77 ff";
/// The payload alone.
const NAK: &str = "020106005a000006 00008000 0*16 02005e005301 0*202 63825363 350106 360464400701
    380d77726f6e672061646472657373 ff";

/// An option 61 with IAID and DUID (RFC 4361).
const CLIENT_ID: &str = "ff0000530100046ba7b8109dad11d180b400c04fd430c8";
const ASKED: &str = "017903060f1a1c2a33363a3b77";

fn request(kind: RequestKind) -> Request {
    Request {
        client_id: option_value(&bytes(CLIENT_ID)),
        parameters: Some(option_value(&bytes(ASKED))),
        ..Request::new(kind, 0x5a00_0001, MAC)
    }
}

fn offer() -> Reply {
    let route = |destination: [u8; 4], prefix_length, gateway: [u8; 4]| ClasslessRoute {
        destination: destination.into(),
        prefix_length,
        gateway: gateway.into(),
    };
    Reply {
        yiaddr: ADDRESS,
        siaddr: SERVER,
        server_id: Some(SERVER),
        lease: Some(LeaseTime::Seconds(3600)),
        renewal: Some(LeaseTime::Seconds(1800)),
        rebinding: Some(LeaseTime::Seconds(3150)),
        prefix_length: Some(24),
        broadcast: Some([100, 64, 7, 255].into()),
        domain: Name::new("example.net"),
        routes: Some(vec![
            route([0, 0, 0, 0], 0, [100, 64, 7, 1]),
            route([198, 51, 100, 0], 24, [100, 64, 7, 9]),
        ]),
        mtu: Some(1492),
        resolvers: vec![[100, 64, 7, 53].into(), [100, 64, 7, 54].into()],
        routers: vec![SERVER],
        ..Reply::new(ReplyKind::Offer, SERVER, 0x5a00_0001, MAC)
    }
}

/// The grant that follows the offer: another number and sum of the packet, another kind.
fn ack_packet() -> Vec<u8> {
    let mut packet = bytes(OFFER);
    packet[4..6].copy_from_slice(&[0x1e, 0xd7]);
    packet[10..12].copy_from_slice(&[0x82, 0xd7]);
    let kind = 28 + 240 + 2;
    assert_eq!(packet[kind], 2);
    packet[kind] = 5;
    packet
}

/// Given a discovery and a request, when written, then they have every byte of those that four servers
/// took; when read, then they are the same values.
#[test]
fn requests_are_as_the_servers_took_them() {
    let discover = request(RequestKind::Discover { requested: None });
    let selecting = request(RequestKind::Selecting { requested: ADDRESS, server: SERVER });
    for (request, packet) in [(discover, bytes(DISCOVER)), (selecting, bytes(REQUEST))] {
        let mut padded = packet;
        padded.resize(328, 0);
        assert_eq!(request.emit_packet(), padded);
        assert_eq!(request.emit(), padded[28..]);
        let complete = UdpChecksum::Complete;
        assert_eq!(Request::parse_packet(&padded, complete), Ok(request.clone()));
        assert_eq!(Request::parse(&padded[28..], Ipv4Addr::BROADCAST), Ok(request));
    }
}

/// Given an offer, a grant and a refusal of dnsmasq, when read, then each says what the server was told
/// to say; when written, then they have the same bytes.
#[test]
fn replies_are_as_dnsmasq_sends_them() {
    let ack = Reply { kind: ReplyKind::Ack, ..offer() };
    for (reply, packet) in [(offer(), bytes(OFFER)), (ack, ack_packet())] {
        let read = Reply::parse_packet(&packet, UdpChecksum::NotReady);
        assert_eq!(read.as_ref(), Ok(&reply));
        assert_eq!(Reply::parse(&packet[28..], SERVER), read);
        assert_eq!(reply.emit(), packet[28..]);
        // All but the UDP checksum, which dnsmasq left to the network card.
        let number = u16::from_be_bytes([packet[4], packet[5]]);
        let source = SocketAddrV4::new(SERVER, SERVER_PORT);
        let destination = SocketAddrV4::new(ADDRESS, CLIENT_PORT);
        let datagram = Datagram { source, destination, payload: &packet[28..] };
        let written = datagram.emit(number);
        assert_eq!((&written[..26], &written[28..]), (&packet[..26], &packet[28..]));
        assert_eq!(Reply::parse_packet(&written, UdpChecksum::Complete), read);
    }
    let mut padded = bytes(NAK);
    padded.resize(300, 0);
    let nak = Reply {
        is_broadcast: true,
        server_id: Some(SERVER),
        message: Text::new(b"wrong address"),
        ..Reply::new(ReplyKind::Nak, SERVER, 0x5a00_0006, MAC)
    };
    assert_eq!(Reply::parse(&padded, SERVER), Ok(nak.clone()));
    assert_eq!(nak.emit(), padded);
}

/// Given a reply whose UDP checksum is unfinished, when it is said to be complete, then the reply is
/// refused; a checksum of zero is none, and fits.
#[test]
fn the_udp_checksum_counts_only_when_it_is_there() {
    let mut packet = bytes(OFFER);
    assert_eq!(Reply::parse_packet(&packet, UdpChecksum::Complete), Err(DecodeError::Checksum));
    packet[26..28].copy_from_slice(&[0, 0]);
    assert_eq!(Reply::parse_packet(&packet, UdpChecksum::Complete), Ok(offer()));
}

/// Given a payload whose checksum is zero, when written, then the packet says all ones, as RFC 768 wants
/// it, and is read again.
#[test]
fn a_checksum_of_zero_is_sent_as_ones() {
    let source = SocketAddrV4::new(ADDRESS, CLIENT_PORT);
    let destination = SocketAddrV4::new(SERVER, SERVER_PORT);
    let packet = |payload: &[u8]| Datagram { source, destination, payload }.emit(0);
    // What the sum of the others lacks, put into the payload, makes it zero.
    let others = packet(&[0, 0]);
    let zeroed = packet(&others[26..28]);
    assert_eq!(zeroed[26..28], [0xff, 0xff]);
    let read = Datagram::parse(&zeroed, SERVER_PORT, UdpChecksum::Complete).unwrap();
    assert_eq!((read.source, read.destination), (source, destination));
    assert_eq!(read.payload, &others[26..28]);
}
