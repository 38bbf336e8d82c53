//! An uplink that is dialled: what of it reaches the kernel, the state file, the connections and the child.

use super::world::{MS, START, World, all, default_of, kernel, second, uplinks};
use super::*;
use crate::config::{PppConfig, PppLine, Selector, UplinkKind, Username};
use crate::io::{ChildEvent, ChildId, Exit, Program, User, Which};
use crate::net::{IfName, Prefix};
use crate::notice::PppNews;
use crate::state::{Link, Ownership};
use crate::status::Health;
use alloc::vec;
use core::net::{IpAddr, Ipv4Addr};

const LINE: ChildId = ChildId::Ppp(UplinkId(1));
const ADDRESS: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 2);
const PEER: Ipv4Addr = Ipv4Addr::new(10, 64, 64, 64);

/// Two uplinks, the first by PPPoE.
fn world() -> World {
    world_of(uplinks(&[1, 1]))
}

fn world_of(mut config: Config) -> World {
    config.uplinks[0].kind = UplinkKind::Ppp(PppConfig {
        line: PppLine::Ethernet {
            parent: Selector::Name("eth1".into()),
            port: name("eth1"),
            service: None,
            ac: None,
        },
        username: Some(Username::Plain("user@example.net".into())),
        password_file: Some("/etc/rail/dsl.password".into()),
    });
    let mut state = kernel(&config);
    state.links.remove(&config.uplinks[0].ifname);
    let port = Link { index: 9, carrier: true, mtu: 1500, ..Link::default() };
    state.links.insert(name("eth1"), port);
    World::with(config, Saved::default(), START, state, |_| false)
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

impl World {
    /// The port is up, and pppd connects with this address; the interface gets this index.
    fn connect(&mut self, address: Ipv4Addr, index: u32) {
        self.connect_to(PEER, address, index);
    }

    /// The same with this other end.
    fn connect_to(&mut self, peer: Ipv4Addr, address: Ipv4Addr, index: u32) {
        self.state.links.get_mut(&name("eth1")).unwrap().up = true;
        self.changed(Scope::LINKS);
        assert!(self.is_dialled());
        self.child(ChildEvent::Began { pid: 42, is_adopted: false, age: Duration::ZERO });
        let ifname = self.config.uplinks[0].ifname;
        let link =
            Link { index, up: true, carrier: true, no_arp: true, mtu: 1492, ..Link::default() };
        self.state.links.insert(ifname, link);
        let key = (ifname, Prefix::host(IpAddr::V4(address)));
        self.state.addresses.insert(key, Ownership::Foreign);
        self.changed(Scope::LINKS | Scope::ADDRESSES);
        // Without another end it is not ready.
        assert!(!self.router.uplinks.at(0).facts.has_address[Family::V4]);
        self.state.peers.insert(key, IpAddr::V4(peer));
        self.changed(Scope::ADDRESSES);
        self.say(&alloc::format!("local  IP address {address}"));
        self.say("primary   DNS address 192.0.2.53");
    }

    /// pppd ends, and its interface goes with it.
    fn hang_up(&mut self, code: i32) {
        Self::unplug(&mut self.state, &self.config, 0);
        self.state.peers.clear();
        self.changed(Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES);
        self.child(ChildEvent::Ended { exit: Exit::Code(code), was_asked: false });
    }

    fn child(&mut self, event: ChildEvent) {
        self.input(Input::Child(LINE, event));
    }

    fn say(&mut self, line: &str) {
        self.child(ChildEvent::Said { line: line.into(), missed: 0 });
    }

    /// pppd is to run.
    fn is_dialled(&self) -> bool {
        self.children.iter().any(|child| child.id == LINE)
    }

    fn connected() -> Self {
        let mut world = world();
        world.run(MS * 1000, second);
        world.connect(ADDRESS, 20);
        world.run(MS * 20_000, all);
        assert_eq!(world.health(), [Health::Up; 2]);
        world
    }

    /// The line waits for the death of the better uplink, which is good.
    fn cold() -> Self {
        let mut config = uplinks(&[2, 1]);
        config.uplinks[0].standby = crate::config::Standby::Cold;
        let mut world = world_of(config);
        world.state.links.get_mut(&name("eth1")).unwrap().up = true;
        world.changed(Scope::LINKS);
        world.run(MS * 20_000, all);
        world
    }

    fn ppp_news(&self) -> Vec<&PppNews> {
        let all = self.notices.iter().filter_map(|(_, notice)| match notice {
            Notice::Ppp(news) => Some(news),
            _ => None,
        });
        all.collect()
    }
}

/// Given a port without link, then it is set up and waited for; given pppd that connects, then the uplink
/// has its route by the device and its address, which is set by nobody but pppd, and it carries.
#[test]
fn a_line_attaches_the_uplink() {
    let mut world = world();
    world.run(MS * 10_000, second);
    assert_eq!(world.links_up, [name("eth1")]);
    assert!(!world.is_dialled());
    assert_eq!(world.health(), [Health::Absent, Health::Up]);
    let cause = &world.router.uplinks.at(0).history.cause;
    assert_eq!(cause, "eth1 is not there, or has no carrier");
    world.connect(ADDRESS, 20);
    world.run(MS * 10_000, all);
    assert_eq!((world.health(), world.active()), (vec![Health::Up; 2], vec![true; 2]));
    let route = world.state.routes[&default_of(20_001)].value.clone().unwrap();
    assert_eq!(route.to_string(), "dev wan1 src 100.64.1.2");
    let address = (name("wan1"), Prefix::host(IpAddr::V4(ADDRESS)));
    assert_eq!(world.state.addresses[&address], Ownership::Foreign);
    let way = world.router.uplinks.at(0).facts.way[Family::V4].clone().unwrap();
    assert_eq!(way.resolvers, [IpAddr::from([192, 0, 2, 53])]);
    assert!(matches!(world.ppp_news()[..], [PppNews::Connected { is_new: true, .. }]));
}

/// Given a line, then the child is told all by a file that only root reads, and no secret stands in what is
/// declared.
#[test]
fn the_child_is_told_by_a_secret_file() {
    let world = World::connected();
    let [child] = &world.children[..] else { panic!("{:?}", world.children) };
    assert_eq!((child.program.clone(), child.user), (Program::System("pppd".into()), User::Root));
    assert_eq!(child.args, ["file", "options"]);
    let [options] = &child.files[..] else { panic!("{child:?}") };
    assert!(options.is_secret);
    let lines = ["nic-eth1\n", "ifname wan1\n", "linkname rail-isp1\n", "user user@example.net\n"];
    assert!(lines.iter().all(|line| options.content.contains(line)), "{}", options.content);
    assert!(options.content.ends_with("password \u{3}/etc/rail/dsl.password\u{3}\n"));
}

/// Given a line that is up, when the other end hangs up, then it is absent at once and its connections move;
/// it is dialled after a second. With the same address nothing else is deleted, with another one what bears
/// the old one.
#[test]
fn what_hangs_up_is_dialled_again() {
    let mut world = World::connected();
    let fell = world.now;
    world.hang_up(16);
    assert_eq!(world.health(), [Health::Absent, Health::Up]);
    assert!(!world.is_dialled());
    world.run(MS * 999, second);
    assert!(!world.is_dialled());
    world.run(MS * 2, second);
    assert!(world.is_dialled());
    assert!(world.moved(1, fell) > 0);
    world.connect(ADDRESS, 21);
    world.run(MS * 60_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    let at = |world: &World, since| {
        let is_old = |(when, purge): &&(Instant, Purge)| {
            *when >= since && purge.which == Which::At(IpAddr::V4(ADDRESS))
        };
        world.purges.iter().filter(is_old).count()
    };
    assert_eq!(at(&world, fell), 0);
    let fell = world.now;
    world.hang_up(16);
    world.run(MS * 2000, second);
    world.connect([100, 64, 1, 3].into(), 22);
    world.run(MS * 20_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    assert!(at(&world, fell) > 0);
    let route = world.state.routes[&default_of(20_001)].value.clone().unwrap();
    assert_eq!(route.to_string(), "dev wan1 src 100.64.1.3");
}

/// Given a refused password, then status says so, and why nobody dials for a minute.
#[test]
fn a_refused_password_is_told() {
    let mut world = World::connected();
    world.hang_up(16);
    world.run(MS * 1100, second);
    world.child(ChildEvent::Began { pid: 43, is_adopted: false, age: Duration::ZERO });
    world.say("PAP authentication failed");
    world.child(ChildEvent::Ended { exit: Exit::Code(19), was_asked: false });
    world.run(MS * 1000, second);
    let status = world.router.status(world.now).uplinks.remove(0);
    let ppp = status.ppp.unwrap();
    assert_eq!((ppp.phase.as_str(), ppp.redial_s), ("resting", Some(59)));
    assert_eq!(ppp.cause, "the provider refused the user name or the password");
    assert_eq!((ppp.ended.as_str(), ppp.dials), ("pppd ended with 19", 2));
    assert!(status.cause.contains("refused the user name"), "{}", status.cause);
    assert_eq!(status.returns, "when it is connected");
    assert!(matches!(
        world.ppp_news().last(),
        Some(PppNews::Disconnected { seconds: Some(60), .. })
    ));
}

/// Given a connection, when the process dies and another one starts, then the first reading attaches the
/// uplink, pppd is adopted, nothing is deleted, and health and name servers are as before.
#[test]
fn a_restart_takes_the_connection_over() {
    let mut world = World::connected();
    let (ifname, key) = (name("wan1"), Prefix::host(IpAddr::V4(ADDRESS)));
    world = world.restart(|state| assert!(state.peers.contains_key(&(ifname, key))));
    let began = ChildEvent::Began { pid: 42, is_adopted: true, age: Duration::from_secs(60) };
    world.child(began);
    assert_eq!(world.health(), [Health::Up; 2]);
    world.run(MS * 10_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    assert_eq!(world.purges, []);
    assert!(world.is_dialled());
    let way = world.router.uplinks.at(0).facts.way[Family::V4].clone().unwrap();
    assert_eq!(way.resolvers, [IpAddr::from([192, 0, 2, 53])]);
    assert!(matches!(world.ppp_news()[..], [PppNews::Connected { is_new: false, .. }]));
}

/// Given an address that is one of the inside, then it is not taken but hung up, that is said, and it is dialled
/// again slowly. Reported: a line got an address of the network inside, and took its place (ppp 46).
#[test]
fn an_address_of_the_inside_is_not_taken() {
    let mut world = world();
    let lan = world.config.networks[0].ifname;
    let inside = (lan, "192.168.1.1/24".parse().unwrap());
    world.state.addresses.insert(inside, Ownership::Foreign);
    world.changed(Scope::ADDRESSES);
    world.run(MS * 1000, second);
    world.connect([192, 168, 1, 77].into(), 20);
    world.run(MS * 10_000, all);
    assert_eq!(world.health(), [Health::NoAddress, Health::Up]);
    let cause = &world.router.uplinks.at(0).history.cause;
    assert_eq!(cause, "192.168.1.77 is not taken: it belongs to a network inside");
    assert!(!world.is_dialled());
    world.hang_up(5);
    world.run(MS * 58_000, second);
    assert!(!world.is_dialled());
    let cause = &world.router.uplinks.at(0).history.cause;
    assert!(cause.starts_with("not connected: the provider gave an address of a network inside"));
    world.run(MS * 3_000, second);
    assert!(world.is_dialled());
}

/// Given another end that calls itself a host of the inside, or an address of ours that no host has, then the line
/// is hung up: the kernel would send that host's packets there.
#[test]
fn another_end_of_the_inside_is_not_taken() {
    let inside = Ipv4Addr::new(192, 168, 1, 10);
    let loopback = Ipv4Addr::new(127, 0, 0, 5);
    for (peer, own, cause) in [
        (inside, ADDRESS, "192.168.1.10 is not taken: it belongs to a network inside"),
        (PEER, loopback, "127.0.0.5 is not taken: it is that of no host"),
    ] {
        let mut world = world();
        let lan = world.config.networks[0].ifname;
        let network = (lan, "192.168.1.1/24".parse().unwrap());
        world.state.addresses.insert(network, Ownership::Foreign);
        world.changed(Scope::ADDRESSES);
        world.run(MS * 1000, second);
        world.connect_to(peer, own, 20);
        world.run(MS * 2000, all);
        assert_eq!(world.router.uplinks.at(0).history.cause, cause);
        assert!(!world.is_dialled());
    }
}

/// Given checks that take long to find a line well again, when it comes back, then it is not hung up while it
/// answers.
#[test]
fn a_line_that_answers_is_not_hung_up() {
    let mut config = uplinks(&[1, 1]);
    config.uplinks[0].check.interval = MS * 10_000;
    let mut world = world_of(config);
    world.run(MS * 1000, second);
    world.connect(ADDRESS, 20);
    world.run(MS * 200_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    world.hang_up(16);
    world.run(MS * 2000, second);
    world.connect(ADDRESS, 21);
    for _ in 0..200 {
        world.run(MS * 1000, all);
        assert!(world.is_dialled());
    }
    assert_eq!(world.health(), [Health::Up; 2]);
}

/// Given a line on cold standby that was called in vain, when it is needed no more, then nothing is left of it for
/// people to worry about.
#[test]
fn what_nobody_dials_is_not_shown() {
    let mut world = World::cold();
    world.run(MS * 10_000, |uplink, _, _| (uplink == 1).then_some(MS * 20));
    assert!(world.is_dialled());
    world.child(ChildEvent::Began { pid: 42, is_adopted: false, age: Duration::ZERO });
    world.child(ChildEvent::Ended { exit: Exit::Code(8), was_asked: false });
    assert_eq!(world.router.status(world.now).children.len(), 1);
    world.run(MS * 90_000, all);
    assert_eq!(world.router.status(world.now).children.len(), 0);
}

/// Given a line that is up, when the checks find it dead for a minute, then it is hung up, and dialled when
/// it is down; one that is switched off is hung up at once; a withdrawal leaves no child. Reported: after a restart of the
/// modem behind a switch the dead session stays (ppp 491).
#[test]
fn a_dead_line_is_hung_up() {
    let mut world = World::connected();
    world.run(MS * 55_000, second);
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert!(world.is_dialled());
    world.run(MS * 10_000, second);
    assert!(!world.is_dialled());
    world.hang_up(5);
    world.run(MS * 1100, second);
    assert!(world.is_dialled());
    world.connect(ADDRESS, 21);
    world.run(MS * 20_000, all);
    let mut config = world.config.clone();
    config.uplinks[0].enabled = false;
    world.input(Input::Reload(Box::new(config)));
    assert!(!world.is_dialled());
    world.hang_up(5);
    world.input(Input::Reload(Box::new(world.config.clone())));
    assert!(world.is_dialled());
    world.input(Input::Withdraw);
    assert!(!world.is_dialled());
}

/// Given a port that loses its carrier, then the uplink has none at once, although pppd has not noticed; pppd
/// goes on, and so does the uplink when the cable is back.
#[test]
fn the_cable_of_the_port_is_that_of_the_line() {
    let mut world = World::connected();
    for carrier in [false, true] {
        world.state.links.get_mut(&name("eth1")).unwrap().carrier = carrier;
        world.changed(Scope::LINKS);
        let health = if carrier { Health::Up } else { Health::NoCarrier };
        world.run(MS * 5_000, all);
        assert_eq!(world.health()[0], health);
        assert!(world.is_dialled());
    }
}

/// Given a line on cold standby, then it is dialled only while the better uplink is not usable, and hung up when
/// that one has been good for a minute.
#[test]
fn a_line_on_cold_standby_is_dialled_when_it_is_needed() {
    let mut world = World::cold();
    assert_eq!((world.is_dialled(), world.health()), (false, vec![Health::Absent, Health::Up]));
    assert!(world.router.status(world.now).uplinks[0].cause.contains("on cold standby"));
    let first = |uplink, _, _| (uplink == 1).then_some(MS * 20);
    world.run(MS * 10_000, first);
    world.connect(ADDRESS, 20);
    world.run(MS * 20_000, first);
    assert_eq!(world.health(), [Health::Up, Health::Down]);
    world.run(MS * 30_000, all);
    assert!(world.is_dialled());
    world.run(MS * 90_000, all);
    assert!(!world.is_dialled());
    world.hang_up(5);
    world.run(MS * 20_000, all);
    assert_eq!((world.is_dialled(), world.health()), (false, vec![Health::Absent, Health::Up]));
}
