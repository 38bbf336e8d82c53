//! Beginning, standing by, ending, returning.

use super::world::{Fate, MS, World, lossy, settings, silent, steady};
use crate::check::{Cause, Settings, Verdict};
use crate::config::Limit;
use crate::saved::Learnt;
use crate::time::Duration;
use alloc::boxed::Box;

/// Given an uplink never judged, when as many targets have answered as must, then it is up; with no
/// answer it is down.
#[test]
fn the_first_good_round_brings_it_up() {
    let mut w = World::new(settings(), 1, steady(10));
    w.run(MS * 20);
    assert_eq!(w.prober.verdict(), Verdict::Probing);
    w.run(MS * 20);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    let mut w = World::new(settings(), 1, silent());
    w.run(MS * 3000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(Cause::Silent(_))));
}

/// Given a standby, then it is asked at a tenth of the pace; its silence is found from the first
/// question that is unanswered, and an uplink that is to carry is asked at once.
#[test]
fn a_standby_is_asked_seldom() {
    let mut w = World::settled(1);
    w.prober.set_in_use(w.now, false);
    w.run(MS * 60_000);
    assert!(w.sent.len() <= 25, "{}", w.sent.len());
    let at = w.now;
    w.prober.set_in_use(at, true);
    w.forget();
    w.run(MS * 25);
    assert_eq!(w.sent[0].0, at);
    assert!(w.prober.is_proven_since(at));
    w.prober.set_in_use(w.now, false);
    w.run(MS * 20_000);
    w.fate = silent();
    w.forget();
    let first = w.run_to_probe();
    w.run(MS * 3000);
    assert!(w.avoided().unwrap().since(first) <= MS * 150);
    assert!(w.down().unwrap().since(first) <= MS * 1250);
}

/// Given a suspicion from elsewhere, then an uplink in use is asked at once and quickly; a good one is
/// soon at rest again.
#[test]
fn a_suspicion_is_looked_into() {
    let mut w = World::settled(1);
    let last = w.run_to_probe();
    w.run(MS * 60);
    w.prober.suspect(w.now);
    w.forget();
    w.run(MS * 100);
    assert!(w.sent[0].0.since(last) <= MS * 62 && w.sent.len() >= 3, "{:?}", w.sent);
    w.run(MS * 2000);
    w.forget();
    w.run(MS * 10_000);
    assert!(w.sent.len() <= 41 && w.doubts() == 0, "{}", w.sent.len());
}

/// Given a gateway that does not answer ARP, when the uplink is silent, then it is down before its
/// patience is over; while it answers, it is not.
#[test]
fn a_failed_neighbour_condemns_a_silent_line() {
    let mut w = World::settled(1);
    w.prober.set_neighbour_failed(true);
    w.run(MS * 1000);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    w.fate = silent();
    w.run(MS * 300);
    w.prober.set_neighbour_failed(true);
    w.run(MS * 500);
    assert_eq!(w.prober.verdict(), Verdict::Down(Cause::Neighbour));
}

/// Given `stable_for` of 20 s, when the uplink is good again, then it is held meanwhile, without a
/// break, and up afterwards; a new death ends the hold.
#[test]
fn a_return_is_held() {
    let with = Settings { stable_for: Duration::from_secs(20), ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 20_000);
    w.fate = silent();
    w.run(MS * 5000);
    w.fate = lossy(20);
    w.forget();
    w.run(MS * 15_000);
    assert!(matches!(w.prober.verdict(), Verdict::Held(Cause::Silent(_))));
    assert!(w.prober.hold_left(w.now) > MS * 4000);
    w.run(MS * 10_000);
    assert!(w.prober.verdict().is_usable());
    assert!(w.downs() <= 1, "{:?}", w.changes);
    w.fate = silent();
    w.run(MS * 5000);
    w.fate = steady(20);
    w.run(MS * 10_000);
    w.fate = silent();
    w.run(MS * 3000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)));
}

