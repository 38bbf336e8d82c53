//! Kinds of checks other than ICMP echo: an uplink that is not answered goes down and returns.

use super::world::{MS, START, World, all, kernel, second, uplinks};
use super::*;
use crate::config::CheckKind;
use crate::io::{Answer, Ask, AskId, Asker, Peer, PortId};
use crate::net::{Family, Link, Mac};
use crate::notice::UplinkNews;
use crate::status::{Health, ProbeCounters};
use core::net::IpAddr;
use rail_wire::ip::arp::Arp;

/// Two uplinks with checks of this kind.
fn world(kind: CheckKind) -> World {
    let mut config = uplinks(&[1, 2]);
    config.check.kind = kind;
    let mut state = kernel(&config);
    for (n, link) in (1..).zip(state.links.values_mut()) {
        link.identity.mac = Some(Mac([2, 0, 0, 0, 0, n]));
    }
    let mut world = World::with(config, Saved::default(), START, state, |_| false);
    world.run(MS * 5000, all);
    let causes: Vec<_> = world.router.uplinks.iter().map(|u| &u.history.cause).collect();
    assert_eq!(world.health(), [Health::Up; 2], "{causes:?}");
    assert_eq!(world.active(), [true, false]);
    world
}

/// The first uplink falls silent, goes down, and returns.
fn falls_and_returns(world: &mut World) {
    let start = world.now;
    world.run(MS * 3000, second);
    assert_eq!(world.health(), [Health::Down, Health::Up]);
    assert_eq!(world.active(), [false, true]);
    let (at, _) = world.notices.iter().rfind(|(_, notice)| is_down(notice)).unwrap();
    assert!(at.since(start) <= MS * 3000, "{:?}", at.since(start));
    world.run(MS * 20_000, all);
    assert_eq!(world.health(), [Health::Up; 2]);
    assert_eq!(world.active(), [true, false]);
}

fn is_down(notice: &Notice) -> bool {
    matches!(notice, Notice::Uplink(UplinkNews::Health { to: Health::Down, .. }))
}

/// Given two uplinks whose targets are asked by connecting, when the first is not answered any more,
/// then it is down within three seconds; when it is answered again, it returns.
#[test]
fn connections_tell_an_outage() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    assert!(world.router.uplinks.iter().all(|uplink| uplink.prober.port(Family::V4).is_none()));
    falls_and_returns(&mut world);
}

/// Given an uplink that is not answered, then it connects no more often than its kind allows.
#[test]
fn connections_are_made_sparsely() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    let before = world.sent[&1];
    world.run(MS * 2000, second);
    assert!(world.sent[&1] - before <= 41, "{}", world.sent[&1] - before);
}

/// What the router asks by the first uplink, with whatever it does besides.
fn asks(world: &mut World, time: Duration) -> Vec<(AskId, Ask)> {
    let end = world.now + time;
    let mut asked = Vec::new();
    while world.now < end {
        world.now = world.now + MS;
        let mut out = Vec::new();
        world.router.wake(world.now, &mut out);
        asked.extend(out.into_iter().filter_map(|output| match output {
            Output::Ask(id, ask) if id.asker == Asker::Probe(UplinkId(1), Family::V4) => {
                Some((id, ask))
            }
            _ => None,
        }));
    }
    asked
}

/// Given a connection, then it goes to the port of a target, bound to the uplink's device, source and
/// mark; a refusal is an answer, and a second answer to one question is counted and refused.
#[test]
fn a_refused_connection_is_an_answer() {
    let mut world = world(CheckKind::Tcp { port: 8443 });
    let (id, Ask::Connect { binding, to, timeout }) = asks(&mut world, MS * 300)[0];
    let own = &world.config.uplinks[0];
    let mark = render::mark(&world.config, UplinkId(1));
    assert_eq!((binding.ifname, binding.mark), (own.ifname, mark));
    assert_eq!(binding.source, own.address().map(|own| own.address));
    assert_eq!((to.port(), timeout), (8443, MS * 1000));
    let counters = world.router.desk.counters;
    world.input(Input::Answered(id, Ok(Answer::Refused { rtt: MS })));
    assert_eq!(world.router.desk.counters.probes_answered, counters.probes_answered + 1);
    world.input(Input::Answered(id, Ok(Answer::Refused { rtt: MS })));
    assert_eq!(world.router.desk.counters.duplicates, counters.duplicates + 1);
    let never = AskId { n: id.n + 1000, ..id };
    world.input(Input::Answered(never, Ok(Answer::Refused { rtt: MS })));
    assert_eq!(world.router.desk.counters.packets_refused, counters.packets_refused + 1);
}

