//! What options say: pieces, places, and values that are none.

use super::*;
use crate::DecodeError;
use alloc::string::{String, ToString};

/// Given options in the three places, and the pieces of one option in all of them, when read, then the
/// pieces are joined in the order options, `file`, `sname`.
#[test]
fn pieces_are_joined_in_the_order_of_the_places() {
    let options = "340103 350105 0f026578 0f01 61 ff";
    let (file, sname) = ("0f03 6d706c 1a0205d4 00 ff 0f017a", "0f02 652e 0f036e6574 030464400701");
    let reply = Reply::parse(&payload(sname, file, options), SERVER).unwrap();
    assert_eq!(reply.domain, Name::new("example.net"));
    assert_eq!((reply.mtu, &reply.routers[..]), (Some(1492), &[SERVER][..]));
    let only = |overload: &str| {
        let options = [overload, "350105 0f0161 ff"].concat();
        Reply::parse(&payload("0f0163", "0f0162", &options), SERVER).unwrap().domain
    };
    assert_eq!(only(""), Name::new("a"));
    assert_eq!(only("340101"), Name::new("ab"));
    assert_eq!(only("340102"), Name::new("ac"));
    assert_eq!(only("340103"), Name::new("abc"));
}

/// Given an overload option in `file`, then it opens no other place.
#[test]
fn only_the_first_place_opens_others() {
    let options = payload("0f0163", "340103 0f0162", "340101 350105 0f0161 ff");
    assert_eq!(Reply::parse(&options, SERVER).unwrap().domain, Name::new("ab"));
}

/// Given routes that take more than 255 bytes, when written and read, then they are the same, and a
/// number that is said twice counts once.
#[test]
fn long_options_are_cut_and_joined() {
    let routes: Vec<_> = (0..100)
        .map(|n| ClasslessRoute {
            destination: [10, n, 0, 0].into(),
            prefix_length: 16,
            gateway: SERVER,
        })
        .collect();
    let grant = Reply { routes: Some(routes), ..Reply::new(ReplyKind::Ack, SERVER, 1, MAC) };
    let payload = grant.emit();
    assert_eq!(payload[243..245], [code::CLASSLESS_ROUTES, 255]);
    assert_eq!(Reply::parse(&payload, SERVER), Ok(grant));
    let twice = ack("36046440070136046440070133040000003c33040000003c");
    assert_eq!((twice.server_id, twice.lease), (Some(SERVER), Some(LeaseTime::Seconds(60))));
    assert_eq!(twice.void, []);
}

/// Given masks, then only those without holes are a prefix; /31 and /32 are as good as others.
#[test]
fn masks_without_holes_are_prefixes() {
    let of = |mask: &str| {
        let reply = ack(&["0104", mask].concat());
        assert_eq!(reply.void.is_empty(), reply.prefix_length.is_some(), "{mask}");
        reply.prefix_length
    };
    assert_eq!(of("80000000"), Some(1));
    assert_eq!(of("fffffe00"), Some(23));
    assert_eq!(of("fffffffe"), Some(31));
    assert_eq!(of("ffffffff"), Some(32));
    for mask in ["00000000", "00ffffff", "ff00ff00", "fffffffd", "7fffffff"] {
        assert_eq!(of(mask), None, "{mask}");
    }
}

/// Given routes of each width, when read, then they have the destinations of RFC 3442; given one that is
/// too wide or cut, or none, then the whole option is void, and told as such.
#[test]
fn a_wrong_route_makes_the_option_void() {
    let of = |option: &str| ack(option).routes;
    let route = |destination: [u8; 4], prefix_length, gateway: [u8; 4]| ClasslessRoute {
        destination: destination.into(),
        prefix_length,
        gateway: gateway.into(),
    };
    let (far, near) = ([100, 64, 7, 1], [0, 0, 0, 0]);
    // The examples of the RFC, "Classless Route Option Format".
    let examples = [
        ("79050064400701", route([0, 0, 0, 0], 0, far)),
        ("7906080a64400701", route([10, 0, 0, 0], 8, far)),
        ("7908180a000064400701", route([10, 0, 0, 0], 24, far)),
        ("7907100a1164400701", route([10, 17, 0, 0], 16, far)),
        ("7908180a1b8164400701", route([10, 27, 129, 0], 24, far)),
        ("7909190a22008064400701", route([10, 34, 0, 128], 25, far)),
        ("7909200a22000100000000", route([10, 34, 0, 1], 32, near)),
        // Bits behind the prefix say nothing.
        ("79091981d2b18464400701", route([129, 210, 177, 128], 25, far)),
        ("7906018064400701", route([128, 0, 0, 0], 1, far)),
    ];
    for (option, route) in examples {
        assert_eq!(of(option), Some(vec![route]), "{option}");
    }
    let wrong = "7900 790100 790400644007 790a210a2200010164400701 7907180a0064400701";
    for option in wrong.split(' ') {
        let reply = ack(option);
        assert_eq!((reply.routes, &reply.void[..]), (None, &[121][..]), "{option}");
    }
    let good_then_cut = ack("790e006440070118c633646440070918");
    assert_eq!((good_then_cut.routes, &good_then_cut.void[..]), (None, &[121][..]));
}

