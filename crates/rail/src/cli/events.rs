//! `rail events`.

use super::client::{Access, SOON, accept, ask};
use super::say;
use super::style::{Colour, Paint, clean};
use rail_core::notice::{Notice, Severity};
use serde_json::{Value, json};
use std::path::Path;
use std::process::ExitCode;

/// Prints the events the daemon remembers, and with `follow` those to come.
pub(super) fn run(runtime_dir: &Path, follow: bool, as_json: bool) -> ExitCode {
    let command = json!({"command": "events", "follow": follow});
    let patience = if follow { None } else { Some(SOON) };
    let mut answers = match ask(runtime_dir, Access::Read, &command, patience) {
        Ok(answers) => answers,
        Err(failure) => return failure.tell(),
    };
    let paint = Paint::for_stdout();
    loop {
        let event = match answers.next_line().map(|line| line.map(accept)) {
            Ok(None) => return ExitCode::SUCCESS,
            Ok(Some(Ok(event))) => event,
            Ok(Some(Err(failure))) | Err(failure) => return failure.tell(),
        };
        if event.get("notice").is_none() {
            continue;
        }
        let line = if as_json { format!("{event}\n") } else { render(&event, paint) };
        if !say(&line) {
            return ExitCode::SUCCESS;
        }
    }
}

/// `2026-11-21T06:00:00Z  warn   uplink changed health  uplink=isp1 from=up to=down`
fn render(event: &Value, paint: Paint) -> String {
    let text = |key: &str| event.get(key).and_then(Value::as_str).unwrap_or("-");
    let notice = event.get("notice").cloned().unwrap_or_default();
    let Ok(notice) = serde_json::from_value::<Notice>(notice) else {
        // A newer daemon's event.
        return format!("{}\n", clean(&event.to_string()));
    };
    let entry = notice.entry();
    let (word, colour) = match entry.severity {
        Severity::Error => ("error", Colour::Red),
        Severity::Warn => ("warn", Colour::Yellow),
        Severity::Info => ("info", Colour::Green),
        Severity::Debug => ("debug", Colour::Dim),
        Severity::Trace => ("trace", Colour::Dim),
    };
    let word = paint.paint(colour, &format!("{word:<5}"));
    let mut line = format!("{}  {word}  {}", clean(text("wall")), clean(entry.sentence));
    for (name, value) in entry.fields {
        let value = clean(&value);
        if value.is_empty() || value.contains([' ', '"']) {
            line.push_str(&format!(" {name}={value:?}"));
        } else {
            line.push_str(&format!(" {name}={value}"));
        }
    }
    line.push('\n');
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::style::golden;

    #[test]
    fn an_event_is_one_line_with_fixed_field_names() {
        let event = json!({
            "at_ms": 5, "wall": "2026-11-21T06:00:00Z", "severity": "warn",
            "notice": {"event": "health", "uplink": "isp1", "from": "up", "to": "down",
                       "cause": "no answer from any target for 0.8 s"}
        });
        assert_eq!(
            render(&event, Paint(false)),
            "2026-11-21T06:00:00Z  warn   uplink changed health uplink=isp1 from=up to=down \
             cause=\"no answer from any target for 0.8 s\"\n"
        );
    }

    /// Given one event of each kind as its JSON line, when it is read and written again, then the line
    /// is the same byte for byte; and all of them read as in the golden file.
    #[test]
    fn every_event_keeps_its_words() {
        let mut screen = String::new();
        for line in include_str!("golden/events.jsonl").lines() {
            let notice: Notice = serde_json::from_str(line).unwrap();
            assert_eq!(serde_json::to_string(&notice).unwrap(), line);
            let event = json!({ "wall": "2026-11-21T06:00:00Z", "notice": notice });
            screen.push_str(&render(&event, Paint(false)));
        }
        golden("events.txt", include_str!("golden/events.txt"), &screen);
    }
}
