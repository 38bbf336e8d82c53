//! Which message has which field: RFC 2131 table 5, and its rows in §4.3.6.

use super::*;
use crate::DecodeError;
use crate::dhcp4::options::Options;
use core::net::SocketAddrV4;

const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const ALL: Ipv4Addr = Ipv4Addr::BROADCAST;
/// What only a message that wants an answer may have: table 5 forbids it in the others.
const ASKING: [u8; 6] = [
    code::PARAMETERS,
    code::LONGEST_MESSAGE,
    code::HOST_NAME,
    code::VENDOR_CLASS,
    code::USER_CLASS,
    code::AUTHENTICATION,
];

/// A column: the message; its kind on the wire, source, destination, ciaddr, options 50 and 54; and
/// whether it wants an answer.
type Column = (RequestKind, u8, [Ipv4Addr; 3], [Option<Ipv4Addr>; 2], bool);

fn columns() -> [Column; 8] {
    let (requested, server, address) = (ADDRESS, SERVER, ADDRESS);
    let (ours, theirs) = (Some(ADDRESS), Some(SERVER));
    use RequestKind::*;
    [
        (Discover { requested: None }, 1, [NONE, ALL, NONE], [None, None], true),
        (Discover { requested: ours }, 1, [NONE, ALL, NONE], [ours, None], true),
        (Selecting { requested, server }, 3, [NONE, ALL, NONE], [ours, theirs], true),
        (InitReboot { requested }, 3, [NONE, ALL, NONE], [ours, None], true),
        (Renewing { address, server }, 3, [ADDRESS, SERVER, ADDRESS], [None, None], true),
        (Rebinding { address }, 3, [ADDRESS, ALL, ADDRESS], [None, None], true),
        (Decline { address, server }, 4, [NONE, ALL, NONE], [ours, theirs], false),
        (Release { address, server }, 7, [ADDRESS, SERVER, ADDRESS], [None, theirs], false),
    ]
}

/// A message with all that one can have.
fn full(kind: RequestKind) -> Request {
    Request {
        secs: 7,
        is_broadcast: true,
        host_name: Some(option_value(b"router")),
        vendor_class: Some(option_value(b"sagem")),
        user_class: Some(option_value(b"\x04FSVD")),
        authentication: Some(option_value(&[0; 11])),
        ..Request::new(kind, 0x5a00_0001, MAC)
    }
}

/// The options of a payload that we wrote.
fn options_of(payload: &[u8]) -> Options<'_> {
    Options::new(&payload[240..], &[], &[]).unwrap()
}

fn address_of(options: &Options<'_>, code: u8) -> Option<Ipv4Addr> {
    options.get(code).map(|bytes| <[u8; 4]>::try_from(&bytes[..]).unwrap().into())
}

/// Given each message with all that one can have, when written, then it has the fields and options of
/// its column, and no others.
#[test]
fn each_message_has_the_fields_of_its_column() {
    for (kind, message, [source, destination, ciaddr], [requested, server], asks) in columns() {
        let request = full(kind);
        let packet = request.emit_packet();
        let payload = &packet[28..];
        assert_eq!(payload, request.emit(), "{kind:?}");
        assert_eq!((request.source(), request.destination()), (source, destination), "{kind:?}");
        assert_eq!(packet[12..16], source.octets(), "{kind:?}");
        assert_eq!(packet[16..20], destination.octets(), "{kind:?}");
        assert_eq!(packet[20..24], [0, 68, 0, 67], "{kind:?}");
        assert_eq!(payload[..8], [1, 1, 6, 0, 0x5a, 0, 0, 1], "{kind:?}");
        let times = if asks { [0, 7, 0x80, 0] } else { [0; 4] };
        assert_eq!(payload[8..12], times, "{kind:?}");
        assert_eq!(payload[12..16], ciaddr.octets(), "{kind:?}");
        assert_eq!(payload[16..28], [0; 12], "yiaddr, siaddr, giaddr of {kind:?}");
        assert_eq!(payload[28..34], MAC, "{kind:?}");
        assert!(payload[34..236].iter().all(|byte| *byte == 0), "{kind:?}");
        let options = options_of(payload);
        assert_eq!(*options.get(code::MESSAGE_TYPE).unwrap(), [message], "{kind:?}");
        assert_eq!(address_of(&options, code::REQUESTED_ADDRESS), requested, "{kind:?}");
        assert_eq!(address_of(&options, code::SERVER_ID), server, "{kind:?}");
        let id = [&[1][..], &MAC].concat();
        assert_eq!(options.get(code::CLIENT_ID).unwrap(), id, "{kind:?}");
        for code in ASKING {
            assert_eq!(options.has(code), asks, "option {code} of {kind:?}");
        }
        let known = [code::MESSAGE_TYPE, code::REQUESTED_ADDRESS, code::SERVER_ID, code::CLIENT_ID];
        let is_known = |code: &u8| known.contains(code) || ASKING.contains(code);
        assert!((1..255).filter(|code| options.has(*code)).all(|code| is_known(&code)), "{kind:?}");
    }
}

