//! Port forwards answer by the uplink they came in on.

use rail_lab::network::{CONTAINER, container};
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Line, Node, Plan, Servers, World, figures,
    isolated, timed,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::Duration;

const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const SERVER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 11);
const ROUTER: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 1);

/// Connections per source.
type Seen = BTreeMap<Ipv4Addr, usize>;

fn world(tiers: &[&'static str]) -> (World, Servers) {
    let text = ConfigText { tiers: tiers.to_vec(), rest: FORWARD.into(), ..ConfigText::default() };
    let world = World::start(&Plan::new(3), &text).unwrap();
    let address = "192.168.1.10:80".parse().unwrap();
    let inside = Servers::tcp(&world.topology.client, address).unwrap();
    (world, inside)
}

/// A world whose client serves TCP 80, TCP 7000 and UDP 7001, with these forwards.
fn served(forwards: &str) -> (World, [Servers; 2]) {
    let text = ConfigText { rest: forwards.into(), ..ConfigText::default() };
    let world = World::start(&Plan::new(3), &text).unwrap();
    let web = Servers::tcp(&world.topology.client, SocketAddrV4::new(SERVER, 80).into()).unwrap();
    let others = Servers::start(&world.topology.client, &[SERVER]).unwrap();
    (world, [web, others])
}

/// Connections to a port of one uplink from one address; the sources that the server saw.
fn ask(from: &Node, source: Ipv4Addr, to: (&Line, u16), count: usize) -> Seen {
    let plan = ConnectorPlan {
        servers: vec![SocketAddrV4::new(to.0.address(), to.1)],
        period: Duration::from_millis(2),
        count: Some(count),
        ..ConnectorPlan::new(vec![source], &[])
    };
    Connector::start(from, plan).finish().unwrap().by_source()
}

/// Connections from the internet to the forwarded port of one uplink; failures.
fn reach(world: &World, line: usize, count: usize) -> usize {
    let seen = ask(&world.topology.internet, OUTSIDE, (world.topology.line(line), 8080), count);
    // The inside server sees who really asks.
    assert!(seen.keys().all(|source| *source == OUTSIDE), "{seen:?}");
    count - seen.values().sum::<usize>()
}

/// One datagram to a port of one uplink; the source that the server saw, if it answered from there.
fn ask_udp(from: &Node, source: Ipv4Addr, to: (&Line, u16)) -> Option<Ipv4Addr> {
    from.enter(|| {
        let socket = UdpSocket::bind(SocketAddrV4::new(source, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
        socket.connect(SocketAddrV4::new(to.0.address(), to.1)).unwrap();
        socket.send(b"question").unwrap();
        let mut reply = [0; 64];
        let length = socket.recv(&mut reply).ok()?;
        std::str::from_utf8(&reply[8..length]).unwrap().parse().ok()
    })
}

fn all_answer(tiers: &[&'static str]) {
    let (world, _inside) = world(tiers);
    let failed: Vec<usize> = (1..=3).map(|line| reach(&world, line, 200)).collect();
    let wrong = world.topology.wrong_sources().unwrap();
    figures(&format!("tiers {tiers:?}: failed of 200 per line {failed:?}, {wrong} wrong sources"));
    assert_eq!((failed, wrong), (vec![0, 0, 0], 0));
}

#[test]
fn all_in_one_tier() {
    isolated(|| all_answer(&["1", "1", "1"]));
}

#[test]
fn standby_and_inbound_lines_answer_too() {
    // given one active, one standby, one inbound uplink / when each is asked / then each answers
    isolated(|| all_answer(&["1", "2", "\"none\""]));
}

#[test]
fn an_inbound_line_answers_while_another_is_dead() {
    timed(|| {
        // given an inbound uplink / when the active one dies and returns / then connections to
        // the inbound one do not notice
        let (world, _inside) = world(&["1", "2", "\"none\""]);
        let injected = world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        let failed = reach(&world, 3, 200) + reach(&world, 2, 200);
        let outbound = world.connect(200).unwrap();
        let lines = outbound.by_source();
        injected.repair().unwrap();
        figures(&format!("{failed} of 400 failed; outbound by {lines:?}"));
        assert_eq!((failed, outbound.failed()), (0, 0));
        assert!(lines.keys().all(|source| *source == world.sources()[1]), "{lines:?}");
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn an_inside_source_from_outside_reaches_no_forward() {
    isolated(|| {
        // given a forward / when the provider sends to it from its own address, and from those of
        // hosts of the LAN / then the server hears the first alone
        let forward = "[[forward]]\nprotocol = \"udp\"\nport = 7001\nto = \"192.168.1.10\"\n";
        let text = ConfigText { rest: forward.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let server = net.client.enter(|| UdpSocket::bind(SocketAddrV4::new(SERVER, 7001)).unwrap());
        server.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
        for line in &net.lines {
            let forged = Ipv4Addr::new(192, 168, 1, 250);
            line.isp.sh(&format!("ip addr add {forged}/32 dev lo")).unwrap();
            for source in [forged, line.gateway()] {
                line.isp.enter(|| {
                    let socket = UdpSocket::bind(SocketAddrV4::new(source, 0)).unwrap();
                    socket.send_to(b"word", SocketAddrV4::new(line.address(), 7001)).unwrap();
                });
            }
            let (_, heard) = server.recv_from(&mut [0; 8]).unwrap();
            assert_eq!(heard.ip(), line.gateway(), "by {}", line.name());
        }
    });
}

#[test]
fn word_of_a_narrow_link_inside_leaves_by_the_line_of_its_connection() {
    isolated(|| {
        // given a server behind a narrow link, forwarded on an uplink that carries nothing new / when
        // it is sent more than fits / then the sender is told so by that uplink, and sends less
        let forward = "[[forward]]\nprotocol = \"udp\"\nport = 7001\nto = \"192.168.1.10\"\n";
        let tiers = vec!["1", "\"none\""];
        let text = ConfigText { tiers, rest: forward.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let _inside = Servers::start(&net.client, &[SERVER]).unwrap();
        net.router.sh("ip link set lan0 mtu 1300").unwrap();
        let answered = net.internet.enter(|| {
            let socket = UdpSocket::bind(SocketAddrV4::new(OUTSIDE, 0)).unwrap();
            socket.set_read_timeout(Some(Duration::from_millis(500))).unwrap();
            socket.connect(SocketAddrV4::new(net.line(2).address(), 7001)).unwrap();
            // Linux forbids fragments until it knows better.
            [8, 1400, 1400].map(|size| {
                socket.send(&vec![0; size]).unwrap();
                socket.recv(&mut [0; 64]).is_ok()
            })
        });
        let wrong = net.wrong_sources().unwrap();
        assert_eq!((answered, wrong), ([true, false, true], 0));
    });
}

#[test]
fn a_forward_is_reached_on_some_lines_only() {
    isolated(|| {
        // given a forward on isp2 alone / when all are asked / then only isp2 answers
        let rest = format!("{FORWARD}uplinks = [\"isp2\"]\n");
        let text = ConfigText { rest, ..ConfigText::default() };
        let world = World::start(&Plan::new(3), &text).unwrap();
        let address = "192.168.1.10:80".parse().unwrap();
        let _inside = Servers::tcp(&world.topology.client, address).unwrap();
        let failed: Vec<usize> = (1..=3).map(|line| reach(&world, line, 20)).collect();
        figures(&format!("failed of 20 per line {failed:?}"));
        assert_eq!(failed, [20, 0, 20]);
    });
}

#[test]
fn ranges_of_both_protocols_keep_or_move_their_ports() {
    isolated(|| {
        // given a range for TCP and UDP to the same ports, and one that is moved / when each
        // uplink is asked / then each port goes to its own, and those beside it nowhere
        let both = "[[forward]]\nprotocol = [\"tcp\", \"udp\"]\n";
        let (world, _inside) = served(&format!(
            "{both}port = \"6990-7010\"\nto = \"192.168.1.10\"\n\
             {both}port = \"9000-9010\"\nto = \"192.168.1.10:6995\"\n"
        ));
        let net = &world.topology;
        for line in &net.lines {
            for port in [7000, 9005] {
                let seen = ask(&net.internet, OUTSIDE, (line, port), 20);
                assert_eq!(seen, [(OUTSIDE, 20)].into(), "{port}");
            }
            for port in [9004, 9006, 9011, 6989] {
                assert_eq!(ask(&net.internet, OUTSIDE, (line, port), 3), Seen::new(), "{port}");
            }
            let udp = [7001, 9006, 9005].map(|p| ask_udp(&net.internet, OUTSIDE, (line, p)));
            assert_eq!(udp, [Some(OUTSIDE), Some(OUTSIDE), None]);
        }
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn sources_that_are_not_allowed_are_refused() {
    isolated(|| {
        // given a forward for one address and a network / when these and others ask / then
        // only these are answered, and the inside is, too
        let rest = format!("{FORWARD}from = [\"192.0.2.60\", \"192.0.2.32/28\"]\n");
        let (world, _inside) = served(&rest);
        let net = &world.topology;
        for (last, allowed) in [(60, true), (61, false), (33, true), (48, false)] {
            let source = Ipv4Addr::new(192, 0, 2, last);
            let seen = ask(&net.internet, source, (net.line(2), 8080), 5);
            assert_eq!(seen.contains_key(&source), allowed, "{source}: {seen:?}");
        }
        let seen = ask(&net.client, NEIGHBOUR, (net.line(2), 8080), 5);
        assert_eq!(seen, [(ROUTER, 5)].into());
    });
}

#[test]
fn the_inside_reaches_a_forward_by_every_public_address() {
    isolated(|| {
        // given a forward on every uplink, one uplink dead / when a neighbour of the server, and the
        // server itself, ask each public address / then they are answered, the source is the
        // router's, no packet leaves, and the internet is reached as ever
        let udp = "[[forward]]\nprotocol = \"udp\"\nport = 7001\nto = \"192.168.1.10\"\n";
        let (world, _inside) = served(&format!("{FORWARD}{udp}"));
        let net = &world.topology;
        let injected = net.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        for line in &net.lines {
            for source in [NEIGHBOUR, SERVER] {
                let seen = ask(&net.client, source, (line, 8080), 50);
                assert_eq!(seen, [(ROUTER, 50)].into(), "{source} by {}", line.name());
                assert_eq!(ask_udp(&net.client, source, (line, 7001)), Some(ROUTER));
            }
        }
        assert_eq!(world.connect(100).unwrap().failed(), 0);
        injected.repair().unwrap();
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn without_hairpin_the_inside_is_refused() {
    isolated(|| {
        // given a forward without hairpin on all uplinks, and one with it on isp2 / when the
        // inside asks / then only the second answers, there alone; the outside reaches both; and
        // when a reload takes the hairpin away, its chain goes with it
        let other = FORWARD.replace("8080", "8081");
        let (world, _inside) =
            served(&format!("{FORWARD}hairpin = false\n{other}uplinks = [\"isp2\"]\n"));
        let net = &world.topology;
        for line in &net.lines {
            assert_eq!(ask(&net.client, NEIGHBOUR, (line, 8080), 5), Seen::new());
            let answered = ask(&net.client, NEIGHBOUR, (line, 8081), 5).contains_key(&ROUTER);
            assert_eq!(answered, line.number == 2, "{}", line.name());
        }
        assert_eq!((reach(&world, 1, 20), reach(&world, 2, 20)), (0, 0));
        let rest = format!("{FORWARD}hairpin = false\n");
        world.rail.reload(&net.config(&ConfigText { rest, ..ConfigText::default() })).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let table = net.router.sh("nft list table inet rail").unwrap();
        assert!(!table.contains("hairpin") && table.contains("dport 8080"), "{table}");
    });
}

#[test]
fn containers_and_the_router_itself_reach_a_forward() {
    isolated(|| {
        // given an interface that the configuration does not name, a forward for everybody and one
        // with `from` / when a container and the router ask the public addresses / then the first
        // answers each of them, the second none, and connections of containers are shared as ever
        let named = FORWARD.replace("8080", "8081") + "from = [\"192.0.2.60\"]\n";
        let (world, _inside) = served(&format!("{FORWARD}{named}"));
        let net = &world.topology;
        let container = container(&net.router).unwrap();
        for line in &net.lines {
            let own = line.address();
            assert_eq!(ask(&container, CONTAINER, (line, 8080), 5), [(CONTAINER, 5)].into());
            assert_eq!(ask(&net.router, own, (line, 8080), 5), [(own, 5)].into());
            assert_eq!(ask(&container, CONTAINER, (line, 8081), 3), Seen::new());
            assert_eq!(ask(&net.router, own, (line, 8081), 3), Seen::new());
        }
        let plan = ConnectorPlan { count: Some(30), sources: vec![CONTAINER], ..world.plan() };
        let shared = Connector::start(&container, plan).finish().unwrap();
        assert_eq!((shared.failed(), shared.by_source().len()), (0, 3));
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}
