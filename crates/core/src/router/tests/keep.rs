//! An uplink that another program configures: rail follows it, and writes nothing there.

use super::world::{MS, START, World, all, default_of, kernel, second, uplinks};
use super::*;
use crate::config::{KeepConfig, UplinkKind};
use crate::net::Prefix;
use crate::state::{GivenAddress, GivenDefault};
use crate::status::Health;
use crate::time::Duration;
use core::net::IpAddr;

/// Two uplinks, the first kept, with what the other program has set by then.
fn world() -> World {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[0].kind = UplinkKind::Keep(KeepConfig::default());
    let mut state = kernel(&config);
    set_address(&mut state, Some("100.64.1.7/24"));
    set_default(&mut state, Some("100.64.1.1"));
    World::with(config, Saved::default(), START, state, |_| false)
}

fn settled() -> World {
    let mut world = world();
    world.run(SEC * 5, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    world
}

/// What the other program does to the address of the first uplink.
fn set_address(state: &mut Observed, address: Option<&str>) {
    let ifname = "wan1".parse().unwrap();
    let given: Vec<Prefix> = address.map(|text| text.parse().unwrap()).into_iter().collect();
    state.given = given.iter().map(|prefix| given_address(*prefix)).collect();
    state.addresses.retain(|(name, _), _| *name != ifname);
    state.addresses.extend(given.iter().map(|prefix| ((ifname, *prefix), Ownership::Foreign)));
}

fn given_address(prefix: Prefix) -> GivenAddress {
    GivenAddress { ifindex: 1, prefix, has_peer: false, is_secondary: false }
}

/// What it does to its default route in `main`.
fn set_default(state: &mut Observed, gateway: Option<&str>) {
    let default = |via: &str| GivenDefault {
        prefix: Prefix::default_route(Family::V4),
        metric: 100,
        protocol: 16,
        ifindex: 1,
        gateway: Some(via.parse().unwrap()),
        source: None,
        mtu: None,
    };
    state.defaults = gateway.map(default).into_iter().collect();
}

const SEC: Duration = Duration::from_secs(1);
const SET: Scope = Scope(Scope::ADDRESSES.0 | Scope::ROUTES.0 | Scope::MAIN.0);

fn route(world: &World) -> Option<String> {
    let route = world.state.routes.get(&default_of(20_001))?;
    Some(route.value.as_ref()?.to_string())
}

/// The addresses of the first uplink's interface.
fn addresses(world: &World) -> Vec<String> {
    let here = world.state.addresses.keys().filter(|(name, _)| name.as_str() == "wan1");
    here.map(|(_, prefix)| prefix.to_string()).collect()
}

fn cause(world: &World) -> String {
    world.router.status(world.now).uplinks[0].cause.clone()
}

/// Given an address and a default route of another program, then the uplink is attached by them, in its own
/// table, and nothing is written on its interface; when everything is taken away, then both stay.
#[test]
fn what_others_set_attaches_the_uplink() {
    let mut world = settled();
    assert_eq!(world.active(), [true, true]);
    assert_eq!(route(&world).unwrap(), "via 100.64.1.1 dev wan1 src 100.64.1.7");
    let status = &world.router.status(world.now).uplinks[0];
    let read = &status.kept.as_ref().unwrap().read;
    let words = "100.64.1.7/24 is set by another program; the gateway is that of \"default via 100.64.1.1 \
                 proto dhcp metric 100\" in main";
    assert_eq!(read, words);
    world.input(Input::Withdraw);
    world.run(SEC, all);
    assert_eq!(route(&world), None);
    assert_eq!(addresses(&world), ["100.64.1.7/24"]);
}

/// Given a kept uplink, when its default route goes and comes back with another metric a moment later, or not,
/// then nothing changes meanwhile; only after ten seconds it has no way, and says so, until it is back.
#[test]
fn a_default_that_comes_back_is_no_news() {
    let mut world = settled();
    let since = world.now;
    for _ in 0..3 {
        set_default(&mut world.state, None);
        world.changed(SET);
        world.run(SEC * 3, all);
        set_default(&mut world.state, Some("100.64.1.1"));
        world.state.defaults[0].metric += 1000;
        world.changed(SET);
        world.run(SEC * 3, all);
    }
    assert_eq!(world.reported(since), []);
    assert_eq!(world.purges, []);
    set_default(&mut world.state, None);
    world.changed(SET);
    world.run(SEC * 9, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    world.run(SEC * 3, all);
    assert_eq!(world.health(), [Health::NoWay, Health::Up]);
    assert_eq!(cause(&world), "100.64.1.7/24 is on wan1, but main has no default route by wan1");
    assert_eq!((route(&world), world.active()), (None, [false, true].into()));
    set_default(&mut world.state, Some("100.64.1.1"));
    world.changed(SET);
    world.run(SEC * 30, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    assert_eq!(addresses(&world), ["100.64.1.7/24"]);
}

/// Given a kept uplink, when the other program changes address and gateway, then they are followed at once,
/// connections of the old address are deleted, and the old one is put back by nobody.
#[test]
fn another_address_is_followed() {
    let mut world = settled();
    set_address(&mut world.state, Some("100.64.9.8/24"));
    set_default(&mut world.state, Some("100.64.9.1"));
    world.changed(SET);
    world.run(SEC * 5, all);
    assert_eq!(route(&world).unwrap(), "via 100.64.9.1 dev wan1 src 100.64.9.8");
    assert_eq!(addresses(&world), ["100.64.9.8/24"]);
    let old: IpAddr = [100, 64, 1, 7].into();
    let is_stale = |purge: &Purge| purge.which == Which::At(old);
    assert!(world.purges.iter().any(|(_, purge)| is_stale(purge)), "{:?}", world.purges);
    world.run(SEC * 20, all);
    assert_eq!(world.health(), [Health::Up; 2]);
}

/// Given a kept uplink, when its address goes, then it has none at once, nobody puts it back, and the other
/// carries; when it is back, the uplink returns.
#[test]
fn a_lost_address_is_not_put_back() {
    let mut world = settled();
    set_address(&mut world.state, None);
    set_default(&mut world.state, None);
    world.changed(SET);
    world.run(MS * 100, second);
    assert_eq!((world.health()[0], world.active()), (Health::NoAddress, [false, true].into()));
    assert_eq!(cause(&world), "100.64.1.7/24 is not on wan1");
    world.run(SEC * 15, second);
    assert_eq!(addresses(&world), Vec::<String>::new());
    assert_eq!(cause(&world), "no other program has set an address on wan1");
    set_address(&mut world.state, Some("100.64.1.7/24"));
    set_default(&mut world.state, Some("100.64.1.1"));
    world.changed(SET);
    world.run(SEC * 20, all);
    assert_eq!(world.health(), [Health::Up; 2]);
}

/// Given a kept uplink, when what is read after a notification lacks what it was about, then that is found within two
/// seconds.
#[test]
fn what_a_reading_lacks_is_found_by_the_next() {
    let mut world = settled();
    set_address(&mut world.state, None);
    world.changed(SET);
    world.run(MS * 100, second);
    assert_eq!(world.health()[0], Health::NoAddress);
    set_address(&mut world.state, Some("100.64.1.7/24"));
    world.run(SEC * 2, all);
    assert_ne!(world.health()[0], Health::NoAddress);
}

/// Given a kept uplink whose interface is down, then it is left down.
#[test]
fn a_link_of_another_program_is_not_set_up() {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[0].kind = UplinkKind::Keep(KeepConfig::default());
    let mut state = kernel(&config);
    state.links.values_mut().for_each(|link| link.up = false);
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(SEC, all);
    assert_eq!(world.links_up, ["wan2".parse().unwrap()]);
}

/// Given a kept uplink, when the process dies and another one starts while the default route is away, then
/// nothing changes, and no connection is deleted.
#[test]
fn a_restart_bridges_a_gap() {
    let world = settled();
    let (before, address) = (world.state.routes.clone(), addresses(&world));
    let mut world = world.restart(|state| set_default(state, None));
    world.run(SEC * 5, all);
    assert_eq!((&world.state.routes, addresses(&world)), (&before, address));
    assert_eq!(world.health(), [Health::Up; 2]);
    set_default(&mut world.state, Some("100.64.1.1"));
    world.changed(SET);
    world.run(SEC * 10, all);
    assert_eq!(world.state.routes, before);
    assert_eq!(world.purges, []);
}

/// Given a kept uplink with another address after a restart, then what was found of it before is forgotten,
/// and the connections of the old address are deleted.
#[test]
fn another_address_after_a_restart_is_another_uplink() {
    let world = settled();
    let mut world = world.restart(|state| {
        set_address(state, Some("100.64.9.8/24"));
        set_default(state, Some("100.64.9.1"));
    });
    world.run(SEC * 5, all);
    assert_eq!(route(&world).unwrap(), "via 100.64.9.1 dev wan1 src 100.64.9.8");
    let old: IpAddr = [100, 64, 1, 7].into();
    assert!(world.purges.iter().any(|(_, purge)| purge.which == Which::At(old)));
}

/// Given a reading that omits the default route or the address for once, then nothing is believed to be gone.
#[test]
fn one_omission_is_no_loss() {
    let mut world = settled();
    for omit in [(|state: &mut Observed| state.defaults.clear()) as fn(&mut Observed), |state| {
        set_address(state, None)
    }] {
        let since = world.now;
        world.omits = Some(omit);
        world.changed(SET);
        let kept = world.router.status(world.now).uplinks[0].kept.clone().unwrap();
        assert_eq!(kept.missing_s, None);
        world.run(SEC, all);
        assert_eq!(world.reported(since), []);
    }
}

/// Given a file that gives the interface an address, when a reload leaves it to another program, then ours is
/// taken away and nothing of theirs.
#[test]
fn a_reload_hands_the_interface_over() {
    let mut config = uplinks(&[1, 1]);
    config.check_all(config.check.clone());
    let mut world = World::new(config.clone());
    world.run(SEC * 5, all);
    assert_eq!(addresses(&world), ["100.64.1.2/24"]);
    config.uplinks[0].kind = UplinkKind::Keep(KeepConfig::default());
    world.input(Input::Reload(Box::new(config)));
    world.run(SEC, all);
    assert_eq!(addresses(&world), Vec::<String>::new());
    set_address(&mut world.state, Some("100.64.1.2/24"));
    set_default(&mut world.state, Some("100.64.1.1"));
    world.changed(SET);
    world.run(SEC * 20, all);
    assert_eq!(
        (addresses(&world), world.health()),
        (["100.64.1.2/24".into()].into(), [Health::Up; 2].into())
    );
}
