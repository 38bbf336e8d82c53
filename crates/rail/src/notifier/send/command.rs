//! A program of the administrator's: the message as JSON on its standard input, and the parts of it that a
//! script wants most in its environment.
//!
//! It is run without a shell, once for each message; only one that ends with 75 (`EX_TEMPFAIL`) is run again.

use super::Ended;
use super::webhook::shown;
use crate::notifier::event::clean;
use crate::notifier::message::Message;
use crate::notifier::retry::{Outcome, Verdict};
use rail_core::notice::Severity;

/// The words of the command, behind those that give it its environment.
pub(crate) fn words(env: &str, command: &[String], message: &Message) -> Vec<String> {
    let severity = match message.severity {
        Severity::Error => "error",
        Severity::Warn => "warn",
        Severity::Info | Severity::Debug | Severity::Trace => "info",
    };
    let pairs = [
        ("RAIL_ID", message.id.as_str()),
        ("RAIL_ROUTER", &message.router),
        ("RAIL_TIME", &message.wall),
        ("RAIL_SEVERITY", severity),
        ("RAIL_SUBJECT", &message.subject),
    ];
    let pairs = pairs.iter().map(|(name, value)| format!("{name}={}", clean(value)));
    let mut words = vec![env.to_owned()];
    words.extend(pairs);
    words.extend(command.iter().cloned());
    words
}

/// What it reads.
pub(crate) fn input(message: &Message) -> String {
    format!("{}\n", shown(message))
}

/// What its end means.
pub(crate) fn judge(ended: &Ended) -> Outcome {
    let said = [&ended.stderr, &ended.stdout].into_iter().map(|out| String::from_utf8_lossy(out));
    let lines: Vec<String> = said
        .filter_map(|text| Some(clean(text.lines().rev().find(|l| !l.trim().is_empty())?.trim())))
        .take(1)
        .collect();
    let words = match (ended.code, lines.first()) {
        (Some(0), None) => "the command ended well".into(),
        (Some(0), Some(line)) => line.clone(),
        (Some(code), None) => format!("the command ended with code {code}"),
        (Some(code), Some(line)) => format!("the command ended with code {code}: {line}"),
        (None, _) => format!("the command failed: {}", ended.problem),
    };
    match ended.code {
        Some(0) => Outcome::new(Verdict::Done, words),
        Some(75) => Outcome::new(Verdict::Later { after_s: None }, words),
        _ => Outcome::new(Verdict::Never, words),
    }
}

#[cfg(test)]
mod tests {
    use super::super::http::tests::ended;
    use super::*;
    use crate::notifier::message;

    /// Given a message with an `=` and a line end in its subject, then each part of it is one word.
    #[test]
    fn each_part_is_one_word() {
        let mut message = message::test("b-1".into(), 5, "2026-11-21T06:00:00.000Z", "gw", None);
        message.subject = "a=b\nc; rm -rf /".into();
        let words = words("/usr/bin/env", &["/bin/x".into(), "y z".into()], &message);
        assert_eq!(words[0], "/usr/bin/env");
        assert_eq!(words[5], "RAIL_SUBJECT=a=b c; rm -rf /");
        assert_eq!(words[6..], ["/bin/x", "y z"]);
        assert_eq!(input(&message).lines().count(), 1);
    }

    /// Given the ends of a command, then only 75 is tried again.
    #[test]
    fn a_command_is_run_once() {
        assert_eq!(judge(&ended(0, "", "")).verdict, Verdict::Done);
        assert_eq!(
            judge(&ended(1, "", "no\n\n")),
            Outcome::new(Verdict::Never, "the command ended with code 1: no")
        );
        assert_eq!(judge(&ended(75, "", "")).verdict, Verdict::Later { after_s: None });
        let killed = Ended { problem: "it was killed after 60 s".into(), ..Ended::default() };
        assert_eq!(judge(&killed).verdict, Verdict::Never);
    }
}
