//! A client against a scripted server, in virtual time.

use super::news::LeaseEnd;
use super::*;
use crate::config::DhcpConfig;
use crate::random::Secret;
use crate::time::{Duration, Instant};
use alloc::vec;
use rail_wire::dhcp4::{
    ClasslessRoute, LeaseTime, ReplyKind, Request, RequestKind, Text, UdpChecksum,
};
use rail_wire::ip::arp::Arp;

const MAC: Mac = Mac([2, 0, 0x5e, 0, 0x53, 1]);
const SERVER: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 1);
const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 7, 154);
const SEC: Duration = Duration::from_secs(1);

/// A client, its time, and what it did.
struct World {
    now: Instant,
    client: Client,
    rules: Rules,
    /// What it sent, with the time.
    sent: Vec<(Instant, Request)>,
    arps: Vec<Arp>,
    /// What it told.
    told: Vec<Action>,
    /// Answers to what it sends.
    server: fn(&Request) -> Option<Reply>,
}

impl World {
    fn new(lease: Option<Lease>, last: Option<Ipv4Addr>) -> Self {
        let who = Who::new(&DhcpConfig::default());
        Self {
            now: Instant::from_nanos(1_000_000_000_000),
            client: Client::new(who, Secret::new([7; 16]), SavedLease { lease, last, owner: None }),
            rules: Rules::default(),
            sent: Vec::new(),
            arps: Vec::new(),
            told: Vec::new(),
            server: good,
        }
    }

    /// One that has got its lease.
    fn bound() -> Self {
        let mut world = Self::new(None, None);
        world.plug();
        world.run(SEC * 10);
        assert!(world.client.lease().is_some());
        world
    }

    fn plug(&mut self) {
        self.replace(Some(MAC));
    }

    fn unplug(&mut self) {
        self.replace(None);
    }

    fn replace(&mut self, card: Option<Mac>) {
        let mut out = Vec::new();
        self.client.set_card(self.now, card, &mut out);
        self.note(out);
    }

    /// Lets time pass from deadline to deadline.
    fn run(&mut self, time: Duration) {
        let end = self.now + time;
        for _ in 0..10_000 {
            let mut out = Vec::new();
            self.client.wake(self.now, &mut out);
            self.note(out);
            match self.client.deadline().filter(|at| *at <= end) {
                Some(at) => self.now = self.now.max(at),
                None => break,
            }
        }
        self.now = end;
    }

    fn note(&mut self, actions: Vec<Action>) {
        for action in actions {
            let request = match &action {
                Action::Broadcast(bytes) => {
                    Request::parse_packet(bytes, UdpChecksum::Complete).unwrap()
                }
                Action::Unicast { to, bytes } => Request::parse(bytes, *to).unwrap(),
                Action::Arp(bytes) => {
                    self.arps.push(Arp::parse(bytes).unwrap());
                    continue;
                }
                _ => {
                    self.told.push(action);
                    continue;
                }
            };
            self.sent.push((self.now, request.clone()));
            if let Some(reply) = (self.server)(&request) {
                self.hear(&reply);
            }
        }
    }

    fn hear(&mut self, reply: &Reply) {
        let mut out = Vec::new();
        self.client.take(self.now, reply, &self.rules.clone(), &mut out);
        self.note(out);
    }

    fn objects(&mut self, to: Ipv4Addr, by: Mac) {
        let reply = Arp::request(MAC.0, Ipv4Addr::UNSPECIFIED, to).reply(by.0);
        let mut out = Vec::new();
        self.client.take_arp(self.now, &reply.emit(), &self.rules.clone(), &mut out);
        self.note(out);
    }

    fn kinds(&self) -> Vec<RequestKind> {
        self.sent.iter().map(|(_, request)| request.kind).collect()
    }

    fn address(&self) -> Option<Ipv4Addr> {
        self.client.lease().and_then(Lease::ip)
    }
}

fn reply(kind: ReplyKind, to: &Request) -> Reply {
    Reply {
        yiaddr: ADDRESS,
        server_id: Some(SERVER),
        lease: Some(LeaseTime::Seconds(3600)),
        prefix_length: Some(24),
        routers: vec![SERVER],
        resolvers: vec![Ipv4Addr::new(100, 64, 0, 53)],
        ..Reply::new(kind, SERVER, to.xid, to.chaddr)
    }
}

