//! What uplinks tell about each other.

use super::world::{Fate, MS, World, settings, silent, steady};
use crate::check::{
    Context, Prober, Settings, Verdict, blame, common_cause, is_comparing, left_out, should_wake,
};
use crate::config::CheckKind;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

/// Only these targets answer.
fn only(targets: &'static [usize]) -> Fate {
    Box::new(move |_, target, _| targets.contains(&target).then_some(MS * 20))
}

fn two(fate: fn() -> Fate) -> (World, World) {
    let (mut one, mut other) = (World::settled(1), World::settled(2));
    (one.fate, other.fate) = (fate(), fate());
    (one, other)
}

/// Which of the targets are ignored, by these uplinks; `before` says which were.
fn blamed<'a>(
    now: Instant,
    probers: impl Iterator<Item = &'a Prober> + Clone,
    before: [bool; 4],
) -> [bool; 4] {
    let (kind, targets) = probers.clone().next().unwrap().asked();
    let all: Vec<_> = targets.iter().map(|target| (kind, *target)).collect();
    let before: Vec<_> = all.iter().zip(before).filter(|(_, b)| *b).map(|(t, _)| *t).collect();
    let ignored = blame(now, &all, probers, (&before, Instant::default()));
    core::array::from_fn(|index| ignored.contains(&all[index]))
}

/// Given a target that answers on no uplink while another one does, then it is ignored; when one
/// uplink hears it again, it counts.
#[test]
fn a_target_that_is_dead_everywhere_is_ignored() {
    let (mut one, mut other) = two(|| only(&[0, 1, 2]));
    one.run(MS * 20_000);
    other.run(MS * 20_000);
    let judge = |one: &World, other: &World| {
        blamed(one.now, [&one.prober, &other.prober].into_iter(), [false; 4])
    };
    assert_eq!(judge(&one, &other), [false, false, false, true]);
    other.fate = steady(20);
    other.run(MS * 2000);
    one.run(MS * 2000);
    assert_eq!(judge(&one, &other), [false; 4]);
}

/// Given a target that is ignored, then an uplink whose last answer of it is from before that does not make
/// it count again; a newer answer does.
#[test]
fn an_ignored_target_counts_again_by_a_new_answer() {
    let one = World::settled(1);
    let all: Vec<_> = one.prober.targets().iter().map(|t| (CheckKind::Icmp, *t)).collect();
    let last = one.prober.last_answer(3).unwrap();
    for (changed, counts) in [(last, true), (last + MS, false)] {
        let before = (&all[3..], changed);
        let ignored = blame(one.now, &all, core::iter::once(&one.prober), before);
        assert_eq!(ignored.is_empty(), counts);
    }
}

/// Given a target that is dead everywhere and ignored, when an uplink comes back that was interrupted or
/// silent before the target died, then what it heard then says nothing, and the target stays ignored.
#[test]
fn who_comes_back_has_no_say_by_what_it_heard_before() {
    let ignored = [false, false, false, true];
    for is_interrupted in [true, false] {
        let (mut one, mut other) = two(|| only(&[0, 1, 2]));
        if is_interrupted {
            other.prober.stop(other.now);
        }
        other.fate = silent();
        one.run(MS * 20_000);
        if is_interrupted {
            other.now = one.now;
            other.prober.start(other.now);
        } else {
            other.run(MS * 20_000);
        }
        assert_eq!(blamed(one.now, core::iter::once(&one.prober), [false; 4]), ignored);
        other.fate = only(&[0, 1, 2]);
        for _ in 0..100 {
            other.run(MS * 20);
            let both = [&one.prober, &other.prober].into_iter();
            assert_eq!(blamed(other.now, both, ignored), ignored, "{is_interrupted}");
        }
        assert!(other.prober.has_heard(other.now));
    }
}

/// Given an uplink that hears nothing, then it has no say; where nobody has one, the last answer stays.
#[test]
fn silence_has_no_say() {
    let (mut one, mut other) = two(|| only(&[0, 1, 2]));
    other.fate = silent();
    one.run(MS * 20_000);
    other.run(MS * 20_000);
    let both = || [&one.prober, &other.prober].into_iter();
    assert_eq!(blamed(one.now, both(), [false; 4]), [false, false, false, true]);
    let silent = || core::iter::once(&other.prober);
    assert_eq!(blamed(one.now, silent(), [true, false, false, true]), [true, false, false, true]);
}

/// Given that most targets are ignored, then their silence condemns nobody.
#[test]
fn ignored_targets_condemn_nobody() {
    let mut w = World::settled(1);
    w.ignored = vec![false, true, true, true];
    w.fate = only(&[0]);
    w.run(MS * 60_000);
    assert_eq!((w.prober.verdict(), w.downs(), w.doubts()), (Verdict::Up, 0, 0), "{:?}", w.changes);
}

