//! Somebody changes what is ours: it is repaired, and what is theirs stays.

use rail_lab::{
    ConfigText, Ends, Plan, Rail, Topology, World, eventually, figures, isolated, normal, timed,
};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const TARGET: Duration = Duration::from_millis(500);

/// A change, and how to look at what it changed; both are commands of the router.
struct Drift {
    change: String,
    look: String,
}

fn drift(change: &str, look: &str) -> Drift {
    Drift { change: change.to_owned(), look: look.to_owned() }
}

#[test]
fn drift_is_repaired_and_foreign_objects_stay() {
    timed(|| {
        // given foreign objects among ours / when each of ours is deleted or changed / then it
        // is repaired in time, and the whole state is as before
        let world = World::start(&Plan::new(3), &ConfigText::weights(&[1, 2, 3])).unwrap();
        let router = &world.topology.router;
        plant_foreign(&world);
        // Ours react to nothing of this; the state with the foreign objects is the reference.
        world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
        let before = normal::state(router).unwrap();
        let mut times = Vec::new();
        for drift in drifts(&world) {
            // starts: ip, nft, ping, sysctl
            let wanted = sorted(&router.sh(&drift.look).unwrap());
            let start = Instant::now();
            router.sh(&drift.change).unwrap();
            eventually(Duration::from_secs(5), &format!("repair of: {}", drift.change), || {
                match router.sh(&drift.look) {
                    Ok(now) if sorted(&now) == wanted => Ok(()),
                    Ok(now) => Err(now),
                    Err(error) => Err(error.to_string()),
                }
            });
            times.push((start.elapsed(), drift.change));
        }
        eventually(Duration::from_secs(3), "the state with its foreign objects", || {
            let difference = normal::difference(&before, &normal::state(router).unwrap());
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
        let rule = foreign_rule(&world);
        router.nft(&format!("delete rule inet rail {rule}\n")).unwrap();
        for change in ["nft delete table inet rail", "nft flush ruleset"] {
            times.push(repair_of_firewall(&world, change));
        }
        for key in ["key=\"rule ", "key=\"nft table "] {
            world.rail.wait_log(&[" repaired an object", key, "by=\"perhaps process "]).unwrap();
        }
        times.sort();
        let (median, worst) = (times[times.len() / 2].0, &times[times.len() - 1]);
        figures(&format!(
            "{} repairs: median {median:?}, worst {:?} ({})",
            times.len(),
            worst.0,
            worst.1
        ));
        assert!(worst.0 <= TARGET, "{times:?}");
        let report = world.connect(300).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    });
}

/// These take foreign rules too: only ours must come back.
fn repair_of_firewall(world: &World, change: &str) -> (Duration, String) {
    let router = &world.topology.router;
    let wanted = router.sh("nft -s list table inet rail").unwrap();
    let start = Instant::now();
    router.sh(change).unwrap();
    eventually(Duration::from_secs(5), &format!("repair of: {change}"), || {
        match router.sh("nft -s list table inet rail") {
            Ok(now) if now == wanted => Ok(()),
            Ok(now) => Err(now),
            Err(error) => Err(error.to_string()),
        }
    });
    (start.elapsed(), change.to_owned())
}

/// Of rules with one priority, which differ by device alone, the order means nothing.
fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort_unstable();
    lines
}

/// Each policy rule of ours, tables, default routes, an address, settings, rules and a whole chain
/// of the firewall.
fn drifts(world: &World) -> Vec<Drift> {
    let router = &world.topology.router;
    let rules = "ip rule show";
    let text = router.sh(rules).unwrap();
    let mut all: Vec<Drift> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter(|(priority, _)| {
            priority.parse::<u32>().is_ok_and(|p| (20000..21000).contains(&p) && p != FOREIGN_RULE)
        })
        .map(|(priority, _)| drift(&format!("ip rule del priority {priority}"), rules))
        .collect();
    assert!(all.len() >= 11, "too few rules of ours: {text}");
    all.extend([
        drift("ip route flush table 20002 proto 82", "ip route show table 20002"),
        drift("ip route del default table 20001 metric 0", "ip route show table 20001"),
        drift("ip route del default table 20000", "ip route show table 20000"),
        drift("ip route flush table 20000", "ip route show table 20000"),
        drift("ip addr del 100.64.3.2/24 dev wan3", "ip -o -4 addr show dev wan3"),
        drift("sysctl -qw net.ipv4.ip_forward=0", "sysctl net.ipv4.ip_forward"),
        drift("sysctl -qw net.ipv4.conf.wan1.rp_filter=1", "sysctl net.ipv4.conf.wan1.rp_filter"),
        drift(
            "sysctl -qw net.ipv4.fib_multipath_hash_policy=0",
            "sysctl net.ipv4.fib_multipath_hash_policy",
        ),
        drift("nft flush map inet rail slots", "nft -s list map inet rail slots"),
    ]);
    // Not the chain with the foreign rule: where ours stood relative to it is not known.
    for (chain, handle) in our_rules(world).into_iter().skip(1) {
        let look = format!("nft -s list chain inet rail {chain}");
        all.push(drift(&format!("nft delete rule inet rail {chain} handle {handle}"), &look));
    }
    all.push(drift("nft flush chain inet rail forward", "nft -s list chain inet rail forward"));
    all
}

/// The first rules of ours in three different chains.
fn our_rules(world: &World) -> Vec<(String, u64)> {
    let text = world.topology.router.sh("nft -j list table inet rail").unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let mut found: Vec<(String, u64)> = Vec::new();
    for rule in json["nftables"].as_array().into_iter().flatten().map(|item| &item["rule"]) {
        let ours = rule["comment"].as_str().is_some_and(|c| c.starts_with("rail:"));
        let chain = rule["chain"].as_str().unwrap_or_default().to_owned();
        if ours && found.len() < 3 && found.iter().all(|(c, _)| *c != chain) {
            found.push((chain, rule["handle"].as_u64().unwrap()));
        }
    }
    assert_eq!(found.len(), 3, "rules of ours carry their stamp: {text}");
    found
}

const FOREIGN_RULE: u32 = 20950;

fn plant_foreign(world: &World) {
    let router = &world.topology.router;
    router
        .ip_batch(&format!(
            "rule add from 203.0.113.9 lookup main priority {FOREIGN_RULE}\n\
             rule add from 203.0.113.9 lookup main priority 30000\n\
             route add 203.0.113.0/24 via 100.64.1.1 table 20001\n\
             route add 203.0.113.0/25 via 100.64.1.1\n\
             addr add 203.0.113.77/32 dev wan1\n"
        ))
        .unwrap();
    let chain = our_rules(world).remove(0).0;
    router
        .nft(&format!(
            "table inet other {{ chain c {{ tcp dport 1 accept\n }}\n }}\n\
             add rule inet rail {chain} tcp dport 1 counter comment \"theirs\"\n"
        ))
        .unwrap();
}

/// Chain and handle of the foreign rule in our table.
fn foreign_rule(world: &World) -> String {
    let text = world.topology.router.sh("nft -j list table inet rail").unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rules = json["nftables"].as_array().into_iter().flatten().map(|item| &item["rule"]);
    let theirs = rules.into_iter().find(|rule| rule["comment"] == "theirs").unwrap();
    format!("{} handle {}", theirs["chain"].as_str().unwrap(), theirs["handle"])
}

#[test]
fn a_rival_is_shown_as_contested_and_slows_us_down() {
    isolated(|| {
        // given a rival that deletes one of our rules whenever it is there / when it goes on /
        // then status says so, our repairs become rare, and what is forwarded lives meanwhile
        let world = World::start(&Plan::new(2), &ConfigText::weights(&[1, 1])).unwrap();
        let stop = AtomicBool::new(false);
        let wins = AtomicUsize::new(0);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    if world.topology.router.sh("ip rule del priority 20900").is_ok() {
                        wins.fetch_add(1, Ordering::Relaxed);
                    }
                    std::thread::sleep(Duration::from_millis(20));
                }
            });
            let ends = Ends(&stop);
            let contested = rail_lab::try_eventually(Duration::from_secs(20), "contested", || {
                let status = world.rail.status().map_err(|e| e.to_string())?;
                let mut trouble = status["trouble"].as_array().into_iter().flatten();
                let found = trouble.find(|t| t["contested"] == true).cloned();
                found.ok_or_else(|| status["trouble"].to_string())
            });
            let before = wins.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_secs(3));
            let slow = wins.load(Ordering::Relaxed) - before;
            let report = world.connect(200);
            drop(ends);
            let contested = contested.unwrap();
            figures(&format!("{before} fights, then {slow} in 3 s; {}", contested["text"]));
            assert!(slow <= 3, "{slow} repairs in 3 s");
            let report = report.unwrap();
            assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        });
        // The rule that the rival took is that of the router's own traffic.
        eventually(Duration::from_secs(20), "the router's own traffic", || {
            let ping = "ping -n -q -c 3 -i 0.2 -W 1 192.0.2.50";
            world.topology.router.sh(ping).map_err(|error| error.to_string())
        });
    });
}

