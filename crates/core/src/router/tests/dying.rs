//! Uplinks that die one after the other: what is deleted, and what people read.

use super::world::{MS, World, all, nobody_fell, nothing, second, settled, uplinks};
use super::*;
use crate::status::Health;
use alloc::vec;

/// Given an uplink that falls silent, when the other one falls silent before the first is down, then no
/// connection is deleted; when it does not, then those of the first are within 1.5 s.
#[test]
fn connections_stay_while_nobody_can_carry_them() {
    for delay in [0, 100, 250, 300, 400, 500, 600, 700, 800, 900] {
        let mut world = settled(&[1, 1]);
        let start = world.now;
        world.run(MS * delay, second);
        world.run(MS * 10_000, nothing);
        assert_eq!(world.health(), [Health::Down; 2], "delay {delay}");
        assert_eq!(world.moved(1, start) + world.moved(2, start), 0, "delay {delay}");
    }
    for offset in 0..5 {
        let mut world = settled(&[1, 1]);
        world.run(MS * 50 * offset, all);
        let start = world.now;
        world.run(MS * 1500, second);
        assert_eq!(world.moved(1, start), 1, "offset {offset}");
    }
}

/// Given an uplink that is suspect, then it says that new connections go elsewhere where they do, and not
/// where it is alone or the other one is as silent.
#[test]
fn a_doubt_says_where_connections_go() {
    let cause = |world: &World| world.router.uplinks.at(0).history.cause.clone();
    let mut world = settled(&[1]);
    world.run(MS * 700, nothing);
    assert_eq!((world.health(), world.active()), (vec![Health::Suspect], vec![true]));
    assert_eq!(cause(&world), "no answer for a moment");
    let mut world = settled(&[1, 1]);
    world.run(MS * 700, nothing);
    assert_eq!(world.health(), [Health::Suspect; 2]);
    assert_eq!(cause(&world), "no answer for a moment");
    let mut world = settled(&[1, 1]);
    world.run(MS * 700, second);
    assert_eq!((world.health()[0], world.active()), (Health::Suspect, vec![false, true]));
    assert_eq!(cause(&world), "no answer for a moment; new connections go elsewhere");
}

/// Given two uplinks of unlike pace and round trip, when nothing answers for a moment, then neither is down:
/// what has befallen both is waited for, though one is doubted later, and answers later, than the other.
#[test]
fn a_moment_without_any_answer_fells_nobody() {
    let answers = |uplink: u8, _: usize, _: u64| Some(MS * if uplink == 1 { 10 } else { 60 });
    for interval in [250, 1000, 2000, 5000, 10_000] {
        let mut world = settled(&[1, 1]);
        world.config.uplinks[1].check.interval = MS * interval;
        let mut out = Vec::new();
        let reload = Input::Reload(Box::new(world.config.clone()));
        world.router.handle(world.now, reload, &mut out);
        world.changed(Scope::ALL);
        world.run(MS * 60_000, answers);
        let since = world.now;
        world.run(MS * 1800, nothing);
        world.run(MS * 10_000, answers);
        let reported = world.reported(since);
        assert!(!reported.is_empty() && nobody_fell(&reported), "{interval}: {reported:?}");
        assert_eq!(world.purges, [], "{interval}");
    }
}

/// Given an uplink that is down and answers for a moment, when it falls silent again, then no target of it
/// is shown as answering.
#[test]
fn a_moment_of_answers_is_soon_over() {
    let mut world = settled(&[1, 1]);
    world.run(MS * 5000, second);
    world.run(MS * 600, all);
    let answering = |world: &World| {
        let status = world.router.status(world.now);
        status.uplinks[0].targets.iter().filter(|target| target.answering).count()
    };
    assert!(world.health()[0] == Health::Down && answering(&world) > 0);
    world.run(MS * 10_000, second);
    assert_eq!((world.health()[0], answering(&world)), (Health::Down, 0));
}

/// Given an uplink that was down before a restart, or whose carrier was gone, when nothing answers, then it
/// says that as well, for as long as it is so.
#[test]
fn a_cause_that_is_over_is_not_all() {
    let cause = |world: &World| world.router.status(world.now).uplinks[0].cause.clone();
    let mut world = settled(&[1, 1]);
    world.run(MS * 5000, second);
    let mut restarted = world.restart(|_| {});
    let mut replugged = settled(&[1, 1]);
    for carrier in [false, true] {
        replugged.link(0).carrier = carrier;
        replugged.changed(Scope::LINKS);
    }
    for (world, fell) in [
        (&mut restarted, "it was down before the restart"),
        (&mut replugged, "the link or its address was gone"),
    ] {
        world.run(MS * 500, second);
        assert_eq!(cause(world), fell);
        world.run(MS * 10_000, second);
        assert_eq!(cause(world), alloc::format!("{fell}; now no target answers"));
        world.run(MS * 1000, all);
        assert_eq!((world.health()[0], cause(world)), (Health::Down, fell.into()));
    }
}

/// Given two uplinks that fall silent together, when one returns and of the other too few targets answer for
/// that, then the connections of that one move: that it is heard keeps them no longer than it is on its way
/// back.
#[test]
fn one_that_answers_too_little_to_return_keeps_no_connection() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 20_000, all);
    world.run(MS * 20_000, nothing);
    assert_eq!((world.health(), world.purges.len()), (vec![Health::Down; 2], 0));
    let since = world.now;
    world.run(MS * 30_000, |uplink, target, _| (uplink == 2 || target == 0).then_some(MS * 10));
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert!(world.moved(1, since) > 0 && world.moved(2, since) == 0, "{:?}", world.purges);
}

/// Given an uplink whose address went and came back, when too few of its targets answer after that, then its
/// connections move: that it is heard keeps them no longer than it is on its way back.
#[test]
fn one_that_answers_too_little_after_a_lost_address_keeps_no_connection() {
    let mut world = settled(&[1, 1]);
    let addresses = world.state.addresses.clone();
    let ifname = world.config.uplinks[0].ifname;
    world.state.addresses.retain(|(name, _), _| *name != ifname);
    world.changed(Scope::ADDRESSES);
    world.run(MS * 50, nothing);
    world.state.addresses = addresses;
    world.changed(Scope::ADDRESSES);
    let since = world.now;
    world.run(MS * 60_000, |uplink, target, _| (uplink == 2 || target == 0).then_some(MS * 10));
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert!(world.moved(1, since) > 0 && world.moved(2, since) == 0, "{:?}", world.purges);
}
