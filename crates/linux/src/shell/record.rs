//! Hooks for tests: a record of every kernel change, and a death on purpose.
//!
//! `RAIL_NETLINK_LOG=FILE` appends one JSON line for each change that was
//! performed. `RAIL_CRASH_AT=n` kills this process with SIGKILL just before
//! its n-th change (1 is the first). Neither is meant for a router in use.

use rail_core::state::{Op, OpError};
use rail_core::time::Instant;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// The record and the countdown.
#[derive(Debug, Default)]
pub(super) struct Record {
    file: Option<File>,
    /// Changes left until death.
    crash_in: Option<u64>,
}

impl Record {
    /// Reads both variables. A file that cannot be opened is left out.
    pub(super) fn from_environment() -> Self {
        let file = std::env::var_os("RAIL_NETLINK_LOG")
            .and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok());
        let crash_in = std::env::var("RAIL_CRASH_AT").ok().and_then(|n| n.parse().ok());
        Self { file, crash_in }
    }

    /// Called before every change.
    pub(super) fn before_change(&mut self) {
        let Some(left) = &mut self.crash_in else { return };
        *left = left.saturating_sub(1);
        if *left == 0 {
            let me = rustix::process::getpid();
            // This does not return; if it did, the test would see a daemon that lives.
            let _ = rustix::process::kill_process(me, rustix::process::Signal::KILL);
        }
    }

    /// Called after every change.
    pub(super) fn after_change(
        &mut self,
        now: Instant,
        key: &str,
        op: &str,
        result: &Result<(), OpError>,
    ) {
        let Some(file) = &mut self.file else { return };
        let result = match result {
            Ok(()) => "ok",
            Err(error) => &error.text,
        };
        let line = serde_json::json!({
            "key": key, "op": op, "result": result, "at_ns": now.as_nanos(),
        });
        // A test that reads the record sees that a line is missing.
        let _ = file.write_all(format!("{line}\n").as_bytes());
    }
}

/// The word of the record for a change.
pub(super) fn word(op: &Op) -> &'static str {
    match op {
        Op::Nft(_) => "nft",
        Op::Slots { .. } => "slots",
        Op::AddAddress | Op::AddRule | Op::SetRoute { replace: false, .. } => "add",
        Op::SetRoute { replace: true, .. } => "replace",
        Op::DelAddress | Op::DelRoute | Op::DelRule => "delete",
        Op::SetSysctl(_) => "set",
    }
}
