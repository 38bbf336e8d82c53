//! What of the machine itself keeps an uplink from its work: each thing is named with what to do,
//! told once when it appears and once when it is gone, and nothing else is said meanwhile.

use rail_lab::{ConfigText, Node, Plan, Rail, Topology, World, eventually, isolated};
use serde_json::Value;
use std::time::Duration;

/// Something that is in the way: how it comes and goes, and what is said of it.
struct Case {
    comes: &'static str,
    goes: &'static str,
    kind: &'static str,
    told: [&'static str; 2],
    /// The uplink whose `rail why` says it, too.
    why: Option<&'static str>,
}

const CASES: [Case; 8] = [
    Case {
        comes: "ip route add unreachable 224.0.0.0/3; ip route add unreachable 128.0.0.0/2; \
                ip route add unreachable 64.0.0.0/3",
        goes: "ip route del unreachable 224.0.0.0/3; ip route del unreachable 128.0.0.0/2; \
               ip route del unreachable 64.0.0.0/3",
        kind: "refuses",
        told: [
            "refuse 50 % of all destinations to everybody",
            "ip route del unreachable 128.0.0.0/2",
        ],
        why: None,
    },
    Case {
        comes: "ip route add 0.0.0.0/1 dev vpn0; ip route add 128.0.0.0/1 dev vpn0",
        goes: "ip route del 0.0.0.0/1; ip route del 128.0.0.0/1",
        kind: "diverts",
        told: ["\"0.0.0.0/1 dev vpn0\", \"128.0.0.0/1 dev vpn0\" divert all", "redirect-gateway"],
        why: None,
    },
    Case {
        comes: "ip link add br7 type bridge; ip link set wan1 master br7",
        goes: "ip link set wan1 nomaster; ip link del br7",
        kind: "device",
        told: ["interface wan1 is a port of the bridge br7", "write br7"],
        why: Some("isp1"),
    },
    Case {
        comes: "ip address add 100.64.1.200/25 dev lan0",
        goes: "ip address del 100.64.1.200/25 dev lan0",
        kind: "overlap",
        told: ["on wan1 and 100.64.1.200/25 on lan0 overlap", "other addresses"],
        why: Some("isp1"),
    },
    Case {
        comes: "ip address add 100.64.2.2/32 dev vpn0",
        goes: "ip address del 100.64.2.2/32 dev vpn0",
        kind: "address",
        told: ["100.64.2.2 is the address of uplink isp2", "ip address del 100.64.2.2/32 dev vpn0"],
        why: Some("isp2"),
    },
    Case {
        comes: "ip address add 100.64.2.77/32 dev vpn0",
        goes: "ip address del 100.64.2.77/32 dev vpn0",
        kind: "closed",
        told: [
            "interface vpn0 is closed as uplink isp2 is: the file does not name it, and its address \
             100.64.2.77/32 is in the uplink's network 100.64.2.0/24",
            "name it as a [[network]] if it is yours",
        ],
        why: Some("isp2"),
    },
    Case {
        comes: "ip route add default dev vpn0 table 99; \
                ip rule add from 100.64.1.2 lookup 99 priority 1000",
        goes: "ip rule del priority 1000; ip route flush table 99",
        kind: "diverts",
        told: ["what the router itself sends by isp1", "ip rule del priority 1000"],
        why: Some("isp1"),
    },
    Case {
        comes: "ip route add default dev vpn0 table 99; \
                ip rule add to 198.18.0.0/15 lookup 99 priority 32000",
        goes: "ip rule del priority 32000; ip route flush table 99",
        kind: "shadowed",
        told: ["to 198.18.0.0/15 lookup 99: stands behind", "lookup 99 priority 19999"],
        why: None,
    },
];

/// The conflicts, once they are as many.
fn conflicts(rail: &Rail, count: usize) -> Vec<Value> {
    eventually(Duration::from_secs(10), "the conflicts to be told", || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let found = status["conflicts"].as_array().cloned().unwrap_or_default();
        if found.len() == count { Ok(found) } else { Err(format!("{found:#?}")) }
    })
}

/// Several commands of `ip`, as a person types them.
fn by_hand(node: &Node, commands: &str) {
    let lines: Vec<&str> =
        commands.split("; ").map(|line| line.trim().strip_prefix("ip ").unwrap()).collect();
    node.ip_batch(&(lines.join("\n") + "\n")).unwrap();
}

fn screen(rail: &Rail, words: &[&str]) -> String {
    let text = String::from_utf8(rail.ask(words).unwrap().stdout).unwrap();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Given a router that works / when something of its surroundings gets in its way / then status,
/// check and, for an uplink, why name it with the remedy; when it is gone, nobody speaks of it.
#[test]
fn what_is_in_the_way_is_named() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let router = topology.router.clone();
        by_hand(
            &router,
            "ip link add vpn0 type veth peer name vpn1; ip link set vpn1 up; ip link set vpn0 up",
        );
        let world = World::begin(topology, &ConfigText::default()).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        conflicts(&world.rail, 0);
        for case in &CASES {
            by_hand(&router, case.comes);
            // An address of an uplink's network on an interface without a name closes that, too.
            let count = if case.kind == "address" { 2 } else { 1 };
            let found = conflicts(&world.rail, count);
            let kind = |conflict: &&Value| conflict["kind"] == case.kind;
            let Some(found) = found.iter().find(kind) else { panic!("{found:#?}") };
            let status = screen(&world.rail, &["status"]);
            let config = world.rail.config_path();
            let check = world.rail.command(&["check", "--config", config.to_str().unwrap()]);
            let check = String::from_utf8(check.unwrap().stderr).unwrap();
            for part in case.told {
                assert!(status.contains(part), "{part} in {status}");
            }
            let remedy = found["remedy"].as_str().unwrap();
            assert!(check.contains(remedy), "{remedy} in {check}");
            if let Some(uplink) = case.why {
                let why = screen(&world.rail, &["why", uplink]);
                assert!(why.contains(case.told[0]), "{} in {why}", case.told[0]);
            }
            by_hand(&router, case.goes);
            conflicts(&world.rail, 0);
        }
        let events = String::from_utf8(world.rail.ask(&["events"]).unwrap().stdout).unwrap();
        for sentence in ["conflict with other software", "conflict resolved"] {
            assert_eq!(events.matches(sentence).count(), CASES.len() + 1, "{sentence} in {events}");
        }
    });
}

/// Given targets that say nothing / when rail starts / then each is named.
#[test]
fn what_the_file_gets_wrong_about_the_machine_is_named() {
    isolated(|| {
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let router = topology.router.clone();
        let text = topology.config(&ConfigText::default());
        let text = text.replace("targets = [", "targets = [\"192.168.1.77\", \"100.64.1.255\", ");
        let rail = Rail::run(&router, &text).unwrap();
        let found = conflicts(&rail, 2);
        let status = screen(&rail, &["status"]);
        for part in [
            "target 192.168.1.77 is a host in the LAN",
            "target 100.64.1.255 is the broadcast address of 100.64.1.0/24, the subnet of uplink isp1",
        ] {
            assert!(status.contains(part), "{part} in {status}: {found:#?}");
        }
        drop(rail);
    });
}
