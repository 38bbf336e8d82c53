//! The snapshot that every screen is made from. Its JSON form is an interface:
//! names are only added, never changed.

mod public;

use crate::net::{Prefix, UplinkId};
use alloc::format;
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

/// The whole snapshot.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Status {
    /// Router name.
    pub router: String,
    /// Seconds since the daemon started.
    pub uptime_s: u64,
    /// Counts configurations that were taken.
    pub generation: u64,
    /// Uplinks in the order of the configuration.
    pub uplinks: Vec<UplinkStatus>,
    /// VRRP instances; none in this version.
    pub vrrp: Vec<VrrpStatus>,
    /// True when the kernel has what we want.
    pub settled: bool,
    /// The boot guard is closed: nothing is forwarded.
    #[serde(default)]
    pub guarded: bool,
    /// Which configuration is in force; filled in by the daemon.
    #[serde(default)]
    pub configuration: ConfigurationStatus,
    /// Objects that the kernel refused, or that somebody fights over.
    pub trouble: Vec<Trouble>,
    /// Foreign objects inside our ranges, as text; never touched.
    pub foreign: Vec<String>,
    /// Where other software takes, drops or moves what is ours; never touched.
    #[serde(default)]
    pub conflicts: Vec<Conflict>,
    /// What of other software could not be looked at, and why.
    #[serde(default)]
    pub unread: Vec<String>,
    /// Targets that fail on every uplink and are ignored.
    pub blamed: Vec<IpAddr>,
    /// What became of packets from outside.
    pub counters: Counters,
    /// Repairs of drift since the start.
    pub repairs: u64,
    /// The daemon itself; filled in by the daemon.
    #[serde(rename = "self", default)]
    pub own: SelfStatus,
}

/// Which configuration is in force.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConfigurationStatus {
    /// Where it comes from.
    pub source: Source,
    /// When it was taken; wall clock.
    pub taken: String,
    /// By whom.
    pub by: String,
    /// Why the file is not in force.
    pub problem: Option<String>,
    /// It waits for `rail confirm`.
    pub trial: Option<TrialStatus>,
}

/// Where the configuration in force comes from.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// The configuration file, as it was read last.
    #[default]
    File,
    /// The state directory: the file could not be used at the start.
    LastGood,
    /// `rail apply --confirm`: the file does not have it yet.
    Trial,
}

/// A configuration that goes back unless it is confirmed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct TrialStatus {
    /// Seconds until then.
    pub left_s: u64,
}

/// How the daemon itself does: an uplink can only be judged by one who is awake and hears the kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SelfStatus {
    /// Process id.
    pub pid: u32,
    /// Version.
    pub version: String,
    /// The loop runs with real-time scheduling.
    pub realtime: bool,
    /// Passes of the loop.
    pub passes: u64,
    /// How late the loop served its deadlines, in microseconds: the last one.
    pub lag_us: u64,
    /// 99 of 100 of the last minute were served at least this soon.
    pub lag_p99_us: u64,
    /// The latest of the last minute.
    pub lag_max_us: u64,
    /// The latest since the start.
    pub lag_worst_us: u64,
    /// Deadlines served more than 100 ms late.
    pub late: u64,
    /// Seconds since the last of them.
    pub late_ago_s: Option<u64>,
    /// The longest pass since the start.
    pub pass_worst_us: u64,
    /// Log lines that found no place.
    pub log_dropped: u64,
    /// Probe sockets that could not be opened, attempts counted.
    pub probe_open_errors: u64,
    /// Probes that the kernel did not take.
    pub probe_send_errors: u64,
    /// Packets on probe sockets that were torn or named another device.
    pub probe_dropped: u64,
    /// The sockets to the kernel's tables.
    pub netlink: NetlinkStatus,
}

/// What the sockets to the kernel's tables counted.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NetlinkStatus {
    /// Messages read.
    pub messages: u64,
    /// Times that messages were lost for want of room (ENOBUFS); everything is read again then.
    pub overruns: u64,
    /// Seconds since the last of them.
    pub overrun_ago_s: Option<u64>,
    /// Datagrams from somebody else than the kernel, dropped.
    pub foreign: u64,
    /// Messages that were torn.
    pub malformed: u64,
}

/// Counted drops and events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Probes sent.
    pub probes_sent: u64,
    /// Valid answers.
    pub probes_answered: u64,
    /// Packets on probe sockets that were no answer to any of our probes.
    pub packets_refused: u64,
    /// Answers that arrived a second time.
    pub duplicates: u64,
    /// Full observations.
    pub observations: u64,
    /// Connections deleted because they could move.
    pub purged: u64,
}

