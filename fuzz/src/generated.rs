//! The files for helper programs of an accepted configuration: dnsmasq, pppd, chat.
//!
//! Law: each line is one directive that we know, in the grammar of the program that reads it. So no text of the
//! configuration begins a line, a comment or a second directive.

use rail_core::config::{Config, UplinkKind};
use rail_core::state::{Link, Observed, Scope};
use rail_core::time::Instant;
use rail_core::{Input, Output, Router, Saved};

/// Runs a router on the configuration until it declares its programs, and reads their files.
pub(crate) fn check(config: &Config) {
    let mut router = Router::new(config.clone(), Saved::default(), "boot".to_owned(), [7; 16]);
    let (now, mut out) = (Instant::from_nanos(1 << 30), Vec::new());
    router.start(now, &mut out);
    // The ports that lines are dialled by are there.
    let mut observed = Observed::default();
    for uplink in &config.uplinks {
        if let UplinkKind::Ppp(_) = uplink.kind {
            let link = Link { index: 9, up: true, carrier: true, mtu: 1500, ..Link::default() };
            observed.links.insert(uplink.port(), link);
        }
    }
    router.handle(now, Input::Observed(Scope::ALL, Box::new(observed)), &mut out);
    router.wake(now, &mut out);
    for output in &out {
        let Output::Children(list) = output else { continue };
        for file in list.iter().flat_map(|child| &child.files) {
            for line in file.content.lines() {
                assert!(is_directive(&file.name, line), "{}: {line:?}", file.name);
            }
            assert!(!file.content.contains(['\r', '\0']), "{}", file.name);
        }
    }
}

fn is_directive(file: &str, line: &str) -> bool {
    match file {
        "dnsmasq.conf" => is_for_dnsmasq(line),
        "options" => is_for_pppd(line),
        "chat" => is_for_chat(line),
        // Files of the notifier are JSON of one line.
        _ => !line.chars().any(char::is_control),
    }
}

/// `key` or `key=value`. Double quotes keep commas, `\` keeps the next letter in them; behind white space `#`
/// would begin a comment.
fn is_for_dnsmasq(line: &str) -> bool {
    if line == "# Made by rail; changes are lost." {
        return true;
    }
    let (key, value) = line.split_once('=').unwrap_or((line, ""));
    let (mut is_quoted, mut letters) = (false, value.chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if is_quoted => drop(letters.next()),
            '"' => is_quoted = !is_quoted,
            ' ' | '#' | '\\' if !is_quoted => return false,
            // Our own mark for a directory.
            '\u{2}' => {}
            _ if letter.is_control() => return false,
            _ => {}
        }
    }
    DNSMASQ.contains(&key) && !is_quoted
}

/// One to four words: plain, or in double quotes with `\` before `"` and `\`. A secret is put in between two marks.
fn is_for_pppd(line: &str) -> bool {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), String::new(), false);
    let mut letters = line.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => word.extend(letters.next()),
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(std::mem::take(&mut word)),
            '#' | '\'' if !is_quoted => return false,
            '\u{3}' => {}
            _ if letter.is_control() => return false,
            _ => word.push(letter),
        }
    }
    words.push(word);
    let first = words[0].as_str();
    let is_place =
        first.starts_with('/') || first.starts_with("nic-") || first.parse::<u32>().is_ok();
    !is_quoted && (is_place && words.len() == 1 || PPPD.contains(&first) && words.len() <= 2)
}

/// What is waited for and what is sent, each plain or in single quotes.
fn is_for_chat(line: &str) -> bool {
    let (mut words, mut is_quoted) = (1, false);
    for letter in line.chars() {
        match letter {
            '\'' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words += 1,
            '^' | '\\' | '@' => return false,
            _ if letter.is_control() => return false,
            _ => {}
        }
    }
    let first = line.split(' ').next().unwrap_or_default();
    !is_quoted && words == 2 && ["ABORT", "TIMEOUT", "''", "OK", "CONNECT"].contains(&first)
}

const DNSMASQ: &[&str] = &[
    "bind-dynamic",
    "bogus-priv",
    "cache-size",
    "dhcp-authoritative",
    "dhcp-host",
    "dhcp-ignore-names",
    "dhcp-lease-max",
    "dhcp-leasefile",
    "dhcp-name-match",
    "dhcp-option",
    "dhcp-range",
    "dns-forward-max",
    "domain",
    "domain-needed",
    "except-interface",
    "fast-dns-retry",
    "host-record",
    "interface",
    "local",
    "no-dhcp-interface",
    "no-hosts",
    "no-ping",
    "no-poll",
    "no-resolv",
    "port",
    "server",
    "tag-if",
    "use-stale-cache",
];

const PPPD: &[&str] = &[
    "asyncmap",
    "connect",
    "crtscts",
    "hide-password",
    "idle",
    "ifname",
    "ip-down-script",
    "ip-up-script",
    "ipcp-restart",
    "lcp-echo-failure",
    "lcp-echo-interval",
    "lcp-max-terminate",
    "lcp-restart",
    "linkname",
    "local",
    "lock",
    "modem",
    "mru",
    "mtu",
    "noaccomp",
    "noauth",
    "noccp",
    "nocrtscts",
    "nodefaultroute",
    "nodetach",
    "noipdefault",
    "noipv6",
    "nopcomp",
    "nopersist",
    "noproxyarp",
    "novj",
    "password",
    "plugin",
    "pppoe-padi-attempts",
    "pppoe-padi-timeout",
    "rp_pppoe_ac",
    "rp_pppoe_service",
    "usepeerdns",
    "user",
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Given lines as they are made, then each is a directive; given what a newline, a quote or a comment in a
    /// value would make of them, then it is none.
    #[test]
    fn directives_are_told_from_others() {
        for good in ["no-hosts", "dhcp-option=tag:net0,66,\"a,b \\\"# c\"", "port=0"] {
            assert!(is_for_dnsmasq(good), "{good}");
        }
        for bad in
            ["dhcp-script=/bin/sh", "", "domain=a b", "domain=a\"", "host-record=a#b", "x\u{7}"]
        {
            assert!(!is_for_dnsmasq(bad), "{bad}");
        }
        for good in ["user \"0001#a b\\\"\"", "/dev/ttyS0", "115200", "connect \"chat -v -f chat\""]
        {
            assert!(is_for_pppd(good), "{good}");
        }
        for bad in ["plugin a b", "user a#b", "user \"a", "init /bin/sh", "nic-eth0 call x"] {
            assert!(!is_for_pppd(bad), "{bad}");
        }
        assert!(is_for_chat("OK 'AT+CGDCONT=1,\"IP\",\"a\"'") && is_for_chat("'' AT"));
        assert!(!is_for_chat("OK AT x") && !is_for_chat("SAY a") && !is_for_chat("OK 'AT"));
    }
}
