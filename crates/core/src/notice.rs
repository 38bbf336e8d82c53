//! Typed news. A log line, an event, a metric and a mail are all made from one
//! notice, so that they always say the same thing.

use crate::status::{Conflict, Health, Role};
use alloc::string::{String, ToString};
use alloc::vec;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// How much a notice matters.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// We fail our duty.
    Error,
    /// A human should look this week.
    Warn,
    /// A role or an uplink changed.
    Info,
    /// Why a decision fell so.
    Debug,
    /// Per packet.
    Trace,
}

/// A piece of news.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log: uplink, from, to, cause, ...")]
pub enum Notice {
    /// The daemon began its work.
    Started { router: String, adopted: bool },
    /// A configuration was taken.
    Reloaded { generation: u64 },
    /// An uplink's health changed.
    Health { uplink: String, from: Health, to: Health, cause: String },
    /// An uplink that stays unusable has another cause for it.
    Unusable { uplink: String, health: Health, cause: String },
    /// An uplink's role changed.
    Role { uplink: String, from: Role, to: Role },
    /// The active set changed and the kernel has it. `took_us`: from decided to verified.
    Switched { active: Vec<String>, took_us: u64 },
    /// No uplink is usable.
    NoUplink { kept: bool },
    /// Connections of an uplink that could move were deleted.
    Purged { uplink: String, connections: u32 },
    /// A target fails on every uplink and is ignored; or counts again.
    Blamed { target: IpAddr, blamed: bool },
    /// Somebody else changed an object of ours; it was put back. Who it was the shell adds, if it is
    /// known.
    Repaired { object: String, took_us: u64, by: String },
    /// Somebody keeps changing an object of ours; we slow down.
    Contested { object: String, repairs: u32 },
    /// That is over.
    Uncontested { object: String },
    /// The kernel refused a change.
    Refused { object: String, error: String, retry_ms: u64 },
    /// A foreign object stands inside our ranges. It is left alone.
    Foreign { object: String },
    /// Other software is in our way; or no longer. `place`: as in the conflict.
    Conflict {
        owner: String,
        object: String,
        #[serde(skip)]
        place: Option<String>,
        effect: String,
        remedy: String,
        gone: bool,
    },
    /// A target answered a probe (level debug).
    Answered { uplink: String, target: IpAddr, rtt_us: u64 },
    /// A kernel object was changed (level debug).
    Changed { object: String, change: String },
    /// The loop served something late; how often since this was last told.
    Late { late_us: u64, times: u64 },
    /// Notifications of the kernel were lost; how often since this was last told.
    Overrun { times: u64 },
    /// The boot guard was found, or is taken away because the first state is verified.
    Guard { closed: bool },
    /// An interface that the configuration names otherwise has this name now.
    Named { interface: String, ifname: String },
    /// The state was taken away.
    Withdrawn,
    /// Somebody said by command how to use an uplink; or that is over.
    Override { uplink: String, action: Option<String>, by: String, until: String },
    /// The configuration file could not be used at the start.
    LastGood { problem: String },
    /// A configuration was installed by command.
    Installed { by: String, how: String },
    /// A configuration is in force until its time is over.
    OnTrial { by: String, limit_s: u64 },
    /// It is in force for good.
    Confirmed { by: String },
    /// What was before it is in force again.
    TakenBack { why: String },
    /// Something of the daemon itself, outside the core.
    Daemon { severity: Severity, text: String },
}

