//! `rail disable`, `enable`, `drain` and `prefer`.

use super::apply::{PATIENCE, author, millis};
use super::client::{Access, ask_once};
use super::say;
use super::style::clean;
use rail_linux::session::ssh_connection;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Has the daemon use an uplink otherwise than configured, or with `enable` as configured.
pub(super) fn run(
    runtime_dir: &Path,
    command: &str,
    uplink: &str,
    time: Option<Duration>,
) -> ExitCode {
    let request = json!({
        "command": command, "uplink": uplink, "for_ms": time.map(millis), "by": author(),
        "ssh": ssh_connection().unwrap_or_default(),
    });
    match ask_once(runtime_dir, Access::Write, &request, PATIENCE) {
        Ok(_) => {
            let done = match command {
                "disable" => "disabled",
                "drain" => "drained",
                "prefer" => "preferred",
                _ => "as configured",
            };
            say(&format!("{} is {done}\n", clean(uplink)));
            ExitCode::SUCCESS
        }
        Err(failure) => failure.tell(),
    }
}
