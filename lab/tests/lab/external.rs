//! Mode `external`: rules that the real tools have loaded do what our own table does.

use crate::ways::{FAR, beside_a_vpn, client, far};
use rail_lab::flows::{Protocol, spread};
use rail_lab::traffic::UDP_PORT;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, ConnectorReport, Fault, Flows, Plan, Servers, World,
    eventually, figures, isolated, long, timed, topology,
};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::process::Command;
use std::time::Duration;

const REST: &str = "[firewall]\nmode = \"external\"\nallow = [\"tcp 22 from 192.0.2.50/32\"]\n\
                    [[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n\
                    [[forward]]\nprotocol = [\"tcp\", \"udp\"]\nport = \"9000-9010\"\n\
                    to = \"192.168.1.10:75\"\nfrom = [\"192.0.2.60\", \"192.0.2.32/28\"]\n\
                    [[forward]]\nprotocol = \"tcp\"\nport = \"80-90\"\nto = \"192.168.1.10\"\n\
                    hairpin = false\n";
const WEIGHTS: [u32; 3] = [1, 2, 3];
const OTHER_WEIGHTS: [u32; 3] = [3, 1, 1];
/// Percentage points.
const LIMIT: f64 = 3.0;
/// Twice as many as where slots share: the kernel's hash throws dice, and spreads by a point.
const CONNECTIONS: usize = 6000;
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const ADMINISTRATOR: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 50);

/// Failures of some connections from one address of the internet.
fn reach(world: &World, from: Ipv4Addr, line: usize, port: u16, count: usize) -> usize {
    let plan = ConnectorPlan {
        sources: vec![from],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), port)],
        count: Some(count),
        timeout: Duration::from_millis(600),
        ..world.plan()
    };
    Connector::start(&world.topology.internet, plan).finish().unwrap().failed()
}

/// The source that the server saw of a connection from its neighbour to an uplink's address.
fn hairpin(world: &World, line: usize, port: u16) -> Option<Ipv4Addr> {
    let plan = ConnectorPlan {
        sources: vec![Ipv4Addr::new(192, 168, 1, 11)],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), port)],
        count: Some(1),
        ..world.plan()
    };
    let report = Connector::start(&world.topology.client, plan).finish().unwrap();
    report.by_source().into_keys().next()
}

/// Given the rules loaded by `load`, then connections are shared and pinned, forwards answer by
/// the uplink they came in by, what is closed is closed, a death moves new connections, and nobody
/// notices other weights, a crash and a restart.
fn serves(load: impl FnOnce(&World)) {
    let check = if long() { "" } else { "recover_after = 3\n" }.into();
    let text = ConfigText { rest: REST.into(), check, ..ConfigText::weights(&WEIGHTS) };
    let mut world = World::start(&Plan::new(WEIGHTS.len()), &text).unwrap();
    let net = &world.topology;
    net.add_ipv6().unwrap();
    load(&world);
    assert!(net.router.sh("nft list table inet rail").is_err(), "the daemon wrote a table");

    let many = off(&world, &world.connect(CONNECTIONS).unwrap(), WEIGHTS);
    opens_what_it_should(&world);
    let failed = follows_a_death(&world);
    let text = ConfigText { weights: OTHER_WEIGHTS.to_vec(), ..text };
    world.rail.reload(&world.topology.config(&text)).unwrap();
    world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
    let one = off(&world, &world.connect_one_pair(CONNECTIONS).unwrap(), OTHER_WEIGHTS);
    let (killed, changed) = world.kill_and_restart().unwrap();
    let wrong = world.topology.wrong_sources().unwrap();
    figures(&format!(
        "{many:.2} points off for many pairs, {one:.2} for one after a reload; {failed} of 200 \
         failed after a death, {killed} around a kill; {wrong} wrong sources"
    ));
    assert_eq!((failed, killed, changed.as_str(), wrong), (0, 0, "", 0));
}

/// How far connections are off the weights; none may fail.
fn off(world: &World, report: &ConnectorReport, weights: [u32; 3]) -> f64 {
    let off = report.deviation(&world.sources(), &weights);
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    assert!(off <= LIMIT, "{weights:?}: {:?}", report.by_source());
    off
}

fn opens_what_it_should(world: &World) {
    let net = &world.topology;
    let listen = |node, at: &str| Servers::tcp(node, at.parse().unwrap()).unwrap();
    let _inside = listen(&net.client, "[::]:80");
    let _ssh = listen(&net.router, "[::]:22");
    let forwarded: Vec<usize> = (1..=3).map(|n| reach(world, OUTSIDE, n, 8080, 50)).collect();
    assert_eq!(forwarded, [0, 0, 0]);
    let ranges = [(OUTSIDE, 9005), (OUTSIDE, 9004), (ADMINISTRATOR, 9005), (ADMINISTRATOR, 80)];
    let failed = ranges.map(|(from, port)| reach(world, from, 2, port, 1));
    assert_eq!(failed, [0, 1, 1, 0], "of a moved range, and of one for everybody");
    for (port, expected) in [(8080, Some("192.168.1.1")), (9005, Some("192.168.1.1")), (80, None)] {
        let seen = hairpin(world, 3, port);
        assert_eq!(seen, expected.map(|source| source.parse().unwrap()), "{port}");
    }
    assert_eq!(reach(world, ADMINISTRATOR, 1, 22, 1), 0, "SSH from the allowed address");
    assert_eq!(reach(world, OUTSIDE, 1, 22, 1), 1, "SSH is open to everybody");
    assert!(net.client.opens("192.168.1.1:22"), "SSH from the LAN");
    let open = net.line(1).isp.open_of(&["[2001:db8:f::2]:22", "[2001:db8:1::10]:80"]);
    assert!(open.is_empty(), "{open:?}");
}

