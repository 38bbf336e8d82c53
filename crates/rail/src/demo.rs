//! `rail demo`: the router in a laboratory on this machine.

use std::process::ExitCode;

/// Runs the demonstration with the words after `rail demo`.
pub(crate) fn run(_args: &[String]) -> ExitCode {
    eprintln!("rail: the demonstration is not built yet");
    ExitCode::FAILURE
}
