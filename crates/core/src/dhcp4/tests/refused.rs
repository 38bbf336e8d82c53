//! What a client does not take: answers of others, useless offers, routes into the LAN, addresses that
//! somebody has.

use super::*;

/// Given what does not belong to the question, then it is refused: another transaction, another card,
/// another client, another server than the chosen one.
#[test]
fn what_belongs_to_others_is_refused() {
    type Change = fn(&mut Reply);
    let changes: [Change; 3] = [
        |reply| reply.xid ^= 1,
        |reply| reply.chaddr[5] ^= 1,
        |reply| reply.client_id = Some(vec![1, 2, 3]),
    ];
    for change in changes {
        let mut world = World::new(None, None);
        world.server = deaf;
        world.plug();
        world.run(SEC * 2);
        let mut offer = reply(ReplyKind::Offer, &world.sent[0].1);
        change(&mut offer);
        world.hear(&offer);
        assert_eq!((world.client.phase(), world.client.counters().refused), ("discovering", 1));
    }
    let mut world = World::new(None, None);
    world.server = |request| match request.kind {
        RequestKind::Discover { .. } => good(request),
        _ => Some(Reply {
            server_id: Some(Ipv4Addr::new(9, 9, 9, 9)),
            ..reply(ReplyKind::Ack, request)
        }),
    };
    world.plug();
    world.run(SEC * 2);
    assert_eq!(world.client.phase(), "requesting");
}

/// Given offers that nobody can use, then each is refused with its cause, and nothing is leased: no time,
/// no mask, no host's address, a network that is inside, a server that is not believed.
#[test]
fn useless_offers_are_refused() {
    type Change = fn(&mut Reply);
    let changes: [(Change, &str); 7] = [
        (|reply| reply.lease = None, "it says no time"),
        (|reply| reply.lease = Some(LeaseTime::Seconds(0)), "it says no time"),
        (|reply| reply.prefix_length = None, "it has no subnet mask"),
        (|reply| reply.yiaddr = Ipv4Addr::new(127, 0, 0, 1), "no host can have the address"),
        (|reply| reply.yiaddr = Ipv4Addr::new(192, 168, 1, 9), "its network is in use elsewhere"),
        (|reply| reply.prefix_length = Some(1), "its network is in use elsewhere"),
        (
            |reply| reply.server_id = Some(Ipv4Addr::new(192, 168, 100, 1)),
            "its server is one of `reject_from`",
        ),
    ];
    for (change, why) in changes {
        let mut world = World::new(None, None);
        world.server = deaf;
        world.rules.taken = vec!["192.168.1.0/24".parse().unwrap(), "10.0.0.0/8".parse().unwrap()];
        world.rules.reject_from = vec!["192.168.100.1/32".parse().unwrap()];
        world.plug();
        world.run(SEC * 2);
        let mut offer = reply(ReplyKind::Offer, &world.sent[0].1);
        change(&mut offer);
        world.hear(&offer);
        assert!(
            matches!(&world.told[..], [Action::Refused { why: told, .. }] if *told == why),
            "{why}: {:?}",
            world.told
        );
        assert_eq!(world.client.phase(), "discovering");
    }
}

/// Given a grant whose routes lead into the LAN, to groups and elsewhere, then the first two are refused, and
/// the default of the routes counts, not that of the routers (RFC 3442).
#[test]
fn routes_into_the_lan_are_refused() {
    let mut world = World::new(None, None);
    world.rules.taken = vec!["192.168.1.0/24".parse().unwrap()];
    world.server = |request| {
        let route = |destination: [u8; 4], prefix_length, gateway: [u8; 4]| ClasslessRoute {
            destination: destination.into(),
            prefix_length,
            gateway: gateway.into(),
        };
        let routes = vec![
            route([192, 168, 0, 0], 16, [100, 64, 7, 1]),
            route([224, 0, 0, 0], 4, [100, 64, 7, 1]),
            route([198, 51, 100, 0], 24, [0, 0, 0, 0]),
            route([0, 0, 0, 0], 0, [100, 64, 7, 9]),
        ];
        good(request).map(|reply| Reply { routes: Some(routes), ..reply })
    };
    world.plug();
    world.run(SEC * 2);
    let lease = world.client.lease().unwrap();
    assert_eq!(lease.gateway, Some(Ipv4Addr::new(100, 64, 7, 9)));
    assert_eq!(lease.routes, [("198.51.100.0/24".parse().unwrap(), Ipv4Addr::UNSPECIFIED)]);
    let refused = world.told.iter().filter(|told| matches!(told, Action::RouteRefused { .. }));
    assert_eq!(refused.count(), 2);
}

