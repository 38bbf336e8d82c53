//! Mail: RFC 5322 around a text, and what a server of RFC 5321 says to it.
//!
//! Each recipient gets a mail of his own, so that one that is refused costs no other. Whatever is in a
//! message, it stays in its header or in the text, for headers of words are encoded (RFC 2047) and the text
//! is base64. `Message-ID` and `Date` are the message's, the same at each attempt (RFC 1047).

use super::base64::encode;
use super::curl::{Orders, complaint};
use super::{Ended, Way};
use crate::notifier::message::Message;
use crate::notifier::retry::{Outcome, Verdict};
use rail_core::config::{Email, Encryption};
use std::fmt::Write;

/// What curl gets. `file` holds the mail as [`write`](fn@write) made it.
pub(crate) fn orders(
    email: &Email,
    password: Option<&str>,
    recipient: &str,
    way: &Way,
    file: &str,
) -> Orders {
    let mut orders =
        Orders::new(if email.tls == Encryption::Tls { "=smtps" } else { "=smtp" }, way);
    let scheme = if email.tls == Encryption::Tls { "smtps" } else { "smtp" };
    // The path is what we call ourselves: the name of this machine is often none that a server takes.
    let me = match way {
        Way::Uplink { address, .. } => format!("%5B{address}%5D"),
        Way::Inside => domain(&email.from).to_owned(),
    };
    orders.set("url", &format!("{scheme}://{}:{}/{me}", email.server, email.port));
    if email.tls == Encryption::StartTls {
        // Or nothing is sent.
        orders.flag("ssl-reqd");
    }
    if let Some(file) = &email.ca_file {
        orders.set("cacert", file);
    }
    if let (Some(login), Some(password)) = (&email.login, password) {
        orders.login(&login.username, password);
    }
    orders.set("mail-from", &format!("<{}>", email.from));
    orders.set("mail-rcpt", &format!("<{recipient}>"));
    orders.set("upload-file", file);
    // The server's words are only there.
    orders.flag("verbose");
    orders
}

/// The mail, with the line ends of one.
pub(crate) fn write(email: &Email, message: &Message) -> String {
    let mut out = String::new();
    let mut header = |name: &str, value: &str| {
        let _ = write!(out, "{name}: {value}\r\n");
    };
    header("From", &format!("{} <{}>", words(&format!("rail {}", message.router)), email.from));
    header("To", &email.to.join(",\r\n "));
    header("Subject", &words(&message.subject));
    header("Date", &date(&message.wall, message.made_s));
    header("Message-ID", &format!("<rail.{}@{}>", atom(&message.id), domain(&email.from)));
    header("Auto-Submitted", "auto-generated");
    header("MIME-Version", "1.0");
    header("Content-Type", "text/plain; charset=utf-8");
    header("Content-Transfer-Encoding", "base64");
    out.push_str("\r\n");
    let text = encode(message.text.replace('\n', "\r\n").as_bytes());
    for line in text.as_bytes().chunks(76) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push_str("\r\n");
    }
    out
}

/// What the end of curl means.
pub(crate) fn judge(orders: &Orders, ended: &Ended) -> Outcome {
    let said = String::from_utf8_lossy(&ended.stderr);
    if ended.code == Some(0) {
        // Not the goodbye.
        let words = reply(&said, |code| code == 250).map(|(_, words)| words).unwrap_or_default();
        return Outcome::new(Verdict::Done, orders.hide(words));
    }
    // Before the mail itself the server speaks of us or of the way: another one may do, or somebody
    // puts the password right.
    let mail = said.find("\n> MAIL FROM").map_or("", |at| &said[at..]);
    match reply(mail, |code| (400..600).contains(&code)) {
        Some((code @ 500.., words)) if !is_about_login(code) => {
            Outcome::new(Verdict::Never, orders.hide(words))
        }
        Some((_, words)) => Outcome::new(Verdict::Later { after_s: None }, orders.hide(words)),
        None => {
            let refused = reply(&said, |code| code >= 400).map(|(_, words)| format!(" ({words})"));
            let words = format!("{}{}", complaint(ended), refused.unwrap_or_default());
            Outcome::unheard(orders.hide(&words))
        }
    }
}

