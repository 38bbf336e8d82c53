//! Who reaches whom: everybody asks everybody, and what was answered is written as text.

use rail_lab::{Node, Servers, Topology, topology};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::Duration;

/// Closed ways are not answered at all, so that this is how long they take.
const LIMIT: Duration = Duration::from_millis(1500);

/// Something that is listened to.
struct Goal {
    name: &'static str,
    /// Every address that it can be asked by.
    at: Vec<SocketAddr>,
}

/// What everybody can be asked for.
pub(crate) struct Listeners {
    _servers: Vec<Servers>,
    router: Node,
}

impl Listeners {
    /// Port 80 of all hosts, and ports 22 and 53 of the router, in both families.
    pub(crate) fn start(net: &Topology) -> Self {
        let inside = net.networks.iter().map(|network| &network.node);
        let hosts: Vec<&Node> = inside.chain([&net.client, &net.internet]).collect();
        let on = |node: &Node, port: u16| {
            Servers::tcp(node, SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).unwrap()
        };
        let mut servers: Vec<Servers> = hosts.into_iter().map(|node| on(node, 80)).collect();
        servers.extend([on(&net.router, 22), on(&net.router, 53)]);
        Self { _servers: servers, router: net.router.clone() }
    }

    /// Whether a datagram to a port of the router's LAN address arrives, in both families.
    pub(crate) fn hears_udp(&self, from: &Node, port: u16) -> bool {
        let any = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
        let heard = self.router.enter(|| UdpSocket::bind(any)).unwrap();
        heard.set_read_timeout(Some(LIMIT)).unwrap();
        let [v4, v6]: [IpAddr; 2] = [LAN4.into(), LAN6.into()];
        let hears = [v4, v6].map(|to| {
            from.enter(|| {
                let socket = UdpSocket::bind(match to {
                    IpAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
                    IpAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
                });
                socket.unwrap().send_to(b"question", (to, port)).unwrap();
            });
            heard.recv_from(&mut [0; 16]).is_ok()
        });
        assert_eq!(hears[0], hears[1], "the families differ on UDP port {port}");
        hears[0]
    }
}

/// Whether a connection is answered.
pub(crate) fn opens(from: &Node, to: SocketAddr) -> bool {
    from.enter(|| TcpStream::connect_timeout(&to, LIMIT)).is_ok()
}

/// A line for each source with what it reaches; TCP, IPv4 or IPv6.
pub(crate) fn matrix(net: &Topology, v6: bool) -> String {
    let goals = goals(net, v6);
    let (dmz, guest) = (&net.network("dmz").node, &net.network("guest").node);
    // The provider knows the way to every inside network, and tries.
    let provider = &net.line(1).isp;
    for network in ["192.168.1.0/24", "10.8.0.0/16"] {
        provider.sh(&format!("ip route replace {network} via 100.64.1.2")).unwrap();
    }
    let sources = [
        ("lan", &net.client),
        ("dmz", dmz),
        ("guest", guest),
        ("router", &net.router),
        ("internet", provider),
    ];
    let mut text = String::new();
    std::thread::scope(|scope| {
        let ask = |(source, node)| {
            let others = goals.iter().filter(move |goal| !is_own(source, goal.name));
            let asked: Vec<_> =
                others.map(|goal| (goal, Asked::start(scope, node, goal))).collect();
            (source, node, asked)
        };
        let all: Vec<_> = sources.into_iter().map(ask).collect();
        for (source, node, asked) in all {
            let reached = asked.into_iter().filter_map(|(goal, asked)| asked.reaches(node, goal));
            let names: Vec<&str> = reached.collect();
            let line = format!("{source:8} reaches {}", names.join(" "));
            text += line.trim_end();
            text += "\n";
        }
    });
    text
}

/// A goal that is asked by all its addresses at once.
struct Asked<'scope>(Vec<ScopedJoinHandle<'scope, bool>>);

impl<'scope> Asked<'scope> {
    fn start<'env>(scope: &'scope Scope<'scope, 'env>, from: &'env Node, goal: &'env Goal) -> Self {
        Self(goal.at.iter().map(|at| scope.spawn(|| opens(from, *at))).collect())
    }

    /// The goal's name if it is reached. All addresses must agree: a way that only one of them
    /// opens is a hole.
    fn reaches(self, from: &Node, goal: &Goal) -> Option<&'static str> {
        let answers: Vec<bool> = self.0.into_iter().map(|thread| thread.join().unwrap()).collect();
        let (first, name) = (answers[0], from.name());
        let agree = answers.iter().all(|answer| *answer == first);
        assert!(agree, "{name} to {}: {answers:?} of {:?}", goal.name, goal.at);
        first.then_some(goal.name)
    }
}

/// Nobody asks himself; of the router that is all of it.
fn is_own(source: &str, goal: &str) -> bool {
    source == goal || (source == "router" && ["ssh", "dns"].contains(&goal))
}

fn goals(net: &Topology, v6: bool) -> Vec<Goal> {
    let (dmz, guest) = (net.network("dmz"), net.network("guest"));
    let pick = |v4: Ipv4Addr, other: Ipv6Addr| if v6 { IpAddr::from(other) } else { v4.into() };
    let lan_host = pick(net.clients()[0], Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 0x10));
    let server = pick(topology::servers()[0], Ipv6Addr::new(0x2001, 0xdb8, 2, 0, 0, 0, 0, 1));
    let line = pick(net.line(1).address(), Ipv6Addr::new(0x2001, 0xdb8, 0xf, 0, 0, 0, 0, 2));
    let router = [
        pick(LAN4, LAN6),
        pick(dmz.gateway(), dmz.ipv6()[0]),
        pick(guest.gateway(), guest.ipv6()[0]),
        line,
    ];
    let host = |name, address| Goal { name, at: vec![SocketAddr::new(address, 80)] };
    let service =
        |name, port| Goal { name, at: router.map(|address| SocketAddr::new(address, port)).into() };
    vec![
        host("lan", lan_host),
        host("dmz", pick(dmz.hosts()[0], dmz.ipv6()[1])),
        host("guest", pick(guest.hosts()[0], guest.ipv6()[1])),
        service("ssh", 22),
        service("dns", 53),
        host("internet", server),
    ]
}

const LAN4: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);
const LAN6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1);
