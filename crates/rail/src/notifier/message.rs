//! A message: what happened, why, since when, and what carries now.
//!
//! Made once from a group of events and the status of that moment, and the same for every target and
//! attempt. Promises: no line of it is longer than a kilobyte, nor the whole than [`LARGEST`]; nothing in it
//! steers a screen. Leaves out how each target writes it down: see `send`.

use super::event::{Told, clean};
use super::fold::Group;
use rail_core::notice::Severity;
use rail_core::status::{Role, Status, UplinkStatus};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;

/// A message.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Message {
    /// Its name for ever: of the boot and of its first event.
    pub(crate) id: String,
    /// When the first event was, in UTC (RFC 3339).
    pub(crate) wall: String,
    /// Seconds since 1970 at which it was made.
    pub(crate) made_s: u64,
    /// The same on the boot clock, in milliseconds, as long as the process lives that made it.
    #[serde(skip)]
    pub(crate) made_ms: Option<u64>,
    /// The router's name.
    pub(crate) router: String,
    /// The worst of its events.
    pub(crate) severity: Severity,
    /// One line.
    pub(crate) subject: String,
    /// All of it.
    pub(crate) text: String,
    /// The events as they came, the first of them.
    pub(crate) events: Vec<Value>,
    /// The uplinks when it was made.
    pub(crate) uplinks: Vec<Value>,
}

/// Makes a message of a group.
pub(crate) fn compose(
    id: String,
    made_s: u64,
    router: &str,
    group: &Group,
    status: Option<&Status>,
) -> Message {
    let severity = group.told.iter().map(|told| told.severity).min().unwrap_or(Severity::Info);
    let uplinks = status.map_or_else(Vec::new, |status| status.uplinks.iter().map(shown).collect());
    let mut text = String::from("What happened (UTC)\n");
    if group.is_torn {
        text.push_str("  Events before these were lost; `rail events` shows the last ones.\n");
    }
    for line in lines(&group.told) {
        let _ = writeln!(text, "  {line}");
        if text.len() > LARGEST {
            text.push_str("  and more\n");
            break;
        }
    }
    if group.more > 0 {
        let _ = writeln!(
            text,
            "  {} more events are left out; the last line is the newest.",
            group.more
        );
    }
    text.push_str(&now(status));
    let subject = format!("[rail {router}] {}", headline(group, status));
    let taken = group.told.iter().map(|told| &told.notice).take(MOST_RAW);
    let mut events = Vec::new();
    let mut room = LARGEST;
    for notice in taken {
        let size = notice.to_string().len();
        if size > room {
            break;
        }
        room -= size;
        events.push(notice.clone());
    }
    Message {
        id,
        wall: group.told.first().map_or_else(String::new, |told| told.wall.clone()),
        made_s,
        made_ms: None,
        router: router.into(),
        severity,
        subject: cut(&clean(&subject), LONGEST_SUBJECT),
        text,
        events,
        uplinks,
    }
}

/// A message that says that messages arrive.
pub(crate) fn test(
    id: String,
    made_s: u64,
    wall: &str,
    router: &str,
    status: Option<&Status>,
) -> Message {
    let uplinks = status.map_or_else(Vec::new, |status| status.uplinks.iter().map(shown).collect());
    Message {
        id,
        wall: wall.into(),
        made_s,
        made_ms: None,
        router: router.into(),
        severity: Severity::Info,
        subject: format!("[rail {router}] test notification"),
        text: format!("Somebody asked for this with `rail test-notification`.\n{}", now(status)),
        events: Vec::new(),
        uplinks,
    }
}

/// The events, one line each; of what changed again and again one line tells all.
fn lines(all: &[Told]) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for told in all {
        *counts.entry(&told.key).or_default() += 1;
    }
    let mut lines = Vec::new();
    for (index, told) in all.iter().enumerate() {
        let count = counts.get(told.key.as_str()).copied().unwrap_or(1);
        if count <= FEW {
            lines.push(format!("{}  {}", time(&told.wall), told.text));
            continue;
        }
        let is_last = !all[index + 1..].iter().any(|later| later.key == told.key);
        if is_last {
            let first = all.iter().find(|first| first.key == told.key).unwrap_or(told);
            let since = time(&first.wall);
            lines.push(format!(
                "{}  {} ({count} changes since {since})",
                time(&told.wall),
                told.text
            ));
        }
    }
    lines
}

/// The part of a time that people look at.
fn time(wall: &str) -> String {
    let short = wall.get(..19).unwrap_or(wall);
    short.replace('T', " ")
}

/// The one thing to know.
fn headline(group: &Group, status: Option<&Status>) -> String {
    let carriers = status.map(carriers).unwrap_or_default();
    let is_none = status.is_some() && carriers.is_empty();
    let mut changed: Vec<&str> = Vec::new();
    for uplink in group.told.iter().filter_map(|told| told.uplink.as_deref()) {
        if !changed.contains(&uplink) {
            changed.push(uplink);
        }
    }
    let now = |name: &&str| {
        let found = status?.uplinks.iter().find(|uplink| uplink.name == **name)?;
        Some(format!("{} is {}", found.name, found.health))
    };
    let mut parts: Vec<String> = changed.iter().take(FEW).filter_map(now).collect();
    if changed.len() > FEW {
        parts.push(format!("and {} more", changed.len() - FEW));
    }
    if parts.is_empty() {
        let worst = group.told.iter().min_by_key(|told| told.severity);
        parts.extend(worst.map(|told| told.text.clone()));
        let others = group.told.len().saturating_sub(1) as u64 + group.more;
        if others > 0 {
            parts.push(format!("and {others} more"));
        }
    } else if is_none {
        parts.insert(0, "NO USABLE UPLINK".into());
    } else if status.is_some() {
        parts.push(format!("{} carries", carriers.join(", ")));
    }
    parts.join("; ")
}

