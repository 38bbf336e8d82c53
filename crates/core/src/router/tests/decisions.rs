//! Which uplinks carry, what is reported, and whose connections are deleted.

use super::world::{
    MS, START, World, all, default_of, kernel, nobody_fell, nothing, second, uplinks,
};
use super::*;
use crate::config::NoUplink;
use crate::notice::{ReconcileNews, UplinkNews};
use crate::status::Health;
use alloc::vec;

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
    assert_eq!(world.reported(START)[0], ("isp1".into(), Health::Absent));
    assert!(!world.router.uplinks.at(0).history.cause.is_empty());
    assert_eq!(world.router.desk.saved.verdicts["isp1"], Health::Absent);
    assert!(world.moved(1, START) > 0, "{:?}", world.purges);
}

fn near_and_far(uplink: u8) -> Option<Duration> {
    Some(if uplink == 1 { MS * 10 } else { MS * 60 })
}

/// Given two uplinks of unequal delay that share, when every target vanishes, then both are kept
/// and no connection is deleted, neither then nor when both return.
#[test]
fn uplinks_that_die_together_are_kept_together() {
    for offset in 0..20 {
        let mut world = World::new(uplinks(&[1, 1]));
        world.run(MS * (20_000 + offset * 10), |uplink, _, _| near_and_far(uplink));
        world.run(MS * 20_000, nothing);
        assert_eq!(world.health(), [Health::Down, Health::Down]);
        assert_eq!(world.active(), [true, true]);
        world.run(MS * 20_000, |uplink, _, _| near_and_far(uplink));
        assert_eq!(world.health(), [Health::Up, Health::Up]);
        assert_eq!(world.purges, [], "offset {offset}");
    }
}

/// Given a standby that is dead as well, then it takes over in vain, nothing is deleted, and the
/// set from before is kept.
#[test]
fn a_standby_that_is_dead_saves_nobody() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 20_000, all);
    world.run(MS * 20_000, nothing);
    assert_eq!(world.active(), [true, false]);
    assert_eq!(world.purges, []);
}

/// Given one uplink of two that dies, then its connections are deleted as soon as it is down: the
/// other one has answered all the time, or is asked at once.
#[test]
fn a_single_death_waits_for_nobody() {
    for (tiers, most) in [([1, 1], 0), ([1, 2], 15)] {
        let mut world = World::new(uplinks(&tiers));
        world.run(MS * 20_000, all);
        world.run(MS * 2_000, second);
        let is_down =
            |n: &Notice| matches!(n, Notice::Uplink(UplinkNews::Health { to: Health::Down, .. }));
        let down = world.notices.iter().find(|(_, notice)| is_down(notice)).unwrap().0;
        assert!(
            world.purges[0].0.since(down) <= MS * most,
            "{tiers:?} {:?}",
            world.purges[0].0.since(down)
        );
    }
}

/// Given an uplink that is held back while the other one dies, then it takes over, in either mode;
/// nothing is better, and what the dead one had moves to it. A restart keeps it so.
#[test]
fn an_uplink_that_is_held_back_is_better_than_a_dead_one() {
    for mode in [NoUplink::Keep, NoUplink::Unreachable] {
        let mut config = uplinks(&[1, 2]);
        config.check.stable_for = Duration::from_secs(300);
        config.router.no_uplink = mode;
        let mut world = World::new(config);
        world.run(MS * 20_000, all);
        world.run(MS * 5_000, second);
        world.run(MS * 10_000, all);
        assert_eq!(world.health(), [Health::Held, Health::Up]);
        assert_eq!(world.active(), [false, true]);
        let begun = world.now;
        world.run(MS * 2000, |uplink, _, _| (uplink == 1).then_some(MS * 10));
        assert_eq!(world.health(), [Health::Held, Health::Down]);
        assert_eq!(world.active(), [true, false], "{mode:?}");
        assert!(world.moved(2, begun) > 0 && world.moved(1, begun) == 0, "{mode:?}");
        // A restart changes nothing of it, before a round says otherwise.
        let mut world = world.restart(|_| {});
        for _ in 0..45 {
            world.run(MS * 10, |uplink, _, _| (uplink == 1).then_some(MS * 10));
            assert_eq!(world.health(), [Health::Held, Health::Down]);
            assert_eq!(world.active(), [true, false], "{mode:?}");
        }
    }
}