/// A field of a log line.
pub type Field = (&'static str, String);

impl Notice {
    /// Of a conflict that was found, or is over.
    pub fn conflict(conflict: &Conflict, gone: bool) -> Self {
        let Conflict { owner, object, place, effect, remedy, .. } = conflict.clone();
        Self::Conflict { owner, object, place, effect, remedy, gone }
    }

    /// The same for those who may not look at the rules, where that is less.
    pub fn for_anybody(&self) -> Option<Self> {
        let mut less = self.clone();
        let Self::Conflict { object, place, .. } = &mut less else { return None };
        *object = place.take()?;
        Some(less)
    }

    /// How much it matters.
    pub fn severity(&self) -> Severity {
        match self {
            Self::NoUplink { .. } | Self::LastGood { .. } => Severity::Error,
            Self::OnTrial { .. } | Self::TakenBack { .. } => Severity::Warn,
            Self::Contested { .. } | Self::Refused { .. } | Self::Foreign { .. } => Severity::Warn,
            Self::Health {
                to: Health::Down | Health::NoCarrier | Health::Absent | Health::NoWay,
                ..
            }
            | Self::Unusable { .. }
            | Self::Blamed { blamed: true, .. }
            | Self::Late { .. }
            | Self::Overrun { .. }
            | Self::Conflict { gone: false, .. }
            | Self::Repaired { .. } => Severity::Warn,
            // Each first start finds uplinks whose address is not set yet.
            Self::Health { from, to: Health::NoAddress, .. } if from.is_alive() => Severity::Warn,
            Self::Answered { .. } | Self::Changed { .. } => Severity::Debug,
            // It comes and goes, on a mobile line each few minutes.
            Self::Health { to: Health::Suspect, .. } => Severity::Debug,
            Self::Health { from: Health::Suspect, to, .. } if to.is_usable() => Severity::Debug,
            Self::Daemon { severity, .. } => *severity,
            Self::Started { .. }
            | Self::Reloaded { .. }
            | Self::Health { .. }
            | Self::Role { .. }
            | Self::Switched { .. }
            | Self::Purged { .. }
            | Self::Blamed { .. }
            | Self::Conflict { .. }
            | Self::Uncontested { .. }
            | Self::Guard { .. }
            | Self::Named { .. }
            | Self::Installed { .. }
            | Self::Override { .. }
            | Self::Confirmed { .. }
            | Self::Withdrawn => Severity::Info,
        }
    }

    /// One sentence in the past tense, without values.
    pub fn sentence(&self) -> &str {
        match self {
            Self::Started { adopted: true, .. } => "started and adopted what was there",
            Self::Started { .. } => "started",
            Self::Reloaded { .. } => "configuration reloaded",
            Self::Health { from, to, .. } if from == to => "found an uplink at the start",
            Self::Health { .. } => "uplink changed health",
            Self::Unusable { .. } => "uplink is unusable",
            Self::Role { .. } => "uplink changed role",
            Self::Switched { .. } => "switched the active set",
            Self::NoUplink { .. } => "no usable uplink",
            Self::Purged { .. } => "deleted connections",
            Self::Blamed { blamed: true, .. } => "target ignored: it fails on every uplink",
            Self::Blamed { .. } => "target counts again",
            Self::Repaired { .. } => "repaired an object that somebody changed",
            Self::Contested { .. } => {
                "another program keeps changing this object; repairing less often"
            }
            Self::Uncontested { .. } => "repairing this object at the usual pace again",
            Self::Refused { .. } => "failed to change an object",
            Self::Foreign { .. } => "object not created by rail inside its ranges; ignored",
            Self::Conflict { gone: true, .. } => "conflict resolved",
            Self::Conflict { .. } => "conflict with other software",
            Self::Answered { .. } => "target answered",
            Self::Changed { .. } => "changed an object",
            Self::Late { .. } => "event loop delayed",
            Self::Overrun { .. } => "kernel notifications lost; everything read again",
            Self::Guard { closed: true } => {
                "boot guard closed: forwarding blocked until the first state is verified"
            }
            Self::Guard { .. } => "verified the first state and opened the boot guard",
            Self::Named { .. } => "interface of the configuration has this name now",
            Self::Withdrawn => "removed everything rail had installed",
            Self::Override { action: Some(_), .. } => "uplink overridden by command",
            Self::Override { .. } => "uplink used as configured again",
            Self::LastGood { .. } => "started with the last good configuration",
            Self::Installed { .. } => "installed a configuration",
            Self::OnTrial { .. } => "configuration on trial",
            Self::Confirmed { .. } => "confirmed the configuration on trial",
            Self::TakenBack { .. } => "configuration on trial rolled back",
            Self::Daemon { text, .. } => text,
        }
    }

    /// The values, with fixed names.
    pub fn fields(&self) -> Vec<Field> {
        match self {
            Self::Started { router, .. } => vec![("router", router.clone())],
            Self::Reloaded { generation } => vec![("generation", generation.to_string())],
            Self::Health { uplink, from, to, cause } => vec![
                ("uplink", uplink.clone()),
                ("from", from.to_string()),
                ("to", to.to_string()),
                ("cause", cause.clone()),
            ],
            Self::Unusable { uplink, health, cause } => vec![
                ("uplink", uplink.clone()),
                ("health", health.to_string()),
                ("cause", cause.clone()),
            ],
            Self::Role { uplink, from, to } => vec![
                ("uplink", uplink.clone()),
                ("from", from.as_str().into()),
                ("to", to.as_str().into()),
            ],
            Self::Switched { active, took_us } => {
                vec![("active", active.join(",")), ("took_us", took_us.to_string())]
            }
            Self::NoUplink { kept } => vec![("kept", kept.to_string())],
            Self::Purged { uplink, connections } => {
                vec![("uplink", uplink.clone()), ("connections", connections.to_string())]
            }
            Self::Blamed { target, .. } => vec![("target", target.to_string())],
            Self::Repaired { object, took_us, by } => {
                let by = Some(("by", by.clone())).filter(|(_, by)| !by.is_empty());
                let mut fields = vec![("key", object.clone()), ("took_us", took_us.to_string())];
                fields.extend(by);
                fields
            }
            Self::Contested { object, repairs } => {
                vec![("key", object.clone()), ("repairs", repairs.to_string())]
            }
            Self::Refused { object, error, retry_ms } => vec![
                ("key", object.clone()),
                ("errno", error.clone()),
                ("retry_ms", retry_ms.to_string()),
            ],
            Self::Foreign { object } | Self::Uncontested { object } => {
                vec![("key", object.clone())]
            }
            Self::Conflict { owner, object, effect, remedy, .. } => vec![
                ("owner", owner.clone()),
                ("key", object.clone()),
                ("effect", effect.clone()),
                ("remedy", remedy.clone()),
            ],
            Self::Answered { uplink, target, rtt_us } => vec![
                ("uplink", uplink.clone()),
                ("target", target.to_string()),
                ("rtt_us", rtt_us.to_string()),
            ],
            Self::Changed { object, change } => {
                vec![("key", object.clone()), ("op", change.clone())]
            }
            Self::Named { interface, ifname } => {
                vec![("interface", interface.clone()), ("ifname", ifname.clone())]
            }
            Self::Late { late_us, times } => {
                vec![("late_us", late_us.to_string()), ("times", times.to_string())]
            }
            Self::Overrun { times } => vec![("times", times.to_string())],
            Self::Guard { .. } | Self::Withdrawn | Self::Daemon { .. } => Vec::new(),
            _ => self.fields_by_command(),
        }
    }

    /// Those of what people do, or have left undone.
    fn fields_by_command(&self) -> Vec<Field> {
        match self {
            Self::Override { uplink, action: Some(action), by, until } => vec![
                ("uplink", uplink.clone()),
                ("action", action.clone()),
                ("by", by.clone()),
                ("until", until.clone()),
            ],
            Self::Override { uplink, .. } => vec![("uplink", uplink.clone())],
            Self::LastGood { problem } => vec![("problem", problem.clone())],
            Self::Installed { by, how } => vec![("by", by.clone()), ("how", how.clone())],
            Self::OnTrial { by, limit_s } => {
                vec![("by", by.clone()), ("limit_s", limit_s.to_string())]
            }
            Self::Confirmed { by } => vec![("by", by.clone())],
            Self::TakenBack { why } => vec![("why", why.clone())],
            _ => Vec::new(),
        }
    }

    /// The uplink it is about, for filters.
    pub fn uplink(&self) -> Option<&str> {
        match self {
            Self::Health { uplink, .. }
            | Self::Unusable { uplink, .. }
            | Self::Role { uplink, .. }
            | Self::Purged { uplink, .. }
            | Self::Override { uplink, .. }
            | Self::Answered { uplink, .. } => Some(uplink),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given an uplink without an address, then it is a warning if it had one, and none at a first start.
    #[test]
    fn a_lost_address_is_a_warning() {
        let health = |from| Notice::Health {
            uplink: "isp1".into(),
            from,
            to: Health::NoAddress,
            cause: String::new(),
        };
        assert_eq!(health(Health::Up).severity(), Severity::Warn);
        assert_eq!(health(Health::Absent).severity(), Severity::Info);
        assert_eq!(health(Health::NoCarrier).severity(), Severity::Info);
    }
}
