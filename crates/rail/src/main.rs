//! `rail`: a fault-tolerant router for several uplinks. Everything that the
//! program does begins with its command line, but for the processes that the daemon
//! starts to run `nft`, and to supervise other programs.

mod cli;
mod daemon;
mod demo;
mod hidden;
mod import;
mod load;
#[cfg(test)]
mod manual;
mod notifier;

use std::process::ExitCode;

fn main() -> ExitCode {
    let word = std::env::args_os().nth(1);
    match word.as_ref().and_then(|word| word.to_str()) {
        Some("--spawner") => rail_linux::process::spawner_main(),
        Some("--supervisor") => rail_linux::child::supervisor_main(),
        _ => {}
    }
    cli::main()
}
