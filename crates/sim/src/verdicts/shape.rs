//! What an uplink is like, in numbers: its round trip, its losses, its gaps, and what breaks it.

use rail_core::time::{Duration, Instant};

/// What an uplink is like.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Shape {
    /// Round trip without jitter and queues; each target draws its own between these.
    pub rtt: (Duration, Duration),
    /// Mean of what jitter adds to a round trip; exponentially distributed.
    pub jitter: Duration,
    /// Share of exchanges that are lost, independently, half of them each way.
    pub loss: f64,
    /// Loss in bursts.
    pub bursts: Option<Bursts>,
    /// Times in which nothing passes.
    pub gaps: Option<Gaps>,
    /// A buffer that fills and drains.
    pub swell: Option<Swell>,
    /// A delay that comes and goes by the clock.
    pub wave: Option<Wave>,
    /// A limiter of echoes at the provider, for all targets together.
    pub provider_limit: Option<Limit>,
    /// A limiter of echoes at each target.
    pub target_limit: Option<Limit>,
    /// Of the four targets, so many never answer.
    pub dead_targets: usize,
    /// Of the four targets, so many are dead half of the time ([`Cycle::TARGET`]).
    pub flapping_targets: usize,
    /// The whole uplink comes and goes.
    pub flap: Option<Cycle>,
    /// What breaks it, and when.
    pub fault: Option<Fault>,
}

impl Shape {
    /// An uplink without any flaw.
    pub fn steady(rtt_ms: u64) -> Self {
        let rtt = Duration::from_millis(rtt_ms);
        Self { rtt: (rtt, rtt), ..Self::default() }
    }
}

/// Loss in bursts, after Gilbert (1960) and Elliott (1963): two states, each of a length that is
/// exponentially distributed.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Bursts {
    /// Mean length of a bad state.
    pub bad: Duration,
    /// Mean length of a good state.
    pub good: Duration,
    /// Loss in a bad state.
    pub loss_bad: f64,
    /// Loss in a good state.
    pub loss_good: f64,
}

impl Bursts {
    /// Bursts of this mean length in which all is lost, and `share` of the exchanges in all.
    pub fn of(share: f64, bad: Duration) -> Self {
        let good = bad.mul_f64((1.0 - share) / share);
        Self { bad, good, loss_bad: 1.0, loss_good: 0.0 }
    }
}

/// Times in which nothing passes, either way.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Gaps {
    /// Time from the end of one to the next: the mean of an exponential distribution.
    pub every: Duration,
    /// One begins each `every`, by the clock and not by chance.
    pub is_regular: bool,
    /// Shortest and longest, not zero; the logarithm is evenly distributed, so short ones are common.
    pub length: (Duration, Duration),
}

/// A buffer before the uplink that somebody's transfer fills.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Swell {
    /// Mean time from the end of one transfer to the next; exponentially distributed.
    pub every: Duration,
    /// How long the transfer keeps it full, shortest and longest.
    pub lasts: (Duration, Duration),
    /// The delay of a full buffer, least and most.
    pub peak: (Duration, Duration),
    /// How long it takes to fill.
    pub ramp: Duration,
}

/// A delay that comes and goes by the clock.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Wave {
    /// Half of the period.
    pub half: Duration,
    /// The most it adds to a round trip.
    pub height: Duration,
    /// It rises and falls evenly, instead of in one step.
    pub is_ramp: bool,
}

/// A token bucket for echoes.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Limit {
    /// Tokens a second.
    pub rate: f64,
    /// Tokens that it holds at most, and at the start.
    pub burst: f64,
}

/// On for a while, off for a while.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Cycle {
    /// It begins so.
    pub on: Duration,
    /// Then it is off.
    pub off: Duration,
    /// The carrier goes with it.
    pub is_carrier: bool,
}

impl Cycle {
    /// A target that flaps: 10 s, 10 s.
    pub const TARGET: Self =
        Self { on: Duration::from_secs(10), off: Duration::from_secs(10), is_carrier: false };

    /// True if it is off, so long after its beginning.
    pub fn is_off(&self, since: Duration) -> bool {
        self.phase(since) >= self.on
    }

    /// Time until the next change, and what it will be then.
    pub fn next(&self, since: Duration) -> (Duration, bool) {
        let phase = self.phase(since);
        if phase < self.on { (self.on - phase, false) } else { (self.on + self.off - phase, true) }
    }

    fn phase(&self, since: Duration) -> Duration {
        let rest = since.as_nanos() % (self.on + self.off).as_nanos().max(1);
        Duration::from_nanos(u64::try_from(rest).unwrap_or(0))
    }
}

/// What breaks an uplink, for good.
#[derive(Copy, Clone, PartialEq, Debug)]
pub struct Fault {
    /// From this moment.
    pub at: Instant,
    /// What it is.
    pub trouble: Trouble,
}

/// What breaks an uplink.
#[derive(Copy, Clone, PartialEq, Debug)]
pub enum Trouble {
    /// Nothing comes back any more.
    Dead(Place),
    /// This share of exchanges is lost, besides what is lost anyway.
    Loss(f64),
    /// The same, in bursts.
    Bursts(Bursts),
    /// Of the four targets so many fall silent.
    TargetsDead(usize),
}

/// Where packets die.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Place {
    /// At the first hop, both ways.
    Gateway,
    /// A quarter of the way away, both ways.
    SecondHop,
    /// Right before the targets, both ways: half of the round trip away.
    FarEnd,
    /// Only what we send, at the first hop.
    Forth,
    /// Only what is sent to us, at the first hop.
    Back,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given 10 s on and 5 s off, then it is off from 10 to 15, and says when that ends.
    #[test]
    fn a_cycle_comes_and_goes() {
        let second = Duration::from_secs(1);
        let cycle = Cycle { on: second * 10, off: second * 5, is_carrier: true };
        assert!(
            !cycle.is_off(second * 9) && cycle.is_off(second * 10) && !cycle.is_off(second * 15)
        );
        assert_eq!(cycle.next(second * 3), (second * 7, false));
        assert_eq!(cycle.next(second * 41), (second * 4, true));
    }
}
