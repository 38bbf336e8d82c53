//! What is said of an uplink by command.

use super::world::{MS, World, all, kernel, nothing, uplinks};
use crate::config::{Action, Override};
use crate::io::Input;
use crate::notice::{Notice, UplinkNews};
use crate::router::Router;
use crate::saved::Saved;
use crate::status::Health;
use crate::time::{Duration, Instant};
use alloc::borrow::ToOwned;
use core::net::IpAddr;

fn say(world: &mut World, uplink: &str, action: Action, time: Option<Duration>) {
    let until = time.map(|time| world.now + time);
    let until_wall = until.map_or_else(Default::default, |_| "12:00".into());
    let said = Override { action, by: "alice".into(), until, until_wall };
    world.input(Input::Override(uplink.into(), Some(said)));
}

/// Nothing comes through the first uplink.
fn first_is_dead(uplink: u8, _: usize, _: u64) -> Option<Duration> {
    (uplink != 1).then_some(MS * 10)
}

/// Given an uplink that is drained, then it carries no new connections, is up, and keeps those that
/// it has, over a restart too; when no other can be used, then it is used nevertheless.
#[test]
fn a_drained_uplink_empties_by_itself() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 3000, all);
    assert_eq!(world.active(), [true, true]);
    let begun = world.now;
    say(&mut world, "isp2", Action::Drain, None);
    world.run(MS * 100, all);
    assert_eq!(world.active(), [true, false]);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    let status = world.router.status(world.now);
    assert_eq!(status.uplinks[1].said.as_ref().unwrap().text, "drained by alice");
    let mut world = world.restart(|_| {});
    world.run(MS * 2000, all);
    assert_eq!(world.active(), [true, false]);
    assert_eq!(world.moved(2, begun), 0);
    world.run(MS * 6000, first_is_dead);
    assert_eq!(world.active(), [false, true]);
    world.input(Input::Override("isp2".into(), None));
    world.run(MS * 8000, all);
    assert_eq!(world.active(), [true, true]);
}

/// Given a standby that is preferred, then it carries all new connections while it is usable, its
/// tier is shown as configured, and no connection is deleted.
#[test]
fn a_preferred_uplink_comes_first() {
    let mut world = World::new(uplinks(&[2, 1, 1]));
    world.run(MS * 3000, all);
    let begun = world.now;
    say(&mut world, "isp1", Action::Prefer, None);
    world.run(MS * 100, all);
    assert_eq!(world.active(), [true, false, false]);
    assert_eq!(world.router.status(world.now).uplinks[0].tier, Some(2));
    assert!(world.purges.iter().all(|(at, _)| *at < begun));
    world.run(MS * 6000, first_is_dead);
    assert_eq!(world.active(), [false, true, true]);
    world.run(MS * 8000, all);
    assert_eq!(world.active(), [true, false, false]);
}

/// Given an uplink that is disabled for a time, then it is as in the configuration with `enabled =
/// false`, says by whom and until when, and is used again when the time is over; a reload keeps it.
#[test]
fn a_disabled_uplink_returns_at_its_time() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 3000, all);
    let begun = world.now;
    say(&mut world, "isp2", Action::Disable, Some(MS * 5000));
    world.run(MS * 2000, all);
    let config = world.config.clone();
    world.input(Input::Reload(alloc::boxed::Box::new(config)));
    world.run(MS * 2000, all);
    assert_eq!(world.health(), [Health::Up, Health::Disabled]);
    assert_eq!(world.active(), [true, false]);
    assert!(world.moved(2, begun) > 0);
    let uplink = world.router.status(world.now).uplinks[1].clone();
    assert_eq!(uplink.cause, "disabled by alice until 12:00");
    assert_eq!(uplink.said.unwrap().left_s, Some(1));
    assert_eq!(uplink.returns, "when its time is over, or by `rail enable`");
    world.run(MS * 6000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    assert_eq!(world.active(), [true, true]);
    assert!(world.router.desk.saved.overrides.is_empty());
    // It begins like one that is new: nothing was wrong with it.
    let is_down =
        |n: &Notice| matches!(n, Notice::Uplink(UplinkNews::Health { to: Health::Down, .. }));
    assert!(!world.notices.iter().any(|(_, notice)| is_down(notice)));
}

