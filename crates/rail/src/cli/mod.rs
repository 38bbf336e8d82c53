//! The command line: verbs, options, exit codes.
//!
//! Promises: exit codes as documented in `docs/commands.md`; nothing but what
//! was asked for on standard output, complaints on standard error. Leaves out:
//! the work itself, which is the daemon's.

mod apply;
mod check;
mod children;
pub(crate) mod client;
mod control;
mod diff;
mod events;
mod generate;
mod guard;
mod headline;
mod import;
mod queues;
mod rates;
mod sample;
mod status;
mod style;
mod test_notification;
mod uplink;
mod why;

#[cfg(test)]
pub(crate) use status::fixture;

use crate::daemon::{self, RunOptions};
use crate::load;
use clap::{Args, Parser, Subcommand};
use rail_core::config::Config;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A fault-tolerant router for several uplinks.
#[derive(Parser)]
#[command(name = "rail", version, about, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    paths: Paths,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Args)]
struct Paths {
    /// Configuration file
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/rail/rail.toml")]
    config: PathBuf,
    /// Directory of sockets and locks
    #[arg(long, global = true, value_name = "DIR", default_value = "/run/rail")]
    runtime_dir: PathBuf,
    /// State directory (kept across restarts)
    #[arg(long, global = true, value_name = "DIR", default_value = "/var/lib/rail")]
    state_dir: PathBuf,
}

