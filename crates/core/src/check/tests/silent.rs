//! Silence, gaps and swelling round trips.

use super::world::{MS, World, settings, silent, steady};
use crate::check::{Cause, Settings, Verdict};
use crate::time::Duration;
use alloc::boxed::Box;

/// Given a round trip of 20 ms, when all answers cease, then the burst begins 40 ms after the first
/// unanswered probe, the doubt after 150 ms, and the uplink is down 1.25 s after the last arrival.
#[test]
fn silence_at_twenty_milliseconds() {
    let mut w = World::settled(1);
    let last = w.run_to_probe() + MS * 20;
    w.run(MS * 21);
    w.fate = silent();
    w.forget();
    let first = w.run_to_probe();
    w.run(MS * 3000);
    assert_eq!(w.sent[1].0.since(first), MS * 40);
    assert_eq!(w.avoided().unwrap().since(first), MS * 150);
    assert_eq!(w.down().unwrap().since(last), MS * 1250);
}

/// Given probes each 200 ms and a verdict after four, then it is down 0.8 s after the last arrival.
#[test]
fn a_shorter_patience_can_be_configured() {
    let settings = Settings { interval: MS * 200, fail_after: 4, ..settings() };
    let mut w = World::new(settings, 1, steady(20));
    w.run(MS * 20_000);
    let last = w.run_to_probe() + MS * 20;
    w.run(MS * 21);
    w.fate = silent();
    w.forget();
    w.run(MS * 3000);
    assert_eq!(w.down().unwrap().since(last), MS * 800);
}

/// Given a round trip of 600 ms, when all answers cease, then the first probe is overdue after 610 ms,
/// the doubt comes after 1110 ms, and the uplink is down after 1.6 s.
#[test]
fn silence_at_six_hundred_milliseconds() {
    let mut w = World::new(settings(), 1, steady(600));
    w.run(MS * 30_000);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    w.fate = silent();
    w.forget();
    let first = w.run_to_probe();
    w.run(MS * 4000);
    assert_eq!(w.avoided().unwrap().since(first), MS * 1110);
    assert_eq!(w.down().unwrap().since(first), MS * 1600);
}

/// Given a probe each 2 s and a verdict after one, when the round trip jumps between 20 and 250 ms, then
/// nobody doubts the uplink, for who asks seldom waits longer; a silence is doubted after half a second.
#[test]
fn who_asks_seldom_waits_longer_for_the_first_answer() {
    let seldom = || {
        let timing = Settings { interval: MS * 2000, fail_after: 1, ..settings() };
        let mut w = World::new(timing, 1, steady(20));
        w.run(MS * 20_000);
        w.forget();
        w
    };
    let mut w = seldom();
    for rtt in [250, 20].repeat(3) {
        w.fate = steady(rtt);
        w.run(MS * 4000);
    }
    assert_eq!((w.doubts(), w.downs()), (0, 0), "{:?}", w.changes);

    let mut w = seldom();
    w.fate = silent();
    let first = w.run_to_probe();
    w.run(MS * 3000);
    assert_eq!(w.avoided().unwrap().since(first), MS * 500);
}

/// Given a round trip that jumps from 20 to 300 ms, then there is one doubt, which ends a second after
/// three answers; when it jumps again later, there is none.
#[test]
fn a_longer_round_trip_is_doubted_once() {
    let mut w = World::settled(1);
    w.fate = steady(300);
    w.run(MS * 30_000);
    assert_eq!((w.doubts(), w.downs()), (1, 0), "{:?}", w.changes);
    let ended = w.changes.iter().skip_while(|c| !c.suspect).find(|c| !c.suspect).unwrap();
    assert!(ended.at.since(w.avoided().unwrap()) < MS * 1500, "{:?}", w.changes);
    w.fate = steady(20);
    w.run(MS * 60_000);
    w.fate = steady(300);
    w.run(MS * 30_000);
    assert_eq!((w.doubts(), w.downs()), (1, 0), "{:?}", w.changes);
}

/// Given a round trip that swings between 20 and 900 ms each four seconds for an hour, then the uplink
/// is never down, and doubted once at most.
#[test]
fn a_swinging_round_trip_is_no_death() {
    let mut w = World::settled(1);
    w.fate = Box::new(|now, _, _| {
        let is_long = (now.as_nanos() / 4_000_000_000).is_multiple_of(2);
        Some(if is_long { MS * 900 } else { MS * 20 })
    });
    w.run(Duration::from_secs(3600));
    assert!(w.doubts() <= 1 && w.downs() == 0, "{:?}", w.changes);
}

/// Given a round trip that jumps from 20 to 1200 ms twice, then the uplink is down once, and has learnt
/// a patience of some 1.9 s from it.
#[test]
fn a_death_too_early_is_a_lesson() {
    let mut w = World::settled(1);
    w.fate = steady(1200);
    w.run(MS * 30_000);
    assert_eq!(w.downs(), 1, "{:?}", w.changes);
    let patience = w.prober.patience(w.now) - MS * 250;
    assert!((MS * 1800..MS * 2000).contains(&patience), "{patience:?}");
    w.fate = steady(20);
    w.run(MS * 60_000);
    w.fate = steady(1200);
    w.run(MS * 30_000);
    assert_eq!(w.downs(), 1, "{:?}", w.changes);
}

/// Given a gap of 1.6 s, then the uplink is down and back 2.6 s after the end of the gap; after the
/// same gap 150 s later it is only doubted.
#[test]
fn a_gap_is_survived_the_second_time() {
    let mut w = World::settled(1);
    let last = w.run_to_probe() + MS * 20;
    w.run(MS * 21);
    w.fate = silent();
    w.forget();
    w.run(MS * 1600);
    w.fate = steady(20);
    let end = w.now;
    assert_eq!(w.down().unwrap().since(last), MS * 1250);
    w.run(MS * 150_000);
    let back = w.changes.iter().find(|c| c.at > end && c.verdict == Verdict::Up).unwrap();
    assert!((MS * 2300..MS * 2700).contains(&back.at.since(end)), "{:?}", back.at.since(end));
    let patience = w.prober.patience(w.now) - MS * 250;
    assert!((MS * 2100..MS * 2500).contains(&patience), "{patience:?}");
    w.fate = silent();
    w.run(MS * 1600);
    w.fate = steady(20);
    w.run(MS * 150_000);
    assert_eq!(w.downs(), 1, "{:?}", w.changes);
    assert!(w.doubts() > 0);
}

/// Given an uplink that too few targets reach, when it falls wholly silent and then its silent targets are
/// ignored, then it stays down: that they are at fault does not acquit it of its silence.
#[test]
fn a_silence_is_not_acquitted() {
    let mut w = World::settled(1);
    w.fate = Box::new(|_, target, _| (target == 0).then_some(MS * 20));
    w.run(MS * 20_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(Cause::Quorum { .. })), "{:?}", w.changes);
    w.fate = silent();
    w.run(MS * 60_000);
    w.ignored = alloc::vec![false, true, true, true];
    w.forget();
    w.run(MS * 60_000);
    assert!(w.changes.iter().all(|c| matches!(c.verdict, Verdict::Down(_))), "{:?}", w.changes);
}
