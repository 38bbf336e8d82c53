//! `rail`: a fault-tolerant router for several uplinks. Everything that the
//! program does begins with its command line, but for the helper process that the
//! daemon starts to run `nft`.

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
    if std::env::args_os().nth(1).is_some_and(|word| word == "--spawner") {
        rail_linux::process::spawner_main();
    }
    cli::main()
}
