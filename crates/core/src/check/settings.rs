//! What of the configuration a verdict depends on, and the numbers that do not.

use super::kind::least_interval;
use super::nats::{Nats, Share};
use crate::config::{Damping, Limit, UplinkConfig};
use crate::time::Duration;

/// The limits of a verdict.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// How many targets must answer.
    pub required: usize,
    /// Time between two probes at rest.
    pub interval: Duration,
    /// How many times as long it is on an uplink that carries nothing and answers well.
    pub standby_factor: u32,
    /// The longest silence before a verdict, in intervals.
    pub fail_after: u32,
    /// Consecutive good rounds before a return.
    pub recover_after: u32,
    /// How long a return is held back, besides.
    pub stable_for: Duration,
    /// How returns are held back that follow falls, besides.
    pub damping: Option<Damping>,
    /// After this time the status counts a probe as late.
    pub timeout: Duration,
    /// Loss that degrades, per cent.
    pub degraded_pct: u8,
    /// Loss that condemns, per cent.
    pub down_pct: u8,
    /// Loss that is none, per cent.
    pub recovered_pct: u8,
    /// Mean round trip that degrades.
    pub latency: Option<Limit>,
    /// Mean jitter that degrades.
    pub jitter: Option<Limit>,
}

impl From<&UplinkConfig> for Settings {
    fn from(uplink: &UplinkConfig) -> Self {
        let check = &uplink.check;
        Self {
            required: check.required,
            interval: check.interval.max(least_interval(check.kind)),
            standby_factor: standby_factor(uplink.metered),
            fail_after: check.fail_after,
            recover_after: check.recover_after,
            stable_for: check.stable_for,
            damping: check.damping,
            timeout: check.timeout,
            degraded_pct: check.loss.degraded_pct,
            down_pct: check.loss.down_pct,
            recovered_pct: check.loss.recovered_pct,
            latency: check.latency,
            jitter: check.jitter,
        }
    }
}

impl Settings {
    /// The longest silence that the administrator allows before the verdict.
    pub fn latest(&self) -> Duration {
        self.interval * self.fail_after
    }

    /// From the sending of the first unanswered probe to a doubt, at least. Who asks seldom knows little
    /// of the round trip, and is in no hurry: a quarter of the interval, within limits.
    pub(super) fn least_wait(&self) -> Duration {
        (self.interval / 4).max(LEAST_WAIT).min(MOST_WAIT)
    }

    /// The pace of an uplink that carries nothing and answers well.
    pub fn standby(&self) -> Duration {
        self.interval * self.standby_factor
    }

    /// How many times as seldom it is asked as one whose volume is free, while it carries nothing and no
    /// answer is urgent.
    pub(super) const fn thrift(&self) -> u32 {
        self.standby_factor / standby_factor(false)
    }
}

/// How many times as seldom an uplink is asked that carries nothing and answers well.
pub const fn standby_factor(metered: bool) -> u32 {
    if metered { 100 } else { 10 }
}

/// Spacing of probes when the answer is urgent.
pub(super) const QUICK: Duration = Duration::from_millis(16);
/// Spacing while there is evidence to be settled.
pub(super) const ALERT: Duration = Duration::from_millis(50);
/// Spacing on an uplink that is degraded and stays so.
pub(super) const STEADY: Duration = Duration::from_millis(100);

/// Evidence that avoids an uplink: an error in 10^4; the least loss that is reckoned with.
pub(super) const DOUBT: (Nats, Share) = (Nats::hundredths(920), Share::permille(30));
/// Evidence that condemns it: an error in 10^9; eight probes at least.
pub(super) const SURE: (Nats, Share) = (Nats::hundredths(2070), Share::permille(75));
/// From the sending of the first unanswered probe to a doubt, at least; and the most of what a long
/// interval makes of it.
pub(super) const LEAST_WAIT: Duration = Duration::from_millis(150);
const MOST_WAIT: Duration = Duration::from_millis(750);

/// Evidence that an uplink is degraded; is down; may return; is degraded no more.
pub(super) const DEGRADED: Nats = Nats::whole(7);
pub(super) const DOWN: Nats = Nats::whole(13);
pub(super) const RETURN: Nats = Nats::whole(5);
pub(super) const RECOVERED: Nats = Nats::whole(5);
/// More of this for each target that has not been heard lately.
pub(super) const DOWN_PER_TARGET: Nats = Nats::whole(3);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{CheckConfig, CheckKind};
    use alloc::vec::Vec;
    use core::net::Ipv4Addr;

    fn uplink(check: CheckConfig) -> UplinkConfig {
        let ifname = "wan1".parse().unwrap();
        let address = "198.51.100.2/24".parse().unwrap();
        let gateway = Ipv4Addr::new(198, 51, 100, 1).into();
        UplinkConfig { check, ..UplinkConfig::new("isp1", ifname, address, gateway) }
    }

    /// Given an interval shorter than the kind allows, then all that is reckoned from it goes by what
    /// the kind allows; a longer one stays.
    #[test]
    fn the_kind_bounds_the_interval() {
        let ms = Duration::from_millis;
        for (kind, least) in [
            (CheckKind::Icmp, ms(16)),
            (CheckKind::Tcp { port: 443 }, ms(50)),
            (CheckKind::Arp, ms(100)),
        ] {
            let of = |interval| {
                let check = CheckConfig { kind, interval, ..CheckConfig::of(Vec::new()) };
                Settings::from(&uplink(check))
            };
            let short = of(ms(10));
            assert_eq!((short.interval, short.latest()), (least, least * 10));
            assert_eq!(of(ms(250)).interval, ms(250));
        }
    }

    /// Given a metered uplink, then a hundredth of the pace is kept while it waits; else a tenth.
    #[test]
    fn what_is_metered_is_asked_more_seldom() {
        let mut uplink = uplink(CheckConfig::of(Vec::new()));
        assert_eq!(Settings::from(&uplink).standby(), Duration::from_millis(2500));
        uplink.metered = true;
        assert_eq!(Settings::from(&uplink).standby(), Duration::from_secs(25));
    }
}