/// Given an uplink that loses half of its packets and one that is dead, then the first one carries.
#[test]
fn an_uplink_that_answers_is_better_than_a_dead_one() {
    let half = |n: u64| (Secret::new([9; 16]).hash(&[n]) % 100 < 50).then_some(MS * 10);
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 20_000, all);
    world.run(MS * 60_000, move |uplink, _, n| if uplink == 2 { all(2, 0, n) } else { half(n) });
    assert_eq!((world.health()[0], world.active()), (Health::Down, vec![false, true]));
    world.run(MS * 60_000, move |uplink, _, n| if uplink == 2 { None } else { half(n) });
    assert_eq!(world.active(), [true, false]);
}

/// Given an uplink of a lower tier that appears later and has never answered, then it carries
/// nothing as long as another one is up; and everything with its first good round.
#[test]
fn an_uplink_that_never_answered_takes_nothing_over() {
    let config = uplinks(&[1, 2]);
    let mut state = kernel(&config);
    let link = state.links.remove(&config.uplinks[0].ifname).unwrap();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 20_000, all);
    assert_eq!(world.active(), [false, true]);
    world.state.links.insert(world.config.uplinks[0].ifname, link);
    let since = world.now;
    world.changed(Scope::LINKS);
    world.run(MS * 3000, second);
    let switched = |(at, n): &(Instant, Notice)| {
        *at >= since && matches!(n, Notice::Uplink(UplinkNews::Switched { .. }))
    };
    assert!(!world.notices.iter().any(switched));
    world.run(MS * 5000, all);
    assert_eq!(world.active(), [true, false]);
}

/// Given a standby that is asked at a tenth of the pace, then it is so after a restart and after
/// other checks.
#[test]
fn a_standby_is_asked_slowly_whatever_was_read_anew() {
    let running = || {
        let mut world = World::new(uplinks(&[1, 2]));
        world.run(MS * 20_000, all);
        world
    };
    let mut reloaded = running();
    let mut config = reloaded.config.clone();
    config.check.timeout = MS * 600;
    reloaded.input(Input::Reload(Box::new(config)));
    for mut world in [running(), running().restart(|_| {}), reloaded] {
        world.run(MS * 20_000, all);
        world.sent.clear();
        world.run(MS * 60_000, all);
        assert!(world.sent[&2] <= 31 && world.sent[&1] >= 295, "{:?}", world.sent);
    }
}

/// Given a metered standby, then it is asked at a hundredth of the pace; quickly from the first answer that
/// is overdue, so that its death is found; and at full pace once it carries. A reload that changes it
/// counts at once. Reported: the checks alone spend the volume of a mobile line (NetworkOptimizer 1098).
#[test]
fn a_metered_standby_is_asked_hardly_at_all() {
    let mut config = uplinks(&[1, 2]);
    config.uplinks[1].metered = true;
    let interval = config.check.interval;
    let mut world = World::new(config);
    world.run(MS * 20_000, all);
    let asked =
        |world: &mut World, time: Duration, fate: fn(u8, usize, u64) -> Option<Duration>| {
            world.sent.clear();
            world.run(time, fate);
            world.sent.get(&2).copied().unwrap_or(0)
        };
    assert_eq!(asked(&mut world, interval * 500, all), 5);
    let mut usual = world.config.clone();
    usual.uplinks[1].metered = false;
    world.input(Input::Reload(Box::new(usual)));
    world.run(MS * 5000, all);
    let tenth = asked(&mut world, interval * 500, all);
    assert!((49..=51).contains(&tenth), "{tenth}");
    world.input(Input::Reload(Box::new(world.config.clone())));
    world.run(interval * 100, all);
    let mut silent = world.restart(|_| {});
    silent.run(interval * 101 + MS * 3000, |uplink, _, _| (uplink == 1).then_some(MS * 10));
    assert_eq!(silent.health(), [Health::Up, Health::Down]);
    let mut world = World::new(silent.config);
    world.run(MS * 20_000, all);
    world.run(MS * 5000, second);
    assert_eq!(world.active(), [false, true]);
    assert!(asked(&mut world, interval * 100, second) >= 99);
}

