//! SIGKILL at any moment: the kernel goes on alone, and a restart adopts what it finds.

use rail_lab::{
    ConfigText, Fault, Node, Plan, World, eventually, figures, isolated, long, normal, timed,
};
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

#[test]
fn connections_do_not_notice_a_crash_and_a_restart() {
    timed(|| {
        // given flows and new connections / when the daemon is killed, stays dead, and starts
        // again / then nobody notices, and the restart changes nothing
        let mut world = World::start(&Plan::new(3), &ConfigText::weights(&[1, 2, 3])).unwrap();
        let before = normal::state(&world.topology.router).unwrap();
        let flows = world.flows(24, 12);
        let connector = world.connector();
        world.wait_for(&connector, 50).unwrap();
        world.rail.kill().unwrap();
        let dead = if long() { 6000 } else { 300 };
        let killed = Instant::now();
        world.wait_for(&connector, dead).unwrap();
        let dead_for = killed.elapsed();
        let record = Record::start(&world.topology.router);
        let recording = killed.elapsed() - dead_for;
        let begin = Instant::now();
        world.rail.start().unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let up = begin.elapsed();
        world.wait_for(&connector, 200).unwrap();
        let changes = record.stop();
        let report = connector.stop().unwrap();
        let flows = flows.stop().unwrap();
        figures(&format!(
            "dead for {dead_for:?}, recorded after {recording:?}, up {up:?} after the start: {} of {} \
             connections failed, {} of {} UDP lost, {} flows broken, {} changes at the restart",
            report.failed(),
            report.attempts.len(),
            flows.udp_lost(),
            flows.udp_sent(),
            flows.broken(),
            changes.len()
        ));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!((flows.udp_lost(), flows.broken(), flows.mixed()), (0, 0, 0));
        assert_eq!(changes, Vec::<String>::new());
        let after = normal::state(&world.topology.router).unwrap();
        assert_eq!(normal::difference(&before, &after), "");
        let off = report.deviation(&world.sources(), &[1, 2, 3]);
        assert!(off <= 3.0, "{:?}", report.by_source());
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn connections_begin_though_a_device_goes_while_no_daemon_runs() {
    isolated(|| {
        // given a killed daemon / when the devices of uplinks are deleted, one after the other / then
        // new connections begin by those that are left, the router's own, too, and a start adopts it all
        let mut world = World::start(&Plan::new(3), &ConfigText::weights(&[1, 1, 1])).unwrap();
        let net = &world.topology;
        let first = normal::state(&net.router).unwrap();
        world.rail.kill().unwrap();
        let mut pulled = Vec::new();
        for (number, left) in [(1, vec![2, 3]), (3, vec![2])] {
            pulled.push(net.unplug(number).unwrap());
            let report = world.connect(120).unwrap();
            let begun = report.by_source();
            let expected: Vec<_> = left.iter().map(|number| net.line(*number).address()).collect();
            assert_eq!(
                begun.keys().copied().collect::<Vec<_>>(),
                expected,
                "{:?}",
                report.reasons()
            );
            // Each has its buckets, those of the uplinks that are gone are refused.
            assert!(begun.values().all(|count| *count >= 35), "{begun:?}");
            net.router.sh("ping -c 1 -W 1 192.0.2.1").unwrap();
            figures(&format!("without uplink {number}: {begun:?}, {} refused", report.failed()));
        }
        for unplugged in pulled {
            unplugged.plug_in().unwrap();
        }
        world.rail.start().unwrap();
        world.rail.wait_all_up(Duration::from_secs(15)).unwrap();
        eventually(Duration::from_secs(5), "the first state", || {
            let now = normal::state(&world.topology.router).unwrap();
            let difference = normal::difference(&first, &now);
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
        assert_eq!(world.connect(60).unwrap().failed(), 0);
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_crash_at_any_moment_of_a_failover_heals() {
    isolated(|| {
        // given an uplink that dies / when the daemon is killed at some moment of its reaction
        // and starts again / then the uplink leaves, returns, and the state is the first one
        let kills = if long() { 50 } else { 6 };
        let check = "interval = \"50ms\"\ntimeout = \"200ms\"\nrecover_after = 3\n";
        let text = ConfigText { check: check.into(), ..ConfigText::weights(&[1, 1, 1]) };
        let mut world = World::start(&Plan::new(3), &text).unwrap();
        let limit = Duration::from_secs(10);
        world.forget_falls(limit).unwrap();
        let first = normal::state(&world.topology.router).unwrap();
        for kill in 0..kills {
            let flows = world.flows(0, 12);
            let connector = world.connector();
            world.wait_for(&connector, 5).unwrap();
            let injected = world.topology.inject(1, Fault::Gateway).unwrap();
            // Death is decided after 200 ms: the kills are spread around that moment.
            std::thread::sleep(Duration::from_millis(150 + 100 * kill / kills));
            world.rail.kill().unwrap();
            world.wait_for(&connector, 20).unwrap();
            world.rail.start().unwrap();
            world.rail.wait_health("isp1", "down", limit).unwrap();
            let left = Instant::now();
            let healthy = flows.stop().unwrap().of(world.sources()[0], false);
            injected.repair().unwrap();
            world.rail.wait_health("isp1", "up", limit).unwrap();
            world.rail.wait_all_up(limit).unwrap();
            world.wait_for(&connector, 20).unwrap();
            let report = connector.stop().unwrap();
            assert!(!healthy.flows.is_empty(), "kill {kill}: no flow to judge");
            assert_eq!((healthy.udp_lost(), healthy.mixed()), (0, 0), "kill {kill}");
            let failed = report.failed_between(left, Instant::now());
            assert_eq!(failed, 0, "kill {kill}: after the line had left, {:?}", report.reasons());
            // Else the third return would be held back.
            world.forget_falls(limit).unwrap();
        }
        eventually(Duration::from_secs(5), "the first state", || {
            let now = normal::state(&world.topology.router).unwrap();
            let difference = normal::difference(&first, &now);
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
        figures(&format!("{kills} kills around a failover, healthy lines lost nothing"));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_crash_during_the_first_start_heals() {
    isolated(|| {
        // given a fresh system / when the daemon is killed some milliseconds after its start,
        // again and again, and then left alone / then it gets where an undisturbed start gets
        let text = ConfigText::weights(&[1, 2, 3]);
        let expected = {
            let world = World::start(&Plan::new(3), &text).unwrap();
            rules_and_routes(&world.topology.router)
        };
        let topology = rail_lab::Topology::build(&Plan::new(3)).unwrap();
        let mut rail = rail_lab::Rail::new(&topology.router, &topology.config(&text)).unwrap();
        let kills = if long() { 40 } else { 8 };
        for kill in 0..kills {
            rail.launch().unwrap();
            std::thread::sleep(Duration::from_millis(4 * kill));
            rail.kill().unwrap();
        }
        rail.start().unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let found = rules_and_routes(&topology.router);
        figures(&format!("{kills} kills during the start"));
        assert_eq!(normal::difference(&expected, &found), "");
    });
}

/// What does not hold hardware addresses.
fn rules_and_routes(router: &Node) -> String {
    let text = normal::state(router).unwrap();
    text.lines().filter(|line| !line.contains("fe80::") && !line.starts_with("links")).fold(
        String::new(),
        |mut all, line| {
            all.push_str(line);
            all.push('\n');
            all
        },
    )
}

/// What the kernel tells of changes of routes, rules, addresses, links, and nftables.
struct Record {
    children: Vec<Child>,
    files: Vec<PathBuf>,
}

impl Record {
    /// Starts to listen; returns when both listeners are known to hear.
    fn start(router: &Node) -> Self {
        let directory = rail_lab::scratch::directory("record").unwrap();
        let mut record = Self { children: Vec::new(), files: Vec::new() };
        let programs: [&[&str]; 2] = [
            &["ip", "monitor", "link", "address", "route", "rule", "nexthop"],
            &["nft", "monitor"],
        ];
        for words in programs {
            let path = directory.join(words[0]);
            let file = File::create(&path).unwrap();
            // starts: ip, nft
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).stdin(Stdio::null()).stdout(file);
            record.children.push(router.start(&mut command).unwrap());
            record.files.push(path);
        }
        // A change of our own is the proof that they listen.
        eventually(Duration::from_secs(5), "the monitors to listen", || {
            router.sh("ip rule add lookup 4321 priority 4321").unwrap();
            router.sh("ip rule del priority 4321").unwrap();
            router.nft("table ip heard { }\ndelete table ip heard\n").unwrap();
            let heard = record.lines(true);
            let both = heard.iter().any(|l| l.contains("4321"))
                && heard.iter().any(|l| l.contains("heard"));
            if both { Ok(()) } else { Err(format!("{heard:?}")) }
        });
        record
    }

    fn stop(mut self) -> Vec<String> {
        for child in &mut self.children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        self.lines(false)
    }

    fn lines(&self, own: bool) -> Vec<String> {
        let text: String =
            self.files.iter().map(|f| fs::read_to_string(f).unwrap_or_default()).collect();
        let is_own = |l: &str| l.contains("4321") || l.contains("heard");
        // nft numbers its generations; that alone is no change.
        let lines = text.lines().filter(|l| !l.is_empty() && !l.starts_with("# new generation"));
        lines.filter(|l| own || !is_own(l)).map(str::to_owned).collect()
    }
}