/// RFC 4954 §6.
const fn is_about_login(code: u16) -> bool {
    matches!(code, 530 | 534 | 535 | 538)
}

/// The last line of the server with such a code, and its code.
fn reply(said: &str, is_wanted: impl Fn(u16) -> bool) -> Option<(u16, &str)> {
    said.lines().rev().find_map(|line| {
        let words = line.strip_prefix("< ")?;
        let code: u16 = words.get(..3)?.parse().ok()?;
        (is_wanted(code) && (200..600).contains(&code)).then_some((code, words.trim()))
    })
}

fn domain(address: &str) -> &str {
    address.split_once('@').map_or("localhost", |(_, domain)| domain)
}

/// What a Message-ID may have on its left.
fn atom(id: &str) -> String {
    id.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')).take(64).collect()
}

/// Words in a header: as they are if they are plain, else encoded, in lines that are short enough.
fn words(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || " .,;:-_/[]()".contains(c);
    let is_safe = |c: char| c.is_ascii_alphanumeric() || " -_".contains(c);
    let is_name = text.starts_with("rail ");
    let plain = if is_name { text.chars().all(is_safe) } else { text.chars().all(is_plain) };
    // "=?" would be read as the beginning of an encoded word.
    if plain && text.len() <= 60 {
        return text.to_owned();
    }
    let mut parts = Vec::new();
    let mut part = String::new();
    for c in text.chars() {
        // 45 bytes are 60 letters, and twelve more around them: less than 76. Before the first is a name.
        let most = if parts.is_empty() { 33 } else { 45 };
        if part.len() + c.len_utf8() > most {
            parts.push(std::mem::take(&mut part));
        }
        part.push(c);
    }
    parts.push(part);
    let parts: Vec<_> =
        parts.iter().map(|part| format!("=?UTF-8?B?{}?=", encode(part.as_bytes()))).collect();
    parts.join("\r\n ")
}

/// `Sat, 21 Nov 2026 06:00:00 +0000` of a time in RFC 3339; if it is none, of the seconds since 1970.
fn date(wall: &str, made_s: u64) -> String {
    let number = |from: usize, to: usize| wall.get(from..to)?.parse::<u64>().ok();
    let read = || {
        let (y, m, d) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        let (h, min, s) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
        let is_good =
            (1..=12).contains(&m) && (1..=31).contains(&d) && h < 24 && min < 60 && s < 61;
        is_good.then_some((y, m, d, h, min, s))
    };
    let (y, m, d, h, min, s) = read().unwrap_or_else(|| {
        let (days, rest) = (made_s / 86_400, made_s % 86_400);
        let (y, m, d) = civil(days);
        (y, m, d, rest / 3600, rest / 60 % 60, rest % 60)
    });
    let weekday = DAYS[usize::try_from((days(y, m, d) + 4) % 7).unwrap_or(0)];
    let month = MONTHS[usize::try_from(m - 1).unwrap_or(0).min(11)];
    format!("{weekday}, {d} {month} {y} {h:02}:{min:02}:{s:02} +0000")
}

/// Days from 1970-01-01 to a date after it (Howard Hinnant, "chrono-Compatible Low-Level Date Algorithms").
const fn days(y: u64, m: u64, d: u64) -> u64 {
    let y = if m <= 2 { y.saturating_sub(1) } else { y };
    let (era, year_of_era) = (y / 400, y % 400);
    let day_of_year = (153 * ((m + 9) % 12) + 2) / 5 + d - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era).saturating_sub(719_468)
}

/// The date so many days after 1970-01-01; the same source.
const fn civil(days: u64) -> (u64, u64, u64) {
    let shifted = days % 3_000_000 + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400;
    (if month <= 2 { year + 1 } else { year }, month, day)
}

const DAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests;
