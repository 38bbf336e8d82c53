//! The daemon: start-up, the loop, the control sockets, the log, and the plan
//! that shows what it would do.
//!
//! Owns the process: rights, locks, signals, the service manager. Promises:
//! whatever goes wrong at start-up is one sentence that says what to do, and
//! ending by a signal leaves traffic flowing. Leaves out every decision; those
//! are the core's. docs/daemon.md is the administrator's view of this folder.

mod allowance;
mod api;
mod begin;
mod change;
mod client;
mod event;
mod keeper;
mod log;
mod panic;
mod pass;
mod plan;
mod said;
mod setup;
mod stop;
mod vitals;

pub(crate) use plan::plan;

use rail_linux::guard;
use std::path::PathBuf;
use std::process::ExitCode;

/// What `rail run` and `rail plan` need to know.
#[derive(Clone, Debug)]
pub(crate) struct RunOptions {
    /// The configuration file.
    pub(crate) config: PathBuf,
    /// Where the control sockets are.
    pub(crate) runtime_dir: PathBuf,
    /// Where the state file is.
    pub(crate) state_dir: PathBuf,
    /// Write debug lines to the log.
    pub(crate) debug: bool,
}

/// Runs the daemon until it is told to end. Exit codes: 0 told to end, 1 the configuration has
/// errors and there is no last good one, 2 it cannot work here (rights, kernel, nft, another daemon),
/// 3 it failed for a reason that may pass, at the start or while working.
pub(crate) fn run(options: RunOptions) -> ExitCode {
    panic::end_the_process();
    match setup::set_up(options) {
        Ok(mut daemon) => match daemon.run() {
            Ok(()) => {
                daemon.finish();
                ExitCode::SUCCESS
            }
            Err(e) => {
                complain(&format!("rail: the loop failed: {e}; traffic flows on"));
                ExitCode::from(3)
            }
        },
        Err(failure) => {
            let code = match failure {
                setup::Failure::Config(report) => {
                    complain(report.trim_end());
                    1
                }
                setup::Failure::Here(sentence) => {
                    complain(&format!("rail: {sentence}"));
                    2
                }
                setup::Failure::Passing(sentence) => {
                    complain(&format!("rail: {sentence}; this may pass: start it again"));
                    // Whoever starts it again at once does not keep a machine in need busy.
                    rail_linux::clock::wait(BEFORE_THE_NEXT);
                    3
                }
            };
            // Without rights it cannot be seen, and was reported already.
            if guard::is_closed() == Ok(true) {
                complain(&format!("rail: {GUARD_IS_CLOSED}"));
            }
            ExitCode::from(code)
        }
    }
}

/// Shown whenever there is no daemon that could open it.
pub(crate) const GUARD_IS_CLOSED: &str = "the boot guard is closed, nothing is forwarded; it opens when the \
     daemon has started with a good configuration, or by hand with `rail guard --open` \
     (nft delete table inet rail_guard)";

const BEFORE_THE_NEXT: std::time::Duration = std::time::Duration::from_millis(500);

/// Start-up has no log yet.
fn complain(text: &str) {
    use std::io::Write;
    // Without a stderr nobody listens.
    let _ = writeln!(std::io::stderr(), "{text}");
}
