//! Interfaces that are named by their hardware addresses get other names.

use super::world::*;
use super::*;
use crate::config::{FirewallMode, Network, NetworkKind, Reach, Selector};
use crate::net::Mac;
use crate::state::Link;
use crate::status::Health;

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// A world of two uplinks that the file names by the addresses of their cards.
fn two_by_mac() -> World {
    let mut config = uplinks(&[1, 1]);
    let mut state = kernel(&config);
    for (index, uplink) in (1..).zip(&mut config.uplinks) {
        let mac = Mac([2, 0, 0, 0, 0, index]);
        state.links.get_mut(&uplink.ifname).unwrap().identity.mac = Some(mac);
        uplink.interface = Selector::Mac(mac);
        uplink.ifname = uplink.interface.ifname();
    }
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 3000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    world
}

/// The kernel calls the interfaces otherwise: names by those of before.
fn rename(state: &mut Observed, new: &[(&str, &str)]) {
    let new_name = |old: IfName| {
        let pair = new.iter().find(|(before, _)| name(before) == old);
        pair.map_or(old, |(_, after)| name(after))
    };
    let links = core::mem::take(&mut state.links);
    state.links = links.into_iter().map(|(old, link)| (new_name(old), link)).collect();
    let there = core::mem::take(&mut state.addresses);
    state.addresses = there.into_iter().map(|((n, p), owner)| ((new_name(n), p), owner)).collect();
    let settings = core::mem::take(&mut state.sysctls);
    let path = |path: String| {
        let of = |(old, _): &&(&str, &str)| path.contains(&alloc::format!("/{old}/"));
        let renamed = new.iter().find(of);
        renamed.map_or(path.clone(), |(old, new)| path.replace(old, new))
    };
    state.sysctls = settings.into_iter().map(|(p, value)| (path(p), value)).collect();
    for route in state.routes.values_mut() {
        if let Some(crate::state::RouteValue::Unicast { nexthops, .. }) = &mut route.value {
            nexthops.iter_mut().for_each(|hop| hop.ifname = new_name(hop.ifname));
        }
    }
}

fn names(world: &World) -> Vec<IfName> {
    world.router.config.uplinks.iter().map(|uplink| uplink.ifname).collect()
}

/// Given two uplinks by hardware address that are up, when the names of their cards change, or are
/// exchanged, while the daemon runs or while none does, then each uplink is on its card, no verdict
/// changed, no connection was deleted, and what was written down went along.
#[test]
fn a_new_name_changes_nothing_else() {
    for (new, runs) in [
        (&[("wan1", "enp4s0")][..], true),
        (&[("wan1", "wan2"), ("wan2", "wan1")], true),
        (&[("wan1", "enp4s0")], false),
        (&[("wan1", "wan2"), ("wan2", "wan1")], false),
    ] {
        let mut world = two_by_mac();
        let path = "net/ipv4/conf/wan1/rp_filter";
        let saved = &mut world.router.desk.saved;
        saved.sysctls = [(path.into(), "1".into())].into_iter().collect();
        assert_eq!(names(&world), [name("wan1"), name("wan2")]);
        let since = world.now;
        if runs {
            rename(&mut world.state, new);
            world.changed(Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES);
        } else {
            world = world.restart(|state| rename(state, new));
        }
        let since = if runs { since } else { world.now };
        world.run(MS * 2000, all);
        let first = name(new[0].1);
        assert_eq!(names(&world)[0], first, "{new:?}");
        assert_eq!(world.health(), [Health::Up, Health::Up], "{new:?}");
        let reported = world.reported(since);
        assert!(reported.iter().all(|(_, health)| *health == Health::Up), "{new:?}: {reported:?}");
        assert_eq!(world.purges.iter().filter(|(at, _)| *at >= since).count(), 0, "{new:?}");
        let saved = &world.router.desk.saved;
        assert_eq!(
            saved.sysctls.keys().collect::<Vec<_>>(),
            [&alloc::format!("net/ipv4/conf/{first}/rp_filter")]
        );
        let address = world.config.uplinks[0].address().unwrap();
        assert!(saved.addresses.contains(&(first, address)), "{:?}", saved.addresses);
        assert_eq!(saved.addresses.len(), 2);
        let hop = |table| world.state.routes[&default_of(table)].value.clone().unwrap();
        assert!(hop(20_001).to_string().contains(first.as_str()), "{new:?}: {}", hop(20_001));
    }
}

