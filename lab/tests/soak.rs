//! Uplinks that lose much for long. In their long form these two take half an hour of waiting: they
//! measure no time, and other tests may run beside them.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rail_lab::{ConfigText, Fault, Plan, World, figures, isolated, long};
use std::time::Duration;

fn world() -> World {
    World::start(&Plan::new(2), &ConfigText::default()).unwrap()
}

/// How often the uplink's role changed since the start of the daemon.
fn changes_of_role(world: &World) -> usize {
    let events = world.rail.ask(&["events", "--json"]).unwrap();
    let text = String::from_utf8(events.stdout).unwrap();
    assert!((1..1000).contains(&text.lines().count()), "more events than are kept");
    let is_role = |line: &&str| line.contains("\"event\":\"role\"") && line.contains("\"isp1\"");
    text.lines().filter(is_role).count()
}

#[test]
fn thirty_per_cent_loss_is_degraded() {
    isolated(|| {
        // given an uplink that loses 30 % / when it goes on / then it is degraded, new connections
        // avoid it, and it stays so
        let world = world();
        let role = || world.rail.uplink("isp1", "role").unwrap();
        let before = (role(), changes_of_role(&world));
        let _injected = world.topology.inject(1, Fault::Loss(30)).unwrap();
        world.rail.wait_health("isp1", "degraded", Duration::from_secs(60)).unwrap();
        let time = Duration::from_secs(if long() { 1800 } else { 15 });
        let seen = world.rail.watch_health("isp1", time).unwrap();
        let after = role();
        let changes = changes_of_role(&world) - before.1;
        figures(&format!("{seen:?} in {time:?}, role {after}, {changes} changes of role"));
        assert_eq!(before.0, "active");
        assert_eq!((seen, after.as_str(), changes), (vec!["degraded".to_owned()], "standby", 1));
    });
}

#[test]
fn eighty_per_cent_loss_is_down_and_does_not_flap() {
    isolated(|| {
        let world = world();
        let injected = world.topology.inject(1, Fault::Loss(80)).unwrap();
        let limit = Duration::from_secs(60);
        let down = world.rail.wait_health("isp1", "down", limit).unwrap() - injected.since;
        let transitions = || world.rail.uplink("isp1", "transitions").unwrap();
        let before = transitions();
        let time = Duration::from_secs(if long() { 600 } else { 15 });
        let seen = world.rail.watch_health("isp1", time).unwrap();
        figures(&format!("down after {down:?}, then {seen:?} in {time:?}"));
        assert_eq!((seen, transitions()), (vec!["down".to_owned()], before));
    });
}
