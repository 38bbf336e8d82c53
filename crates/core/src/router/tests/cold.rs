//! An uplink on cold standby: leased only while no uplink of a better tier is usable.

use super::world::{MS, START, World, all, kernel, second, uplinks};
use super::*;
use crate::config::{DhcpConfig, Standby, UplinkKind};
use crate::net::Mac;
use crate::notice::UplinkNews;
use crate::status::Health;
use crate::time::Duration;
use rail_wire::dhcp4::RequestKind;

const SEC: Duration = Duration::from_secs(1);

/// A static uplink, and one by DHCP that waits for its death.
fn world() -> World {
    let mut config = uplinks(&[1, 2]);
    config.uplinks[1].kind = UplinkKind::Dhcp(DhcpConfig::default());
    config.uplinks[1].standby = Standby::Cold;
    let mut state = kernel(&config);
    for (n, link) in (1..).zip(state.links.values_mut()) {
        link.identity.mac = Some(Mac([2, 0, 0, 0, 0, n]));
    }
    World::with(config, Saved::default(), START, state, |_| false)
}

fn settled() -> World {
    let mut world = world();
    world.run(SEC * 20, all);
    assert_eq!(world.health(), [Health::Up, Health::NoAddress]);
    world
}

/// The second uplink carries, for the first is dead.
fn called() -> World {
    let mut world = settled();
    world.run(SEC * 10, second);
    assert_eq!(world.active(), [false, true]);
    world
}

/// The addresses of the second uplink's interface.
fn addresses(world: &World) -> usize {
    world.state.addresses.keys().filter(|(name, _)| name.as_str() == "wan2").count()
}

fn turns(world: &World) -> Vec<bool> {
    let turn = |(_, notice): &(Instant, Notice)| match notice {
        Notice::Uplink(UplinkNews::Standby { called, .. }) => Some(*called),
        _ => None,
    };
    world.notices.iter().filter_map(turn).collect()
}

/// How severe the news of the second uplink were since then.
fn warnings(world: &World, since: Instant) -> Vec<String> {
    let is_warning = |notice: &Notice| notice.severity() < crate::notice::Severity::Info;
    let late = world.notices.iter().filter(|(at, notice)| *at >= since && is_warning(notice));
    late.map(|(_, notice)| alloc::format!("{notice:?}"))
        .filter(|text| text.contains("isp2"))
        .collect()
}

/// Given a good uplink, then the one on cold standby asks nobody, sends nothing, and says why; that is no
/// warning.
#[test]
fn a_cold_uplink_sends_nothing() {
    let world = settled();
    assert_eq!(world.requests.len(), 0);
    assert_eq!(world.sent.get(&2), None);
    assert_eq!((addresses(&world), world.active()), (0, [true, false].into()));
    let status = &world.router.status(world.now).uplinks[1];
    assert!(status.cold);
    assert_eq!(status.cause, "on cold standby: an uplink of a better tier is usable");
    assert_eq!(status.returns, "when no uplink of a better tier is usable");
    assert_eq!(warnings(&world, START), Vec::<String>::new());
    assert_eq!(turns(&world), []);
}

/// Given one on cold standby, when the better one falls silent, then it is leased within a moment of the doubt,
/// before that one is down, and carries; the other way round it is let go after a minute, and gives its lease
/// back. Neither is a warning.
#[test]
fn it_is_called_and_let_go() {
    let mut world = settled();
    let since = world.now;
    while world.health()[0] == Health::Up {
        world.run(MS, second);
    }
    assert_eq!((world.health()[0], turns(&world)), (Health::Suspect, [true].into()));
    world.run(MS * 150, second);
    assert_eq!((addresses(&world), world.active()), (1, [false, true].into()));
    world.run(SEC * 10, second);
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert_eq!(warnings(&world, since), Vec::<String>::new());
    let since = world.now;
    world.run(SEC * 50, all);
    assert_eq!((world.health(), world.active()), ([Health::Up; 2].into(), [true, false].into()));
    world.requests.clear();
    world.run(SEC * 20, all);
    assert_eq!(world.health(), [Health::Up, Health::NoAddress]);
    let kinds: Vec<_> = world.requests.iter().map(|request| request.kind).collect();
    assert!(kinds.iter().all(|kind| matches!(kind, RequestKind::Release { .. })), "{kinds:?}");
    assert_eq!((kinds.len(), addresses(&world)), (2, 0));
    assert_eq!(turns(&world), [true, false]);
    assert_eq!(warnings(&world, since), Vec::<String>::new());
    let sent = world.sent.clone();
    world.run(SEC * 100, all);
    assert_eq!(world.sent[&2], sent[&2]);
    world.run(SEC * 10, second);
    assert_eq!(world.active(), [false, true]);
}

