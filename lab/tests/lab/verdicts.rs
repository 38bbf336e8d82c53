//! Which uplinks are dead, which are not, and which targets are to blame.

use rail_lab::topology::targets;
use rail_lab::{ConfigText, Fault, Plan, World, eventually, figures, isolated, timed};
use std::time::{Duration, Instant};

fn world(lines: usize) -> World {
    World::start(&Plan::new(lines), &ConfigText::default()).unwrap()
}

/// Number of changes of health, and the role.
fn record(world: &World, name: &str) -> (String, String) {
    (world.rail.uplink(name, "transitions").unwrap(), world.rail.uplink(name, "role").unwrap())
}

#[test]
fn one_silent_target_of_three_changes_nothing() {
    isolated(|| {
        let world = world(2);
        let before = record(&world, "isp1");
        let _injected = world.topology.inject(1, Fault::Target(targets()[0])).unwrap();
        let seen = world.rail.watch_health("isp1", Duration::from_secs(6)).unwrap();
        figures(&format!("{seen:?}"));
        assert_eq!(seen, ["up"]);
        assert_eq!(record(&world, "isp1"), before);
        let failed = world.connect(200).unwrap().failed();
        assert_eq!(failed, 0);
    });
}

#[test]
fn a_target_silent_everywhere_is_blamed() {
    isolated(|| {
        let world = world(3);
        let target = targets()[1];
        world.topology.silence(target).unwrap();
        let start = Instant::now();
        let blamed = || -> Result<Duration, String> {
            let status = world.rail.status().map_err(|e| e.to_string())?;
            let list = status["blamed"].as_array().cloned().unwrap_or_default();
            let found = list.iter().any(|one| *one == target.to_string());
            if found { Ok(start.elapsed()) } else { Err(status["blamed"].to_string()) }
        };
        let after = eventually(Duration::from_secs(15), "blame", blamed);
        for name in ["isp1", "isp2", "isp3"] {
            let seen = world.rail.watch_health(name, Duration::from_secs(1)).unwrap();
            assert!(!seen.iter().any(|health| health == "down"), "{name}: {seen:?}");
        }
        world.topology.unsilence().unwrap();
        eventually(Duration::from_secs(15), "forgiveness", || {
            if blamed().is_err() { Ok(()) } else { Err("still blamed") }
        });
        figures(&format!("blamed after {after:?}"));
    });
}

#[test]
fn the_death_of_a_sole_line_is_seen() {
    isolated(|| {
        let world = world(1);
        let injected = world.topology.inject(1, Fault::SecondHop).unwrap();
        let down = world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        let code = world.rail.ask(&["status"]).unwrap().status.code();
        figures(&format!("down after {:?}, exit code {code:?}", down - injected.since));
        assert_eq!(code, Some(2));
        injected.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
        assert_eq!(world.rail.ask(&["status"]).unwrap().status.code(), Some(0));
    });
}

#[test]
fn flows_of_a_sole_line_survive_its_death() {
    timed(|| {
        // given 100 TCP flows over the only uplink / when it is dead for five seconds / then no
        // flow is reset, and all go on
        let world = world(1);
        let flows = world.flows(100, 0);
        world.rail.wait_all_up(Duration::from_secs(5)).unwrap();
        let injected = world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        let left = Duration::from_secs(5).saturating_sub(injected.since.elapsed());
        world.rail.watch_health("isp1", left).unwrap();
        injected.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
        // TCP doubles its patience: a ping that was lost comes again within about the same
        // time as the uplink was dead.
        let seen = world.rail.watch_health("isp1", Duration::from_secs(6)).unwrap();
        let report = flows.stop().unwrap();
        // The twentieth ping from the end was sent a second before it.
        let goes_on = |pings: &[(Instant, Option<Instant>)]| {
            pings.iter().rev().nth(20).is_some_and(|(_, answer)| answer.is_some())
        };
        let whole = report.flows.iter().filter(|flow| goes_on(&flow.pings)).count();
        figures(&format!("{} resets, {whole} of 100 go on; then {seen:?}", report.broken()));
        assert_eq!((report.broken(), whole), (0, 100));
    });
}

#[test]
fn a_slow_line_stays_up() {
    isolated(|| {
        // given a round trip that steps to 600 ms / when it goes on / then the uplink is doubted once
        // at the most, and is never down
        let world = world(2);
        let delay = Fault::Latency(Duration::from_millis(600));
        let injected = world.topology.inject(1, delay).unwrap();
        let seen = world.rail.watch_health("isp1", Duration::from_secs(12)).unwrap();
        let role = world.rail.uplink("isp1", "role").unwrap();
        let back = injected.repair().unwrap();
        let end = world.rail.watch_health("isp1", Duration::from_secs(3)).unwrap();
        figures(&format!("{seen:?}, {end:?} in {:?} after the repair", back.elapsed()));
        let doubts = seen.iter().filter(|health| *health == "suspect").count();
        assert!(
            doubts <= 1 && seen.iter().all(|health| health == "up" || health == "suspect"),
            "{seen:?}"
        );
        assert_eq!((role.as_str(), end), ("active", vec!["up".into()]));
    });
}
