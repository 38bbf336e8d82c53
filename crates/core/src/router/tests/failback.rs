//! Uplinks that are left for a better one: whose connections are deleted, and when.

use super::world::{MS, START, World, all, kernel, second, uplinks};
use super::*;
use crate::config::{Action, Failback, OnFailback, Override};
use crate::io::Which;
use crate::net::UplinkId;
use crate::state::OpError;
use crate::status::Health;

/// The first uplink and a standby of which this becomes when it is left.
fn world(wanted: OnFailback) -> World {
    let mut config = uplinks(&[1, 2]);
    config.uplinks[1].on_failback = wanted;
    let mut world = World::new(config);
    world.run(MS * 3000, all);
    world
}

impl World {
    /// The first uplink dies, the standby carries for a while, and the first one carries again.
    fn fail_over_and_back(&mut self) {
        self.run(MS * 4000, second);
        assert_eq!(self.active(), [false, true]);
        self.back();
    }

    /// The first uplink carries again.
    fn back(&mut self) {
        while self.active() != [true, false] {
            self.run(MS, all);
        }
    }

    /// What was deleted of the standby, and how long after this moment.
    fn left(&self, since: Instant) -> Vec<(Which, u64)> {
        let its = self.purges.iter().filter(|(at, purge)| *at >= since && purge.uplink.0 == 2);
        its.map(|(at, purge)| (purge.which, u64::try_from(at.since(since).as_millis()).unwrap()))
            .collect()
    }

    fn reload_with(&mut self, wanted: OnFailback) {
        self.config.uplinks[1].on_failback = wanted;
        self.input(Input::Reload(Box::new(self.config.clone())));
    }
}

/// Longer than anything waits here.
const LONG: Duration = Duration::from_secs(20);

/// Given a standby that carried, when the better uplink carries again, then its connections stay, or go
/// once the kernel has the new state and once more two seconds later, or when their time is over; nothing
/// happens after that, and the state file forgets it.
#[test]
fn what_is_left_goes_as_it_is_wanted() {
    use Which::{Movable, MovableUdp};
    let drain = OnFailback::Drain(Duration::from_secs(5));
    for (wanted, gone) in [
        (OnFailback::Keep, &[][..]),
        (OnFailback::Cut, &[(Movable, 0), (Movable, 2000)]),
        (OnFailback::CutUdp, &[(MovableUdp, 0), (MovableUdp, 2000)]),
        (drain, &[(Movable, 5000), (Movable, 7000)]),
    ] {
        let mut world = world(wanted);
        world.fail_over_and_back();
        let since = world.now;
        world.run(LONG, all);
        assert_eq!(world.left(since), gone, "{wanted:?}");
        assert!(world.router.desk.saved.left.is_empty(), "{wanted:?}");
        assert_eq!(world.moved(2, START), gone.iter().filter(|(w, _)| *w == Movable).count());
    }
}

/// Given a standby whose connections wait for their time, when it carries again, then they stay; when it is
/// left the next time, then the time begins anew.
#[test]
fn a_drain_is_called_off_where_the_uplink_carries_again() {
    let mut world = world(OnFailback::Drain(MS * 8000));
    world.fail_over_and_back();
    world.run(MS * 4000, all);
    let since = world.now;
    world.run(MS * 12_000, second);
    assert_eq!((world.active(), world.left(since)), (alloc::vec![false, true], Vec::new()));
    world.back();
    let since = world.now;
    world.run(LONG, all);
    assert_eq!(world.left(since), [(Which::Movable, 8000), (Which::Movable, 10_000)]);
}

