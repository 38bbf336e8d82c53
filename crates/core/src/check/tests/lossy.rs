//! Loss, dead targets, and the way back.

use super::world::{MS, World, lossy, silent, steady};
use crate::check::{Cause, Verdict};
use crate::time::{Duration, Instant};
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// The longest but one of a hundred, and one more; what never came counts as the longest.
fn nearly_all(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() - 2 - times.len() / 100]
}

/// From the fault: how long until the uplink is avoided and down, by seed.
fn faults(seeds: u64, permille: u64, watch: Duration) -> (Vec<Duration>, Vec<Duration>) {
    let (mut avoided, mut down) = (Vec::new(), Vec::new());
    for seed in 0..seeds {
        let mut w = World::settled(seed);
        w.run(MS * 250 * u32::try_from(seed % 16).unwrap() / 16);
        w.fate = lossy(permille);
        w.forget();
        let fault = w.now;
        w.run(watch);
        let since = |at: Option<Instant>| at.map_or(Duration::MAX, |at| at.since(fault));
        avoided.push(since(w.avoided()));
        down.push(since(w.down()));
    }
    (avoided, down)
}

/// The rows of loss: per mille, 99 of 100 avoided and down within milliseconds; 0: never.
fn check_rows(seeds: u64) {
    for (permille, avoided_ms, down_ms) in
        [(800, 1500, 4000), (600, 2000, 8000), (450, 3000, 27_000), (300, 6000, 0), (50, 0, 0)]
    {
        let (mut avoided, mut down) = faults(seeds, permille, MS * 60_000);
        let within = |times: &mut Vec<Duration>, ms: u32| match ms {
            0 => times.iter().all(|time| *time == Duration::MAX),
            ms => nearly_all(times) <= MS * ms,
        };
        assert!(within(&mut avoided, avoided_ms), "{permille}: avoided {avoided:?}");
        assert!(within(&mut down, down_ms), "{permille}: down {down:?}");
    }
}

/// Given losses of 80 to 5 %, then the uplink is avoided and down in the time that the page promises.
#[test]
fn loss_is_found_in_time() {
    check_rows(30);
}

/// The same with 300 seeds.
#[test]
#[ignore = "takes a minute"]
fn loss_is_found_in_time_by_many_seeds() {
    check_rows(300);
}

/// Given an outage of 5 s, then the uplink is up 2.6 s after its end.
#[test]
fn an_outage_is_over_soon() {
    let mut w = World::settled(4);
    w.fate = silent();
    w.run(MS * 5000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(Cause::Silent(_))));
    w.fate = steady(20);
    w.run(MS * 2700);
    assert_eq!(w.prober.verdict(), Verdict::Up);
}

/// Given an outage of 5 s with 30 % loss behind it, then the uplink is in use after 20 s at most, and
/// degraded after 25.
#[test]
fn a_lossy_line_returns_after_an_outage() {
    for seed in 0..20 {
        let mut w = World::settled(seed);
        w.fate = silent();
        w.run(MS * 5000);
        w.fate = lossy(300);
        w.forget();
        let end = w.now;
        w.run(MS * 25_000);
        let back = w.changes.iter().find(|c| c.verdict.is_usable()).map(|c| c.at.since(end));
        assert!(back.is_some_and(|time| time <= MS * 20_000), "{seed}: {:?}", w.changes);
        assert!(matches!(w.prober.verdict(), Verdict::Degraded(Cause::Loss(_))), "{seed}");
    }
}