/// Given each message, when written with nothing but its fields, then it has 300 bytes, the parameters
/// that were asked for, classless routes before the routers, and none that would harm us.
#[test]
fn what_is_asked_for_is_what_can_be_used() {
    for (kind, .., asks) in columns() {
        let payload = Request::new(kind, 1, MAC).emit();
        assert_eq!(payload.len(), 300, "{kind:?}");
        let options = options_of(&payload);
        let longest = options.get(code::LONGEST_MESSAGE);
        assert_eq!(longest.as_deref(), asks.then_some(&[0x05, 0xc0][..]), "{kind:?}");
        let asked = options.get(code::PARAMETERS);
        assert_eq!(asked.as_deref(), asks.then_some(PARAMETERS), "{kind:?}");
    }
    let place = |code| PARAMETERS.iter().position(|asked| *asked == code).unwrap();
    assert!(place(code::CLASSLESS_ROUTES) < place(code::ROUTER));
    assert!(place(code::CLASSLESS_ROUTES_MICROSOFT) < place(code::ROUTER));
    for harmful in [26, 33, 43, 80, 108, 116] {
        assert!(!PARAMETERS.contains(&harmful), "{harmful}");
    }
}

/// Given a message that table 5 forbids, or one that lacks what the table demands, when read, then it is
/// malformed.
#[test]
fn what_the_table_forbids_is_malformed() {
    let message = |ciaddr: &str, options: &str| {
        let fixed = ["010106005a000001 0*4 ", ciaddr, " 0*12 02005e005301 0*202 63825363 "];
        bytes(&[&fixed.concat(), options, " 3d0701 02005e005301 ff"].concat())
    };
    let (requested, server) = ("32046440079a", "360464400701");
    let held = "6440079a";
    let both = [requested, server].concat();
    let forbidden = [
        ("0*4", "350101", server),
        (held, "350101", ""),
        ("0*4", "350103", ""),
        ("0*4", "350103", server),
        (held, "350103", server),
        (held, "350103", requested),
        (held, "350103", &both),
        ("0*4", "350104", requested),
        ("0*4", "350104", server),
        (held, "350104", &both),
        ("0*4", "350107", server),
        (held, "350107", requested),
        (held, "350107", &both),
        (held, "350107", "360464400701 390205c0"),
        (held, "350107", "360464400701 370103"),
        (held, "350107", "360464400701 3c0178"),
        ("0*4", "350101", "3200"),
        ("0*4", "350101", "3c00"),
    ];
    for (ciaddr, kind, options) in forbidden {
        let payload = message(ciaddr, &[kind, options].concat());
        let read = Request::parse(&payload, Ipv4Addr::BROADCAST);
        assert_eq!(read, Err(DecodeError::Malformed), "{ciaddr} {kind} {options}");
    }
    let anonymous = message("0*4", "350101 ff");
    let read = Request::parse(&anonymous, Ipv4Addr::BROADCAST);
    assert_eq!(read, Err(DecodeError::Unsupported), "no client identifier");
    for kind in ["350102", "350105", "350106", "350108", "3500", ""] {
        let read = Request::parse(&message("0*4", kind), Ipv4Addr::BROADCAST);
        assert_eq!(read, Err(DecodeError::Unsupported), "{kind}");
    }
}

/// Given each message, when its packet comes from or goes to another address than the message wants,
/// then it is malformed.
#[test]
fn the_addresses_of_a_packet_belong_to_its_message() {
    for (kind, ..) in columns() {
        let request = Request::new(kind, 1, MAC);
        let payload = request.emit();
        let packet = |source, destination| {
            let source = SocketAddrV4::new(source, CLIENT_PORT);
            let destination = SocketAddrV4::new(destination, SERVER_PORT);
            let packet = frame::Datagram { source, destination, payload: &payload }.emit(0);
            Request::parse_packet(&packet, UdpChecksum::Complete)
        };
        let (source, destination) = (request.source(), request.destination());
        assert_eq!(packet(source, destination), Ok(request), "{kind:?}");
        let stranger = Ipv4Addr::new(192, 0, 2, 1);
        assert_eq!(packet(stranger, destination), Err(DecodeError::Malformed), "{kind:?}");
        // A renewal is one to whomever it goes.
        if !matches!(kind, RequestKind::Renewing { .. } | RequestKind::Rebinding { .. }) {
            assert_eq!(packet(source, stranger), Err(DecodeError::Malformed), "{kind:?}");
        }
    }
}

/// Given a release that says since when the client tries and how it hears, when read, then that is passed
/// over; given other bits beside the broadcast flag, they are passed over, too.
#[test]
fn what_says_nothing_is_passed_over() {
    let release = Request::new(RequestKind::Release { address: ADDRESS, server: SERVER }, 1, MAC);
    let mut payload = release.emit();
    payload[8..12].fill(0xff);
    assert_eq!(Request::parse(&payload, SERVER), Ok(release));
    let discover = Request::new(RequestKind::Discover { requested: None }, 1, MAC);
    let mut payload = discover.emit();
    payload[10..12].copy_from_slice(&[0x7f, 0xff]);
    assert_eq!(Request::parse(&payload, Ipv4Addr::BROADCAST), Ok(discover));
}
