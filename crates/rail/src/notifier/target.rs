//! One who is told: his queue, his schedule, and the orders for one attempt.

use super::message::Message;
use super::retry::{EXPIRES_S, Outcome, Retry, Verdict};
use super::send::curl::Orders;
use super::send::{Ended, Way, command, http, mail, webhook};
use super::spool::Spool;
use crate::load;
use rail_core::config::{Email, Notify, Url, Webhook};
use rail_core::status::TargetNews;
use rail_linux::file;
use rail_linux::programs;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// One who is told.
#[derive(Debug)]
pub(crate) struct Target {
    /// For people.
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) spool: Spool,
    pub(crate) retry: Retry,
    /// An attempt is under way.
    pub(crate) is_busy: bool,
    /// Which uplink is next.
    pub(crate) turn: usize,
    /// Nobody answered the last time.
    pub(crate) is_unheard: bool,
    sent: u64,
    dropped: u64,
    last_sent: String,
    error: Option<String>,
}

/// Of which kind.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    Mail(Email, String),
    Webhook(Webhook),
    Command(Vec<String>),
}

/// What is started for an attempt.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) words: Vec<String>,
    pub(crate) input: String,
    pub(crate) orders: Option<Orders>,
}

/// Whom the configuration names, with the folder of each.
pub(crate) fn named(notify: &Notify) -> Vec<(String, Kind)> {
    let mut all = Vec::new();
    if let Some(email) = &notify.email {
        let each = email
            .to
            .iter()
            .map(|to| (format!("email {to}"), Kind::Mail(email.clone(), to.clone())));
        all.extend(each);
    }
    all.extend(notify.webhook.clone().map(|w| ("webhook".to_owned(), Kind::Webhook(w))));
    if !notify.command.is_empty() {
        all.push(("command".to_owned(), Kind::Command(notify.command.clone())));
    }
    all
}

impl Target {
    /// With what waits for him on the disk.
    pub(crate) fn open(name: String, kind: Kind, directory: &Path) -> Self {
        let spool = Spool::open(directory.join(name.replace(' ', "-")));
        Self {
            name,
            kind,
            spool,
            retry: Retry::default(),
            is_busy: false,
            turn: 0,
            is_unheard: false,
            sent: 0,
            dropped: 0,
            last_sent: String::new(),
            error: None,
        }
    }

    /// Takes out what is too old. A clock that was never set says nothing; one that was set since makes nothing old.
    pub(crate) fn expire(&mut self, now_s: u64, now_ms: u64) {
        let age_s = |message: &Message| match message.made_ms {
            Some(made_ms) => now_ms.saturating_sub(made_ms) / 1000,
            None if message.made_s > FIRST_GOOD_S => now_s.saturating_sub(message.made_s),
            None => 0,
        };
        while self.spool.first().is_some_and(|message| age_s(message) > EXPIRES_S) {
            self.spool.pop();
            self.dropped += 1;
        }
    }

    /// What came of an attempt with the first message, which had this name. What people should know of it.
    pub(crate) fn ended(
        &mut self,
        id: &str,
        outcome: Outcome,
        now_ms: u64,
        wall: &str,
    ) -> Option<String> {
        self.is_busy = false;
        self.is_unheard = outcome.verdict == Verdict::Unheard;
        let had_failed = self.retry.failures() > 0;
        match outcome.verdict {
            Verdict::Unheard | Verdict::Later { .. } => {
                let after_s = match outcome.verdict {
                    Verdict::Later { after_s } => after_s,
                    _ => None,
                };
                // Whoever was heard and wants time knows us by this uplink.
                self.turn += usize::from(self.is_unheard);
                self.retry.failed(now_ms, after_s);
                let told =
                    (!had_failed).then(|| format!("{} not told: {}", self.name, outcome.words));
                self.error = Some(outcome.words);
                return told;
            }
            Verdict::Done => {
                self.sent += 1;
                self.last_sent = wall.to_owned();
                self.error = None;
            }
            Verdict::Never => {
                self.dropped += 1;
                self.error = Some(outcome.words.clone());
            }
        }
        self.retry.passed();
        // It may have gone meanwhile, for want of room.
        if self.spool.first().is_some_and(|message| message.id == id) {
            self.spool.pop();
        }
        match outcome.verdict {
            Verdict::Never => Some(format!("{} never told: {}", self.name, outcome.words)),
            _ => had_failed.then(|| format!("{} told again", self.name)),
        }
    }