/// Given two uplinks that fall silent together, then each waits for as long as is allowed, until one
/// of them answers; one that falls silent alone does not.
#[test]
fn a_common_silence_is_waited_for() {
    let (mut one, mut other) = two(silent);
    one.run(MS * 700);
    other.run(MS * 700);
    let both = |one: &World, other: &World| common_cause([&one.prober, &other.prober].into_iter());
    assert_eq!(both(&one, &other), [true, true]);
    let alone = World::settled(3);
    assert_eq!(both(&one, &alone), [false, false]);
    other.fate = steady(20);
    other.run(MS * 100);
    assert_eq!(both(&one, &other), [false, false]);

    let mut common = one.prober.clone();
    let context = Context { is_common: true, ..Context::default() };
    for (prober, context, is_down) in
        [(&mut one.prober, Context::default(), true), (&mut common, context, false)]
    {
        let now = one.now + MS * 700;
        prober.judge(one.now, &context);
        while prober.deadline().is_some_and(|at| at <= now) {
            let at = prober.deadline().unwrap();
            super::world::packet(prober, at);
            prober.judge(at, &context);
        }
        assert_eq!(matches!(prober.verdict(), Verdict::Down(_)), is_down);
    }
}

/// Given a suspicion that outlives its first time-out, then others look closely; given one that does
/// not, they rest.
#[test]
fn others_wake_for_a_lasting_suspicion() {
    let (mut one, mut other) = two(|| steady(20));
    other.run(MS * 20);
    let wakes = |now, one: &Prober, other: &Prober| should_wake(now, 1, [one, other].into_iter());
    one.fate = silent();
    one.run_to_probe();
    one.run(MS * 70);
    assert!(!wakes(one.now, &one.prober, &other.prober));
    one.run(MS * 40);
    assert!(wakes(one.now, &one.prober, &other.prober));
    // One that rests looks whether it is silent as well, and is not asked as if it were.
    other.prober.look_closely(other.now);
    other.forget();
    other.run(MS * 300);
    assert!((5..8).contains(&other.sent.len()), "{}", other.sent.len());
    // One that carries nothing is asked less closely.
    other.prober.set_in_use(other.now, false);
    other.prober.suspect(other.now);
    other.forget();
    other.run(MS * 300);
    assert!((5..8).contains(&other.sent.len()), "{}", other.sent.len());
}

/// Given silent targets on one uplink, then its death waits as long as no other one has heard them.
#[test]
fn a_death_by_quorum_is_compared() {
    let (mut one, mut other) = two(|| only(&[1]));
    one.run(MS * 2000);
    other.run(MS * 400);
    let compare =
        |now, one: &Prober, other: &Prober| is_comparing(now, 0, [one, other].into_iter());
    assert!(compare(other.now, &one.prober, &other.prober));
    other.run(MS * 8000);
    assert!(compare(other.now, &one.prober, &other.prober));
    other.fate = steady(20);
    other.run(MS * 2000);
    assert!(!compare(other.now, &one.prober, &other.prober));
    assert_eq!(settings().required, 2);
}

/// Given targets that are ignored, then an uplink leaves out those of its own, unless they are all that it
/// has.
#[test]
fn nobody_asks_nobody() {
    let targets: Vec<_> = (1..=3).map(|n| core::net::Ipv4Addr::new(192, 0, 2, n)).collect();
    let ignored: Vec<_> = targets[1..].iter().map(|target| (CheckKind::Icmp, *target)).collect();
    let left_out = |kind, targets: &[_]| left_out((kind, targets), &ignored);
    assert_eq!(left_out(CheckKind::Icmp, &targets), [false, true, true]);
    assert_eq!(left_out(CheckKind::Tcp { port: 443 }, &targets), [false; 3]);
    assert_eq!(left_out(CheckKind::Icmp, &targets[1..]), [false, false]);
    assert_eq!(left_out(CheckKind::Icmp, &targets[..1]), [false]);
}

/// Given an uplink that was never judged and is silent, then others are not asked closely for it: it has
/// shown nothing that could have ended for all.
#[test]
fn who_never_answered_wakes_nobody() {
    let with = Settings { interval: MS * 60_000, required: 1, ..settings() };
    let mut new = World::new(with, 1, silent());
    let mut other = World::settled(2);
    let wakes = |now, new: &Prober, other: &Prober| should_wake(now, 1, [new, other].into_iter());
    for _ in 0..50 {
        new.run(MS * 100);
        other.run(MS * 100);
        assert!(!wakes(new.now, &new.prober, &other.prober), "{:?}", new.prober.verdict());
    }
}
