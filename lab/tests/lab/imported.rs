//! Files of fault_tolerant_router, converted by `rail import` on the router that they are for: who carries is who
//! carried before.
//!
//! The files are those whose conversion is tested word for word; the sample, and three that people published. Here
//! their interfaces and addresses become those of the drawing, a log in `/var` one in `/tmp`, and nothing else.
//!
//! What differs is in the page on it: a target that is silent on every uplink condemns none, so a state here has
//! another uplink that still hears it, or all targets are silent.

use crate::shared::{BOXES, make_sticks};
use rail_lab::{
    Connector, ConnectorPlan, Node, Plan, Rail, Servers, Topology, World, eventually, figures,
    isolated, pppd, scratch, topology,
};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

const SAMPLE: &str = include_str!("../../../crates/rail/tests/import/sample.conf");
const OLD: &str = include_str!("../../../crates/rail/tests/import/old-dmz.conf");
const ONE_SUBNET: &str = include_str!("../../../crates/rail/tests/import/one-subnet.conf");
const MODEMS: &str = include_str!("../../../crates/rail/tests/import/two-modems.conf");

/// A return may be held back for 5 s.
const LIMIT: Duration = Duration::from_secs(40);
/// Pairs of client and server are hashed; there are 1,800 of them.
const PAIRS: usize = 1800;
const OFF_POINTS: f64 = 5.0;

/// An uplink of the old file, as the old program takes it.
#[derive(Clone, Copy)]
struct Theirs {
    name: &'static str,
    group: Option<u32>,
    weight: u32,
    /// What servers see of it.
    source: Ipv4Addr,
}

const fn theirs(name: &'static str, group: Option<u32>, weight: u32, source: [u8; 4]) -> Theirs {
    let [a, b, c, d] = source;
    Theirs { name, group, weight, source: Ipv4Addr::new(a, b, c, d) }
}

/// The old file, and what the old program makes of it.
struct Case {
    world: World,
    uplinks: Vec<Theirs>,
    targets: Vec<&'static str>,
    required: usize,
    /// Whom the old program would have taken last.
    last: Vec<Theirs>,
}

