//! Uplinks of unequal speed are filled, saturation is no failure, and a narrow uplink whose
//! provider drops ICMP carries large transfers.
//!
//! An uplink's rate is what tbf lets through: frames of 1514 bytes with 1448 bytes of payload
//! (TCP with timestamps). Rates are of payload, measured over the time in which an uplink carries
//! a number of seconds' worth.

use crate::plain;

use rail_lab::bulk::{BulkServer, ENDLESS, Transfer};
use rail_lab::topology::servers;
use rail_lab::{
    ConfigText, Fault, Node, Plan, Topology, World, eventually, figures, isolated, long, timed,
};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Of the uplinks, number 1 first; the weights go with them.
const MBIT: [u32; 3] = [20, 10, 5];
const WEIGHTS: [u32; 3] = [4, 2, 1];
/// Of what the shaped uplink can give.
const LEAST: f64 = 0.9;
const DOWNLOADS: usize = 12;
const PATIENCE: Duration = Duration::from_secs(20);
/// What makes a good uplink: a queue as long as a packet of the slowest needs to get through.
const SHORT: Duration = Duration::from_millis(60);
/// What makes a bad one: much more than a round trip.
const BLOATED: Duration = Duration::from_millis(400);

fn world(queue: Duration) -> (World, BulkServer) {
    let world = World::start(&Plan::new(3), &ConfigText::weights(&WEIGHTS)).unwrap();
    for (line, mbit) in world.topology.lines.iter().zip(MBIT) {
        line.shape(mbit, queue).unwrap();
    }
    let server = BulkServer::start(&world.topology.internet).unwrap();
    (world, server)
}

/// A transfer without end, and the number of the uplink that carries it.
fn transfer(world: &World, pair: usize, bytes: (u64, u64)) -> (usize, Transfer) {
    let transfer = begin(world, pair, bytes);
    (world.topology.line_of(begun(&transfer)).unwrap(), transfer)
}

fn begin(world: &World, pair: usize, (down, up): (u64, u64)) -> Transfer {
    let (net, servers) = (&world.topology, servers());
    let ends = (net.clients()[pair % net.clients().len()], servers[pair * 7 % servers.len()]);
    Transfer::start(&net.client, ends, (down, up))
}

/// Waits until servers have seen it; the source that they saw.
fn begun(transfer: &Transfer) -> Ipv4Addr {
    eventually(PATIENCE, "a transfer to begin", || transfer.source().ok_or("nothing"))
}

/// As many downloads at the same time, such that each uplink has one at the least.
fn downloads(world: &World) -> Vec<(usize, Transfer)> {
    let mut all: Vec<(usize, Transfer)> = Vec::new();
    // The buckets of the slowest uplink come up every seventh time on average.
    for pair in 0..100 {
        all.push(transfer(world, pair, (ENDLESS, 0)));
        if all.len() > DOWNLOADS {
            // The oldest of an uplink that has others.
            let spare = all.iter().position(|(line, _)| of_line(&all, *line).count() > 1);
            all.remove(spare.expect("more downloads than lines"));
        }
        if all.len() == DOWNLOADS && (1..=3).all(|line| of_line(&all, line).count() > 0) {
            return all;
        }
    }
    panic!("a line of weight 1 in 7 was never chosen");
}

fn of_line(all: &[(usize, Transfer)], line: usize) -> impl Iterator<Item = &Transfer> {
    all.iter().filter(move |(of, _)| *of == line).map(|(_, transfer)| transfer)
}

fn received(all: &[(usize, Transfer)], line: usize) -> u64 {
    of_line(all, line).map(Transfer::received).sum()
}

/// Payload bytes that an uplink can carry in a second.
fn capacity(line: usize) -> f64 {
    f64::from(MBIT[line - 1]) * 1e6 / 8.0 * 1448.0 / 1514.0
}

/// What part of their capacity these uplinks carry, each while it carries `seconds` worth.
fn filled(all: &[(usize, Transfer)], lines: &[usize], seconds: f64) -> Vec<f64> {
    let start = Instant::now();
    let begun: Vec<u64> = lines.iter().map(|line| received(all, *line)).collect();
    let mut parts = vec![None; lines.len()];
    eventually(PATIENCE, "the lines to carry their worth", || {
        for ((line, begun), part) in lines.iter().zip(&begun).zip(&mut parts) {
            let carried = (received(all, *line) - begun) as f64 / capacity(*line);
            if part.is_none() && carried >= seconds {
                *part = Some(carried / start.elapsed().as_secs_f64());
            }
        }
        parts.iter().copied().collect::<Option<Vec<f64>>>().ok_or(format!("{parts:?}"))
    })
}