/// Given a return with 30 % loss, when it is held, then the time that it has to wait does not begin anew
/// with each bad round.
#[test]
fn a_lossy_return_is_not_held_for_ever() {
    let with = Settings { stable_for: Duration::from_secs(20), ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 20_000);
    w.fate = silent();
    w.run(MS * 5000);
    w.fate = lossy(300);
    w.run(MS * 60_000);
    assert!(matches!(w.prober.verdict(), Verdict::Degraded(Cause::Loss(_))), "{:?}", w.changes);
}

/// Given an uplink that was held before a restart, then it is held until it was good for the whole
/// time; without an answer it is down.
#[test]
fn what_was_held_is_held_after_a_restart() {
    for stable in [0, 5] {
        let with = Settings { stable_for: Duration::from_secs(stable), ..settings() };
        let held = Verdict::Held(Cause::Adopted);
        let mut w = World::with_verdict(with.clone(), 1, steady(20), held);
        w.run(MS * 10);
        assert_eq!(w.prober.verdict(), held);
        // How long it had to wait, and for how long it has, is not known any more: 5 s at the least.
        w.run(MS * 5300);
        assert_eq!(w.prober.verdict(), Verdict::Up, "{stable}");
        let mut w = World::with_verdict(with, 1, silent(), held);
        w.run(MS * 3000);
        assert!(matches!(w.prober.verdict(), Verdict::Down(_)), "{stable}");
    }
}

/// Given an uplink that is held back and asked seldom, then it returns when its time is over, and not at
/// the next question.
#[test]
fn a_hold_ends_in_time() {
    let with = Settings { interval: MS * 60_000, ..settings() };
    let mut w = World::with_verdict(with, 1, steady(20), Verdict::Held(Cause::Adopted));
    w.run(MS * 4999);
    assert_eq!(w.prober.verdict(), Verdict::Held(Cause::Adopted));
    w.run(MS);
    assert_eq!(w.prober.verdict(), Verdict::Up);
}

/// Given an uplink that was good before a restart, then it is good until evidence says otherwise.
#[test]
fn what_was_good_is_good_after_a_restart() {
    let mut w = World::with_verdict(settings(), 1, silent(), Verdict::Up);
    w.run(MS * 1000);
    assert_eq!((w.prober.verdict(), w.prober.is_suspect()), (Verdict::Up, false));
    w.run(MS * 1000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(Cause::Silent(_))));
}

/// Given a limit of the round trip, when it is exceeded, then the uplink is degraded, and up again
/// when the mean is below the other limit.
#[test]
fn a_slow_line_is_degraded() {
    let limit = Limit { degraded: MS * 200, recovered: MS * 100 };
    let mut w = World::new(Settings { latency: Some(limit), ..settings() }, 1, steady(20));
    w.run(MS * 60_000);
    w.fate = steady(400);
    w.run(MS * 60_000);
    assert!(matches!(w.prober.verdict(), Verdict::Degraded(Cause::Latency(_))));
    w.fate = steady(20);
    w.run(MS * 120_000);
    assert_eq!(w.prober.verdict(), Verdict::Up);
}

/// Given an uplink that flaps, up 10 and silent 5 s, then its returns are held back longer and longer:
/// it goes down far more seldom than it flaps.
#[test]
fn a_flapping_line_is_damped() {
    let mut w = World::settled(1);
    let start = w.now;
    w.fate = Box::new(move |now, _, _| (now.since(start).as_secs() % 15 < 10).then_some(MS * 20));
    w.forget();
    w.run(Duration::from_secs(2 * 3600));
    assert!((6..40).contains(&w.falls()), "{}", w.falls());
}

