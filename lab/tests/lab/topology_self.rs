//! The laboratory proves itself before it judges anything: on a plain router without a
//! daemon it must count shares, see each fault, see a wrong source, and leave nothing.

use crate::plain;

use rail_lab::flows::{Protocol, spread};
use rail_lab::topology::{servers, targets};
use rail_lab::{
    Connector, ConnectorPlan, Fault, Flows, Node, Plan, Servers, Topology, eventually, figures,
    isolated, timed,
};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

fn build(uplinks: usize, weights: &[u32]) -> (Topology, Servers) {
    let plan = Plan { addresses: true, ..Plan::new(uplinks) };
    let topology = Topology::build(&plan).unwrap();
    plain::set_up(&topology, weights).unwrap();
    let servers = Servers::start(&topology.internet, &servers()).unwrap();
    (topology, servers)
}

fn sources(topology: &Topology) -> Vec<Ipv4Addr> {
    topology.lines.iter().map(|line| line.address()).collect()
}

#[test]
fn connections_are_counted_by_the_source_that_the_server_saw() {
    isolated(|| {
        // given a router that shares 1:2:3 / when 600 connections are opened / then the
        // counts are those of its slots
        let (topology, _servers) = build(3, &[1, 2, 3]);
        let mut plan = ConnectorPlan::new(topology.clients(), &servers());
        plan.period = Duration::from_millis(2);
        plan.count = Some(600);
        let report = Connector::start(&topology.client, plan).finish().unwrap();
        let shares = report.by_source();
        let off = report.deviation(&sources(&topology), &[1, 2, 3]);
        figures(&format!("{shares:?}, {off:.2} points off, {} failed", report.failed()));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(off < 0.5, "{shares:?}");
        assert_eq!(topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_wrong_source_is_dropped_and_counted() {
    isolated(|| {
        // given a router / when it sends one provider a packet with the source of another /
        // then that provider's counter shows exactly this packet
        let (topology, _servers) = build(2, &[1, 1]);
        // Without translation, and with a route that ignores the source.
        topology.router.nft("delete table ip plain\n").unwrap();
        topology.excuse_sources();
        let routes = "route add 192.0.2.99 via 100.64.2.1\nrule add to 192.0.2.99 priority 9\n";
        topology.router.ip_batch(routes).unwrap();
        topology.router.enter(|| {
            let socket = UdpSocket::bind((topology.line(1).address(), 0)).unwrap();
            socket.send_to(b"wrong", "192.0.2.99:7001").unwrap();
        });
        eventually(Duration::from_secs(2), "one wrong source", || {
            match topology.line(2).wrong_sources().unwrap() {
                1 => Ok(()),
                other => Err(other),
            }
        });
        assert_eq!(topology.line(1).wrong_sources().unwrap(), 0);
    });
}

#[test]
fn each_fault_breaks_what_it_says_and_is_reversible() {
    isolated(|| {
        // given a router with two uplinks / when a fault is put on the first / then pings over
        // it fail, pings over the second do not, and all is well after the repair
        let (topology, _servers) = build(2, &[1, 1]);
        let [target, other, _] = targets();
        let faults = [
            Fault::Gateway,
            Fault::SecondHop,
            Fault::OneWayOut,
            Fault::OneWayBack,
            Fault::Mute,
            Fault::Carrier,
            Fault::Loss(100),
            Fault::Target(target),
        ];
        for fault in faults {
            let injected = topology.inject(1, fault).unwrap();
            assert!(!answers(&topology.router, "wan1", target), "{fault}: {target} answers");
            assert!(answers(&topology.router, "wan2", target), "{fault}: line 2 is hurt");
            let gateway = topology.line(1).gateway();
            let expected = !matches!(fault, Fault::Mute | Fault::Carrier);
            assert_eq!(answers(&topology.router, "wan1", gateway), expected, "{fault}: gateway");
            let others = matches!(fault, Fault::Target(_));
            assert_eq!(answers(&topology.router, "wan1", other), others, "{fault}: {other}");
            injected.repair().unwrap();
            eventually(Duration::from_secs(3), "the repaired line", || {
                if answers(&topology.router, "wan1", target) { Ok(()) } else { Err(fault) }
            });
        }
    });
}

#[test]
fn loss_and_latency_are_what_they_say() {
    timed(|| {
        // given a plain router / when 30 % are lost, then when 600 ms are added / then
        // flows show these figures
        let (topology, _servers) = build(1, &[1]);
        let flows = || spread(Protocol::Udp, 20, &topology.clients(), &servers());
        let lossy = topology.inject(1, Fault::Loss(30)).unwrap();
        let running = Flows::start(&topology.client, flows());
        std::thread::sleep(Duration::from_secs(1));
        let report = running.stop().unwrap();
        lossy.repair().unwrap();
        let loss = 100.0 * report.udp_lost() as f64 / report.udp_sent() as f64;
        assert!((25.0..35.0).contains(&loss), "{loss} % of {}", report.udp_sent());

        let slow = topology.inject(1, Fault::Latency(Duration::from_millis(600))).unwrap();
        let mut plan = ConnectorPlan::new(topology.clients(), &servers());
        plan.timeout = Duration::from_secs(3);
        plan.count = Some(20);
        let report = Connector::start(&topology.client, plan).finish().unwrap();
        slow.repair().unwrap();
        // A connection takes a round trip for the handshake; the server's line comes with
        // the acknowledgement's round: 600 ms out for SYN, 600 ms for the ACK.
        let times: Vec<Duration> =
            report.attempts.iter().filter_map(|a| a.outcome.as_ref().ok()).map(|o| o.1).collect();
        let least = times.iter().min().copied().unwrap_or_default();
        let most = times.iter().max().copied().unwrap_or_default();
        figures(&format!("{loss:.1} % loss, connected in {least:?} to {most:?}"));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(least >= Duration::from_millis(1200) && most < Duration::from_millis(1400));
    });
}

#[test]
fn outages_are_measured_to_the_connection() {
    timed(|| {
        // given connections each 10 ms over one uplink / when it is dead for a while / then the
        // last failure lies before the repair, the gap is the outage, and flows tell the same
        let (topology, _servers) = build(1, &[1]);
        let flows = spread(Protocol::Udp, 4, &topology.clients(), &servers());
        let flows = Flows::start(&topology.client, flows);
        let plan = ConnectorPlan::new(topology.clients(), &servers());
        let connector = Connector::start(&topology.client, plan);
        let until = |count: usize| {
            eventually(Duration::from_secs(10), "connections", || {
                let ended = connector.ended();
                if ended >= count { Ok(()) } else { Err(ended) }
            });
        };
        until(50);
        let injected = topology.inject(1, Fault::Gateway).unwrap();
        let since = injected.since;
        until(connector.ended() + 50);
        let repaired = injected.repair().unwrap();
        let after = Instant::now();
        until(connector.ended() + 100);
        let report = connector.stop().unwrap();
        let flows = flows.stop().unwrap();
        let outage = after - since;
        let last = report.last_failed_after(since);
        figures(&format!(
            "outage {outage:?}: last failed {last:?}, gap {:?}, {} failed of {}, UDP lost {}, gap {:?}",
            report.longest_gap(),
            report.failed(),
            report.attempts.len(),
            flows.udp_lost(),
            flows.flows[0].longest_gap(),
        ));
        let near = Duration::from_millis(60);
        assert!(last <= outage && last + near >= repaired - since);
        assert!(report.longest_gap() + near >= outage && report.longest_gap() <= outage + near);
        assert_eq!(report.failed_between(after, Instant::now()), 0);
        let expected = 4 * outage.as_millis() / 10;
        let lost = flows.udp_lost() as u128;
        assert!(lost.abs_diff(expected) <= 40, "{lost} of about {expected}");
        assert_eq!(flows.broken() + flows.mixed(), 0);
    });
}

#[test]
fn long_flows_stay_whole_on_a_quiet_network() {
    timed(|| {
        // given TCP and UDP flows / when nothing is broken / then nothing is lost
        let (topology, _servers) = build(3, &[3, 2, 1]);
        let mut plan = spread(Protocol::Tcp, 24, &topology.clients(), &servers());
        plan.extend(spread(Protocol::Udp, 12, &topology.clients(), &servers()));
        let flows = Flows::start(&topology.client, plan);
        std::thread::sleep(Duration::from_secs(2));
        let report = flows.stop().unwrap();
        let answered = report.flows.iter().filter(|f| f.source().is_some()).count();
        figures(&format!(
            "{} UDP lost of {}, TCP gap {:?}",
            report.udp_lost(),
            report.udp_sent(),
            report.tcp_gap()
        ));
        assert_eq!((answered, report.broken(), report.mixed(), report.udp_lost()), (36, 0, 0, 0));
        assert!(report.udp_sent() >= 12 * 190, "{}", report.udp_sent());
        assert!(report.tcp_gap() < Duration::from_millis(150), "{:?}", report.tcp_gap());
    });
}

#[test]
fn a_hundred_lines_can_be_drawn() {
    isolated(|| {
        // given a plan of 100 uplinks / when it is built / then the last one works
        let start = Instant::now();
        let plan = Plan { addresses: true, second_hop: false, ..Plan::new(100) };
        let topology = Topology::build(&plan).unwrap();
        plain::set_up(&topology, &[1; 100]).unwrap();
        assert!(answers(&topology.router, "wan100", targets()[0]));
        figures(&format!("built in {:?}", start.elapsed()));
    });
}

#[test]
fn ipv6_reaches_the_inside_of_an_open_router() {
    isolated(|| {
        // given a router without a filter / when the internet connects to the client by IPv6 /
        // then it gets through: a test that finds it closed has found a filter
        let (topology, _servers) = build(2, &[1, 1]);
        topology.add_ipv6().unwrap();
        let address = "[2001:db8:1::10]:80".parse().unwrap();
        let _server = Servers::tcp(&topology.client, address).unwrap();
        let result = topology
            .internet
            .enter(|| std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)));
        assert!(result.is_ok(), "{result:?}");
    });
}

#[test]
fn servers_name_the_source() {
    isolated(|| {
        let node = Node::new("alone").unwrap();
        let _servers = Servers::start(&node, &[Ipv4Addr::LOCALHOST]).unwrap();
        let address = SocketAddrV4::new(Ipv4Addr::LOCALHOST, rail_lab::traffic::TCP_PORT);
        let mut plan = ConnectorPlan::new(vec![Ipv4Addr::new(127, 0, 0, 9)], &[]);
        plan.servers = vec![address];
        plan.count = Some(3);
        let report = Connector::start(&node, plan).finish().unwrap();
        assert_eq!(report.by_source().get(&Ipv4Addr::new(127, 0, 0, 9)), Some(&3));
    });
}

/// One echo through an interface, answered within a second.
fn answers(node: &Node, interface: &str, target: Ipv4Addr) -> bool {
    node.sh(&format!("ping -n -q -c 1 -W 0.3 -I {interface} {target}")).is_ok()
}
