//! Ports on a real kernel, in a namespace of their own.

use super::*;
use crate::clock;
use crate::testing::{in_new_netns, ip};
use rail_core::Binding;
use rail_core::net::{Family, Mac, UplinkId};
use rail_wire::dhcp4::{CLIENT_PORT, Reply, ReplyKind};
use rail_wire::ip::arp::{self, Arp, ArpKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

const ID: PortId = PortId::Probe(UplinkId(3), Family::V4);
const TOKENS: Range<u64> = 100..102;
const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

struct Bench {
    poller: Poller,
    ports: Ports,
}

impl Bench {
    fn new(ports: Vec<Port>) -> Self {
        let mut bench = Self { poller: Poller::new().unwrap(), ports: Ports::new(TOKENS) };
        bench.set(ports);
        bench
    }

    fn set(&mut self, ports: Vec<Port>) {
        self.ports.set(&self.poller, ports);
    }

    fn send(&mut self, id: PortId, to: Peer, bytes: &[u8]) {
        self.ports.send(&self.poller, id, to, bytes);
    }

    /// What arrived on the first port. On `lo` an answer is there before the send returns.
    fn arrived(&mut self) -> Vec<(Peer, Vec<u8>)> {
        let mut inputs = Vec::new();
        assert!(!self.ports.drain(TOKENS.start, &mut inputs));
        inputs.into_iter().map(|input| packet(input).1).collect()
    }

    /// The same, once something is there.
    fn wait(&mut self) -> Vec<(Peer, Vec<u8>)> {
        self.poller.wait(true).unwrap();
        self.arrived()
    }
}

fn packet(input: Input) -> (Duration, (Peer, Vec<u8>)) {
    match input {
        Input::Packet { from, age, bytes, .. } => (age, (from, bytes)),
        other => panic!("{other:?}"),
    }
}

/// The index of a link in the namespace of this thread.
fn index(ifname: &str) -> u32 {
    let any = UdpSocket::bind((LOCAL, 0)).unwrap();
    rustix::net::netdevice::name_to_index(&any, ifname).unwrap()
}

fn binding(ifname: &str, source: IpAddr) -> Binding {
    let (ifindex, mark) = (index(ifname), 0x0300_0000);
    Binding { ifname: ifname.parse().unwrap(), ifindex, source: Some(source), mark }
}

fn echo(ident: u16) -> Port {
    Port { id: ID, kind: PortKind::IcmpEcho { ident }, binding: binding("lo", LOCAL) }
}

/// An echo request: type 8, code 0, checksum, identifier, sequence.
fn request(ident: u16) -> Vec<u8> {
    let mut bytes = vec![8, 0, 0, 0];
    bytes.extend(ident.to_be_bytes());
    bytes.extend([0, 1]);
    let sum = rail_wire::ip::icmp4::checksum(&bytes);
    bytes[2..4].copy_from_slice(&sum.to_be_bytes());
    bytes
}

/// Given an echo port, when several identifiers are asked with, then the replies to ours arrive, and
/// those to another uplink; a foreign identifier and our own request do not.
#[test]
fn only_our_replies_by_our_device_arrive() {
    in_new_netns(|| {
        let mut bench = Bench::new(vec![echo(0x1234)]);
        assert_eq!(bench.ports.counters(), PortCounters::default());
        for ident in [0x9999, 0x1134, 0x1234, 0x1203] {
            bench.send(ID, LOCAL.into(), &request(ident));
        }
        assert_eq!(bench.poller.wait(false).unwrap()[0].token, TOKENS.start);
        let got = bench.arrived();
        let idents: Vec<_> = got.iter().map(|(_, bytes)| (bytes[0], &bytes[4..6])).collect();
        assert_eq!(idents, [(0, &[0x12, 0x34][..]), (0, &[0x12, 0x03][..])]);
        assert!(got.iter().all(|(from, _)| *from == Peer::Host(LOCAL)));
        assert_eq!(bench.arrived(), []);
        assert_eq!(bench.ports.counters(), PortCounters::default());
    });
}

/// Given a loop that is busy with other things, then a reply is as old as it is.
#[test]
fn the_kernel_says_when_a_reply_came() {
    in_new_netns(|| {
        let mut bench = Bench::new(vec![echo(5)]);
        bench.send(ID, LOCAL.into(), &request(5));
        let (arrived, busy) = (clock::now(), Duration::from_millis(50));
        while clock::now().since(arrived) < busy {}
        let mut inputs = Vec::new();
        assert!(!bench.ports.drain(TOKENS.start, &mut inputs));
        assert!(packet(inputs.remove(0)).0 >= busy);
    });
}

/// Given a device that has another index than the port says, then the port is not opened.
#[test]
fn another_device_of_that_name_is_not_taken() {
    in_new_netns(|| {
        let mut port = echo(5);
        port.binding.ifindex = 77;
        let mut bench = Bench::new(vec![port]);
        bench.send(ID, LOCAL.into(), &request(5));
        assert_eq!(bench.arrived(), []);
        let counters = bench.ports.counters();
        assert_eq!((counters.open_errors, counters.send_errors), (2, 1));
    });
}

/// Given a packet that names another device than its port, then it is dropped and counted.
#[test]
fn a_packet_that_names_another_device_is_dropped() {
    in_new_netns(|| {
        let mut bench = Bench::new(vec![echo(5)]);
        bench.send(ID, LOCAL.into(), &request(5));
        // As if the device had been renamed while the port was opened.
        bench.ports.open.get_mut(&ID).unwrap().port.binding.ifindex = 77;
        assert_eq!(bench.arrived(), []);
        assert_eq!(bench.ports.counters().dropped, 1);
    });
}

/// Given a source address that is missing, then that is counted, and tried again at each send; a port
/// that is declared no more is closed.
#[test]
fn a_missing_address_is_counted_and_tried_again() {
    in_new_netns(|| {
        let source = "192.0.2.9".parse().unwrap();
        let mut bench = Bench::new(vec![Port { binding: binding("lo", source), ..echo(5) }]);
        bench.send(ID, source.into(), &request(5));
        let counters = bench.ports.counters();
        assert_eq!((counters.open_errors, counters.send_errors), (2, 1));
        ip("address add 192.0.2.9/32 dev lo");
        bench.send(ID, source.into(), &request(5));
        assert_eq!(bench.arrived().len(), 1);
        bench.set(vec![]);
        bench.send(ID, source.into(), &request(5));
        assert_eq!(bench.arrived(), []);
    });
}

/// Given a list that holds a port as it was, then what waits in it stays; one that changed is opened
/// anew, and one more than there are tokens is counted.
#[test]
fn the_list_is_compared_with_what_is_open() {
    in_new_netns(|| {
        let udp = |n| {
            let id = PortId::Probe(UplinkId(n), Family::V4);
            Port {
                id,
                kind: PortKind::Udp { local: 0, is_deaf: false },
                binding: binding("lo", LOCAL),
            }
        };
        let mut bench = Bench::new(vec![echo(5)]);
        bench.send(ID, LOCAL.into(), &request(5));
        bench.set(vec![udp(4), echo(5)]);
        assert_eq!(bench.arrived().len(), 1);
        bench.send(ID, LOCAL.into(), &request(5));
        bench.set(vec![udp(4), echo(6)]);
        assert_eq!(bench.arrived(), []);
        bench.set(vec![udp(4), echo(6), udp(5)]);
        assert_eq!(bench.ports.counters().open_errors, 1);
        bench.set(vec![udp(5)]);
        assert_eq!(bench.ports.counters().open_errors, 1);
    });
}

/// Given a peer of a form that the kind does not have, then nothing is sent.
#[test]
fn a_peer_of_the_wrong_form_is_refused() {
    in_new_netns(|| {
        let mut bench = Bench::new(vec![echo(5)]);
        bench.send(ID, Peer::Link(Mac([2; 6])), &request(5));
        assert_eq!(bench.ports.counters().send_errors, 1);
    });
}

/// Given UDP ports of both families, when a server answers, then its answer arrives with its address
/// and age.
#[test]
fn a_datagram_comes_back_with_its_sender() {
    in_new_netns(|| {
        for local in ["127.0.0.1", "::1"] {
            let local: IpAddr = local.parse().unwrap();
            let server = UdpSocket::bind((local, 0)).unwrap();
            let to = Peer::Socket(server.local_addr().unwrap());
            let kind = PortKind::Udp { local: 0, is_deaf: false };
            let mut bench = Bench::new(vec![Port { id: ID, kind, binding: binding("lo", local) }]);
            bench.send(ID, to, b"question");
            let mut buffer = [0; 32];
            let (length, from): (usize, SocketAddr) = server.recv_from(&mut buffer).unwrap();
            assert_eq!((&buffer[..length], from.ip()), (&b"question"[..], local));
            server.send_to(b"answer", from).unwrap();
            assert_eq!(bench.wait(), [(to, b"answer".to_vec())]);
            server.send_to(&[0; 4000], from).unwrap();
            assert_eq!(bench.wait(), []);
            assert_eq!(bench.ports.counters().dropped, 1);
        }
    });
}

/// Given a DHCP client of another interface that has the port of clients on every address, then a server can be
/// asked from that port nevertheless, and one that starts later gets it as well.
#[test]
fn the_port_of_clients_is_shared() {
    use rustix::net::{AddressFamily, SocketType, bind, socket, sockopt};
    in_new_netns(|| {
        let local = CLIENT_PORT;
        let client = || {
            let other = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
            sockopt::set_socket_reuseaddr(&other, true)?;
            bind(&other, &SocketAddr::from(([0, 0, 0, 0], local)))?;
            Ok::<_, rustix::io::Errno>(other)
        };
        let earlier = client();
        let kind = PortKind::Udp { local, is_deaf: true };
        let id = PortId::DhcpServer(UplinkId(3));
        let bench = Bench::new(vec![Port { id, kind, binding: binding("lo", LOCAL) }]);
        assert_eq!(bench.ports.counters(), PortCounters::default());
        drop(earlier);
        assert!(client().is_ok());
    });
}

/// Given a DHCP client, then a reply to it arrives; one to its neighbour and a datagram of anybody to the port of
/// clients do not wake it, and no port that asks a server hears anything.
#[test]
fn a_client_hears_what_is_for_it() {
    in_new_netns(|| {
        let (ours, theirs) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 1, 1]));
        ip(&format!("link add wan1 address {ours} type veth peer name far1"));
        ip("addr add 100.64.1.2/24 dev wan1");
        ip("link set wan1 up");
        ip("link set far1 up");
        let nobody = Ipv4Addr::UNSPECIFIED.into();
        let port = |id, ifname, kind, source| Port { id, kind, binding: binding(ifname, source) };
        let client = PortKind::DhcpReplies { client: ours };
        let own = Ipv4Addr::new(100, 64, 1, 2);
        let asks = PortKind::Udp { local: CLIENT_PORT, is_deaf: true };
        let wan = port(PortId::Dhcp(UplinkId(3)), "wan1", client, nobody);
        let server = port(PortId::DhcpServer(UplinkId(3)), "wan1", asks, own.into());
        let far = port(PortId::Dhcp(UplinkId(4)), "far1", client, nobody);
        let mut bench = Bench::new(vec![wan, server]);
        let mut other = Bench::new(vec![far]);
        let gateway = Ipv4Addr::new(100, 64, 1, 1);
        let reply = |to: Mac| Reply::new(ReplyKind::Ack, gateway, 7, to.0).emit_packet(own);
        let mut torn = reply(ours);
        torn.truncate(50);
        for bytes in [torn, reply(theirs)] {
            other.send(far.id, Peer::Link(ours), &bytes);
        }
        assert_eq!(bench.poller.wait(false).unwrap(), []);
        other.send(far.id, Peer::Link(ours), &reply(ours));
        let got = bench.wait();
        let [(_, bytes)] = &got[..] else { panic!("{got:?}") };
        assert_eq!(*bytes, reply(ours));
        assert_eq!(bench.poller.wait(false).unwrap(), []);
        assert_eq!(bench.ports.counters(), PortCounters::default());
    });
}

