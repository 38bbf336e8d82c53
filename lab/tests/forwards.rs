//! Port forwards answer by the uplink they came in on.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Plan, Servers, World, figures, isolated, timed,
};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

fn world(tiers: &[&'static str]) -> (World, Servers) {
    let text = ConfigText { tiers: tiers.to_vec(), rest: FORWARD.into(), ..ConfigText::default() };
    let world = World::start(&Plan::new(3), &text).unwrap();
    let address = "192.168.1.10:80".parse().unwrap();
    let inside = Servers::tcp(&world.topology.client, address).unwrap();
    (world, inside)
}

/// Connections from the internet to the forwarded port of one line; failures.
fn reach(world: &World, line: usize, count: usize) -> usize {
    let outside = Ipv4Addr::new(192, 0, 2, 60);
    let plan = ConnectorPlan {
        sources: vec![outside],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), 8080)],
        period: Duration::from_millis(2),
        count: Some(count),
        ..world.plan()
    };
    let report = Connector::start(&world.topology.internet, plan).finish().unwrap();
    let seen = report.by_source();
    // The inside server sees who really asks.
    assert!(seen.keys().all(|source| *source == outside), "{seen:?}");
    report.failed()
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
    // given one active, one standby, one inbound line / when each is asked / then each answers
    isolated(|| all_answer(&["1", "2", "\"none\""]));
}

#[test]
fn an_inbound_line_answers_while_another_is_dead() {
    timed(|| {
        // given an inbound line / when the active one dies and returns / then connections to
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
