//! `rail demo`: this very program as a router between a client and three
//! providers, in network namespaces of this machine, riding through failures.
//!
//! Nothing of the machine's own network is touched. Every figure is measured: a
//! client opens a connection each 10 ms, which fails when it is not answered
//! within 300 ms, before its SYN would be repeated.

mod picture;
mod steps;

use rail_lab::LabError;
use rail_lab::space::isolate_program;
use std::path::PathBuf;
use std::process::ExitCode;

/// Runs the demonstration, and draws what the client saw.
pub(crate) fn run(svg: Option<PathBuf>) -> ExitCode {
    match isolate_program() {
        Ok(None) => {}
        Ok(Some(status)) => {
            return ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1));
        }
        Err(error) => {
            eprintln!("rail: {error}");
            return ExitCode::from(77);
        }
    }
    match show(svg) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("rail: the demonstration broke off: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs all steps and prints the closing table; true if all bounds held.
fn show(svg: Option<PathBuf>) -> Result<bool, LabError> {
    let story = steps::run()?;
    println!("\n{}", story.table());
    if let Some(path) = svg {
        std::fs::write(&path, picture::draw(&story))
            .map_err(|e| LabError::io(format!("write {}", path.display()), e))?;
        println!("the picture is in {}", path.display());
    }
    let held = story.all_held();
    println!("{}", if held { "all bounds held" } else { "NOT all bounds held" });
    Ok(held)
}
