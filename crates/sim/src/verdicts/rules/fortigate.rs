//! FortiGate, link monitor with its defaults: an echo each 500 ms that must be answered within 500 ms;
//! down after five failures in a row, up after five answers in a row.

use super::{Answer, Kind, MINUTE, Probe, Rule};
use rail_core::time::{Duration, Instant};

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "FortiGate",
    settings: "500 ms x 5, one target; sees the carrier",
    make: |now, _| Box::new(Fortigate::new(now)),
    doubts: false,
    patience: MINUTE,
};

struct Fortigate {
    next: Instant,
    sent: u64,
    /// The newest probe was answered.
    is_answered: bool,
    failures: u32,
    successes: u32,
    is_down: bool,
}

impl Fortigate {
    fn new(now: Instant) -> Self {
        Self { next: now, sent: 0, is_answered: false, failures: 0, successes: 0, is_down: false }
    }

    fn note(&mut self, is_good: bool) {
        let (grown, cleared) = if is_good {
            (&mut self.successes, &mut self.failures)
        } else {
            (&mut self.failures, &mut self.successes)
        };
        *grown += 1;
        *cleared = 0;
        if self.failures >= FAIL_TIME {
            self.is_down = true;
        } else if self.successes >= RECOVER_TIME {
            self.is_down = false;
        }
    }
}

impl Rule for Fortigate {
    fn deadline(&self) -> Option<Instant> {
        Some(self.next)
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        if now < self.next {
            return;
        }
        // An answer may take as long as the next probe.
        if self.sent > 0 && !self.is_answered {
            self.note(false);
        }
        self.sent += 1;
        self.is_answered = false;
        out.push(Probe { id: self.sent, target: 0 });
        self.next = now + INTERVAL;
    }

    fn answered(&mut self, _: Instant, answer: Answer) {
        if answer.probe.id == self.sent && answer.rtt <= TIMEOUT && !self.is_answered {
            self.is_answered = true;
            self.note(true);
        }
    }

    fn carrier(&mut self, _: Instant, is_up: bool) {
        if !is_up {
            self.is_down = true;
            self.successes = 0;
        }
    }

    fn is_down(&self) -> bool {
        self.is_down
    }
}

const INTERVAL: Duration = Duration::from_millis(500);
const TIMEOUT: Duration = Duration::from_millis(500);
const FAIL_TIME: u32 = 5;
const RECOVER_TIME: u32 = 5;

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then down 2.5 s after the first probe that is lost.
    #[test]
    fn silence_is_death_after_five_probes() {
        let (least, most) = silent(KIND);
        assert!(least >= MS * 2480 && most <= MS * 3000, "{least:?} {most:?}");
    }
}
