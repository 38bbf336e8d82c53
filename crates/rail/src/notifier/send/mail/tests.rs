//! Headers that nothing gets out of, and what servers mean.

use super::super::http::tests::ended;
use super::*;
use crate::notifier::message;
use rail_core::config::Login;
use std::net::Ipv4Addr;

fn email() -> Email {
    Email {
        to: vec!["ops@example.org".into(), "night@example.org".into()],
        from: "rail@example.org".into(),
        server: "smtp.example.org".into(),
        port: 587,
        tls: Encryption::StartTls,
        login: Some(Login { username: "u".into(), password_file: "/p".into() }),
        ca_file: Some("/ca.pem".into()),
        inside: false,
    }
}

fn judged(code: i32, said: &str) -> Outcome {
    judge(&Orders::new("=smtp", &Way::Inside), &ended(code, "", said))
}

/// Given a subject with line ends, quotes and letters of other languages, then it stays one header, whose
/// lines are short, and the text is base64.
#[test]
fn nothing_gets_out_of_its_header() {
    let wall = "2026-11-21T06:00:00.000Z";
    let mut message = message::test("b0-17\r\nBcc: x".into(), 5, wall, "gw", None);
    message.subject =
        format!("x\r\nBcc: victim@example.org\r\n\r\n\"=?UTF-8?Q? {}", "ü".repeat(100));
    message.router = "gw\"\r\nX: y".into();
    message.text = ".\r\nQUIT\nü".into();
    let mail = write(&email(), &message);
    let (head, body) = mail.split_once("\r\n\r\n").unwrap();
    let names: Vec<&str> = head
        .split("\r\n")
        .filter(|line| !line.starts_with(' '))
        .filter_map(|line| Some(line.split_once(": ")?.0))
        .collect();
    let expected = [
        "From",
        "To",
        "Subject",
        "Date",
        "Message-ID",
        "Auto-Submitted",
        "MIME-Version",
        "Content-Type",
        "Content-Transfer-Encoding",
    ];
    assert_eq!(names, expected);
    assert!(head.split("\r\n").all(|line| line.len() <= 76 && line.is_ascii()), "{head}");
    assert!(head.contains("\r\nDate: Sat, 21 Nov 2026 06:00:00 +0000\r\n"));
    assert!(head.contains("\r\nMessage-ID: <rail.b0-17Bccx@example.org>\r\n"), "{head}");
    assert_eq!(body, format!("{}\r\n", encode(".\r\r\nQUIT\r\nü".as_bytes())));
}

/// Given plain words, then they are readable as they are.
#[test]
fn plain_words_stay_readable() {
    assert_eq!(
        words("[rail gw1] isp1 is down; isp2 carries"),
        "[rail gw1] isp1 is down; isp2 carries"
    );
    assert_eq!(words("=?x"), "=?UTF-8?B?PT94?=");
    assert_eq!(words("rail gw.example"), "=?UTF-8?B?cmFpbCBndy5leGFtcGxl?=");
}

/// Given times as the daemon writes them, and none, then the date is that of RFC 5322.
#[test]
fn dates_are_those_of_mail() {
    for (wall, seconds, expected) in [
        ("2026-11-21T06:00:00.000Z", 0, "Sat, 21 Nov 2026 06:00:00 +0000"),
        ("2024-02-29T23:59:59.999Z", 0, "Thu, 29 Feb 2024 23:59:59 +0000"),
        ("1970-01-01T00:00:00.000Z", 0, "Thu, 1 Jan 1970 00:00:00 +0000"),
        ("", 1_709_251_199, "Thu, 29 Feb 2024 23:59:59 +0000"),
        ("2026-99-21T06:00:00.000Z", 0, "Thu, 1 Jan 1970 00:00:00 +0000"),
    ] {
        assert_eq!(date(wall, seconds), expected, "{wall}");
    }
    // No number makes it fail.
    date("", u64::MAX);
    date("9999-12-31T23:59:60.000Z", 0);
}

/// Given a server with a login, then curl is told to encrypt or give up, whom it speaks for, and by what way.
#[test]
fn curl_is_told_all_of_it() {
    let way = Way::Uplink { address: Ipv4Addr::new(198, 51, 100, 2), device: None };
    let orders = orders(&email(), Some("s3cret\"x"), "ops@example.org", &way, "/run/m");
    for line in [
        "proto = \"=smtp\"",
        "ssl-reqd",
        "cacert = \"/ca.pem\"",
        "url = \"smtp://smtp.example.org:587/%5B198.51.100.2%5D\"",
        "user = \"u:s3cret\\\"x\"",
        "mail-from = \"<rail@example.org>\"",
        "mail-rcpt = \"<ops@example.org>\"",
        "upload-file = \"/run/m\"",
        "interface = \"host!198.51.100.2\"",
    ] {
        assert!(orders.text().lines().any(|l| l == line), "{line}\n{}", orders.text());
    }
    assert_eq!(orders.hide("535 s3cret\"x is wrong"), "535 *** is wrong");
    let tls = Email { tls: Encryption::Tls, port: 465, login: None, ..email() };
    let text =
        super::orders(&tls, None, "ops@example.org", &Way::Inside, "/run/m").text().to_owned();
    assert!(text.contains("url = \"smtps://smtp.example.org:465/example.org\"\n"), "{text}");
    for word in ["ssl-reqd", "user", "interface"] {
        assert!(!text.lines().any(|line| line.starts_with(word)), "{text}");
    }
}

/// Given what servers say, then a refusal of the mail ends it; one of us, of the way or for now does not.
#[test]
fn only_a_refusal_of_the_mail_ends_it() {
    let mail = "< 250 ok\n> MAIL FROM:<a>\n< 250 ok\n> RCPT TO:<b>\n";
    let rows = [
        (
            0,
            format!("{mail}< 354 go\n< 250 2.0.0 queued as 1\n"),
            Verdict::Done,
            "250 2.0.0 queued as 1",
        ),
        (
            55,
            format!("{mail}< 550 5.1.1 no such user\ncurl: (55) RCPT failed: 550\n"),
            Verdict::Never,
            "550 5.1.1 no such user",
        ),
        (
            55,
            format!("{mail}< 450 4.2.0 greylisted\n"),
            Verdict::Later { after_s: None },
            "450 4.2.0 greylisted",
        ),
        (
            55,
            format!("{mail}< 530 5.7.0 log in first\n"),
            Verdict::Later { after_s: None },
            "530 5.7.0 log in first",
        ),
        (
            8,
            "< 554 no service for you\ncurl: (8) Got unexpected smtp-server response: 554\n".into(),
            Verdict::Unheard,
            "Got unexpected smtp-server response: 554 (554 no service for you)",
        ),
        (
            67,
            "< 535 5.7.8 bad\ncurl: (67) Login denied\n".into(),
            Verdict::Unheard,
            "Login denied (535 5.7.8 bad)",
        ),
        (
            28,
            "curl: (28) Connection timed out after 20001 milliseconds\n".into(),
            Verdict::Unheard,
            "Connection timed out after 20001 milliseconds",
        ),
        (56, format!("{mail}< 999 what\n< 5\n< \n\ncurl: (56) x\n"), Verdict::Unheard, "x"),
    ];
    for (code, said, verdict, words) in rows {
        assert_eq!(judged(code, &said), Outcome::new(verdict, words), "{said}");
    }
}