/// A VRRP instance (reserved).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct VrrpStatus {
    /// Name.
    pub name: String,
    /// `active`, `backup`, `fault`, `init`.
    pub state: String,
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
    /// Carrier: `Some(true)` is good, `None` when there is no interface.
    pub carrier: Option<bool>,
    /// The interface is administratively up; `None` when there is none.
    #[serde(default)]
    pub link_up: Option<bool>,
    /// The address is on the interface.
    pub has_address: bool,
    /// What the kernel knows of the gateway: `known`, `asking`, `failed`, `unknown`.
    pub neighbour: String,
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
    pub blamed: bool,
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

/// Probes to one target through one uplink, since the checks were configured.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct ProbeCounters {
    /// Sent.
    pub sent: u64,
    /// Answered, late answers included.
    pub answered: u64,
    /// Of these, answered after the time-out.
    pub late: u64,
    /// Not answered within the time-out, nor later.
    pub lost: u64,
}

/// Packets on the probe socket of one uplink that were no answer, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct RefusedCounters {
    /// No echo reply of the form that ours have.
    pub malformed: u64,
    /// Not from a target.
    pub wrong_source: u64,
    /// The number of no probe that is remembered: guessed, or too late.
    pub wrong_sequence: u64,
    /// Not with what the probe held: the sender never saw it.
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

/// A kernel object that is not as we want it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// The object.
    pub object: String,
    /// The kernel's words, or who fights.
    pub text: String,
    /// Milliseconds until the next attempt; 0: none, for somebody else's object stands in the place,
    /// or a contested one is in place now.
    pub retry_ms: u64,
    /// Somebody else keeps changing it.
    pub contested: bool,
}

/// Other software in our way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// What kind of conflict.
    pub kind: ConflictKind,
    /// False where a rule could not be understood: it may be so.
    pub certain: bool,
    /// Whose it is: a program, or the table where that is not known.
    pub owner: String,
    /// What exactly: table, chain, rule or policy.
    pub object: String,
    /// The part of it that anybody may know, where only root may read the rest: table and chain.
    #[serde(skip)]
    pub place: Option<String>,
    /// What it does to our traffic.
    pub effect: String,
    /// What to do about it: commands, where there are some.
    pub remedy: String,
    /// Names of the uplinks it concerns; empty: any.
    #[serde(default)]
    pub uplinks: Vec<String>,
}

impl Conflict {
    /// Who does what, in one sentence.
    pub fn sentence(&self) -> String {
        let Self { owner, object, effect, .. } = self;
        match object.as_str() {
            "" => format!("{owner} {effect}"),
            object => format!("{owner}: {object}: {effect}"),
        }
    }

    /// True if it concerns this uplink.
    pub fn concerns(&self, uplink: &str) -> bool {
        self.uplinks.is_empty() || self.uplinks.iter().any(|name| name == uplink)
    }

    /// True if an uplink that it concerns can be down for nothing else.
    pub fn is_fatal(&self) -> bool {
        match self.kind {
            ConflictKind::Device
            | ConflictKind::Overlap
            | ConflictKind::Address
            | ConflictKind::Target => true,
            // Of what the LAN sends the probes know nothing.
            ConflictKind::Drops | ConflictKind::Refuses | ConflictKind::Diverts => {
                !self.uplinks.is_empty()
            }
            ConflictKind::NotLoaded
            | ConflictKind::Closed
            | ConflictKind::Shadowed
            | ConflictKind::Offloads
            | ConflictKind::Translates
            | ConflictKind::Marks
            | ConflictKind::Range => false,
        }
    }
}

/// Kinds of conflicts, the worst first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictKind {
    /// Packets of ours are dropped.
    Drops,
    /// Mode `external`, and the generated rules are not there.
    NotLoaded,
    /// A route of `main` refuses what uplinks should carry.
    Refuses,
    /// A policy rule, or routes of `main`, take packets of ours.
    Diverts,
    /// An interface cannot be used under its name, or where it stands.
    Device,
    /// Two networks overlap.
    Overlap,
    /// An interface that the file does not name is filtered as an uplink.
    Closed,
    /// An address is somebody else's, or nobody's.
    Address,
    /// A policy rule of others never matches, because ours come first.
    Shadowed,
    /// Connections bypass our rules.
    Offloads,
    /// A source is translated before we do it.
    Translates,
    /// Our bits of the marks are used.
    Marks,
    /// A route stands in our tables.
    Range,
    /// A target says nothing of an uplink.
    Target,
}
