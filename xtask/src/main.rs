//! Chores of the repository: `cargo xtask VERB`.
//!
//! Each verb is one module with `run(arguments) -> Result<(), String>`; an error
//! is printed and ends the program with code 1.

mod circles;
mod deps;
mod lab;
mod mutants;
mod pages;
mod programs;
mod shell;
mod source;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// Verb, what it does, and the function.
type Verb = (&'static str, &'static str, fn(&[String]) -> Result<(), String>);

const VERBS: &[Verb] = &[
    ("tidy", "the rules of the house: sizes, words, crate graph, links", tidy::run),
    ("deps", "dependencies are explained, licensed and from the registry", deps::run),
    ("lab", "run the laboratory's tests, as many at a time as their kind allows", lab::run),
    ("mutants", "plant known bugs and demand that the simulator sees each", mutants::run),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let verb = arguments.first().and_then(|word| VERBS.iter().find(|verb| verb.0 == word));
    let Some((_, _, run)) = verb else {
        eprintln!("usage: cargo xtask VERB");
        for (name, text, _) in VERBS {
            eprintln!("  {name:<9} {text}");
        }
        return ExitCode::from(2);
    };
    match run(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("{problem}");
            ExitCode::FAILURE
        }
    }
}
