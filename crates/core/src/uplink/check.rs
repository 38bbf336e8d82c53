//! Drives the checks: sends what is due, takes what comes back, and finds targets that are at fault
//! themselves.

use super::{Context, Uplinks};
use crate::check::{Refusal, blame, quorum_window};
use crate::config::Config;
use crate::desk::Desk;
use crate::io::{Output, Peer, PortId};
use crate::net::Family;
use crate::notice::Notice;
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
        desk: &mut Desk,
    ) {
        let (Some(i), Some(from)) = (self.checks_of(port), from.ip()) else {
            desk.counters.packets_refused += 1;
            return;
        };
        let refusal = match self.list[i].prober.packet(now, age, from, bytes) {
            Ok((target, before)) => {
                desk.counters.probes_answered += 1;
                self.list[i].due = true;
                self.note_return(now, (i, target), before, quorum_window(&config.check));
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

    /// Sends the rounds that are due.
    pub(crate) fn probe(&mut self, cx: &mut Context<'_>) {
        for (uplink, config) in self.list.iter_mut().zip(&cx.config.uplinks) {
            if uplink.prober.resolves(cx.now) {
                let gateway = uplink.facts.gateway(Family::V4);
                cx.out.extend(gateway.map(|gateway| Output::Resolve(config.ifname, gateway)));
            }
            let packets = uplink.prober.send(cx.now);
            if !packets.is_empty() {
                uplink.due = true;
                cx.desk.counters.probes_sent += packets.len() as u64;
            }
            let port = PortId::Probe(uplink.prober.id(), Family::V4);
            let send = |(to, bytes)| Output::Send { port, to: Peer::Host(IpAddr::V4(to)), bytes };
            cx.out.extend(packets.into_iter().map(send));
        }
    }

    /// Judges those that heard something or whose time has come.
    pub(crate) fn judge(&mut self, cx: &mut Context<'_>) {
        self.find_blame(cx);
        for index in 0..self.list.len() {
            let uplink = &mut self.list[index];
            let is_time = uplink.prober.deadline().is_some_and(|at| at <= cx.now);
            if !core::mem::take(&mut uplink.due) && !is_time {
                continue;
            }
            let rounds = uplink.prober.judge(cx.now, &self.ignored);
            let of = u32::try_from(cx.config.check.targets.len()).unwrap_or(0);
            for (answered, good) in rounds {
                let uplink = cx.config.uplinks[index].name.clone();
                let answered = u32::try_from(answered).unwrap_or(0);
                cx.out.push(Output::Notice(Notice::Round { uplink, answered, of, good }));
            }
            self.set_health(index, cx);
        }
    }

    fn find_blame(&mut self, cx: &mut Context<'_>) {
        if cx.now < self.next_blame {
            return;
        }
        self.next_blame = cx.now + BLAME_PACE;
        let probers = self.list.iter().map(|uplink| &uplink.prober);
        let ignored = blame(cx.now, &cx.config.check, probers, &self.ignored);
        for (index, is_ignored) in ignored.iter().enumerate() {
            if self.ignored.get(index) != Some(is_ignored) {
                let target = IpAddr::V4(cx.config.check.targets[index]);
                cx.out.push(Output::Notice(Notice::Blamed { target, blamed: *is_ignored }));
                self.list.iter_mut().for_each(|uplink| uplink.due = true);
            }
        }
        if self.ignored != ignored {
            self.ignored = ignored;
            cx.desk.saved.ignored = self.ignored_targets(cx.config);
            cx.desk.save_soon();
        }
    }

    /// A target has answered on one uplink, there for the first time since `before`. After a silence on
    /// every uplink it has a fresh start on all of them: if it falls silent again at once, the one that
    /// did not ask in between is no worse than the one that did.
    fn note_return(
        &mut self,
        now: Instant,
        (index, target): (usize, usize),
        before: Option<Instant>,
        window: Duration,
    ) {
        // The next answer of an uplink that is asked slowly is no return.
        if before.is_some_and(|at| now.since(at) < self.list[index].prober.interval() * 2) {
            return;
        }
        let others = self.list.iter().enumerate().filter(|(other, _)| *other != index);
        let heard = others.filter_map(|(_, uplink)| uplink.prober.last_answer(target));
        let last = heard.chain(before).max();
        if last.is_some_and(|at| now.since(at) >= window / 2) {
            self.list.iter_mut().for_each(|uplink| uplink.prober.forgive(now, target));
        }
    }

    /// The targets that are left out of the count.
    pub(crate) fn ignored_targets(&self, config: &Config) -> Vec<IpAddr> {
        let targets = config.check.targets.iter().zip(&self.ignored);
        targets.filter(|(_, ignored)| **ignored).map(|(target, _)| IpAddr::V4(*target)).collect()
    }
}
