//! What curl reads on its standard input, and what its end means.

use super::base64::encode;
use super::{Ended, TIME_S, Way};
use crate::notifier::event::clean;
use std::fmt::Write;

/// The orders of one run.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Orders {
    text: String,
    /// Must not be seen.
    secrets: Vec<String>,
}

impl Orders {
    /// For these protocols, by this way.
    pub(crate) fn new(protocols: &str, way: &Way) -> Self {
        let mut orders = Self { text: String::new(), secrets: Vec::new() };
        orders.set("proto", protocols);
        orders.set("max-time", &TIME_S.to_string());
        orders.set("connect-timeout", "20");
        // An answer without end would fill the uplink for as long as an attempt may take.
        orders.set("limit-rate", "64k");
        orders.set("noproxy", "*");
        for flag in ["silent", "show-error", "globoff", "disallow-username-in-url"] {
            orders.flag(flag);
        }
        if let Way::Uplink { address, device } = way {
            orders.flag("ipv4");
            orders.set(
                "interface",
                &match device {
                    // Only the device tells such uplinks apart.
                    Some(device) => format!("if!{device}"),
                    None => format!("host!{address}"),
                },
            );
        }
        orders
    }

    pub(crate) fn flag(&mut self, name: &str) {
        let _ = writeln!(self.text, "{name}");
    }

    /// A value with anything in it stays a value.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        let _ = write!(self.text, "{name} = \"");
        for c in value.chars() {
            match c {
                '"' | '\\' => self.text.extend(['\\', c]),
                '\n' => self.text.push_str("\\n"),
                '\r' => self.text.push_str("\\r"),
                '\t' => self.text.push_str("\\t"),
                '\0' => {}
                c => self.text.push(c),
            }
        }
        self.text.push_str("\"\n");
    }

    /// A value that is taken out of all that is said.
    pub(crate) fn secret(&mut self, name: &str, value: &str, secret: &str) {
        self.set(name, value);
        let mut hide = |text: &str, least: usize| {
            if text.len() >= least {
                self.secrets.push(text.to_owned());
            }
        };
        hide(secret, 4);
        // A server may say back a part of an address.
        for part in secret.split(['/', '?', '&', '#']) {
            match part.split_once('=') {
                Some((_, value)) => hide(value, 4),
                None => hide(part, 8),
            }
        }
    }

    /// Name and password. A server may say back what it got, and that is the password in base64.
    pub(crate) fn login(&mut self, username: &str, password: &str) {
        let both = format!("{username}:{password}");
        self.secret("user", &both, password);
        let as_sent = [both, format!("\0{username}\0{password}"), password.to_owned()];
        self.secrets.extend(as_sent.map(|text| encode(text.as_bytes())));
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Words of curl or of a server, without secrets, in one line.
    pub(crate) fn hide(&self, words: &str) -> String {
        let mut words = words.to_owned();
        for secret in &self.secrets {
            words = words.replace(secret.as_str(), "***");
        }
        clean(words.trim())
    }
}

/// What curl said went wrong.
pub(crate) fn complaint(ended: &Ended) -> String {
    let Some(code) = ended.code else { return ended.problem.clone() };
    let said = String::from_utf8_lossy(&ended.stderr);
    let line = said.lines().rev().find(|line| line.starts_with("curl: ("));
    match line.and_then(|line| line.split_once(") ")) {
        Some((_, words)) => words.trim().to_owned(),
        None => format!("curl ended with code {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    /// Given values with quotes, backslashes and line ends, then each stays on its line, in its quotes.
    #[test]
    fn a_value_cannot_become_an_order() {
        let mut orders = Orders::new("=https", &Way::Inside);
        let before = orders.text().lines().count();
        orders.set("user", "a\"\nurl = \"file:///etc/shadow\\\r\t\0");
        let added: Vec<_> = orders.text().lines().skip(before).collect();
        assert_eq!(added, ["user = \"a\\\"\\nurl = \\\"file:///etc/shadow\\\\\\r\\t\""]);
    }

    /// Given an uplink, then its address is the source; where another has it too, its device.
    #[test]
    fn each_attempt_has_a_source() {
        let address = Ipv4Addr::new(192, 0, 2, 1);
        let text =
            |device| Orders::new("=https", &Way::Uplink { address, device }).text().to_owned();
        assert!(text(None).contains("interface = \"host!192.0.2.1\"\n"));
        assert!(text(Some("eth1".into())).contains("interface = \"if!eth1\"\n"));
    }

    /// Given a server whose answer has no end, then it comes slowly, whatever is asked.
    #[test]
    fn no_answer_fills_an_uplink() {
        for protocols in ["=smtp", "=http,https"] {
            let text = Orders::new(protocols, &Way::Inside).text().to_owned();
            assert!(text.contains("limit-rate = \"64k\"\n"), "{text}");
        }
    }

    /// Given words with a secret in them, then it is not shown.
    #[test]
    fn secrets_are_not_shown() {
        let mut orders = Orders::new("=https", &Way::Inside);
        orders.secret("url", "https://example.org/T0KEN", "/T0KEN");
        assert_eq!(orders.hide("no such path: /T0KEN\n"), "no such path: ***");
        let address = "/u/path/0123456789?host=a&token=T0K3N";
        orders.secret("url", &format!("https://example.org{address}"), address);
        assert_eq!(orders.hide("403 bad token T0K3N of 0123456789"), "403 bad token *** of ***");
        // As Basic of the web, PLAIN and LOGIN of mail have it (RFC 7617, 4616).
        orders.login("rail", "hunter22");
        for sent in ["cmFpbDpodW50ZXIyMg==", "AHJhaWwAaHVudGVyMjI=", "aHVudGVyMjI=", "hunter22"] {
            assert_eq!(orders.hide(&format!("535 not {sent}")), "535 not ***");
        }
    }
}
