//! dpinger, the monitor of pfSense and OPNsense: one target, a ring of a minute's echoes.
//!
//! An echo that is unanswered for `loss_interval` is lost, a younger one is neutral, a late answer
//! takes the loss back. Each second: an alarm if more than 20 % of the ring are lost (whole per cents),
//! or the mean round trip is above 500 ms. The alarm ends after ten seconds without a reason for it.
//!
//! pfSense acts on the alarm itself. OPNsense has a watcher that looks each second, and rests for ten
//! seconds after it has handled a change. Both act on the loss of the carrier at once, and begin with an
//! empty ring when it is back.

use super::{Answer, Kind, MINUTE, Probe, Rule};
use crate::dice::Dice;
use crate::verdicts::chance::{between, roll};
use rail_core::time::{Duration, Instant};
use std::collections::VecDeque;

/// pfSense with its defaults.
pub(super) const PFSENSE: Kind = Kind {
    name: "pfSense",
    settings: "dpinger, 500 ms, loss 20 % of 60 s, latency 500 ms, one target; sees the carrier",
    make: |now, seed| Box::new(Dpinger::new(now, seed, Settings::PFSENSE)),
    doubts: false,
    patience: MINUTE,
};

/// OPNsense with its defaults.
pub(super) const OPNSENSE: Kind = Kind {
    name: "OPNsense",
    settings: "dpinger, 1 s, loss 20 % of 60 s, latency 500 ms, one target; sees the carrier",
    make: |now, seed| Box::new(Dpinger::new(now, seed, Settings::OPNSENSE)),
    doubts: false,
    patience: MINUTE,
};

#[derive(Copy, Clone)]
struct Settings {
    interval: Duration,
    loss_interval: Duration,
    watches: bool,
}

impl Settings {
    const PFSENSE: Self = Self {
        interval: Duration::from_millis(500),
        loss_interval: Duration::from_secs(2),
        watches: false,
    };
    const OPNSENSE: Self = Self {
        interval: Duration::from_secs(1),
        loss_interval: Duration::from_secs(4),
        watches: true,
    };
}

struct Dpinger {
    settings: Settings,
    /// When each echo of the ring was sent, and its round trip; the first has this number.
    ring: VecDeque<(Instant, Option<Duration>)>,
    first: u64,
    next_probe: Instant,
    next_alert: Instant,
    /// The alarm, and when its reason was last there.
    alarm: Option<Instant>,
    next_look: Instant,
    is_down: bool,
    has_carrier: bool,
}

impl Dpinger {
    fn new(now: Instant, seed: u64, settings: Settings) -> Self {
        let mut dice = Dice::new(seed);
        let mut phase = || now + between((Duration::ZERO, SECOND), roll(&mut dice));
        Self {
            settings,
            ring: VecDeque::new(),
            first: 0,
            next_probe: now,
            next_alert: phase(),
            alarm: None,
            next_look: phase(),
            is_down: false,
            has_carrier: true,
        }
    }

    fn ask(&mut self, now: Instant) -> Probe {
        let slots = PERIOD.as_nanos() / self.settings.interval.as_nanos();
        if self.ring.len() as u128 >= slots {
            self.ring.pop_front();
            self.first += 1;
        }
        self.ring.push_back((now, None));
        self.next_probe = self.next_probe + self.settings.interval;
        Probe { id: self.first + self.ring.len() as u64 - 1, target: 0 }
    }

    /// True if there is a reason for an alarm.
    fn is_bad(&self, now: Instant) -> bool {
        let (mut received, mut lost, mut sum) = (0_u32, 0_u32, Duration::ZERO);
        for (sent, rtt) in &self.ring {
            match rtt {
                Some(rtt) => (received, sum) = (received + 1, sum + *rtt),
                None => lost += u32::from(now.since(*sent) > self.settings.loss_interval),
            }
        }
        let loss_pct = (100 * lost).checked_div(received + lost).unwrap_or(0);
        loss_pct > LOSS_HIGH_PCT || sum > LATENCY_HIGH * received
    }
}

impl Rule for Dpinger {
    fn deadline(&self) -> Option<Instant> {
        let look = if self.settings.watches { self.next_look } else { Instant::FAR_FUTURE };
        Some(self.next_probe.min(self.next_alert).min(look))
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        if now >= self.next_probe {
            out.push(self.ask(now));
        }
        if now >= self.next_alert {
            self.next_alert = self.next_alert + SECOND;
            if self.is_bad(now) {
                self.alarm = Some(now);
            } else if self.alarm.is_some_and(|at| now.since(at) >= HOLD) {
                self.alarm = None;
            }
            if !self.settings.watches {
                self.is_down = self.alarm.is_some();
            }
        }
        if self.settings.watches && now >= self.next_look {
            let has_changed = self.is_down != self.alarm.is_some();
            self.is_down = self.alarm.is_some();
            self.next_look = self.next_look + if has_changed { HANDLED } else { SECOND };
        }
    }

    fn answered(&mut self, _: Instant, answer: Answer) {
        let index = answer.probe.id.checked_sub(self.first).and_then(|i| usize::try_from(i).ok());
        if let Some(slot) = index.and_then(|index| self.ring.get_mut(index)) {
            slot.1 = Some(answer.rtt);
        }
    }

    fn carrier(&mut self, _: Instant, is_up: bool) {
        self.has_carrier = is_up;
        if is_up {
            self.first += self.ring.len() as u64;
            self.ring.clear();
            (self.alarm, self.is_down) = (None, false);
        }
    }

    fn is_down(&self) -> bool {
        self.is_down || !self.has_carrier
    }
}

const SECOND: Duration = Duration::from_secs(1);
const PERIOD: Duration = Duration::from_secs(60);
const HOLD: Duration = Duration::from_secs(10);
const HANDLED: Duration = Duration::from_secs(10);
const LOSS_HIGH_PCT: u32 = 20;
const LATENCY_HIGH: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, returned, silent};
    use super::*;

    /// Given silence at any phase, then pfSense takes 14 to 15.5 s: 25 lost echoes, 2 s, the next alert.
    #[test]
    fn pfsense_is_down_within_fifteen_seconds_and_a_half() {
        let (least, most) = silent(PFSENSE);
        assert!(least >= MS * 13_900 && (MS * 14_900..=MS * 15_520).contains(&most));
    }

    /// The same, then OPNsense takes 15 to 18 s: 12 lost echoes, 4 s, the next alert, the next look.
    #[test]
    fn opnsense_is_down_within_eighteen_seconds() {
        let (least, most) = silent(OPNSENSE);
        assert!(least >= MS * 15_000 && (MS * 17_000..=MS * 18_020).contains(&most));
    }

    /// Given an outage of two minutes, then pfSense returns when the ring has drained and the hold is
    /// over: after about 58 s.
    #[test]
    fn pfsense_returns_after_the_ring_has_drained() {
        let took = returned(PFSENSE, Duration::from_secs(120));
        assert!((MS * 54_000..MS * 62_000).contains(&took), "{took:?}");
    }
}
