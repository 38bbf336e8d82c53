//! New connections by weight, one source per connection, and clients that stay.

use rail_lab::traffic::deviation;
use rail_lab::{ConfigText, Fault, Plan, World, figures, isolated};
use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

const CONNECTIONS: usize = 3000;
/// Percentage points.
const LIMIT: f64 = 3.0;

fn shares(weights: &[u32]) {
    // given weights / when 3,000 connections are opened from many clients, then from one
    // client to one server / then no share is more than 3 points off and no source is wrong
    let world = World::start(&Plan::new(weights.len()), &ConfigText::weights(weights)).unwrap();
    let sources = world.sources();
    let many = world.connect(CONNECTIONS).unwrap();
    let one = world.connect_one_pair(CONNECTIONS).unwrap();
    let wrong = world.topology.wrong_sources().unwrap();
    let off = [&many, &one].map(|report| report.deviation(&sources, weights));
    figures(&format!(
        "{weights:?}: {:.2} points off for many pairs, {:.2} for one pair; {} + {} failed; \
         {wrong} wrong sources",
        off[0],
        off[1],
        many.failed(),
        one.failed()
    ));
    assert_eq!(many.failed() + one.failed(), 0, "{:?} {:?}", many.reasons(), one.reasons());
    assert!(off.iter().all(|off| *off <= LIMIT), "{:?} {:?}", many.by_source(), one.by_source());
    assert_eq!(wrong, 0);
}

#[test]
fn weights_1_1() {
    isolated(|| shares(&[1, 1]));
}

#[test]
fn weights_1_2() {
    isolated(|| shares(&[1, 2]));
}

#[test]
fn weights_1_2_3() {
    isolated(|| shares(&[1, 2, 3]));
}

#[test]
fn new_weights_after_a_reload() {
    isolated(|| {
        // given 1:2:3 with long flows / when 3:1:1 is reloaded / then new connections follow,
        // and every flow keeps its source and loses nothing
        let text = ConfigText::weights(&[1, 2, 3]);
        let world = World::start(&Plan::new(3), &text).unwrap();
        let flows = world.flows(20, 20);
        world.connect(300).unwrap();
        let weights = [3, 1, 1];
        let new = ConfigText { weights: weights.to_vec(), ..text };
        world.rail.reload(&world.topology.config(&new)).unwrap();
        world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
        let report = world.connect(CONNECTIONS).unwrap();
        let flows = flows.stop().unwrap();
        let off = report.deviation(&world.sources(), &weights);
        figures(&format!(
            "{off:.2} points off, {} failed, flows: {} mixed, {} broken, {} lost of {}",
            report.failed(),
            flows.mixed(),
            flows.broken(),
            flows.udp_lost(),
            flows.udp_sent()
        ));
        assert!(off <= LIMIT, "{:?}", report.by_source());
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!((flows.mixed(), flows.broken(), flows.udp_lost()), (0, 0, 0));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_death_moves_no_client_of_another_line() {
    isolated(|| {
        // given by = "client" and 1,000 clients / when an uplink dies / then clients of the other
        // uplinks stay where they were, and all are back where they were after its return. Reported: new
        // connections of clients that stay with an uplink are stuck (OPNsense 5094)
        let plan = Plan { clients: 1000, ..Plan::new(3) };
        let rest = "[balance]\nby = \"client\"\n".into();
        let text = ConfigText { rest, ..ConfigText::weights(&[1, 2, 3]) };
        let world = World::start(&plan, &text).unwrap();
        let before = lines_of_clients(&world);
        let dead = world.sources()[1];
        let injected = world.topology.inject(2, Fault::Gateway).unwrap();
        world.rail.wait_health("isp2", "down", Duration::from_secs(5)).unwrap();
        let during = lines_of_clients(&world);
        injected.repair().unwrap();
        world.rail.wait_all_up(Duration::from_secs(15)).unwrap();
        let after = lines_of_clients(&world);
        let moved = moved(&before, &during, |line| *line != dead);
        let left = moved_all(&before, &after);
        let counts = before.values().fold(BTreeMap::new(), |mut counts, line| {
            *counts.entry(*line).or_insert(0usize) += 1;
            counts
        });
        let off = deviation(&counts, &world.sources(), &[1, 2, 3]);
        figures(&format!(
            "{moved} of {} clients of other lines moved, {left} of {} elsewhere after the return; \
             {counts:?}, {off:.1} points off",
            before.values().filter(|line| **line != dead).count(),
            before.len()
        ));
        assert_eq!(before.len(), 1000);
        assert_eq!((moved, left), (0, 0));
        assert!(during.values().all(|line| *line != dead));
        // A hash of few clients spreads by chance: three standard deviations of 1,000.
        assert!(off < 6.0, "{counts:?}");
    });
}

/// The source that servers saw for each client; a client seen twice is the same twice.
fn lines_of_clients(world: &World) -> BTreeMap<Ipv4Addr, Ipv4Addr> {
    let report = world.connect(2000).unwrap();
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    let mut lines = BTreeMap::new();
    for attempt in &report.attempts {
        if let Ok((source, _)) = attempt.outcome {
            let first = *lines.entry(attempt.client).or_insert(source);
            assert_eq!(first, source, "{} has two lines", attempt.client);
        }
    }
    lines
}

fn moved_all(a: &BTreeMap<Ipv4Addr, Ipv4Addr>, b: &BTreeMap<Ipv4Addr, Ipv4Addr>) -> usize {
    moved(a, b, |_| true)
}

fn moved(
    a: &BTreeMap<Ipv4Addr, Ipv4Addr>,
    b: &BTreeMap<Ipv4Addr, Ipv4Addr>,
    which: impl Fn(&Ipv4Addr) -> bool,
) -> usize {
    a.iter().filter(|(client, line)| which(line) && b.get(client) != Some(line)).count()
}