/// Given an uplink whose card is not there, or twice, then its cause says what the file says; when the
/// card comes, under whatever name, it is used.
#[test]
fn a_card_that_is_not_there_is_named_by_the_file() {
    let mut world = two_by_mac();
    let card = world.state.links.remove(&name("wan1")).unwrap();
    world.state.links.insert(name("wan1"), Link { index: 9, ..Link::default() });
    world.changed(Scope::LINKS);
    let cause = |world: &World| {
        let uplink = world.router.status(world.now).uplinks.remove(0);
        (uplink.health, uplink.interface, uplink.cause)
    };
    let mac = "02:00:00:00:00:01";
    let interface = alloc::format!("mac:{mac}");
    let why = alloc::format!("no interface has the hardware address {mac}");
    assert_eq!(cause(&world), (Health::Absent, interface.clone(), why));
    world.state.links.insert(name("eth7"), Link { index: 7, ..card.clone() });
    world.state.links.insert(name("eth8"), Link { index: 8, ..card });
    world.changed(Scope::LINKS);
    let why = alloc::format!("\"{interface}\" is several interfaces: eth7, eth8");
    assert_eq!(cause(&world), (Health::Absent, interface, why));
    world.state.links.remove(&name("eth8"));
    world.changed(Scope::LINKS);
    world.run(MS * 5000, all);
    assert_eq!(world.health(), [Health::Up, Health::Up]);
    assert_eq!(names(&world)[0], name("eth7"));
    let mut config = world.config.clone();
    config.networks[0].interface = Selector::Path("pci-0000:03:00.0".into());
    world.input(Input::Reload(Box::new(config)));
    world.changed(Scope::LINKS);
    let conflict = world.router.status(world.now).conflicts.remove(0);
    assert_eq!(conflict.owner, "network lan0");
    assert_eq!(conflict.effect, "has no interface: no interface is at pci-0000:03:00.0");
}

/// Given guests on an interface that the file names by its address, when a second one has that address,
/// while the daemon runs or before it starts again, then the first stays theirs, the second is filtered
/// as it, and both are reported; without knowledge of before, none is theirs and both are filtered so.
#[test]
fn guests_keep_their_gates() {
    let mac = Mac([2, 0, 0, 0, 0, 9]);
    let mut config = uplinks(&[1, 1]);
    let mut guest = Network::lan_at(Selector::Mac(mac));
    (guest.name, guest.kind) = ("guest".into(), NetworkKind::Guest);
    guest.reach = Reach::Only { internet: true, networks: Vec::new() };
    config.networks.push(guest);
    let mut state = kernel(&config);
    let card = |index| {
        let mut card = Link { index, up: true, carrier: true, mtu: 1500, ..Link::default() };
        card.identity.mac = Some(mac);
        card
    };
    state.links.insert(name("eth5"), card(5));
    let mut world = World::with(config.clone(), Saved::default(), START, state, |_| false);
    world.run(MS * 1000, all);
    let gates = |world: &World| {
        let mut config = world.router.config.clone();
        config.firewall.mode = FirewallMode::Basic;
        let state = render::render(&config, &world.router.uplinks.facts(&world.router.system));
        let Some(Resource::Firewall(table)) = state.get(&Key::Firewall) else { panic!("no rules") };
        let text = alloc::format!("{:?}", table.chains);
        ["eth1", "eth5"].map(|name| {
            let gate = |chain: &str| alloc::format!("\\\"{name}\\\" : goto {chain}");
            text.contains(&gate("net_guest")) && text.contains(&gate("inside_input"))
        })
    };
    assert_eq!(gates(&world), [false, true]);
    world.state.links.insert(name("eth1"), card(8));
    world.changed(Scope::LINKS);
    world.run(MS * 1000, all);
    let reported = |world: &World| world.router.status(world.now).conflicts.remove(0).effect;
    let several = "\"mac:02:00:00:00:00:09\" is several interfaces: eth1, eth5";
    let kept = alloc::format!("uses eth5 as before, but {several}; it filters eth1, too");
    assert_eq!((gates(&world), reported(&world)), ([true, true], kept.clone()));
    let mut world = world.restart(|_| ());
    world.run(MS * 1000, all);
    assert_eq!((gates(&world), reported(&world)), ([true, true], kept));
    assert_eq!(world.router.config.networks.last().unwrap().ifname, name("eth5"));
    let state = world.state.clone();
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 1000, all);
    let lost = alloc::format!("has no interface: {several}; each is filtered as this network");
    assert_eq!((gates(&world), reported(&world)), ([true, true], lost));
}

