//! What is let in and forwarded: several ports, sources and protocols in one entry, protocols
//! without ports, and what a DHCPv6 client needs.

use rail_lab::{ConfigText, Node, Plan, World, figures, isolated};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::net::{bind, recvfrom, sendto, socket_with};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

const ANY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const STRANGER: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 61);
const WAN1: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
const WAN2: Ipv4Addr = Ipv4Addr::new(100, 64, 2, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const PATIENCE: Duration = Duration::from_millis(300);

/// Protocols of the tests: GRE and one that nobody knows.
const GRE: u8 = 47;
const UNKNOWN: u8 = 99;

fn raw(node: &Node, protocol: u8) -> OwnedFd {
    let protocol = rustix::net::Protocol::from_raw(u32::from(protocol).try_into().unwrap());
    let open =
        || socket_with(AddressFamily::INET, SocketType::RAW, SocketFlags::CLOEXEC, Some(protocol));
    let socket = node.enter(open).unwrap();
    set_socket_timeout(&socket, Timeout::Recv, Some(PATIENCE)).unwrap();
    socket
}

/// Whether a packet of the protocol reaches `at` when it is sent to `to`.
fn arrives(protocol: u8, from: (&Node, Ipv4Addr), to: Ipv4Addr, at: &Node) -> bool {
    let (sender, receiver) = (raw(from.0, protocol), raw(at, protocol));
    bind(&sender, &SocketAddrV4::new(from.1, 0)).unwrap();
    // GRE of version 0: the kernel translates no version that it does not know.
    let text = format!("\0\0\0\0{protocol} to {to}");
    sendto(&sender, text.as_bytes(), SendFlags::empty(), &SocketAddrV4::new(to, 0)).unwrap();
    let mut buffer = [0; 128];
    while let Ok((_, length, _)) = recvfrom(&receiver, &mut buffer, RecvFlags::empty()) {
        if buffer[..length].ends_with(text.as_bytes()) {
            return true;
        }
    }
    false
}

/// The same of a datagram to a port, which arrives on the same port, or on `port`.
fn datagram(from: (&Node, Ipv4Addr), to: SocketAddrV4, at: &Node) -> bool {
    let bound = |node: &Node, address| node.enter(|| UdpSocket::bind(address)).unwrap();
    let receiver = bound(at, SocketAddrV4::new(ANY, to.port()));
    receiver.set_read_timeout(Some(PATIENCE)).unwrap();
    bound(from.0, SocketAddrV4::new(from.1, 0)).send_to(b"question", to).unwrap();
    receiver.recv(&mut [0; 64]).is_ok()
}

#[test]
fn several_ports_sources_and_protocols_are_let_in_and_no_others() {
    isolated(|| {
        // given one entry of `allow` for several ports and sources, and one for a protocol / when
        // the internet asks / then what they name is let in, in both families, and nothing else
        let rest = "[firewall]\nallow = [\"udp 500,4500-4501 from 192.0.2.60,2001:db8:2::/64\", \
                    \"gre from 192.0.2.60\", \"99\"]\n";
        let text = ConfigText { rest: rest.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let (outside, stranger) = ((&net.internet, OUTSIDE), (&net.internet, STRANGER));
        let udp = |from, port| datagram(from, SocketAddrV4::new(WAN2, port), &net.router);
        let raw = |from, protocol| arrives(protocol, from, WAN1, &net.router);
        let open = [
            udp(outside, 500),
            udp(outside, 4500),
            udp(outside, 4501),
            raw(outside, GRE),
            raw(outside, UNKNOWN),
            raw(stranger, UNKNOWN),
        ];
        let closed =
            [udp(outside, 501), udp(outside, 4502), udp(stranger, 500), raw(stranger, GRE)];
        net.add_ipv6().unwrap();
        let six = |port, patience| {
            let listener = net.router.enter(|| UdpSocket::bind(("::", port))).unwrap();
            listener.set_read_timeout(Some(patience)).unwrap();
            let asker = net.internet.enter(|| UdpSocket::bind("[2001:db8:2::1]:0")).unwrap();
            let to: SocketAddr =
                SocketAddrV6::new("2001:db8:f::2".parse().unwrap(), port, 0, 0).into();
            asker.send_to(b"question", to).unwrap();
            listener.recv(&mut [0; 64]).is_ok()
        };
        // The neighbours of a new address must be found first.
        let (open6, closed6) = (six(500, 10 * PATIENCE), six(501, PATIENCE));
        figures(&format!("open {open:?} and {open6}, closed {closed:?} and {closed6}"));
        assert_eq!((open, open6), ([true; 6], true));
        assert_eq!((closed, closed6), ([false; 4], false));
    });
}

#[test]
fn protocols_without_ports_and_lists_of_ports_are_forwarded() {
    isolated(|| {
        // given a forward of two ranges and one of two protocols without ports / when they are
        // asked for from outside and from inside / then they reach the host, and no other does
        let rest = "[[forward]]\nprotocol = \"udp\"\nport = [\"7000-7001\", 7005]\nto = \"192.168.1.10\"\n\
                    [[forward]]\nprotocol = [\"gre\", 99]\nto = \"192.168.1.10\"\n";
        let text = ConfigText { rest: rest.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let outside = (&net.internet, OUTSIDE);
        let udp = |port| datagram(outside, SocketAddrV4::new(WAN2, port), &net.client);
        let ports = [7000, 7001, 7005, 7002].map(udp);
        let protocols =
            [GRE, UNKNOWN, 98].map(|protocol| arrives(protocol, outside, WAN1, &net.client));
        let neighbour = (&net.client, Ipv4Addr::new(192, 168, 1, 11));
        let hairpin = arrives(UNKNOWN, neighbour, WAN1, &net.client);
        figures(&format!("ports {ports:?}, protocols {protocols:?}, from inside {hairpin}"));
        assert_eq!(ports, [true, true, true, false]);
        assert_eq!(protocols, [true, true, false]);
        assert!(hairpin, "a host inside does not reach {CLIENT} by the public address");
    });
}

#[test]
fn a_dhcpv6_client_on_an_uplink_is_answered() {
    isolated(|| {
        // given a DHCPv6 client on an uplink's interface / when it asks all servers, and one of
        // them answers from its link-local address / then the answer arrives, and a datagram to
        // that port from anywhere else does not
        let world = World::start(&Plan::new(1), &ConfigText::default()).unwrap();
        let net = &world.topology;
        net.add_ipv6().unwrap();
        let index = |node: &Node, name: &str| -> u32 {
            let text = node.run(&["ip", "-o", "link", "show", name]).unwrap();
            text.split(':').next().unwrap().parse().unwrap()
        };
        let (isp, all) = (&net.line(1).isp, "ff02::1:2".parse::<Ipv6Addr>().unwrap());
        let (here, there) = (index(&net.router, "wan1"), index(isp, "acc"));
        let server = isp.enter(|| UdpSocket::bind("[::]:547")).unwrap();
        server.join_multicast_v6(&all, there).unwrap();
        let client = net.router.enter(|| UdpSocket::bind("[::]:546")).unwrap();
        for socket in [&server, &client] {
            socket.set_read_timeout(Some(Duration::from_secs(2))).unwrap();
        }
        client.send_to(b"solicit", SocketAddrV6::new(all, 547, 0, here)).unwrap();
        let (_, from) = server.recv_from(&mut [0; 64]).unwrap();
        server.send_to(b"advertise", from).unwrap();
        let mut answer = [0; 64];
        let length = client.recv(&mut answer).unwrap_or(0);
        assert_eq!(&answer[..length], b"advertise");
        let far = net.internet.enter(|| UdpSocket::bind("[2001:db8:2::1]:547")).unwrap();
        far.send_to(b"advertise", "[2001:db8:f::2]:546").unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert!(client.recv(&mut answer).is_err(), "an answer from far away was let in");
    });
}
