//! An interface that the file does not name is closed while the daemon runs, and people hear of it.

use super::world::*;
use super::*;
use crate::config::{FirewallMode, Selector, Stray, StrayCause};
use crate::net::Prefix;
use crate::notice::CoexistNews;
use crate::state::Ownership;
use crate::status::{Conflict, ConflictKind};

/// What is reported of closed interfaces.
fn shown(world: &World) -> Vec<Conflict> {
    let all = world.router.status(world.now).conflicts;
    all.into_iter().filter(|conflict| conflict.kind == ConflictKind::Closed).collect()
}

/// Given a VPN that the file does not name, when it gets an address in the network of an uplink, of
/// whatever length and whatever the health of the uplink, then status says that it is closed, and the
/// log once; when the address goes again, or the file names the interface, the log says so, too.
/// Without a filter of ours nothing is closed, and nothing reported.
#[test]
fn a_closed_interface_is_told_and_so_is_an_opened_one() {
    for (text, mode, is_down, is_closed) in [
        ("100.64.2.9/32", FirewallMode::Basic, false, true),
        ("100.64.2.9/32", FirewallMode::Basic, true, true),
        ("100.64.2.9/24", FirewallMode::Basic, false, true),
        ("100.64.9.9/32", FirewallMode::Basic, false, false),
        ("100.64.2.9/32", FirewallMode::Off, false, false),
        ("100.64.2.9/32", FirewallMode::External, false, false),
    ] {
        let mut config = uplinks(&[1, 1]);
        config.firewall.mode = mode;
        let mut world = World::new(config);
        world.run(MS * 3000, all);
        if is_down {
            World::unplug(&mut world.state, &world.config, 1);
            world.changed(Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES);
        }
        let vpn: IfName = "tailscale0".parse().unwrap();
        let address: Prefix = text.parse().unwrap();
        let since = world.notices.len();
        let reported = |world: &World, over: bool| {
            let is_it = |(_, notice): &&(Instant, Notice)| {
                let Notice::Coexist(CoexistNews::Conflict { owner, gone, .. }) = notice else {
                    return false;
                };
                owner == "interface tailscale0" && *gone == over
            };
            world.notices.iter().skip(since).filter(is_it).count()
        };
        world.state.addresses.insert((vpn, address), Ownership::Foreign);
        world.changed(Scope::ADDRESSES);
        world.run(MS * 100, all);
        let count = usize::from(is_closed);
        let sentences: Vec<_> = shown(&world).iter().map(Conflict::sentence).collect();
        if is_closed {
            let sentence = alloc::format!(
                "interface tailscale0 is closed as uplink isp2 is: the file does not name it, and its \
                 address {address} is in the uplink's network 100.64.2.0/24"
            );
            assert_eq!(sentences, [sentence]);
            assert!(shown(&world)[0].concerns("isp2") && !shown(&world)[0].concerns("isp1"));
        } else {
            assert!(sentences.is_empty(), "{text}, {mode:?}: {sentences:?}");
        }
        assert_eq!(
            (reported(&world, false), reported(&world, true)),
            (count, 0),
            "{text}, {mode:?}"
        );
        world.state.addresses.remove(&(vpn, address));
        world.changed(Scope::ADDRESSES);
        world.run(MS * 3000, all);
        assert!(shown(&world).is_empty());
        assert_eq!(
            (reported(&world, false), reported(&world, true)),
            (count, count),
            "{text}, {mode:?}"
        );
    }
}