/// Given uplinks that are all disabled by command, then none is kept, and the news says so; each
/// returns by command alone.
#[test]
fn where_all_are_disabled_nothing_is_kept() {
    let mut world = World::new(uplinks(&[1, 1]));
    world.run(MS * 3000, all);
    for uplink in ["isp1", "isp2"] {
        say(&mut world, uplink, Action::Disable, None);
    }
    world.run(MS * 100, all);
    assert_eq!(world.active(), [false, false]);
    let is_none = |n: &Notice| matches!(n, Notice::Uplink(UplinkNews::NoUplink { kept: false }));
    assert!(world.notices.iter().any(|(_, notice)| is_none(notice)));
    for uplink in world.router.status(world.now).uplinks {
        assert_eq!(uplink.returns, "by `rail enable`");
    }
}

/// Given what was said of uplinks, when the machine boots, then what has a time is over; when a
/// configuration lacks the uplink, then it waits, over a restart too, and acts again when the uplink
/// is back; when the next one lacks it as well, then it is over.
#[test]
fn what_was_said_ends_with_boot_and_uplink() {
    let mut world = World::new(uplinks(&[1, 1, 1]));
    world.run(MS * 3000, all);
    say(&mut world, "isp1", Action::Disable, Some(MS * 500_000));
    say(&mut world, "isp2", Action::Drain, None);
    say(&mut world, "isp3", Action::Prefer, None);
    let saved: Saved = world.router.desk.saved.clone();
    assert_eq!(saved.overrides.len(), 3);
    let names = |router: &Router| {
        router.desk.saved.overrides.keys().cloned().collect::<alloc::vec::Vec<_>>()
    };
    let booted = Router::new(world.config.clone(), saved, "another boot".into(), [0; 16]);
    assert_eq!(names(&booted), ["isp2", "isp3"]);
    let mut less = world.config.clone();
    less.uplinks.remove(1);
    let reload = |world: &mut World, config: &crate::config::Config| {
        world.input(Input::Reload(alloc::boxed::Box::new(config.clone())));
    };
    let whole = world.config.clone();
    reload(&mut world, &less);
    assert_eq!(names(&world.router), ["isp1", "isp2", "isp3"]);
    let (saved, boot) = (world.router.desk.saved.clone(), world.router.desk.saved.boot_id.clone());
    assert_eq!(names(&Router::new(less.clone(), saved, boot, [0; 16])), ["isp1", "isp2", "isp3"]);
    reload(&mut world, &whole);
    assert!(world.router.uplinks.at(1).facts.drained);
    reload(&mut world, &less);
    reload(&mut world, &less);
    assert_eq!(names(&world.router), ["isp1", "isp3"]);
    // A withdrawal does not wait for the end of a time.
    world.input(Input::Withdraw);
    world.run(MS * 600_000, nothing);
    assert_ne!(world.router.deadline(), Some(Instant::ZERO));
}

/// Given a client of a connected network, or behind one of our addresses, then the interface towards
/// it is known; else none.
#[test]
fn the_way_to_a_client_is_known() {
    let config = uplinks(&[1, 1]);
    let mut world =
        World::with(config.clone(), Saved::default(), super::world::START, kernel(&config), |_| {
            false
        });
    world.run(MS * 1000, all);
    let towards = |client: &str, server: &str| {
        let [client, server] = [client, server].map(|a| a.parse::<IpAddr>().unwrap());
        world.router.interface_towards(client, server).map(|name| name.as_str().to_owned())
    };
    assert_eq!(towards("100.64.2.77", "100.64.1.2").as_deref(), Some("wan2"));
    assert_eq!(towards("198.51.100.9", "100.64.1.2").as_deref(), Some("wan1"));
    assert_eq!(towards("198.51.100.9", "192.168.1.1"), None);
}
