//! The masks of the queues of ports.

use super::world::*;
use super::*;
use crate::config::{PppConfig, PppLine, Queues, Selector, UplinkKind};
use crate::net::Mac;
use crate::notice::ReconcileNews;
use crate::queues::{Carries, Cpu, Place, PortQueues, ReceiveQueue, Side, Topology};
use crate::reconcile::tuned;
use alloc::format;
use alloc::sync::Arc;

/// The kernel takes a mask, if it has such a queue.
pub(super) fn set(state: &mut Observed, path: &str, mask: &str) {
    let Some(place) = Place::parse(path) else { return };
    let Some(port) = Arc::make_mut(&mut state.queues).ports.get_mut(&place.ifname) else { return };
    let have = match place.side {
        Side::Receive => &mut port.receive[place.number].mask,
        Side::Transmit => &mut port.transmit[place.number],
    };
    *have = Some(mask.into());
}

fn name(text: &str) -> IfName {
    text.parse().unwrap()
}

/// A port with these masks, whose interrupts go to the first CPUs.
fn port(receive: &[&str], transmit: &[&str]) -> PortQueues {
    let queue = |(cpu, mask): (u16, &&str)| ReceiveQueue {
        mask: Some((*mask).to_string()),
        cpu: Some(cpu),
    };
    PortQueues {
        receive: (0..).zip(receive).map(queue).collect(),
        transmit: transmit.iter().map(|mask| Some((*mask).to_string())).collect(),
        refused: None,
    }
}

/// Two uplinks on two CPUs: one has a queue for each, the other one for both. The masks of the first are an
/// administrator's.
fn two_ports() -> World {
    let config = uplinks(&[1, 1]);
    let mut state = kernel(&config);
    for (number, link) in (1..).zip(state.links.values_mut()) {
        link.identity.mac = Some(Mac([2, 0, 0, 0, 0, number]));
    }
    let cpus = [0, 1].map(|number| Cpu { number, capacity: 1024 }).into();
    let ports = [(name("wan1"), port(&["3", "3"], &["3", "3"])), (name("wan2"), port(&["0"], &[]))];
    state.queues = Arc::new(Topology { cpus, ports: ports.into() });
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 3000, all);
    world
}

/// The masks of a port now.
fn masks(world: &World, ifname: &str) -> Vec<String> {
    let port = &world.state.queues.ports[&name(ifname)];
    let receive = port.receive.iter().filter_map(|queue| queue.mask.clone());
    receive.chain(port.transmit.iter().flatten().cloned()).collect()
}

fn repaired(world: &World) -> Vec<String> {
    let object = |(_, notice): &(Instant, Notice)| match notice {
        Notice::Reconcile(ReconcileNews::Repaired { object, .. }) => Some(object.clone()),
        _ => None,
    };
    world.notices.iter().filter_map(object).collect()
}

/// Given two ports, when the router runs, then each queue has its mask, and what stood there is
/// written down; when all is withdrawn, then it stands there again.
#[test]
fn masks_are_set_and_given_back() {
    let mut world = two_ports();
    assert_eq!(masks(&world, "wan1"), ["0", "0", "1", "2"]);
    assert_eq!(masks(&world, "wan2"), ["2"]);
    let saved = &world.router.desk.saved.sysctls;
    assert_eq!(saved["class/net/wan1/queues/tx-1/xps_cpus"], "3");
    assert_eq!(saved["class/net/wan2/queues/rx-0/rps_cpus"], "0");
    assert!(world.router.status(world.now).settled);
    let queues: Vec<(usize, usize)> =
        world.router.status(world.now).queues.iter().map(|q| (q.receive, q.spread)).collect();
    assert_eq!(queues, [(2, 0), (1, 1)]);
    assert!(repaired(&world).is_empty());
    world.input(Input::Withdraw);
    world.run(MS * 1000, all);
    assert_eq!(masks(&world, "wan1"), ["3", "3", "3", "3"]);
    assert_eq!(masks(&world, "wan2"), ["0"]);
    assert!(world.router.kernel.is_withdrawn());
}

