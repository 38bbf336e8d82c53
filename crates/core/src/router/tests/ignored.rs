//! Targets that no uplink reaches are ignored, whatever starts, ends or is read anew meanwhile.

use super::world::{MS, START, World, all, first_target, nobody_fell, uplinks};
use super::*;
use crate::status::Health;

/// Which of the targets are ignored.
fn ignored(world: &World) -> Vec<bool> {
    let (targets, ignored) = (world.router.config.asked(), &world.router.uplinks.ignored);
    targets.iter().map(|target| ignored.contains(target)).collect()
}

/// Two uplinks that share, the second target dead everywhere and ignored.
fn ignoring(tiers: &[u32]) -> World {
    let mut world = World::new(uplinks(tiers));
    world.run(MS * 3000, all);
    world.run(MS * 10_000, first_target);
    assert_eq!(ignored(&world), [false, true]);
    assert!(world.health().iter().all(|health| *health == Health::Up));
    world
}

/// Given a target that is ignored, when the configuration is read anew at any moment, the checks
/// unchanged or not, then no verdict changes and no connection is deleted.
#[test]
fn a_reload_changes_no_verdict() {
    for (offset, timeout) in (0..20).map(|n| (n * 10, 500)).chain([(0, 600)]) {
        let mut world = ignoring(&[1, 1]);
        world.run(MS * offset, first_target);
        let since = world.now;
        let mut config = world.config.clone();
        config.router.name = "other".into();
        config.check.timeout = MS * timeout;
        world.input(Input::Reload(Box::new(config)));
        let rtt = |uplink: u8| if uplink == 1 { MS * 10 } else { MS * 60 };
        world.run(MS * 6000, move |uplink, target, _| (target == 0).then_some(rtt(uplink)));
        assert_eq!(world.reported(since), [], "offset {offset}");
        assert_eq!(world.purges, [], "offset {offset}");
    }
}

/// Given a target that is ignored, when the daemon is started anew, then it still is, and no uplink
/// goes down.
#[test]
fn a_restart_remembers_what_is_ignored() {
    let mut world = ignoring(&[1, 1]).restart(|_| {});
    assert_eq!(ignored(&world), [false, true]);
    world.run(MS * 6000, first_target);
    assert!(nobody_fell(&world.reported(START)), "{:?}", world.reported(START));
    assert_eq!(ignored(&world), [false, true]);
}

/// Given a target that is ignored, when another uplink starts, then it has no say in that, and the
/// first one stays up.
#[test]
fn the_start_of_an_uplink_changes_no_other() {
    let mut world = ignoring(&[1, 2]);
    let since = world.now;
    for _ in 0..5 {
        world.link(1).carrier = false;
        world.changed(Scope::LINKS);
        world.run(MS * 1200, first_target);
        world.link(1).carrier = true;
        world.changed(Scope::LINKS);
        world.run(MS * 900, first_target);
    }
    world.run(MS * 10_000, first_target);
    assert!(world.reported(since).iter().all(|(uplink, _)| uplink != "isp1"));
    assert_eq!(ignored(&world), [false, true]);
}

/// Given a target that is ignored, when it answers again, by the slower uplink a little later, then
/// the silence from before counts against nobody.
#[test]
fn a_target_that_answers_again_condemns_nobody() {
    let mut world = ignoring(&[1, 1]);
    let since = world.now;
    let rtt = |uplink: u8| if uplink == 1 { MS * 10 } else { MS * 160 };
    world.run(MS * 20_000, move |uplink, _, _| Some(rtt(uplink)));
    assert_eq!(ignored(&world), [false, false]);
    assert!(nobody_fell(&world.reported(since)), "{:?}", world.reported(since));
}

