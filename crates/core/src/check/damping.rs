//! Damping of flaps as routers do it (RFC 2439): each fall raises a penalty by one, and time halves it. A fall
//! that leaves more than `suppress` holds the return back until less than `reuse` is left.
//!
//! DEVIATION RFC 2439 §4.2: what falls while it is held back had not returned, and adds nothing.

use crate::config::Damping;
use crate::saved::Falls;
use crate::time::{Duration, Instant};

/// Adds a fall to the penalty; how long the return is held back for it.
pub(super) fn punish(falls: &mut Falls, now: Instant, with: &Damping) -> Duration {
    let left = decayed(falls.penalty, now.since(falls.penalized), with.half_life);
    let most = with.ceiling().saturating_mul(ONE);
    falls.penalty = left.saturating_add(ONE).min(most);
    falls.penalized = now;
    if falls.penalty <= with.suppress.saturating_mul(ONE) {
        return Duration::ZERO;
    }
    time_to(falls.penalty, with.reuse.saturating_mul(ONE), with.half_life)
}

/// What is left of a penalty after this time.
fn decayed(penalty: u32, age: Duration, half_life: Duration) -> u32 {
    let (mut penalty, mut age) = (penalty, age);
    while age >= half_life && penalty > 0 {
        (penalty, age) = (penalty / 2, age - half_life);
    }
    for (part, root) in parts(half_life) {
        if age >= part {
            (penalty, age) = (times(penalty, root), age - part);
        }
    }
    penalty
}

/// After which time no more than this is left of a penalty.
fn time_to(penalty: u32, least: u32, half_life: Duration) -> Duration {
    let (mut penalty, mut time) = (penalty, Duration::ZERO);
    while penalty / 2 >= least.max(1) {
        (penalty, time) = (penalty / 2, time + half_life);
    }
    for (part, root) in parts(half_life) {
        if times(penalty, root) >= least {
            (penalty, time) = (times(penalty, root), time + part);
        }
    }
    time
}

/// A half, a quarter and so on of a half-life, and what is left of a million after it.
fn parts(half_life: Duration) -> impl Iterator<Item = (Duration, u32)> {
    (1..).zip(ROOTS).map(move |(halvings, root)| (half_life / (1 << halvings), root))
}

fn times(penalty: u32, millionths: u32) -> u32 {
    u32::try_from(u64::from(penalty) * u64::from(millionths) / 1_000_000).unwrap_or(u32::MAX)
}

/// A fall weighs this much.
const ONE: u32 = 1000;
/// The square root of a half, the root of that, and so on, in millionths.
const ROOTS: [u32; 7] = [707_107, 840_896, 917_004, 957_603, 978_572, 989_228, 994_599];

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// Given penalties, when time passes, then they are halved in each half-life, and the time until little is
    /// left is as long as that takes.
    #[test]
    fn time_halves_a_penalty() {
        for (age, left) in [(0, 8000), (60, 4000), (30, 5656), (90, 2828), (180, 1000), (6000, 0)] {
            let found = decayed(8000, seconds(age), seconds(60));
            assert!(found.abs_diff(left) <= 40, "{age} s: {found}");
        }
        for (least, time) in [(8000, 0), (4000, 60), (5656, 30), (1000, 180), (1414, 150)] {
            let found = time_to(8000, least, seconds(60)).as_secs();
            assert!(found.abs_diff(time) <= 1, "to {least}: {found} s");
        }
    }

    /// Given falls each ten seconds, then the fourth is held back for H·log2(p/R) (RFC 2439), whatever the
    /// penalty was before it cannot pass the ceiling, and each key has its effect.
    #[test]
    fn what_falls_often_is_held_back() {
        let all = |with: Damping| {
            let mut falls = Falls::default();
            let at = |n: u64| {
                Instant::from_nanos(1_000_000_000_000) + seconds(10) * u32::try_from(n).unwrap()
            };
            (0..6)
                .map(|n| punish(&mut falls, at(n), &with).as_secs())
                .collect::<alloc::vec::Vec<_>>()
        };
        let usual = Damping::DEFAULT;
        for (with, wanted) in [
            (usual, [0, 0, 0, 105, 120, 131]),
            (Damping { half_life: seconds(600), ..usual }, [0, 0, 0, 1185, 1373, 1526]),
            (Damping { suppress: 2, ..usual }, [0, 0, 85, 105, 120, 131]),
            (Damping { reuse: 2, ..usual }, [0, 0, 0, 45, 60, 71]),
        ] {
            let found = all(with);
            let is_near = |(found, wanted): (&u64, &u64)| {
                found.abs_diff(*wanted) <= with.half_life.as_secs() / 60
            };
            assert!(found.iter().zip(&wanted).all(is_near), "{with:?}: {found:?}");
        }
        let mut falls = Falls { penalty: u32::MAX, ..Falls::default() };
        assert!(punish(&mut falls, Instant::ZERO, &usual) <= seconds(240));
    }
}