/// Given a kernel that refuses to delete connections for a while, then it is asked again, ever
/// later, until it is done; nothing is forgotten.
#[test]
fn a_refused_deletion_is_asked_for_again() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    let mut config = world.config.clone();
    config.uplinks[1].fixed_mut().unwrap().address = "100.64.2.9/24".parse().unwrap();
    world.refuses_purges = true;
    world.input(Input::Reload(Box::new(config)));
    world.link(0).carrier = false;
    world.changed(Scope::LINKS);
    world.run(MS * 10_000, all);
    let asked = world.purges.len();
    assert!((20..60).contains(&asked), "{asked}");
    assert_eq!(world.router.desk.saved.stale.len(), 2);
    let reported =
        |(_, n): &&(Instant, Notice)| matches!(n, Notice::Reconcile(ReconcileNews::Refused { .. }));
    assert!(world.notices.iter().filter(reported).count() <= 6);
    world.refuses_purges = false;
    world.run(MS * 70_000, all);
    assert!(world.router.desk.saved.stale.is_empty() && !world.router.purge.was_refused());
    let after = world.purges.len();
    world.run(MS * 70_000, all);
    assert_eq!(world.purges.len(), after);
}

/// Given connections whose deletion was refused, when their uplink is usable again, then it is not
/// asked for again.
#[test]
fn a_refused_deletion_ends_with_the_return() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    world.refuses_purges = true;
    world.link(0).carrier = false;
    world.changed(Scope::LINKS);
    world.run(MS * 3000, all);
    world.link(0).carrier = true;
    world.changed(Scope::LINKS);
    world.run(MS * 5000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    let since = world.now;
    world.run(MS * 70_000, all);
    assert_eq!(world.moved(1, since), 0);
}

/// Given a link that was down when it was first seen, then it is set up, by a later process if the first one
/// did not come to it; one that somebody set down later stays down, over a restart as well.
#[test]
fn a_restart_sets_no_link_up_that_was_set_down() {
    let config = uplinks(&[1, 2]);
    let mut state = kernel(&config);
    let wan2 = config.uplinks[1].ifname;
    state.links.get_mut(&wan2).unwrap().up = false;
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    assert_eq!(world.links_up, [wan2]);
    world.changed(Scope::LINKS);
    assert_eq!(world.links_up, [wan2]);
    world = world.restart(|_| {});
    assert_eq!(world.links_up, [wan2]);
    world.link(1).up = true;
    world.changed(Scope::LINKS);
    world.run(MS * 3000, all);
    world.link(1).up = false;
    world.changed(Scope::LINKS);
    let world = world.restart(|_| {});
    assert!(world.links_up.is_empty());
    let world = world.restart(|state| state.links.get_mut(&wan2).unwrap().index = 77);
    assert_eq!(world.links_up, [wan2]);
}

/// Given an uplink that left the configuration, when its connections have been deleted, then no
/// later start deletes them again.
#[test]
fn what_left_the_configuration_is_deleted_once() {
    let mut world = World::new(uplinks(&[1, 1, 1]));
    world.run(MS * 3000, all);
    let id = world.router.uplinks.at(2).facts.id.0;
    world.config.uplinks.truncate(2);
    world.refuses_purges = true;
    world.input(Input::Reload(Box::new(world.config.clone())));
    world.run(MS * 3000, all);
    let mut world = world.restart(|_| {});
    world.run(MS * 5000, all);
    assert!(world.moved(id, START) > 0);
    let mut world = world.restart(|_| {});
    world.run(MS * 5000, all);
    assert_eq!(world.purges, []);
}

