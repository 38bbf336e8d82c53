//! `rail`: a fault-tolerant router for several uplinks. Everything that the
//! program does begins with its command line.

mod cli;
mod daemon;
mod demo;
mod load;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
