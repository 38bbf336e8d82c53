//! The passive suspicion: a device that was busy sends and hears nothing, so its uplinks are asked at
//! once instead of at their next turn.
//!
//! It may be wrong, and then costs a few probes: the other end has nothing to say for a moment, or a
//! driver counts in steps. So one that follows soon after another has to wait longer and longer.

use super::Uplinks;
use crate::config::Config;
use crate::net::IfName;
use crate::probe::{BUSY, Unanswered};
use crate::time::{Duration, Instant};

/// What the traffic of others tells of one uplink.
#[derive(Clone, Debug, Default)]
pub(super) struct Passive {
    /// A silence that nobody has looked into.
    silence: Option<Duration>,
    /// The last suspicion, and how long there is no other.
    last: Option<(Instant, Duration)>,
}

impl Passive {
    /// True if there may be a suspicion now; it is one then.
    fn begin(&mut self, now: Instant) -> bool {
        let hold = match self.last {
            Some((last, hold)) if now < last + hold => return false,
            Some((last, hold)) if now < last + hold * 8 => (hold * 2).min(LONGEST_HOLD),
            _ => LEAST_HOLD,
        };
        self.last = Some((now, hold));
        true
    }
}

impl Uplinks {
    /// Takes note of a silence on a device, for all of its uplinks.
    pub(crate) fn take_unanswered(&mut self, device: IfName, found: Unanswered, config: &Config) {
        let pairs = self.list.iter_mut().zip(&config.uplinks);
        let is_its = |own: IfName, index| own == device && index == Some(found.index);
        let mut its: alloc::vec::Vec<_> = pairs
            .filter(|(uplink, own)| is_its(own.ifname, uplink.facts.ifindex))
            .map(|(uplink, _)| uplink)
            .collect();
        // Each may have had answers of its own.
        let busy = u64::try_from(its.len()).map_or(u64::MAX, |count| count * BUSY);
        if found.received < busy {
            return;
        }
        for uplink in &mut its {
            uplink.passive.silence = Some(found.silence);
            uplink.due = true;
        }
    }

    /// Has those that are silent longer than an answer takes looked at closely.
    pub(super) fn suspect_unanswered(&mut self, now: Instant) {
        for uplink in &mut self.list {
            let Some(silence) = uplink.passive.silence.take() else { continue };
            if uplink.prober.is_unusual(now, silence) && uplink.passive.begin(now) {
                uplink.prober.suspect(now);
            }
        }
    }
}

const LEAST_HOLD: Duration = Duration::from_secs(2);
const LONGEST_HOLD: Duration = Duration::from_secs(64);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given suspicions one after the other, then the pauses double up to a minute; after a long time
    /// without one they begin anew.
    #[test]
    fn suspicions_grow_rare() {
        let mut passive = Passive::default();
        let mut begun = alloc::vec::Vec::new();
        for second in 0..400_u64 {
            if passive.begin(Instant::from_nanos(second * 1_000_000_000)) {
                begun.push(second);
            }
        }
        assert_eq!(begun, [0, 2, 6, 14, 30, 62, 126, 190, 254, 318, 382]);
        let later = |second: u64| Instant::from_nanos(second * 1_000_000_000);
        assert!(passive.begin(later(1000)) && !passive.begin(later(1001)));
        assert!(passive.begin(later(1002)));
    }
}
