//! One rule of nftables: conditions, effects, verdict.
//!
//! A rule that chooses its verdict by a map becomes a rule for each element.

use rail_core::coexist::{Effect, MarkWrite, Match, Rule, Test, Verdict, state};
use rail_core::net::{Family, Prefix};
use serde_json::Value;

/// A condition, as the alternatives of which one must hold.
type Alternatives = Vec<Vec<Match>>;

/// Reads a rule; `set` gives the elements of a named set.
pub(super) fn read<'a>(rule: &Value, set: impl Fn(&str) -> Option<&'a [Value]>) -> Vec<Rule> {
    let handle = rule["handle"].as_u64().unwrap_or(0);
    let mut reader = Reader {
        set: &set,
        matches: vec![Vec::new()],
        effects: Vec::new(),
        verdict: Verdict::Next,
        by_map: Vec::new(),
    };
    for statement in rule["expr"].as_array().into_iter().flatten() {
        for (word, value) in statement.as_object().into_iter().flatten() {
            reader.take(word, value);
        }
    }
    let text = match rule["comment"].as_str() {
        Some(comment) => format!("rule with handle {handle} ({comment})"),
        None => format!("rule with handle {handle}"),
    };
    reader.finish(&text)
}

struct Reader<'s, F> {
    set: &'s F,
    matches: Alternatives,
    effects: Vec<Effect>,
    verdict: Verdict,
    /// What a map adds to the conditions, and the verdict for it.
    by_map: Vec<(Vec<Match>, Verdict)>,
}

impl<'a, F: Fn(&str) -> Option<&'a [Value]>> Reader<'_, F> {
    fn take(&mut self, word: &str, value: &Value) {
        match word {
            "match" => self.and(self.condition(value)),
            "vmap" => self.map(value),
            "mangle" => self.effects.extend(mark_write(value).map(Effect::Mark)),
            "flow" => {
                let name = value["flowtable"].as_str().unwrap_or_default();
                self.effects.push(Effect::Offload(name.trim_start_matches('@').into()));
            }
            // Which packets a rate, a number of connections or a full set lets by is their number's matter.
            "limit" | "quota" | "ct count" | "set" | "map" | "meter" => self.and(other(true)),
            "counter" | "log" | "notrack" | "comment" | "ct helper" | "ct timeout"
            | "ct expectation" | "secmark" | "dup" | "tproxy" | "synproxy" => {}
            "xt" => self.extension(value),
            _ => match verdict(word, value) {
                Some(verdict) => self.verdict = verdict,
                None => self.and(other(false)),
            },
        }
    }

    /// What iptables put there without words; its own program has them.
    fn extension(&mut self, value: &Value) {
        let name = value["name"].as_str().unwrap_or_default();
        match value["type"].as_str() {
            Some("target") => {
                if let Some(verdict) = super::super::iptables::target(name) {
                    self.verdict = verdict;
                }
            }
            _ => self.and(other(super::super::iptables::is_rare(name))),
        }
    }

    fn and(&mut self, alternatives: Alternatives) {
        if self.matches.len() * alternatives.len() > MOST_ALTERNATIVES {
            return self.and(other(false));
        }
        let product = self.matches.iter().flat_map(|have| {
            alternatives.iter().map(|more| [have.as_slice(), more.as_slice()].concat())
        });
        self.matches = product.collect();
    }

    fn map(&mut self, value: &Value) {
        let elements = match &value["data"] {
            Value::String(name) => (self.set)(name.trim_start_matches('@')).map(<[Value]>::to_vec),
            data => data["set"].as_array().cloned(),
        };
        let Some(elements) = elements.filter(|list| list.len() <= MOST_ALTERNATIVES) else {
            return self.and(other(false));
        };
        for element in elements {
            let [key, then] = [&element[0], &element[1]];
            let then = then.as_object().and_then(|then| then.iter().next());
            let Some(then) = then.and_then(|(word, value)| verdict(word, value)) else { continue };
            for conditions in self.compare(&value["key"], key, false) {
                self.by_map.push((conditions, then.clone()));
            }
        }
        // What is in no element goes to the next rule.
        if self.by_map.is_empty() {
            self.by_map.push((vec![plain(Test::In(Vec::new()))], Verdict::Next));
        }
    }

    fn finish(self, text: &str) -> Vec<Rule> {
        let rule = |matches, verdict| Rule {
            text: text.into(),
            matches,
            effects: self.effects.clone(),
            verdict,
        };
        if self.by_map.is_empty() {
            return self.matches.into_iter().map(|m| rule(m, self.verdict.clone())).collect();
        }
        let all = self.matches.iter().flat_map(|have| {
            self.by_map.iter().map(|(more, then)| rule([&**have, &**more].concat(), then.clone()))
        });
        all.take(MOST_ALTERNATIVES).collect()
    }

    fn condition(&self, value: &Value) -> Alternatives {
        let not = match value["op"].as_str() {
            Some("==" | "in") | None => false,
            Some("!=") => true,
            Some(_) => return other(false),
        };
        self.compare(&value["left"], &value["right"], not)
    }

    fn compare(&self, left: &Value, right: &Value, not: bool) -> Alternatives {
        if let Some(parts) = left["concat"].as_array() {
            return self.compare_all(parts, right, not);
        }
        let Some(right) = self.elements(right) else { return other(is_address(left)) };
        let Some(tests) = tests(left, &right) else { return other(is_rare(left)) };
        // A part that only says what the rest is about (`tcp dport`) is not negated.
        let last = tests.len().saturating_sub(1);
        let conditions = tests.into_iter().enumerate();
        vec![conditions.map(|(i, test)| Match { test, not: not && i == last }).collect()]
    }

    /// What something is compared with: the elements of a named set, or the values that stand there.
    fn elements(&self, right: &Value) -> Option<Vec<Value>> {
        match right.as_str().and_then(|text| text.strip_prefix('@')) {
            Some(name) => (self.set)(name).map(<[Value]>::to_vec),
            None => Some(values(right)),
        }
    }

    /// `iifname . oifname { "lan0" . "wan1" }`: an alternative for each element.
    fn compare_all(&self, parts: &[Value], right: &Value, not: bool) -> Alternatives {
        let right = self.elements(right);
        let Some(right) = right.filter(|r| !not && r.len() <= MOST_ALTERNATIVES) else {
            return other(parts.iter().any(is_address));
        };
        let one = |element: &Value| {
            let values = element["concat"].as_array()?;
            let pairs = parts.iter().zip(values);
            let found = pairs.flat_map(|(left, value)| self.compare(left, value, false));
            Some(found.flatten().collect::<Vec<Match>>())
        };
        match right.iter().map(one).collect::<Option<Alternatives>>() {
            Some(alternatives) => alternatives,
            None => other(false),
        }
    }
}

