//! `rail apply`, `confirm`, `rollback` and `history`.

use super::client::{Access, Failure, ask_once};
use super::style::{clean, long};
use super::{complain, exit, say, style};
use crate::load;
use rail_linux::session::ssh_connection;
use serde_json::{Value, json};
use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Validates a file, and has the daemon load it.
pub(super) fn apply(runtime_dir: &Path, file: &Path, confirm: Option<Duration>) -> ExitCode {
    // Read once: a pipe, as of `<(ssh host cat file)`, has nothing the second time.
    let valid = load::read_text(file)
        .map_err(|unread| unread.report)
        .and_then(|text| load::load(file, &text).map(|(_, warnings)| (text, warnings)));
    let (text, warnings) = match valid {
        Ok(valid) => valid,
        Err(report) => {
            complain(report.render(style::stderr_has_colour()));
            return exit::ERROR.into();
        }
    };
    for warning in &warnings {
        complain(warning.render(style::stderr_has_colour()));
    }
    let command = json!({
        "command": "apply", "text": text, "name": file.to_string_lossy(), "by": author(),
        "ssh": ssh_connection().unwrap_or_default(), "confirm_ms": confirm.map(millis),
    });
    match ask_once(runtime_dir, Access::Write, &command, PATIENCE) {
        Ok(answer) => reported(&answer, confirm, "applied"),
        Err(failure) => refused(&failure),
    }
}

/// Keeps what is on trial.
pub(super) fn confirm(runtime_dir: &Path) -> ExitCode {
    let command = json!({"command": "confirm", "by": author()});
    match ask_once(runtime_dir, Access::Write, &command, PATIENCE) {
        Ok(answer) => reported(&answer, None, "confirmed"),
        Err(failure) => refused(&failure),
    }
}

/// Takes back what is on trial, or takes what was before.
pub(super) fn rollback(
    runtime_dir: &Path,
    steps: Option<usize>,
    confirm: Option<Duration>,
) -> ExitCode {
    let command = json!({
        "command": "rollback", "steps": steps, "by": author(),
        "ssh": ssh_connection().unwrap_or_default(), "confirm_ms": confirm.map(millis),
    });
    match ask_once(runtime_dir, Access::Write, &command, PATIENCE) {
        Ok(answer) => reported(&answer, confirm, "rolled back"),
        Err(failure) => refused(&failure),
    }
}

/// Shows what was in force.
pub(super) fn history(runtime_dir: &Path) -> ExitCode {
    match ask_once(runtime_dir, Access::Write, &json!({"command": "history"}), PATIENCE) {
        Ok(answer) => {
            say(&table(&answer));
            ExitCode::SUCCESS
        }
        Err(failure) => failure.tell(),
    }
}

fn table(answer: &Value) -> String {
    let mut out = String::new();
    let trial = &answer["on_trial"];
    if trial.is_object() {
        let word = |name: &str| clean(trial[name].as_str().unwrap_or("-"));
        let (how, by) = (word("how"), word("by"));
        let left = long(trial["left_s"].as_u64().unwrap_or_default());
        let _ = writeln!(
            out,
            "on trial: {how} by {by}, for {left} more; `rail confirm` keeps it, else number 0 comes back"
        );
    }
    let _ = writeln!(out, "{:>4}  {:<24}  {:<8}  WHO", "BACK", "WHEN", "HOW");
    for entry in answer["history"].as_array().into_iter().flatten() {
        let word = |name: &str| clean(entry[name].as_str().unwrap_or("-"));
        let (wall, how, by) = (word("wall"), word("how"), word("by"));
        let _ = writeln!(out, "{:>4}  {wall:<24}  {how:<8}  {by}", entry["back"].to_string());
    }
    out
}

fn reported(answer: &Value, confirm: Option<Duration>, word: &str) -> ExitCode {
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let text = clean(warning.as_str().unwrap_or_default());
        complain(&format!("rail: warning: {text}\n"));
    }
    match confirm {
        Some(limit) => {
            let limit = long(limit.as_secs());
            say(&format!("{word} for {limit}; `rail confirm` keeps it, else it is taken back\n"))
        }
        None => say(&format!("{word}\n")),
    };
    ExitCode::SUCCESS
}

/// A drawn report has several lines, as `rail check` shows them.
fn refused(failure: &Failure) -> ExitCode {
    match failure {
        Failure::Refused(text) if text.contains('\n') => {
            complain(&format!("{}\n", text.trim_end()));
            exit::ERROR.into()
        }
        _ => failure.tell(),
    }
}

/// Who asks, for the history.
pub(super) fn author() -> String {
    let user = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let user = user.ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "root".into());
    match ssh_connection().as_deref().and_then(|all| all.split(' ').next()) {
        Some(client) => format!("{user} from {client}"),
        None => user,
    }
}

/// A time on the command line: `60s`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    let hint = "a whole number and a unit (s, m, h), from 1s to 24h: 60s, 10m, 1h";
    let time = load::parse_duration(text).ok_or(hint)?;
    let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 3600);
    if bounds.contains(&time) { Ok(time) } else { Err(hint.into()) }
}

pub(super) fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The disk may take its time.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a history, when it is shown, then the screen is the expected one; what is on trial
    /// stands before it.
    #[test]
    fn the_history_is_a_table() {
        let answer = json!({"history": [
            {"back": 0, "wall": "2026-11-28T06:00:00.000Z", "how": "apply",
             "by": "alice from 192.0.2.9", "size_bytes": 900},
            {"back": 1, "wall": "2026-11-21T18:30:12.040Z", "how": "reload", "by": "root",
             "size_bytes": 850},
            {"back": 2, "wall": "2026-11-21T18:00:00.000Z", "how": "start", "by": "the file",
             "size_bytes": 700},
        ]});
        style::golden("history.txt", include_str!("golden/history.txt"), &table(&answer));
        let mut tried = answer;
        tried["on_trial"] = json!({"wall": "2026-11-28T07:00:00.000Z", "how": "apply",
            "by": "bob from 192.0.2.7", "size_bytes": 910, "left_s": 45});
        let reported = table(&tried);
        assert_eq!(
            reported.lines().next(),
            Some(
                "on trial: apply by bob from 192.0.2.7, for 45 s more; `rail confirm` keeps it, else \
                  number 0 comes back"
            )
        );
        assert!(reported.ends_with(&table(&json!({"history": tried["history"]}))));
    }

    /// Given times as people write them, then those with a unit and within the bounds are taken.
    #[test]
    fn times_have_a_unit() {
        assert_eq!(time("60s"), Ok(Duration::from_secs(60)));
        assert_eq!(time("1h"), Ok(Duration::from_secs(3600)));
        for bad in ["60", "", "0s", "25h", "100ms", "-1s", "1d"] {
            assert!(time(bad).is_err(), "{bad}");
        }
    }
}
