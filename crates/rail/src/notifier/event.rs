//! Events of the daemon as they come, one JSON line each, and how each reads in a message.
//!
//! Promises: any line gives an [`Event`] or nothing; no text of it has a control character or is longer
//! than 400 bytes, whoever it comes from.

use crate::hidden::is_hidden;
use rail_core::config::Topic;
use rail_core::notice::{
    DaemonNews, Notice, ReconcileNews, RevisionNews, RouterNews, Severity, UplinkNews,
};
use rail_core::status::Health;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of the daemon.
#[derive(Clone, PartialEq, Debug, Deserialize)]
pub(crate) struct Event {
    #[serde(flatten)]
    pub(crate) number: Number,
    /// Milliseconds since boot.
    pub(crate) at_ms: u64,
    wall: String,
    notice: Value,
}

/// The number of an event in a boot: it grows, also from one daemon to the next.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Number {
    /// When the daemon began to count, in milliseconds since boot.
    pub(crate) daemon: u64,
    /// Its count, from 0.
    pub(crate) n: u64,
}

impl Number {
    /// True if there was none between the other one and this one, as far as can be known.
    pub(crate) const fn follows(self, last: Self) -> bool {
        if self.daemon == last.daemon { self.n == last.n + 1 } else { self.n == 0 }
    }
}

/// What is told of an event.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub(crate) struct Told {
    /// When, in UTC.
    pub(crate) wall: String,
    /// How much it matters.
    pub(crate) severity: Severity,
    /// What it is about: changes of one thing have the same.
    pub(crate) key: String,
    /// The uplink whose health it is about.
    pub(crate) uplink: Option<String>,
    /// One sentence.
    pub(crate) text: String,
    /// As it came.
    pub(crate) notice: Value,
    /// What it says of all uplinks.
    #[serde(skip)]
    pub(crate) loss: Loss,
    #[serde(skip, default = "anything")]
    topic: Topic,
}

/// What an event says of all uplinks together.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) enum Loss {
    /// Nothing.
    #[default]
    Unsaid,
    /// None can be used.
    Total,
    /// One can be used.
    Over,
}

const fn anything() -> Topic {
    Topic::Trouble
}

/// Reads a line; `None`: it is none of ours, or too long.
pub(crate) fn read(line: &[u8]) -> Option<Event> {
    if line.len() > LONGEST_LINE {
        return None;
    }
    serde_json::from_slice(line).ok()
}

impl Event {
    /// True if it has this name.
    pub(crate) fn is(&self, name: &str) -> bool {
        self.notice.get("event").and_then(Value::as_str) == Some(name)
    }

    /// What is told of it; `None`: it is not news, or of a later version.
    pub(crate) fn told(self) -> Option<Told> {
        let notice: Notice = serde_json::from_value(self.notice.clone()).ok()?;
        let topic = topic(&notice)?;
        let loss = match &notice {
            Notice::Uplink(UplinkNews::NoUplink { .. }) => Loss::Total,
            Notice::Uplink(UplinkNews::Switched { active, .. }) if !active.is_empty() => Loss::Over,
            Notice::Uplink(UplinkNews::Health { to, .. }) if to.is_usable() => Loss::Over,
            _ => Loss::Unsaid,
        };
        let text = |name: &str| self.notice.get(name).and_then(Value::as_str);
        let subject = ["uplink", "object", "owner", "target"].into_iter().find_map(text);
        let key = format!("{} {}", text("event").unwrap_or_default(), subject.unwrap_or_default());
        let uplink = match &notice {
            Notice::Uplink(
                UplinkNews::Health { uplink, .. } | UplinkNews::Unusable { uplink, .. },
            ) => Some(clean(uplink)),
            _ => None,
        };
        Some(Told {
            wall: clean(&self.wall),
            severity: notice.severity(),
            key: clean(&key),
            uplink,
            text: clean(&sentence(&notice)),
            notice: self.notice,
            loss,
            topic,
        })
    }
}

impl Told {
    /// What it is about.
    pub(crate) const fn topic(&self) -> Topic {
        self.topic
    }
}

/// What it is about; `None`: nobody is told.
fn topic(notice: &Notice) -> Option<Topic> {
    match notice {
        // A start finds uplinks as they are; only what cannot be used is news.
        Notice::Uplink(UplinkNews::Health { from, to, meant, .. }) if from == to => {
            (!to.is_usable() && *to != Health::Disabled && !meant).then_some(Topic::Health)
        }
        Notice::Uplink(
            UplinkNews::Role { .. } | UplinkNews::Switched { .. } | UplinkNews::Standby { .. },
        )
        | Notice::Router(RouterNews::Override { .. }) => Some(Topic::Role),
        Notice::Uplink(UplinkNews::Followed { .. }) | Notice::Lease(_) | Notice::Ppp(_) => {
            Some(Topic::Lease)
        }
        Notice::Uplink(_) => Some(Topic::Health),
        Notice::Coexist(_) => Some(Topic::Conflict),
        // Each change of ours is one; a refusal, a fight, a repair is trouble.
        Notice::Reconcile(ReconcileNews::Guard { .. } | ReconcileNews::Changed { .. }) => None,
        Notice::Router(RouterNews::Started { .. })
        | Notice::Reconcile(_)
        | Notice::Revision(RevisionNews::LastGood { .. } | RevisionNews::TakenBack { .. })
        | Notice::Daemon(DaemonNews::Late { .. } | DaemonNews::Overrun { .. }) => {
            Some(Topic::Trouble)
        }
        other => (other.severity() <= Severity::Warn).then_some(Topic::Trouble),
    }
}