/// Given a server whose routes lead into the LAN at each renewal, then that is told once; when it names another
/// such route, then that one is told.
#[test]
fn a_refused_route_is_told_once() {
    let mut world = World::new(None, None);
    world.rules.taken = vec!["10.0.0.0/24".parse().unwrap()];
    let told = |world: &World| {
        world.told.iter().filter(|told| matches!(told, Action::RouteRefused { .. })).count()
    };
    fn leads(request: &Request, prefix_length: u8) -> Option<Reply> {
        let gateway = SERVER;
        let whole = ClasslessRoute { destination: NOBODY, prefix_length: 0, gateway };
        let destination = Ipv4Addr::new(10, 0, 0, 0);
        let inside = ClasslessRoute { destination, prefix_length, gateway };
        good(request).map(|reply| Reply { routes: Some(vec![whole, inside]), ..reply })
    }
    world.server = |request| leads(request, 8);
    world.plug();
    world.run(SEC * 20_000);
    assert_eq!(told(&world), 1);
    world.server = |request| leads(request, 16);
    world.run(SEC * 20_000);
    assert_eq!(told(&world), 2);
}

/// Given a default route in two halves, then it is the default route, and no route of its own that would be
/// refused.
#[test]
fn two_halves_are_the_default_route() {
    let mut world = World::new(None, None);
    world.server = |request| {
        let gateway = SERVER;
        let half = |destination| ClasslessRoute { destination, prefix_length: 1, gateway };
        let halves = vec![half(NOBODY), half(Ipv4Addr::new(128, 0, 0, 0))];
        good(request).map(|reply| Reply { routes: Some(halves), ..reply })
    };
    world.plug();
    world.run(SEC * 2);
    let lease = world.client.lease().unwrap();
    assert_eq!((lease.gateway, &lease.routes[..]), (Some(SERVER), &[][..]));
    assert!(matches!(&world.told[..], [Action::Bound { .. }]), "{:?}", world.told);
}

/// Given gateways that can be no host, or are ourselves, then nothing is sent to them.
#[test]
fn impossible_gateways_lead_nowhere() {
    let nowhere = [[255, 255, 255, 255], [127, 0, 0, 1], [224, 0, 0, 5]].map(Ipv4Addr::from);
    for gateway in nowhere.into_iter().chain([ADDRESS]) {
        let world = World::bound();
        let mut offer = reply(ReplyKind::Ack, &world.sent[0].1);
        offer.routers = vec![gateway];
        assert_eq!(Lease::of(&offer, world.now, None).unwrap().gateway, None);
        let route = |destination: [u8; 4], prefix_length| ClasslessRoute {
            destination: destination.into(),
            prefix_length,
            gateway,
        };
        offer.routes = Some(vec![route([0; 4], 0), route([198, 51, 100, 0], 24)]);
        let lease = Lease::of(&offer, world.now, None).unwrap();
        assert_eq!((lease.gateway, &lease.routes[..]), (None, &[][..]), "{gateway}");
    }
}

/// Given servers that name an MTU, then one that no host would have to bear is not taken.
#[test]
fn a_tiny_mtu_is_not_taken() {
    let taken = [Some(68), Some(576), Some(1492), None].map(|mtu| {
        let world = World::bound();
        let mut offer = reply(ReplyKind::Ack, &world.sent[0].1);
        offer.mtu = mtu;
        Lease::of(&offer, world.now, None).unwrap().mtu
    });
    assert_eq!(taken, [None, Some(576), Some(1492), None]);
}

const NOBODY: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Given leases of one second and without an end, then the first is treated as one of 30 s and renewed in
/// time, and the second needs no renewal.
#[test]
fn the_shortest_and_the_longest_lease() {
    let mut world = World::new(None, None);
    world.server =
        |request| good(request).map(|reply| Reply { lease: Some(LeaseTime::Seconds(1)), ..reply });
    world.plug();
    world.run(SEC * 300);
    assert_eq!(world.address(), Some(ADDRESS));
    assert!(world.sent.len() < 30, "{}", world.sent.len());
    let mut world = World::new(None, None);
    world.server =
        |request| good(request).map(|reply| Reply { lease: Some(LeaseTime::Infinite), ..reply });
    world.plug();
    world.run(SEC * 3600 * 24 * 365);
    assert_eq!((world.sent.len(), world.client.lease().unwrap().expires), (2, None));
}

