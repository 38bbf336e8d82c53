//! An uplink whose address is leased: what of it reaches the kernel, the state file and the connections.

use super::world::{MS, START, World, all, default_of, kernel, leases, second, uplinks};
use super::*;
use crate::config::{DhcpConfig, UplinkKind};
use crate::io::{Peer, PortId};
use crate::net::{Mac, Prefix};
use crate::notice::LeaseNews;
use crate::status::Health;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::dhcp4::{Reply, ReplyKind, Request, RequestKind};

/// Two uplinks, the first by DHCP.
fn world() -> World {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[0].kind = UplinkKind::Dhcp(DhcpConfig::default());
    let mut state = kernel(&config);
    for (n, link) in (1..).zip(state.links.values_mut()) {
        link.identity.mac = Some(Mac([2, 0, 0, 0, 0, n]));
    }
    World::with(config, Saved::default(), START, state, |_| false)
}

fn settled() -> World {
    let mut world = world();
    world.run(MS * 20_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    world
}

fn has(world: &World, prefix: &str) -> bool {
    let prefix: Prefix = prefix.parse().unwrap();
    world.state.addresses.contains_key(&(world.config.uplinks[0].ifname, prefix))
}

fn news(world: &World) -> Vec<&LeaseNews> {
    let lease = |(_, notice): &'_ (Instant, Notice)| matches!(notice, Notice::Lease(_));
    let all = world.notices.iter().filter(|notice| lease(notice));
    all.map(|(_, notice)| match notice {
        Notice::Lease(news) => news,
        _ => unreachable!(),
    })
    .collect()
}

/// Denies what is asked for, and offers nothing.
fn denies(request: &Request, uplink: u8) -> Option<Reply> {
    match request.kind {
        RequestKind::Discover { .. } => None,
        _ => leases(request, uplink).map(|reply| Reply { kind: ReplyKind::Nak, ..reply }),
    }
}

/// Denies the address of before, and leases another one.
fn leases_another(request: &Request, uplink: u8) -> Option<Reply> {
    match request.kind {
        RequestKind::InitReboot { .. } => denies(request, uplink),
        _ => {
            leases(request, uplink).map(|reply| Reply { yiaddr: [100, 64, 1, 77].into(), ..reply })
        }
    }
}

/// The carrier of the first uplink goes for half a second.
fn blink(world: &mut World) {
    for carrier in [false, true] {
        world.link(0).carrier = carrier;
        world.changed(Scope::LINKS);
        world.run(MS * if carrier { 20_000 } else { 500 }, all);
    }
}

/// Given a server that leases, then the address and the route of the uplink stand in the kernel, and it
/// carries; the other one is never without.
#[test]
fn a_lease_attaches_the_uplink() {
    let world = settled();
    assert!(has(&world, "100.64.1.2/24"));
    assert_eq!(world.active(), [true, true]);
    let route = world.state.routes[&default_of(20_001)].value.clone().unwrap();
    assert_eq!(route.to_string(), "via 100.64.1.1 dev wan1 src 100.64.1.2");
    assert!(matches!(news(&world)[..], [LeaseNews::Leased { .. }]), "{:?}", news(&world));
    assert_eq!(world.router.desk.saved.leases["isp1"].last, Some([100, 64, 1, 2].into()));
    assert_eq!(world.purges.len(), 0);
}

/// Given no server, then the uplink has no address and says so, and nothing is refused by the kernel.
#[test]
fn without_a_server_there_is_no_address() {
    let mut world = world();
    world.dhcp = |_, _| None;
    world.run(MS * 30_000, all);
    assert_eq!(world.health(), [Health::NoAddress, Health::Up]);
    let cause = &world.router.uplinks.iter().next().unwrap().history.cause;
    assert_eq!(cause, "no lease on wan1 yet");
    let returns = &world.router.status(world.now).uplinks[0].returns;
    assert_eq!(returns, "when a DHCP server leases it an address and a gateway");
    assert!(world.router.deadline().is_some());
}

/// Given a lease, when the server denies its renewal, then the address goes, its connections are deleted,
/// and the other uplink carries.
#[test]
fn a_denied_lease_leaves_nothing() {
    let mut world = settled();
    world.dhcp = denies;
    world.run(MS * 320_000, all);
    assert_eq!(world.health(), [Health::NoAddress, Health::Up]);
    assert_eq!(world.active(), [false, true]);
    assert!(!has(&world, "100.64.1.2/24"));
    assert!(!world.state.routes.contains_key(&default_of(20_001)));
    assert!(!world.purges.is_empty());
    let reported = news(&world);
    assert!(
        reported.iter().any(|news| matches!(news, LeaseNews::LeaseLost { .. })),
        "{reported:?}"
    );
    assert_eq!(world.router.desk.saved.leases["isp1"].lease, None);
}

/// Given a lease of another address after a carrier loss, then the old address goes and the new one carries.
#[test]
fn another_address_replaces_the_old_one() {
    let mut world = settled();
    world.dhcp = leases_another;
    blink(&mut world);
    assert!(has(&world, "100.64.1.77/24") && !has(&world, "100.64.1.2/24"));
    assert_eq!(world.health(), [Health::Up; 2]);
}

/// Given a lease, when the process dies and another one starts, then nothing in the kernel changes, no
/// connection is deleted, and the lease is verified.
#[test]
fn a_restart_keeps_the_lease() {
    let world = settled();
    let (before, requests) = (world.state.clone(), world.requests.len());
    assert!(requests >= 2);
    let mut world = world.restart(|_| {});
    world.run(MS * 5000, all);
    assert_eq!(world.state.addresses, before.addresses);
    assert_eq!(world.state.routes, before.routes);
    assert_eq!(world.purges.len(), 0);
    assert_eq!(world.health(), [Health::Up; 2]);
    assert!(matches!(world.requests[0].kind, RequestKind::InitReboot { .. }));
}

/// Given a lease, when its uplink falls silent and the server with it, then the uplink is down, and the lease
/// stays.
#[test]
fn a_dead_uplink_keeps_its_lease() {
    let mut world = settled();
    world.dhcp = |_, _| None;
    world.run(MS * 10_000, second);
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert!(has(&world, "100.64.1.2/24"));
}

/// Given a lease, when everything is taken away, then it is given back before its address goes.
#[test]
fn a_withdrawal_gives_the_lease_back() {
    let mut world = settled();
    world.requests.clear();
    world.input(Input::Withdraw);
    let kinds: Vec<_> = world.requests.iter().map(|request| request.kind).collect();
    assert!(
        matches!(kinds[..], [RequestKind::Release { .. }, RequestKind::Release { .. }]),
        "{kinds:?}"
    );
    assert!(!has(&world, "100.64.1.2/24"));
}

/// Given a lease, then the shell looks at its gateway; when a server denies the lease, then the uplink has no
/// address at once, and is never said to be down.
#[test]
fn a_denied_lease_is_no_death() {
    let mut world = settled();
    let gateway = (world.config.uplinks[0].ifname, IpAddr::from([100, 64, 1, 1]));
    assert!(world.router.kernel.watch().neighbours.contains(&gateway));
    let since = world.now;
    world.dhcp = denies;
    world.run(MS * 320_000, all);
    let reported = world.reported(since);
    let of_first = reported.iter().filter(|(uplink, _)| uplink == "isp1");
    let healths: Vec<Health> = of_first.map(|(_, health)| *health).collect();
    assert_eq!(healths[..], [Health::NoAddress]);
}

/// Given a deletion that waits for its time, when the uplink leases another address, then connections with
/// that one are kept.
#[test]
fn an_older_deletion_keeps_a_new_address() {
    let mut world = settled();
    world.dhcp = leases_another;
    let purge = Purge {
        uplink: UplinkId(9),
        mark: 1,
        mask: 1,
        which: Which::Movable,
        keep_sources: Vec::new(),
        keep_destinations: Vec::new(),
        yields: true,
    };
    world.router.purge.sweep_at(world.now + MS * 900_000, purge);
    blink(&mut world);
    assert!(has(&world, "100.64.1.77/24"));
    let kept = world.router.purge.swept();
    let own = IpAddr::from([100, 64, 1, 77]);
    let [purge] = &kept[..] else { panic!("{kept:?}") };
    assert!(purge.keep_sources.contains(&own), "{purge:?}");
    assert!(purge.keep_destinations.contains(&Prefix::host(own)), "{purge:?}");
}

/// Given a lease whose address somebody has taken away, when it is to be renewed just then, then nothing is
/// sent through a port that is closed.
#[test]
fn nobody_asks_from_an_address_that_is_gone() {
    let mut world = settled();
    world.requests.clear();
    world.refuses = |key| matches!(key, Key::Address { .. });
    world.state.addresses.retain(|(_, prefix), _| prefix.address != IpAddr::from([100, 64, 1, 2]));
    world.changed(Scope::ADDRESSES | Scope::ROUTES);
    world.run(MS * 400_000, all);
    let is_renewal = |request: &Request| matches!(request.kind, RequestKind::Renewing { .. });
    assert!(!world.requests.iter().any(is_renewal), "{:?}", world.requests);
}

/// Given an uplink that is held back, when the daemon is started anew, then it is held until the same
/// moment, whether it has its lease still or not.
#[test]
fn a_restart_forgets_no_hold_of_a_leased_uplink() {
    for wait in [0, 700_000] {
        let mut world = settled();
        world.fall_again_and_again();
        let end = world.now + world.hold();
        world.router.desk.saved.learnt.get_mut("isp1").unwrap().falls.held_until = end + MS * wait;
        world.now = world.now + MS * wait;
        let world = world.restart(|_| {});
        assert_eq!(world.now + world.hold(), end + MS * wait);
    }
}

/// Given somebody who floods a client that seeks with offers that are refused for two causes in turn, then
/// each cause is told once.
#[test]
fn a_flood_of_bad_offers_is_told_once() {
    let mut world = world();
    world.dhcp = |_, _| None;
    world.run(MS * 3000, all);
    let request = world.requests.last().unwrap().clone();
    let id = world.router.uplinks.iter().next().unwrap().facts.id;
    let good = leases(&request, 1).unwrap();
    let bad = [Reply { lease: None, ..good.clone() }, Reply { prefix_length: None, ..good }];
    for offer in bad.iter().cycle().take(200) {
        let bytes = offer.emit_packet(Ipv4Addr::BROADCAST);
        let from = Peer::Link(Mac([2; 6]));
        world.input(Input::Packet { port: PortId::Dhcp(id), from, age: Duration::ZERO, bytes });
        world.run(MS, all);
    }
    let told = news(&world).len();
    assert_eq!(told, 2, "{:?}", &news(&world)[..4]);
}
