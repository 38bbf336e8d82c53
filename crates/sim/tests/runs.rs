//! Runs of a few known seeds: boots, withdrawals, quiet hours, and that a seed is a run.

use rail_core::time::Duration;
use rail_sim::{run, run_guarded, run_quiet, run_withdrawal};

/// How long faults are injected.
const FAULTY: Duration = Duration::from_secs(60);

/// Given a boot with the guard closed and faults from the first moment on, then it opens when
/// what protects is there, and stays open.
#[test]
fn the_boot_guard_opens_once() {
    let is_long = std::env::var_os("RAIL_LONG").is_some_and(|value| value == "1");
    for seed in 0..if is_long { 600 } else { 60 } {
        let outcome = run_guarded(seed, Duration::from_secs(10), None);
        assert!(outcome.violation.is_none(), "\n{}", outcome.report());
    }
}

/// Given the same seed twice, then the same happens, byte for byte; another seed differs.
#[test]
fn a_seed_is_a_run() {
    let hash = |seed| run(seed, FAULTY).hash;
    for seed in 0..6 {
        assert_eq!(hash(seed), hash(seed), "seed {seed}");
        assert_ne!(hash(seed), hash(seed + 1));
    }
}

/// Given an hour without any fault, then nothing is changed in it, whether addresses are leased or not.
#[test]
fn a_quiet_hour_changes_nothing() {
    for seed in [0, 1, 2, 102, 230] {
        let (outcome, changes) = run_quiet(seed, Duration::from_secs(3600));
        assert!(outcome.violation.is_none(), "\n{}", outcome.report());
        assert_eq!(changes, 0, "seed {seed}\n{}", outcome.timeline);
    }
}

/// Given a withdrawal, then the kernel is as it was before the first start.
#[test]
fn a_withdrawal_leaves_nothing_behind() {
    for seed in (0..60).chain([102, 166, 230]) {
        let (outcome, left) = run_withdrawal(seed);
        assert!(outcome.violation.is_none(), "\n{}", outcome.report());
        assert!(left.is_empty(), "seed {seed}: {left:?}\n{}", outcome.timeline);
    }
}
