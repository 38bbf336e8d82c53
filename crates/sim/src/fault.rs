//! What can go wrong, and how often in this run: each seed draws its own mix.

use crate::dice::Dice;
use rail_core::time::Duration;

/// A kind of fault.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A cable is pulled.
    Carrier,
    /// Somebody sets a link down.
    AdminDown,
    /// A device vanishes and returns with another index.
    Unplug,
    /// Somebody removes the address of an uplink.
    DropAddress,
    /// A provider goes silent; the carrier stays.
    Silent,
    /// An uplink loses one direction.
    OneWay,
    /// A gateway no longer answers ARP.
    Gateway,
    /// Heavy loss.
    Loss,
    /// Loss that must not matter.
    LightLoss,
    /// The uplink becomes slow, and fast again.
    Latency,
    /// The round trip goes up and down in steps.
    Steps,
    /// A provider or its targets answer only so many echoes.
    Limiter,
    /// A target dies everywhere.
    TargetDead,
    /// A target cannot be reached through one uplink.
    TargetMissing,
    /// Somebody deletes or changes objects of ours.
    Rival,
    /// Somebody adds objects of his own to our tables.
    Foreign,
    /// The process is killed between two steps, and started again.
    Crash,
    /// The process gets no time.
    Pause,
    /// The kernel refuses changes.
    Refuse,
    /// Operations take long.
    Slow,
    /// Notifications are lost.
    Mute,
    /// Notifications overrun the socket: a single "something changed" comes instead.
    Overrun,
    /// Notifications are late, and so in another order.
    Delay,
    /// The administrator reloads the configuration, the same or with other shares.
    Reload,
}

impl Fault {
    /// Every kind.
    pub const ALL: [Self; 24] = [
        Self::Carrier,
        Self::AdminDown,
        Self::Unplug,
        Self::DropAddress,
        Self::Silent,
        Self::OneWay,
        Self::Gateway,
        Self::Loss,
        Self::LightLoss,
        Self::Latency,
        Self::Steps,
        Self::Limiter,
        Self::TargetDead,
        Self::TargetMissing,
        Self::Rival,
        Self::Foreign,
        Self::Crash,
        Self::Pause,
        Self::Refuse,
        Self::Slow,
        Self::Mute,
        Self::Overrun,
        Self::Delay,
        Self::Reload,
    ];

    /// Its place in [`Self::ALL`].
    pub fn index(self) -> usize {
        Self::ALL.iter().position(|fault| *fault == self).unwrap_or(0)
    }
}

/// Which faults a run has, and how often they come.
#[derive(Clone, Debug)]
pub struct Mix {
    weights: Vec<(Fault, usize)>,
    pace: Duration,
}

impl Mix {
    /// Draws one: half of the kinds do not occur at all.
    pub fn draw(dice: &mut Dice) -> Self {
        let mut weights = Vec::new();
        for fault in Fault::ALL {
            if dice.permille(500) {
                weights.push((fault, dice.pick(&[1, 2, 8])));
            }
        }
        let pace = Duration::from_millis(dice.pick(&[300, 2000, 5000, 15000]));
        Self { weights, pace }
    }

    /// No faults at all.
    pub const fn none() -> Self {
        Self { weights: Vec::new(), pace: Duration::from_secs(1) }
    }

    /// True if no fault comes any more.
    pub const fn is_none(&self) -> bool {
        self.weights.is_empty()
    }

    /// This kind comes in any case.
    pub fn add(&mut self, fault: Fault) {
        self.weights.push((fault, 8));
    }

    /// The next fault and how long to wait for it.
    pub fn next(&self, dice: &mut Dice) -> Option<(Fault, Duration)> {
        let total = self.weights.iter().map(|(_, weight)| weight).sum();
        let mut at = dice.below(total);
        let wait = dice.between(Duration::from_millis(1), self.pace * 2);
        for (fault, weight) in &self.weights {
            if at < *weight {
                return Some((*fault, wait));
            }
            at -= weight;
        }
        None
    }
}
