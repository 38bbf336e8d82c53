//! `./dev bench verdicts`: how fast and how rightly each multi-WAN product judges an uplink.
//!
//! Each product is a [`rule`](rules), by what its documentation says. All rules meet the same
//! [`uplinks`](mod@uplink) in virtual time: the fate of a packet depends on the moment and not on who asks.
//! One table shows uplinks that break: how long until new connections avoid them, until they are down,
//! and how many connections fail meanwhile. The other shows uplinks that do not: how often a rule is
//! wrong in a day, and what it asks for that.
//!
//! The seed is new each time, so that no rule can be made for one; `--seed` repeats a run, byte for
//! byte. Leaves out what a verdict costs to carry out: `./dev bench switching` measures that.

mod chance;
mod first_edition;
mod limiter;
pub mod measure;
mod options;
mod pool;
mod rows;
pub mod rules;
pub mod run;
pub mod shape;
mod tables;
mod timeline;
mod traces;
pub mod uplink;

use chance::{between, fraction, mix, mix_text};
use measure::{Detection, Steady, detection, failed_pct, steady};
pub use options::{Options, USAGE};
use rail_core::time::{Duration, Instant};
use rows::Row;
use rules::Kind;
use run::Course;
use uplink::Uplink;

/// Measures, and returns the tables as text.
pub fn report(options: &Options) -> String {
    let kinds: Vec<&Kind> = rules::KINDS.iter().filter(|kind| options.wants(kind)).collect();
    let wanted = |row: &Row| options.wants_row(row.name);
    let faults: Vec<Row> = rows::faults().into_iter().filter(wanted).collect();
    let good: Vec<Row> = rows::steady().into_iter().filter(wanted).collect();
    let mut text = tables::head(options, &kinds);
    text += &tables::faults(&faults, &kinds, &break_uplinks(options, &faults, &kinds));
    text += &tables::steady(&good, &kinds, &watch_uplinks(options, &good, &kinds));
    text
}

/// What one rule made of one fault.
#[derive(Copy, Clone, Debug)]
struct Trial {
    avoided: Detection,
    down: Detection,
    failed_pct: f64,
}

/// For each row, for each trial, what each rule made of it.
fn break_uplinks(options: &Options, rows: &[Row], kinds: &[&Kind]) -> Vec<Vec<Vec<Trial>>> {
    let trials = options.trials.max(1);
    let all = pool::each(options.jobs, rows.len() * trials, |index| {
        let row = &rows[index / trials];
        let seed = mix(&[options.seed, mix_text(row.name), (index % trials) as u64]);
        try_rules(row, seed, kinds)
    });
    all.chunks(trials).map(<[Vec<Trial>]>::to_vec).collect()
}

/// One uplink that breaks, and each rule on it. They begin at one moment that says nothing of the fault.
fn try_rules(row: &Row, seed: u64, kinds: &[&Kind]) -> Vec<Trial> {
    let begin = BEGIN + between((Duration::ZERO, PHASES), fraction(mix(&[seed, 1])));
    let at = BEGIN + PHASES + row.warm;
    let patience = kinds.iter().map(|kind| kind.patience).max().unwrap_or_default();
    let uplink = Uplink::new(&row.shape(at), seed, (BEGIN, at + patience));
    let judge = |kind: &&Kind| {
        let mut course = Course::new(&uplink, (kind.make)(begin, mix(&[seed, 2])), begin);
        course.run_until(at + MINUTE.min(kind.patience));
        if detection(course.log(), at, |state| state.is_down) == Detection::Never {
            course.run_until(at + kind.patience);
        }
        let log = course.log();
        Trial {
            avoided: detection(log, at, |state| state.is_avoided),
            down: detection(log, at, |state| state.is_down),
            failed_pct: failed_pct(&uplink, log, at),
        }
    };
    kinds.iter().map(judge).collect()
}

/// For each row, what each rule made of it.
fn watch_uplinks(options: &Options, rows: &[Row], kinds: &[&Kind]) -> Vec<Vec<Steady>> {
    // Rules first, as the first ones ask most: what is left for the end is short.
    let by_rule = pool::each(options.jobs, rows.len() * kinds.len(), |index| {
        let (row, kind) = (&rows[index % rows.len()], kinds[index / rows.len()]);
        let seed = mix(&[options.seed, mix_text(row.name)]);
        let end = BEGIN + options.hours;
        let uplink = Uplink::new(&row.shape(end), seed, (BEGIN, end));
        let mut course = Course::new(&uplink, (kind.make)(BEGIN, mix(&[seed, 2])), BEGIN);
        course.run_until(end);
        steady(course.log(), (BEGIN, end))
    });
    let row = |r: usize| (0..kinds.len()).map(|k| by_rule[k * rows.len() + r]).collect();
    (0..rows.len()).map(row).collect()
}

/// Virtual time begins here; rules may look back a little.
const BEGIN: Instant = Instant::from_nanos(1_000_000_000_000);
/// The longest interval of all rules: their phases at a fault are even over it.
const PHASES: Duration = Duration::from_secs(60);
/// The minute whose connections are counted.
const MINUTE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