fn verdict(word: &str, value: &Value) -> Option<Verdict> {
    let target = || value["target"].as_str().unwrap_or_default().to_owned();
    Some(match word {
        "accept" | "dnat" | "redirect" | "queue" => Verdict::Accept,
        "drop" | "reject" => Verdict::Drop,
        "return" => Verdict::Return,
        "continue" => Verdict::Next,
        "jump" => Verdict::Jump(target()),
        "goto" => Verdict::Goto(target()),
        "masquerade" | "snat" => Verdict::Translate,
        _ => return None,
    })
}

/// The tests that `left` is one of the values; `None`: not understood.
fn tests(left: &Value, right: &[Value]) -> Option<Vec<Test>> {
    let words = || -> Vec<String> {
        right.iter().filter_map(|value| Some(value.as_str()?.to_owned())).collect()
    };
    if let Some(key) = left["meta"]["key"].as_str() {
        return Some(vec![match key {
            "iifname" | "iif" => Test::In(words()),
            "oifname" | "oif" => Test::Out(words()),
            "mark" => mark_test(right, u32::MAX)?,
            "l4proto" => Test::Protocol(words()),
            "nfproto" => Test::Family(family(right)?),
            "protocol" if right.len() == 1 => match right[0].as_str()? {
                "ip" => Test::Family(Family::V4),
                "ip6" => Test::Family(Family::V6),
                _ => return None,
            },
            _ => return None,
        }]);
    }
    if let Some(key) = left["ct"]["key"].as_str() {
        return Some(vec![match key {
            "state" | "status" => {
                let bits = right.iter().filter_map(|v| state::bit(v.as_str()?));
                Test::State(bits.fold(0, |all, bit| all | bit))
            }
            "mark" => mark_test(right, u32::MAX)?,
            "direction" if right.len() == 1 => match right[0].as_str()? {
                "reply" => Test::State(state::ESTABLISHED),
                _ => Test::State(state::NEW),
            },
            _ => return None,
        }]);
    }
    if let Some([inner, mask]) = left["&"].as_array().map(Vec::as_slice) {
        let is_mark = inner["meta"]["key"] == "mark" || inner["ct"]["key"] == "mark";
        return if is_mark { Some(vec![mark_test(right, number(mask)?)?]) } else { None };
    }
    payload(left, right, words())
}

fn payload(left: &Value, right: &[Value], words: Vec<String>) -> Option<Vec<Test>> {
    let part = &left["payload"];
    let (protocol, field) = (part["protocol"].as_str()?, part["field"].as_str()?);
    Some(match (protocol, field) {
        ("ip", "saddr") => vec![Test::Source(prefixes(right)?)],
        ("ip", "daddr") => vec![Test::Destination(prefixes(right)?)],
        ("ip", "protocol") => vec![Test::Protocol(words)],
        ("ip6" | "icmpv6", _) => vec![Test::Family(Family::V6)],
        ("tcp" | "udp", "dport") => {
            vec![Test::Protocol(vec![protocol.into()]), Test::Port(ports(right)?)]
        }
        ("tcp" | "udp", "sport") => {
            vec![Test::Protocol(vec![protocol.into()]), Test::SourcePort(ports(right)?)]
        }
        ("th", "dport") => vec![Test::Port(ports(right)?)],
        ("th", "sport") => vec![Test::SourcePort(ports(right)?)],
        _ => return None,
    })
}

