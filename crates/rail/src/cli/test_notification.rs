//! `rail test-notification`.

use super::client::{self, Failure, connect};
use super::style::clean;
use super::{complain, exit, say};
use crate::notifier::door;
use clap::ValueEnum;
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Who is told.
#[derive(Copy, Clone, PartialEq, Eq, Debug, ValueEnum)]
pub(super) enum Way {
    /// By mail
    Email,
    /// By `webhook`
    Webhook,
    /// By `command`
    Command,
}

/// Has the notifier send a message, and shows what came of it.
pub(super) fn run(runtime_dir: &Path, only: Option<Way>) -> ExitCode {
    let word = only.map(|way| match way {
        Way::Email => "email",
        Way::Webhook => "webhook",
        Way::Command => "command",
    });
    let lines = match ask(runtime_dir, word) {
        Ok(lines) => lines,
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            return Failure::Denied(format!("{}: {error}", door::path(runtime_dir).display()))
                .tell();
        }
        Err(error) => {
            // Without a daemon there is no notifier either.
            if let Err(failure) = client::status(runtime_dir) {
                return failure.tell();
            }
            complain(&format!(
                "rail: the notifier does not run: {error}; is there a [notify] in the configuration?\n"
            ));
            return exit::ERROR.into();
        }
    };
    let (mut all, mut good) = (0, 0);
    for line in lines {
        let answer = match line.and_then(|line| Ok(serde_json::from_str::<Value>(&line)?)) {
            Ok(answer) => answer,
            Err(error) => {
                complain(&format!("rail: the notifier did not say more: {error}\n"));
                return exit::ERROR.into();
            }
        };
        let text = |key: &str| clean(answer.get(key).and_then(Value::as_str).unwrap_or_default());
        let is_ok = answer.get("ok") == Some(&Value::Bool(true));
        let (target, words) = (text("target"), text("words"));
        let (word, gap) =
            (if is_ok { "sent" } else { "FAILED" }, if words.is_empty() { "" } else { ": " });
        say(&format!("{target}: {word}{gap}{words}\n"));
        all += 1;
        good += i32::from(is_ok);
    }
    if all == 0 {
        complain("rail: nobody is told: the configuration in force names nobody\n");
    }
    if all > 0 && all == good { ExitCode::SUCCESS } else { exit::ERROR.into() }
}

fn ask(
    runtime_dir: &Path,
    only: Option<&str>,
) -> std::io::Result<impl Iterator<Item = std::io::Result<String>> + use<>> {
    let mut stream = connect(&door::path(runtime_dir))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(format!("{}\n", json!({ "only": only })).as_bytes())?;
    Ok(BufReader::new(stream.take(MOST_BYTES)).lines())
}

/// An attempt takes 65 s at most.
const PATIENCE: Duration = Duration::from_secs(80);
const MOST_BYTES: u64 = 1 << 20;
