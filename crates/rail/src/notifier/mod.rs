//! `rail notifier`: the process that tells people, and the servers of names.
//!
//! It is a client of the daemon and its child: it follows the events on the control socket, asks for the
//! status when it makes a message, and does all that takes time itself. So nothing of it can delay the
//! daemon, and a message that waits survives both. Promises: each event is told once, in order, and again
//! only after a crash at the wrong moment; what cannot be told waits on the disk, within bounds; no message
//! leaves by an uplink that is not healthy.
//!
//! ```text
//! event ─▶ fold ─▶ message ─▶ spool of each target ─▶ attempt (curl, command) ─▶ retry
//! status ─▶ name ─▶ attempt (curl)
//! ```
//!
//! [`fold`], [`message`], [`retry`] and [`send`] are pure. Leaves out who starts it: that is the daemon.

mod desk;
pub(crate) mod door;
pub(crate) mod event;
pub(crate) mod fold;
mod link;
pub(crate) mod message;
mod names;
pub(crate) mod retry;
mod runs;
pub(crate) mod send;
pub(crate) mod spool;
mod state;
mod target;
mod ways;

use desk::Desk;
use std::path::Path;
use std::process::ExitCode;

/// Runs until it is killed. It writes nothing down at its end: all is on the disk before.
pub(crate) fn run(runtime_dir: &Path, state_dir: &Path) -> ExitCode {
    // All that it reads and writes is root's own; those whom it starts need no more.
    if let Err(e) = rail_linux::realtime::drop_all_rights() {
        say(&format!("goes on with rights that it does not need: {e}"));
    }
    let mut desk = match Desk::open(runtime_dir, state_dir) {
        Ok(desk) => desk,
        Err(e) => {
            say(&format!("cannot begin: {e}"));
            return ExitCode::FAILURE;
        }
    };
    loop {
        if let Err(e) = desk.pass() {
            say(&format!("cannot go on: {e}"));
            return ExitCode::FAILURE;
        }
    }
}

/// A line for the log.
fn say(text: &str) {
    use std::io::Write;
    // Without anybody who listens there is nothing to say.
    let _ = writeln!(std::io::stderr(), "rail notifier: {text}");
}
