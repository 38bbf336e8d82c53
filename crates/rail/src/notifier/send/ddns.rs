//! Names that follow an address: when they are told, by which words, and what the answers mean
//! (dyndns2 as of help.dyn.com). Pure; time is seconds since 1970, for it outlives a boot.

use super::curl::{Orders, complaint};
use super::webhook::{AGENT, path};
use super::{Ended, Way, http};
use crate::notifier::retry::Verdict;
use rail_core::config::{Ddns, DdnsKind};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

/// What is known of one name. Written to the disk as it is.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Name {
    /// What the server has.
    pub(crate) told: Option<Ipv4Addr>,
    /// The server refused for good: until the configuration has another block.
    is_stopped: bool,
    /// Not before.
    next_s: u64,
    /// How far ahead that was when it was set: a clock that is set back later adds nothing to the wait.
    wait_s: u64,
    failures: u32,
    /// What the world sees, of which own address, and when it was asked.
    seen: Option<(Ipv4Addr, Ipv4Addr)>,
    seen_s: u64,
    /// What is wrong.
    pub(crate) error: Option<String>,
}

/// What to do next.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Todo {
    /// Ask which address the world sees.
    Ask { own: Ipv4Addr },
    /// Tell the server.
    Tell { address: Ipv4Addr },
}

/// What came of telling it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Reply {
    Good,
    /// Until somebody acts.
    Stop(String),
    /// After so many seconds at least.
    Later(u64, String),
}

impl Name {
    /// What to do at this moment, with this address of the uplink.
    pub(crate) fn next(&mut self, ddns: &Ddns, own: Ipv4Addr, now_s: u64) -> Option<Todo> {
        self.next_s = self.next_s.min(now_s.saturating_add(self.wait_s));
        self.seen_s = self.seen_s.min(now_s);
        if self.is_stopped || now_s < self.next_s {
            return None;
        }
        let address = if is_public(own) {
            own
        } else if ddns.ask.is_none() {
            self.error =
                Some(format!("{own} is a private address: `ask` names who sees the other one"));
            return None;
        } else {
            let seen = self.seen.filter(|(of, _)| *of == own && now_s - self.seen_s < SEEN_FOR_S);
            let Some((_, address)) = seen else { return Some(Todo::Ask { own }) };
            address
        };
        if self.told == Some(address) {
            self.error = None;
            return None;
        }
        Some(Todo::Tell { address })
    }

    /// What the world sees, or why it is not known.
    pub(crate) fn asked(&mut self, own: Ipv4Addr, result: Result<Ipv4Addr, String>, now_s: u64) {
        match result {
            Ok(address) => {
                self.seen = Some((own, address));
                self.seen_s = now_s;
                self.failures = 0;
            }
            Err(words) => self.failed(0, words, now_s),
        }
    }

    /// What the server said.
    pub(crate) fn replied(&mut self, address: Ipv4Addr, reply: Reply, now_s: u64) {
        match reply {
            Reply::Good => {
                self.told = Some(address);
                self.rest(APART_S, now_s);
                self.failures = 0;
                self.error = None;
            }
            Reply::Stop(words) => {
                self.is_stopped = true;
                self.error = Some(words);
            }
            Reply::Later(least_s, words) => self.failed(least_s, words, now_s),
        }
    }

    /// Somebody acted: who refused for good is asked again.
    pub(crate) const fn begin_again(&mut self) {
        self.is_stopped = false;
        self.failures = 0;
    }

    /// True if the server was told of this address of ours, or of what the world sees of it.
    pub(crate) fn is_of(&self, own: Ipv4Addr) -> bool {
        let seen = self.seen.filter(|(of, _)| *of == own).map(|(_, seen)| seen);
        self.told == Some(seen.unwrap_or(own))
    }

    /// When there may be something to do.
    pub(crate) const fn next_s(&self) -> u64 {
        self.next_s
    }

    fn failed(&mut self, least_s: u64, words: String, now_s: u64) {
        let wait = (60 << self.failures.min(6)).min(3600);
        self.failures += 1;
        self.rest(least_s.max(wait), now_s);
        self.error = Some(words);
    }

