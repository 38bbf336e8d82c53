//! `rail`, first edition: rounds of four echoes each 200 ms; down after four silent rounds, when
//! fewer than two targets answer, or when 40 % of a minute's echoes are lost.
//!
//! It has no doubt: new connections avoid an uplink that is down, and no other.

use super::echoes::{Echoes, address, target};
use super::{Answer, Kind, MINUTE, Probe, Rule};
use crate::dice::Dice;
use crate::verdicts::first_edition::Uplink;
use rail_core::check::Verdict;
use rail_core::config::CheckConfig;
use rail_core::random::Secret;
use rail_core::time::{Duration, Instant};
use std::net::IpAddr;

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "rail, first",
    settings: "200 ms, 4 of them, 4 targets, 2 required; loss 40 % of a minute; sees the carrier",
    make: |now, seed| Box::new(First::new(now, seed)),
    doubts: false,
    patience: MINUTE,
};

struct First {
    uplink: Uplink,
    echoes: Echoes,
}

impl First {
    fn new(now: Instant, seed: u64) -> Self {
        let key = Secret::new(Dice::new(seed).key());
        let mut uplink = Uplink::new(now, check(), key);
        uplink.start(now);
        Self { uplink, echoes: Echoes::default() }
    }
}

fn check() -> CheckConfig {
    CheckConfig {
        interval: Duration::from_millis(200),
        fail_after: 4,
        ..CheckConfig::of((0..4).map(address).collect())
    }
}

impl Rule for First {
    fn deadline(&self) -> Option<Instant> {
        self.uplink.deadline()
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        for (to, question) in self.uplink.send(now) {
            let id = self.echoes.keep(&question);
            out.push(Probe { id, target: target(IpAddr::V4(to)) });
        }
        self.uplink.judge(now);
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        let from = IpAddr::V4(address(answer.probe.target));
        if let Some(reply) = self.echoes.reply(answer.probe.id) {
            self.uplink.answer(now, from, reply);
        }
    }

    fn carrier(&mut self, now: Instant, is_up: bool) {
        if is_up {
            self.uplink.start(now);
        } else {
            self.uplink.stop();
        }
    }

    fn is_down(&self) -> bool {
        matches!(self.uplink.verdict(), Verdict::Down(_) | Verdict::Held(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then down 0.9 s after the last answer: 0.7 to 0.9 s.
    #[test]
    fn silence_is_death_after_four_rounds_and_a_half() {
        let (least, most) = silent(KIND);
        assert!(least >= MS * 690 && most <= MS * 920, "{least:?} {most:?}");
    }
}
