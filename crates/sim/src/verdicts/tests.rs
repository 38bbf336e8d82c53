//! The bench as a whole, in its short form.

use super::*;

fn options(rows: &[&str]) -> Options {
    Options {
        trials: 3,
        hours: Duration::from_secs(600),
        seed: 5,
        jobs: 2,
        rows: rows.iter().map(ToString::to_string).collect(),
        ..Options::long()
    }
}

/// Given one seed twice, with other numbers of threads, then one report; another seed, another.
#[test]
fn a_seed_is_a_report() {
    let one = options(&["rtt 600", "loss 60", "satellite"]);
    let other = Options { jobs: 1, ..one.clone() };
    assert_eq!(report(&one), report(&other));
    assert_ne!(report(&one), report(&Options { seed: 6, ..one.clone() }));
}

/// Given every row, then every rule comes to an end on it.
#[test]
fn every_rule_meets_every_line() {
    let text = report(&Options { trials: 1, ..options(&[]) });
    for row in rows::faults().iter().chain(&rows::steady()) {
        assert!(text.contains(row.name), "{}", row.name);
    }
}

/// Given all rows and rules, then their names differ: a name picks one of them, and seeds its chance.
#[test]
fn names_are_unique() {
    let rows = rows::faults().into_iter().map(|row| row.name).collect::<Vec<_>>();
    let good = rows::steady().into_iter().map(|row| row.name).collect::<Vec<_>>();
    let rules = rules::KINDS.iter().map(|kind| kind.name).collect::<Vec<_>>();
    for names in [rows, good, rules] {
        let unique: std::collections::BTreeSet<_> = names.iter().collect();
        assert_eq!(unique.len(), names.len());
    }
}