/// Given routes under the number of Microsoft, then they count if there are none under the other one,
/// even if those are void.
#[test]
fn the_standard_number_comes_first() {
    let (standard, microsoft) = ("7906080a64400701", "f906080b64400701");
    let first = |option: &str| ack(option).routes.map(|routes| routes[0].destination.octets()[0]);
    assert_eq!(first(microsoft), Some(11));
    assert_eq!(first(&[microsoft, standard].concat()), Some(10));
    let reply = ack(&[microsoft, "790121"].concat());
    assert_eq!((reply.routes, &reply.void[..]), (None, &[121][..]));
    assert_eq!(ack("f90121").void, [249]);
}

/// Given options of the wrong length, then each is read as absent, and its code is told; a server that
/// calls itself 0.0.0.0 says nothing, but is not broken.
#[test]
fn broken_options_are_absent_and_told() {
    let bare = Reply::new(ReplyKind::Ack, SERVER, 0x5a00_0001, MAC);
    let broken = "3603640407 3800 38020000 3303000e10 3a00 3b0100 0103ffffff 1c00 0f00 0f0120 \
                  0f032e2e61 7900 1a0105 1a020043 0600 06056440073564 0303640407 2a00 7200 7700 \
                  770161";
    for option in broken.split_ascii_whitespace() {
        let code = bytes(option)[0];
        assert_eq!(ack(option), Reply { void: vec![code], ..bare.clone() }, "{option}");
    }
    assert_eq!(ack("360400000000"), bare);
    assert_eq!(ack("3d00").client_id, Some(vec![]));
    assert_eq!(ack("1a020044").mtu, Some(68));
}

/// Given times, then 0xffffffff is for ever, and zero is a number.
#[test]
fn times_may_last_for_ever() {
    let reply = ack("3304ffffffff 3a0400000000 3b04fffffffe");
    assert_eq!(reply.lease, Some(LeaseTime::Infinite));
    assert_eq!(reply.renewal, Some(LeaseTime::Seconds(0)));
    assert_eq!(reply.rebinding, Some(LeaseTime::Seconds(u32::MAX - 1)));
}

/// Given the options that we never read, when they are in a reply, then it says the same as without.
#[test]
fn what_is_never_read_changes_nothing() {
    let never = "2108 0a000000 64400701 2b0401020304 5000 6c0400000e10 740101";
    assert_eq!(ack(&[never, "1a0205d4"].concat()), ack("1a0205d4"));
}