#[test]
fn a_start_over_a_state_from_before_the_uplinks_came_up_keeps_the_routing() {
    // given uplinks that came up after the state was written / when the process dies and another
    // one starts / then it takes nothing from the routing before it has asked
    for before in [Health::NoAddress, Health::NoCarrier, Health::Absent] {
        let mut world = World::new(uplinks(&[1, 1]));
        world.run(MS * 2000, all);
        assert_eq!(world.active(), [true, true]);
        let routes = world.state.routes.clone();
        let mut saved = world.router.desk.saved.clone();
        saved.verdicts.values_mut().for_each(|health| *health = before);
        saved.active.clear();
        let (state, now) = (world.state, world.now + MS * 1000);
        let mut world = World::with(world.config, saved, now, state, |_| false);
        assert_eq!(world.state.routes, routes, "{before}");
        world.run(MS * 500, all);
        assert_eq!((world.active(), &world.state.routes), (vec![true, true], &routes), "{before}");
        assert!(nobody_fell(&world.reported(now)), "{before}: {:?}", world.reported(now));
    }
}

/// Given a configuration that the kernel refused for a long time, when another one comes, then it is
/// tried at once.
#[test]
fn another_configuration_does_not_wait_for_the_one_before() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 3000, all);
    world.refuses = |key| matches!(key, Key::Route(route) if route.table == 20003);
    let config = uplinks(&[1, 1, 1]);
    let third = Link { index: 3, up: true, carrier: true, mtu: 1500, ..Link::default() };
    world.state.links.insert(config.uplinks[2].ifname, third);
    world.input(Input::Reload(Box::new(config.clone())));
    world.run(MS * 100_000, all);
    assert!(!world.state.routes.contains_key(&default_of(20003)));
    world.refuses = |_| false;
    world.input(Input::Reload(Box::new(config)));
    world.run(MS * 100, all);
    assert!(world.state.routes.contains_key(&default_of(20003)));
}

/// Given an uplink whose address somebody takes away, then it keeps its connections if the address is
/// repaired at once and the uplink goes on working, and not otherwise.
#[test]
fn an_address_that_is_put_back_costs_no_connection() {
    let take = |world: &mut World| {
        let ifname = world.config.uplinks[0].ifname;
        world.state.addresses.retain(|(name, _), _| *name != ifname);
        world.state.routes.remove(&default_of(20001));
        world.changed(Scope::ADDRESSES | Scope::ROUTES);
    };
    let is_address = |key: &Key| matches!(key, Key::Address { .. });
    let running = || {
        let mut world = World::new(uplinks(&[1, 1]));
        world.run(MS * 3000, all);
        world
    };
    let mut world = running();
    take(&mut world);
    world.run(MS * 60_000, all);
    assert_eq!((world.health(), world.moved(1, START)), (vec![Health::Up, Health::Up], 0));
    // It comes back late, and has little time to answer.
    let mut hasty = uplinks(&[1, 1]);
    hasty.check.interval = MS * 10;
    let mut world = World::new(hasty);
    let slow = |_: u8, _: usize, _: u64| Some(MS * 60);
    world.run(MS * 3000, slow);
    let addresses = world.state.addresses.clone();
    world.refuses = is_address;
    take(&mut world);
    world.run(MS * 150, slow);
    world.state.addresses = addresses;
    world.refuses = |_| false;
    world.changed(Scope::ADDRESSES);
    world.run(MS * 60_000, slow);
    assert_eq!((world.health(), world.moved(1, START)), (vec![Health::Up, Health::Up], 0));
    // It does not work any more.
    let mut world = running();
    take(&mut world);
    world.run(MS * 5000, second);
    assert!(world.moved(1, START) > 0);
    // It works for a while.
    let mut world = running();
    take(&mut world);
    world.run(MS * 1000, all);
    world.run(MS * 5000, second);
    assert!(world.moved(1, START) > 0);
    // The address does not come back.
    let mut world = running();
    world.refuses = is_address;
    take(&mut world);
    world.run(MS * 150, all);
    assert_eq!(world.moved(1, START), 0);
    world.run(MS * 350, all);
    assert!(world.moved(1, START) > 0);
}
