//! `rail reload` and `rail stop`.

use super::client::{Access, Failure, ask_once, is_listening};
use super::{complain, exit, say};
use rail_linux::session::ssh_connection;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Has the daemon read its file again.
pub(super) fn reload(runtime_dir: &Path) -> ExitCode {
    let ssh = ssh_connection().unwrap_or_default();
    let command = json!({"command": "reload", "ssh": ssh});
    match ask_once(runtime_dir, Access::Write, &command, PATIENCE) {
        Ok(_) => {
            say("reloaded\n");
            ExitCode::SUCCESS
        }
        // The refusal is the drawn report: several lines, as `rail check` shows them.
        Err(Failure::Refused(text)) if text.contains('\n') => {
            complain(&format!("{}\n", text.trim_end()));
            exit::ERROR.into()
        }
        Err(failure) => failure.tell(),
    }
}

/// Ends the daemon, and returns when it has gone.
pub(super) fn stop(runtime_dir: &Path, withdraw: bool) -> ExitCode {
    let command = json!({"command": "stop", "withdraw": withdraw});
    if let Err(failure) = ask_once(runtime_dir, Access::Write, &command, PATIENCE) {
        return failure.tell();
    }
    let start = Instant::now();
    while is_listening(runtime_dir) {
        if start.elapsed() > PATIENCE {
            complain("rail: the daemon agreed to stop, but is still there\n");
            return exit::ERROR.into();
        }
        sleep(Duration::from_millis(20));
    }
    say(if withdraw { "stopped, everything taken away\n" } else { "stopped\n" });
    ExitCode::SUCCESS
}

/// To take everything away may need several attempts.
const PATIENCE: Duration = Duration::from_secs(30);
