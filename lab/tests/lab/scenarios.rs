//! Hard failures of other routers, played to this one.
//!
//! | What happened elsewhere | Shown here by |
//! |---|---|
//! | the wall clock is stepped, and timers or a peer's memory jump with it | nothing can: `clock.rs` alone reads it, as text (`xtask tidy`); all deadlines are of the boot clock, and the core gets time as an argument |
//! | a flood of routes and neighbours overruns the socket, and the daemon exits or goes on half blind | [`a_flood_of_routes_and_neighbours_blinds_nobody`]; `lost_notifications_are_reported_as_everything` in `crates/linux` |
//! | the router cannot be managed when all uplinks are dead at boot | `firewall.rs`: `a_start_with_dead_lines_opens_the_router_at_once` |
//! | the path comes back and its routes do not | [`routes_come_back_with_the_path`] |
//! | the probe leaves by a healthy uplink, so a dead gateway is online; a second failure is not noticed; routes move and policy does not | [`a_dead_gateway_is_seen_whatever_the_other_line_reaches`]; `cycles.rs` |
//! | another program flushes the policy rules | [`flushed_rules_are_back_at_once`]; one by one in `drift.rs` |
//! | a blackhole of a dead daemon stays for ever | [`routes_that_a_dead_daemon_left_go`] |
//! | interfaces with a common prefix are taken for each other | [`names_that_begin_alike_are_not_confused`] |
//! | a child inherits the lock, and no daemon can start | `a_child_has_nothing_of_ours` in `crates/linux`; `crash_points`: death while `nft` runs, and a start at once |

use rail_lab::{
    ConfigText, Fault, Node, Plan, World, eventually, figures, isolated, normal, timed,
};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

#[test]
fn a_flood_of_routes_and_neighbours_blinds_nobody() {
    isolated(|| {
        // given 20,000 foreign routes and 250 neighbours that come and go / when one of our
        // routes goes in their midst / then the daemon lives, has its route back, and the state
        // is the first one
        let mut world = World::start(&Plan::new(2), &ConfigText::weights(&[1, 1])).unwrap();
        let router = &world.topology.router;
        let first = normal::state(router).unwrap();
        let storm = |verb: &str, neighbour: &str| {
            let mut lines = String::new();
            for n in 0..20_000 {
                if n == 10_000 && verb == "add" {
                    lines.push_str("route del default table 20001 metric 0\n");
                }
                let (high, low) = (n / 250, n % 250);
                let _ = writeln!(lines, "route {verb} 10.{high}.{low}.0/24 dev lan0 table 20126");
                // The kernel keeps a thousand neighbours at most, of all namespaces together.
                if n < 250 {
                    let _ = writeln!(lines, "neigh {neighbour} 192.168.{high}.{low} dev lan0");
                }
            }
            lines
        };
        router
            .ip_batch(&storm("add", "replace lladdr 02:00:00:00:00:01 nud reachable to"))
            .unwrap();
        eventually(LIMIT, "our route in the flood", || {
            let table = router.sh("ip route show table 20001").unwrap();
            if table.contains("default via 100.64.1.1") { Ok(()) } else { Err(table) }
        });
        router.ip_batch(&storm("del", "del to")).unwrap();
        world.rail.wait_settled(LIMIT).unwrap();
        equals(router, &first);
        assert!(world.rail.ended().is_none(), "the daemon has ended");
        let report = world.connect(200).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        figures("40,500 changes of others, one of ours repaired in their midst");
    });
}

