//! Every outage ends in a verdict, and every verdict ends with its cause.

use super::world::{Fate, MS, World, lossy, settings, silent, steady};
use crate::check::{Settings, Verdict};
use alloc::boxed::Box;
use alloc::vec::Vec;

/// Given a question a second, and a gap of 5.6 s that the uplink survived, when it falls silent, then it is
/// down although the first probe of its silence is long forgotten.
#[test]
fn a_silence_ends_that_is_longer_than_the_memory() {
    let with = Settings { interval: MS * 1000, ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 60_000);
    w.run_to_probe();
    w.run(MS * 30);
    w.fate = silent();
    w.run(MS * 5_600);
    w.fate = steady(20);
    w.run(MS * 60_000);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    w.fate = silent();
    w.run(MS * 15_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{:?}", w.changes);
}

/// Given a question a second, when all uplinks fall silent together, then this one is down after
/// `fail_after` intervals.
#[test]
fn a_silence_of_all_ends() {
    let with = Settings { interval: MS * 1000, ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 60_000);
    w.fate = silent();
    w.is_common = true;
    w.run(MS * 12_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{:?}", w.changes);
}

/// Given one target and a slow pace, when outages of two minutes follow each other, then each is found
/// as fast as the first: the pace of an uplink that is down teaches no patience.
#[test]
fn a_later_outage_is_found_as_fast_as_the_first() {
    for interval in [250, 1000, 3000, 5000] {
        let with = Settings { interval: MS * interval, required: 1, ..settings() };
        let mut w = World::new(with, 1, Box::new(|_, t, _| (t == 0).then_some(MS * 20)));
        w.ignored = alloc::vec![false, true, true, true];
        w.run(MS * 60_000);
        let mut found = Vec::new();
        for _ in 0..3 {
            w.fate = silent();
            let at = w.now;
            w.forget();
            w.run(MS * 120_000);
            found.push(w.down().unwrap().since(at));
            w.fate = Box::new(|_, t, _| (t == 0).then_some(MS * 20));
            w.run(MS * 1_200_000);
        }
        let slowest = MS * interval * 4 + MS * 2000;
        assert!(found.iter().all(|time| *time < slowest), "{interval}: {found:?}");
    }
}

/// Given three targets that must answer and three of four left out, when the last one loses 70 %, then
/// the uplink is down: what is left of the targets can say enough.
#[test]
fn loss_condemns_where_fewer_targets_count_than_must_answer() {
    let mut w = World::new(Settings { required: 3, ..settings() }, 1, steady(20));
    w.run(MS * 20_000);
    w.ignored = alloc::vec![false, true, true, true];
    w.run(MS * 20_000);
    w.fate = lossy(700);
    w.run(MS * 60_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{:?}", w.prober.verdict());
}

/// Given a loop that is late each time, by any time, when all answers cease, then the uplink is down.
#[test]
fn a_loop_that_is_always_late_sees_a_silence() {
    for late in [60, 90, 110, 130, 200, 500] {
        let mut w = World::settled(1);
        w.fate = silent();
        w.forget();
        let end = w.now + MS * 10_000;
        while w.now < end {
            let due = w.prober.deadline().unwrap().max(w.now);
            w.sleep(due.since(w.now) + MS * late);
        }
        assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{late}: {:?}", w.changes);
    }
}

/// Given the smallest limits of loss that can be written, when the loss ends, then the uplink is up again.
#[test]
fn the_smallest_limits_of_loss_let_it_recover() {
    for (degraded_pct, recovered_pct) in [(1, 0), (2, 1), (10, 9)] {
        let with = Settings { degraded_pct, recovered_pct, ..settings() };
        let mut w = World::new(with, 1, steady(20));
        w.run(MS * 60_000);
        w.fate = lossy(150);
        w.run(MS * 60_000);
        assert!(matches!(w.prober.verdict(), Verdict::Degraded(_)), "{:?}", w.changes);
        w.fate = steady(20);
        w.run(MS * 400_000);
        assert_eq!(w.prober.verdict(), Verdict::Up, "{degraded_pct} {recovered_pct}");
    }
}

/// Given an uplink that fell silent, when it answers without a loss, then it is up after as many rounds as
/// configured, however few targets must answer and whatever loss would condemn it.
#[test]
fn recover_after_is_kept_after_a_silence() {
    for (required, recover_after, down_pct, interval) in
        [(2, 10, 40, 250), (1, 10, 40, 250), (1, 1, 40, 1000), (2, 1, 40, 2000), (1, 10, 12, 1000)]
    {
        let interval = MS * interval;
        let with = Settings { required, recover_after, down_pct, interval, ..settings() };
        let mut w = World::new(with, 1, steady(20));
        w.run(MS * 60_000);
        w.fate = silent();
        w.run(MS * 20_000);
        assert!(matches!(w.prober.verdict(), Verdict::Down(_)));
        w.fate = steady(20);
        let at = w.now;
        while !w.prober.verdict().is_usable() {
            w.run(MS * 10);
        }
        let took = w.now.since(at);
        // The round in which it answers for the first time may not be whole.
        assert!(took <= interval * (recover_after + 2), "{required} {recover_after}: {took:?}");
    }
}

/// Given an uplink of which one target of four answers from the start, and two must, then it is down, and
/// never was anything better.
#[test]
fn too_few_targets_from_the_start_are_too_few() {
    let mut w = World::new(settings(), 1, Box::new(|_, t, _| (t == 0).then_some(MS * 20)));
    w.run(MS * 30_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{:?}", w.changes);
    assert!(!w.changes.iter().any(|c| matches!(c.verdict, Verdict::Up | Verdict::Degraded(_))));
}

/// Given an answer that waited while the system slept, when all answers cease, then the doubt comes as fast
/// as ever: the time that we slept through is no round trip.
#[test]
fn what_waited_while_we_slept_is_no_round_trip() {
    let mut w = World::settled(1);
    w.run_to_probe();
    w.is_suspended = true;
    w.sleep(MS * 1400);
    w.run(MS * 100);
    w.fate = silent();
    w.forget();
    let first = w.run_to_probe();
    w.run(MS * 3000);
    assert!(w.avoided().unwrap().since(first) < MS * 500, "{:?}", w.changes);
}

/// Given long and uneven round trips and a loss that does not condemn, when all answers cease, then the
/// uplink is down: the few probes that are remembered are not to say it alone.
#[test]
fn a_silence_ends_behind_loss_and_long_round_trips() {
    let with = Settings { down_pct: 60, ..settings() };
    for (permille, least) in [(350, 500), (400, 500), (450, 1000)] {
        for seed in 0..3 {
            let bad: Fate = Box::new(move |_, _, random| {
                let rtt = MS * (least + u32::try_from(random / 1000 % 2000).unwrap());
                (random % 1000 >= permille).then_some(rtt)
            });
            let mut w = World::new(with.clone(), seed, steady(100));
            w.run(MS * 20_000);
            w.fate = bad;
            w.run(MS * 300_000);
            assert!(w.prober.verdict().is_usable(), "{permille}: {:?}", w.changes);
            w.fate = silent();
            w.run(MS * 60_000);
            assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{permille}: {:?}", w.changes);
        }
    }
}

/// Given a dead target that is ignored, when the uplink was silent and answers again, then it is up after as
/// many rounds as configured: what that target lost counts nowhere.
#[test]
fn a_target_that_is_ignored_delays_no_return() {
    let three = || -> Fate { Box::new(|_, target, _| (target != 3).then_some(MS * 20)) };
    for (required, recover_after, interval) in [(1, 10, 250), (1, 1, 2000), (2, 1, 2000)] {
        let interval = MS * interval;
        let mut w =
            World::new(Settings { required, recover_after, interval, ..settings() }, 1, three());
        w.ignored = alloc::vec![false, false, false, true];
        w.run(MS * 60_000);
        w.fate = silent();
        w.run(MS * 40_000);
        assert!(matches!(w.prober.verdict(), Verdict::Down(_)));
        w.fate = three();
        let at = w.now;
        while !w.prober.verdict().is_usable() {
            w.run(MS * 10);
        }
        let took = w.now.since(at);
        assert!(took <= interval * (recover_after + 2), "{required} {recover_after}: {took:?}");
    }
}