/// Given a device that is taken away and given back under its name and index before anybody looks, when
/// something is sent, then its answer is heard.
#[test]
fn a_device_that_comes_back_is_heard() {
    in_new_netns(|| {
        let (us, gateway) = (Ipv4Addr::new(100, 64, 1, 2), Ipv4Addr::new(100, 64, 1, 1));
        let theirs = "02:00:00:00:00:fe";
        let plug = || {
            ip(&format!("link add wan1 index 77 type veth peer name far1 address {theirs}"));
            ip("link set wan1 up");
            ip("link set far1 up");
            ip(&format!("addr add {gateway}/24 dev far1"));
        };
        plug();
        let kind = PortKind::Packet { ethertype: arp::ETHERTYPE };
        let id = PortId::Arp(UplinkId(3));
        let mut bench = Bench::new(vec![Port { id, kind, binding: binding("wan1", us.into()) }]);
        ip("link delete wan1");
        plug();
        // Its error is read.
        assert_eq!(bench.arrived(), []);
        let request = Arp::request([2, 0, 0, 0, 0, 1], us, gateway);
        let reply = request.reply([2, 0, 0, 0, 0, 0xfe]).emit();
        bench.send(id, Peer::Link(Mac([0xff; 6])), &request.emit());
        let far = PortId::Arp(UplinkId(4));
        let binding = binding("far1", gateway.into());
        let mut other = Bench::new(vec![Port { id: far, kind, binding }]);
        other.send(far, Peer::Link(Mac([0xff; 6])), &reply);
        let mut inputs = Vec::new();
        bench.ports.drain(TOKENS.start, &mut inputs);
        let heard = inputs.into_iter().map(|input| packet(input).1.1);
        assert!(heard.into_iter().any(|bytes| bytes == reply));
    });
}

