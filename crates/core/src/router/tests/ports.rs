//! Ports follow the uplinks, and what arrives by the wrong one is refused.

use super::world::{MS, World, all, uplinks};
use super::*;
use crate::io::{Answer, AskError, AskId, Asker, Peer, Port, PortId, PortKind};
use crate::net::{Family, Mac};

/// What the router asks for when its links are read again.
fn relink(world: &mut World) -> Vec<Output> {
    let observed = Box::new(world.state.clone());
    let mut out = Vec::new();
    world.router.handle(world.now, Input::Observed(Scope::LINKS, observed), &mut out);
    world.router.wake(world.now, &mut out);
    out
}

fn declared(out: &[Output]) -> Option<&Vec<Port>> {
    out.iter().find_map(|output| match output {
        Output::Ports(ports) => Some(ports),
        _ => None,
    })
}

fn cancelled(out: &[Output]) -> Vec<Asker> {
    let asker = |output: &Output| match output {
        Output::CancelAsks(asker) => Some(*asker),
        _ => None,
    };
    out.iter().filter_map(asker).collect()
}

/// Given two uplinks, when the link of one goes down, then the port of the other alone stays, and what
/// the first has asked is called off; when it returns, its port is bound to its device, address and
/// mark.
#[test]
fn ports_follow_the_uplinks() {
    let mut world = World::new(uplinks(&[1, 2]));
    world.run(MS * 3000, all);
    let first = UplinkId(1);
    world.link(0).up = false;
    let out = relink(&mut world);
    let [left] = declared(&out).unwrap()[..] else { panic!() };
    assert_eq!(left.id, PortId::Probe(UplinkId(2), Family::V4));
    assert_eq!(cancelled(&out), [Asker::Probe(first, Family::V4)]);
    world.link(0).up = true;
    let out = relink(&mut world);
    let [port, other] = declared(&out).unwrap()[..] else { panic!() };
    assert_eq!((port.id, other), (PortId::Probe(first, Family::V4), left));
    assert!(cancelled(&out).is_empty());
    let own = &world.config.uplinks[0];
    let mark = render::mark(&world.config, first);
    let binding = port.binding;
    assert_eq!((binding.ifname, binding.ifindex, binding.mark), (own.ifname, 1, mark));
    assert_eq!(binding.source, own.address().map(|own| own.address));
    assert!(matches!(port.kind, PortKind::IcmpEcho { .. }));
}

/// Given packets by ports that no check has, from an end that is no host, and an answer to no question,
/// then each is refused and counted; that there is no answer is no packet; no verdict changes.
#[test]
fn what_no_check_waits_for_is_refused() {
    let mut world = World::new(uplinks(&[1]));
    world.run(MS * 3000, all);
    let (before, health) = (world.router.desk.counters.packets_refused, world.health());
    let (ours, host) = (PortId::Probe(UplinkId(1), Family::V4), Peer::Host([192, 0, 2, 1].into()));
    let nobodys = PortId::Probe(UplinkId(9), Family::V4);
    let link = Peer::Link(Mac([2; 6]));
    for (port, from) in [(nobodys, host), (PortId::Arp(UplinkId(1)), link), (ours, link)] {
        world.input(Input::Packet { port, from, age: Duration::ZERO, bytes: alloc::vec![0; 28] });
    }
    let id = |uplink| AskId { asker: Asker::Probe(UplinkId(uplink), Family::V4), n: 1 };
    for uplink in [1, 9] {
        world.input(Input::Answered(id(uplink), Ok(Answer::Connected { rtt: MS })));
        for error in [AskError::TimedOut, AskError::Unreachable, AskError::NotAsked] {
            world.input(Input::Answered(id(uplink), Err(error)));
        }
    }
    assert_eq!(world.router.desk.counters.packets_refused, before + 5);
    assert_eq!(world.health(), health);
}