/// Given somebody else with the address, when it answers a probe, then the address is declined and given up,
/// and after ten seconds another one is sought; our own cards are nobody else.
#[test]
fn an_address_in_use_is_declined() {
    let mut world = World::bound();
    let mut world2 = World::new(None, None);
    world2.plug();
    world2.run(SEC * 2);
    world2.rules.own_cards = vec![Mac([2; 6])];
    world2.objects(ADDRESS, Mac([2; 6]));
    assert_eq!(world2.address(), Some(ADDRESS));
    world2.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world2.address(), None);
    let declined = RequestKind::Decline { address: ADDRESS, server: SERVER };
    assert_eq!(world2.sent.last().unwrap().1.kind, declined);
    let at = world2.now;
    world2.run(SEC * 12);
    assert!(world2.sent.last().unwrap().0.since(at) >= SEC * 10);
    // Three probes of nobody, and two announcements.
    world.run(SEC * 20);
    let senders: Vec<_> = world.arps.iter().map(|arp| arp.sender).collect();
    let nobody = Ipv4Addr::UNSPECIFIED;
    assert_eq!(senders, [nobody, nobody, nobody, ADDRESS, ADDRESS]);
    world.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world.address(), Some(ADDRESS), "its time is over");
}

/// Given an address whose default route is on the link, when somebody else has it, then it is declined, too.
#[test]
fn an_address_without_a_router_is_declined_as_well() {
    let mut world = World::new(None, None);
    world.server = |request| {
        let whole = ClasslessRoute {
            destination: Ipv4Addr::UNSPECIFIED,
            prefix_length: 0,
            gateway: Ipv4Addr::UNSPECIFIED,
        };
        good(request).map(|reply| Reply { routes: Some(vec![whole]), ..reply })
    };
    world.plug();
    world.run(SEC * 2);
    world.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world.address(), None);
}

/// Given a router that answers for every address, when it objects to a second one, then it is not believed.
#[test]
fn proxy_arp_objects_once() {
    let mut world = World::new(None, None);
    world.plug();
    world.run(SEC * 2);
    world.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world.address(), None);
    world.server = |request| {
        good(request).map(|reply| Reply { yiaddr: Ipv4Addr::new(100, 64, 7, 155), ..reply })
    };
    world.run(SEC * 11);
    let second = Ipv4Addr::new(100, 64, 7, 155);
    assert_eq!(world.address(), Some(second));
    world.objects(second, Mac([4; 6]));
    assert_eq!(world.address(), Some(second));
}

/// Given an address that the server leases again after each decline, when the same card objects for the third
/// time, then the address is used, which is told: nothing else is to be had.
#[test]
fn an_address_that_is_leased_again_and_again_is_used() {
    let mut world = World::new(None, None);
    world.plug();
    world.run(SEC * 2);
    for _ in 0..2 {
        world.objects(ADDRESS, Mac([4; 6]));
        assert_eq!(world.address(), None);
        world.run(SEC * 12);
        assert_eq!(world.address(), Some(ADDRESS));
    }
    world.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world.address(), Some(ADDRESS));
    let borne = Action::ConflictBorne { address: ADDRESS, by: Mac([4; 6]) };
    assert_eq!(world.told.last(), Some(&borne));
    world.objects(ADDRESS, Mac([4; 6]));
    let count = world.told.iter().filter(|told| **told == borne).count();
    assert_eq!((world.address(), count), (Some(ADDRESS), 1));
}

/// Given an address that is ours for long, when somebody speaks as if it were his, then it is announced at most
/// each ten seconds, and he is told of once; the address stays.
#[test]
fn an_address_is_defended() {
    let mut world = World::bound();
    world.run(SEC * 20);
    (world.arps, world.told) = (Vec::new(), Vec::new());
    for _ in 0..30 {
        world.objects(ADDRESS, Mac([4; 6]));
        world.run(SEC);
    }
    let senders: Vec<_> = world.arps.iter().map(|arp| arp.sender).collect();
    assert_eq!(senders, [ADDRESS; 3]);
    assert_eq!(world.told, [Action::ConflictBorne { address: ADDRESS, by: Mac([4; 6]) }]);
    assert_eq!(world.address(), Some(ADDRESS));
}

/// Given a carrier that goes while the address is tried, when it is back, then the trial goes on.
#[test]
fn a_lost_carrier_ends_no_trial() {
    let mut world = World::new(None, None);
    world.plug();
    world.run(SEC * 2);
    world.unplug();
    world.run(SEC * 5);
    world.plug();
    world.run(SEC);
    world.objects(ADDRESS, Mac([4; 6]));
    assert_eq!(world.address(), None);
}
