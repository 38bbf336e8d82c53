//! `rail`: a fault-tolerant router for several uplinks. This file only chooses
//! between the command line and the daemon's helper process.

mod cli;
mod daemon;
mod demo;
mod load;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