fn family(right: &[Value]) -> Option<Family> {
    match right {
        [one] if one == "ipv4" => Some(Family::V4),
        [one] if one == "ipv6" => Some(Family::V6),
        _ => None,
    }
}

fn mark_test(right: &[Value], mask: u32) -> Option<Test> {
    match right {
        [value] => Some(Test::Mark { value: number(value)?, mask }),
        _ => None,
    }
}

fn number(value: &Value) -> Option<u32> {
    let from_text = || {
        let text = value.as_str()?;
        text.strip_prefix("0x")
            .map_or_else(|| text.parse().ok(), |x| u32::from_str_radix(x, 16).ok())
    };
    value.as_u64().and_then(|n| u32::try_from(n).ok()).or_else(from_text)
}

/// The values of the right side: one, a list, or a set, whose elements may be wrapped.
fn values(right: &Value) -> Vec<Value> {
    let list = right.as_array().or_else(|| right["set"].as_array());
    let unwrap = |value: &Value| match &value["elem"]["val"] {
        Value::Null => value.clone(),
        inner => inner.clone(),
    };
    list.map_or_else(|| vec![right.clone()], |list| list.iter().map(unwrap).collect())
}

fn prefixes(right: &[Value]) -> Option<Vec<Prefix>> {
    let one = |value: &Value| -> Option<Prefix> {
        let prefix = &value["prefix"];
        match prefix["addr"].as_str() {
            Some(address) => format!("{address}/{}", prefix["len"].as_u64()?).parse().ok(),
            None => Some(Prefix::host(value.as_str()?.parse().ok()?)),
        }
    };
    right.iter().map(one).collect()
}

fn ports(right: &[Value]) -> Option<Vec<(u16, u16)>> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    let one = |value: &Value| match value["range"].as_array().map(Vec::as_slice) {
        Some([first, last]) => Some((port(first)?, port(last)?)),
        _ => port(value).map(|port| (port, port)),
    };
    right.iter().map(one).collect()
}

fn is_address(left: &Value) -> bool {
    matches!(left["payload"]["field"].as_str(), Some("saddr" | "daddr" | "sport" | "dport"))
}

/// Conditions that few packets meet, though we cannot tell which.
fn is_rare(left: &Value) -> bool {
    ["payload", "fib", "rt", "socket", "tcp option", "exthdr", "ip option", "ipsec"]
        .iter()
        .any(|word| left.get(*word).is_some())
}

/// `meta mark set` and `ct mark set`.
fn mark_write(value: &Value) -> Option<MarkWrite> {
    let of = |key: &Value| match (key["meta"]["key"].as_str(), key["ct"]["key"].as_str()) {
        (Some("mark"), _) => Some(false),
        (_, Some("mark")) => Some(true),
        _ => None,
    };
    let connection = of(&value["key"])?;
    // Masks of what is left of the old mark, and of the other mark; bits that are set or turned.
    let (mut own, mut other, mut turned) = (0_u32, 0_u32, 0_u32);
    let mut know = true;
    let mut at = &value["value"];
    let mut keep = u32::MAX;
    while know {
        if let Some(source) = of(at) {
            *(if source == connection { &mut own } else { &mut other }) = keep;
            break;
        }
        if let Some(constant) = number(at) {
            turned |= constant & keep;
            break;
        }
        let operation = ["&", "|", "^"].iter().find_map(|op| Some((*op, at[*op].as_array()?)));
        know = match operation.map(|(op, parts)| (op, parts.as_slice())) {
            Some((op, [left, right])) => {
                at = left;
                match (op, number(right)) {
                    ("&", Some(mask)) => keep &= mask,
                    (_, Some(bits)) => turned |= bits & keep,
                    (_, None) => return Some(unknown(connection)),
                }
                true
            }
            _ => false,
        };
    }
    if !know {
        return Some(unknown(connection));
    }
    let copied = other & !turned;
    Some(MarkWrite { connection, bits: !own | turned, value: turned, copied })
}

const fn unknown(connection: bool) -> MarkWrite {
    MarkWrite { connection, bits: u32::MAX, value: 0, copied: 0 }
}

const fn plain(test: Test) -> Match {
    Match { test, not: false }
}

fn other(rare: bool) -> Alternatives {
    vec![vec![plain(Test::Other { rare })]]
}

/// More than anybody writes by hand.
const MOST_ALTERNATIVES: usize = 1024;
