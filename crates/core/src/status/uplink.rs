//! An uplink on the screens.

use super::{KeptStatus, LeaseStatus, PppStatus};
use crate::config::{CheckConfig, CheckKind};
use crate::net::{Prefix, UplinkId};
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// Health of an uplink.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Health {
    /// The interface does not exist.
    Absent,
    /// No carrier, or administratively down.
    NoCarrier,
    /// The address is not (yet) on the interface.
    NoAddress,
    /// The kernel does not take its route or its rule, or has lost it: it cannot be probed.
    NoWay,
    /// Never judged since boot.
    Probing,
    /// Good.
    Up,
    /// It may be silent: new connections go elsewhere while that is found out.
    Suspect,
    /// Usable, but loss, latency or jitter exceed a limit.
    Degraded,
    /// Dead.
    Down,
    /// Good again, held back by a timer.
    Held,
    /// Switched off by the administrator.
    Disabled,
}

impl Health {
    /// True if the uplink can carry new connections.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Probing | Self::Up | Self::Suspect | Self::Degraded)
    }

    /// True if the uplink answers well: it can be used, or is held back for a while.
    pub const fn is_alive(self) -> bool {
        self.is_usable() || matches!(self, Self::Held)
    }

    /// True if the interface, its carrier or its address is not there.
    pub const fn lacks_device(self) -> bool {
        matches!(self, Self::Absent | Self::NoCarrier | Self::NoAddress)
    }

    /// The word of the JSON form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Absent => "absent",
            Self::NoCarrier => "no-carrier",
            Self::NoAddress => "no-address",
            Self::NoWay => "no-way",
            Self::Probing => "probing",
            Self::Up => "up",
            Self::Suspect => "suspect",
            Self::Degraded => "degraded",
            Self::Down => "down",
            Self::Held => "held",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for Health {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What an uplink is used for.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Carries new connections.
    Active,
    /// Waits for its tier's turn, or is not usable.
    Standby,
    /// `tier = "none"`.
    Inbound,
}

impl Role {
    /// The word of the JSON form.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Standby => "standby",
            Self::Inbound => "inbound",
        }
    }
}

/// One uplink.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UplinkStatus {
    /// Name.
    pub name: String,
    /// Description.
    pub description: String,
    /// Number: mark and table offset.
    pub id: UplinkId,
    /// Interface; one that is not found as the configuration has it.
    pub interface: String,
    /// Address.
    pub address: Option<Prefix>,
    /// Gateway.
    pub gateway: Option<IpAddr>,
    /// Weight.
    pub weight: u8,
    /// Tier; `None`: inbound only.
    pub tier: Option<u32>,
    /// Health.
    pub health: Health,
    /// Role.
    pub role: Role,
    /// Share of new connections, 0 to 1.
    pub share: f64,
    /// Seconds since the health last changed.
    pub since_s: u64,
    /// Why it has this health, one sentence; empty when up.
    pub cause: String,
    /// Mean round-trip time over the long window, in microseconds.
    pub rtt_us: Option<u64>,
    /// Mean deviation of the round-trip time, in microseconds.
    pub jitter_us: Option<u64>,
    /// Loss over the long window, in per cent.
    pub loss_pct: Option<f64>,
    /// Answers to probes in a second that somebody on the way allows; `None`: nobody limits them.
    #[serde(default)]
    pub limited_per_s: Option<f64>,
    /// Carrier: `Some(true)` is good, `None` when there is no interface.
    pub carrier: Option<bool>,
    /// The interface is administratively up; `None` when there is none.
    #[serde(default)]
    pub link_up: Option<bool>,
    /// The address is on the interface.
    pub has_address: bool,
    /// Its DHCP client; `None`: it has none.
    #[serde(default)]
    pub lease: Option<LeaseStatus>,
    /// Its PPP connection; `None`: it has none.
    #[serde(default)]
    pub ppp: Option<PppStatus>,
    /// It is on cold standby and has no address on purpose.
    #[serde(default)]
    pub cold: bool,
    /// What another program has configured; `None`: that is no matter.
    #[serde(default)]
    pub kept: Option<KeptStatus>,
    /// What the kernel knows of the gateway: `known`, `asking`, `failed`, `unknown`.
    pub neighbour: String,
    /// How it is checked.
    #[serde(default)]
    pub check: CheckStatus,
    /// Targets.
    pub targets: Vec<TargetStatus>,
    /// What must happen before it carries connections; empty when it can.
    pub returns: String,
    /// What was decided and done, newest last, at most 16 entries.
    pub history: Vec<HistoryEntry>,
    /// What was said of it by command.
    #[serde(default, rename = "override")]
    pub said: Option<OverrideStatus>,
    /// Changes of health since the start.
    pub transitions: u64,
    /// Packets that came in as answers and were none.
    #[serde(default)]
    pub refused: RefusedCounters,
}

/// How an uplink is checked.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CheckStatus {
    /// `kind` of the configuration; empty: not told.
    pub kind: String,
    /// Port of the targets, where the kind has one.
    pub port: Option<u16>,
    /// How many targets must answer.
    pub required: usize,
}

impl From<&CheckConfig> for CheckStatus {
    fn from(check: &CheckConfig) -> Self {
        let port = match check.kind {
            CheckKind::Icmp | CheckKind::Arp => None,
            CheckKind::Tcp { port } => Some(port),
        };
        Self { kind: check.kind.as_str().into(), port, required: check.required }
    }
}

/// What was said of an uplink by command.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct OverrideStatus {
    /// `disabled`, `drained` or `preferred`.
    pub action: String,
    /// By whom.
    pub by: String,
    /// Its end on the wall clock; empty: none.
    pub until: String,
    /// Seconds until then.
    pub left_s: Option<u64>,
    /// All of it in words.
    pub text: String,
}

/// One target as seen through one uplink.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TargetStatus {
    /// Address.
    pub address: IpAddr,
    /// An answer arrived within the quorum window.
    pub answering: bool,
    /// Ignored: it fails on every uplink.
    #[serde(rename = "blamed")]
    pub ignored: bool,
    /// Last round-trip time in microseconds.
    pub rtt_us: Option<u64>,
    /// Loss over the long window, in per cent.
    pub loss_pct: Option<f64>,
    /// Milliseconds since the last valid answer.
    pub silent_ms: Option<u64>,
    /// What became of the probes.
    #[serde(default)]
    pub probes: ProbeCounters,
}

/// Probes to one target through one uplink, since this target is one of its checks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProbeCounters {
    /// Sent.
    pub sent: u64,
    /// Answered, late answers included.
    pub answered: u64,
    /// Of these, answered after the time-out.
    pub late: u64,
    /// Overdue by the measured round trip, and not answered since.
    pub lost: u64,
}

/// What came in as an answer to the probes of one uplink and was none, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RefusedCounters {
    /// No answer of the form that ours have.
    pub malformed: u64,
    /// Not from a target.
    pub wrong_source: u64,
    /// The number of no probe that is remembered: guessed, or too late.
    pub wrong_sequence: u64,
    /// Not with what the probe held: the sender never saw it. Of ARP: for another card or address.
    pub wrong_nonce: u64,
    /// The answer to a probe of another uplink.
    pub wrong_interface: u64,
    /// Answered before.
    pub duplicate: u64,
}

/// Something that was decided or done.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Milliseconds since boot.
    pub at_ms: u64,
    /// One sentence, past tense.
    pub text: String,
}
