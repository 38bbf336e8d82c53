//! Limiters of echoes, at the provider and at each target.

use super::world::{Bucket, MS, World, limited, limited_targets, settings, silent, steady};
use crate::check::{Settings, Verdict};
use crate::saved::{Falls, Learnt};
use crate::time::Duration;
use alloc::boxed::Box;

/// How long it was avoided in all.
fn avoided_time(w: &World) -> Duration {
    let is_avoided = |c: &super::world::Change| {
        c.suspect || !matches!(c.verdict, Verdict::Up | Verdict::Probing)
    };
    let ends = w.changes.iter().skip(1).map(|c| c.at).chain([w.now]);
    let spans = w.changes.iter().zip(ends);
    spans.filter(|(c, _)| is_avoided(c)).map(|(c, end)| end.since(c.at)).sum()
}

/// Given a bucket of 8/s at the provider and 1 % loss for a day, then the limiter is found, the pace
/// stays below it, the uplink is avoided for some seconds and never down; silence is found as without.
#[test]
fn a_limiter_at_the_provider_is_found() {
    let mut w = World::new(settings(), 3, limited(&Bucket::new(8, 8), 10));
    w.run(Duration::from_secs(24 * 3600));
    assert!(avoided_time(&w) < MS * 5000 && w.downs() == 0, "{:?}", w.changes);
    assert!(
        w.prober.limited_rate().is_some_and(|rate| rate <= 9000),
        "{:?}",
        w.prober.limited_rate()
    );
    w.forget();
    w.run(MS * 60_000);
    assert!(w.sent.len() < 6 * 60, "{}", w.sent.len());
    w.fate = silent();
    w.forget();
    let first = w.run_to_probe();
    w.run(MS * 3000);
    let (avoided, down) = (w.avoided().unwrap().since(first), w.down().unwrap().since(first));
    assert!(avoided < MS * 700 && down < MS * 2000, "{avoided:?} {down:?}");
}

/// Given a bucket of 1/s at each target, with a burst of one or of five, then the limiter is found; then
/// silence is a doubt after 1.1 s, and death after 4.2 s.
#[test]
fn limiters_at_the_targets_are_found() {
    for burst in [1, 5] {
        let mut w = World::new(settings(), 3, limited_targets(&Bucket::new(1, burst)));
        w.run(Duration::from_secs(3 * 3600));
        assert!(avoided_time(&w) < MS * 5000 && w.downs() == 0, "{burst}: {:?}", w.changes);
        // With a burst of five nobody ever meets it.
        assert_eq!(w.prober.limited_rate().is_some(), burst == 1);
        w.fate = silent();
        w.forget();
        let first = w.run_to_probe();
        w.run(MS * 6000);
        let (avoided, down) = (w.avoided().unwrap().since(first), w.down().unwrap().since(first));
        assert!(avoided <= MS * 1100 && down <= MS * 4200, "{burst}: {avoided:?} {down:?}");
    }
}

/// Given three targets that die everywhere and are ignored, then their silence is no limiter's.
#[test]
fn dead_targets_are_no_limiter() {
    let mut w = World::settled(1);
    w.fate = Box::new(|_, target, _| (target == 3).then_some(MS * 20));
    w.run(MS * 1200);
    w.ignored = alloc::vec![true, true, true, false];
    w.run(MS * 60_000);
    assert_eq!((w.prober.limited_rate(), w.downs()), (None, 0));
}

/// Given a limiter that is known to let an answer through each two seconds, when all that is asked is
/// answered, then the uplink is heard all the time.
#[test]
fn an_uplink_is_heard_between_the_answers_that_a_limiter_allows() {
    let mut w = World::settled(1);
    w.prober.take_over(w.now, &Learnt { limited_rate: Some(500), ..Learnt::default() });
    w.run(MS * 20_000);
    for _ in 0..200 {
        w.run(MS * 100);
        assert!(w.prober.has_heard(w.now), "{:?}", w.sent.last());
    }
}

/// Given a limiter that was taken for loss, when it is found, then the uplink has not fallen, and its next
/// fall is its first one.
#[test]
fn what_a_limiter_did_is_no_fall() {
    let mut w = World::new(settings(), 3, limited(&Bucket::new(8, 8), 10));
    w.run(Duration::from_secs(600));
    let degraded = |c: &super::world::Change| matches!(c.verdict, Verdict::Degraded(_));
    assert!(w.changes.iter().any(degraded) && w.downs() == 0, "{:?}", w.changes);
    let learnt = w.prober.learnt();
    assert!(learnt.limited_rate.is_some());
    assert_eq!(learnt.falls, Falls::default());
}

