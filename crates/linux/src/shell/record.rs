//! Hooks for tests: a record of every kernel change, and a death on purpose.
//!
//! `RAIL_NETLINK_LOG=FILE` appends one JSON line for each change that was
//! performed. `RAIL_CRASH_AT=n` kills this process with SIGKILL just before
//! its n-th change (1 is the first), `after:n` just after it, and `during:n`
//! when the n-th of those that a child or a thread performs was handed over.
//! Neither is meant for a router in use.

use rail_core::state::{Op, OpError, Resource};
use rail_core::time::Instant;
use std::fs::{File, OpenOptions};
use std::io::Write;

/// The record and the countdown.
#[derive(Debug, Default)]
pub(super) struct Record {
    file: Option<File>,
    /// The moment of death, and how many such moments are left until it.
    crash_in: Option<(Moment, u64)>,
}

/// Where a change stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Moment {
    /// Not begun.
    Before,
    /// Handed to a child or a thread that has not answered.
    During,
    /// Performed or refused.
    After,
}

impl Record {
    /// Reads both variables. A file that cannot be opened is left out.
    pub(super) fn from_environment() -> Self {
        let file = std::env::var_os("RAIL_NETLINK_LOG")
            .and_then(|path| OpenOptions::new().append(true).create(true).open(path).ok());
        let crash_in = std::env::var("RAIL_CRASH_AT").ok().and_then(|text| crash_in(&text));
        Self { file, crash_in }
    }

    /// Called at each moment of each change; [`after_change`](Self::after_change) does it itself.
    pub(super) fn at(&mut self, moment: Moment) {
        let Some((fatal, left)) = &mut self.crash_in else { return };
        *left = left.saturating_sub(u64::from(*fatal == moment));
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
        self.write(now, key, op, result);
        self.at(Moment::After);
    }

    fn write(&mut self, now: Instant, key: &str, op: &str, result: &Result<(), OpError>) {
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

/// `n`, `before:n`, `during:n` or `after:n`; anything else, and 0, is no wish to die.
fn crash_in(text: &str) -> Option<(Moment, u64)> {
    let (word, count) = text.split_once(':').unwrap_or(("before", text));
    let moment = match word {
        "before" => Moment::Before,
        "during" => Moment::During,
        "after" => Moment::After,
        _ => return None,
    };
    count.parse().ok().filter(|count| *count > 0).map(|count| (moment, count))
}

/// The word of the record for a change.
pub(super) fn word(op: &Op) -> &'static str {
    match op {
        Op::Script(_) => "nft",
        Op::Buckets { .. } => "buckets",
        Op::Put { value: Resource::Sysctl(_), .. } => "set",
        Op::Put { replace: false, .. } => "add",
        Op::Put { replace: true, .. } => "replace",
        Op::Drop => "delete",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::state::RouteValue;

    // Given a change of each kind, then the page of the record has its word.
    #[test]
    fn words_are_those_of_the_manual() {
        let page = include_str!("../../../../docs/daemon.md");
        let list = page.split("`op` is one of ").nth(1).unwrap().split(';').next().unwrap();
        let words: Vec<&str> = list.split(", ").collect();
        for op in [
            Op::Script(String::new()),
            Op::Buckets { del: Vec::new(), add: Vec::new() },
            Op::put(Resource::Rule),
            Op::replace(Resource::Route(RouteValue::Unreachable)),
            Op::Drop,
            Op::replace(Resource::Sysctl(String::new())),
        ] {
            assert!(words.contains(&word(&op)), "{} is not in {words:?}", word(&op));
        }
    }

    // Given words for the moment of death, then those that name one are understood.
    #[test]
    fn moments_of_death() {
        let expected = [
            ("3", Some((Moment::Before, 3))),
            ("before:1", Some((Moment::Before, 1))),
            ("during:2", Some((Moment::During, 2))),
            ("after:12", Some((Moment::After, 12))),
            ("0", None),
            ("after:", None),
            ("late:1", None),
            ("", None),
        ];
        for (text, moment) in expected {
            assert_eq!(crash_in(text), moment, "{text}");
        }
    }
}
