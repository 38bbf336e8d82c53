//! Uplinks that come and go: how long their returns are held back, and what is deleted of them.

use super::world::{MS, World, all, uplinks};
use super::*;
use crate::config::CheckConfig;
use crate::status::Health;
use alloc::vec;

fn settled() -> World {
    let mut config = uplinks(&[1, 1]);
    config.check = CheckConfig::of(config.check.targets.clone());
    let mut world = World::new(config);
    world.run(MS * 30_000, all);
    world
}

fn second(uplink: u8, _: usize, _: u64) -> Option<Duration> {
    (uplink == 2).then_some(MS * 10)
}

impl World {
    /// How long the return of the first uplink is still held back.
    pub(super) fn hold(&self) -> Duration {
        self.router.uplinks.at(0).prober.hold_left(self.now)
    }

    /// The first uplink falls silent again and again, until its return is held back for half a minute.
    pub(super) fn fall_again_and_again(&mut self) {
        loop {
            while self.health()[0] != Health::Down {
                self.run(MS * 10, second);
            }
            if self.hold() > MS * 30_000 {
                return;
            }
            while self.health()[0] != Health::Up {
                self.run(MS * 10, all);
            }
        }
    }
}

/// Given an uplink that is held back, when the daemon is started anew, then it is held until the same
/// moment.
#[test]
fn a_restart_forgets_no_hold() {
    let mut world = settled();
    world.fall_again_and_again();
    let end = world.now + world.hold();
    let mut world = world.restart(|_| {});
    while world.health()[0] != Health::Up {
        assert!(world.now <= end + MS * 200, "{:?}", world.hold());
        world.run(MS * 10, all);
    }
    assert!(world.now >= end);
}

/// Given a suspect uplink, when the daemon is started anew, then it carries nothing until it has answered.
#[test]
fn a_restart_believes_no_suspect() {
    let mut world = settled();
    world.run(MS * 700, second);
    assert_eq!((world.health()[0], world.active()), (Health::Suspect, vec![false, true]));
    let mut silent = world.restart(|_| {});
    let mut world = settled();
    world.run(MS * 700, second);
    let mut answering = world.restart(|_| {});
    for _ in 0..6000 {
        silent.run(MS, second);
        assert_eq!(silent.active(), [false, true]);
    }
    assert_eq!(silent.health()[0], Health::Down);
    answering.run(MS * 20, all);
    assert_eq!(answering.active(), [false, true]);
    answering.run(MS * 2500, all);
    assert_eq!((answering.health()[0], answering.active()), (Health::Up, vec![true, true]));
}
