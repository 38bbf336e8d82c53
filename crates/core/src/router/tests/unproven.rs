//! Uplinks that have not answered yet, or cannot send: what they may take, and what not.

use super::world::{MS, World, all, uplinks};
use super::*;
use crate::status::Health;
use alloc::vec;

/// The second uplink loses half of its packets, so that it is down and answers; the first is dead.
fn half(uplink: u8, _: usize, n: u64) -> Option<Duration> {
    (uplink == 2 && n.is_multiple_of(2)).then_some(MS * 10)
}

/// Given an uplink that is down, answers and carries, when one appears that was never judged and is
/// dead, then no connection is deleted in its favour.
#[test]
fn nothing_is_deleted_in_favour_of_one_that_never_answered() {
    let mut config = uplinks(&[1, 2]);
    config.uplinks[0].enabled = false;
    let mut world = World::new(config.clone());
    world.run(MS * 20_000, all);
    world.run(MS * 60_000, half);
    assert_eq!((world.health()[1], world.active()), (Health::Down, vec![false, true]));
    config.uplinks[0].enabled = true;
    world.input(Input::Reload(Box::new(config)));
    let since = world.now;
    world.run(MS * 100, half);
    assert_eq!(world.active(), [true, false]);
    world.run(MS * 5000, half);
    assert_eq!(world.active(), [false, true]);
    assert_eq!(world.moved(2, since), 0, "{:?}", world.purges);
    // One that answers is reason enough.
    world.run(
        MS * 10_000,
        |uplink, target, n| if uplink == 1 { all(1, 0, n) } else { half(2, target, n) },
    );
    assert_eq!(world.active(), [true, false]);
    assert!(world.moved(2, since) > 0);
}