fn percent(parts: &[f64]) -> Vec<String> {
    parts.iter().map(|part| format!("{:.1} %", part * 100.0)).collect()
}

/// How often each uplink changed its health or role.
fn changes(world: &World) -> Vec<String> {
    let names = world.topology.lines.iter().map(|line| line.name());
    names
        .map(|name| {
            let field = |field| world.rail.uplink(&name, field).unwrap();
            format!("{name} {} after {}", field("role"), field("transitions"))
        })
        .collect()
}

#[test]
fn one_download_fills_its_line() {
    timed(|| {
        // given uplinks of 20, 10 and 5 Mbit/s / when one download runs / then it has the rate of
        // the uplink it is on; that for each uplink
        let (world, _server) = world(SHORT);
        let before = changes(&world);
        let mut parts = [None; 3];
        for pair in 0..100 {
            let one = [transfer(&world, pair, (ENDLESS, 0))];
            let line = one[0].0;
            if parts[line - 1].is_none() {
                filled(&one, &[line], 1.0);
                parts[line - 1] = Some(filled(&one, &[line], 2.0)[0]);
            }
            if parts.iter().all(Option::is_some) {
                break;
            }
        }
        let parts = parts.map(|part| part.expect("a download on each line"));
        figures(&format!("one download on lines of {MBIT:?} Mbit/s: {:?}", percent(&parts)));
        assert!(parts.iter().all(|part| *part >= LEAST), "{parts:?}");
        assert_eq!(changes(&world), before);
    });
}

