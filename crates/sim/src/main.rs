//! `rail-sim`: runs seeds and prints figures; replays one seed. `rail-sim verdicts` compares rules.

use rail_core::time::Duration;
use rail_sim::fault::Fault;
use rail_sim::invariant::{Judged, NAMES};
use rail_sim::{Outcome, is_guarded, replay, run, run_by, run_guarded, verdicts};
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::channel;

const USAGE: &str =
    "usage: rail-sim [--seed N | --seeds A..B] [--step N] [--seconds S] [--jobs J] [--law LAW] [--stop]
       rail-sim verdicts [OPTIONS]";

struct Options {
    seeds: (u64, u64),
    /// From one seed to the next: some kinds of worlds are told by the seed.
    step: u64,
    faulty: Duration,
    jobs: usize,
    is_replay: bool,
    /// Stop at the first violation.
    stops: bool,
    /// The only law that judges.
    law: Option<&'static str>,
}

impl Options {
    fn run(&self, seed: u64) -> Outcome {
        match self.law {
            law if self.is_replay => replay(seed, self.faulty, law),
            Some(law) if is_guarded(law) => run_guarded(seed, self.faulty, self.law),
            Some(law) => run_by(law, seed, self.faulty),
            None => run(seed, self.faulty),
        }
    }
}

fn options() -> Option<Options> {
    let mut options = Options {
        seeds: (0, 1000),
        step: 1,
        faulty: Duration::from_secs(60),
        jobs: std::thread::available_parallelism().map_or(1, usize::from),
        is_replay: false,
        stops: false,
        law: None,
    };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        if word == "--stop" {
            options.stops = true;
            continue;
        }
        let value = words.next()?;
        match word.as_str() {
            "--seed" => {
                let seed = value.parse().ok()?;
                options.seeds = (seed, seed + 1);
                options.is_replay = true;
            }
            "--seeds" => {
                let (first, end) = value.split_once("..")?;
                options.seeds = (first.parse().ok()?, end.parse().ok()?);
            }
            "--step" => options.step = value.parse().ok().filter(|step| *step > 0)?,
            "--seconds" => options.faulty = Duration::from_secs(value.parse().ok()?),
            "--law" => options.law = Some(NAMES.iter().find(|name| **name == value)?),
            "--jobs" => options.jobs = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}

/// `rail-sim verdicts`.
fn verdicts() -> ExitCode {
    if std::env::args().any(|word| word == "--help") {
        println!("{}", verdicts::USAGE);
        return ExitCode::SUCCESS;
    }
    let Some(options) = verdicts::Options::parse(std::env::args().skip(2)) else {
        eprintln!("{}", verdicts::USAGE);
        return ExitCode::from(2);
    };
    print!("{}", verdicts::report(&options));
    ExitCode::SUCCESS
}

fn main() -> ExitCode {
    if std::env::args().nth(1).is_some_and(|word| word == "verdicts") {
        return verdicts();
    }
    let Some(options) = options() else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let begun = std::time::Instant::now();
    let next = AtomicU64::new(options.seeds.0);
    let (sender, outcomes) = channel();
    let mut total = Total::default();
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.max(1) {
            let (sender, next, options) = (sender.clone(), &next, &options);
            scope.spawn(move || {
                loop {
                    let seed = next.fetch_add(options.step, Ordering::Relaxed);
                    if seed >= options.seeds.1 || sender.send(options.run(seed)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        for outcome in outcomes {
            total.add(&outcome);
            if options.is_replay {
                print!("{}", outcome.timeline);
            }
            if outcome.violation.is_some() && !options.is_replay && total.violations.len() <= 5 {
                println!("{}", outcome.report());
            }
            if outcome.violation.is_some() && options.stops {
                break;
            }
        }
    });
    total.print(begun.elapsed());
    let idle = total.judged.iter().find(|(_, judged)| judged.is_idle());
    if let Some((law, _)) = idle.filter(|_| total.seeds >= MANY) {
        println!("the law `{law}` excuses more than it judges");
        return ExitCode::FAILURE;
    }
    if total.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Of so many seeds a law must judge more than it excuses.
const MANY: u64 = 200;

#[derive(Default)]
struct Total {
    seeds: u64,
    ops: u64,
    virtual_time: Duration,
    faults: [u64; Fault::ALL.len()],
    violations: Vec<(u64, &'static str, String)>,
    judged: BTreeMap<&'static str, Judged>,
    /// The hashes of all traces, in no order.
    traces: u64,
}

impl Total {
    fn add(&mut self, outcome: &Outcome) {
        self.seeds += 1;
        self.ops += outcome.ops;
        self.traces = self.traces.wrapping_add(outcome.hash.wrapping_mul(outcome.seed | 1));
        self.virtual_time += outcome.virtual_time;
        for (sum, count) in self.faults.iter_mut().zip(outcome.faults) {
            *sum += count;
        }
        for (law, judged) in &outcome.judged {
            self.judged.entry(law).or_default().add(*judged);
        }
        if let Some(violation) = &outcome.violation {
            self.violations.push((outcome.seed, violation.law, violation.text.clone()));
        }
    }

    fn print(&mut self, took: Duration) {
        self.violations.sort();
        for (seed, law, text) in &self.violations {
            println!("seed {seed}: {law}: {text}");
        }
        let faults: u64 = self.faults.iter().sum();
        for (fault, count) in Fault::ALL.iter().zip(self.faults) {
            println!("{:>9}  {fault:?}", count);
        }
        for (law, judged) in &self.judged {
            println!("{:>8.1}% excused by {law}", judged.excused_pct());
        }
        let rate = self.seeds as f64 / took.as_secs_f64();
        println!(
            "{} seeds, {:.1} virtual hours, {faults} faults, {} changes, {} violations, {rate:.1} seeds/s",
            self.seeds,
            self.virtual_time.as_secs_f64() / 3600.0,
            self.ops,
            self.violations.len(),
        );
        println!("traces {:016x}", self.traces);
    }
}
