//! `rail stop --withdraw` leaves the system as it was before the first start.

use rail_lab::{
    ConfigText, Fault, Plan, Rail, Servers, Topology, figures, isolated, normal, topology,
};
use std::time::Duration;

#[test]
fn withdraw_restores_the_first_state() {
    isolated(|| {
        // given a system with rules, settings and a table of its own / when the daemon starts,
        // fails over, crashes, starts again, reloads, and withdraws / then all is as before
        let topology = Topology::build(&Plan::new(3)).unwrap();
        let router = &topology.router;
        router.set("net/ipv4/conf/wan2/rp_filter", "1").unwrap();
        // A hardened machine: what the kernel changes along with forwarding was 0, too.
        router.set("net/ipv4/ip_forward", "0").unwrap();
        router.set("net/ipv4/conf/all/accept_redirects", "0").unwrap();
        router.ip_batch("rule add from 203.0.113.9 lookup main priority 700\n").unwrap();
        router.nft("table inet other { chain c { tcp dport 1 accept\n }\n }\n").unwrap();
        let before = normal::state(router).unwrap();
        let text = ConfigText::weights(&[1, 2, 3]);
        let mut rail = Rail::run(router, &topology.config(&text)).unwrap();
        let limit = Duration::from_secs(10);
        rail.wait_all_up(limit).unwrap();
        let changed = normal::difference(&before, &normal::state(router).unwrap());
        let injected = topology.inject(1, Fault::Gateway).unwrap();
        rail.wait_health("isp1", "down", limit).unwrap();
        rail.kill().unwrap();
        rail.start().unwrap();
        injected.repair().unwrap();
        rail.wait_all_up(limit).unwrap();
        rail.reload(&topology.config(&ConfigText::weights(&[1, 1, 1]))).unwrap();
        rail.wait_all_up(limit).unwrap();
        let status = rail.stop(true).unwrap();
        let after = normal::state(router).unwrap();
        figures(&format!("{} lines changed, 0 left", changed.lines().count()));
        assert!(status.success(), "{status}");
        assert!(changed.lines().count() > 20, "{changed}");
        assert_eq!(normal::difference(&before, &after), "");
    });
}

#[test]
fn a_plain_stop_leaves_traffic_alone() {
    isolated(|| {
        // given traffic / when the daemon is stopped without --withdraw / then nobody notices
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let _servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
        let config = topology.config(&ConfigText::weights(&[1, 1]));
        let mut rail = Rail::run(&topology.router, &config).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let before = normal::state(&topology.router).unwrap();
        assert!(rail.stop(false).unwrap().success());
        let after = normal::state(&topology.router).unwrap();
        assert_eq!(normal::difference(&before, &after), "");
        let mut plan = rail_lab::ConnectorPlan::new(topology.clients(), &topology::servers());
        plan.count = Some(200);
        let report = rail_lab::Connector::start(&topology.client, plan).finish().unwrap();
        figures(&format!("{} of {} failed", report.failed(), report.attempts.len()));
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert_eq!(rail.ask(&["status"]).unwrap().status.code(), Some(3));
    });
}

#[test]
fn the_manual_takes_everything_away_by_hand() {
    isolated(|| {
        // given a daemon that died and cannot be started / when the commands of the manual are
        // typed / then of all that was rail's only addresses and settings are left, and nothing
        // foreign has gone
        let topology = Topology::build(&Plan::new(3)).unwrap();
        let router = &topology.router;
        router.ip_batch("rule add from 203.0.113.9 lookup main priority 20950\n").unwrap();
        let before = normal::state(router).unwrap();
        let mut rail = Rail::run(router, &topology.config(&ConfigText::default())).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        rail.kill().unwrap();
        let page = include_str!("../../../docs/install.md");
        let block = page.split("```sh by-hand\n").nth(1).unwrap().split("```").next().unwrap();
        for command in block.lines().filter(|line| !line.contains("only where")) {
            // starts: ip, nft
            router.sh(command).unwrap();
        }
        let left = normal::difference(&before, &normal::state(router).unwrap());
        // The kernel's own routes go with the addresses.
        let told = ["+ addresses: ", " settings: ", " proto kernel "];
        let is_told = |line: &&str| told.iter().any(|word| line.contains(word));
        let untold: Vec<&str> = left.lines().filter(|line| !is_told(line)).collect();
        figures(&format!("{} lines left, {} of them untold", left.lines().count(), untold.len()));
        assert!(untold.is_empty(), "{untold:#?}");
    });
}