    /// How he does.
    pub(crate) fn news(&self, now_ms: u64) -> TargetNews {
        let waits = self.spool.len() > 0 && self.retry.failures() > 0;
        TargetNews {
            name: self.name.clone(),
            queued: self.spool.len(),
            sent: self.sent,
            dropped: self.dropped + self.spool.dropped,
            failures: self.retry.failures(),
            next_s: waits.then(|| self.retry.next_ms().saturating_sub(now_ms).div_ceil(1000)),
            last_sent: self.last_sent.clone(),
            error: self.error.clone(),
        }
    }
}

impl Kind {
    /// The word of the command line.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Mail(..) => "email",
            Self::Webhook(_) => "webhook",
            Self::Command(_) => "command",
        }
    }

    /// The host that is spoken to, and whether it is said to be inside; `None`: nobody is.
    pub(crate) fn host(&self) -> Option<(&str, bool)> {
        match self {
            Self::Mail(email, _) => Some((&email.server, email.inside)),
            Self::Webhook(webhook) => {
                let host = match &webhook.url {
                    Url::Plain(url) => host_of(url),
                    Url::File(_) => "",
                };
                Some((host, webhook.inside))
            }
            Self::Command(_) => None,
        }
    }

    /// What is started. `file`: where a mail may be written, for curl to read.
    ///
    /// # Errors
    /// It cannot be started; why, and what becomes of the message.
    pub(crate) fn attempt(
        &self,
        message: &Message,
        way: &Way,
        file: &Path,
    ) -> Result<Attempt, Outcome> {
        match self {
            Self::Mail(email, to) => {
                let password = email.login.as_ref().map(|login| secret(&login.password_file));
                let password = password.transpose().map_err(Outcome::unheard)?;
                file::replace(file, mail::write(email, message).as_bytes())
                    .map_err(|e| Outcome::unheard(format!("{}: {e}", file.display())))?;
                let place = file.display().to_string();
                curl(mail::orders(email, password.as_deref(), to, way, &place))
            }
            Self::Webhook(webhook) => {
                let url = match &webhook.url {
                    Url::Plain(url) => url.clone(),
                    Url::File(file) => {
                        let url = secret(file).map_err(Outcome::unheard)?;
                        let why = load::why_no_url(&url);
                        if let Some(why) = why {
                            return Err(Outcome::unheard(format!(
                                "{file} holds no address: {why}"
                            )));
                        }
                        url
                    }
                };
                curl(webhook::orders(webhook, &url, message, way))
            }
            Self::Command(words) => {
                // starts: env; what the administrator wrote
                let env = programs::find("env")
                    .ok_or_else(|| Outcome::unheard("the program env is missing"))?;
                let words = command::words(&env, words, message);
                Ok(Attempt { words, input: command::input(message), orders: None })
            }
        }
    }

    /// What the end of an attempt means.
    pub(crate) fn judge(&self, orders: Option<&Orders>, ended: &Ended) -> Outcome {
        match (self, orders) {
            (Self::Mail(..), Some(orders)) => mail::judge(orders, ended),
            (Self::Webhook(_), Some(orders)) => http::judge(orders, ended),
            _ => command::judge(ended),
        }
    }
}

/// curl with these orders.
pub(crate) fn curl(orders: Orders) -> Result<Attempt, Outcome> {
    // starts: curl
    let Some(curl) = programs::find("curl") else {
        return Err(Outcome::unheard(
            "the program curl is missing; install the package curl \
             (apt install curl, apk add curl, opkg install curl)",
        ));
    };
    // Its first word, or a file in somebody's home would be read before.
    let words = [curl.as_str(), "-q", "--config", "-"].map(str::to_owned).to_vec();
    Ok(Attempt { words, input: orders.text().to_owned(), orders: Some(orders) })
}

/// The first line of a file.
pub(crate) fn secret(path: &str) -> Result<String, String> {
    let cannot = |why: &dyn std::fmt::Display| format!("{path}: {why}");
    // A pipe would be waited for without end, and may take the place of a file at any moment.
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).custom_flags(libc::O_NONBLOCK).open(path);
    let file = file.map_err(|e| cannot(&e))?;
    if !file.metadata().map_err(|e| cannot(&e))?.is_file() {
        return Err(cannot(&"it is no file"));
    }
    let mut text = String::new();
    file.take(4096).read_to_string(&mut text).map_err(|e| cannot(&e))?;
    let line = text.lines().next().unwrap_or_default().trim_end();
    if line.is_empty() || line.chars().any(char::is_control) {
        return Err(cannot(&"its first line is empty, or no text"));
    }
    Ok(line.to_owned())
}

/// The host in an address.
pub(crate) fn host_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or("", |(_, rest)| rest);
    rest.split(['/', '?', '#', ':']).next().unwrap_or_default()
}

/// Before this program was written, no clock was right.
const FIRST_GOOD_S: u64 = 1_700_000_000;

#[cfg(test)]
mod tests;