    const fn rest(&mut self, wait_s: u64, now_s: u64) {
        self.wait_s = wait_s;
        self.next_s = now_s.saturating_add(wait_s);
    }
}

/// What curl gets to tell the server.
pub(crate) fn tell(ddns: &Ddns, password: Option<&str>, address: Ipv4Addr, way: &Way) -> Orders {
    let url = match ddns.kind {
        DdnsKind::Dyndns2 => format!("{}?hostname={}&myip={address}", ddns.update, ddns.hostname),
        DdnsKind::Url => {
            let address = address.to_string();
            ddns.update.replace("{address}", &address).replace("{hostname}", &ddns.hostname)
        }
    };
    let mut orders = web(&url, way);
    if let (Some(login), Some(password)) = (&ddns.login, password) {
        orders.login(&login.username, password);
    }
    orders
}

/// What curl gets to ask which address the world sees.
pub(crate) fn ask(url: &str, way: &Way) -> Orders {
    web(url, way)
}

fn web(url: &str, way: &Way) -> Orders {
    let mut orders = Orders::new("=http,https", way);
    orders.secret("url", url, path(url));
    orders.flag("include");
    orders.set("user-agent", AGENT);
    orders
}

/// What the answer to [`tell`] means.
pub(crate) fn judge(kind: DdnsKind, orders: &Orders, ended: &Ended) -> Reply {
    let outcome = http::judge(orders, ended);
    let Some(answer) = http::parse(&ended.stdout) else {
        return Reply::Later(0, orders.hide(&complaint(ended)));
    };
    if kind == DdnsKind::Dyndns2 && (answer.code == 200 || answer.code == 401) {
        let body = answer.body.trim();
        let words = orders.hide(body);
        return match body.split_whitespace().next().unwrap_or_default() {
            // This is how it says that it does not listen to us any more.
            "good" if body.contains("127.0.0.1") => Reply::Stop(words),
            "good" | "nochg" if answer.code == 200 => Reply::Good,
            "badauth" | "notfqdn" | "nohost" | "numhost" | "abuse" | "badagent" | "!donator" => {
                Reply::Stop(words)
            }
            _ if answer.code == 401 => Reply::Stop(outcome.words),
            _ => Reply::Later(HALF_HOUR_S, words),
        };
    }
    match outcome.verdict {
        Verdict::Done => Reply::Good,
        Verdict::Never => Reply::Stop(outcome.words),
        Verdict::Later { after_s } => Reply::Later(after_s.unwrap_or(0).min(DAY_S), outcome.words),
        Verdict::Unheard => Reply::Later(0, outcome.words),
    }
}

/// The address in the answer to [`ask`].
pub(crate) fn read_address(orders: &Orders, ended: &Ended) -> Result<Ipv4Addr, String> {
    let Some(answer) = http::parse(&ended.stdout) else {
        return Err(orders.hide(&complaint(ended)));
    };
    let words = answer.body.split(|c: char| !c.is_ascii_digit() && c != '.');
    let found =
        words.filter_map(|word| word.trim_matches('.').parse().ok()).find(|a| is_public(*a));
    let why = || {
        orders.hide(&format!("no public address in the answer: {} {}", answer.code, answer.body))
    };
    found.filter(|_| answer.code == 200).ok_or_else(why)
}

/// True for an address that the world can reach.
pub(crate) fn is_public(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_special = a == 0
        || a >= 224
        || (a, b) == (192, 0) && c == 0
        || (a == 198 && b & 0xfe == 18)
        || (a == 100 && b & 0xc0 == 64);
    !is_special && !address.is_private() && !address.is_loopback() && !address.is_link_local()
}

/// Between two changes of one name.
const APART_S: u64 = 600;
const HALF_HOUR_S: u64 = 1800;
const DAY_S: u64 = 86_400;
/// What the world sees behind a provider's translation is asked again.
const SEEN_FOR_S: u64 = 600;

#[cfg(test)]
mod tests;