/// Given masks that are set, when a port is replaced, then the new one has its mask at once, and that is
/// no repair; when somebody changes one, then it is repaired within the minute.
#[test]
fn a_new_port_is_set_at_once() {
    let gone = Scope::LINKS | Scope::ADDRESSES | Scope::ROUTES;
    let mut world = two_ports();
    World::unplug(&mut world.state, &world.config.clone(), 1);
    Arc::make_mut(&mut world.state.queues).ports.remove(&name("wan2"));
    world.changed(gone);
    world.run(MS * 100, first_target);
    let mac = Some(Mac([2, 0, 0, 0, 0, 2]));
    let mut link = Link { index: 9, up: true, carrier: true, mtu: 1500, ..Link::default() };
    link.identity.mac = mac;
    world.state.links.insert(name("wan2"), link);
    let ports = &mut Arc::make_mut(&mut world.state.queues).ports;
    ports.insert(name("wan2"), port(&["0"], &[]));
    world.changed(Scope::LINKS);
    assert_eq!(masks(&world, "wan2"), ["2"]);
    world.run(MS * 1000, all);
    let is_mask = |object: &String| object.starts_with("/sys");
    assert!(!repaired(&world).iter().any(is_mask), "{:?}", repaired(&world));
    let path = "class/net/wan2/queues/rx-0/rps_cpus";
    assert_eq!(world.router.desk.saved.sysctls[path], "0");
    set(&mut world.state, path, "3");
    world.run(MS * 61_000, all);
    assert_eq!(masks(&world, "wan2"), ["2"]);
    assert!(repaired(&world).contains(&format!("/sys/{path}")));
}

/// Given masks that are set, when a new file says off, then they are as before, and nobody looks any
/// more.
#[test]
fn off_gives_back() {
    let mut world = two_ports();
    let mut config = world.config.clone();
    config.performance.queues = Queues::Off;
    world.input(Input::Reload(Box::new(config)));
    world.run(MS * 1000, all);
    assert_eq!(masks(&world, "wan1"), ["3", "3", "3", "3"]);
    assert_eq!(masks(&world, "wan2"), ["0"]);
    assert!(world.router.kernel.watch().ports.is_empty());
    assert!(world.router.desk.saved.sysctls.is_empty());
    assert!(world.router.status(world.now).queues.is_empty());
}

/// Given a bridge, a VLAN, a macvlan of ours, a pair of virtual ends and an uplink that is off, then the ports below are
/// set, and what stands above is not; it is known which of them PPPoE goes by.
#[test]
fn what_stands_on_a_port_is_none() {
    let mut config = uplinks(&[1, 1, 1, 1]);
    config.uplinks[3].enabled = false;
    let names = ["wan1", "wan2", "wan3", "wan4", "lan0", "eth1", "eth2", "eth3", "far3"];
    let link = |index| Link { index, up: true, ..Link::default() };
    let mut links: BTreeMap<IfName, Link> =
        (1..).zip(names).map(|(i, n)| (name(n), link(i))).collect();
    let mut on = |ifname: &str, kind: &str, lower: Option<u32>, master: Option<u32>| {
        let link = links.get_mut(&name(ifname)).unwrap();
        (link.kind, link.lower, link.master) = (kind.into(), lower, master);
    };
    on("lan0", "bridge", None, None);
    on("eth1", "", None, Some(5));
    on("eth2", "vlan", Some(8), Some(5));
    on("wan2", "macvlan", Some(8), None);
    on("wan3", "veth", Some(9), None);
    on("far3", "veth", Some(3), None);
    let found = |config: &Config| tuned(config, &links).into_iter().collect::<Vec<_>>();
    let ip = |ifname| (name(ifname), Carries::Ip);
    assert_eq!(found(&config), ["eth1", "eth3", "wan1"].map(ip));
    let line = PppLine::Ethernet {
        parent: Selector::Name("eth2".into()),
        port: name("eth2"),
        service: None,
        ac: None,
    };
    config.uplinks[2].kind =
        UplinkKind::Ppp(PppConfig { line, username: None, password_file: None });
    assert_eq!(found(&config), [ip("eth1"), (name("eth3"), Carries::Pppoe), ip("wan1")]);
    config.performance.queues = Queues::Off;
    assert!(found(&config).is_empty());
}
