//! Beside other software on the router: its rules stay as they are, and traffic flows.

use rail_lab::network::{CONTAINER, container};
use rail_lab::{ConfigText, Connector, ConnectorPlan, Fault, Node, Plan, World, figures, isolated};
use std::process::Command;
use std::time::Duration;

const DOCKER: &str = include_str!("fixtures/docker.iptables");

/// Docker's part of the ruleset, without counters.
fn docker_rules(router: &Node) -> String {
    ["ip nat", "ip filter"]
        .map(|table| router.sh(&format!("nft -s list table {table}")).unwrap())
        .join("\n")
}

#[test]
fn docker_that_starts_later_changes_no_line() {
    isolated(|| {
        // given a running router / when Docker's rules come, then its users' two lines for the
        // inside, and an uplink dies / then hosts and containers are shared, and each of their
        // connections has one source; Docker's rules are as they were
        let world = World::start(&Plan::new(2), &ConfigText::default()).unwrap();
        let net = &world.topology;
        let container = container(&net.router).unwrap();
        let load = |text: &str| {
            let mut command = Command::new("iptables-restore");
            net.router.feed(command.arg("--noflush"), text).unwrap();
        };
        load(DOCKER);
        let plan = ConnectorPlan { timeout: Duration::from_millis(300), ..world.plan() };
        let shut = ConnectorPlan { count: Some(3), ..plan.clone() };
        let closed = Connector::start(&net.client, shut).finish().unwrap();
        assert_eq!(closed.failed(), 3, "Docker's policy no longer drops what is forwarded");

        load(
            "*filter\n-I DOCKER-USER -i lan0 -j ACCEPT\n\
             -I DOCKER-USER -o lan0 -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\nCOMMIT\n",
        );
        let before = docker_rules(&net.router);
        let inside = world.connect(400).unwrap();
        let plan = ConnectorPlan { sources: vec![CONTAINER], count: Some(400), ..plan };
        let contained = Connector::start(&container, plan.clone()).finish().unwrap();
        let injected = net.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        let after = Connector::start(&container, plan).finish().unwrap();
        injected.repair().unwrap();
        let wrong = net.wrong_sources().unwrap();
        let lines = [inside.by_source().len(), contained.by_source().len()];
        figures(&format!(
            "{} + {} + {} of 400 failed; lines used {lines:?}; {wrong} wrong sources",
            inside.failed(),
            contained.failed(),
            after.failed()
        ));
        let failed = inside.failed() + contained.failed() + after.failed();
        assert_eq!((failed, lines, wrong), (0, [2, 2], 0));
        assert_eq!(before, docker_rules(&net.router));
    });
}
