//! `[router]` and `[log]`.

use alloc::string::String;
use alloc::vec::Vec;

/// `[router]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Router {
    /// Name shown in status; default: the host name.
    pub name: String,
    /// What happens to new connections when no uplink is usable.
    pub no_uplink: NoUplink,
    /// Who decides that a better uplink carries again.
    pub failback: Failback,
    /// UDP ports of the router's own tunnels, which go where the uplinks carry.
    pub tunnels: Vec<u16>,
}

/// Who decides that an uplink carries again that has fallen, while one of a higher tier carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Failback {
    /// It does as soon as it is good (default).
    #[default]
    Auto,
    /// Somebody, by `rail prefer`, or the one that carries falls.
    Manual,
}

/// What happens to new connections when no uplink is usable.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum NoUplink {
    /// Keep the last state (default).
    #[default]
    Keep,
    /// Answer with "unreachable".
    Unreachable,
}

/// `[log]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Log file; `None`: journal or stderr.
    pub file: Option<String>,
    /// Size at which the file is rotated, in bytes.
    pub max_size_bytes: u64,
    /// How many rotated files are kept.
    pub keep: u32,
    /// Lowest level that is written.
    pub level: LogLevel,
}

/// Log levels, most severe first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub enum LogLevel {
    /// We fail our duty.
    Error,
    /// A human should look this week.
    Warn,
    /// A role or an uplink changed.
    #[default]
    Info,
    /// Why a decision fell so.
    Debug,
    /// Per packet.
    Trace,
}
