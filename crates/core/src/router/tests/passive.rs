//! What the traffic of others tells of an uplink.

use super::world::{MS, World, all, nothing, uplinks};
use super::*;
use crate::check::Unanswered;
use crate::status::Health;

/// The device of the uplink of this index is not answered any more.
fn unanswered(world: &mut World, index: usize, found: Unanswered) {
    let device = world.config.uplinks[index].ifname;
    world.input(Input::Unanswered(device, found));
}

fn found(index: u32, silence: u32, received: u64) -> Unanswered {
    Unanswered { index, silence: MS * silence, received }
}

/// A world at rest, right after a probe of the first uplink.
fn rested(config: Config) -> World {
    let mut world = World::new(config);
    world.run(MS * 30_000, all);
    let before = world.sent[&1];
    while world.sent[&1] == before {
        world.run(MS, all);
    }
    world.run(MS * 30, all);
    world.sent.clear();
    world
}

/// Probes by uplink within the next 100 ms.
fn asked(world: &mut World) -> [u64; 2] {
    world.run(MS * 100, nothing);
    [1, 2].map(|uplink| world.sent.get(&uplink).copied().unwrap_or_default())
}

/// Given an uplink at rest, when its device is not answered for longer than an answer takes, then it is
/// asked quickly at once; when the silence is short, the device another one, its traffic that of our
/// probes, or the uplink a standby, then not.
#[test]
fn a_silence_is_looked_into() {
    let cases = [
        (0, found(1, 60, 20), 4..=9),
        (0, found(1, 35, 20), 0..=1),
        (0, found(9, 60, 20), 0..=1),
        (0, found(1, 60, 3), 0..=1),
        (1, found(2, 60, 20), 0..=1),
    ];
    for (index, found, expected) in cases {
        let mut world = rested(uplinks(&[1, 2]));
        unanswered(&mut world, index, found);
        let asked = asked(&mut world)[index];
        assert!(expected.contains(&asked), "{found:?}: {asked}");
    }
}

/// Given a good uplink whose traffic looks silent all the time, then it stays up, and is not asked much
/// more than without.
#[test]
fn a_wrong_suspicion_costs_little() {
    let mut world = rested(uplinks(&[1, 2]));
    for _ in 0..6000 {
        unanswered(&mut world, 0, found(1, 60, 20));
        world.run(MS * 20, all);
    }
    assert_eq!(world.health()[0], Health::Up);
    assert!(world.sent[&1] < 120 * 4 + 7 * 30, "{}", world.sent[&1]);
}

/// Given two uplinks of one device, when it is not answered any more, then both are asked, if there was
/// more traffic than the answers to both.
#[test]
fn uplinks_that_share_a_device_are_suspected_together() {
    for (received, expected) in [(20, true), (7, false)] {
        let mut config = uplinks(&[1, 1]);
        let device = config.uplinks[0].ifname;
        (config.uplinks[1].ifname, config.uplinks[1].interface) = (device, device.into());
        let mut world = rested(config);
        let index = world.link(0).index;
        unanswered(&mut world, 0, found(index, 60, received));
        assert_eq!(asked(&mut world).map(|count| count >= 3), [expected; 2]);
    }
}

/// Given an uplink that dies right after a probe, when its traffic tells, then new connections go
/// elsewhere some 250 ms after the death.
#[test]
fn a_silent_death_is_found_sooner() {
    let avoided = |tells: bool| {
        let mut world = rested(uplinks(&[1, 2]));
        let death = world.now;
        let fate = |uplink, _, _| (uplink != 1).then_some(MS * 10);
        world.run(MS * 60, fate);
        if tells {
            unanswered(&mut world, 0, found(1, 60, 20));
        }
        while world.active()[0] {
            world.run(MS, fate);
        }
        world.now.since(death).as_millis()
    };
    let (with, without) = (avoided(true), avoided(false));
    assert!(with <= 250 && with + 100 <= without, "{with}, {without}");
}