/// Offers and grants.
fn good(request: &Request) -> Option<Reply> {
    match request.kind {
        RequestKind::Discover { .. } => Some(reply(ReplyKind::Offer, request)),
        RequestKind::Decline { .. } | RequestKind::Release { .. } => None,
        _ => Some(reply(ReplyKind::Ack, request)),
    }
}

fn deaf(_: &Request) -> Option<Reply> {
    None
}

/// Offers, and denies what is then asked for.
fn denying(request: &Request) -> Option<Reply> {
    match request.kind {
        RequestKind::Discover { .. } => good(request),
        _ => Some(Reply {
            message: Text::new(b"wrong address"),
            ..Reply {
                kind: ReplyKind::Nak,
                yiaddr: Ipv4Addr::UNSPECIFIED,
                ..reply(ReplyKind::Nak, request)
            }
        }),
    }
}

/// Given a server that leases, when the link comes up, then the client discovers within a second, requests
/// what was offered with the same transaction, and is bound with what the server said.
#[test]
fn an_address_is_leased() {
    let mut world = World::new(None, None);
    world.plug();
    world.run(SEC * 2);
    let [(_, discover), (at, request)] = &world.sent[..] else { panic!("{:?}", world.sent) };
    assert_eq!(discover.kind, RequestKind::Discover { requested: None });
    assert_eq!(request.kind, RequestKind::Selecting { requested: ADDRESS, server: SERVER });
    assert_eq!((discover.xid, discover.secs), (request.xid, request.secs));
    let lease = world.client.lease().unwrap();
    assert_eq!(lease.address, "100.64.7.154/24".parse().unwrap());
    assert_eq!((lease.gateway, lease.server), (Some(SERVER), Some(SERVER)));
    assert_eq!(lease.expires, Some(*at + SEC * 3600));
    assert_eq!(lease.rebind, *at + SEC * 3150);
    assert!(lease.renew <= *at + SEC * 1800 && lease.renew > *at + SEC * 1700);
    assert!(matches!(&world.told[..], [Action::Bound { is_new: true, .. }]));
}

/// Given no server, then DISCOVERs go out after 4, 8, 16, 32, 64, 64 s, each a second more or less.
#[test]
fn nobody_is_asked_more_and_more_seldom() {
    let mut world = World::new(None, None);
    world.server = deaf;
    world.plug();
    world.run(SEC * 300);
    let gaps = world.sent.windows(2).map(|pair| pair[1].0.since(pair[0].0));
    for (gap, wanted) in gaps.zip([4, 8, 16, 32, 64, 64]) {
        assert!(gap >= SEC * (wanted - 1) && gap <= SEC * (wanted + 1), "{gap:?}");
    }
    assert!(
        world.sent.iter().all(|(_, request)| matches!(request.kind, RequestKind::Discover { .. }))
    );
}

/// Given a lease, when its half is over, then the server alone is asked and extends it.
#[test]
fn a_lease_is_renewed() {
    let mut world = World::bound();
    world.sent.clear();
    world.run(SEC * 1800);
    assert_eq!(world.kinds(), [RequestKind::Renewing { address: ADDRESS, server: SERVER }]);
    let asked = world.sent[0].0;
    assert_eq!(world.client.lease().unwrap().expires, Some(asked + SEC * 3600));
    assert!(matches!(world.told.last(), Some(Action::Bound { is_new: false, .. })));
}

