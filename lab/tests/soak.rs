//! Uplinks that are bad for long: they lose much, swell their round trip, or limit echoes. In their long
//! form these take half an hour of waiting: they measure no time, and other tests may run beside them.

#![expect(clippy::unwrap_used, reason = "a step that fails fails the test")]

use rail_lab::{ConfigText, Fault, Plan, World, figures, isolated, long};
use std::time::Duration;

fn world(lines: usize) -> World {
    World::start(&Plan::new(lines), &ConfigText::default()).unwrap()
}

/// So long in the long form, or 40 s.
fn time(long_form: u64) -> Duration {
    Duration::from_secs(if long() { long_form } else { 40 })
}

#[test]
fn thirty_per_cent_loss_is_degraded() {
    isolated(|| {
        // given an uplink that loses 30 % / when it goes on / then it is degraded, new connections
        // avoid it, and it stays so
        let world = world(2);
        let role = || world.rail.uplink("isp1", "role").unwrap();
        let changes = || world.rail.changes_of_role("isp1").unwrap();
        let before = (role(), changes());
        let _injected = world.topology.inject(1, Fault::Loss(30)).unwrap();
        world.rail.wait_health("isp1", "degraded", Duration::from_secs(60)).unwrap();
        let time = time(1800);
        let seen = world.rail.watch_health("isp1", time).unwrap();
        let (after, changes) = (role(), changes() - before.1);
        figures(&format!("{seen:?} in {time:?}, role {after}, {changes} changes of role"));
        assert_eq!(before.0, "active");
        // Eight losses in a row look like silence for a moment, some time in half an hour.
        let is_right = |health: &String| health == "degraded" || health == "suspect";
        assert!(seen.iter().all(is_right), "{seen:?}");
        assert_eq!((after.as_str(), changes), ("standby", 1));
    });
}

#[test]
fn eighty_per_cent_loss_is_down_and_does_not_flap() {
    isolated(|| {
        // given an uplink that loses 80 % / when it goes on / then it is down, leaves the active set
        // once, and stays down
        let world = world(2);
        let changes = || world.rail.changes_of_role("isp1").unwrap();
        let roles = changes();
        let injected = world.topology.inject(1, Fault::Loss(80)).unwrap();
        let limit = Duration::from_secs(60);
        let down = world.rail.wait_health("isp1", "down", limit).unwrap() - injected.since;
        let transitions = || world.rail.uplink("isp1", "transitions").unwrap();
        let before = transitions();
        let time = time(600);
        let seen = world.rail.watch_health("isp1", time).unwrap();
        let roles = changes() - roles;
        figures(&format!(
            "down after {down:?}, then {seen:?} in {time:?}; {roles} changes of role"
        ));
        assert_eq!((seen, transitions(), roles), (vec!["down".to_owned()], before, 1));
    });
}

#[test]
fn steps_of_latency_cost_one_doubt() {
    isolated(|| {
        // given a round trip that steps to 600 ms and back, again and again / when it goes on / then the
        // uplink is avoided once at the most, for a moment, and never down
        let world = world(2);
        let changes = || world.rail.changes_of_role("isp1").unwrap();
        let before = changes();
        let delay = world.topology.inject(1, Fault::Latency(Duration::ZERO)).unwrap();
        // In the longer time the uplink comes to rest between two steps.
        let dwell = Duration::from_secs(if long() { 20 } else { 4 });
        let steps = time(600).as_secs() / dwell.as_secs();
        let mut all: Vec<String> = Vec::new();
        for step in 0..steps {
            let by = if step % 2 == 0 { 600 } else { 0 };
            delay.change_latency(Duration::from_millis(by));
            all.extend(world.rail.watch_health("isp1", dwell).unwrap());
        }
        all.dedup();
        let (role, changes) = (world.rail.uplink("isp1", "role").unwrap(), changes() - before);
        figures(&format!("{all:?} in {steps} steps, role {role}, {changes} changes of role"));
        let is_right = |health: &String| health == "up" || health == "suspect";
        assert!(all.iter().all(is_right), "{all:?}");
        assert!(role == "active" && changes <= 2, "role {role}, {changes} changes");
    });
}

#[test]
fn who_limits_echoes_is_asked_more_slowly() {
    isolated(|| {
        // given providers that let eight and one echo a second through, and one that lets all / when it
        // goes on / then each uplink is avoided once at the most, is never down, and is used in the end.
        // The silence of the second has all others asked quickly, so the first limit is met, too.
        let world = world(3);
        let names = ["isp1", "isp2", "isp3"];
        let changes = || names.map(|name| world.rail.changes_of_role(name).unwrap());
        let before = changes();
        let _eight = world.topology.inject(1, Fault::EchoLimit(8)).unwrap();
        let _one = world.topology.inject(2, Fault::EchoLimit(1)).unwrap();
        let time = time(600);
        let seen = std::thread::scope(|scope| {
            let watch = |name| world.rail.watch_health(name, time).unwrap();
            names.map(|name| scope.spawn(move || watch(name))).map(|thread| thread.join().unwrap())
        });
        let after = changes();
        for (name, ((seen, after), before)) in names.iter().zip(seen.iter().zip(after).zip(before))
        {
            let (role, changes) = (world.rail.uplink(name, "role").unwrap(), after - before);
            figures(&format!("{name}: {seen:?} in {time:?}, role {role}, {changes} changes"));
            assert!(!seen.iter().any(|health| health == "down"), "{name}: {seen:?}");
            assert!(role == "active" && changes <= 2, "{name}: role {role}, {changes} changes");
        }
    });
}
