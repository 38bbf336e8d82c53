//! What holds for any bytes and any value.

use super::*;
use alloc::string::ToString;
use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::*;

fn address() -> impl Strategy<Value = Ipv4Addr> {
    (1..u32::MAX).prop_map(Ipv4Addr::from_bits)
}

fn time() -> impl Strategy<Value = LeaseTime> {
    prop_oneof![(0..u32::MAX).prop_map(LeaseTime::Seconds), Just(LeaseTime::Infinite)]
}

fn text() -> impl Strategy<Value = Text> {
    vec(any::<u8>(), 1..300).prop_filter_map("zeros", |bytes| Text::new(&bytes))
}

fn name() -> impl Strategy<Value = Name> {
    vec("[a-z0-9_]([A-Z0-9_-]{0,20}[a-z0-9_])?", 1..5)
        .prop_filter_map("too long", |labels| Name::new(&labels.join(".")))
}

fn route() -> impl Strategy<Value = ClasslessRoute> {
    (0..=32_u8, any::<u32>(), any::<u32>()).prop_map(|(prefix_length, destination, gateway)| {
        ClasslessRoute {
            destination: (destination & value::mask(prefix_length)).into(),
            prefix_length,
            gateway: gateway.into(),
        }
    })
}

fn lease() -> impl Strategy<Value = Reply> {
    let kind = prop_oneof![Just(ReplyKind::Offer), Just(ReplyKind::Ack), Just(ReplyKind::Nak)];
    let fixed = (kind, address(), any::<u32>(), any::<[u8; 6]>(), any::<bool>());
    let addresses = (any::<u32>(), any::<u32>(), any::<u32>());
    let times = (of(time()), of(time()), of(time()));
    let client_id = of(vec(any::<u8>(), 0..300));
    (fixed, addresses, of(address()), of(text()), times, client_id).prop_map(
        |((kind, source, xid, chaddr, is_broadcast), addresses, server_id, message, times, id)| {
            Reply {
                is_broadcast,
                yiaddr: addresses.0.into(),
                siaddr: addresses.1.into(),
                giaddr: addresses.2.into(),
                server_id,
                message,
                lease: times.0,
                renewal: times.1,
                rebinding: times.2,
                client_id: id,
                ..Reply::new(kind, source, xid, chaddr)
            }
        },
    )
}

fn reply() -> impl Strategy<Value = Reply> {
    let network = (of(1..=32_u8), of(address()), of(name()), of(vec(route(), 1..80)), of(68_u16..));
    let list = || vec(address(), 0..70);
    let names = vec(name(), 0..8).prop_map(|names| Names::new(&names));
    (lease(), network, list(), list(), list(), of(text()), names).prop_map(
        |(lease, network, resolvers, routers, ntp, captive_portal, search)| Reply {
            prefix_length: network.0,
            broadcast: network.1,
            domain: network.2,
            routes: network.3,
            mtu: network.4,
            resolvers,
            routers,
            ntp,
            captive_portal,
            search,
            ..lease
        },
    )
}