/// Given a reload that checks an uplink in another way, then what was asked is called off; given one that
/// changes its limits, or nothing, then the questions go on.
#[test]
fn new_checks_call_off_what_the_old_ones_asked() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    let cancelled = |world: &mut World, mut config: Config| {
        config.check_all(config.check.clone());
        let mut out = Vec::new();
        world.now = world.now + MS;
        world.router.handle(world.now, Input::Reload(Box::new(config)), &mut out);
        world.router.wake(world.now, &mut out);
        let is_cancel = |output: &&Output| matches!(output, Output::CancelAsks(_));
        out.iter().filter(is_cancel).count()
    };
    let mut config = world.config.clone();
    assert_eq!(cancelled(&mut world, config.clone()), 0);
    config.check.interval = MS * 300;
    assert_eq!(cancelled(&mut world, config.clone()), 0);
    config.check.kind = CheckKind::Icmp;
    assert_eq!(cancelled(&mut world, config), 2);
}

/// Given questions that are never asked, while others are answered, then they are not counted as sent,
/// and the uplink loses nothing.
#[test]
fn what_was_never_asked_is_not_lost() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    let sum = |world: &World, of: fn(ProbeCounters) -> u64| -> u64 {
        let prober = &world.router.uplinks.at(0).prober;
        (0..prober.targets().len()).map(|target| of(prober.probes(target))).sum()
    };
    let lost = |world: &World| {
        let sums = world.router.uplinks.at(0).prober.sums(world.now);
        (sums.sent - sums.answered, sum(world, |probes| probes.lost))
    };
    world.run(MS * 1000, all);
    let lost_before = lost(&world);
    // The second uplink is asked once in 2.5 s.
    for _ in 0..10 {
        let sent = |world: &World| {
            (sum(world, |probes| probes.sent), world.router.desk.counters.probes_sent)
        };
        let before = sent(&world);
        world.refuses_asks = true;
        world.run(MS * 600, all);
        assert_eq!(sent(&world), before);
        world.refuses_asks = false;
        world.run(MS * 3000, all);
    }
    assert_eq!(world.health(), [Health::Up; 2]);
    assert_eq!(lost(&world), lost_before);
}

/// Given an uplink that is down and cannot be asked, then nothing more counts as sent.
#[test]
fn one_that_is_down_counts_what_it_asked() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    world.run(MS * 6000, second);
    assert_eq!(world.health()[0], Health::Down);
    let probes = |world: &World| world.router.uplinks.at(0).prober.probes(0);
    world.refuses_asks = true;
    world.run(MS * 2000, second);
    let before = probes(&world);
    world.run(MS * 4000, second);
    assert_eq!(probes(&world), before);
}

/// Given questions that are never asked, then for a moment they say nothing; after as long as a silence
/// may last, the uplink is not trusted any more.
#[test]
fn who_cannot_be_asked_is_not_used() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    world.refuses_asks = true;
    world.run(MS * 500, all);
    assert_eq!(world.health()[0], Health::Up);
    world.run(MS * 5000, all);
    assert_ne!(world.health()[0], Health::Up);
}

/// Given two uplinks whose gateways are asked by ARP, when the gateway of the first does not answer any
/// more, then it is down within three seconds; when it answers again, it returns. No gateway is a target
/// that could be ignored.
#[test]
fn arp_tells_that_a_gateway_is_gone() {
    let mut world = world(CheckKind::Arp);
    for uplink in world.router.uplinks.iter() {
        let id = uplink.facts.id;
        assert_eq!(uplink.prober.port(Family::V4).map(|(port, _)| port), Some(PortId::Arp(id)));
        let gateway = uplink.facts.gateway(Family::V4).unwrap();
        assert!(uplink.prober.targets().iter().map(|t| IpAddr::V4(*t)).eq([gateway]));
    }
    falls_and_returns(&mut world);
    assert!(world.router.uplinks.ignored.is_empty());
}

/// Given an uplink that is not answered, then it asks its segment no more than ten times a second.
#[test]
fn a_segment_is_asked_sparsely() {
    let mut world = world(CheckKind::Arp);
    let before = world.sent[&1];
    world.run(MS * 2000, second);
    assert!(world.sent[&1] - before <= 21, "{}", world.sent[&1] - before);
}

/// Given a gateway that takes longer to answer ARP from now on than from one question to the next, and
/// loses one in fifty, then no reply is taken for the answer to a later question: the round trip is known,
/// and the uplink is not degraded.
#[test]
fn slow_replies_answer_their_own_question() {
    for rtt in [110, 120, 150, 240] {
        let mut world = world(CheckKind::Arp);
        let since = world.now;
        world.run(MS * 60_000, move |uplink, _, n| match uplink {
            1 => (Secret::new([9; 16]).hash(&[n]) % 100 >= 2).then_some(MS * rtt),
            _ => Some(MS * 10),
        });
        let prober = &world.router.uplinks.at(0).prober;
        assert_eq!(prober.rtt(0), Some(MS * rtt));
        let reported = world.reported(since);
        assert!(reported.iter().all(|(_, to)| *to != Health::Degraded), "{rtt}: {reported:?}");
    }
}