/// Given an uplink whose probes find no way for a moment, then it goes on as before; when it loses its
/// way, then one good round brings it back; when its link goes, then it has to return.
#[test]
fn interruptions_by_kind() {
    let mut w = World::settled(1);
    w.prober.halt();
    w.now = w.now + MS * 5000;
    assert_eq!(w.prober.deadline(), None);
    w.prober.start(w.now);
    w.run(MS * 1000);
    assert_eq!((w.prober.verdict(), w.doubts(), w.downs()), (Verdict::Up, 0, 0));
    w.prober.lose_way();
    assert_eq!(w.prober.verdict(), Verdict::Probing);
    w.prober.start(w.now);
    w.run(MS * 100);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    w.prober.stop(w.now);
    assert_eq!(w.prober.verdict(), Verdict::Down(Cause::Interrupted));
    w.prober.start(w.now);
    w.run(MS * 2000);
    assert!(matches!(w.prober.verdict(), Verdict::Down(_)) && w.prober.good_rounds() > 4);
    w.run(MS * 800);
    assert_eq!(w.prober.verdict(), Verdict::Up);
    w.prober.retire();
    assert_eq!(w.prober.verdict(), Verdict::Probing);
}

/// Given a limit that an earlier process knew, then the pace keeps to it from the start.
#[test]
fn a_known_limit_is_kept() {
    let mut w = World::settled(1);
    w.prober.take_over(w.now, &Learnt { limited_rate: Some(2000), ..Learnt::default() });
    w.forget();
    w.run(MS * 60_000);
    assert!(w.sent.len() <= 86, "{}", w.sent.len());
    assert_eq!(w.prober.limited_rate(), Some(2000));
}

/// Given a limit of the round trip and an uplink that is asked seldom, when it is too slow, then it is
/// degraded for as long as it is, also while it stands by.
#[test]
fn a_slow_line_that_is_asked_seldom_stays_degraded() {
    let limit = Limit { degraded: MS * 200, recovered: MS * 150 };
    for interval in [6000, 10_000, 60_000] {
        let with = Settings { interval: MS * interval, latency: Some(limit), ..settings() };
        let mut w = World::new(with, 1, steady(400));
        w.run(MS * interval * 20);
        let is_slow = |v: Verdict| matches!(v, Verdict::Degraded(Cause::Latency(_)));
        assert!(is_slow(w.prober.verdict()), "{interval}: {:?}", w.changes);
        w.prober.set_in_use(w.now, false);
        w.forget();
        w.run(MS * interval * 100);
        assert!(w.changes.iter().all(|c| is_slow(c.verdict)), "{interval}: {:?}", w.changes);
        w.fate = steady(20);
        w.run(MS * interval * 100);
        assert_eq!(w.prober.verdict(), Verdict::Up, "{interval}");
    }
}

/// Given an uplink that is held back because it fell silent again and again, when one of its targets is
/// found to be at fault meanwhile, then it is held until the same moment.
#[test]
fn a_fault_of_a_target_ends_no_hold() {
    let mut w = World::new(Settings { required: 4, ..settings() }, 1, steady(20));
    w.run(MS * 20_000);
    loop {
        w.fate = silent();
        while w.prober.verdict().is_usable() {
            w.run(MS * 100);
        }
        if w.prober.hold_left(w.now) > MS * 30_000 {
            break;
        }
        w.fate = steady(20);
        while !w.prober.verdict().is_usable() {
            w.run(MS * 100);
        }
        w.run(MS * 5000);
    }
    let end = w.now + w.prober.hold_left(w.now);
    w.fate = Box::new(|_, target, _| (target != 3).then_some(MS * 20));
    w.run(MS * 4000);
    w.ignored = alloc::vec![false, false, false, true];
    while !w.prober.verdict().is_usable() {
        w.run(MS * 100);
    }
    assert!(w.now >= end, "{:?} too soon", end.since(w.now));
}

