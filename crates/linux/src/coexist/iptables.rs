//! Rules as `iptables-save` prints them: the words for what nftables knows only
//! by a name, and all there is of iptables-legacy.

use super::nft::hook;
use rail_core::coexist::{
    Base, Chain, Effect, MarkWrite, Match, Rule, Table, Test, Verdict, state,
};
use rail_core::net::Prefix;
use rail_core::state::Hook;

/// Reads all tables.
pub(super) fn read(text: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in text.lines() {
        if let Some(name) = line.strip_prefix('*') {
            let (family, name) = ("ip".into(), name.trim().to_owned());
            tables.push(Table { family, name, iptables: true, chains: Vec::new() });
            continue;
        }
        let Some(table) = tables.last_mut() else { continue };
        if let Some(rest) = line.strip_prefix(':') {
            table.chains.extend(chain(&table.name, rest));
        } else if line.starts_with("-A ") {
            add(table, line);
        }
    }
    tables
}

/// `FORWARD DROP [0:0]`.
fn chain(table: &str, line: &str) -> Option<Chain> {
    let mut words = line.split_whitespace();
    let (name, policy) = (words.next()?, words.next()?);
    let base = |hook| Base { hook, priority: priority(table, hook), drops: policy == "DROP" };
    let base = hook(name).filter(|_| policy != "-").map(base);
    Some(Chain { name: name.into(), base, rules: Vec::new() })
}

const fn priority(table: &str, hook: Hook) -> i32 {
    match (table.as_bytes(), hook) {
        (b"raw", _) => -300,
        (b"mangle", _) => -150,
        (b"nat", Hook::Prerouting | Hook::Output) => -100,
        (b"nat", _) => 100,
        (b"security", _) => 50,
        _ => 0,
    }
}

fn add(table: &mut Table, line: &str) {
    let words = split(line);
    let Some(name) = words.get(1) else { return };
    let Some(at) = table.chains.iter().position(|chain| chain.name == *name) else { return };
    let mut reader = Reader { rule: Rule { text: line.into(), ..Rule::default() }, module: "" };
    let options = options(&words[2..]);
    for option in &options {
        reader.take(option);
    }
    table.chains[at].rules.push(reader.rule);
}

/// An option, `!` before it, and the words behind it.
struct Words<'a> {
    not: bool,
    name: &'a str,
    values: Vec<&'a str>,
}

fn options(words: &[String]) -> Vec<Words<'_>> {
    let mut out: Vec<Words<'_>> = Vec::new();
    let mut not = false;
    for word in words {
        match (word.as_str(), out.last_mut()) {
            ("!", _) => not = true,
            (name, _) if name.starts_with('-') => {
                out.push(Words { not, name, values: Vec::new() });
                not = false;
            }
            (value, Some(option)) => option.values.push(value),
            (_, None) => {}
        }
    }
    out
}

/// Splits into words; quotes keep words together.
fn split(line: &str) -> Vec<String> {
    let (mut words, mut word) = (Vec::new(), String::new());
    let (mut quoted, mut escaped, mut has) = (false, false, false);
    for c in line.chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => (quoted, has) = (!quoted, true),
            ' ' if !quoted => {
                if has || !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                has = false;
            }
            _ => word.push(c),
        }
    }
    if has || !word.is_empty() {
        words.push(word);
    }
    words
}

struct Reader<'a> {
    rule: Rule,
    /// The extension that the options belong to.
    module: &'a str,
}

impl<'a> Reader<'a> {
    fn take(&mut self, option: &Words<'a>) {
        let first = option.values.first().copied().unwrap_or_default();
        let test = match option.name {
            "-m" => {
                self.module = first;
                return;
            }
            "-j" | "-g" => return self.verdict(option.name, first),
            "-i" => Some(Test::In(vec![interface(first)])),
            "-o" => Some(Test::Out(vec![interface(first)])),
            "-s" => prefix(first).map(Test::Source),
            "-d" => prefix(first).map(Test::Destination),
            "-p" => Some(Test::Protocol(vec![first.into()])),
            "--ctstate" | "--state" | "--ctstatus" => {
                let bits = first.split(',').filter_map(state::bit);
                Some(Test::State(bits.fold(0, |all, bit| all | bit)))
            }
            "--mark" => masked(first).map(|(value, mask)| Test::Mark { value, mask }),
            "--dport" | "--dports" => ports(first).map(Test::Port),
            "--sport" | "--sports" => ports(first).map(Test::SourcePort),
            "--comment" | "--reject-with" => return,
            _ if self.is_of_target(option) => return,
            _ => None,
        };
        let test = test.unwrap_or_else(|| Test::Other { rare: is_rare(self.module) });
        self.rule.matches.push(Match { test, not: option.not });
    }