/// Given replies by ARP that nobody asked for, then they are counted, and no uplink is the better for it.
#[test]
fn forged_replies_are_counted() {
    let mut world = world(CheckKind::Arp);
    let mac = Mac([2, 0, 0, 0, 0, 0xfe]);
    let own = world.config.uplinks[0].clone();
    let (IpAddr::V4(us), IpAddr::V4(gateway)) =
        (own.fixed().unwrap().address.address, own.fixed().unwrap().gateway)
    else {
        panic!()
    };
    let request = Arp::request(world.link(0).identity.mac.unwrap().0, us, gateway);
    let mut hear = |reply: Arp| {
        let (port, from) = (PortId::Arp(UplinkId(1)), Peer::Link(mac));
        let (age, bytes) = (Duration::ZERO, reply.emit());
        world.input(Input::Packet { port, from, age, bytes });
        world.router.uplinks.at(0).prober.refused()
    };
    let before = hear(Arp { target_mac: [2; 6], ..request.reply(mac.0) });
    let after = hear(Arp { sender: us, ..request.reply(mac.0) });
    assert_eq!((before.wrong_nonce, after.wrong_source), (1, 1));
    hear(request.reply(mac.0));
    let before = hear(request.reply(mac.0)).duplicate;
    assert_eq!(hear(request.reply(mac.0)).duplicate, before + 1);
}

/// Given a device without a hardware address, or one that does not speak ARP, then the uplink has no
/// way, and says why; when that changes, the uplink is asked and comes up.
#[test]
fn a_device_without_arp_is_no_way() {
    let mut world = world(CheckKind::Arp);
    let good = world.link(0).clone();
    let mut no_mac = good.clone();
    no_mac.identity.mac = None;
    let no_arp = Link { no_arp: true, ..good.clone() };
    for bad in [no_mac, no_arp] {
        *world.link(0) = bad;
        world.changed(Scope::LINKS);
        world.run(MS * 500, all);
        assert_eq!(world.health(), [Health::NoWay, Health::Up]);
        assert_eq!(world.active(), [false, true]);
        let cause = &world.router.uplinks.at(0).history.cause;
        assert!(cause.contains("no ARP"), "{cause}");
        *world.link(0) = good.clone();
        world.changed(Scope::LINKS);
        world.run(MS * 5000, all);
        assert_eq!(world.health(), [Health::Up; 2]);
    }
}

/// Given a target that other uplinks ask and that fails on all of them, when the gateway of an uplink that
/// is asked by ARP has the same address, then it is another host: it is neither ignored nor anybody's
/// witness.
#[test]
fn a_gateway_is_no_target_of_others() {
    let mut world = world(CheckKind::Arp);
    let IpAddr::V4(gateway) = world.config.uplinks[0].fixed().unwrap().gateway else { panic!() };
    world.router.uplinks.ignored = Vec::from([(CheckKind::Icmp, gateway)]);
    let uplink = world.router.uplinks.at(0);
    assert_eq!(uplink.prober.targets(), [gateway]);
    assert_eq!(uplink.prober.index_of((CheckKind::Arp, gateway)), None);
    assert!(!world.router.uplinks.is_ignored(uplink, 0));
}

/// Given a target that drops echoes and takes connections, when one of the uplinks connects to it, then the
/// others, which ask it by echoes, ignore it as they would without that one.
#[test]
fn who_answers_connections_may_drop_echoes() {
    let mut world = World::new(uplinks(&[1, 1, 1]));
    let mut config = world.config.clone();
    config.uplinks[0].check.kind = CheckKind::Tcp { port: 443 };
    world.input(Input::Reload(Box::new(config)));
    world.run(MS * 30_000, |uplink, target, _| (uplink == 1 || target == 0).then_some(MS * 10));
    assert_eq!(world.health(), [Health::Up; 3]);
    assert_eq!(world.router.uplinks.ignored, [(CheckKind::Icmp, world.config.check.targets[1])]);
}

/// Given a loop that slept while a refusal waited for it, then the time that it slept is no round trip.
#[test]
fn a_refusal_that_waited_while_we_slept_is_no_round_trip() {
    let mut world = world(CheckKind::Tcp { port: 443 });
    let rtts = |world: &World| -> Vec<_> {
        let prober = &world.router.uplinks.at(0).prober;
        (0..prober.targets().len()).map(|target| prober.rtt(target)).collect()
    };
    let before = rtts(&world);
    let (id, _) = asks(&mut world, MS * 300)[0];
    world.now = world.now + MS * 1400;
    world.input(Input::Answered(id, Ok(Answer::Refused { rtt: MS * 1400 })));
    assert_eq!(rtts(&world), before);
}