/// Given an uplink that is held back, when it loses much or too few of its targets answer, then it is down:
/// nothing of its outage condemns it, but what it does since.
#[test]
fn one_that_is_held_back_falls_by_loss() {
    let one_target = || -> Fate { Box::new(|_, target, _| (target == 0).then_some(MS * 20)) };
    for fate in [lossy(600), one_target()] {
        let with = Settings { stable_for: Duration::from_secs(120), ..settings() };
        let mut w = World::new(with, 1, steady(20));
        w.run(MS * 20_000);
        w.fate = silent();
        w.run(MS * 5000);
        w.fate = steady(20);
        w.run(MS * 10_000);
        assert!(matches!(w.prober.verdict(), Verdict::Held(_)), "{:?}", w.changes);
        w.fate = fate;
        w.run(MS * 60_000);
        let verdict = w.prober.verdict();
        assert!(matches!(verdict, Verdict::Down(cause) if cause.is_loss()), "{:?}", w.changes);
    }
}

/// Given an uplink that is held back for `stable_for`, when it loses its way for a while, then it has to be good
/// for the whole time after that: nobody knows what it was meanwhile.
#[test]
fn a_hold_begins_anew_after_a_lost_way() {
    let with = Settings { stable_for: Duration::from_secs(60), ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 20_000);
    w.fate = silent();
    w.run(MS * 5000);
    w.fate = steady(20);
    w.run(MS * 10_000);
    assert!(matches!(w.prober.verdict(), Verdict::Held(_)), "{:?}", w.changes);
    w.prober.lose_way();
    w.now = w.now + Duration::from_secs(120);
    w.prober.start(w.now);
    w.run(MS * 55_000);
    assert!(matches!(w.prober.verdict(), Verdict::Held(_)), "{:?}", w.changes);
    w.run(MS * 6000);
    assert_eq!(w.prober.verdict(), Verdict::Up);
}

/// Given an uplink that is good and held back, then it is on its way back for as long as that takes: its
/// connections go on.
#[test]
fn one_that_is_held_back_is_returning() {
    let with = Settings { stable_for: Duration::from_secs(120), ..settings() };
    let mut w = World::new(with, 1, steady(20));
    w.run(MS * 20_000);
    w.fate = silent();
    w.run(MS * 5000);
    assert!(!w.prober.is_returning(w.now));
    w.fate = steady(20);
    w.run(MS * 60_000);
    assert!(matches!(w.prober.verdict(), Verdict::Held(_)) && w.prober.is_returning(w.now));
}

/// Given a metered uplink that carries nothing, when it stays degraded or silent, then it is asked a tenth as often
/// as another one, and it is back as soon as it is well.
#[test]
fn a_metered_one_that_stays_bad_costs_little() {
    let probes = |factor: u32, fate: Fate| {
        let with = Settings { standby_factor: factor, ..settings() };
        let mut w = World::new(with, 1, steady(20));
        w.run(MS * 20_000);
        w.fate = fate;
        w.run(MS * 60_000);
        w.prober.set_in_use(w.now, false);
        w.run(MS * 120_000);
        w.forget();
        w.run(MS * 600_000);
        assert!(w.changes.iter().all(|c| c.verdict != Verdict::Up), "{:?}", w.changes);
        let count = w.sent.len();
        w.fate = steady(20);
        w.run(MS * 900_000);
        assert_eq!(w.prober.verdict(), Verdict::Up, "{:?}", w.changes);
        count
    };
    for fate in [|| lossy(200), silent] {
        let (free, metered) = (probes(10, fate()), probes(100, fate()));
        assert!(metered * 9 <= free && free >= 2400, "{metered} of {free}");
    }
}

/// Given a metered uplink that carries nothing, when a new process takes over a doubt of it, then some quick answers
/// end that.
#[test]
fn a_doubt_that_is_taken_over_is_looked_at_closely() {
    let with = Settings { standby_factor: 100, ..settings() };
    let mut w = World::with_verdict(with, 1, steady(20), Verdict::Up);
    w.prober.set_in_use(w.now, false);
    w.prober.take_over(w.now, &Learnt { suspect: true, ..Learnt::default() });
    w.run(MS * 100);
    assert!(w.prober.is_suspect());
    w.run(MS * 2000);
    assert!(!w.prober.is_suspect(), "{:?}", w.sent);
    w.forget();
    w.run(MS * 60_000);
    assert!(w.sent.len() <= 3, "{:?}", w.sent);
}
