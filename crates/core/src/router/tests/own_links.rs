//! An uplink by a link of its own.

use super::world::*;
use super::*;
use crate::config::{Network, OwnLink, Selector};
use crate::net::Mac;
use crate::status::Health;

/// Something happens to the kernel.
type Change = fn(&mut Observed);

const MAC: Mac = Mac([2, 0, 0, 0, 0, 2]);

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// Two uplinks, the second by a link `wan2` of its own on `eth2`, and a kernel without that link.
fn by_own_link() -> (Config, Observed) {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[1].own_link = Some(OwnLink::on(name("eth2"), MAC));
    let mut state = kernel(&config);
    let port = state.links.remove(&name("wan2")).unwrap();
    state.links.insert(name("eth2"), port);
    (config, state)
}

fn cause(world: &World) -> String {
    world.router.status(world.now).uplinks[1].cause.clone()
}

/// Given an uplink by a link of its own, when the daemon starts, then that the link is still to be made is no
/// news; that it cannot be made is.
#[test]
fn what_a_start_makes_is_no_news() {
    let (config, state) = by_own_link();
    for (refuses, is_told) in [
        ((|_| false) as fn(&Key) -> bool, false),
        ((|key| matches!(key, Key::Link(_))) as fn(&Key) -> bool, true),
    ] {
        let state = state.clone();
        let mut world = World::with(config.clone(), Saved::default(), START, state, refuses);
        world.run(MS * 3000, all);
        let is_it = |(name, health): &(String, Health)| name == "isp2" && *health == Health::Absent;
        assert_eq!(world.reported(START).iter().any(is_it), is_told);
        assert_eq!(world.health()[1], if is_told { Health::Absent } else { Health::Up });
    }
}

/// Given an uplink by a link of its own, then the link is made up and nobody sets it up beside; set down
/// by somebody it is set up again, over a restart as well.
#[test]
fn it_is_up() {
    let (config, state) = by_own_link();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 3000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    let down = |state: &mut Observed| state.links.get_mut(&name("wan2")).unwrap().up = false;
    down(&mut world.state);
    world.changed(Scope::LINKS);
    world.run(MS, all);
    assert!(world.link(1).up);
    let mut world = world.restart(down);
    world.run(MS, all);
    assert!(world.link(1).up && world.links_up.is_empty());
}

/// Given a link that cannot be made, for one reason after the other, then the uplink says why, as soon as
/// that is known, and has its link when the reason is gone.
#[test]
fn it_says_why_there_is_no_link() {
    let (config, state) = by_own_link();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 3000, all);
    let there = world.state.clone();
    let foreign = |state: &mut Observed| {
        let link = state.links.get_mut(&name("wan2")).unwrap();
        (link.kind, link.alias) = ("bridge".into(), "rail:wan2".into());
    };
    let port_has_it = |state: &mut Observed| {
        state.links.remove(&name("wan2"));
        state.links.get_mut(&name("eth2")).unwrap().identity.mac = Some(MAC);
    };
    let no_port = |state: &mut Observed| {
        state.links.remove(&name("wan2"));
        state.links.remove(&name("eth2"));
    };
    let cases: [(Change, &str); 3] = [
        (foreign, "rail's link wan2 is not there: a foreign bridge has this name"),
        (
            port_has_it,
            "rail's link wan2 is not there: 02:00:00:00:00:02 is the hardware address of its port eth2",
        ),
        (no_port, "wan2 has no port: there is no interface eth2"),
    ];
    for (change, text) in cases {
        change(&mut world.state);
        world.changed(Scope::LINKS);
        world.run(MS * 10, all);
        assert_eq!((world.health()[1], cause(&world)), (Health::Absent, text.into()));
        world.state = there.clone();
        world.changed(Scope::ALL);
        // The third return is held back for 5 s.
        world.run(MS * 9000, all);
        assert_eq!(world.health()[1], Health::Up, "after: {text}");
    }
    world.refuses = |key| matches!(key, Key::Link(_));
    world.state.links.remove(&name("wan2"));
    world.changed(Scope::LINKS);
    world.run(MS * 10, all);
    assert_eq!(cause(&world), "rail's link wan2 is not there: Network is unreachable");
}

/// Given the LAN by its card's address on the uplink's port, then there is no link, and the uplink says why.
#[test]
fn a_port_of_the_lan_has_no_link() {
    let (mut config, mut state) = by_own_link();
    let lan = Mac([2, 0, 0, 0, 0, 5]);
    state.links.get_mut(&name("eth2")).unwrap().identity.mac = Some(lan);
    config.networks = [Network::lan_at(Selector::Mac(lan))].into();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 3000, all);
    assert!(!world.state.links.contains_key(&name("wan2")));
    let text = "wan2 has no port: the file calls eth2 both \"mac:02:00:00:00:00:05\" and \"eth2\"; use \
                one of them";
    assert_eq!(cause(&world), text);
}

/// Given an uplink whose link is still to be made, when the first steps are asked for, then what comes with
/// the link is among them, behind it.
#[test]
fn a_plan_has_what_comes_with_a_link() {
    let (config, state) = by_own_link();
    let mut router = Router::new(config.clone(), Saved::default(), "boot".into(), [3; 16]);
    let mut out = Vec::new();
    router.start(START, &mut out);
    router.handle(START, Input::Observed(Scope::ALL, Box::new(state)), &mut out);
    let plan = router.preview(START);
    let place = |wanted: &str| {
        plan.iter().position(|step| step.key.to_string().starts_with(wanted)).expect(wanted)
    };
    let link = place("link wan2");
    let table = alloc::format!("route default table {}", config.ranges.tables.0 + 2);
    for object in ["address 100.64.2.2/24 dev wan2", &table, "sysctl net.ipv4.conf.wan2."] {
        assert!(place(object) > link, "{object}");
    }
}