/// Given a lease, when the server falls silent, then it is asked from T1 on, all are from T2 on, and the
/// address is given up at the end of the lease, not before.
#[test]
fn a_silent_server_costs_the_lease_at_its_end() {
    let mut world = World::bound();
    world.server = deaf;
    let end = world.client.lease().unwrap().expires.unwrap();
    world.sent.clear();
    world.run(end.since(world.now) - SEC);
    assert_eq!(world.address(), Some(ADDRESS));
    let kinds = world.kinds();
    let renewals = kinds.iter().filter(|kind| matches!(kind, RequestKind::Renewing { .. })).count();
    let rebinds = kinds.iter().filter(|kind| matches!(kind, RequestKind::Rebinding { .. })).count();
    assert!((3..=9).contains(&renewals), "{kinds:?}");
    assert!((2..=9).contains(&rebinds), "{kinds:?}");
    world.run(SEC * 2);
    assert_eq!(world.address(), None);
    assert!(matches!(world.told.last(), Some(Action::Lost { why: LeaseEnd::Expired, .. })));
    world.server = good;
    world.run(SEC * 70);
    assert_eq!(world.address(), Some(ADDRESS));
}

/// Given a lease, when the server denies its renewal, then the address goes at once, and another one is
/// sought after a pause.
#[test]
fn a_denial_ends_the_lease() {
    let mut world = World::bound();
    world.server = denying;
    world.run(SEC * 1800);
    assert!(
        world.told.iter().any(|told| matches!(told, Action::Lost { why: LeaseEnd::Denied, .. }))
    );
    assert!(
        world
            .told
            .iter()
            .any(|told| matches!(told, Action::Denied { said, .. } if said == "wrong address"))
    );
    world.server = good;
    world.run(SEC * 70);
    assert_eq!(world.address(), Some(ADDRESS));
}

/// Given a server that offers and denies for ever, then it is asked ever more seldom: not twenty times in
/// ten minutes.
#[test]
fn a_storm_of_denials_is_answered_slowly() {
    let mut world = World::new(None, None);
    world.server = denying;
    world.plug();
    world.run(SEC * 600);
    assert!((8..40).contains(&world.sent.len()), "{}", world.sent.len());
    assert_eq!(world.address(), None);
}

/// Given a lease, when the carrier goes and returns, then the lease stays, and is verified at once; when
/// the server is silent, it stays until its end, while others are asked for another.
#[test]
fn a_carrier_that_returns_verifies_the_lease() {
    let mut world = World::bound();
    world.unplug();
    world.run(SEC * 5);
    world.sent.clear();
    world.plug();
    world.run(Duration::from_millis(60));
    assert_eq!(world.kinds(), [RequestKind::InitReboot { requested: ADDRESS }]);
    assert_eq!(world.client.phase(), "bound");
    world.server = deaf;
    world.unplug();
    world.plug();
    world.sent.clear();
    world.run(SEC * 60);
    assert_eq!(world.address(), Some(ADDRESS));
    let kinds = world.kinds();
    assert_eq!(kinds[..2], [RequestKind::InitReboot { requested: ADDRESS }; 2]);
    assert_eq!(kinds[2], RequestKind::Discover { requested: Some(ADDRESS) });
}

/// Given a lease that ends while there is no carrier, then it is over.
#[test]
fn a_lease_ends_without_a_carrier() {
    let mut world = World::bound();
    world.unplug();
    world.run(SEC * 3700);
    assert_eq!(world.address(), None);
    assert_eq!(world.client.deadline(), None);
}

/// Given another network that denies by a server we do not know, when the cable is put there, then the old
/// lease goes at once.
#[test]
fn another_network_denies_the_old_address() {
    let mut world = World::bound();
    world.unplug();
    world.server = |request| {
        let other = Ipv4Addr::new(10, 0, 0, 1);
        denying(request).map(|reply| Reply { server_id: Some(other), ..reply })
    };
    world.plug();
    world.run(SEC * 2);
    assert_eq!(world.address(), None);
}

/// Given an earlier process that held a lease, then a new one has it from the start and verifies it; after
/// a boot it is only asked for again.
#[test]
fn a_lease_outlives_the_process() {
    let lease = World::bound().client.lease().cloned();
    let mut world = World::new(lease, None);
    assert_eq!(world.address(), Some(ADDRESS));
    world.plug();
    world.run(SEC * 2);
    assert_eq!(world.kinds(), [RequestKind::InitReboot { requested: ADDRESS }]);
    let mut world = World::new(None, Some(ADDRESS));
    assert_eq!(world.address(), None);
    world.plug();
    world.run(SEC * 2);
    assert_eq!(world.kinds(), [RequestKind::InitReboot { requested: ADDRESS }]);
    assert_eq!(world.address(), Some(ADDRESS));
}

