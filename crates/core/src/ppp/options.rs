//! What pppd is told: the content of its options file, as a pure function.
//!
//! Promises: each word is one word for pppd, whatever it holds. pppd reads `/etc/ppp/options` first, so what
//! must not be as it says there is said again. Nobody but us redials (`nopersist`), routes
//! (`nodefaultroute`) or runs the system's scripts (`ip-up-script`): those would rewrite `resolv.conf`.

use crate::config::{Chat, PppConfig, PppLine, Username};
use crate::io::FIRST_LINE_OF;
use crate::net::IfName;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;

/// What the uplink is called.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Names<'a> {
    /// By the configuration.
    pub(crate) uplink: &'a str,
    /// By the kernel, once it is dialled.
    pub(crate) ifname: IfName,
}

/// The content of the options file. `mtu`: of the uplink; `plugin`: the one for PPPoE, where there is a choice.
pub(crate) fn options(
    config: &PppConfig,
    names: Names<'_>,
    mtu: Option<u32>,
    plugin: &str,
) -> String {
    let (mut lines, mtu) = match &config.line {
        PppLine::Ethernet { port, service, ac, .. } => {
            (ethernet(*port, (service.as_deref(), ac.as_deref()), plugin), mtu.or(Some(PPPOE_MTU)))
        }
        PppLine::Serial { device, speed, carrier, chat } => {
            (serial(device, (*speed, *carrier), chat), mtu)
        }
    };
    lines.extend(COMMON.iter().map(|line| (*line).to_string()));
    lines.extend(mtu.map(|mtu| format!("mtu {mtu}\nmru {mtu}")));
    lines.push(format!("linkname rail-{}", names.uplink));
    lines.push(format!("ifname {}", word(names.ifname.as_str())));
    // Whoever writes the file puts the word in: it goes through no other hand.
    let word_of = |path: &str| format!("{FIRST_LINE_OF}{path}{FIRST_LINE_OF}");
    match &config.username {
        Some(Username::Plain(name)) => lines.push(format!("user {}", word(name))),
        Some(Username::File(path)) => lines.push(format!("user {}", word_of(path))),
        None => {}
    }
    lines.extend(config.password_file.iter().map(|path| format!("password {}", word_of(path))));
    lines.join("\n") + "\n"
}

/// The plugin's own options stand before the name of the interface: up to 2.4.9 it does not see later ones.
fn ethernet(
    port: IfName,
    (service, ac): (Option<&str>, Option<&str>),
    plugin: &str,
) -> Vec<String> {
    let mut lines = vec![
        format!("plugin {plugin}"),
        "pppoe-padi-timeout 2".to_string(),
        "pppoe-padi-attempts 3".to_string(),
    ];
    lines.extend(service.map(|service| format!("rp_pppoe_service {}", word(service))));
    lines.extend(ac.map(|ac| format!("rp_pppoe_ac {}", word(ac))));
    lines.push(word(&format!("nic-{port}")));
    // Ten: a line that loses three echoes in ten loses five in a row every ten minutes.
    let echo = ["lcp-echo-interval 1", "lcp-echo-failure 10", "noaccomp", "nopcomp"];
    lines.extend(echo.map(String::from));
    lines
}

/// A modem ends PPP itself: its echoes would say nothing of the line, and some do not answer them.
fn serial(device: &str, (speed, carrier): (u32, bool), chat: &Chat) -> Vec<String> {
    let connect = match chat {
        Chat::Ours { .. } => format!("chat -v -s -S -f {CHAT_FILE}"),
        // What it sends may be a secret.
        Chat::File(path) => format!("chat -s -S -f {path}"),
    };
    let is_usb = ["usb", "USB", "ttyACM"].iter().any(|word| device.contains(word));
    vec![
        word(device),
        speed.to_string(),
        format!("connect {}", word(&connect)),
        "lock".into(),
        if carrier { "modem" } else { "local" }.into(),
        if is_usb { "nocrtscts" } else { "crtscts" }.into(),
        "asyncmap 0".into(),
        "lcp-echo-interval 0".into(),
    ]
}

/// One word for pppd: plain where it means nothing else, otherwise in quotes.
pub(crate) fn word(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@+,=".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.into();
    }
    let mut out = String::from("\"");
    for c in text.chars().filter(|c| !c.is_control()) {
        if matches!(c, '"' | '\\') {
            out.push('\\');
        }
        out.push(c);
    }
    out.push('"');
    out
}