/// The names of those that carry new connections.
fn carriers(status: &Status) -> Vec<&str> {
    let carries = |uplink: &&UplinkStatus| uplink.role == Role::Active && uplink.health.is_alive();
    status.uplinks.iter().filter(carries).map(|uplink| uplink.name.as_str()).collect()
}

/// How things are now.
fn now(status: Option<&Status>) -> String {
    let Some(status) = status else {
        return "\nHow things are now is not known: the daemon does not answer.\n".into();
    };
    let mut text = String::from("\nNow\n");
    for uplink in status.uplinks.iter().take(MOST_UPLINKS) {
        let since = since(uplink.since_s);
        let described = match uplink.description.is_empty() {
            true => String::new(),
            false => format!(" ({})", clean(&uplink.description)),
        };
        let cause = match uplink.cause.is_empty() {
            true => String::new(),
            false => format!(": {}", clean(&uplink.cause)),
        };
        let _ = writeln!(
            text,
            "  {}{described}  {} for {since}, {}{cause}",
            uplink.name,
            uplink.health,
            uplink.role.as_str()
        );
    }
    let carriers = carriers(status);
    match carriers.is_empty() {
        true => text.push_str("\nNo uplink carries new connections.\n"),
        false => {
            let _ = writeln!(text, "\nNew connections go by {}.", carriers.join(", "));
        }
    }
    text
}

fn since(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7200 => format!("{} min", seconds / 60),
        7200..172_800 => format!("{} h", seconds / 3600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// An uplink, for programs.
fn shown(uplink: &UplinkStatus) -> Value {
    json!({
        "name": uplink.name, "health": uplink.health, "role": uplink.role, "since_s": uplink.since_s,
        "cause": uplink.cause, "address": uplink.address.map(|own| own.address),
    })
}

/// At most so many bytes, whole characters.
pub(crate) fn cut(text: &str, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text[..end].into()
}

/// Bytes of the events in a text.
const LARGEST: usize = 16 * 1024;
const LONGEST_SUBJECT: usize = 180;
/// Events that a program gets as they came.
const MOST_RAW: usize = 50;
const MOST_UPLINKS: usize = 40;
/// So many changes of one thing have a line each.
const FEW: usize = 3;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::notifier::event::Number;
    use crate::notifier::event::tests::{health, told};
    use crate::notifier::fold::{Fold, Moment, Rules};
    use rail_core::config::Notify;

    pub(crate) fn group(all: &[Told]) -> Group {
        let mut fold = Fold::default();
        for (seq, told) in all.iter().enumerate() {
            let number = Number { daemon: 7, n: seq as u64 };
            fold.take(1000, number, told.clone(), false);
        }
        fold.due(&Rules::from(&Notify::default()), Moment { ms: 900_000, minute: 0 }).unwrap()
    }

    /// Given a failure, then the subject has what failed and what carries, and the text its cause.
    #[test]
    fn a_failure_says_why_and_what_carries() {
        let mut status = crate::cli::fixture();
        status.uplinks[0].health = rail_core::status::Health::Down;
        status.uplinks[0].role = Role::Standby;
        let (a, b) = (status.uplinks[0].name.clone(), status.uplinks[1].name.clone());
        status.uplinks[1].role = Role::Active;
        status.uplinks[1].health = rail_core::status::Health::Up;
        status.uplinks.truncate(2);
        let group = group(&[health(3, &a, "up", "down")]);
        let message = compose("b-1".into(), 5, "gw", &group, Some(&status));
        assert_eq!(message.subject, format!("[rail gw] {a} is down; {b} carries"));
        assert!(
            message.text.contains(&format!("2026-11-21 06:00:03  {a} is down (was up): silent"))
        );
        assert!(message.text.contains(&format!("New connections go by {b}.")), "{}", message.text);
        status.uplinks[1].health = rail_core::status::Health::Down;
        let message = compose("b-1".into(), 5, "gw", &group, Some(&status));
        assert_eq!(message.subject, format!("[rail gw] NO USABLE UPLINK; {a} is down"));
    }

    /// Given an uplink that came and went, then one line says so; other events keep theirs.
    #[test]
    fn a_flap_is_one_line() {
        let mut all: Vec<Told> = (0..40).map(|n| health(n, "isp1", "up", "down")).collect();
        all.push(told(r#"{"event":"started","router":"gw","adopted":true}"#).unwrap());
        let message = compose("b-1".into(), 5, "gw", &group(&all), None);
        assert_eq!(message.text.matches("isp1").count(), 1, "{}", message.text);
        assert!(
            message.text.contains("(40 changes since 2026-11-21 06:00:00)"),
            "{}",
            message.text
        );
        assert!(message.text.contains("started and adopted"));
    }

    /// Given a hundred events as long as can be, then text, subject and raw events are bounded.
    #[test]
    fn messages_are_bounded() {
        let long = |n: usize| {
            let cause = "ü\\\"".repeat(400);
            told(&json!({"event": "unusable", "uplink": format!("u{n}"), "health": "down", "cause": cause}).to_string())
                .unwrap()
        };
        let all: Vec<Told> = (0..100).map(long).collect();
        let message = compose("b-1".into(), 5, "gw", &group(&all), Some(&crate::cli::fixture()));
        assert!(message.text.len() < 2 * LARGEST && message.subject.len() <= LONGEST_SUBJECT);
        assert!(serde_json::to_string(&message).unwrap().len() < 4 * LARGEST);
    }
}