/// Given a better uplink that falls again and again, then the other one stays leased until that one was good for
/// a minute without a break.
#[test]
fn a_short_return_lets_nobody_go() {
    let mut world = called();
    for _ in 0..3 {
        world.run(SEC * 40, all);
        world.run(SEC * 10, second);
    }
    assert_eq!(turns(&world), [true]);
    assert_eq!(addresses(&world), 1);
}

/// Given one that was called, when the process dies and another one starts, then it goes on untouched; and one
/// that waited waits on.
#[test]
fn a_restart_goes_on() {
    let mut world = called().restart(|_| {});
    world.run(SEC * 3, second);
    assert_eq!((addresses(&world), world.active()), (1, [false, true].into()));
    assert_eq!(turns(&world), []);
    let mut world = settled().restart(|_| {});
    world.run(SEC * 20, all);
    assert_eq!((world.requests.len(), turns(&world)), (0, Vec::new()));
}

/// Given a better uplink that is dead from the start, then the other one is called after five seconds, and not
/// before.
#[test]
fn a_start_waits_for_better_ones() {
    let mut world = world();
    world.link(0).carrier = false;
    world.run(SEC * 4, second);
    assert_eq!(turns(&world), []);
    world.run(SEC * 3, second);
    assert_eq!((turns(&world), world.active()), ([true].into(), [false, true].into()));
}

/// Given a better uplink that was good and dies a moment after the start, then the other one is called at once.
#[test]
fn a_death_after_the_start_is_no_start() {
    let mut world = world();
    while world.health()[0] != Health::Up {
        world.run(MS, all);
    }
    world.run(MS * 100, all);
    world.link(0).carrier = false;
    world.changed(Scope::LINKS);
    world.run(MS * 150, second);
    assert_eq!((turns(&world), world.active()), ([true].into(), [false, true].into()));
}

/// Given a better uplink that is drained or disabled by command, then the other one is called.
#[test]
fn a_drained_uplink_is_no_better_one() {
    for action in [crate::Action::Drain, crate::Action::Disable] {
        let mut world = settled();
        let said =
            crate::Override { action, by: "root".into(), until: None, until_wall: String::new() };
        world.input(Input::Override("isp1".into(), Some(said)));
        world.run(SEC * 5, all);
        assert_eq!(world.active(), [false, true], "{action:?}");
    }
}

/// Given one that was called while its server is silent, then it is a warning that it has no lease after a while.
#[test]
fn a_call_in_vain_is_told() {
    let mut world = settled();
    world.dhcp = |_, _| None;
    let since = world.now;
    world.run(SEC * 8, second);
    assert_eq!(warnings(&world, since), Vec::<String>::new());
    world.run(SEC * 30, second);
    assert!(!warnings(&world, since).is_empty());
    let cause = &world.router.status(world.now).uplinks[1].cause;
    assert_eq!(cause, "no lease on wan2 yet");
}

/// Given an uplink that is leased, when a reload puts it on cold standby, then it is let go after a minute; and a
/// reload that ends that leases it at once.
#[test]
fn a_reload_changes_the_standby() {
    let mut world = settled();
    let mut config = world.config.clone();
    config.uplinks[1].standby = Standby::Warm;
    world.input(Input::Reload(Box::new(config.clone())));
    world.run(SEC * 5, all);
    assert_eq!(addresses(&world), 1);
    config.uplinks[1].standby = Standby::Cold;
    world.input(Input::Reload(Box::new(config)));
    world.run(SEC * 50, all);
    assert_eq!(addresses(&world), 1);
    world.run(SEC * 20, all);
    assert_eq!(addresses(&world), 0);
}

/// Given one on cold standby, when its stick is pulled or its cable, then that is no part of the plan: it is said, and
/// the status calls it no standby that waits.
#[test]
fn a_cold_uplink_that_cannot_be_called_is_told() {
    for is_pulled in [true, false] {
        let mut world = settled();
        let since = world.now;
        if is_pulled {
            World::unplug(&mut world.state, &world.config, 1);
        } else {
            world.link(1).carrier = false;
        }
        world.changed(Scope::LINKS | Scope::ADDRESSES);
        world.run(SEC * 5, all);
        let status = &world.router.status(world.now).uplinks[1];
        assert!(!status.cold && !status.cause.contains("on cold standby"), "{}", status.cause);
        assert!(!warnings(&world, since).is_empty(), "{is_pulled}");
    }
}