#[test]
fn many_downloads_fill_all_lines_and_a_cut_stalls_only_its_own() {
    timed(|| {
        // given twelve downloads over three uplinks / when they run, and when the fastest uplink is
        // cut / then the sum of the uplinks is used; and the others keep their rate
        let (world, _server) = world(SHORT);
        let before = changes(&world);
        let all = downloads(&world);
        let counts = [1, 2, 3].map(|line| of_line(&all, line).count());
        filled(&all, &[1, 2, 3], 1.0);
        let parts = filled(&all, &[1, 2, 3], 3.0);
        let sum = |parts: &[f64], lines: &[usize]| {
            let used: f64 =
                lines.iter().zip(parts).map(|(line, part)| part * capacity(*line)).sum();
            used / lines.iter().map(|line| capacity(*line)).sum::<f64>()
        };
        let whole = sum(&parts, &[1, 2, 3]);
        assert_eq!(changes(&world), before, "saturation changed a role");

        let cut = world.topology.inject(1, Fault::Carrier).unwrap();
        world.rail.wait_health("isp1", "no-carrier", PATIENCE).unwrap();
        let stalled = received(&all, 1);
        let left = filled(&all, &[2, 3], 3.0);
        let kept = sum(&left, &[2, 3]);
        figures(&format!(
            "downloads {counts:?}: {:.1} % of 35 Mbit/s, by line {:?}; line 1 cut: {:.1} % of 15 \
             Mbit/s, {:?}",
            whole * 100.0,
            percent(&parts),
            kept * 100.0,
            percent(&left)
        ));
        assert_eq!(received(&all, 1), stalled, "downloads of a cut line went on");
        assert!(whole >= LEAST && kept >= LEAST, "{parts:?} {left:?}");
        assert_eq!(changes(&world)[1..], before[1..]);
        cut.repair().unwrap();
        world.rail.wait_health("isp1", "up", PATIENCE).unwrap();
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn saturation_is_no_failure() {
    timed(|| {
        // given uplinks with queues that are far too long / when downloads and uploads fill them /
        // then the round trip grows, and no uplink changes its role
        let (world, _server) = world(BLOATED);
        let before = changes(&world);
        let down = downloads(&world);
        let up: Vec<_> = (0..DOWNLOADS).map(|pair| begin(&world, pair, (0, ENDLESS))).collect();
        for transfer in &up {
            begun(transfer);
        }
        let seconds = if long() { 120.0 } else { 5.0 };
        let mut worst = [0_u64; 3];
        for _ in 0..(seconds / 0.5) as usize {
            filled(&down, &[1], 0.5);
            for (line, worst) in world.topology.lines.iter().zip(&mut worst) {
                let rtt = world.rail.uplink(&line.name(), "rtt_us").unwrap();
                *worst = (*worst).max(rtt.parse().unwrap_or(0) / 1000);
            }
        }
        let after = changes(&world);
        figures(&format!("round trips of {worst:?} ms under load: {after:?}"));
        assert_eq!(after, before);
        // The figure is a mean over a while, and counts from before the load too.
        let queued = u64::try_from(BLOATED.as_millis()).unwrap() / 8;
        assert!(worst.iter().all(|rtt| *rtt > queued), "no queue to speak of: {worst:?} ms");
    });
}

const MEGABYTE: u64 = 1_000_000;
/// Of PPPoE.
const NARROW: u32 = 1492;

/// Uplink 1 carries 1492 bytes, and nobody learns it: neither client nor server hears of packets
/// that are too large. The router's interface knows its own size.
fn narrow(net: &Topology) {
    net.router.sh(&format!("ip link set wan1 mtu {NARROW}")).unwrap();
    net.line(1).isp.sh(&format!("ip link set acc mtu {NARROW}")).unwrap();
    for node in [&net.client, &net.internet] {
        node.nft(
            "table ip deaf {\n counter told { }\n chain input { type filter hook input priority 0\n\
             icmp type destination-unreachable icmp code frag-needed counter name told drop\n }\n}\n",
        )
        .unwrap();
    }
}

/// How often the node was told that a packet was too large, and did not hear it.
fn told(node: &Node) -> u64 {
    let text = node.sh("nft list counter ip deaf told").unwrap();
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).unwrap().parse().unwrap()
}

const ENDS: (Ipv4Addr, Ipv4Addr) = (Ipv4Addr::new(192, 168, 1, 10), Ipv4Addr::new(192, 0, 2, 50));

#[test]
fn a_narrow_line_carries_large_transfers() {
    isolated(|| {
        // given an uplink of 1492 bytes where ICMP is lost, and a wide one / when a megabyte goes
        // each way by both / then all arrive, and no packet was too large
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        narrow(net);
        let _server = BulkServer::start(&net.internet).unwrap();
        eventually(PATIENCE, "a clamp for the narrow line", || {
            let chain = net.router.sh("nft list chain inet rail forward").unwrap();
            if chain.contains("size set 1452") { Ok(()) } else { Err(chain) }
        });
        let start = Instant::now();
        let all: Vec<_> = (0..8).map(|pair| transfer(&world, pair, (MEGABYTE, MEGABYTE))).collect();
        for (line, transfer) in &all {
            eventually(PATIENCE, &format!("a megabyte each way by line {line}"), || {
                let both = (transfer.received(), transfer.confirmed());
                if both == (MEGABYTE, MEGABYTE) { Ok(()) } else { Err(format!("{both:?}")) }
            });
        }
        let (took, narrow) = (start.elapsed(), of_line(&all, 1).count());
        let too_large = told(&net.client) + told(&net.internet);
        figures(&format!(
            "1 MB each way, {narrow} of {} by {NARROW} bytes, in {took:?}, {too_large} too large",
            all.len()
        ));
        assert!((1..all.len()).contains(&narrow), "each line carries some");
        assert_eq!(too_large, 0);
    });
}

#[test]
fn a_narrow_line_without_a_clamp_carries_nothing() {
    isolated(|| {
        // given the same uplink behind a router with plain rules / when a megabyte goes one way,
        // then the other / then each hangs: large packets are repeated and never arrive
        let net = Topology::build(&Plan { addresses: true, ..Plan::new(1) }).unwrap();
        plain::set_up(&net, &[1]).unwrap();
        narrow(&net);
        let _server = BulkServer::start(&net.internet).unwrap();
        let repeated = |deaf: &Node| {
            eventually(PATIENCE, "repetitions of what is too large", || match told(deaf) {
                count @ ..4 => Err(count),
                count => Ok(count),
            })
        };
        let down = Transfer::start(&net.client, ENDS, (MEGABYTE, 0));
        let from_server = repeated(&net.internet);
        assert_eq!(down.received(), 0);
        let up = Transfer::start(&net.client, ENDS, (0, MEGABYTE));
        let from_client = repeated(&net.client);
        assert_eq!(up.confirmed(), 0);
        assert!(up.source().is_some() && down.source().is_some(), "small packets pass");
        figures(&format!("too large: {from_server} down, {from_client} up, all of them lost"));
    });
}
