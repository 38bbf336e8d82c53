//! What arrives and is no answer, or comes too late.

use super::world::{MS, World, settings, steady};
use super::world::{kind, packet};
use crate::check::{Context, Prober, Refusal, Verdict};
use crate::io::Peer;
use crate::net::{Family, UplinkId};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use rail_wire::ip::icmp4::{Echo, EchoKind};

const START: Instant = Instant::from_nanos(1_000_000_000_000);

fn prober(id: u8) -> Prober {
    let targets = (1..=4).map(|n| Ipv4Addr::new(192, 0, 2, n)).collect();
    let with = (settings(), targets);
    let mut prober =
        Prober::new(START, UplinkId(id), with, kind(UplinkId(id), [id; 16]), Verdict::Up);
    prober.start(START);
    prober
}

fn ask(prober: &mut Prober, now: Instant) -> (Peer, Vec<u8>) {
    let (to, question) = packet(prober, now).unwrap();
    let echo = Echo::parse(&question).unwrap();
    (to.into(), Echo { kind: EchoKind::Reply, ..echo }.emit())
}

/// Given an answer, when it comes a second time, then it is a duplicate and changes nothing.
#[test]
fn a_second_answer_is_refused() {
    let mut p = prober(1);
    let (from, reply) = ask(&mut p, START);
    let at = START + MS * 20;
    assert!(p.answer(at, Duration::ZERO, from, &reply).is_ok());
    assert_eq!(p.answer(at, Duration::ZERO, from, &reply), Err(Refusal::Duplicate));
    p.count_refusal(Refusal::Duplicate);
    assert_eq!((p.refused().duplicate, p.probes(0).answered <= 1), (1, true));
}

/// Given an answer to another uplink's probe, then it is refused here and known there.
#[test]
fn an_answer_of_another_uplink_is_known() {
    let (mut one, mut other) = (prober(1), prober(2));
    ask(&mut one, START);
    let (from, reply) = ask(&mut other, START);
    let refusal = one.answer(START, Duration::ZERO, from, &reply);
    assert_eq!(refusal, Err(Refusal::WrongSequence));
    assert!(other.is_answer(from, &reply) && !one.is_answer(from, &reply));
    assert_ne!(one.port(Family::V4), other.port(Family::V4));
}

/// Given an answer after more than four seconds, then it is a sign of life, and proves nothing.
#[test]
fn a_late_answer_is_a_sign_of_life_only() {
    let mut p = prober(1);
    let (from, reply) = ask(&mut p, START);
    let late = START + MS * 4001;
    assert!(p.answer(late, Duration::ZERO, from, &reply).is_ok());
    assert!(p.has_heard(late) && !p.is_proven_since(START));
    assert_eq!((p.last_answer(0), p.last_answer(1)), (None, None));
}

/// Given an answer that waited for a late loop, then the round trip ends when the kernel received it.
#[test]
fn a_late_loop_is_no_latency() {
    let mut p = prober(1);
    let (from, reply) = ask(&mut p, START);
    let (target, before) = p.answer(START + MS * 310, MS * 300, from, &reply).unwrap();
    assert_eq!((p.rtt(target), before), (Some(MS * 10), None));
}

/// Given an uplink that stopped, then no answer is taken.
#[test]
fn one_that_stopped_takes_no_answer() {
    let mut p = prober(1);
    let (from, reply) = ask(&mut p, START);
    p.stop(START);
    assert_eq!(p.answer(START, Duration::ZERO, from, &reply), Err(Refusal::WrongSequence));
    assert_eq!(p.deadline(), None);
}

/// Given round trips of 700 ms and a time-out of 500, then probes are counted as late, and none as lost.
#[test]
fn late_probes_are_counted() {
    let mut w = World::new(settings(), 1, steady(700));
    w.run(MS * 30_000);
    let all = (0..4).map(|target| w.prober.probes(target));
    assert!(
        all.clone().all(|p| p.late == p.answered && p.answered > 20 && p.lost == 0),
        "{:?}",
        all.collect::<Vec<_>>()
    );
    let sums = w.prober.sums(w.now);
    assert_eq!((sums.loss_permille(), sums.rtt()), (Some(0), Some(MS * 700)));
}

/// Given a start, then the gateway is asked for a few times until something answers.
#[test]
fn a_start_asks_for_the_gateway() {
    let mut p = prober(1);
    assert!(p.resolves(START) && !p.resolves(START));
    let (from, reply) = ask(&mut p, START);
    p.judge(START, &Context::default());
    assert!(p.resolves(START + MS * 110));
    assert!(p.answer(START + MS * 120, Duration::ZERO, from, &reply).is_ok());
    assert!(!p.resolves(START + MS * 250));
}