#[test]
fn routes_come_back_with_the_path() {
    isolated(|| {
        // given an uplink / when it loses its carrier, its device is set down, its address goes or
        // its routes are flushed, each twice / then with the path all is back as it was
        let world = World::start(&Plan::new(2), &quick()).unwrap();
        let (router, isp) = (&world.topology.router, &world.topology.line(2).isp);
        world.forget_falls(LIMIT).unwrap();
        let first = normal::state(router).unwrap();
        let losses: [(&Node, &str, &Node, &str); 4] = [
            (isp, "link set acc down", isp, "link set acc up"),
            (router, "link set wan2 down", router, "link set wan2 up"),
            (router, "addr flush dev wan2 scope global", router, ""),
            (router, "route flush table 20002", router, ""),
        ];
        let changes = || world.rail.uplink("isp2", "transitions").unwrap().parse::<u64>().unwrap();
        for (at, loss, then, repair) in losses.iter().chain(&losses) {
            let before = changes();
            at.ip_batch(&format!("{loss}\n")).unwrap();
            // Routes alone are no loss of the uplink.
            if !loss.starts_with("route") {
                eventually(LIMIT, &format!("notice of: {loss}"), || {
                    if changes() > before { Ok(()) } else { Err("no change of health") }
                });
            }
            if !repair.is_empty() {
                // The daemon sets its own device up again as soon as it sees it down.
                then.ip_batch(&format!("{repair}\n")).unwrap();
            }
            world.rail.wait_all_up(LIMIT).unwrap();
            equals(router, &first);
            // Twice through all slots.
            let report = world.connect(256).unwrap();
            assert_eq!(report.failed(), 0, "after {loss}: {:?}", report.reasons());
            let off = report.deviation(&world.sources(), &[1, 1]);
            assert!(off <= 3.0, "after {loss}: {:?}", report.by_source());
            // Else the third return would be held back.
            world.forget_falls(LIMIT).unwrap();
        }
        figures(&format!("{} losses, the state is the first one after each", 2 * losses.len()));
    });
}

