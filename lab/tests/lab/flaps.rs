//! A cable that comes and goes: each loss is seen at once, and few of them cost a change of role.

use rail_lab::{ConfigText, Fault, Plan, World, figures, isolated};
use std::thread;
use std::time::{Duration, Instant};

const PERIOD: Duration = Duration::from_secs(2);

#[test]
fn a_flapping_cable_costs_few_changes_of_role() {
    isolated(|| {
        // given quick checks and `damping` / when a cable comes and goes for 20 s / then each loss is seen at
        // once; three of them cost a change of role and a return, and the fourth holds the uplink back
        let check = "interval = \"20ms\"\ntimeout = \"100ms\"\nrecover_after = 2\n\
                     damping = { half_life = \"60s\", suppress = 3, reuse = 1 }\n";
        let tiers = vec!["1", "2"];
        let text = ConfigText { tiers, check: check.into(), ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let (net, rail) = (&world.topology, &world.rail);
        let before = rail.changes_of_role("isp1").unwrap();
        let (start, mut slowest, mut falls) = (Instant::now(), Duration::ZERO, 0);
        while start.elapsed() < Duration::from_secs(20) {
            let begin = Instant::now();
            let injected = net.inject(1, Fault::Carrier).unwrap();
            let seen = rail.wait_health("isp1", "no-carrier", Duration::from_secs(2)).unwrap();
            slowest = slowest.max(seen - begin);
            thread::sleep(PERIOD / 4);
            injected.repair().unwrap();
            thread::sleep(PERIOD * 3 / 4);
            falls += 1;
        }
        let changes = rail.changes_of_role("isp1").unwrap() - before;
        figures(&format!("{falls} losses of the carrier, {changes} changes of role, {slowest:?}"));
        assert!((3..=7).contains(&changes), "{changes}");
        assert_eq!(rail.uplink("isp1", "health").unwrap(), "held");
        assert_eq!(rail.uplink("isp2", "role").unwrap(), "active");
    });
}