/// Given an uplink that was silent, when it loses a little just before it returns and falls silent right after,
/// then it is avoided as soon as ever: its outage was no limiter's, and nobody is asked slowly for that.
#[test]
fn a_return_is_asked_at_full_pace() {
    for (lost, late) in [(1, 0), (2, 100), (10, 300), (40, 0)] {
        let limits = Settings { degraded_pct: 5, down_pct: 30, recovered_pct: 2, ..settings() };
        let settings = Settings {
            stable_for: MS * 5000,
            required: 1,
            fail_after: 4,
            recover_after: 5,
            ..limits
        };
        let mut w = World::of(1, settings, 1, steady(20), Verdict::Probing);
        w.run(MS * 20_000);
        w.fate = silent();
        w.run(MS * 4600);
        w.fate = steady(20);
        while !matches!(w.prober.verdict(), Verdict::Held(_)) {
            w.run(MS);
        }
        let held = w.prober.hold_left(w.now);
        w.run(held.saturating_sub(MS * (25 * lost + late)));
        w.fate = silent();
        w.run(MS * 25 * lost);
        w.fate = steady(20);
        while !w.prober.verdict().is_usable() {
            w.run(MS);
        }
        w.forget();
        w.fate = silent();
        let since = w.now;
        w.run(MS * 3000);
        let after = w.avoided().map(|at| at.since(since));
        assert!(after.is_some_and(|after| after < MS * 800), "{lost} {late}: {after:?}");
    }
}

/// Given an uplink that was down and returned, when it is silent for two thirds of a second and answers again,
/// then it is asked at full pace, and a death right after is seen as soon as ever: the question that was
/// meant for its outage ended with it.
#[test]
fn a_question_about_an_outage_ends_with_it() {
    let settings = Settings { interval: MS * 200, recover_after: 2, ..settings() };
    for gap in [500, 660, 900, 1100] {
        let mut w = World::of(3, settings.clone(), 1, steady(10), Verdict::Probing);
        w.run(MS * 20_000);
        w.fate = silent();
        w.run(MS * 4300);
        assert!(matches!(w.prober.verdict(), Verdict::Down(_)));
        w.fate = steady(10);
        w.run(MS * 5500);
        assert_eq!(w.prober.verdict(), Verdict::Up);
        w.fate = silent();
        w.run(MS * gap);
        w.fate = steady(10);
        w.run(MS * 3000);
        let (last, _) = w.sent.last().unwrap();
        assert!(w.now.since(*last) <= MS * 300, "{gap}: {:?}", w.now.since(*last));
        w.forget();
        w.fate = silent();
        let since = w.now;
        w.run(MS * 3000);
        let after = w.avoided().map(|at| at.since(since));
        assert!(after.is_some_and(|after| after < MS * 1300), "{gap}: {after:?}");
    }
}

/// Given a limiter of one echo a second that is known, when the uplink falls silent and answers again, then it
/// returns, and is asked no more than the limiter allows: a test that found nothing left is not repeated for
/// ever.
#[test]
fn an_uplink_returns_behind_a_slow_limiter() {
    let mut w = World::new(settings(), 3, limited(&Bucket::new(1, 1), 0));
    w.run(Duration::from_secs(600));
    assert!(w.prober.limited_rate().is_some(), "{:?}", w.changes);
    w.fate = silent();
    w.run(MS * 30_000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)));
    w.fate = limited(&Bucket::new(1, 1), 0);
    w.run(MS * 120_000);
    assert!(w.prober.verdict().is_usable(), "{:?}", w.changes);
    w.forget();
    w.run(MS * 60_000);
    assert!(w.sent.len() <= 60 && w.prober.limited_rate().is_some(), "{}", w.sent.len());
}

/// Given a limit that is over, when it is tested anew while all targets but one are ignored, then it is gone.
#[test]
fn few_targets_end_a_limit() {
    let mut w = World::settled(1);
    w.prober.take_over(w.now, &Learnt { limited_rate: Some(2000), ..Learnt::default() });
    w.fate = Box::new(|_, target, _| (target == 3).then_some(MS * 20));
    w.ignored = alloc::vec![true, true, true, false];
    w.run(Duration::from_secs(3600 + 60));
    assert_eq!((w.prober.limited_rate(), w.downs()), (None, 0));
}
