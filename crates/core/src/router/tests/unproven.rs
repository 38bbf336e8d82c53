//! Uplinks that have not answered yet, or cannot send: what they may take, and what not.

use super::world::{MS, START, World, all, kernel, nobody_fell, nothing, uplinks};
use super::*;
use crate::notice::UplinkNews;
use crate::status::Health;
use alloc::vec;

/// The second uplink loses half of its packets, so that it is down and answers; the first is dead.
fn half(uplink: u8, _: usize, n: u64) -> Option<Duration> {
    let dice = Secret::new([9; 16]).hash(&[n]) % 100;
    (uplink == 2 && dice < 45).then_some(MS * 10)
}

impl World {
    fn set_carrier(&mut self, index: usize, carrier: bool) {
        self.link(index).carrier = carrier;
        self.changed(Scope::LINKS);
    }

    /// Changes of the role of this uplink, since then.
    fn roles(&self, name: &str, since: Instant) -> Vec<(Role, Role)> {
        let role = |(at, notice): &(Instant, Notice)| match notice {
            Notice::Uplink(UplinkNews::Role { uplink, from, to })
                if *at >= since && uplink == name =>
            {
                Some((*from, *to))
            }
            _ => None,
        };
        self.notices.iter().filter_map(role).collect()
    }
}

/// Given an uplink without carrier and another one that is down and carries, when the carrier returns
/// over a restart and nothing answers, then the other one carries on and keeps its connections.
#[test]
fn an_outage_that_a_restart_ends_takes_nothing() {
    for before in [Health::NoCarrier, Health::NoAddress, Health::Absent] {
        let mut world = World::new(uplinks(&[1, 2]));
        world.run(MS * 20_000, all);
        world.set_carrier(0, false);
        world.run(MS * 5000, all);
        world.run(MS * 20_000, nothing);
        assert_eq!(world.health(), [Health::NoCarrier, Health::Down]);
        assert_eq!(world.active(), [false, true]);
        *world.router.desk.saved.verdicts.get_mut("isp1").unwrap() = before;
        let ifname = world.config.uplinks[0].ifname;
        let mut world = world.restart(|state| state.links.get_mut(&ifname).unwrap().carrier = true);
        for _ in 0..50 {
            world.run(MS * 100, nothing);
            assert_eq!(world.active(), [false, true], "{before}");
        }
        assert_eq!(world.moved(2, START), 0, "{before}: {:?}", world.purges);
    }
}

/// Given an uplink without carrier over a restart, when the carrier returns, then it takes as many
/// good rounds as without one.
#[test]
fn a_restart_shortens_no_return() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 20_000, all);
    world.set_carrier(0, false);
    world.run(MS * 5000, all);
    let mut world = world.restart(|_| {});
    world.run(MS * 3000, all);
    world.set_carrier(0, true);
    world.run(MS * 1500, all);
    assert_eq!((world.health()[0], world.active()), (Health::Down, vec![false, true]));
    world.run(MS * 3000, all);
    assert_eq!(world.active(), [true, false]);
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

/// Given an uplink that was down before a restart and carries, when one appears that was never
/// judged and is dead, then the first one has everything back.
#[test]
fn one_that_never_answered_is_not_kept() {
    let config = uplinks(&[1, 2]);
    let mut state = kernel(&config);
    let link = state.links.remove(&config.uplinks[0].ifname).unwrap();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 20_000, all);
    world.run(MS * 20_000, nothing);
    world.router.desk.saved.verdicts.remove("isp1");
    let mut world = world.restart(|_| {});
    world.run(MS * 2000, nothing);
    assert_eq!(world.active(), [false, true]);
    world.state.links.insert(world.config.uplinks[0].ifname, link);
    world.changed(Scope::LINKS);
    world.run(MS * 5000, nothing);
    assert_eq!(world.health(), [Health::Down, Health::Down]);
    assert_eq!(world.active(), [false, true]);
}

/// Given uplinks of which none answers, when one of those that are kept cannot send any more, then
/// those that can carry without it, of whatever tier; and it is kept again when it can send.
#[test]
fn one_that_cannot_send_is_not_kept() {
    for tiers in [[1, 1], [1, 2]] {
        let mut world = World::new(uplinks(&tiers));
        world.run(MS * 20_000, all);
        world.run(MS * 20_000, nothing);
        let kept = vec![true, tiers[1] == 1];
        assert_eq!(world.active(), kept);
        world.set_carrier(0, false);
        world.run(MS * 100, nothing);
        assert_eq!(world.active(), [false, true], "{tiers:?}");
        world.set_carrier(1, false);
        world.run(MS * 100, nothing);
        assert!(world.active().contains(&true), "{tiers:?}");
        world.set_carrier(0, true);
        world.run(MS * 100, nothing);
        assert_eq!(world.active(), [true, false], "{tiers:?}");
        assert_eq!(world.purges, []);
    }
}

/// Given an uplink that dies and one that takes over in vain, when a configuration is loaded between
/// both, then the first one is kept all the same.
#[test]
fn a_reload_forgets_nobody_who_carried_before() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 20_000, all);
    let is_over = |world: &World| world.health()[0] == Health::Down;
    while !is_over(&world) {
        world.run(MS * 10, nothing);
    }
    assert_eq!(world.active(), [false, true]);
    let mut config = world.config.clone();
    config.uplinks.reverse();
    world.input(Input::Reload(Box::new(config)));
    world.run(MS * 20_000, nothing);
    assert_eq!(world.health(), [Health::Down, Health::Down]);
    assert_eq!(world.active(), [false, true]);
    let names = world.router.config.uplinks.iter().map(|u| u.name.as_str());
    assert_eq!(names.collect::<Vec<_>>(), ["isp2", "isp1"]);
    assert_eq!(world.purges, []);
}

/// Given an uplink that carried before a restart and has lost it at the start, then both changes are
/// reported, and nothing of one that carries on.
#[test]
fn roles_that_change_over_a_restart_are_told() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 20_000, all);
    let ifname = world.config.uplinks[0].ifname;
    let mut world = world.restart(|state| state.links.get_mut(&ifname).unwrap().carrier = false);
    world.run(MS * 3000, all);
    assert_eq!(world.roles("isp1", START), [(Role::Active, Role::Standby)]);
    assert_eq!(world.roles("isp2", START), [(Role::Standby, Role::Active)]);
    let mut world = world.restart(|_| {});
    world.run(MS * 3000, all);
    assert_eq!(world.roles("isp2", START), []);
    assert!(nobody_fell(&world.reported(START)[1..]));
}