/// Given an uplink by a plain name, when its device gets another name, while the daemon runs or while
/// none does, then it stays closed though no address is left on it, until the file names it or it is
/// gone; a new boot, and another device of that name, know nothing of it.
#[test]
fn the_device_of_an_uplink_is_closed_under_any_name() {
    let (old, new): (IfName, IfName) = ("wan1".parse().unwrap(), "wanx".parse().unwrap());
    let rename = |state: &mut Observed| {
        let link = state.links.remove(&old).unwrap();
        state.links.insert(new, link);
        state.addresses.retain(|(ifname, _), _| *ifname != old);
    };
    let stray = Stray { ifname: new, uplink: 0, cause: StrayCause::Device };
    for runs in [true, false] {
        let mut config = uplinks(&[1, 1]);
        config.firewall.mode = FirewallMode::Basic;
        let mut world = World::new(config);
        world.run(MS * 3000, all);
        if runs {
            rename(&mut world.state);
            world.changed(Scope::LINKS | Scope::ADDRESSES);
        } else {
            world = world.restart(rename);
        }
        world.run(MS * 3000, all);
        let sentence = "interface wanx is closed as uplink isp1 is: the file does not name it, and the \
                        uplink had it under another name";
        let sentences =
            |world: &World| shown(world).iter().map(Conflict::sentence).collect::<Vec<_>>();
        assert_eq!(sentences(&world), [sentence], "{runs}");
        let remedy = shown(&world).remove(0).remedy;
        assert!(remedy.contains("write `interface = \"wanx\"` there"), "{remedy}");
        assert!(!remedy.contains("[[network]]"), "{remedy}");
        assert_eq!(world.router.system.strays, [stray]);
        // The file calls the uplink otherwise now.
        let mut called = world.config.clone();
        called.uplinks[0].name = "fiber".into();
        world.input(Input::Reload(Box::new(called)));
        world.run(MS * 1000, all);
        assert_eq!(world.router.system.strays, [stray]);
        world.input(Input::Reload(Box::new(world.config.clone())));
        world.run(MS * 1000, all);
        // Another device has the name now, and the uplink.
        let link = world.state.links[&new].clone();
        world.state.links.insert(old, Link { index: 77, ..link });
        world.changed(Scope::LINKS);
        world.run(MS * 1000, all);
        assert_eq!(world.router.system.strays, [stray]);
        assert_eq!(sentences(&world), [sentence], "{runs}");
        let remedy = shown(&world).remove(0).remedy;
        assert!(remedy.contains("write `interface = \"wanx\"` there"), "{remedy}");
        assert!(!remedy.contains("[[network]]") && !remedy.contains("prefix"), "{remedy}");
        let booted = world.router.desk.saved.clone().of_boot("another".into());
        assert!(booted.outside.is_empty());
        world.state.links.remove(&old);
        world.state.addresses.retain(|(ifname, _), _| *ifname != old);
        world.changed(Scope::LINKS | Scope::ADDRESSES);
        let mut named = world.config.clone();
        if runs {
            (named.uplinks[0].ifname, named.uplinks[0].interface) =
                (new, Selector::Name("wanx".into()));
            world.input(Input::Reload(Box::new(named)));
        } else {
            world.state.links.remove(&new);
            world.changed(Scope::LINKS);
        }
        world.run(MS * 1000, all);
        assert_eq!(sentences(&world), [""; 0], "{runs}");
    }
}

/// Given three uplinks, the device of the second under another name, when the file loses the first, then
/// the log tells of no other uplink meanwhile, and status names the same one as before.
#[test]
fn a_reload_that_moves_uplinks_accuses_no_other() {
    let (old, new): (IfName, IfName) = ("wan2".parse().unwrap(), "wanx".parse().unwrap());
    let mut config = uplinks(&[1, 1, 1]);
    config.firewall.mode = FirewallMode::Basic;
    let mut world = World::new(config);
    world.run(MS * 3000, all);
    let link = world.state.links.remove(&old).unwrap();
    world.state.links.insert(new, link);
    world.changed(Scope::LINKS);
    world.run(MS * 3000, all);
    let before = shown(&world);
    assert!(before[0].sentence().contains("uplink isp2"), "{before:?}");
    let since = world.notices.len();
    let mut without = world.config.clone();
    without.uplinks.remove(0);
    world.input(Input::Reload(Box::new(without)));
    world.run(MS * 3000, all);
    assert_eq!(shown(&world), before);
    let is_told = |(_, notice): &(Instant, Notice)| matches!(notice, Notice::Coexist(CoexistNews::Conflict { owner, .. }) if owner.contains("wanx"));
    assert!(!world.notices.iter().skip(since).any(is_told), "{:?}", &world.notices[since..]);
}

/// Given an uplink whose device is away, when a new card is called like it until udev has seen it, then
/// the card is not taken for the uplink's device later.
#[test]
fn a_new_card_that_had_the_name_for_a_moment_is_open() {
    let (name, card): (IfName, IfName) = ("wan1".parse().unwrap(), "enx1".parse().unwrap());
    let mut config = uplinks(&[1, 1]);
    config.firewall.mode = FirewallMode::Basic;
    let mut world = World::new(config);
    world.state.links.remove(&name);
    world.run(MS * 3000, all);
    let link = Link { index: 77, up: true, mtu: 1500, ..Link::default() };
    world.state.links.insert(name, link.clone());
    world.changed(Scope::LINKS);
    world.run(MS * 100, all);
    world.state.links.remove(&name);
    world.state.links.insert(card, Link { carrier: true, ..link });
    world.state.addresses.retain(|(ifname, _), _| *ifname != name);
    world.changed(Scope::LINKS | Scope::ADDRESSES);
    world.run(MS * 3000, all);
    assert_eq!(shown(&world), []);
}
