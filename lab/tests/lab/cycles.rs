//! Many failures and returns leave the kernel as it was after the first start.

use rail_lab::{ConfigText, Fault, Plan, World, eventually, figures, isolated, long, normal};
use std::time::{Duration, Instant};

#[test]
fn cycles_leave_the_state_as_it_was() {
    isolated(|| {
        // given quick checks / when two uplinks die and return many times / then the state
        // equals the first one
        let cycles = if long() { 1000 } else { 40 };
        let check = "interval = \"20ms\"\ntimeout = \"100ms\"\nrecover_after = 2\n";
        let text = ConfigText { check: check.into(), ..ConfigText::weights(&[1, 2, 3]) };
        let world = World::start(&Plan::new(3), &text).unwrap();
        let limit = Duration::from_secs(20);
        world.forget_falls(limit).unwrap();
        let first = normal::state(&world.topology.router).unwrap();
        let start = Instant::now();
        for cycle in 0..cycles {
            let (line, fault, dead) = match (cycle % 3, cycle < 6) {
                (0, true) => (1, Fault::Gateway, "down"),
                (2, true) => (3, Fault::SecondHop, "down"),
                (line, _) => (line + 1, Fault::Carrier, "no-carrier"),
            };
            let name = world.topology.line(line).name();
            let injected = world.topology.inject(line, fault).unwrap();
            world.rail.wait_health(&name, dead, limit).unwrap();
            injected.repair().unwrap();
            world.rail.wait_health(&name, "up", limit).unwrap();
            // An uplink that falls again and again is held back for longer each time.
            world.forget_falls(limit).unwrap();
        }
        let took = start.elapsed();
        world.rail.wait_all_up(limit).unwrap();
        eventually(Duration::from_secs(5), "the first state", || {
            let now = normal::state(&world.topology.router).unwrap();
            let difference = normal::difference(&first, &now);
            if difference.is_empty() { Ok(()) } else { Err(difference) }
        });
        figures(&format!(
            "{cycles} cycles in {took:?}, {} lines of state equal",
            first.lines().count()
        ));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}
