//! The rules that are compared: one file each, by what their documentation says.
//!
//! A rule asks and is answered; it says whether new connections avoid the uplink, and whether the
//! uplink is down. It sees no more than a router would: no rule knows the uplink.

mod bfd;
mod dpinger;
mod echoes;
mod first;
mod fortigate;
mod ftr;
mod mwan3;
mod polywan;
mod rail;
mod serial;
#[cfg(test)]
mod testing;
mod vyos;

use rail_core::time::{Duration, Instant};

/// A question that a rule wants to be sent now.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Probe {
    /// The rule's own number for it; comes back with the answer.
    pub id: u64,
    /// Which target is asked.
    pub target: usize,
}

/// What judges an uplink. All times are virtual; at one moment answers come first, then `wake`.
pub trait Rule {
    /// When it wants to be woken.
    fn deadline(&self) -> Option<Instant>;
    /// Does what is due: asks, and judges. Comes at the deadline, and after each answer.
    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>);
    /// An answer arrived.
    fn answered(&mut self, now: Instant, answer: Answer);
    /// The carrier of the uplink changed; most rules hear of it, some do not.
    fn carrier(&mut self, _now: Instant, _is_up: bool) {}
    /// New connections take another uplink.
    fn is_avoided(&self) -> bool {
        self.is_down()
    }
    /// The uplink is down: connections are moved, and people informed.
    fn is_down(&self) -> bool;
}

/// An answer to a probe.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    /// What was asked.
    pub probe: Probe,
    /// When it was sent.
    pub sent: Instant,
    /// Its round trip.
    pub rtt: Duration,
}

/// A rule with its settings: a column of the tables.
#[derive(Copy, Clone)]
pub struct Kind {
    /// Heads its column.
    pub name: &'static str,
    /// Its settings, in one line.
    pub settings: &'static str,
    /// Makes one that begins now; the seed is for its own dice.
    pub make: fn(Instant, u64) -> Box<dyn Rule>,
    /// It doubts before it condemns: both are shown.
    pub doubts: bool,
    /// How long after a fault its verdict is waited for.
    pub patience: Duration,
}

/// The columns, in their order.
pub const KINDS: &[Kind] = &[
    rail::KIND,
    first::KIND,
    bfd::KIND,
    fortigate::KIND,
    dpinger::PFSENSE,
    dpinger::OPNSENSE,
    mwan3::DEFAULT,
    mwan3::QUICK,
    ftr::DEFAULT,
    ftr::QUICK,
    vyos::KIND,
    polywan::KIND,
];

/// What most rules are given: a verdict that takes longer is none.
const MINUTE: Duration = Duration::from_secs(60);
/// What rules with slow defaults are given.
const LONG: Duration = Duration::from_secs(180);
