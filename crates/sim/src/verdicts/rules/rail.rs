//! `rail`: one echo each 250 ms, quickly from the first that is overdue; avoided when it may be silent
//! or loses 10 %, down when that is certain.

use super::echoes::{Echoes, address, target};
use super::{Answer, Kind, MINUTE, Probe, Rule};
use crate::dice::Dice;
use rail_core::check::{self, Context, Prober, Question, Settings, Verdict};
use rail_core::config::CheckKind;
use rail_core::net::{IfName, UplinkId};
use rail_core::random::Secret;
use rail_core::time::{Duration, Instant};
use rail_core::{Binding, Peer};
use std::net::IpAddr;

/// Its column.
pub(super) const KIND: Kind = Kind {
    name: "rail",
    settings: "250 ms, 10 of them, 4 targets, 2 required; degraded 10 %, down 40 %",
    make: |now, seed| Box::new(Rail::new(now, seed)),
    doubts: true,
    patience: MINUTE,
};

struct Rail {
    prober: Prober,
    ifname: IfName,
    echoes: Echoes,
}

impl Rail {
    fn new(now: Instant, seed: u64) -> Self {
        let key = Secret::new(Dice::new(seed).key());
        let with = (settings(), (0..4).map(address).collect());
        let kind = check::Kind::new(CheckKind::Icmp, UplinkId(1), (key, 0x1200));
        let mut prober = Prober::new(now, UplinkId(1), with, (kind, key), Verdict::Probing);
        prober.start(now);
        let ifname = "wan1".parse().expect("the name of an interface");
        Self { prober, ifname, echoes: Echoes::default() }
    }
}

fn settings() -> Settings {
    Settings {
        required: 2,
        interval: Duration::from_millis(250),
        standby_factor: 10,
        timeout: Duration::from_millis(500),
        fail_after: 10,
        recover_after: 10,
        stable_for: Duration::ZERO,
        damping: None,
        degraded_pct: 10,
        down_pct: 40,
        recovered_pct: 5,
        latency: None,
        jitter: None,
    }
}

impl Rule for Rail {
    fn deadline(&self) -> Option<Instant> {
        self.prober.deadline()
    }

    fn wake(&mut self, now: Instant, out: &mut Vec<Probe>) {
        let binding = Binding { ifname: self.ifname, ifindex: 1, source: None, mark: 1 };
        if let Some(Question::Packet { to, bytes }) = self.prober.question(now, (binding, None)) {
            let id = self.echoes.keep(&bytes);
            out.extend(to.ip().map(|to| Probe { id, target: target(to) }));
        }
        self.prober.judge(now, &Context::default());
    }

    fn answered(&mut self, now: Instant, answer: Answer) {
        let from = Peer::Host(IpAddr::V4(address(answer.probe.target)));
        if let Some(reply) = self.echoes.reply(answer.probe.id)
            && let Err(refusal) = self.prober.answer(now, Duration::ZERO, from, reply)
        {
            self.prober.count_refusal(refusal);
        }
    }

    fn carrier(&mut self, now: Instant, is_up: bool) {
        if is_up {
            self.prober.start(now);
        } else {
            self.prober.stop(now);
        }
    }

    fn is_avoided(&self) -> bool {
        self.prober.is_suspect() || !matches!(self.prober.verdict(), Verdict::Up | Verdict::Probing)
    }

    fn is_down(&self) -> bool {
        matches!(self.prober.verdict(), Verdict::Down(_) | Verdict::Held(_))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{MS, silent};
    use super::*;

    /// Given silence at any phase, then down 1.25 s after the last answer: 1.0 to 1.25 s.
    #[test]
    fn silence_is_death_after_its_patience() {
        let (least, most) = silent(KIND);
        assert!(least >= MS * 990 && most <= MS * 1270, "{least:?} {most:?}");
    }
}
