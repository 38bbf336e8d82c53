//! Packets and messages that are none, each refused for its reason.

use super::*;
use crate::DecodeError;
use crate::ip::icmp4::checksum;

fn packet() -> Vec<u8> {
    let reply = Reply { yiaddr: ADDRESS, ..Reply::new(ReplyKind::Ack, SERVER, 1, MAC) };
    reply.emit_packet(ADDRESS)
}

fn parse(packet: &[u8]) -> Result<Reply, DecodeError> {
    Reply::parse_packet(packet, UdpChecksum::Complete)
}

/// Corrects the sum of the header, as long as it says it is.
fn sum(packet: &mut [u8]) {
    packet[10..12].fill(0);
    let length = usize::from(packet[0] & 15) * 4;
    let sum = checksum(&packet[..length.min(packet.len())]);
    packet[10..12].copy_from_slice(&sum.to_be_bytes());
}

/// The packet with these bytes instead, its header sum right and no UDP checksum.
fn with(at: usize, new: &[u8]) -> Result<Reply, DecodeError> {
    let mut packet = packet();
    packet[26..28].fill(0);
    packet[at..at + new.len()].copy_from_slice(new);
    sum(&mut packet);
    parse(&packet)
}

/// Given a packet cut anywhere, then it is truncated; given padding behind it, then it is as good as
/// without.
#[test]
fn its_own_length_is_the_length_of_a_packet() {
    let whole = packet();
    let read = parse(&whole);
    assert!(read.is_ok());
    for cut in 0..whole.len() {
        assert_eq!(parse(&whole[..cut]), Err(DecodeError::Truncated), "cut {cut}");
    }
    for padding in [1, 18, 1000] {
        let mut padded = whole.clone();
        padded.resize(whole.len() + padding, 0xaa);
        assert_eq!(parse(&padded), read, "padding {padding}");
    }
}

/// Given another version, length of the header, fragment, protocol or port, then each is refused for its
/// reason; what may be otherwise is accepted.
#[test]
fn what_is_no_datagram_for_a_client_is_refused() {
    let (unsupported, malformed) = (Err(DecodeError::Unsupported), Err(DecodeError::Malformed));
    let truncated = Err(DecodeError::Truncated);
    assert_eq!(with(0, &[0x65]), unsupported, "IPv6");
    assert_eq!(with(0, &[0x44]), malformed, "a header of 16 bytes");
    assert_eq!(with(2, &[0, 19]), malformed, "shorter than its header");
    assert_eq!(with(2, &[0, 20]), truncated, "no UDP header");
    assert_eq!(with(2, &[0xff, 0xff]), truncated, "longer than what came");
    assert_eq!(with(6, &[0x20, 0]), unsupported, "a first fragment");
    assert_eq!(with(6, &[0, 1]), unsupported, "a later fragment");
    assert_eq!(with(9, &[6]), unsupported, "TCP");
    assert_eq!(with(22, &[0, 67]), unsupported, "to the servers");
    assert_eq!(with(24, &[0, 7]), malformed, "shorter than a UDP header");
    assert_eq!(with(24, &[0, 8]), truncated, "no payload");
    assert_eq!(with(24, &[0xff, 0xff]), truncated, "longer than its packet");
    let good = parse(&packet());
    assert_eq!(with(6, &[0x40, 0]), good, "may not be fragmented");
    assert_eq!(with(1, &[0]), good, "another DSCP");
    assert_eq!(with(8, &[1]), good, "the last hop");
    assert_eq!(with(20, &[0x12, 0x34]), good, "from another port");
    assert_eq!(with(16, &[255; 4]), good, "to all");
}

/// Given options in the IP header, when read, then they are passed over; given a header that is longer
/// than its packet, then it is malformed.
#[test]
fn options_of_ip_are_passed_over() {
    let good = parse(&packet());
    let mut packet = packet();
    packet.splice(20..20, [1; 8]);
    packet[0] = 0x47;
    let total = u16::try_from(packet.len()).unwrap();
    packet[2..4].copy_from_slice(&total.to_be_bytes());
    sum(&mut packet);
    assert_eq!(parse(&packet), good);
    packet[2..4].copy_from_slice(&[0, 24]);
    sum(&mut packet);
    assert_eq!(parse(&packet), Err(DecodeError::Malformed));
}

/// Given any flipped bit of a packet, then a sum finds it.
#[test]
fn each_flipped_bit_is_found() {
    let whole = packet();
    for bit in 0..whole.len() * 8 {
        let mut bad = whole.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        assert!(parse(&bad).is_err(), "bit {bit}");
    }
}

/// Given another direction, hardware, cookie or kind, then each is refused for its reason.
#[test]
fn what_is_no_reply_to_a_client_is_refused() {
    let good = payload("", "", "350105ff");
    let with = |at: usize, byte: u8| {
        let mut payload = good.clone();
        payload[at] = byte;
        Reply::parse(&payload, SERVER)
    };
    assert!(Reply::parse(&good, SERVER).is_ok());
    assert_eq!(with(0, 1), Err(DecodeError::Unsupported), "a request");
    assert_eq!(with(1, 6), Err(DecodeError::Unsupported), "other hardware");
    assert_eq!(with(2, 16), Err(DecodeError::Unsupported), "longer addresses");
    for at in 236..240 {
        assert_eq!(with(at, 0), Err(DecodeError::Malformed), "no cookie");
    }
    for kind in [0, 1, 3, 4, 7, 8, 9, 255] {
        assert_eq!(with(242, kind), Err(DecodeError::Unsupported), "kind {kind}");
    }
    for options in ["", "ff", "3500ff", "0104ffffff00ff", "ff350105"] {
        let read = Reply::parse(&payload("", "", options), SERVER);
        assert_eq!(read, Err(DecodeError::Unsupported), "{options}");
    }
}

/// Given an option that is longer than its place, then the message is truncated, wherever the place is;
/// what follows the end is no option, and neither is a place that is not in use.
#[test]
fn an_option_ends_within_its_place() {
    let parse = |sname: &str, file: &str, options: &str| {
        Reply::parse(&payload(sname, file, options), SERVER).map(|reply| reply.mtu)
    };
    for torn in ["36", "3604", "3604640407", "0f05ff"] {
        let options = ["350105", torn].concat();
        assert_eq!(parse("", "", &options), Err(DecodeError::Truncated), "{torn}");
        let ended = ["350105ff", torn].concat();
        assert_eq!(parse("", "", &ended), Ok(None), "{torn} behind the end");
    }
    let (sname, file) = ("1aff", "1aff");
    assert_eq!(parse(sname, file, "350105ff"), Ok(None));
    for overload in ["340101", "340102", "340103"] {
        let options = ["350105", overload, "ff"].concat();
        assert_eq!(parse(sname, file, &options), Err(DecodeError::Truncated), "{overload}");
    }
    assert_eq!(parse("", file, "350105340102ff"), Ok(None));
    assert_eq!(parse(sname, "", "350105340101ff"), Ok(None));
    for nonsense in ["3400", "340100", "340104", "3401ff"] {
        let options = ["350105", nonsense, "ff"].concat();
        assert_eq!(parse(sname, file, &options), Ok(None), "{nonsense}");
    }
}
