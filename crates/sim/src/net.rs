//! What lies behind the router: providers with their faults, targets that answer,
//! and somebody who forges answers. One file for each kind of port and question.

mod arp;
mod connect;
mod dhcp;
mod echo;
mod limiter;

pub use arp::gateway_mac;
pub use connect::CLOSED_PORT;
pub use dhcp::{Site, Street};
pub use limiter::Limiter;

use crate::dice::Dice;
use rail_core::Peer;
use rail_core::time::{Duration, Instant};
use std::net::{IpAddr, Ipv4Addr};

/// One provider's uplink.
#[derive(Clone, Debug)]
pub struct Condition {
    /// The provider forwards nothing; the carrier stays.
    pub silent: bool,
    /// Packets from us are lost.
    pub dead_out: bool,
    /// Packets to us are lost.
    pub dead_in: bool,
    /// The gateway does not even answer ARP.
    pub gateway_dead: bool,
    /// Loss in each direction, per cent.
    pub loss_pct: u32,
    /// Somebody answers only so many echoes.
    pub limiter: Option<Limiter>,
    /// Round-trip time.
    pub rtt: Duration,
    /// Round-trip time without fault.
    pub usual_rtt: Duration,
    /// A target that cannot be reached through this uplink.
    pub missing_target: Option<usize>,
    /// Until then the uplink is not steady: a packet of ours came back this late, or targets died one
    /// soon after the other, and an uplink that asks seldom may have missed both, and others none.
    pub unsteady_until: Instant,
    /// The last valid answer that was handed to the router.
    pub last_arrival: Instant,
}

impl Condition {
    /// An uplink without fault.
    pub fn new(rtt: Duration) -> Self {
        Self {
            silent: false,
            dead_out: false,
            dead_in: false,
            gateway_dead: false,
            loss_pct: 0,
            limiter: None,
            rtt,
            usual_rtt: rtt,
            missing_target: None,
            unsteady_until: Instant::ZERO,
            last_arrival: Instant::ZERO,
        }
    }

    /// Nothing comes back.
    pub fn is_dead(&self) -> bool {
        self.silent || self.dead_out || self.dead_in || self.gateway_dead
    }
}

/// The internet.
#[derive(Clone, Debug)]
pub struct Net {
    /// Uplinks in the order of the configuration.
    pub lines: Vec<Condition>,
    /// Targets in the order of the configuration.
    pub targets: Vec<Ipv4Addr>,
    /// A target that is dead everywhere.
    pub dead_target: Option<usize>,
    /// When the last target died.
    pub target_died: Instant,
    /// How many answers in a thousand are accompanied by a forged one.
    pub forged_permille: u32,
    /// How many come twice.
    pub duplicate_permille: u32,
    /// How many are damaged on the way.
    pub corrupt_permille: u32,
    /// Who leases addresses.
    pub street: Street,
}

/// A packet on its way to a port.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// How long it takes.
    pub after: Duration,
    /// Its source.
    pub from: Peer,
    /// What the kind of the port says.
    pub bytes: Vec<u8>,
    /// A true answer.
    pub is_valid: bool,
}

impl Net {
    /// A target dies.
    pub fn note_death(&mut self, now: Instant) {
        if now.since(self.target_died) < UNSTEADY && self.target_died > Instant::ZERO {
            for line in &mut self.lines {
                line.unsteady_until = line.unsteady_until.max(now + UNSTEADY);
            }
        }
        self.target_died = now;
    }

    /// True if the target has answered nobody for a while: no answer of before is under way any more.
    pub fn is_long_dead(&self, now: Instant, target: IpAddr) -> bool {
        let is_it = self.dead_target.is_some_and(|t| IpAddr::V4(self.targets[t]) == target);
        is_it && now.since(self.target_died) >= UNDER_WAY
    }

    /// A packet there or its answer is lost.
    fn is_lost(&self, line: usize, to: Ipv4Addr, dice: &mut Dice) -> bool {
        let condition = &self.lines[line];
        let target = self.targets.iter().position(|t| *t == to);
        let lost = (0..2).any(|_| dice.permille(condition.loss_pct * 10));
        let gone = target.is_none()
            || target == self.dead_target
            || target == condition.missing_target
            || condition.is_dead();
        lost || gone
    }

    /// How long a packet and its answer are under way.
    pub(crate) fn round_trip(&self, line: usize, dice: &mut Dice) -> Duration {
        let rtt = self.lines[line].rtt;
        dice.between(rtt, rtt + rtt / 20)
    }
}

/// Twice as long as an uplink's verdict on a target looks back.
const UNSTEADY: Duration = Duration::from_secs(6);
/// Answers take less.
const UNDER_WAY: Duration = Duration::from_secs(3);
