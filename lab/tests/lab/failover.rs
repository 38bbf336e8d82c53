//! How long clients suffer from a cut cable, with default settings, and where the router's own flows go.

use rail_lab::flows::{Protocol, spread};
use rail_lab::topology::servers;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Ends, Fault, Flows, FlowsReport, Node, Plan, World,
    figures, isolated, long, timed,
};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const CARRIER_P99: Duration = Duration::from_millis(50);
const CARRIER_WORST: Duration = Duration::from_millis(100);

/// The router's own flows from its inside address, as those of a telephone exchange or a resolver.
#[test]
fn own_flows_from_an_inside_address_move_and_stay_where_they_are() {
    isolated(|| {
        // given such flows on both uplinks / when one uplink dies / then its flows go on by the other;
        // when it returns / then all stay where they are, and lose nothing
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let own = vec![Ipv4Addr::new(192, 168, 1, 1)];
        let flows = Flows::start(&net.router, spread(Protocol::Udp, 16, &own, &servers()));
        thread::sleep(Duration::from_millis(500));
        let injected = net.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        // The second look at the connection table is two seconds later.
        thread::sleep(Duration::from_millis(2500));
        let moved = Instant::now();
        thread::sleep(Duration::from_millis(500));
        injected.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
        thread::sleep(Duration::from_millis(1500));
        let report = flows.stop().unwrap();
        let lost: usize = report.flows.iter().map(|f| f.lost_between(moved, Instant::now())).sum();
        let (mixed, wrong) = (report.mixed(), net.wrong_sources().unwrap());
        figures(&format!(
            "{mixed} of 16 moved; {lost} pings lost after that; {wrong} wrong sources"
        ));
        assert!((1..16).contains(&mixed), "{mixed} of 16 moved");
        assert_eq!((lost, wrong), (0, 0));
        let last = net.line(2).address();
        assert!(report.flows.iter().all(|flow| flow.sources.contains(&last)));
    });
}

#[track_caller]
pub(crate) fn healthy_flows_lost_nothing(report: &FlowsReport, when: &str) {
    assert!(!report.flows.is_empty(), "{when}: no flow to judge");
    let gap = report.tcp_gap();
    let lost = (report.udp_lost(), report.broken(), report.mixed());
    assert_eq!(lost, (0, 0, 0), "{when}: UDP lost, broken, mixed of {}", report.flows.len());
    // A lost TCP segment is repeated after 200 ms at the least.
    assert!(gap < Duration::from_millis(200), "{when}: TCP gap {gap:?}");
}

#[test]
fn cut_cable() {
    timed(|| {
        // given a connection each 2 ms / when cables are cut / then the last failed connection
        // is 50 ms away (99th percentile), 100 ms at worst
        let world = hurried();
        judge((0..cuts(10)).map(|cut| one_cut(&world, cut % 2 + 1)).collect());
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn cut_cable_while_links_change_elsewhere() {
    timed(|| {
        // given links that come and go in another namespace every 150 ms, as on a host of containers:
        // the kernel then merges what it says of carriers for up to a second / when cables are cut /
        // then connections move as fast as without
        let world = hurried();
        let other = Node::new("containers").unwrap();
        let stop = AtomicBool::new(false);
        let times = thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    other.sh("ip link add eth0 type veth peer name eth1").unwrap();
                    other.sh("ip link set eth0 up").unwrap();
                    other.sh("ip link set eth1 up").unwrap();
                    thread::sleep(Duration::from_millis(150));
                    other.sh("ip link delete eth0").unwrap();
                }
            });
            let _ends = Ends(&stop);
            (0..cuts(8)).map(|cut| one_cut(&world, cut % 2 + 1)).collect()
        });
        judge(times);
    });
}

/// Two uplinks. Only the return is hurried, so that the test is short; a cut acts at once.
fn hurried() -> World {
    let check = if long() { "" } else { "recover_after = 3\n" };
    let text = ConfigText { check: check.into(), ..ConfigText::weights(&[1, 1]) };
    World::start(&Plan::new(2), &text).unwrap()
}

fn cuts(short: usize) -> usize {
    if long() { 50 } else { short }
}

/// The last failed connections after cuts. With few of them the 99th percentile is the worst.
fn judge(mut times: Vec<Duration>) {
    times.sort_unstable();
    let p99 = times[(times.len() * 99).div_ceil(100) - 1];
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    figures(&format!("{} cuts: median {median:?}, p99 {p99:?}, worst {worst:?}", times.len()));
    assert!(!long() || p99 <= CARRIER_P99, "{times:?}");
    assert!(worst <= CARRIER_WORST, "{times:?}");
}

fn one_cut(world: &World, line: usize) -> Duration {
    let name = world.topology.line(line).name();
    let flows = world.flows(8, 8);
    let plan = ConnectorPlan { period: Duration::from_millis(2), ..world.plan() };
    let connector = Connector::start(&world.topology.client, plan);
    world.wait_for(&connector, 100).unwrap();
    let injected = world.topology.inject(line, Fault::Carrier).unwrap();
    world.rail.wait_health(&name, "no-carrier", Duration::from_secs(5)).unwrap();
    world.wait_for(&connector, 150).unwrap();
    let (report, since) = (connector.stop().unwrap(), injected.since);
    let healthy = flows.stop().unwrap().of(world.topology.line(line).address(), false);
    healthy_flows_lost_nothing(&healthy, &format!("cut of {name}"));
    injected.repair().unwrap();
    world.rail.wait_health(&name, "up", Duration::from_secs(15)).unwrap();
    // Else the third return would be held back.
    world.rail.forget_falls(&name, Duration::from_secs(15)).unwrap();
    report.last_failed_after(since)
}