/// Given an uplink by its address, when its card becomes the port of a bridge that has the address, then
/// it is reported that the bridge is filtered, until the bridge is gone.
#[test]
fn it_is_told_what_is_filtered_as_well() {
    let mac = Mac([2, 0, 0, 0, 0, 1]);
    let mut config = uplinks(&[1, 1]);
    let interface = Selector::Mac(mac);
    (config.uplinks[0].ifname, config.uplinks[0].interface) = (interface.ifname(), interface);
    config.firewall.mode = FirewallMode::Basic;
    let mut state = kernel(&uplinks(&[1, 1]));
    state.links.get_mut(&name("wan1")).unwrap().identity.mac = Some(mac);
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 1000, all);
    assert_eq!(world.router.status(world.now).conflicts, []);
    let mut bridge = Link { index: 9, up: true, carrier: true, mtu: 1500, ..Link::default() };
    (bridge.identity.mac, bridge.identity.is_stacked) = (Some(mac), true);
    world.state.links.insert(name("br0"), bridge);
    world.state.links.get_mut(&name("wan1")).unwrap().master = Some(9);
    world.changed(Scope::LINKS);
    world.run(MS * 1000, all);
    let conflict = world.router.status(world.now).conflicts.remove(0);
    let effect = "filters br0, too, which \"mac:02:00:00:00:00:01\" may mean";
    assert_eq!((conflict.owner.as_str(), conflict.effect.as_str()), ("uplink isp1", effect));
    world.state.links.remove(&name("br0"));
    world.changed(Scope::LINKS);
    world.run(MS * 1000, all);
    assert_eq!(world.router.status(world.now).conflicts, []);
}

/// Given two uplinks that are up, when the file names the first one's card by its address, which another
/// one has as well, or by its place, which nobody has read yet, then no verdict changes.
#[test]
fn another_word_for_the_same_card_changes_no_verdict() {
    let (mac, place) = (Mac([2, 0, 0, 0, 0, 1]), "pci-0000:03:00.0");
    for word in [Selector::Mac(mac), Selector::Path(place.into())] {
        let config = uplinks(&[1, 1]);
        let mut state = kernel(&config);
        let card = state.links.get_mut(&name("wan1")).unwrap();
        (card.identity.mac, card.identity.path) = (Some(mac), Some(place.into()));
        let twin = Link { index: 9, ..card.clone() };
        if matches!(word, Selector::Mac(_)) {
            state.links.insert(name("eth7"), twin);
        }
        let mut world = World::with(config.clone(), Saved::default(), START, state, |_| false);
        world.run(MS * 3000, all);
        let since = world.now;
        let mut config = config;
        config.uplinks[0].interface = word.clone();
        config.uplinks[0].ifname = word.ifname();
        // Whoever judges it before sees the same.
        assert_eq!(world.router.named(config.clone()).uplinks[0].ifname, name("wan1"), "{word}");
        world.input(Input::Reload(Box::new(config)));
        world.run(MS * 2000, all);
        assert_eq!(names(&world)[0], name("wan1"), "{word}");
        assert_eq!(world.reported(since), [], "{word}");
        assert_eq!(world.health(), [Health::Up, Health::Up], "{word}");
        assert_eq!(world.purges.iter().filter(|(at, _)| *at >= since).count(), 0, "{word}");
    }
}