    /// Options behind the target are its own.
    fn is_of_target(&mut self, option: &Words<'_>) -> bool {
        let connection = self.module == TARGET_CONNMARK;
        if !connection && self.module != TARGET_MARK {
            return self.module == TARGET;
        }
        let first = option.values.first().copied().unwrap_or_default();
        match option.name {
            "--set-xmark" => {
                if let Some((value, mask)) = masked(first) {
                    let bits = mask | value;
                    let write = MarkWrite { connection, bits, value, copied: 0 };
                    self.rule.effects.push(Effect::Mark(write));
                }
            }
            "--restore-mark" | "--save-mark" => {
                let connection = option.name == "--save-mark";
                let all = u32::MAX;
                let write = MarkWrite { connection, bits: all, value: 0, copied: all };
                self.rule.effects.push(Effect::Mark(write));
            }
            "--nfmask" | "--ctmask" | "--mask" => {
                let bits = masked(first).map_or(u32::MAX, |(value, _)| value);
                if let Some(Effect::Mark(write)) = self.rule.effects.last_mut() {
                    // The mask of the mark that is written says what may change, that of the
                    // other one what is taken over.
                    let of_written = (option.name == "--ctmask") == write.connection;
                    if of_written || option.name == "--mask" {
                        write.bits &= bits;
                    }
                    if !of_written || option.name == "--mask" {
                        write.copied &= bits;
                    }
                }
            }
            _ => {}
        }
        true
    }

    fn verdict(&mut self, option: &str, name: &str) {
        self.module = match name {
            "MARK" => TARGET_MARK,
            "CONNMARK" => TARGET_CONNMARK,
            _ => TARGET,
        };
        if name == "FLOWOFFLOAD" {
            self.rule.effects.push(Effect::Offload("of iptables".into()));
        }
        self.rule.verdict = match (target(name), option) {
            (Some(verdict), _) => verdict,
            (None, "-g") => Verdict::Goto(name.into()),
            (None, _) => Verdict::Jump(name.into()),
        };
    }
}

/// What a target does; `None`: a chain.
pub(super) fn target(name: &str) -> Option<Verdict> {
    Some(match name {
        "ACCEPT" | "DNAT" | "REDIRECT" | "QUEUE" | "NFQUEUE" | "TPROXY" => Verdict::Accept,
        "DROP" | "REJECT" | "TARPIT" => Verdict::Drop,
        "RETURN" => Verdict::Return,
        "MASQUERADE" | "SNAT" | "NETMAP" | "SAME" => Verdict::Translate,
        _ if EXTENSIONS.contains(&name) => Verdict::Next,
        _ => return None,
    })
}

/// Extensions that pick out few packets, whatever their options say.
pub(super) fn is_rare(module: &str) -> bool {
    RARE.contains(&module)
}

/// iptables writes `+` for any end.
fn interface(name: &str) -> String {
    name.strip_suffix('+').map_or_else(|| name.into(), |start| format!("{start}*"))
}

fn prefix(text: &str) -> Option<Vec<Prefix>> {
    let one = |part: &str| {
        if part.contains('/') { part.parse().ok() } else { Some(Prefix::host(part.parse().ok()?)) }
    };
    text.split(',').map(one).collect()
}

/// `0x40000/0xff0000`; without a mask all bits count.
fn masked(text: &str) -> Option<(u32, u32)> {
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    match text.split_once('/') {
        Some((value, mask)) => Some((number(value)?, number(mask)?)),
        None => Some((number(text)?, u32::MAX)),
    }
}

fn ports(text: &str) -> Option<Vec<(u16, u16)>> {
    let one = |part: &str| match part.split_once(':') {
        Some((first, last)) => Some((first.parse().ok()?, last.parse().ok()?)),
        None => part.parse().ok().map(|port| (port, port)),
    };
    text.split(',').map(one).collect()
}

/// Stand for the module once the target was read.
const TARGET: &str = "a target";
const TARGET_MARK: &str = "the target MARK";
const TARGET_CONNMARK: &str = "the target CONNMARK";

/// Targets that are no verdict.
const EXTENSIONS: [&str; 25] = [
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "FLOWOFFLOAD",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "SET",
    "SYNPROXY",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TTL",
];
const RARE: [&str; 31] = [
    "addrtype",
    "ah",
    "connbytes",
    "connlimit",
    "devgroup",
    "dscp",
    "ecn",
    "esp",
    "geoip",
    "hashlimit",
    "helper",
    "icmp",
    "iprange",
    "ipvs",
    "length",
    "limit",
    "mac",
    "multiport",
    "physdev",
    "policy",
    "recent",
    "rpfilter",
    "set",
    "socket",
    "string",
    "tcp",
    "tcpmss",
    "tos",
    "ttl",
    "u32",
    "udp",
];

#[cfg(test)]
mod tests;