/// Given a lease of one card, when the uplink gets another one, then it is another client: nothing is held.
#[test]
fn another_card_is_another_client() {
    let mut world = World::bound();
    world.unplug();
    world.server = deaf;
    world.replace(Some(Mac([2; 6])));
    assert_eq!(world.address(), None);
    let is_told = matches!(world.told.last(), Some(Action::Lost { why: LeaseEnd::OtherCard, .. }));
    assert!(is_told, "{:?}", world.told);
    world.sent.clear();
    world.run(SEC * 2);
    assert_eq!(world.kinds(), [RequestKind::Discover { requested: None }]);
}

/// Given a lease, when the file changes what the client says of itself, then it is another client: the lease is
/// lost, which is told.
#[test]
fn another_name_is_another_client() {
    let mut world = World::bound();
    let config = DhcpConfig { host_name: Some("edge2".into()), ..DhcpConfig::default() };
    world.client.set_who(Who::new(&config));
    assert_eq!(world.address(), Some(ADDRESS), "until somebody looks");
    world.sent.clear();
    world.plug();
    world.run(SEC * 2);
    let is_end = |told: &&Action| matches!(told, Action::Lost { why: LeaseEnd::OtherName, .. });
    assert_eq!(world.told.iter().filter(is_end).count(), 1, "{:?}", world.told);
    assert_eq!(world.kinds()[0], RequestKind::Discover { requested: None });
    assert_eq!(world.address(), Some(ADDRESS));
}

/// Given a server that leases for a minute and denies each renewal, then it is asked more and more seldom.
#[test]
fn leases_that_are_denied_again_are_sought_slowly() {
    let mut world = World::new(None, None);
    world.server = |request| match request.kind {
        RequestKind::Renewing { .. } | RequestKind::Rebinding { .. } => denying(request),
        _ => good(request).map(|reply| Reply { lease: Some(LeaseTime::Seconds(60)), ..reply }),
    };
    world.plug();
    world.run(SEC * 3600);
    let denied = world.client.counters().denied;
    assert!((30..50).contains(&denied), "{denied}");
}

/// Given a lease, when it is given back, then the server hears it twice.
#[test]
fn a_release_is_said_twice() {
    let mut world = World::bound();
    world.sent.clear();
    let mut out = Vec::new();
    world.client.release(world.now, &mut out);
    world.note(out);
    assert_eq!(world.kinds(), [RequestKind::Release { address: ADDRESS, server: SERVER }; 2]);
    assert_eq!((world.address(), world.client.deadline()), (None, None));
}

/// Given a server that repeats less in a renewal (MikroTik), then what it leaves out stays.
#[test]
fn a_short_renewal_keeps_the_rest() {
    let mut world = World::bound();
    world.server = |request| {
        good(request).map(|reply| Reply {
            prefix_length: None,
            routers: Vec::new(),
            resolvers: Vec::new(),
            ..reply
        })
    };
    let before = world.client.lease().cloned().unwrap();
    world.run(SEC * 1800);
    let after = world.client.lease().cloned().unwrap();
    assert!(after.expires > before.expires);
    assert_eq!((after.address, after.gateway), (before.address, before.gateway));
    assert_eq!(after.resolvers, before.resolvers);
}

/// Given gateways in the network of the address, beside it, and none, then the next hop is a neighbour, one on
/// the link, or the device.
#[test]
fn the_next_hop_of_a_lease() {
    use crate::facts::Gateway;
    let lease = World::bound().client.lease().cloned().unwrap();
    let hop = |gateway: [u8; 4], length| {
        let address = Prefix { length, ..lease.address };
        Lease { gateway: Some(gateway.into()), address, ..lease.clone() }.next_hop()
    };
    assert_eq!(hop([100, 64, 7, 1], 24), Some(Gateway::Via(IpAddr::V4(SERVER))));
    assert_eq!(hop([100, 64, 7, 1], 32), Some(Gateway::OnLink(IpAddr::V4(SERVER))));
    assert_eq!(hop([0, 0, 0, 0], 24), Some(Gateway::Device));
}

mod refused;