#[test]
fn a_dead_gateway_is_seen_whatever_the_other_line_reaches() {
    isolated(|| {
        // given targets that both uplinks reach / when one gateway dies, returns, and dies again /
        // then it is seen each time, and slots, routes and connections leave it together
        let world = World::start(&Plan::new(2), &quick()).unwrap();
        let router = &world.topology.router;
        for time in 1..=2 {
            let injected = world.topology.inject(1, Fault::Mute).unwrap();
            world.rail.wait_health("isp1", "down", LIMIT).unwrap();
            world.rail.wait_settled(LIMIT).unwrap();
            let shared = router.sh("ip route show table 20000").unwrap();
            assert!(shared.contains("dev wan2") && !shared.contains("dev wan1"), "{shared}");
            let slots = router.sh("nft -s list map inet rail slots").unwrap();
            assert!(slots.contains("0x02000000") && !slots.contains("0x01000000"), "{slots}");
            let report = world.connect(100).unwrap();
            assert_eq!(report.failed(), 0, "time {time}: {:?}", report.reasons());
            assert!(!report.by_source().contains_key(&world.sources()[0]), "time {time}");
            injected.repair().unwrap();
            world.rail.wait_all_up(LIMIT).unwrap();
        }
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn flushed_rules_are_back_at_once() {
    timed(|| {
        // given long flows / when somebody flushes all policy rules, three times / then ours are
        // back within half a second, theirs stay gone, and no flow breaks or changes its uplink
        let world = World::start(&Plan::new(2), &ConfigText::weights(&[1, 1])).unwrap();
        let router = &world.topology.router;
        let ours = |text: &str| -> Vec<String> {
            let numbered = |line: &&str| line.starts_with("20");
            text.lines().filter(numbered).map(str::to_owned).collect()
        };
        let before = ours(&router.sh("ip rule show").unwrap());
        assert!(before.len() >= 8, "{before:?}");
        let flows = world.flows(8, 0);
        let mut took = Vec::new();
        for _ in 0..3 {
            router.sh("ip rule flush").unwrap();
            let start = Instant::now();
            eventually(LIMIT, "our rules", || {
                let now = ours(&router.sh("ip rule show").unwrap());
                if now == before { Ok(()) } else { Err(format!("{now:?}")) }
            });
            took.push(start.elapsed());
            let report = world.connect(50).unwrap();
            assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        }
        let worst = took.iter().max().unwrap();
        figures(&format!("back after {took:.0?}"));
        assert!(*worst <= Duration::from_millis(500), "{took:?}");
        let flows = flows.stop().unwrap();
        let rules = router.sh("ip rule show").unwrap();
        assert!(!rules.contains("lookup default"), "not ours to put back: {rules}");
        assert_eq!((flows.broken(), flows.mixed()), (0, 0));
    });
}

#[test]
fn routes_that_a_dead_daemon_left_go() {
    isolated(|| {
        // given a daemon that was killed, a blackhole that bears our sign in one of our tables,
        // and one of somebody else / when it starts again / then ours goes and theirs stays
        let mut world = World::start(&Plan::new(2), &ConfigText::weights(&[1, 1])).unwrap();
        let first = normal::state(&world.topology.router).unwrap();
        world.rail.kill().unwrap();
        let router = &world.topology.router;
        router
            .ip_batch(
                "route add blackhole default table 20000 metric 5 proto 82\n\
                 route add blackhole 192.0.2.0/24 table 20001 proto 82\n\
                 route add prohibit default table 20002 metric 9 proto 82\n",
            )
            .unwrap();
        world.rail.start().unwrap();
        world.rail.wait_all_up(LIMIT).unwrap();
        equals(router, &first);
        let report = world.connect(100).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        router.sh("ip route add blackhole 203.0.113.0/24 table 20001 proto static").unwrap();
        world.rail.kill().unwrap();
        world.rail.start().unwrap();
        world.rail.wait_all_up(LIMIT).unwrap();
        let table = router.sh("ip route show table 20001").unwrap();
        assert!(table.contains("blackhole 203.0.113.0/24 proto static"), "{table}");
    });
}

#[test]
fn names_that_begin_alike_are_not_confused() {
    isolated(|| {
        // given wan1 and wan10 among eleven uplinks / when one of them loses its cable, then the
        // other / then that uplink leaves and no connection of the other notices
        let world = World::start(&Plan::new(11), &quick()).unwrap();
        for (dead, alive) in [(1, 10), (10, 1)] {
            // So many that each of eleven uplinks has some.
            let flows = world.flows(0, 132);
            let injected = world.topology.inject(dead, Fault::Carrier).unwrap();
            world.rail.wait_health(&format!("isp{dead}"), "no-carrier", LIMIT).unwrap();
            world.rail.wait_settled(LIMIT).unwrap();
            assert_eq!(world.rail.uplink(&format!("isp{alive}"), "health").unwrap(), "up");
            let seen = world.connect(330).unwrap();
            assert_eq!(seen.failed(), 0, "{:?}", seen.reasons());
            let source = |line: usize| world.sources()[line - 1];
            assert!(!seen.by_source().contains_key(&source(dead)), "isp{dead} is dead");
            assert!(seen.by_source().contains_key(&source(alive)), "isp{alive} is alive");
            // Those that had begun by the dead uplink may have moved here.
            let flows = flows.stop().unwrap().of(source(alive), true).of(source(dead), false);
            assert!(!flows.flows.is_empty());
            assert_eq!((flows.broken(), flows.mixed()), (0, 0), "isp{dead} died");
            injected.repair().unwrap();
            world.rail.wait_all_up(LIMIT).unwrap();
        }
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

/// Quick verdicts.
fn quick() -> ConfigText {
    let check = "interval = \"50ms\"\ntimeout = \"200ms\"\nrecover_after = 3\n".into();
    ConfigText { check, ..ConfigText::default() }
}

fn equals(router: &Node, wanted: &str) {
    eventually(LIMIT, "the first state", || {
        let difference = normal::difference(wanted, &normal::state(router).unwrap());
        if difference.is_empty() { Ok(()) } else { Err(difference) }
    });
}

const LIMIT: Duration = Duration::from_secs(20);