/// Given a target that is silent everywhere, when it answers on one uplink for a moment and is silent
/// again before it could be ignored, then the other uplink, which did not ask in between, stays up.
#[test]
fn a_target_that_returns_for_a_moment_condemns_nobody() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 5000, all);
    let since = world.now;
    world.run(MS * 700, first_target);
    world.run(MS * 200, |uplink, target, _| (target == 0 || uplink == 1).then_some(MS * 10));
    world.run(MS * 500, first_target);
    assert_eq!(ignored(&world), [false, false]);
    world.run(MS * 10_000, first_target);
    assert_eq!(ignored(&world), [false, true]);
    assert!(nobody_fell(&world.reported(since)), "{:?}", world.reported(since));
}

/// Given a standby that is asked slowly and hears every target, when the uplink that carries loses all
/// targets but one, then it is down: the standby's ordinary answers are no returns.
#[test]
fn a_slow_standby_hides_no_partly_dead_uplink() {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[1].tier = Tier::Number(2);
    for late in [0, 400, 800, 1200, 1600] {
        let mut world = World::new(config.clone());
        world.run(MS * (10_000 + late), all);
        world.run(MS * 10_000, |uplink, target, _| (uplink == 2 || target == 0).then_some(MS * 10));
        assert_eq!(world.health(), [Health::Down, Health::Up], "{late} ms later");
    }
}

/// Given an uplink with targets of its own, when all of them but one fall silent, then it is down as
/// `required` says: no other uplink asks them, and nobody knows better.
#[test]
fn the_targets_of_one_uplink_are_never_ignored() {
    let mut config = uplinks(&[1, 1]);
    config.check.targets = (1..=4).map(|n| core::net::Ipv4Addr::new(192, 0, 2, n)).collect();
    let mut world = World::new(config);
    let mut own = world.config.clone();
    own.uplinks[0].check.targets.truncate(2);
    own.uplinks[1].check.targets.drain(..2);
    own.uplinks.iter_mut().for_each(|uplink| uplink.check.required = 2);
    world.input(Input::Reload(Box::new(own)));
    world.run(MS * 10_000, all);
    world.run(MS * 20_000, |_, target, _| (target != 1).then_some(MS * 10));
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert_eq!(ignored(&world), [false; 4]);
}

/// Given a configuration whose only targets were ignored, then they count: somebody must.
#[test]
fn all_targets_are_never_ignored() {
    let mut world = ignoring(&[1, 1]);
    let mut config = world.config.clone();
    config.check.targets.remove(0);
    config.check.required = 1;
    world.input(Input::Reload(Box::new(config)));
    assert_eq!(ignored(&world), [false]);
}

/// Given a quick uplink and one with a long round trip, when a target dies without which `required`
/// cannot be met, then it is ignored before the quick one is condemned: its last answers by the slow
/// one are late, and say nothing newer.
#[test]
fn late_answers_by_a_slow_uplink_condemn_no_quick_one() {
    let mut world = World::new(uplinks(&[1, 1]));
    let rtt = |uplink: u8| if uplink == 1 { MS * 10 } else { MS * 600 };
    world.run(MS * 10_000, move |uplink, _, _| Some(rtt(uplink)));
    let since = world.now;
    world.run(MS * 10_000, move |uplink, target, _| (target == 0).then_some(rtt(uplink)));
    assert_eq!(ignored(&world), [false, true]);
    assert!(nobody_fell(&world.reported(since)), "{:?}", world.reported(since));
}

/// Given three uplinks with four targets, when one target dies, then it is ignored within 6 s in any phase of
/// their questions: its silence on one keeps the others from nothing.
#[test]
fn a_dead_target_is_soon_ignored() {
    for offset in 0..20 {
        let mut config = uplinks(&[1, 1, 1]);
        let targets = (1..=4).map(|n| core::net::Ipv4Addr::new(192, 0, 2, n)).collect();
        config.check = crate::config::CheckConfig::of(targets);
        let mut world = World::new(config);
        world.run(MS * (20_000 + offset * 37), all);
        let rtt = |uplink: u8| MS * if uplink == 3 { 60 } else { 1 };
        world.run(MS * 6000, move |uplink, target, _| (target != 1).then_some(rtt(uplink)));
        assert_eq!(ignored(&world), [false, true, false, false], "offset {offset}");
    }
}
