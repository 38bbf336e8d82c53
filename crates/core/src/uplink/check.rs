//! Drives the checks: sends what is due, takes what comes back, and lets the uplinks tell about each
//! other.

use super::{Context, Uplinks};
use crate::config::Config;
use crate::desk::Desk;
use crate::io::{Output, Peer, PortId};
use crate::net::Family;
use crate::notice::Notice;
use crate::probe::{self, Prober, Refusal};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Blame is found out at most this often.
const BLAME_PACE: Duration = Duration::from_millis(100);

impl Uplinks {
    /// Takes what arrived on a port, as old as the kernel says.
    pub(crate) fn take_packet(
        &mut self,
        (now, age): (Instant, Duration),
        (port, from, bytes): (PortId, Peer, &[u8]),
        config: &Config,
        (desk, out): (&mut Desk, &mut Vec<Output>),
    ) {
        let (Some(i), Some(from)) = (self.checks_of(port), from.ip()) else {
            desk.counters.packets_refused += 1;
            return;
        };
        let prober = &mut self.list[i].prober;
        let refusal = match prober.answer(now, age, from, bytes) {
            Ok((target, _)) => {
                desk.counters.probes_answered += 1;
                let rtt = prober.rtt(target).unwrap_or_default();
                let uplink = config.uplinks[i].name.clone();
                let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
                out.push(Output::Notice(Notice::Answered { uplink, target: from, rtt_us }));
                self.list[i].due = true;
                return;
            }
            Err(Refusal::WrongSequence) if self.is_answer(from, bytes) => Refusal::WrongInterface,
            Err(refusal) => refusal,
        };
        self.list[i].prober.count_refusal(refusal);
        match refusal {
            Refusal::Duplicate => desk.counters.duplicates += 1,
            _ => desk.counters.packets_refused += 1,
        }
    }

    /// True if the message would be the answer to a probe of one of them.
    fn is_answer(&self, from: IpAddr, bytes: &[u8]) -> bool {
        self.list.iter().any(|uplink| uplink.prober.is_answer(from, bytes))
    }

    fn probers(&self) -> impl Iterator<Item = &Prober> + Clone {
        self.list.iter().map(|uplink| &uplink.prober)
    }

    /// Asks what is due.
    pub(crate) fn probe(&mut self, cx: &mut Context<'_>) {
        self.suspect_unanswered(cx.now);
        for (uplink, config) in self.list.iter_mut().zip(&cx.config.uplinks) {
            if uplink.prober.resolves(cx.now) {
                let gateway = uplink.facts.gateway(Family::V4);
                cx.out.extend(gateway.map(|gateway| Output::Resolve(config.ifname, gateway)));
            }
            let Some((to, bytes)) = uplink.prober.question(cx.now) else { continue };
            uplink.due = true;
            cx.desk.counters.probes_sent += 1;
            let port = PortId::Probe(uplink.prober.id(), Family::V4);
            cx.out.push(Output::Send { port, to: Peer::Host(IpAddr::V4(to)), bytes });
        }
    }

    /// Judges those that heard something or whose time has come.
    pub(crate) fn judge(&mut self, cx: &mut Context<'_>) {
        self.find_blame(cx);
        let is_due = |uplink: &super::Uplink| {
            uplink.due || uplink.prober.deadline().is_some_and(|at| at <= cx.now)
        };
        let due: Vec<usize> =
            (0..self.list.len()).filter(|index| is_due(&self.list[*index])).collect();
        if due.is_empty() {
            return;
        }
        let common = probe::common_cause(self.probers());
        for index in due {
            let uplink = &self.list[index];
            let ignored: Vec<bool> = uplink
                .prober
                .targets()
                .iter()
                .map(|target| self.ignored.contains(target))
                .collect();
            let context = probe::Context {
                ignored: &ignored,
                is_common: common.get(index).copied().unwrap_or(false),
                is_comparing: probe::is_comparing(cx.now, index, self.probers()),
            };
            let uplink = &mut self.list[index];
            uplink.due = false;
            uplink.prober.judge(cx.now, &context);
            self.set_health(index, cx);
        }
        self.wake_others(cx.now);
    }

    /// A silence of one uplink, or of targets on it, is looked into on the others.
    fn wake_others(&mut self, now: Instant) {
        let is_called: Vec<bool> = (0..self.list.len())
            .map(|index| probe::should_wake(now, index, self.probers()))
            .collect();
        for (uplink, _) in self.list.iter_mut().zip(is_called).filter(|(_, called)| *called) {
            uplink.prober.suspect(now);
        }
    }

    fn find_blame(&mut self, cx: &mut Context<'_>) {
        if cx.now < self.next_blame {
            return;
        }
        self.next_blame = cx.now + BLAME_PACE;
        let targets = cx.config.targets();
        let ignored = probe::blame(cx.now, &targets, self.probers(), &self.ignored);
        if ignored == self.ignored {
            return;
        }
        for target in &targets {
            let blamed = ignored.contains(target);
            if blamed != self.ignored.contains(target) {
                let target = IpAddr::V4(*target);
                cx.out.push(Output::Notice(Notice::Blamed { target, blamed }));
            }
        }
        self.list.iter_mut().for_each(|uplink| uplink.due = true);
        self.ignored = ignored;
        cx.desk.saved.ignored = self.ignored_targets();
        cx.desk.save_soon();
    }

    /// The targets that are left out of the count.
    pub(crate) fn ignored_targets(&self) -> Vec<IpAddr> {
        self.ignored.iter().copied().map(IpAddr::V4).collect()
    }
}