#[test]
fn a_foreign_route_in_our_place_stays() {
    isolated(|| {
        // given somebody else's default in the table of an uplink / when the daemon starts / then that
        // route stays and is shown, the uplink is no-way and the other one is up; when it goes, ours comes
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let router = &topology.router;
        router.sh("ip link set wan1 up").unwrap();
        router.sh("ip route add default via 100.64.1.1 dev wan1 onlink table 20001").unwrap();
        let look = "ip route show table 20001 metric 0";
        let before = router.sh(look).unwrap();
        assert!(!before.contains("proto"), "{before}");
        let config = topology.config(&ConfigText::weights(&[1, 1]));
        let mut rail = Rail::new(router, &config).unwrap();
        rail.launch().unwrap();
        rail.wait_health("isp2", "up", Duration::from_secs(10)).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        assert_eq!(router.sh(look).unwrap(), before);
        let status = rail.status().unwrap();
        let shown = |trouble: &serde_json::Value| {
            trouble["object"] == "route default table 20001"
                && trouble["text"].as_str().is_some_and(|text| text.starts_with("a foreign route"))
        };
        let mut trouble = status["trouble"].as_array().into_iter().flatten();
        assert!(trouble.any(shown), "{}", status["trouble"]);
        assert_eq!(rail.uplink("isp1", "health").unwrap(), "no-way");
        router.sh("ip route del default via 100.64.1.1 table 20001").unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let after = router.sh(look).unwrap();
        assert!(after.contains("proto 82"), "{after}");
    });
}
