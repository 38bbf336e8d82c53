//! News of the uplinks.

use crate::net::Prefix;
use crate::notice::{Entry, Severity};
use crate::status::{Health, Role};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// News of the uplinks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum UplinkNews {
    /// An uplink's health changed. `meant`: rail has brought it about.
    Health {
        uplink: String,
        from: Health,
        to: Health,
        cause: String,
        #[serde(default, skip_serializing_if = "is_not")]
        meant: bool,
    },
    /// An uplink that stays unusable has another cause for it.
    Unusable { uplink: String, health: Health, cause: String },
    /// An uplink's role changed.
    Role { uplink: String, from: Role, to: Role },
    /// The active set changed and the kernel has it. `took_us`: from decided to verified.
    Switched { active: Vec<String>, took_us: u64 },
    /// No uplink is usable. `kept`: the last routing stays.
    NoUplink { kept: bool },
    /// A target fails on every uplink and is ignored; or counts again.
    #[serde(rename = "blamed")]
    Ignored {
        target: IpAddr,
        #[serde(rename = "blamed")]
        ignored: bool,
    },
    /// An uplink on cold standby is called, or let go again.
    Standby { uplink: String, called: bool },
    /// Another program has configured an uplink that it looks after.
    Followed { uplink: String, address: Prefix, gateway: Option<IpAddr> },
    /// A target answered a probe.
    Answered { uplink: String, target: IpAddr, rtt_us: u64 },
}

impl UplinkNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Health { uplink, from, to, cause, meant } => {
                health(uplink, (*from, *to), cause, *meant)
            }
            Self::Unusable { uplink, health, cause } => Entry::warn("uplink is unusable")
                .with("uplink", uplink)
                .with("health", health)
                .with("cause", cause),
            Self::Role { uplink, from, to } => role(uplink, *from, *to),
            Self::Switched { active, took_us } => Entry::info("switched the active set")
                .with("active", active.join(","))
                .with("took_us", took_us),
            Self::NoUplink { kept } => {
                Entry::new(Severity::Error, "no usable uplink").with("kept", kept)
            }
            Self::Ignored { target, ignored: true } => {
                Entry::warn("target ignored: it fails on every uplink").with("target", target)
            }
            Self::Ignored { target, .. } => {
                Entry::info("target counts again").with("target", target)
            }
            Self::Standby { uplink, called } => {
                let sentence = if *called {
                    "called an uplink from cold standby"
                } else {
                    "let an uplink go to cold standby"
                };
                Entry::info(sentence).with("uplink", uplink)
            }
            Self::Followed { uplink, address, gateway } => followed(uplink, *address, *gateway),
            Self::Answered { uplink, target, rtt_us } => Entry::debug("target answered")
                .with("uplink", uplink)
                .with("target", target)
                .with("rtt_us", rtt_us),
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
const fn is_not(value: &bool) -> bool {
    !*value
}

/// How a change of health reads.
fn health<'a>(uplink: &str, (from, to): (Health, Health), cause: &str, meant: bool) -> Entry<'a> {
    let sentence =
        if from == to { "found an uplink at the start" } else { "uplink changed health" };
    let severity = if meant { Severity::Info } else { health_severity(from, to) };
    Entry::new(severity, sentence)
        .with("uplink", uplink)
        .with("from", from)
        .with("to", to)
        .with("cause", cause)
}

/// How it reads what another program has set.
fn followed<'a>(uplink: &str, address: Prefix, gateway: Option<IpAddr>) -> Entry<'a> {
    let entry =
        Entry::info("followed another program").with("uplink", uplink).with("address", address);
    match gateway {
        Some(gateway) => entry.with("gateway", gateway),
        None => entry,
    }
}

/// How a change of role reads.
fn role<'a>(uplink: &str, from: Role, to: Role) -> Entry<'a> {
    Entry::info("uplink changed role")
        .with("uplink", uplink)
        .with("from", from.as_str())
        .with("to", to.as_str())
}

fn health_severity(from: Health, to: Health) -> Severity {
    match to {
        Health::Down | Health::NoCarrier | Health::Absent | Health::NoWay => Severity::Warn,
        // Each first start finds uplinks whose address is not set yet.
        Health::NoAddress if from.is_alive() => Severity::Warn,
        // It comes and goes, on a mobile uplink each few minutes.
        Health::Suspect => Severity::Debug,
        _ if from == Health::Suspect && to.is_usable() => Severity::Debug,
        _ => Severity::Info,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given an uplink without an address, then it is a warning if it had one, and none at a first start.
    #[test]
    fn a_lost_address_is_a_warning() {
        let severity = |from| health_severity(from, Health::NoAddress);
        assert_eq!(severity(Health::Up), Severity::Warn);
        assert_eq!(severity(Health::Absent), Severity::Info);
        assert_eq!(severity(Health::NoCarrier), Severity::Info);
    }
}