/// How our chat script is called, in the directory that pppd runs in.
pub(crate) const CHAT_FILE: &str = "chat";

/// What fits into a frame of Ethernet behind the header of PPPoE (RFC 2516 §7).
const PPPOE_MTU: u32 = 1492;

/// For every line.
const COMMON: &[&str] = &[
    "nodetach",
    "noauth",
    "hide-password",
    "noipdefault",
    "nodefaultroute",
    "noproxyarp",
    "usepeerdns",
    "ip-up-script /bin/true",
    "ip-down-script /bin/true",
    "noipv6",
    "nopersist",
    "idle 0",
    "lcp-restart 1",
    "lcp-max-terminate 1",
    "ipcp-restart 1",
    "novj",
    "noccp",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Selector;

    fn text(config: &PppConfig, mtu: Option<u32>) -> String {
        let names = Names { uplink: "dsl", ifname: "ppp-dsl".parse().unwrap() };
        options(config, names, mtu, "pppoe.so").replace(FIRST_LINE_OF, "|")
    }

    fn pppoe() -> PppConfig {
        PppConfig {
            line: PppLine::Ethernet {
                parent: Selector::Name("eth2".into()),
                port: "eth2".parse().unwrap(),
                service: None,
                ac: None,
            },
            username: Some(Username::Plain("user@example.net".into())),
            password_file: Some("/etc/rail/dsl.password".into()),
        }
    }

    /// Given a line by PPPoE, then its options are these; the password stands in no piece of ours.
    #[test]
    fn pppoe_is_told_so() {
        assert_eq!(text(&pppoe(), None), include_str!("golden/pppoe.txt"));
    }

    /// Given a service, a concentrator, a name in a file and a larger MTU, then pppd is told so.
    #[test]
    fn all_of_pppoe_is_told_so() {
        let mut config = pppoe();
        let PppLine::Ethernet { service, ac, .. } = &mut config.line else { unreachable!() };
        (*service, *ac) = (Some("gold # 1".into()), Some("ac-1".into()));
        config.username = Some(Username::File("/etc/rail/dsl.user".into()));
        let told = text(&config, Some(1500));
        let lines = [
            "rp_pppoe_service \"gold # 1\"\nrp_pppoe_ac ac-1\nnic-eth2\n",
            "mtu 1500\nmru 1500\n",
            "user |/etc/rail/dsl.user|\npassword |/etc/rail/dsl.password|\n",
        ];
        assert!(lines.iter().all(|line| told.contains(line)), "{told}");
    }

    /// Given a modem on USB, then its options are these.
    #[test]
    fn a_modem_is_told_so() {
        let chat = Chat::Ours { dial: "*99#".into(), apn: None };
        let device = "/dev/serial/by-id/usb-Example_Modem-if00-port0".into();
        let line = PppLine::Serial { device, speed: 460_800, carrier: true, chat };
        let mut config = PppConfig { line, username: None, password_file: None };
        assert_eq!(text(&config, None), include_str!("golden/modem.txt"));
        let PppLine::Serial { device, carrier, chat, .. } = &mut config.line else {
            unreachable!()
        };
        (*device, *carrier) = ("/dev/ttyS0".into(), false);
        *chat = Chat::File("/etc/rail/old.chat".into());
        let told = text(&config, Some(576));
        let lines =
            ["connect \"chat -s -S -f /etc/rail/old.chat\"\nlock\nlocal\ncrtscts\n", "mtu 576\n"];
        assert!(lines.iter().all(|line| told.contains(line)), "{told}");
    }

    /// Given quotes, backslashes, spaces and line ends, then they stay one word, and no line ends.
    #[test]
    fn hostile_words_stay_one_word() {
        let words = [
            ("plain@example.net", "plain@example.net"),
            ("", "\"\""),
            ("a b", "\"a b\""),
            ("a\"b\\", "\"a\\\"b\\\\\""),
            ("0001#x", "\"0001#x\""),
            ("a\nplugin /tmp/evil.so", "\"aplugin /tmp/evil.so\""),
            ("'", "\"'\""),
        ];
        for (text, expected) in words {
            assert_eq!(word(text), expected);
        }
    }
}
