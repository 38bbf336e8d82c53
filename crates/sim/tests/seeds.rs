//! Seeds: ten thousand that nobody tried before in every run of `./dev test`, a hundred thousand
//! with `RAIL_LONG=1`. That takes all cores for minutes, so `./dev test` runs it in the time that other
//! tests leave, and `cargo test` leaves it out unless asked by `--ignored`.
//!
//! The range is printed, so that a run can be repeated (`RAIL_SEEDS=first..end`); a seed that
//! broke a law stays in [`ONCE_BROKEN`].

use rail_core::time::Duration;
use rail_sim::{Outcome, run};
use std::hash::{BuildHasher, RandomState};
use std::io::Write;
use std::ops::Range;
use std::sync::atomic::{AtomicU64, Ordering};

/// How long faults are injected.
const FAULTY: Duration = Duration::from_secs(60);

/// Seeds that broke a law once, a line each; a run that finds another adds it.
const ONCE_BROKEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/once_broken.txt");

fn is_long() -> bool {
    std::env::var_os("RAIL_LONG").is_some_and(|value| value == "1")
}

/// Runs all seeds on all processors; panics with the timeline of the first that breaks a law.
fn all_hold(seeds: &[u64]) -> Vec<Outcome> {
    let next = AtomicU64::new(0);
    let work = || {
        let mut outcomes = Vec::new();
        while let Some(seed) =
            usize::try_from(next.fetch_add(1, Ordering::Relaxed)).ok().and_then(|i| seeds.get(i))
        {
            let mut outcome = run(*seed, FAULTY);
            if outcome.violation.is_some() {
                // The others need not go on.
                next.store(seeds.len() as u64, Ordering::Relaxed);
                keep(*seed);
            }
            assert!(outcome.violation.is_none(), "\n{}", outcome.report());
            outcome.timeline.clear();
            outcomes.push(outcome);
        }
        outcomes
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        let join = |worker: std::thread::ScopedJoinHandle<'_, Vec<Outcome>>| match worker.join() {
            Ok(outcomes) => outcomes,
            Err(panic) => std::panic::resume_unwind(panic),
        };
        workers.into_iter().flat_map(join).collect()
    })
}

/// Seeds that nobody tried before, or those of `RAIL_SEEDS`.
fn fresh_seeds() -> Range<u64> {
    if let Ok(given) = std::env::var("RAIL_SEEDS") {
        let ends = given.split_once("..").map(|(first, end)| (first.parse(), end.parse()));
        let Some((Ok(first), Ok(end))) = ends else { panic!("RAIL_SEEDS wants first..end") };
        return first..end;
    }
    let count = if is_long() { 100_000 } else { 10_000 };
    // A new hash map's key is random. Six digits are left to count within a run.
    let random = RandomState::new().hash_one(()) % 1_000_000;
    let first = random * 1_000_000;
    first..first + count
}

fn once_broken() -> Vec<u64> {
    let text = std::fs::read_to_string(ONCE_BROKEN).expect("the list is there");
    text.lines().map(|line| line.parse().expect("a seed a line")).collect()
}

/// Prints a line past the capture of a test that passes.
fn say(text: &str) {
    let _ = std::io::stderr().write_all(format!("{text}\n").as_bytes());
}

/// Adds a seed that broke a law to those that every run tries.
fn keep(seed: u64) {
    if !once_broken().contains(&seed) {
        let file = std::fs::File::options().append(true).open(ONCE_BROKEN);
        // Where the tree is read-only the report names the seed.
        let _ = file.and_then(|mut file| writeln!(file, "{seed}"));
    }
}

/// Given any mix of faults, then every law holds at every moment, and all is well afterwards.
#[test]
#[ignore = "./dev test runs it beside tests that wait"]
fn every_law_holds() {
    let range = fresh_seeds();
    say(&format!("seeds {}..{}", range.start, range.end));
    let mut seeds = once_broken();
    assert!(!seeds.is_empty(), "{ONCE_BROKEN} holds no seed");
    seeds.extend(range);
    let outcomes = all_hold(&seeds);
    let hours: f64 = outcomes.iter().map(|o| o.virtual_time.as_secs_f64() / 3600.0).sum();
    let faults: u64 = outcomes.iter().flat_map(|o| o.faults).sum();
    let changes: u64 = outcomes.iter().map(|o| o.ops).sum();
    let mut judged = std::collections::BTreeMap::<&str, rail_sim::invariant::Judged>::new();
    for (law, more) in outcomes.iter().flat_map(|o| &o.judged) {
        judged.entry(law).or_default().add(*more);
    }
    for (law, judged) in judged {
        say(&format!("{law} excuses {:.1} % of the time", judged.excused_pct()));
        assert!(!judged.is_idle(), "the law `{law}` excuses more than it judges");
    }
    let seeds = seeds.len();
    say(&format!("{seeds} seeds, {hours:.1} virtual hours, {faults} faults, {changes} changes"));
    assert!(faults > 1000 && changes > 1000, "too little happened to prove anything");
}