/// Failed connections after the death of an uplink. The router's own flows from its inside address,
/// too, stay with their uplink at its return.
fn follows_a_death(world: &World) -> usize {
    let net = &world.topology;
    let own = vec![Ipv4Addr::new(192, 168, 1, 1)];
    let own = Flows::start(&net.router, spread(Protocol::Udp, 12, &own, &topology::servers()));
    let injected = net.inject(3, Fault::Gateway).unwrap();
    world.rail.wait_health("isp3", "down", Duration::from_secs(5)).unwrap();
    let moved = world.connect(200).unwrap();
    injected.repair().unwrap();
    world.rail.wait_health("isp3", "up", Duration::from_secs(15)).unwrap();
    own.stop().unwrap();
    moved.failed()
}

#[test]
fn nft_rules_serve() {
    // Alone: what a machine that is too busy drops would look like our failure.
    timed(|| {
        serves(|world| {
            let text = world.rail.generate_firewall("nft").unwrap();
            let router = &world.topology.router;
            router.nft(&text).unwrap();
            // Loaded again it replaces itself.
            let before = router.sh("nft list ruleset").unwrap();
            router.nft(&text).unwrap();
            assert_eq!(before, router.sh("nft list ruleset").unwrap());
        });
    });
}

#[test]
fn iptables_rules_serve() {
    // Alone: what a machine that is too busy drops would look like our failure.
    timed(|| {
        serves(|world| {
            let router = &world.topology.router;
            for (format, program) in
                [("iptables", "iptables-restore"), ("ip6tables", "ip6tables-restore")]
            {
                let text = world.rail.generate_firewall(format).unwrap();
                // starts: iptables-restore, ip6tables-restore
                router.feed(Command::new(program).arg("--noflush"), &text).unwrap();
                // Loaded again as the page says, they are the same, each once.
                let rules = || {
                    let save = program.replace("restore", "save");
                    let text = router.sh(&save).unwrap();
                    let rules = text.lines().filter(|line| line.starts_with('-'));
                    rules.map(String::from).collect::<Vec<_>>()
                };
                let before = rules();
                let again = format!("sed '/^-A [A-Z]/d' | {program} --noflush");
                let page = include_str!("../../../docs/firewall.md");
                assert!(page.contains(&format!("--format {format}")) && page.contains(&again));
                router.feed(Command::new("sh").args(["-c", &again]), &text).unwrap();
                assert_eq!(rules(), before);
            }
        });
    });
}

/// Conversations of a host inside with one behind a VPN, and the other way round.
fn outlive_their_vpn(format: &str) {
    let world = beside_a_vpn("[firewall]\nmode = \"external\"\n");
    let net = &world.topology;
    let text = world.rail.generate_firewall(format).unwrap();
    if format == "nft" {
        net.router.nft(&text).unwrap();
    } else {
        let mut program = Command::new("iptables-restore");
        net.router.feed(program.arg("--noflush"), &text).unwrap();
    }
    let vpn = &net.network("vpn").node;
    let _far = far(vpn);
    net.router.sh(&format!("ip route add {FAR} via 10.8.1.10 dev vpn0")).unwrap();
    let host = |port| {
        let socket = net.client.enter(|| UdpSocket::bind((client(), port))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        socket
    };
    let (asks, answers) = (host(5060), host(5070));
    let peer = vpn.enter(|| UdpSocket::bind((FAR, 6666))).unwrap();
    peer.send_to(b"?", (client(), 5070)).unwrap();
    answers.recv(&mut [0; 8]).unwrap();
    let seen = || {
        answers.send_to(b"!", (FAR, 6666)).unwrap();
        asks.send_to(b"register", (FAR, UDP_PORT)).unwrap();
        let mut reply = [0; 64];
        let length = asks.recv(&mut reply).unwrap_or(8).max(8);
        String::from_utf8_lossy(&reply[8..length]).into_owned()
    };
    eventually(Duration::from_secs(5), "an answer through the VPN", || {
        let seen = seen();
        if seen == client().to_string() { Ok(()) } else { Err(seen) }
    });
    net.router.sh(&format!("ip route del {FAR}")).unwrap();
    eventually(Duration::from_secs(15), "an answer by an uplink", || {
        let seen = seen();
        if seen.starts_with("100.64.") { Ok(()) } else { Err(seen) }
    });
    assert_eq!(net.wrong_sources().unwrap(), 0, "{format}: {}", net.strange_packets());
}

#[test]
fn conversations_go_on_by_an_uplink_when_their_vpn_goes() {
    isolated(|| {
        // given conversations through a VPN that never pause, begun inside and beyond it / when the VPN
        // goes / then they go on by an uplink, and nothing leaves by it untranslated, whoever's the rules are
        for format in ["nft", "iptables"] {
            outlive_their_vpn(format);
        }
    });
}