/// Given a standby whose connections wait for their time, when the process dies, then the next one deletes
/// them at that time; after another boot nothing waits.
#[test]
fn a_restart_keeps_a_drain() {
    let mut world = world(OnFailback::Drain(MS * 10_000));
    world.fail_over_and_back();
    let since = world.now;
    world.run(MS * 3000, all);
    let saved = world.router.desk.saved.clone();
    let mut world = world.restart(|_| {});
    world.run(LONG, all);
    assert_eq!(world.left(since), [(Which::Movable, 10_000), (Which::Movable, 12_000)]);
    assert_eq!(saved.left.keys().copied().collect::<Vec<_>>(), [UplinkId(2)]);
    assert!(saved.of_boot("another".into()).left.is_empty());
}

/// Given connections that wait for their time, when a reload has them stay, then they do; when it has them
/// go, then they go at once.
#[test]
fn a_reload_says_what_becomes_of_them() {
    for (wanted, gone) in [(OnFailback::Keep, &[][..]), (OnFailback::Cut, &[0, 2000])] {
        let mut world = world(OnFailback::Drain(MS * 15_000));
        world.fail_over_and_back();
        world.run(MS * 3000, all);
        let since = world.now;
        world.reload_with(wanted);
        world.run(LONG, all);
        let times: Vec<u64> = world.left(since).into_iter().map(|(_, after)| after).collect();
        assert_eq!(times, gone, "{wanted:?}");
        assert!(world.router.desk.saved.left.is_empty());
    }
}

/// Given a standby that was avoided for a doubt before the better uplink came back, and a third one that
/// carried instead, then both are left for the better one.
#[test]
fn one_that_was_avoided_before_is_left_as_well() {
    let mut config = uplinks(&[1, 2, 3]);
    for uplink in &mut config.uplinks {
        uplink.on_failback = OnFailback::Cut;
    }
    let mut world =
        World::with(config.clone(), Saved::default(), START, kernel(&config), |_| false);
    world.run(MS * 3000, all);
    world.run(MS * 4000, |uplink, _, _| (uplink != 1).then_some(MS * 10));
    assert_eq!(world.active(), [false, true, false]);
    let doubted = world.now;
    world.run(MS * 500, |uplink, _, _| (uplink == 3).then_some(MS * 10));
    assert_eq!(
        (world.active(), world.health()[1]),
        (alloc::vec![false, false, true], Health::Suspect)
    );
    // It is no better one that carries now.
    assert_eq!(world.moved(2, doubted), 0);
    world.run(MS * 10_000, |uplink, _, _| (uplink != 2).then_some(MS * 10));
    assert_eq!(world.active(), [true, false, false]);
    let since = world.now;
    world.run(LONG, all);
    assert_eq!((world.moved(2, since), world.moved(3, doubted)), (2, 2));
}

/// Given an uplink that is preferred by command, then it is a better one than those it is preferred to.
#[test]
fn a_preferred_uplink_is_a_better_one() {
    let mut world = world(OnFailback::Keep);
    world.config.uplinks[0].on_failback = OnFailback::Cut;
    world.input(Input::Reload(Box::new(world.config.clone())));
    let said = Override {
        action: Action::Prefer,
        by: "alice".into(),
        until: None,
        until_wall: String::new(),
    };
    let since = world.now;
    world.input(Input::Override("isp2".into(), Some(said)));
    world.run(MS * 5000, all);
    assert_eq!((world.active(), world.moved(1, since)), (alloc::vec![false, true], 2));
}

/// Given a kernel that refuses the deletion, then it is asked for again until it is done.
#[test]
fn a_refused_cut_is_asked_for_again() {
    let mut world = world(OnFailback::Cut);
    world.refuses_purges = true;
    world.fail_over_and_back();
    world.run(MS * 6000, all);
    assert!(world.moved(2, START) > 3);
    assert_eq!(world.router.desk.saved.left.len(), 1);
    world.refuses_purges = false;
    world.run(LONG, all);
    assert!(world.router.desk.saved.left.is_empty() && !world.router.purge.was_refused());
}

