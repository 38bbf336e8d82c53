//! Rules of others on the router, loaded before rail and after: none of them is changed, each
//! conflict is named with what to do, and what is named is what happens to traffic.

use rail_lab::node::veth;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, Node, Plan, Rail, Topology, World, eventually,
    isolated,
};
use serde_json::Value;
use std::net::Ipv4Addr;
use std::process::Command;
use std::time::Duration;

/// Somebody's rules, what opens them, and what is to be said of them.
struct Theirs {
    /// Loads them; `true`: those that let ours pass.
    load: fn(&Node, bool),
    tables: &'static [&'static str],
    owner: &'static str,
    /// Parts of what is told as object, effect and remedy.
    told: [&'static str; 3],
}

const DOCKER: Theirs = Theirs {
    load: |router, opened| {
        iptables(
            router,
            match opened {
                false => include_str!("fixtures/docker.iptables"),
                true => {
                    "*filter\n-I DOCKER-USER -i lan0 -j ACCEPT\n-I DOCKER-USER -o lan0 \
                     -m conntrack --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT\nCOMMIT\n"
                }
            },
        );
    },
    tables: &["ip filter", "ip nat"],
    owner: "Docker",
    told: [
        "iptables table ip filter, chain FORWARD: policy drop",
        "drops what is forwarded between lan0 and wan1, wan2",
        "iptables -I DOCKER-USER -i lan0 -j ACCEPT; iptables -I DOCKER-USER -o lan0 -m conntrack \
         --ctstate RELATED,ESTABLISHED,DNAT -j ACCEPT",
    ],
};

const UFW: Theirs = Theirs {
    load: |router, opened| {
        iptables(
            router,
            match opened {
                false => include_str!("fixtures/ufw.iptables"),
                // What `ufw route allow in on lan0 out on wan1` adds, for both uplinks.
                true => {
                    "*filter\n-A ufw-user-forward -i lan0 -o wan1 -j ACCEPT\n\
                     -A ufw-user-forward -i lan0 -o wan2 -j ACCEPT\nCOMMIT\n"
                }
            },
        );
    },
    tables: &["ip filter"],
    owner: "ufw",
    told: [
        "iptables table ip filter, chain FORWARD: policy drop",
        "drops new connections from lan0 to wan1, wan2",
        "ufw route allow in on lan0 out on wan1; ufw route allow in on lan0 out on wan2",
    ],
};

const FIREWALLD: Theirs = Theirs {
    load: |router, opened| {
        router
            .nft(match opened {
                false => include_str!("fixtures/firewalld.nft"),
                true => {
                    "add chain inet firewalld filter_FWD_inside-out\n\
                     add rule inet firewalld filter_FWD_inside-out accept\n\
                     add rule inet firewalld filter_FWD_public_pre iifname \"lan0\" oifname \
                     { \"wan1\", \"wan2\" } jump filter_FWD_inside-out\n"
                }
            })
            .unwrap();
    },
    tables: &["inet firewalld"],
    owner: "firewalld",
    told: [
        "nft table inet firewalld, chain filter_FWD_public: rule with handle",
        "drops new connections from lan0 to wan1, wan2",
        "firewall-cmd --permanent --policy inside-out",
    ],
};

fn iptables(router: &Node, text: &str) {
    router.feed(Command::new("iptables-restore").arg("--noflush"), text).unwrap();
}

/// These tables, without counters.
fn dump(router: &Node, tables: &[&str]) -> String {
    tables.iter().map(|t| router.sh(&format!("nft -s -a list table {t}")).unwrap()).collect()
}

/// The conflicts, once they are as many.
fn conflicts(rail: &Rail, count: usize) -> Vec<Value> {
    eventually(Duration::from_secs(10), "the conflicts to be told", || {
        let status = rail.status().map_err(|e| e.to_string())?;
        let found = status["conflicts"].as_array().cloned().unwrap_or_default();
        assert_eq!(status["unread"], serde_json::json!([]), "something could not be read");
        if found.len() == count { Ok(found) } else { Err(format!("{found:#?}")) }
    })
}

/// A world in which `before` was done to the router before rail started, and what came of that.
fn world<T>(before: impl FnOnce(&Node) -> T) -> (World, T) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    let before = before(&topology.router);
    let world = World::begin(topology, &ConfigText::default()).unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    (world, before)
}