/// Given text with control characters, escapes for terminals and other bytes, then the bytes stay, and
/// what is shown is printable ASCII.
#[test]
fn text_is_shown_without_control_characters() {
    let shown = |bytes: &[u8]| Text::new(bytes).map(|text| text.to_string());
    assert_eq!(shown(b"address in use\0\0"), Some("address in use".into()));
    assert_eq!(shown(b"\x1b]0;x\x07\r\n"), Some("\\x1b]0;x\\x07\\x0d\\x0a".into()));
    assert_eq!(shown(b"a\0b\\"), Some("a\\x00b\\\\".into()));
    // Right-to-left override, in UTF-8.
    assert_eq!(shown("\u{202e}".as_bytes()), Some("\\xe2\\x80\\xae".into()));
    assert_eq!(shown(b"\0\0"), None);
    assert_eq!(shown(b""), None);
    let every: Vec<u8> = (0..=255).collect();
    let text = Text::new(&every).unwrap();
    assert_eq!(text.as_bytes(), every);
    assert!(text.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
}

/// Given names, then those with the grammar of host names are taken, and no others.
#[test]
fn names_have_a_grammar() {
    let long = "a".repeat(63);
    let longest = [&long[..]; 4].join(".")[..253].to_string();
    for good in ["a", "example.net", "_x.b-c.9", &long, &longest] {
        assert_eq!(Name::new(good).as_ref().map(Name::as_str), Some(good));
    }
    assert_eq!(Name::new("example.net."), Name::new("example.net"));
    let (too_long, far_too_long) = ([&long, "a"].concat(), [&longest, ".a"].concat());
    for bad in
        ["", ".", "a..b", ".a", "-a", "a-", "a b", "a\n", "ü", "a;b", &too_long, &far_too_long]
    {
        assert_eq!(Name::new(bad), None, "{bad:?}");
    }
    assert_eq!(ack("0f04 61626300").domain, Name::new("abc"));
}

/// Given the compressed list of RFC 3397, then its names are expanded; given pointers that lead round or
/// nowhere, a list that would grow beyond its message, or a name that is none, then it is void.
#[test]
fn a_search_list_is_expanded_within_bounds() {
    let of = |option: &str| -> Result<Vec<String>, Vec<u8>> {
        let reply = ack(option);
        let names = reply.search.iter().map(ToString::to_string).collect();
        if reply.void.is_empty() { Ok(names) } else { Err(reply.void) }
    };
    // The example of RFC 3397 §2: three pieces, and a pointer from the last into the first.
    let example = "770903656e67056170706c 77096503636f6d00096d61 7709726b6574696e67c004";
    assert_eq!(of(example), Ok(vec!["eng.apple.com".into(), "marketing.apple.com".into()]));
    let chain = "770e 016300 0162c000 0161c003 016400";
    let names = ["c", "b.c", "a.b.c", "d"].map(String::from);
    assert_eq!(of(chain), Ok(names.to_vec()));
    let bad = "7702c000 77040161c000 7702c0ff 7701c0 770100 770401610000 77020261 7703012000";
    for bad in bad.split(' ') {
        assert_eq!(of(bad), Err(vec![119]), "{bad}");
    }
    // A name of 251 bytes, and 200 pointers to it: 50 kB in a message of 900 bytes.
    let label = ["3f", &"61".repeat(63)].concat();
    let name = [&label.repeat(3)[..], "3b", &"61".repeat(59), "00"].concat();
    let pieces = ["77fd", &name, "77c8", &"c000".repeat(100), "77c8", &"c000".repeat(100)];
    assert_eq!(of(&pieces.concat()), Err(vec![119]));
    let after = |label: &str| {
        let piece = [&pieces[..2].concat()[..], label].concat();
        of(&piece).map(|names| names.iter().map(String::len).collect::<Vec<_>>())
    };
    assert_eq!(after(""), Ok(vec![251]));
    assert_eq!(after("7704 0161c000 0000"), Ok(vec![251, 253]));
    assert_eq!(after("7705 026161c000 0000"), Err(vec![119]));
}

/// Given values of a request that take 255 bytes each, then the request is written and read whole; a
/// longer one cannot be made.
#[test]
fn a_request_has_room_for_all_its_values() {
    let longest = Some(option_value(&[7; 255]));
    let request = Request {
        client_id: option_value(&[7; 255]),
        parameters: longest.clone(),
        host_name: longest.clone(),
        vendor_class: longest.clone(),
        user_class: longest.clone(),
        authentication: longest,
        ..Request::new(RequestKind::InitReboot { requested: ADDRESS }, 1, MAC)
    };
    let packet = request.emit_packet();
    assert_eq!(Request::parse_packet(&packet, UdpChecksum::Complete), Ok(request));
    assert_eq!((OptionValue::new(&[]), OptionValue::new(&[7; 256])), (None, None));
    let mut split = payload("", "", "350101 3d80").to_vec();
    split[0] = 1;
    split.extend([[7; 128].as_slice(), &[61, 128], &[7; 128]].concat());
    assert_eq!(Request::parse(&split, Ipv4Addr::BROADCAST), Err(DecodeError::Malformed));
}

/// Given a reply with more than UDP can carry, when written, then what does not fit is left out.
#[test]
fn what_does_not_fit_is_left_out() {
    let long = Text::new(&vec![b'x'; 70_000]);
    let reply =
        Reply { message: long, mtu: Some(1492), ..Reply::new(ReplyKind::Nak, SERVER, 1, MAC) };
    let read = Reply::parse_packet(&reply.emit_packet(ADDRESS), UdpChecksum::Complete);
    assert_eq!(read, Ok(Reply { message: None, ..reply }));
}
