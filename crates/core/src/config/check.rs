//! `[check]`.

use crate::time::Duration;
use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// `[check]`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CheckConfig {
    /// Echo targets; never empty.
    pub targets: Vec<Ipv4Addr>,
    /// How many targets must answer; 1 to the number of targets.
    pub required: usize,
    /// Time between rounds.
    pub interval: Duration,
    /// Time after which a probe counts as lost for now.
    pub timeout: Duration,
    /// Dead when nothing valid has arrived for this many intervals.
    pub fail_after: u32,
    /// Consecutive good rounds before a dead uplink returns.
    pub recover_after: u32,
    /// How long the good rounds must have lasted, besides, before it returns.
    pub stable_for: Duration,
    /// Loss limits, in per cent of the long window.
    pub loss: LossLimits,
    /// Round-trip time above which an uplink is degraded; `None`: never.
    pub latency: Option<Limit>,
    /// Jitter above which an uplink is degraded; `None`: never.
    pub jitter: Option<Limit>,
}

/// `loss = { degraded, down, recovered }`, per cent.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct LossLimits {
    /// At or above: degraded.
    pub degraded_pct: u8,
    /// At or above: down.
    pub down_pct: u8,
    /// At or below: up again (from degraded over the long window, from down over the last rounds).
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