/// Failover and back, reload, stop and start; `unchanged` is asked after each.
fn live(world: &mut World, unchanged: impl Fn(&Node, &str)) {
    let router = world.topology.router.clone();
    let injected = world.topology.inject(1, Fault::Gateway).unwrap();
    world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
    unchanged(&router, "a failover");
    injected.repair().unwrap();
    world.rail.wait_all_up(Duration::from_secs(20)).unwrap();
    world.rail.reload(&world.topology.config(&ConfigText::weights(&[2, 1]))).unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    unchanged(&router, "a reload");
    world.rail.stop(true).unwrap();
    unchanged(&router, "a stop");
    world.rail.start().unwrap();
    world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
    unchanged(&router, "a start");
}

/// Closed: named, and nothing passes. Opened as the remedy says: no longer named, and all passes.
fn closes_and_opens(theirs: &Theirs, comes_first: bool) {
    let (mut world, ()) = world(|router| {
        if comes_first {
            (theirs.load)(router, false);
        }
    });
    let router = world.topology.router.clone();
    if !comes_first {
        conflicts(&world.rail, 0);
        (theirs.load)(&router, false);
    }
    let before = dump(&router, theirs.tables);
    let found = conflicts(&world.rail, 1).remove(0);
    assert_eq!((&found["owner"], &found["kind"]), (&theirs.owner.into(), &"drops".into()));
    assert_eq!(found["certain"], true);
    for (field, part) in ["object", "effect", "remedy"].into_iter().zip(theirs.told) {
        assert!(found[field].as_str().unwrap().contains(part), "{part} in {found:#}");
    }
    let screen = world.rail.ask(&["status"]).unwrap();
    let screen = String::from_utf8_lossy(&screen.stdout).into_owned();
    assert!(screen.contains(&format!("conflict   {}", theirs.owner)), "{screen}");
    let plan = ConnectorPlan { timeout: Duration::from_millis(300), ..world.plan() };
    let few = ConnectorPlan { count: Some(3), ..plan };
    let closed = Connector::start(&world.topology.client, few).finish().unwrap();
    assert_eq!(closed.failed(), 3, "what is named must be what happens");
    assert_eq!(dump(&router, theirs.tables), before, "looking changed their rules");

    (theirs.load)(&router, true);
    conflicts(&world.rail, 0);
    let opened = dump(&router, theirs.tables);
    assert_eq!(world.connect(200).unwrap().failed(), 0);
    live(&mut world, |router, what| {
        assert_eq!(dump(router, theirs.tables), opened, "{what} changed their rules");
    });
    conflicts(&world.rail, 0);
    assert_eq!(world.topology.wrong_sources().unwrap(), 0);
}

// Given rules that drop what is forwarded, before rail starts or after / when they are opened as
// status says / then the conflict is over, traffic flows, and their rules are what they were.

#[test]
fn docker_before_rail() {
    isolated(|| closes_and_opens(&DOCKER, true));
}

#[test]
fn docker_after_rail() {
    isolated(|| closes_and_opens(&DOCKER, false));
}

#[test]
fn ufw_before_rail() {
    isolated(|| closes_and_opens(&UFW, true));
}

#[test]
fn ufw_after_rail() {
    isolated(|| closes_and_opens(&UFW, false));
}

#[test]
fn firewalld_before_rail() {
    isolated(|| closes_and_opens(&FIREWALLD, true));
}

#[test]
fn firewalld_after_rail() {
    isolated(|| closes_and_opens(&FIREWALLD, false));
}

const PEER: Ipv4Addr = Ipv4Addr::new(100, 101, 1, 2);

/// The rules, the policy rules and the table of a subnet router of Tailscale, with a device of
/// that name and a peer behind it.
fn tailscale(router: &Node) -> Node {
    let peer = Node::new("peer").unwrap();
    veth((router, "tailscale0"), (&peer, "eth0")).unwrap();
    router
        .ip_batch(
            "addr add 100.101.102.103/32 dev tailscale0\nlink set tailscale0 up\n\
             route add 100.101.1.2/32 dev tailscale0 table 52\n\
             rule add priority 5210 fwmark 0x80000/0xff0000 lookup main\n\
             rule add priority 5230 fwmark 0x80000/0xff0000 lookup default\n\
             rule add priority 5250 fwmark 0x80000/0xff0000 unreachable\n\
             rule add priority 5270 lookup 52\n",
        )
        .unwrap();
    peer.ip_batch(
        "addr add 100.101.1.2/32 dev eth0\nlink set eth0 up\nlink set lo up\n\
         route add 100.101.102.103/32 dev eth0\nroute add default via 100.101.102.103\n",
    )
    .unwrap();
    router.wait_for_carrier().unwrap();
    peer.wait_for_carrier().unwrap();
    iptables(router, include_str!("fixtures/tailscale.iptables"));
    peer
}

