//! `./dev bench`: what `rail` costs, side by side with the same router doing less.
//!
//! Every variant is a world of its own (client, router, server in namespaces); the
//! rounds of all variants are interleaved, so that a machine that slows down slows
//! all of them, and only ratios within one round are compared.

mod balancing;
mod dns;
mod forwarding;
mod idle;
mod load;
mod memory;
mod questions;
mod stats;
mod switching;

use rail_lab::LabError;
use rail_lab::space::isolate_program;
use std::process::ExitCode;

const HELP: &str =
    "usage: rail-bench [forwarding] [balancing] [switching] [dns] [idle]   (all without a word)
  BENCH_ROUNDS=n   interleaved rounds, default 9 (forwarding: at least n, default 41; dns: 21)
  BENCH_MS=n       length of one measurement in milliseconds, default 1000 (forwarding: 250)
  BENCH_IDLE_S=n   idle: seconds of rest that are measured, default 20
  BENCH_OTHER=PATH forwarding: another build of rail, measured beside";

/// A part, which says whether its targets are met.
type Part = fn() -> Result<bool, LabError>;

const PARTS: [(&str, Part); 5] = [
    ("forwarding", forwarding::run),
    ("balancing", balancing::run),
    ("switching", switching::run),
    ("dns", dns::run),
    ("idle", idle::run),
];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.iter().any(|word| PARTS.iter().all(|(name, _)| name != word)) {
        eprintln!("{HELP}");
        return ExitCode::from(64);
    }
    match isolate_program() {
        Ok(None) => {}
        Ok(Some(status)) => return ExitCode::from(u8::from(!status.success())),
        Err(error) => {
            eprintln!("rail-bench: {error}");
            return ExitCode::from(77);
        }
    }
    let wanted = |word: &str| words.is_empty() || words.iter().any(|w| w == word);
    let mut ok = true;
    for (word, run) in PARTS {
        if wanted(word) {
            match run() {
                Ok(met) => ok &= met,
                Err(error) => {
                    eprintln!("rail-bench {word}: {error}");
                    ok = false;
                }
            }
        }
    }
    println!("{}", if ok { "all targets met" } else { "NOT all targets met" });
    ExitCode::from(u8::from(!ok))
}
