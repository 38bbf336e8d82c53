//! BFD, RFC 5880, as routers run it on an uplink: a packet each 300 ms, down after three.
//!
//! BFD listens instead of asking: the peer sends at its own pace, up to a quarter faster than agreed
//! (§6.8.7), and the session is down when nothing arrived for three intervals (§6.8.4). Here an answer
//! stands for a packet of the peer, so that loss is the same as for the other rules. A session that is
//! down sends once a second (§6.8.3) and returns with the first exchange, a handshake of three packets.
//!
//! The peer is at the far end of the uplink, and BFD is no ICMP: no target dies for it, no limiter counts
//! it. Providers that speak BFD do so from their gateway: such a session does not see what breaks behind
//! it, and would be silent in every row of a fault but that of a dead gateway.

use super::{Answer, Kind, MINUTE, Probe, Rule};
use crate::dice::Dice;
use crate::verdicts::chance::roll;
use crate::verdicts::uplink::FAR_END;
use rail_core::time::{Duration, Instant};

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "BFD",
    settings: "300 ms x 3, from end to end; sees the carrier",
    make: |now, seed| Box::new(Bfd::new(now, seed)),
    doubts: false,
    patience: MINUTE,
};

struct Bfd {
    dice: Dice,
    next: Instant,
    /// Since when silence counts.
    heard: Instant,
    sent: u64,
    is_down: bool,
}

impl Bfd {
    fn new(now: Instant, seed: u64) -> Self {
        Self { dice: Dice::new(seed), next: now, heard: now, sent: 0, is_down: false }
    }

    fn pace(&mut self) -> Duration {
        let interval = if self.is_down { SLOW } else { INTERVAL };
        interval.mul_f64(1.0 - 0.25 * roll(&mut self.dice))
    }
}

impl Rule for Bfd {
    fn deadline(&self) -> Option<Instant> {
        let death = self.heard + INTERVAL * MULTIPLIER;
        Some(if self.is_down { self.next } else { self.next.min(death) })
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        if !self.is_down && now >= self.heard + INTERVAL * MULTIPLIER {
            self.is_down = true;
        }
        if now >= self.next {
            self.sent += 1;
            out.push(Probe { id: self.sent, target: FAR_END });
            self.next = now + self.pace();
        }
    }

    fn answered(&mut self, now: Instant, _: Answer) {
        self.heard = now;
        if std::mem::take(&mut self.is_down) {
            self.next = self.next.min(now + INTERVAL);
        }
    }

    fn carrier(&mut self, _: Instant, is_up: bool) {
        self.is_down |= !is_up;
    }

    fn is_down(&self) -> bool {
        self.is_down
    }
}

const INTERVAL: Duration = Duration::from_millis(300);
const MULTIPLIER: u32 = 3;
const SLOW: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then down at most three intervals later.
    #[test]
    fn silence_is_death_after_three_intervals() {
        let (least, most) = silent(KIND);
        assert!(least >= MS * 580 && most <= MS * 920, "{least:?} {most:?}");
    }
}