fn kind() -> impl Strategy<Value = RequestKind> {
    let server = || address().prop_filter("unicast", |server| !server.is_broadcast());
    prop_oneof![
        of(address()).prop_map(|requested| RequestKind::Discover { requested }),
        (address(), any::<u32>()).prop_map(|(requested, server)| {
            RequestKind::Selecting { requested, server: server.into() }
        }),
        address().prop_map(|requested| RequestKind::InitReboot { requested }),
        (address(), server())
            .prop_map(|(address, server)| RequestKind::Renewing { address, server }),
        address().prop_map(|address| RequestKind::Rebinding { address }),
        (address(), any::<u32>()).prop_map(|(address, server)| {
            RequestKind::Decline { address, server: server.into() }
        }),
        (address(), server())
            .prop_map(|(address, server)| RequestKind::Release { address, server }),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let value = || vec(any::<u8>(), 1..256).prop_map(|bytes| option_value(&bytes));
    let fixed = (any::<u32>(), any::<u16>(), any::<bool>(), any::<[u8; 6]>());
    let values = (of(value()), of(value()), of(value()), of(value()), of(value()));
    (kind(), fixed, value(), values).prop_map(
        |(kind, (xid, secs, is_broadcast, chaddr), client_id, values)| {
            let bare = Request { client_id, ..Request::new(kind, xid, chaddr) };
            if matches!(kind, RequestKind::Decline { .. } | RequestKind::Release { .. }) {
                return bare;
            }
            Request {
                secs,
                is_broadcast,
                parameters: values.0,
                host_name: values.1,
                vendor_class: values.2,
                user_class: values.3,
                authentication: values.4,
                ..bare
            }
        },
    )
}

/// Options that are whole, but may say anything.
fn options() -> impl Strategy<Value = Vec<u8>> {
    let known = (1..=10_usize).prop_map(|n| [1, 3, 6, 15, 26, 51, 54, 56, 119, 121][n - 1]);
    let code = prop_oneof![known, any::<u8>()];
    let option = (code, vec(any::<u8>(), 0..40)).prop_map(|(code, value)| {
        let length = u8::try_from(value.len()).unwrap();
        [&[code, length][..], &value].concat()
    });
    vec(option, 0..30).prop_map(|options| options.concat())
}

/// The bytes that a value keeps beside itself.
fn kept(reply: &Reply) -> usize {
    let texts = [&reply.message, &reply.captive_portal].into_iter().flatten();
    let texts: usize = texts.map(|text| text.as_bytes().len()).sum();
    let names: usize = reply.search.iter().map(|name| name.len() + 1).sum();
    let domain = reply.domain.as_ref().map_or(0, |name| name.as_str().len());
    let lists = reply.resolvers.len() + reply.routers.len() + reply.ntp.len();
    let routes = reply.routes.as_ref().map_or(0, Vec::len);
    let id = reply.client_id.as_ref().map_or(0, Vec::len);
    let routes = routes * size_of::<ClasslessRoute>();
    texts + names + domain + id + reply.void.len() + routes + lists * size_of::<Ipv4Addr>()
}

proptest! {
    /// Given any reply, when written and read, then it is the same.
    #[test]
    fn replies_round_trip(reply in reply(), destination in address()) {
        let packet = reply.emit_packet(destination);
        prop_assert!(packet.len() >= 328);
        let read = Reply::parse_packet(&packet, UdpChecksum::Complete);
        prop_assert_eq!(read.as_ref(), Ok(&reply));
        prop_assert_eq!(Reply::parse_packet(&packet, UdpChecksum::NotReady), read);
        prop_assert_eq!(Reply::parse(&reply.emit(), reply.source), Ok(reply));
    }

    /// Given any request, when written and read, then it is the same.
    #[test]
    fn requests_round_trip(request in request()) {
        let packet = request.emit_packet();
        prop_assert!(packet.len() >= 328);
        let read = Request::parse_packet(&packet, UdpChecksum::Complete);
        prop_assert_eq!(read.as_ref(), Ok(&request));
        prop_assert_eq!(Request::parse(&request.emit(), request.destination()), read);
    }

    /// Given any bytes, when read as anything, then there is a value or an error.
    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in vec(any::<u8>(), 0..600)) {
        for checksum in [UdpChecksum::Complete, UdpChecksum::NotReady] {
            let _ = Reply::parse_packet(&bytes, checksum);
            let _ = Request::parse_packet(&bytes, checksum);
        }
        let _ = Reply::parse(&bytes, SERVER);
        let _ = Request::parse(&bytes, SERVER);
    }

    /// Given any options in a good message, when read, then the value is bounded by the message, its text
    /// is printable, and it is the same when written and read again.
    #[test]
    fn any_options_are_a_bounded_value(options in options()) {
        let mut message = payload("", "", "350105");
        message.extend(&options);
        if let Ok(reply) = Reply::parse(&message, SERVER) {
            prop_assert!(kept(&reply) <= 3 * message.len());
            for text in [&reply.message, &reply.captive_portal].into_iter().flatten() {
                prop_assert!(text.to_string().bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            }
            prop_assert_eq!(Reply::parse(&reply.emit(), SERVER), Ok(reply));
        }
        message[0] = 1;
        let _ = Request::parse(&message, SERVER);
    }
}
