//! How the daemon itself does.

use alloc::string::String;
use serde::{Deserialize, Serialize};

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
