//! Lines that differ from the standard drawing.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Plan, Rail, Servers, Topology, World, eventually,
    figures, timed, topology,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

const SILENT_LIMIT: Duration = Duration::from_secs(1);
const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

/// Line 1 has a gateway that lies in no prefix, and an address without neighbours.
fn world_with_gateway_outside() -> World {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    topology
        .line(1)
        .isp
        .ip_batch(
            "addr del 100.64.1.1/24 dev acc\naddr add 172.31.1.1/32 dev acc\n\
             route add 100.64.1.2/32 dev acc src 172.31.1.1\n",
        )
        .unwrap();
    let text = topology.config(&ConfigText { rest: FORWARD.into(), ..ConfigText::default() });
    let usual = "address = \"100.64.1.2/24\"\ngateway = \"100.64.1.1\"\n";
    assert!(text.contains(usual), "{text}");
    let outside = "address = \"100.64.1.2/32\"\ngateway = \"172.31.1.1\"\ngateway_onlink = true\n";
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let rail = Rail::run(&topology.router, &text.replace(usual, outside)).unwrap();
    rail.wait_all_up(Duration::from_secs(10)).unwrap();
    World { rail, servers, topology }
}

#[test]
fn a_gateway_outside_the_prefix() {
    timed(|| {
        // given a /32 address with its gateway elsewhere, beside a usual line / when that line
        // dies silently and returns / then it shares, moves and answers as any other
        let world = world_with_gateway_outside();
        let _inside = Servers::tcp(&world.topology.client, "192.168.1.10:80".parse().unwrap());
        let off = shared(&world);
        let refused = from_outside(&world, 1, 200);
        onlink_is_repaired(&world);
        let connector = world.connector();
        world.wait_for(&connector, 40).unwrap();
        let injected = world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        world.wait_for(&connector, 120).unwrap();
        let (since, settled) = (injected.since, Instant::now());
        injected.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
        world.wait_for(&connector, 60).unwrap();
        let report = connector.stop().unwrap();
        let outage = report.last_failed_between(since, settled);
        let at_return = report.failed_between(settled, Instant::now());
        let after = shared(&world);
        figures(&format!(
            "off the weights {off:.2} points, after the return {after:.2}; silent death: last \
             failed connection after {outage:?}; {refused} of 200 forwarded failed"
        ));
        assert!(outage <= SILENT_LIMIT, "{outage:?}");
        assert_eq!((refused, at_return), (0, 0));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

fn shared(world: &World) -> f64 {
    let report = world.connect(400).unwrap();
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    let off = report.deviation(&world.sources(), &[1, 1]);
    assert!(off <= 3.0, "{:?}", report.by_source());
    off
}

/// Connections from the internet to the forwarded port of one line; failures.
fn from_outside(world: &World, line: usize, count: usize) -> usize {
    let plan = ConnectorPlan {
        sources: vec![Ipv4Addr::new(192, 0, 2, 60)],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), 8080)],
        period: Duration::from_millis(2),
        count: Some(count),
        ..world.plan()
    };
    Connector::start(&world.topology.internet, plan).finish().unwrap().failed()
}

/// Somebody makes the gateway a neighbour by a route and takes the flag away.
fn onlink_is_repaired(world: &World) {
    let router = &world.topology.router;
    let show = || router.sh("ip route show table 20001").unwrap();
    let wanted = show();
    assert!(wanted.contains("via 172.31.1.1 dev wan1 proto 82 src 100.64.1.2 onlink"), "{wanted}");
    router.sh("ip route add 172.31.1.1/32 dev wan1").unwrap();
    let plain = "default via 172.31.1.1 dev wan1 src 100.64.1.2 table 20001 proto 82";
    router.sh(&format!("ip route replace {plain}")).unwrap();
    eventually(Duration::from_secs(5), "the flag to return", || {
        let now = show();
        if now == wanted { Ok(()) } else { Err(now) }
    });
    router.sh("ip route del 172.31.1.1/32 dev wan1").unwrap();
}
