//! `[notify]` and `[[ddns]]`: who is told what, when, and by what way. Secrets are named by the files
//! that hold them, but for what stands in an address of the web.

use crate::time::Duration;
use alloc::string::String;
use alloc::vec::Vec;

/// `[notify]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Notify {
    /// `email`.
    pub email: Option<Email>,
    /// `webhook`.
    pub webhook: Option<Webhook>,
    /// `command`: the program and its arguments; empty: none.
    pub command: Vec<String>,
    /// `on`: what is told, in the order of the file.
    pub on: Vec<Topic>,
    /// `quiet`: when nothing is told but a total loss.
    pub quiet: Option<Quiet>,
    /// `fold`: how long what belongs together is collected.
    pub fold: Duration,
    /// `at_most`: messages in an hour.
    pub at_most: u32,
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            email: None,
            webhook: None,
            command: Vec::new(),
            on: Topic::ALL.to_vec(),
            quiet: None,
            fold: Duration::from_secs(10),
            at_most: 20,
        }
    }
}

impl Notify {
    /// True if somebody is told something.
    pub const fn is_used(&self) -> bool {
        self.email.is_some() || self.webhook.is_some() || !self.command.is_empty()
    }
}

/// What news are about.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Topic {
    /// The health of uplinks.
    Health,
    /// Which of them carry.
    Role,
    /// Leases of addresses.
    Lease,
    /// Other software.
    Conflict,
    /// The router's own troubles.
    Trouble,
}

impl Topic {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::Health, Self::Role, Self::Lease, Self::Conflict, Self::Trouble];

    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Role => "role",
            Self::Lease => "lease",
            Self::Conflict => "conflict",
            Self::Trouble => "trouble",
        }
    }
}

/// A part of each day, in minutes after midnight of local time; it may go over midnight.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Quiet {
    /// The first minute.
    pub from: u16,
    /// The first minute after it.
    pub to: u16,
}

impl Quiet {
    /// Minutes until its end; `None`: it is not now.
    pub const fn left(self, minute: u16) -> Option<u16> {
        let length = (self.to + DAY - self.from) % DAY;
        let since = (minute + DAY - self.from) % DAY;
        if since < length { Some(length - since) } else { None }
    }
}

const DAY: u16 = 24 * 60;

/// `email`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Email {
    /// Who gets it.
    pub to: Vec<String>,
    /// Who sends it.
    pub from: String,
    /// Name or address of the server.
    pub server: String,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub tls: Encryption,
    /// Name and file of the password; `None`: without a login.
    pub login: Option<Login>,
    /// Certificates to believe instead of the system's.
    pub ca_file: Option<String>,
    /// The server is inside: it is asked whatever the uplinks do.
    pub inside: bool,
}

/// Name and password.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Login {
    /// The name.
    pub username: String,
    /// The file whose first line is the password.
    pub password_file: String,
}

/// How a connection to a mail server is protected.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Encryption {
    /// It begins in the clear, and goes on encrypted or not at all.
    #[default]
    StartTls,
    /// Encrypted from the first byte.
    Tls,
    /// Not at all.
    None,
}

impl Encryption {
    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::StartTls => "starttls",
            Self::Tls => "tls",
            Self::None => "none",
        }
    }

    /// The port where such servers are.
    pub const fn port(self) -> u16 {
        match self {
            Self::StartTls => 587,
            Self::Tls => 465,
            Self::None => 25,
        }
    }
}

/// `webhook`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// Where to.
    pub url: Url,
    /// The form of the message.
    pub format: Format,
    /// More headers, each a line.
    pub headers: Vec<String>,
    /// Certificates to believe instead of the system's.
    pub ca_file: Option<String>,
    /// The server is inside: it is asked whatever the uplinks do.
    pub inside: bool,
}

/// An address of the web, or the file whose first line is one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Url {
    /// The address.
    Plain(String),
    /// The path of the file.
    File(String),
}

/// The form of what a webhook gets.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Format {
    /// Our own.
    #[default]
    Json,
    /// `{"text": ..}`: Slack, Mattermost.
    Slack,
    /// `{"content": ..}`.
    Discord,
    /// Plain text and headers.
    Ntfy,
}

impl Format {
    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Ntfy => "ntfy",
        }
    }
}

/// `[[ddns]]`: a name that follows an address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Ddns {
    /// Whose address; `None`: that of the uplink that carries.
    pub uplink: Option<String>,
    /// How it is told.
    pub kind: DdnsKind,
    /// Where it is told; `{address}` and `{hostname}` stand for what they say.
    pub update: String,
    /// The name.
    pub hostname: String,
    /// Name and file of the password.
    pub login: Option<Login>,
    /// Who says which address the world sees.
    pub ask: Option<String>,
}

/// How a change of address is told.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum DdnsKind {
    /// By the protocol of dyndns.org, second version, which answers with words.
    #[default]
    Dyndns2,
    /// By a question to an address, whose success is the answer's code.
    Url,
}

impl DdnsKind {
    /// The word of the file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Dyndns2 => "dyndns2",
            Self::Url => "url",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given quiet hours over midnight and within a day, then each minute knows how long they last.
    #[test]
    fn quiet_hours_may_go_over_midnight() {
        let night = Quiet { from: 22 * 60, to: 7 * 60 };
        assert_eq!(night.left(21 * 60 + 59), None);
        assert_eq!(night.left(22 * 60), Some(9 * 60));
        assert_eq!(night.left(0), Some(7 * 60));
        assert_eq!(night.left(6 * 60 + 59), Some(1));
        assert_eq!(night.left(7 * 60), None);
        let noon = Quiet { from: 12 * 60, to: 13 * 60 };
        assert_eq!((noon.left(0), noon.left(12 * 60 + 30)), (None, Some(30)));
    }
}