/// Given a cut that the kernel has not answered when the uplink carries again, when it then refuses, then the
/// connections stay: it is asked for no more.
#[test]
fn a_cut_that_was_called_off_is_not_asked_for_again() {
    let mut world = world(OnFailback::Cut);
    world.fail_over_and_back();
    let since = world.now;
    world.delays_purges = true;
    world.run(MS * 2100, all);
    assert_eq!(world.left(since).last(), Some(&(Which::Movable, 2000)));
    world.run(MS * 4000, second);
    assert_eq!(world.active(), [false, true]);
    let carries = world.now;
    let error = OpError { errno: 105, text: "No buffer space available".into() };
    world.input(Input::Purged { uplink: UplinkId(2), result: Err(error) });
    world.run(MS * 5000, second);
    assert_eq!(world.left(carries), []);
}

fn manual() -> World {
    let mut config = uplinks(&[1, 2]);
    config.router.failback = Failback::Manual;
    World::new(config)
}

fn prefer(world: &mut World, uplink: &str, action: Option<Action>) {
    let said = action.map(|action| Override {
        action,
        by: "alice".into(),
        until: None,
        until_wall: String::new(),
    });
    world.input(Input::Override(uplink.into(), said));
    world.run(MS * 500, all);
}

/// Given uplinks whose return somebody decides, when they come up, then the better one carries whichever
/// answers first; when it fell and is good again, then the standby goes on, over a restart and a reload, and
/// says so; when somebody prefers the better one, then it carries, and goes on when that is over.
#[test]
fn a_return_waits_to_be_told() {
    let mut world = manual();
    world.run(MS * 3000, |uplink, _, _| Some(MS * if uplink == 1 { 60 } else { 5 }));
    assert_eq!(world.active(), [true, false]);
    world.run(MS * 4000, second);
    world.run(MS * 10_000, all);
    assert_eq!((world.health()[0], world.active()), (Health::Up, alloc::vec![false, true]));
    assert_eq!(world.router.status(world.now).uplinks[0].returns, "by `rail prefer`");
    let mut world = world.restart(|_| {});
    world.run(MS * 10_000, all);
    world.input(Input::Reload(Box::new(world.config.clone())));
    world.run(MS * 5000, all);
    assert_eq!((world.health()[0], world.active()), (Health::Up, alloc::vec![false, true]));
    prefer(&mut world, "isp1", Some(Action::Prefer));
    assert_eq!(world.active(), [true, false]);
    prefer(&mut world, "isp1", None);
    assert_eq!(world.active(), [true, false]);
    assert_eq!(world.router.status(world.now).uplinks[0].returns, "");
}

/// Given a standby that carries until somebody decides, when it falls, or is drained, then the better uplink
/// carries.
#[test]
fn a_return_does_not_wait_for_a_standby_that_falls() {
    for is_drained in [false, true] {
        let mut world = manual();
        world.run(MS * 3000, all);
        world.run(MS * 4000, second);
        world.run(MS * 10_000, all);
        assert_eq!(world.active(), [false, true]);
        if is_drained {
            prefer(&mut world, "isp2", Some(Action::Drain));
        } else {
            world.run(MS * 4000, |uplink, _, _| (uplink == 1).then_some(MS * 10));
        }
        assert_eq!(world.active(), [true, false], "{is_drained}");
    }
}

/// Given a better uplink that was drained and never fell, when the process starts anew and the drain ends, then it
/// carries at once: nobody has to decide on a return.
#[test]
fn what_never_fell_does_not_wait_to_be_told() {
    let mut world = manual();
    world.run(MS * 10_000, all);
    prefer(&mut world, "isp1", Some(Action::Drain));
    world.run(MS * 5000, all);
    assert_eq!(world.active(), [false, true]);
    let mut world = world.restart(|_| {});
    world.run(MS * 5000, all);
    assert_eq!(world.active(), [false, true]);
    prefer(&mut world, "isp1", None);
    world.run(MS * 5000, all);
    assert_eq!(world.active(), [true, false]);
}
