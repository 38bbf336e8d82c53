//! A webhook: one POST, in the form that the other end knows.

use super::Way;
use super::curl::Orders;
use crate::notifier::message::{Message, cut};
use rail_core::config::{Format, Webhook};
use rail_core::notice::Severity;
use serde_json::{Value, json};

/// What curl gets. `url`: read from its file, if it has one.
pub(crate) fn orders(webhook: &Webhook, url: &str, message: &Message, way: &Way) -> Orders {
    let mut orders = Orders::new("=http,https", way);
    orders.secret("url", url, path(url));
    if let Some(file) = &webhook.ca_file {
        orders.set("cacert", file);
    }
    // The answer's head comes first, and so does what it says.
    orders.flag("include");
    orders.set("user-agent", AGENT);
    // Without them curl waits for a server's leave, or asks for one.
    orders.set("header", "Expect:");
    let id = message.id.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-');
    orders.set("header", &format!("Idempotency-Key: {}", id.collect::<String>()));
    for header in &webhook.headers {
        let value = header.split_once(": ").map_or("", |(_, value)| value);
        orders.secret("header", header, value);
    }
    let (kind, headers, body) = write(webhook.format, message);
    orders.set("header", &format!("Content-Type: {kind}"));
    for header in headers {
        orders.set("header", &header);
    }
    orders.set("data-raw", &body);
    orders
}

/// The kind of the content, more headers, and the content.
fn write(format: Format, message: &Message) -> (&'static str, Vec<String>, String) {
    let whole = format!("{}\n\n{}", message.subject, message.text);
    let body = match format {
        Format::Json => shown(message).to_string(),
        Format::Slack => json!({ "text": escaped(&whole) }).to_string(),
        // Nobody is called by a name that stands in a text.
        Format::Discord => json!({
            "content": characters(&whole, MOST_DISCORD), "allowed_mentions": { "parse": [] },
        })
        .to_string(),
        Format::Ntfy => {
            let priority = if message.severity == Severity::Error { "urgent" } else { "default" };
            // A header is ASCII; anything else in the title is in the text as well.
            let is_plain = |c: char| c.is_ascii() && !c.is_ascii_control();
            let title: String =
                message.subject.chars().map(|c| if is_plain(c) { c } else { '?' }).collect();
            let headers = vec![format!("Title: {title}"), format!("Priority: {priority}")];
            return ("text/plain; charset=utf-8", headers, cut(&whole, MOST_NTFY));
        }
    };
    ("application/json", Vec::new(), body)
}

/// A message, for programs.
pub(crate) fn shown(message: &Message) -> Value {
    json!({
        "id": message.id, "router": message.router, "time": message.wall,
        "severity": message.severity, "subject": message.subject, "text": message.text,
        "events": message.events, "uplinks": message.uplinks,
    })
}

/// What Slack would take for a link or a name.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn characters(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// What of an address may be a secret: all behind the host.
pub(crate) fn path(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find(['/', '?', '#']).map_or("", |at| &rest[at..])
}

/// What we call ourselves.
pub(crate) const AGENT: &str = concat!("rail/", env!("CARGO_PKG_VERSION"));
const MOST_DISCORD: usize = 2000;
/// Longer ones become an attachment.
const MOST_NTFY: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::message;
    use rail_core::config::Url;

    fn message() -> Message {
        let mut message = message::test("b-1".into(), 5, "2026-11-21T06:00:00.000Z", "gw", None);
        message.subject = "isp \"ü\" is <down> @everyone".into();
        message.text = format!("line\nend\" {}", "x".repeat(5000));
        message
    }

    /// Given quotes and line ends in a message, then each form holds them as what they are.
    #[test]
    fn each_form_is_what_the_other_end_reads() {
        let message = message();
        let read = |format| -> Value { serde_json::from_str(&write(format, &message).2).unwrap() };
        assert_eq!(read(Format::Json)["text"], message.text);
        assert_eq!(read(Format::Json)["id"], "b-1");
        let slack = read(Format::Slack)["text"].as_str().unwrap().to_owned();
        assert!(slack.starts_with("isp \"ü\" is &lt;down&gt; @everyone\n\nline\nend\""), "{slack}");
        let discord = read(Format::Discord);
        assert_eq!(discord["content"].as_str().unwrap().chars().count(), 2000);
        assert_eq!(discord["allowed_mentions"]["parse"], json!([]));
        let (kind, headers, body) = write(Format::Ntfy, &message);
        assert_eq!((kind, body.len()), ("text/plain; charset=utf-8", 4096));
        assert_eq!(headers[0], "Title: isp \"?\" is <down> @everyone");
    }

    /// Given an address and a header with secrets, then curl gets them, and nobody sees them.
    #[test]
    fn address_and_headers_are_secrets() {
        let url = "https://hooks.example.org/services/T0K3N";
        let webhook = Webhook {
            url: Url::Plain(url.into()),
            format: Format::Json,
            headers: vec!["Authorization: Bearer abcdef".into()],
            ca_file: None,
            inside: false,
        };
        let orders = orders(&webhook, url, &message(), &Way::Inside);
        assert!(orders.text().contains("header = \"Authorization: Bearer abcdef\"\n"));
        assert!(orders.text().contains("header = \"Idempotency-Key: b-1\"\n"));
        assert!(!orders.text().contains("location"));
        assert_eq!(orders.hide("no /services/T0K3N, Bearer abcdef"), "no ***, ***");
        assert_eq!(path("https://example.org?k=v"), "?k=v");
    }
}
