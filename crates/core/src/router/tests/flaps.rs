//! Uplinks that come and go: how long their returns are held back, and what is deleted of them.

use super::world::{MS, START, World, all, second, settled, uplinks};
use super::*;
use crate::config::{CheckConfig, Damping};
use crate::notice::UplinkNews;
use crate::status::Health;
use alloc::vec;

impl World {
    fn plug(&mut self, carrier: bool) {
        self.link(0).carrier = carrier;
        self.changed(Scope::LINKS);
    }

    /// How long the return of the first uplink is still held back.
    pub(super) fn hold(&self) -> Duration {
        self.router.uplinks.at(0).prober.hold_left(self.now)
    }

    /// The carrier goes for a second; how long the return takes.
    fn blink(&mut self) -> Duration {
        self.plug(false);
        self.run(MS * 1000, all);
        self.plug(true);
        let start = self.now;
        while self.health()[0] != Health::Up {
            self.run(MS * 10, all);
        }
        self.now.since(start)
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

/// Given a carrier that goes and comes, when that happens twice, then the uplink returns after its good
/// rounds; when it goes on, then it is held for longer each time.
#[test]
fn a_flapping_carrier_is_damped() {
    let mut world = settled(&[1, 1]);
    for held in [0, 0, 5, 10, 20] {
        let took = world.blink();
        let least = MS * held.max(2) * 1000 - MS * 1000;
        assert!((least..=least + MS * 2700).contains(&took), "{held}: {took:?}");
        world.run(MS * 6000, all);
    }
    let start = world.now;
    for _ in 0..60 {
        world.plug(false);
        world.run(MS * 1000, all);
        world.plug(true);
        world.run(MS * 9000, all);
    }
    let returns = world.reported(start).iter().filter(|(_, health)| *health == Health::Up).count();
    assert!(returns <= 5, "{returns}");
}

/// Given an uplink that is held back, when its carrier blinks, then it is held for as long as before.
#[test]
fn a_blink_ends_no_hold() {
    let mut world = settled(&[1, 1]);
    world.fall_again_and_again();
    let end = world.now + world.hold();
    let took = world.blink();
    assert!(world.now >= end && took > MS * 20_000, "{took:?}");
}

/// Given an uplink that is held back, then it says that it answers, and what it fell for.
#[test]
fn a_held_uplink_answers() {
    let mut world = settled(&[1, 1]);
    world.fall_again_and_again();
    world.run(MS * 5000, all);
    let cause = world.router.status(world.now).uplinks[0].cause.clone();
    assert_eq!(world.health()[0], Health::Held);
    assert!(cause.starts_with("answers again; it fell: no answer from any target for "), "{cause}");
}

/// Given an uplink that is held back, when the daemon is started anew, then it is held until the same
/// moment.
#[test]
fn a_restart_forgets_no_hold() {
    let mut world = settled(&[1, 1]);
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
    let mut world = settled(&[1, 1]);
    world.run(MS * 700, second);
    assert_eq!((world.health()[0], world.active()), (Health::Suspect, vec![false, true]));
    let mut silent = world.restart(|_| {});
    let mut world = settled(&[1, 1]);
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

/// Given a carrier that returns while nothing answers, then the connections that were deleted when it went
/// are not deleted again: they are swept once.
#[test]
fn another_reason_deletes_nothing_again() {
    let mut world = settled(&[1, 1]);
    world.plug(false);
    world.run(MS * 1000, second);
    world.plug(true);
    world.run(MS * 10_000, second);
    assert_eq!(world.health()[0], Health::Down);
    assert_eq!(world.moved(1, START), 2, "{:?}", world.purges);
}

/// Given a carrier or answers that come and go for 20 s, at any period, then the uplink loses its role the
/// moment its carrier goes, whatever its falls; and it has it back no more often than it can have shown
/// that it is good. With `damping` the same holds.
#[test]
fn flapping_costs_few_changes_of_role_at_any_period() {
    let damping = Damping { half_life: Duration::from_secs(60), suppress: 3, reuse: 1 };
    for damping in [None, Some(damping)] {
        for period in [100, 200, 500, 1000, 2000, 5000, 10_000] {
            for by_carrier in [true, false] {
                let mut config = uplinks(&[1, 2]);
                config.check = CheckConfig::of(config.check.targets.clone());
                config.check.damping = damping;
                let mut world = World::new(config);
                world.run(MS * 5000, all);
                let (start, half) = (world.now, MS * (period / 2));
                while world.now.since(start) < MS * 20_000 {
                    if by_carrier {
                        world.plug(false);
                        assert_eq!(world.active(), [false, true], "{period}");
                        world.run(half, all);
                        world.plug(true);
                    } else {
                        world.run(half, second);
                    }
                    world.run(half, all);
                }
                let is_its = |n: &Notice| match n {
                    Notice::Uplink(UplinkNews::Role { uplink, .. }) => uplink == "isp1",
                    _ => false,
                };
                let since = world.notices.iter().filter(|(at, _)| *at >= start);
                let changes = since.filter(|(_, n)| is_its(n)).count();
                // A return takes 2.5 s of answers, the end of a doubt 1 s of them.
                let flaps = usize::try_from(20_000 / period.max(2000)).unwrap();
                let what = if by_carrier { "carrier" } else { "silence" };
                assert!(changes <= 2 * flaps + 1, "{what} each {period} ms: {changes}");
            }
        }
    }
}

/// Given an uplink with `damping`, when it falls again and again, then the fourth fall within a half-life
/// holds its return back for H·log2(p/R), and its carrier still costs it the role at once.
#[test]
fn damping_holds_the_fourth_fall() {
    let mut config = uplinks(&[1, 2]);
    config.check = CheckConfig::of(config.check.targets.clone());
    config.check.damping =
        Some(Damping { half_life: Duration::from_secs(60), suppress: 3, reuse: 1 });
    let mut world = World::new(config);
    world.run(MS * 5000, all);
    for held in [false, false, false, true] {
        let took = world.blink();
        assert_eq!(took > MS * 60_000, held, "{took:?}");
        assert!(took < MS * 112_000, "{took:?}");
        world.run(MS * 3000, all);
    }
    // A restart keeps what was counted.
    let mut world = world.restart(|_| {});
    world.run(MS * 3000, all);
    assert!(world.router.desk.saved.learnt["isp1"].falls.penalty > 0);
}
