//! `[check]`, and `check` of an uplink.

use crate::time::Duration;
use alloc::vec::Vec;
use core::mem::discriminant;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// `[check]`, or `check` of an uplink: what is asked, how often, and what it takes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckConfig {
    /// What is asked of a target.
    pub kind: CheckKind,
    /// Who is asked; empty where the kind says that.
    pub targets: Vec<Ipv4Addr>,
    /// How many targets must answer; 1 to the number of targets.
    pub required: usize,
    /// Time between two probes at rest; no shorter than the kind allows.
    pub interval: Duration,
    /// An answer after this time is counted as late; no verdict depends on it.
    pub timeout: Duration,
    /// Down at the latest when nothing valid has arrived for this many intervals.
    pub fail_after: u32,
    /// Consecutive good rounds before a dead uplink returns.
    pub recover_after: u32,
    /// How long the good rounds must have lasted, besides, before it returns.
    pub stable_for: Duration,
    /// How returns are held back that follow falls; `None`: for longer each time.
    pub damping: Option<Damping>,
    /// Limits of loss.
    pub loss: LossLimits,
    /// Round-trip time above which an uplink is degraded; `None`: never.
    pub latency: Option<Limit>,
    /// Jitter above which an uplink is degraded; `None`: never.
    pub jitter: Option<Limit>,
    /// What it carries while it is degraded.
    pub degraded: Degraded,
}

impl CheckConfig {
    /// The defaults, asking these targets.
    pub fn of(targets: Vec<Ipv4Addr>) -> Self {
        Self {
            kind: CheckKind::Icmp,
            required: targets.len().min(2),
            targets,
            interval: Duration::from_millis(250),
            timeout: Duration::from_millis(500),
            fail_after: 10,
            recover_after: 10,
            stable_for: Duration::ZERO,
            damping: None,
            loss: LossLimits { degraded_pct: 10, down_pct: 40, recovered_pct: 5 },
            latency: None,
            jitter: None,
            degraded: Degraded::Avoid,
        }
    }

    /// How many are asked.
    pub const fn asked(&self) -> usize {
        match self.kind {
            CheckKind::Icmp | CheckKind::Tcp { .. } => self.targets.len(),
            CheckKind::Arp => 1,
        }
    }
}

/// A target as it is asked: who answers no echo may well take connections.
pub type Asked = (CheckKind, Ipv4Addr);

/// `kind` of a check: what is asked of a target.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CheckKind {
    /// ICMP echo (default).
    #[default]
    Icmp,
    /// A TCP connection to this port.
    Tcp {
        /// Port of the target.
        port: u16,
    },
    /// ARP: asks the gateway, and no target.
    Arp,
}

impl CheckKind {
    /// The same kind, whatever its keys say.
    pub fn is_same(self, other: Self) -> bool {
        discriminant(&self) == discriminant(&other)
    }

    /// The word of the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Icmp => "icmp",
            Self::Tcp { .. } => "tcp",
            Self::Arp => "arp",
        }
    }
}

/// `degraded`: what an uplink that is degraded, or in doubt, still carries.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum Degraded {
    /// New connections avoid it while a better one can be used (default).
    #[default]
    Avoid,
    /// It keeps its share; in doubt it is avoided nevertheless.
    Use,
}

/// `loss = { degraded, down, recovered }`, per cent: each is a limit of what the loss certainly is.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LossLimits {
    /// At or above: degraded.
    pub degraded_pct: u8,
    /// At or above: down.
    pub down_pct: u8,
    /// Degraded no more once the loss is certainly nearer to this than to the first limit.
    pub recovered_pct: u8,
}

/// A limit with hysteresis: degraded above the first, well again below the second.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limit {
    /// Above: degraded.
    pub degraded: Duration,
    /// At or below: well again.
    pub recovered: Duration,
}

/// `damping = { half_life, suppress, reuse }`: each fall raises a penalty by one, and time halves it
/// (RFC 2439).
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Damping {
    /// The penalty is half as much after this time.
    pub half_life: Duration,
    /// A return is held back after a fall that leaves more than this.
    pub suppress: u32,
    /// It is held back until the penalty is less than this.
    pub reuse: u32,
}

impl Damping {
    /// What is left out of the file.
    pub const DEFAULT: Self = Self { half_life: Duration::from_secs(60), suppress: 3, reuse: 1 };

    /// The most that a penalty can be: a return is held back for four half-lives at most.
    pub const fn ceiling(&self) -> u32 {
        self.reuse * 16
    }
}