#[derive(Subcommand)]
enum Verb {
    /// Run the router in the foreground
    Run {
        /// Log every probe result and kernel change
        #[arg(long)]
        debug: bool,
    },
    /// Validate the configuration (no root, no daemon needed)
    Check {
        /// Print the whole configuration, defaults included
        #[arg(long)]
        show_effective: bool,
    },
    /// Show what a start would change on this system
    Plan {
        /// Also the commands for nft, and each bucket
        #[arg(long)]
        full: bool,
    },
    /// Show all uplinks on one screen
    Status {
        /// As JSON
        #[arg(long)]
        json: bool,
        /// Refresh every second
        #[arg(long)]
        watch: bool,
    },
    /// Explain the state of one uplink, layer by layer
    Why {
        /// Name of the uplink
        uplink: String,
    },
    /// Show what happened
    Events {
        /// Keep printing new events
        #[arg(long, short)]
        follow: bool,
        /// As JSON, one event a line
        #[arg(long)]
        json: bool,
    },
    /// Make the daemon read its configuration file again
    Reload,
    /// Validate a configuration file, install it, and have the running router use it
    Apply {
        /// The file
        file: PathBuf,
        /// Take it back after this time, 1s to 24h, unless it is confirmed; default: keep it
        #[arg(long, value_name = "TIME", value_parser = apply::time)]
        confirm: Option<Duration>,
    },
    /// Keep the configuration that waits to be confirmed
    Confirm,
    /// Take back the configuration that waits to be confirmed, or return to an earlier one
    Rollback {
        /// How many steps of `rail history` to go back; default: end the trial, or without one 1
        steps: Option<usize>,
        /// Take it back after this time, 1s to 24h, unless it is confirmed; default: keep it
        #[arg(long, value_name = "TIME", value_parser = apply::time)]
        confirm: Option<Duration>,
    },
    /// Show the configurations that were in force
    History,
    /// Show what a configuration file would change
    Diff {
        /// The file
        file: PathBuf,
    },
    /// Stop using and probing an uplink, as if the configuration had enabled = false
    Disable {
        /// Name of the uplink
        uplink: String,
        /// For this time, 1s to 24h; default: until `rail enable`
        #[arg(long = "for", value_name = "TIME", value_parser = apply::time)]
        time: Option<Duration>,
    },
    /// Use an uplink as configured: end disable, drain or prefer
    Enable {
        /// Name of the uplink
        uplink: String,
    },
    /// Give no new connection to an uplink while another one is up; existing ones stay
    Drain {
        /// Name of the uplink
        uplink: String,
        /// For this time, 1s to 24h; default: until `rail enable`
        #[arg(long = "for", value_name = "TIME", value_parser = apply::time)]
        time: Option<Duration>,
    },
    /// Give all new connections to an uplink while it is usable
    Prefer {
        /// Name of the uplink
        uplink: String,
        /// For this time, 1s to 24h; default: until `rail enable`
        #[arg(long = "for", value_name = "TIME", value_parser = apply::time)]
        time: Option<Duration>,
    },
    /// Stop the daemon; the kernel keeps forwarding with the current rules
    Stop {
        /// Also remove everything that rail has installed
        #[arg(long)]
        withdraw: bool,
    },
    /// Block forwarding until rail is ready (used at boot)
    Guard {
        /// Lift the block
        #[arg(long)]
        open: bool,
    },
    /// Write a commented sample configuration
    GenerateConfig {
        /// Where to; default: the file of --config
        file: Option<PathBuf>,
    },
    /// Convert the configuration of another program and print it
    Import {
        #[command(subcommand)]
        from: Import,
    },
    /// Print firewall rules to load yourself
    Generate {
        #[command(subcommand)]
        what: Generate,
    },
    /// Send a message to those of `[notify]` now, and show what their servers say
    TestNotification {
        /// Only by this way; default: by all
        #[arg(long, value_enum)]
        only: Option<test_notification::Way>,
    },
    /// Tell people what happens (started by the daemon)
    #[command(hide = true)]
    Notifier,
    /// See a failover in a laboratory on this machine
    Demo {
        /// Also draw what a client saw into FILE
        #[arg(long, value_name = "FILE")]
        svg: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
enum Import {
    /// The YAML file of fault_tolerant_router (Ruby, up to 1.2)
    #[command(name = "fault_tolerant_router")]
    FaultTolerantRouter {
        /// The file, on most systems /etc/fault_tolerant_router.conf
        file: PathBuf,
    },
}

#[derive(Subcommand)]
enum Generate {
    /// Firewall rules for `[firewall] mode = "external"`
    Firewall {
        /// For `nft -f`, `iptables-restore --noflush` or `ip6tables-restore --noflush`
        #[arg(long, value_enum, default_value_t)]
        format: generate::Format,
    },
}

/// The command line as it is understood, for the tests of the manual.
#[cfg(test)]
pub(crate) fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

/// Reads the command line and does what it says.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let is_mistake = error.use_stderr();
            // A closed output is no reason for another exit code.
            drop(error.print());
            return if is_mistake { exit::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let Paths { config, runtime_dir, state_dir } = cli.paths;
    let options = |debug| RunOptions {
        config: config.clone(),
        runtime_dir: runtime_dir.clone(),
        state_dir: state_dir.clone(),
        debug,
    };
    match cli.verb {
        Verb::Run { debug } => daemon::run(options(debug)),
        Verb::Check { show_effective } => check::run(&config, &state_dir, show_effective),
        Verb::Plan { full } => plan(&options(false), full),
        Verb::Status { json, watch } => status::run(&runtime_dir, json, watch),
        Verb::Why { uplink } => why::run(&runtime_dir, &uplink),
        Verb::Events { follow, json } => events::run(&runtime_dir, follow, json),
        Verb::Reload => control::reload(&runtime_dir),
        Verb::Apply { file, confirm } => apply::apply(&runtime_dir, &file, confirm),
        Verb::Confirm => apply::confirm(&runtime_dir),
        Verb::Rollback { steps, confirm } => apply::rollback(&runtime_dir, steps, confirm),
        Verb::History => apply::history(&runtime_dir),
        Verb::Diff { file } => diff::run(&options(false), &file),
        Verb::Disable { uplink, time } => uplink::run(&runtime_dir, "disable", &uplink, time),
        Verb::Enable { uplink } => uplink::run(&runtime_dir, "enable", &uplink, None),
        Verb::Drain { uplink, time } => uplink::run(&runtime_dir, "drain", &uplink, time),
        Verb::Prefer { uplink, time } => uplink::run(&runtime_dir, "prefer", &uplink, time),
        Verb::Stop { withdraw } => control::stop(&runtime_dir, withdraw),
        Verb::Guard { open } => guard::run(open),
        Verb::GenerateConfig { file } => sample::run(&file.unwrap_or(config)),
        Verb::Import { from: Import::FaultTolerantRouter { file } } => {
            import::fault_tolerant_router(&file)
        }
        Verb::Generate { what: Generate::Firewall { format } } => {
            generate::firewall(&config, &state_dir, format)
        }
        Verb::TestNotification { only } => test_notification::run(&runtime_dir, only),
        Verb::Notifier => crate::notifier::run(&runtime_dir, &state_dir),
        Verb::Demo { svg } => crate::demo::run(svg),
    }
}

/// The configuration, or, where it has errors, the exit code after they were reported.
fn loaded(path: &Path) -> Result<(Config, Vec<load::Warning>), ExitCode> {
    load::read_file(path).map_err(|report| {
        complain(report.render(style::stderr_has_colour()));
        exit::ERROR.into()
    })
}

fn plan(options: &RunOptions, full: bool) -> ExitCode {
    if let Err(code) = loaded(&options.config) {
        return code;
    }
    match daemon::plan(options, full) {
        Ok(steps) if steps.is_empty() => {
            say("nothing would change\n");
            ExitCode::SUCCESS
        }
        Ok(steps) => {
            // The text of a firewall change has several lines, and tabs.
            for line in steps.iter().flat_map(|step| step.lines()) {
                say(&format!("{}\n", style::clean(&line.replace('\t', "    "))));
            }
            ExitCode::SUCCESS
        }
        Err(error) => {
            complain(&format!("rail: {error}\n"));
            exit::ERROR.into()
        }
    }
}

/// Writes to standard output; false when nobody reads it any more.
fn say(text: &str) -> bool {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_ok()
}

/// Writes to standard error.
fn complain(text: &str) {
    // There is nowhere left to tell of a failure here.
    drop(std::io::stderr().lock().write_all(text.as_bytes()));
}

/// Exit codes.
mod exit {
    /// Errors in the file, a refused command, a degraded router.
    pub(super) const ERROR: u8 = 1;
    /// No usable uplink.
    pub(super) const NO_UPLINK: u8 = 2;
    /// No daemon runs.
    pub(super) const NO_DAEMON: u8 = 3;
    /// The daemon does not answer, or takes no more clients (`EX_TEMPFAIL`).
    pub(super) const BUSY: u8 = 75;
    /// The command line was not understood (`EX_USAGE`).
    pub(super) const USAGE: u8 = 64;
}