fn sentence(notice: &Notice) -> String {
    match notice {
        Notice::Uplink(UplinkNews::Health { uplink, from, to, cause, .. }) => {
            let cause = if cause.is_empty() { String::new() } else { format!(": {cause}") };
            match from == to {
                true => format!("{uplink} was found {to}{cause}"),
                false => format!("{uplink} is {to} (was {from}){cause}"),
            }
        }
        Notice::Uplink(UplinkNews::Unusable { uplink, health, cause }) => {
            format!("{uplink} is still {health}: {cause}")
        }
        Notice::Uplink(UplinkNews::Role { uplink, to, .. }) => {
            format!("{uplink} is {} now", to.as_str())
        }
        Notice::Uplink(UplinkNews::Switched { active, .. }) if active.is_empty() => {
            "no uplink carries new connections".into()
        }
        Notice::Uplink(UplinkNews::Switched { active, .. }) => {
            format!("new connections go by {}", active.join(", "))
        }
        Notice::Uplink(UplinkNews::NoUplink { kept: true }) => {
            "no usable uplink; the last routing stays".into()
        }
        other => {
            let entry = other.entry();
            let fields: Vec<_> =
                entry.fields.iter().map(|(name, value)| format!("{name} {value}")).collect();
            match fields.is_empty() {
                true => entry.sentence.into(),
                false => format!("{}: {}", entry.sentence, fields.join(", ")),
            }
        }
    }
}

/// Text of others in one line: nothing that steers a screen or ends a header, and not too much of it.
pub(crate) fn clean(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        if out.len() + c.len_utf8() > LONGEST_TEXT {
            out.push_str("...");
            break;
        }
        out.push(if c == '\n' || c == '\t' {
            ' '
        } else if is_hidden(c) {
            '?'
        } else {
            c
        });
    }
    out
}

const LONGEST_LINE: usize = 64 * 1024;
const LONGEST_TEXT: usize = 400;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// The line of a change of health.
    pub(crate) fn health(n: u64, uplink: &str, from: &str, to: &str) -> Told {
        let line = format!(
            r#"{{"daemon":7,"n":{n},"at_ms":5,"wall":"2026-11-21T06:00:{:02}.000Z","severity":"warn","notice":{{"event":"health","uplink":"{uplink}","from":"{from}","to":"{to}","cause":"silent"}}}}"#,
            n % 60
        );
        read(line.as_bytes()).unwrap().told().unwrap()
    }

    /// A line with this notice.
    pub(crate) fn told(notice: &str) -> Option<Told> {
        let line = format!(
            r#"{{"daemon":7,"n":1,"at_ms":5,"wall":"2026-11-21T06:00:00.000Z","notice":{notice}}}"#
        );
        read(line.as_bytes()).unwrap().told()
    }

    /// Given events of each topic, then each is told under it; what nobody has to know is not.
    #[test]
    fn events_have_topics() {
        let topic = |notice: &str| told(notice).map(|told| told.topic());
        let rows = [
            (
                r#"{"event":"health","uplink":"a","from":"up","to":"down","cause":"x"}"#,
                Some(Topic::Health),
            ),
            (r#"{"event":"health","uplink":"a","from":"up","to":"up","cause":""}"#, None),
            (
                r#"{"event":"health","uplink":"a","from":"down","to":"down","cause":"x"}"#,
                Some(Topic::Health),
            ),
            (r#"{"event":"switched","active":["b"],"took_us":5}"#, Some(Topic::Role)),
            (r#"{"event":"no-uplink","kept":true}"#, Some(Topic::Health)),
            (
                r#"{"event":"lease-lost","uplink":"a","address":"192.0.2.1/24","cause":"x"}"#,
                Some(Topic::Lease),
            ),
            (
                r#"{"event":"disconnected","uplink":"a","cause":"x","advice":"","said":"","seconds":1}"#,
                Some(Topic::Lease),
            ),
            (
                r#"{"event":"refused","object":"rule","error":"no","retry_ms":5}"#,
                Some(Topic::Trouble),
            ),
            (r#"{"event":"started","router":"gw","adopted":false}"#, Some(Topic::Trouble)),
            (r#"{"event":"reloaded","generation":5}"#, None),
            (r#"{"event":"purged","uplink":"a","connections":5}"#, None),
            (r#"{"event":"of a later version"}"#, None),
        ];
        for (notice, expected) in rows {
            assert_eq!(topic(notice), expected, "{notice}");
        }
    }

    /// Given quotes, line ends and codes that turn text around in an event, then none of it is left.
    #[test]
    fn texts_of_others_are_one_line() {
        let notice = serde_json::json!({"event": "denied", "uplink": "a\r\nBcc: x", "server": null,
            "said": format!("\u{202e}\r\n.\r\nQUIT {}", "x".repeat(5000))});
        let told = told(&notice.to_string()).unwrap();
        for text in [&told.text, &told.key] {
            assert!(!text.chars().any(is_hidden) && text.len() <= 403, "{text:?}");
        }
    }

    /// Given lines that are none, then nothing comes of them.
    #[test]
    fn other_lines_are_passed_over() {
        for line in ["", "{}", "null", "[1]", r#"{"n":-1}"#, r#"{"ok":false,"error":"x"}"#, "\u{0}"]
        {
            assert_eq!(read(line.as_bytes()), None, "{line}");
        }
        assert_eq!(read(&vec![b' '; 100_000]), None);
    }
}