fn tailscale_dump(router: &Node) -> String {
    let rules = router.sh("ip rule").unwrap();
    let rules: Vec<&str> = rules.lines().filter(|line| line.starts_with("52")).collect();
    // The kernel may see the carrier of a new device a moment later.
    let routes = router.sh("ip route show table 52").unwrap().replace(" linkdown", "");
    dump(router, &["ip filter", "ip nat"]) + &rules.join("\n") + &routes
}

/// Given Tailscale as a subnet router / when a peer and hosts inside use the uplinks / then both
/// are shared and nothing is named; an exit node and overlapping marks are.
fn beside_tailscale(comes_first: bool) {
    let (mut world, peer) = world(|router| comes_first.then(|| tailscale(router)));
    let router = world.topology.router.clone();
    let peer = peer.unwrap_or_else(|| {
        conflicts(&world.rail, 0);
        tailscale(&router)
    });
    let before = tailscale_dump(&router);
    let plan = ConnectorPlan { count: Some(200), ..world.plan() };
    let from_peer = ConnectorPlan { sources: vec![PEER], ..plan };
    let from_peer = Connector::start(&peer, from_peer).finish().unwrap();
    let inside = world.connect(200).unwrap();
    assert_eq!((from_peer.failed(), inside.failed()), (0, 0));
    assert_eq!((from_peer.by_source().len(), inside.by_source().len()), (2, 2));
    live(&mut world, |router, what| {
        assert_eq!(tailscale_dump(router), before, "{what} changed what is Tailscale's");
    });
    conflicts(&world.rail, 0);
    assert_eq!(world.topology.wrong_sources().unwrap(), 0);

    // An exit node is a default route in their table; rules are told of at once.
    router
        .ip_batch(
            "route add default dev tailscale0 table 52\n\
             rule add priority 5271 fwmark 0x80000/0xff0000 lookup main\n",
        )
        .unwrap();
    let found = conflicts(&world.rail, 1).remove(0);
    assert_eq!((&found["owner"], &found["kind"]), (&"Tailscale".into(), &"diverts".into()));
    assert_eq!(found["object"], "ip rule 5270: from all lookup 52");

    let text =
        ConfigText { rest: "[ranges]\nmarks = \"0x007f0000\"\n".into(), ..Default::default() };
    world.rail.write_config(&world.topology.config(&text)).unwrap();
    let config = world.rail.config_path();
    let told = world.rail.command(&["check", "--config", config.to_str().unwrap()]).unwrap();
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    for part in [
        "Tailscale: uses bits of the marks that are ours, 0x007f0000 (2 rules)",
        "ip rule 5210: from all fwmark 0x80000/0xff0000 lookup main",
        "[ranges] marks = \"0x7f000000\"",
    ] {
        assert!(told.contains(part), "{part} in {told}");
    }
}

#[test]
fn tailscale_before_rail() {
    isolated(|| beside_tailscale(true));
}

#[test]
fn tailscale_after_rail() {
    isolated(|| beside_tailscale(false));
}

#[test]
fn external_rules_that_are_not_loaded_are_missed() {
    isolated(|| {
        // given mode external without the generated rules / when they are loaded / then they are
        // missed no longer, and are no conflict themselves
        let text =
            ConfigText { rest: "[firewall]\nmode = \"external\"\n".into(), ..Default::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let found = conflicts(&world.rail, 1).remove(0);
        assert_eq!(found["kind"], "not-loaded");
        let config = world.rail.config_path();
        let state = world.rail.runtime_dir().with_file_name("state");
        for format in ["nft", "iptables"] {
            let words = ["generate", "firewall", "--format", format, "--config"];
            let printed = world
                .rail
                .command(
                    &[
                        &words[..],
                        &[config.to_str().unwrap(), "--state-dir", state.to_str().unwrap()],
                    ]
                    .concat(),
                )
                .unwrap();
            let rules = String::from_utf8(printed.stdout).unwrap();
            if format == "nft" {
                world.topology.router.nft(&rules).unwrap();
                conflicts(&world.rail, 0);
                world.topology.router.nft("delete table inet uplinks\n").unwrap();
                conflicts(&world.rail, 1);
            } else {
                iptables(&world.topology.router, &rules);
                conflicts(&world.rail, 0);
            }
        }
    });
}