/// Given a cable with a neighbour at its other end, when it is asked for its address by ARP, then its
/// reply arrives; a request of its own, and a reply to somebody else, do not.
#[test]
fn a_neighbour_answers_arp() {
    in_new_netns(|| {
        let (ours, theirs) = (Mac([2, 0, 0, 0, 0, 1]), Mac([2, 0, 0, 0, 0, 0xfe]));
        ip(&format!("link add wan1 address {ours} type veth peer name far1 address {theirs}"));
        ip("addr add 100.64.1.2/24 dev wan1");
        ip("link set wan1 up");
        ip("link set far1 up");
        let (us, gateway) = (Ipv4Addr::new(100, 64, 1, 2), Ipv4Addr::new(100, 64, 1, 1));
        let kind = PortKind::Packet { ethertype: arp::ETHERTYPE };
        let port = |ifname: &str, source: Ipv4Addr, id| {
            let id = PortId::Arp(UplinkId(id));
            Port { id, kind, binding: binding(ifname, source.into()) }
        };
        let (wan, far) = (port("wan1", us, 3), port("far1", gateway, 4));
        let mut bench = Bench::new(vec![wan, far]);
        assert_eq!(bench.ports.counters(), PortCounters::default());
        let request = Arp::request(ours.0, us, gateway);
        let broadcast = Peer::Link(Mac([0xff; 6]));
        // The other end is played by a port, too; its kernel would not answer its own address.
        bench.send(wan.id, broadcast, &request.emit());
        for reply in [
            Arp::request(theirs.0, gateway, us),
            Arp { target: Ipv4Addr::new(100, 64, 1, 3), ..request.reply(theirs.0) },
            request.reply(theirs.0),
        ] {
            bench.send(far.id, Peer::Link(ours), &reply.emit());
        }
        let got = bench.wait();
        let [(from, bytes)] = &got[..] else { panic!("{got:?}") };
        let reply = Arp::parse(bytes).unwrap();
        assert_eq!((*from, reply.kind), (Peer::Link(theirs), ArpKind::Reply));
        assert_eq!(reply, request.reply(theirs.0));
        // A link that is set down and up leaves the port as it was, but for the error that it reads.
        ip("link set far1 down");
        ip("link set far1 up");
        assert_eq!(bench.poller.wait(true).unwrap()[0].token, TOKENS.start + 1);
        assert!(!bench.ports.drain(TOKENS.start + 1, &mut Vec::new()));
        bench.send(far.id, Peer::Link(ours), &request.reply(theirs.0).emit());
        assert_eq!(bench.wait().len(), 1);
        let counters = bench.ports.counters();
        assert_eq!((counters.send_errors, counters.dropped), (0, 1));
    });
}
