//! What the notifier reads: events, files of its spool, and what servers made curl say.
//!
//! Laws: no panic; whatever a message holds, a mail has its nine headers and no more, and each order of
//! curl's is one line.

use crate::notifier::event;
use crate::notifier::message::Message;
use crate::notifier::send::{Ended, Way, command, curl::Orders, ddns, http, mail, webhook};
use rail_core::config::{DdnsKind, Email, Encryption, Format, Url, Webhook};

/// The same bytes as each of them.
pub fn news(data: &[u8]) {
    if let Some(told) = event::read(data).and_then(event::Event::told) {
        assert!(!told.text.contains(['\r', '\n']));
    }
    if let Ok(message) = serde_json::from_slice::<Message>(data) {
        write(&message);
    }
    let orders = Orders::new("=https", &Way::Inside);
    let [stdout, stderr] = [data, data].map(<[u8]>::to_vec);
    for code in [0, 8, 55] {
        let ended = Ended {
            code: Some(code),
            problem: String::new(),
            stdout: stdout.clone(),
            stderr: stderr.clone(),
        };
        let words = [
            http::judge(&orders, &ended).words,
            mail::judge(&orders, &ended).words,
            command::judge(&ended).words,
        ];
        assert!(words.iter().all(|words| !words.contains(['\r', '\n'])));
        let _ = ddns::judge(DdnsKind::Dyndns2, &orders, &ended);
        let _ = ddns::read_address(&orders, &ended);
    }
}

fn write(message: &Message) {
    let email = Email {
        to: vec!["ops@example.org".into()],
        from: "rail@example.org".into(),
        server: "smtp.example.org".into(),
        port: 587,
        tls: Encryption::StartTls,
        login: None,
        ca_file: None,
        inside: false,
    };
    let mail = mail::write(&email, message);
    let head = mail.split("\r\n\r\n").next().unwrap_or_default();
    let names = head.split("\r\n").filter(|line| !line.starts_with(' '));
    assert_eq!(names.count(), 9, "{head}");
    assert!(head.is_ascii());
    for format in [Format::Json, Format::Slack, Format::Discord, Format::Ntfy] {
        let url = "https://example.org/";
        let hook = Webhook {
            url: Url::Plain(url.into()),
            format,
            headers: Vec::new(),
            ca_file: None,
            inside: false,
        };
        let text = webhook::orders(&hook, url, message, &Way::Inside).text().to_owned();
        assert!(text.lines().count() < 30, "{text}");
    }
    assert_eq!(command::input(message).lines().count(), 1);
    let _ = command::words("/usr/bin/env", &["/bin/true".into()], message);
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let texts = [
        r#"{"at_ms":5,"daemon":7,"n":1,"wall":"2026-11-21T06:00:00.000Z","severity":"warn","notice":{"event":"health","uplink":"a","from":"up","to":"down","cause":"x"}}"#,
        r#"{"id":"b-1","wall":"2026-11-21T06:00:00.000Z","made_s":5,"router":"gw","severity":"warn","subject":"s","text":"t","events":[],"uplinks":[]}"#,
        "HTTP/1.1 429 Later\r\nRetry-After: 30\r\n\r\nbusy 203.0.113.7\n",
        "< 220 x\n> EHLO y\n< 250 z\n> MAIL FROM:<a>\n< 550 no\ncurl: (55) failed\n",
    ];
    texts.map(|text| text.as_bytes().to_vec()).to_vec()
}