/// Given an hour of 38 % loss, then the uplink is degraded within 3 s and returns five times at most; up
/// 60 s after the cure.
#[test]
fn a_line_between_good_and_bad_does_not_alternate() {
    let mut all = Vec::new();
    for seed in 0..6 {
        let mut w = World::settled(seed);
        w.fate = lossy(380);
        w.forget();
        let begin = w.now;
        w.run(Duration::from_secs(3600));
        assert!(w.avoided().unwrap().since(begin) <= MS * 3000, "{seed}");
        let returns = w.changes.windows(2);
        let returns = returns.filter(|w| !w[0].verdict.is_usable() && w[1].verdict.is_usable());
        all.push(returns.count());
        w.fate = steady(20);
        w.run(MS * 60_000);
        assert_eq!(w.prober.verdict(), Verdict::Up, "{seed}: {:?}", w.changes.last());
    }
    assert!(all.iter().all(|returns| *returns <= 5), "{all:?}");
}

/// Given 45 % loss that falls to 20 %, then the uplink returns degraded, not up.
#[test]
fn a_line_returns_degraded() {
    let mut w = World::settled(5);
    w.fate = lossy(600);
    w.run(MS * 30_000);
    assert!(
        matches!(w.prober.verdict(), Verdict::Down(Cause::Loss(_))),
        "{:?}",
        w.prober.verdict()
    );
    w.fate = lossy(200);
    w.run(MS * 60_000);
    let Verdict::Degraded(Cause::Loss(permille)) = w.prober.verdict() else {
        panic!("{:?}", w.changes)
    };
    assert!((100..350).contains(&permille), "{permille}");
}

/// Given that three of four targets die and two are required, then the uplink is avoided within 1.1 s
/// and down, for too few answer, within 3 s.
#[test]
fn too_few_targets_condemn() {
    for seed in 0..20 {
        let mut w = World::settled(seed);
        w.fate = Box::new(|_, target, _| (target == 1).then_some(MS * 20));
        w.forget();
        let begin = w.now;
        w.run(MS * 4000);
        assert!(w.avoided().unwrap().since(begin) <= MS * 1100, "{seed}: {:?}", w.changes);
        assert!(w.down().unwrap().since(begin) <= MS * 3000, "{seed}: {:?}", w.changes);
        let cause = w.prober.verdict();
        assert_eq!(cause, Verdict::Down(Cause::Quorum { answering: 1, required: 2 }));
    }
}

/// Given that two of four targets die, then they are odd, the uplink is up, and asked as at rest.
#[test]
fn dead_targets_are_odd() {
    let mut w = World::settled(1);
    w.fate = Box::new(|_, target, _| (target > 1).then_some(MS * 20));
    w.run(MS * 20_000);
    w.forget();
    w.run(MS * 60_000);
    let odd: Vec<bool> = (0..4).map(|target| w.prober.is_odd(target)).collect();
    assert_eq!(odd, [true, true, false, false]);
    assert_eq!((w.prober.verdict(), w.downs()), (Verdict::Up, 0), "{:?}", w.changes);
    assert!(w.sent.len() <= 242, "{}", w.sent.len());
    assert!(!w.prober.is_answering(w.now, 0) && w.prober.is_answering(w.now, 2));
    assert_eq!(w.prober.probes(0).answered, w.prober.probes(0).sent - w.prober.probes(0).lost);
}

/// Given two targets that were dead and answer again, then the death of the two others half a second
/// later, or seven, does not condemn the uplink: what the first two were accused of was their own fault,
/// and is over.
#[test]
fn a_fault_of_targets_that_is_over_is_forgotten() {
    let dead = |targets: [usize; 2]| -> super::world::Fate {
        Box::new(move |_, target, _| (!targets.contains(&target)).then_some(MS * 20))
    };
    for between in (500..=7000).step_by(500) {
        for seed in 0..5 {
            let mut w = World::settled(seed);
            w.fate = dead([0, 1]);
            w.run(MS * 20_000);
            w.fate = steady(20);
            w.run(MS * between);
            w.fate = dead([2, 3]);
            w.run(MS * 20_000);
            // Then somebody finds that they are dead everywhere.
            w.ignored = vec![false, false, true, true];
            w.run(MS * 5000);
            assert_eq!(w.downs(), 0, "{between} ms, seed {seed}: {:?}", w.changes);
        }
    }
}
