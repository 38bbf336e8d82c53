//! Which uplinks carry, what is told, and whose connections are deleted.

use super::world::{MS, START, World, all, uplinks};
use crate::status::Health;

/// Given an interface that vanished while no daemon ran, then the next one says so, keeps it in
/// mind, and has its connections deleted.
#[test]
fn what_happened_while_no_daemon_ran_is_seen() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    let config = world.config.clone();
    let mut world = world.restart(|state| World::unplug(state, &config, 0));
    world.run(MS * 5000, all);
    assert_eq!(world.active(), [false, true]);
    assert_eq!(world.told(START)[0], ("isp1".into(), Health::Absent));
    assert!(!world.router.books[0].cause.is_empty());
    assert_eq!(world.router.saved.verdicts["isp1"], Health::Absent);
    assert!(world.moved(1, START) > 0, "{:?}", world.purges);
}