impl Case {
    /// Imports the file on the router, has it checked, and starts the daemon with it.
    fn start(
        topology: Topology,
        (old, places): (&str, &[(&str, &str)]),
        (targets, required): (&[&'static str], usize),
        uplinks: &[Theirs],
        more: &str,
    ) -> Self {
        let file = places.iter().fold(format!("{old}\n"), |text, (there, here)| {
            // Whole values: `eth1` is the beginning of others.
            let (there, here) = (format!(": {there}\n"), format!(": {here}\n"));
            assert!(text.contains(&there), "{there} in {text}");
            text.replace(&there, &here)
        });
        let far: String =
            targets.iter().map(|target| format!("addr replace {target}/32 dev lo\n")).collect();
        topology.internet.ip_batch(&far).unwrap();
        let directory = scratch::directory("import").unwrap();
        let [conf, toml] = ["old.conf", "rail.toml"].map(|name| directory.join(name));
        std::fs::write(&conf, file).unwrap();
        let mut rail = Rail::new(&topology.router, "").unwrap();
        let run = |rail: &Rail, words: &[&str]| {
            let output = rail.command(words).unwrap();
            let told = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{words:?}: {told}");
            (String::from_utf8(output.stdout).unwrap(), told)
        };
        let (made, told) =
            run(&rail, &["import", "fault_tolerant_router", &conf.display().to_string()]);
        // It is run where the addresses are.
        assert!(!told.contains("a guess"), "{told}");
        let made = format!("{made}\n{more}");
        std::fs::write(&toml, &made).unwrap();
        run(&rail, &["check", "--config", &toml.display().to_string()]);
        rail.write_config(&made).unwrap();
        rail.start().unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
        let world = World { rail, servers, topology };
        let (uplinks, targets) = (uplinks.to_vec(), targets.to_vec());
        let mut case = Self { world, uplinks, targets, required, last: Vec::new() };
        case.last = case.carriers(&vec![0; case.uplinks.len()]);
        case
    }

    /// Whom the old program takes when so many targets are silent on each uplink: all of the lowest group that
    /// has one that is up, or, if none is, whom it took before.
    fn carriers(&self, silent: &[usize]) -> Vec<Theirs> {
        let is_up = |n: usize| self.targets.len() - silent[n] >= self.required;
        let up = (0..self.uplinks.len()).filter(|n| is_up(*n)).map(|n| self.uplinks[n]);
        let up: Vec<Theirs> = up.filter(|uplink| uplink.group.is_some()).collect();
        let lowest = up.iter().filter_map(|uplink| uplink.group).min();
        match lowest {
            Some(_) => up.into_iter().filter(|uplink| uplink.group == lowest).collect(),
            None => self.last.clone(),
        }
    }

    /// Makes the first so many targets silent, by each uplink.
    fn silence(&self, silent: &[usize]) {
        for (line, count) in self.world.topology.lines.iter().zip(silent) {
            let mut rules = String::from("flush chain inet lab forward\n");
            for target in &self.targets[..*count] {
                let _ = writeln!(
                    rules,
                    "add rule inet lab forward ip daddr {target} icmp type echo-request drop"
                );
            }
            line.isp.nft(&rules).unwrap();
        }
    }

    /// Goes through these states; in each, the same uplinks carry as with the old program, by weight.
    fn walk(&mut self, what: &str, states: &[&[usize]]) {
        for silent in states {
            self.silence(silent);
            self.last = self.carriers(silent);
            let wanted: BTreeSet<&str> = self.last.iter().map(|uplink| uplink.name).collect();
            eventually(LIMIT, &format!("{wanted:?} alone to carry, {silent:?} silent"), || {
                let status = self.world.rail.status().map_err(|e| e.to_string())?;
                let all = status["uplinks"].as_array().into_iter().flatten();
                let active = all.filter(|uplink| uplink["role"] == "active");
                let active: BTreeSet<&str> =
                    active.filter_map(|uplink| uplink["name"].as_str()).collect();
                let is_it = active == wanted && self.seen_down(&status, silent);
                if is_it && status["settled"] == true { Ok(()) } else { Err(status.to_string()) }
            });
            let (off, pair) = self.shares();
            figures(&format!(
                "{what}, {silent:?} of {} targets silent, {} required: {wanted:?} carry, {off:.1} points off \
                 the weights, a pair by {pair}",
                self.targets.len(),
                self.required
            ));
        }
    }

    /// Whether each uplink is down that the old program finds down, and no other.
    fn seen_down(&self, status: &serde_json::Value, silent: &[usize]) -> bool {
        self.uplinks.iter().zip(silent).all(|(theirs, silent)| {
            let all = status["uplinks"].as_array().into_iter().flatten();
            let ours = all.into_iter().find(|uplink| uplink["name"] == theirs.name);
            let is_down = ours.is_some_and(|uplink| uplink["health"] == "down");
            is_down == (self.targets.len() - silent < self.required)
        })
    }

    /// Connections of all pairs, and many of one pair: points off the weights, and by how many uplinks the one
    /// pair went.
    fn shares(&self) -> (f64, usize) {
        let sources: Vec<Ipv4Addr> = self.last.iter().map(|uplink| uplink.source).collect();
        let weights: Vec<u32> = self.last.iter().map(|uplink| uplink.weight).collect();
        let report = self.world.connect(PAIRS).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let off = report.deviation(&sources, &weights);
        assert!(off <= OFF_POINTS, "{off}: {:?}", report.by_source());
        let pair = self.world.connect_one_pair(40).unwrap();
        assert_eq!((pair.failed(), pair.by_source().len()), (0, 1), "{:?}", pair.by_source());
        (off, pair.by_source().len())
    }

    /// Connections from the internet to a port of each uplink: how many of 20 are answered.
    fn answered_outside(&self, port: u16) -> Vec<usize> {
        let ask = |uplink: &Theirs| {
            let servers = vec![SocketAddrV4::new(uplink.source, port)];
            let (count, period) = (Some(20), Duration::from_millis(2));
            let sources = vec![Ipv4Addr::new(192, 0, 2, 60)];
            let plan = ConnectorPlan { servers, count, period, ..ConnectorPlan::new(sources, &[]) };
            let report = Connector::start(&self.world.topology.internet, plan).finish().unwrap();
            20 - report.failed()
        };
        self.uplinks.iter().map(ask).collect()
    }
}

fn drawing(uplinks: usize, networks: &[&'static str]) -> Topology {
    let networks = networks.to_vec();
    Topology::build(&Plan { addresses: true, networks, ..Plan::new(uplinks) }).unwrap()
}

const SIX: [&str; 6] =
    ["192.0.2.53", "192.0.2.54", "198.51.100.53", "198.51.100.54", "203.0.113.53", "203.0.113.54"];

// given the sample: weights 1 and 2, and a dialled line of the next group; four of six targets must answer / when two
// targets are silent, three, on one uplink, on both, all are silent on all, and the line is dialled anew / then the
// same uplinks carry as before the conversion, by weight, and each pair of client and server keeps its uplink
#[test]
fn the_sample_carries_as_before() {
    isolated(|| {
        let net = drawing(3, &[]);
        let line = net.line(3).clone();
        net.router.ip_batch("addr flush dev wan3\n").unwrap();
        let ends = (line.address(), line.gateway());
        pppd::connect(&net.router, "ppp0", &line, ends, false).unwrap();
        let places = [
            ("eth0", "lan0"),
            ("eth1", "wan1"),
            ("eth2", "wan2"),
            ("192.0.2.2", "100.64.1.2"),
            ("192.0.2.1", "100.64.1.1"),
            ("198.51.100.2", "100.64.2.2"),
            ("198.51.100.1", "100.64.2.1"),
        ];
        let uplinks = [
            theirs("fibre-north", Some(1), 1, [100, 64, 1, 2]),
            theirs("cable-south", Some(1), 2, [100, 64, 2, 2]),
            theirs("mobile", Some(2), 1, [100, 64, 3, 2]),
        ];
        let mut case = Case::start(net, (SAMPLE, &places), (&SIX, 4), &uplinks, "");
        case.walk(
            "sample",
            &[&[0, 0, 0], &[2, 0, 0], &[3, 0, 0], &[0, 6, 0], &[0, 0, 0], &[6, 6, 6], &[0, 0, 0]],
        );
        case.walk("sample", &[&[3, 4, 0], &[0, 0, 3]]);
        // Dialled anew, with another address.
        let net = &case.world.topology;
        net.router.ip_batch("link del ppp0\n").unwrap();
        case.world.rail.wait_health("mobile", "absent", LIMIT).unwrap();
        let new = Ipv4Addr::new(100, 64, 3, 77);
        pppd::connect(&net.router, "ppp0", &line, (new, line.gateway()), true).unwrap();
        case.uplinks[2].source = new;
        case.walk("sample, dialled anew", &[&[6, 6, 0]]);
    });
}

// given a file of the old form: weights 3 and 1, an uplink for what comes in, a DMZ with a forward; one of two targets
// must answer / when uplinks fall silent, one and both / then the third never carries anything that goes out, and
// answers what comes in by it, all the while; the DMZ reaches the internet, and nobody the LAN
#[test]
fn an_uplink_for_what_comes_in_and_a_dmz_stay_so() {
    isolated(|| {
        let net = drawing(3, &["dmz"]);
        net.router.ip_batch("addr add 10.8.1.1/24 dev dmz0\n").unwrap();
        let places = [
            ("eth1", "lan0"),
            ("eth2", "dmz0"),
            ("\"/var/log/fault_tolerant_router.log\"", "/tmp/log"),
            ("wan2", "wan3"),
            ("wan1", "wan2"),
            ("wan0", "wan1"),
            ("203.0.113.2", "100.64.1.2"),
            ("203.0.113.1", "100.64.1.1"),
            ("198.51.100.66", "100.64.2.2"),
            ("198.51.100.65", "100.64.2.1"),
            ("192.0.2.130", "100.64.3.2"),
            ("192.0.2.158", "100.64.3.1"),
        ];
        let uplinks = [
            theirs("provider-one", Some(1), 3, [100, 64, 1, 2]),
            theirs("provider-one-2", Some(1), 1, [100, 64, 2, 2]),
            theirs("for-the-mail-server", None, 1, [100, 64, 3, 2]),
        ];
        let forward = "[[forward]]\nprotocol = \"tcp\"\nport = 25\nto = \"10.8.1.10\"\n";
        let targets = ["192.0.2.53", "198.51.100.53"];
        let mut case = Case::start(net, (OLD, &places), (&targets, 1), &uplinks, forward);
        let dmz = case.world.topology.network("dmz").clone();
        let serve = |node: &Node, at: &str| Servers::tcp(node, at.parse().unwrap()).unwrap();
        let _mail = serve(&dmz.node, "0.0.0.0:25");
        let _inside = serve(&case.world.topology.client, "0.0.0.0:25");
        for silent in [[0, 0, 0], [1, 0, 0], [2, 0, 0], [2, 2, 0], [0, 0, 2], [0, 0, 0]] {
            case.walk("old form", &[&silent]);
            assert_eq!(case.answered_outside(25), [20, 20, 20], "{silent:?}");
        }
        let plan = ConnectorPlan {
            count: Some(200),
            period: Duration::from_millis(2),
            ..ConnectorPlan::new(dmz.hosts(), &topology::servers())
        };
        let out = Connector::start(&dmz.node, plan).finish().unwrap();
        assert_eq!((out.failed(), out.by_source().len()), (0, 2), "{:?}", out.by_source());
        assert!(!out.by_source().contains_key(&uplinks[2].source));
        assert!(!dmz.node.opens("192.168.1.10:25"), "the DMZ reaches the LAN");
        assert!(case.world.topology.client.opens("10.8.1.10:25"), "the LAN does not reach the DMZ");
    });
}

// given a file for two boxes whose networks are the same: weights 1 and 2; four of five targets must answer / when
// targets are silent by one, and by the other / then the same box carries as before the conversion
#[test]
fn two_boxes_with_one_network_carry_as_before() {
    isolated(|| {
        let net = drawing(2, &[]);
        make_sticks(&net, &BOXES);
        net.router
            .ip_batch(
                "addr flush dev wan1\naddr flush dev wan2\n\
                 addr add 192.168.178.17/24 dev wan1\naddr add 192.168.178.22/24 dev wan2\n",
            )
            .unwrap();
        let places = [
            ("enp2s0", "wan1"),
            ("enp3s0", "wan2"),
            ("wlan0", "lan0"),
            ("/var/log/uplinks.log", "/tmp/log"),
        ];
        let uplinks = [
            theirs("left-box", Some(1), 1, [100, 64, 1, 1]),
            theirs("right-box", Some(1), 2, [100, 64, 2, 1]),
        ];
        let five = [SIX[0], SIX[2], SIX[3], SIX[4], SIX[5]];
        let mut case = Case::start(net, (ONE_SUBNET, &places), (&five, 4), &uplinks, "");
        case.walk("one subnet", &[&[0, 0], &[1, 0], &[2, 0], &[0, 2], &[5, 5], &[0, 0]]);
    });
}

// given a file for two modems and a line whose gateway is far from its address, in groups 0 and 5; three of three
// targets must answer / when one is silent by one modem, by both, and all by all / then the same uplinks carry as before
#[test]
fn two_modems_and_a_far_gateway_carry_as_before() {
    isolated(|| {
        let net = drawing(3, &[]);
        net.router.ip_batch("addr flush dev wan3\naddr add 100.64.3.2/32 dev wan3\n").unwrap();
        let far = "addr del 100.64.3.1/24 dev acc\naddr add 172.31.1.1/32 dev acc\n\
                   route add 100.64.3.2/32 dev acc src 172.31.1.1\n";
        net.line(3).isp.ip_batch(far).unwrap();
        let places = [
            ("\"eth1\"", "wan1"),
            ("\"eth2\"", "wan2"),
            ("eth3", "wan3"),
            ("br0", "lan0"),
            ("\"/srv/log/router.log\"", "/tmp/log"),
            ("192.168.200.90", "100.64.1.2"),
            ("192.168.200.100", "100.64.1.1"),
            ("192.168.70.89", "100.64.2.2"),
            ("192.168.70.100", "100.64.2.1"),
            ("203.0.113.7", "100.64.3.2"),
        ];
        let uplinks = [
            theirs("modem-a", Some(0), 1, [100, 64, 1, 2]),
            theirs("modem-b", Some(0), 2, [100, 64, 2, 2]),
            theirs("wan3", Some(5), 1, [100, 64, 3, 2]),
        ];
        let three = [SIX[0], SIX[2], SIX[4]];
        let mut case = Case::start(net, (MODEMS, &places), (&three, 3), &uplinks, "");
        case.walk("two modems", &[&[0, 0, 0], &[1, 0, 0], &[1, 1, 0], &[0, 0, 1], &[3, 3, 3]]);
    });
}
