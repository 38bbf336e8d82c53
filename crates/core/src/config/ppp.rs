//! `ppp` of an uplink: how pppd is to dial. Secrets are named by their files alone; the shell reads those
//! when it starts pppd.

use super::Selector;
use crate::net::IfName;
use alloc::string::String;

/// `ppp`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PppConfig {
    /// What it dials through.
    pub line: PppLine,
    /// Who we are; `None`: the other end does not ask.
    pub username: Option<Username>,
    /// Path of the file that holds the password; `None`: there is none.
    pub password_file: Option<String>,
}

/// `username` or `username_file`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Username {
    /// As the file says.
    Plain(String),
    /// Path of the file that holds it.
    File(String),
}

/// What a PPP uplink dials through.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum PppLine {
    /// PPPoE (RFC 2516) by an Ethernet interface or a VLAN.
    Ethernet {
        /// `parent` as the file says it.
        parent: Selector,
        /// Its name now.
        port: IfName,
        /// `service`: the only service that is asked for; `None`: any.
        service: Option<String>,
        /// `ac`: the only access concentrator that is answered; `None`: any.
        ac: Option<String>,
    },
    /// A serial line: a modem, also one on USB.
    Serial {
        /// `device`: its path below `/dev`.
        device: String,
        /// `speed` in bits a second.
        speed: u32,
        /// `carrier`: the modem tells when the connection is lost (the DCD line).
        carrier: bool,
        /// How the modem is told to dial.
        chat: Chat,
    },
}

/// How a modem is told to dial.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Chat {
    /// `dial` and `apn`: our script.
    Ours {
        /// The number.
        dial: String,
        /// Access point name of a mobile network; `None`: what the modem has stored.
        apn: Option<String>,
    },
    /// `chat_file`: path of a script of the administrator's.
    File(String),
}

impl PppConfig {
    /// The interface that PPPoE goes by: as the file says it, and its name now.
    pub const fn parent(&self) -> Option<(&Selector, IfName)> {
        match &self.line {
            PppLine::Ethernet { parent, port, .. } => Some((parent, *port)),
            PppLine::Serial { .. } => None,
        }
    }

    /// Its name now.
    pub const fn port(&self) -> Option<IfName> {
        match &self.line {
            PppLine::Ethernet { port, .. } => Some(*port),
            PppLine::Serial { .. } => None,
        }
    }

    /// True if both are the same line: by another one nothing that was found of it stays true.
    pub fn is_same(&self, other: &Self) -> bool {
        match (&self.line, &other.line) {
            (
                PppLine::Ethernet { parent: a, port: x, .. },
                PppLine::Ethernet { parent: b, port: y, .. },
            ) => a == b || x == y,
            (PppLine::Serial { device: a, .. }, PppLine::Serial { device: b, .. }) => a == b,
            _ => false,
        }
    }
}

/// True for what a number that is dialled is made of.
pub const fn is_dial_char(c: char) -> bool {
    matches!(c, '0'..='9' | 'A'..='D' | '*' | '#' | '+' | ',')
}

/// True for what an access point name is made of (3GPP TS 23.003 §9.1, and `_`, which some have).
pub const fn is_apn_char(c: char) -> bool {
    matches!(c, '0'..='9' | 'A'..='Z' | 'a'..='z' | '-' | '.' | '_')
}
