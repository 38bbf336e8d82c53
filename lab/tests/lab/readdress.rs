//! An uplink that gets another address: nothing goes on with the old one.

use rail_lab::{ConfigText, Flows, Plan, World, eventually, figures, isolated};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

const NEW: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 3);

/// From now on the old address is anybody's; the text of the new configuration.
fn move_line(world: &World) -> String {
    // Until the change is done the old one is right; `judge` looks at what comes later.
    world.topology.excuse_sources();
    let line = world.topology.line(1);
    let old = line.address();
    line.isp
        .nft(&format!(
            "add rule inet lab guard iifname \"acc\" ip saddr {old} counter name wrong drop\n"
        ))
        .unwrap();
    world.topology.config(&tiers()).replace(&format!("{old}/24"), &format!("{NEW}/24"))
}

fn tiers() -> ConfigText {
    ConfigText { tiers: vec!["1", "2"], ..ConfigText::default() }
}

/// The flow is answered soon after the change, and no packet bears the old address any more.
fn judge(world: &World, flow: Flows, changed: Instant) {
    std::thread::sleep(Duration::from_secs(5));
    let settled = Instant::now();
    let wrong = world.topology.line(1).wrong_sources().unwrap();
    std::thread::sleep(Duration::from_secs(2));
    let later = world.topology.line(1).wrong_sources().unwrap();
    let report = flow.stop().unwrap();
    let flow = &report.flows[0];
    let first = flow.pings.iter().find(|(sent, answer)| *sent > changed && answer.is_some());
    let took = first.map(|(sent, _)| sent.duration_since(changed));
    figures(&format!("answered again after {took:?}, {wrong} packets with the old address"));
    assert_eq!(later, wrong, "{:?}", flow.sources);
    assert_eq!(flow.lost_between(settled, settled + Duration::from_secs(1)), 0);
    assert_eq!(flow.sources.len(), 2, "{:?}", flow.sources);
}

#[test]
fn a_reload_with_another_address_ends_what_has_the_old_one() {
    isolated(|| {
        // given a flow through uplink 1 / when provider and configuration give the uplink another
        // address / then the flow goes on from the new one
        let world = World::start(&Plan::new(2), &tiers()).unwrap();
        let flow = world.flows(0, 1);
        std::thread::sleep(Duration::from_secs(1));
        let config = move_line(&world);
        let changed = Instant::now();
        world.rail.reload(&config).unwrap();
        judge(&world, flow, changed);
    });
}

#[test]
fn a_restart_with_another_address_ends_what_has_the_old_one() {
    isolated(|| {
        // given a flow through the only uplink / when the file changes while no daemon runs / then
        // the flow goes on from the new address as soon as one does
        let mut world = World::start(&Plan::new(1), &tiers()).unwrap();
        let flow = world.flows(0, 1);
        std::thread::sleep(Duration::from_secs(1));
        world.rail.stop(false).unwrap();
        world.rail.write_config(&move_line(&world)).unwrap();
        let changed = Instant::now();
        world.rail.start().unwrap();
        judge(&world, flow, changed);
    });
}

#[test]
fn addresses_of_others_stay_when_ours_changes_or_goes() {
    isolated(|| {
        // given an address in the subnet of uplink 1 that somebody else has set / when the uplink gets
        // another address, and when it is disabled / then the other address stays, and the new one is
        // not lost again: the uplink waits for its check alone
        let world = World::start(&Plan::new(2), &tiers()).unwrap();
        let router = &world.topology.router;
        router.sh("ip addr add 100.64.1.9/24 dev wan1").unwrap();
        let there = || router.sh("ip -4 -o addr show dev wan1").unwrap();
        let config = move_line(&world);
        world.rail.reload(&config).unwrap();
        let healths = world.rail.watch_health("isp1", Duration::from_secs(4)).unwrap();
        figures(&format!("after the change of the address isp1 is {healths:?}"));
        let now = there();
        assert!(now.contains("100.64.1.9/") && now.contains(&format!("{NEW}/")), "{now}");
        assert!(!now.contains("100.64.1.2/"), "{now}");
        assert!(!healths.iter().any(|health| health == "down"), "{healths:?}");
        // The other one first: who removes it takes nothing of ours along.
        router.ip_batch("addr flush dev wan1\naddr add 100.64.1.9/24 dev wan1\n").unwrap();
        eventually(Duration::from_secs(5), "ours is back", || {
            let now = there();
            if now.contains(&format!("{NEW}/")) { Ok(()) } else { Err(now) }
        });
        router.sh("ip addr del 100.64.1.9/24 dev wan1").unwrap();
        let now = there();
        assert!(now.contains(&format!("{NEW}/")), "{now}");
        router.sh("ip addr add 100.64.1.9/24 dev wan1").unwrap();
        world.rail.ask(&["disable", "isp1"]).unwrap();
        let value = |of: &str| {
            router.sh(&format!("cat /proc/sys/net/ipv4/conf/{of}/promote_secondaries")).unwrap()
        };
        eventually(Duration::from_secs(5), "ours is gone", || {
            let (now, value) = (there(), [value("wan1"), value("default")]);
            let gone = !now.contains(&format!("{NEW}/")) && value[0] == value[1];
            if gone { Ok(()) } else { Err(format!("{now} {value:?}")) }
        });
        let now = there();
        assert!(now.contains("100.64.1.9/"), "{now}");
    });
}
