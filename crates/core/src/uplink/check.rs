//! Drives the checks: sends what is due, takes what comes back, and lets the uplinks tell about each
//! other.

use super::port::FAMILY;
use super::{Context, Uplink, Uplinks};
use crate::check::{self, Prober, Question, Refusal, Told};
use crate::config::Config;
use crate::desk::Desk;
use crate::io::{Answer, AskError, AskId, Asker, Output, Peer, PortId};
use crate::notice::UplinkNews;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::IpAddr;

/// Targets to ignore are looked for at most this often.
const IGNORING_PACE: Duration = Duration::from_millis(100);

impl Uplinks {
    /// Takes what arrived on a port, as old as the kernel says.
    pub(crate) fn take_packet(
        &mut self,
        (now, age): (Instant, Duration),
        (port, from, bytes): (PortId, Peer, &[u8]),
        config: &Config,
        (desk, out): (&mut Desk, &mut Vec<Output>),
    ) {
        if self.keep_for_lease((port, bytes), desk) {
            return;
        }
        let Some(i) = self.checks_of(port) else {
            desk.counters.packets_refused += 1;
            return;
        };
        match self.list[i].prober.answer(now, age, from, bytes) {
            Ok((target, _)) => self.note_answer((i, target), config, (desk, out)),
            Err(Refusal::WrongSequence) if self.is_answer(from, bytes) => {
                self.refuse(i, Refusal::WrongInterface, desk);
            }
            Err(refusal) => self.refuse(i, refusal, desk),
        }
    }

    /// Takes what became of a question that was no packet.
    pub(crate) fn take_answer(
        &mut self,
        now: Instant,
        (id, outcome): (AskId, Result<Answer, AskError>),
        config: &Config,
        (desk, out): (&mut Desk, &mut Vec<Output>),
    ) {
        let Some(i) = self.asker(id.asker) else {
            // That there is no answer is nobody's packet.
            desk.counters.packets_refused += u64::from(outcome.is_ok());
            return;
        };
        self.list[i].due = true;
        match self.list[i].prober.outcome(now, id.n, outcome) {
            Ok(Told::Reached(target)) => self.note_answer((i, target), config, (desk, out)),
            Ok(Told::NotAsked) => desk.counters.probes_sent -= 1,
            Ok(Told::Nothing) => {}
            Err(refusal) => self.refuse(i, refusal, desk),
        }
    }

    /// An uplink has heard a target.
    fn note_answer(
        &mut self,
        (index, target): (usize, usize),
        config: &Config,
        (desk, out): (&mut Desk, &mut Vec<Output>),
    ) {
        desk.counters.probes_answered += 1;
        self.list[index].due = true;
        let prober = &self.list[index].prober;
        let rtt = prober.rtt(target).unwrap_or_default();
        let rtt_us = u64::try_from(rtt.as_micros()).unwrap_or(u64::MAX);
        let uplink = config.uplinks[index].name.clone();
        let target = prober.targets().get(target).map(|target| IpAddr::V4(*target));
        let notice = |target| Output::tell(UplinkNews::Answered { uplink, target, rtt_us });
        out.extend(target.map(notice));
    }

    fn refuse(&mut self, index: usize, refusal: Refusal, desk: &mut Desk) {
        self.list[index].prober.count_refusal(refusal);
        match refusal {
            Refusal::Duplicate => desk.counters.duplicates += 1,
            _ => desk.counters.packets_refused += 1,
        }
    }

    /// True if the message would be the answer to a probe of one of them.
    fn is_answer(&self, from: Peer, bytes: &[u8]) -> bool {
        self.list.iter().any(|uplink| uplink.prober.is_answer(from, bytes))
    }

    fn probers(&self) -> impl Iterator<Item = &Prober> + Clone {
        self.list.iter().map(|uplink| &uplink.prober)
    }

    /// Asks what is due.
    pub(crate) fn probe(&mut self, cx: &mut Context<'_>) {
        self.suspect_unanswered(cx.now);
        for (index, config) in cx.config.uplinks.iter().enumerate() {
            let uplink = &mut self.list[index];
            if uplink.prober.resolves(cx.now) {
                let gateway = uplink.facts.gateway(FAMILY);
                cx.out.extend(gateway.map(|gateway| Output::Resolve(config.ifname, gateway)));
            }
            if !uplink.prober.is_due(cx.now) {
                continue;
            }
            let Some(binding) = self.binding(index, FAMILY, cx.config) else { continue };
            let with = (binding, cx.mac(config.ifname));
            let prober = &mut self.list[index].prober;
            let question = prober.question(cx.now, with);
            let (asker, port) = (Asker::Probe(prober.id(), FAMILY), prober.port(FAMILY));
            self.list[index].due = true;
            cx.out.extend(match (question, port) {
                (Some(Question::Packet { to, bytes }), Some((port, _))) => {
                    Some(Output::Send { port, to, bytes })
                }
                (Some(Question::Ask { n, ask }), _) => Some(Output::Ask(AskId { asker, n }, ask)),
                (None, _) | (Some(Question::Packet { .. }), None) => continue,
            });
            cx.desk.counters.probes_sent += 1;
        }
    }

    /// Judges those that heard something or whose time has come.
    pub(crate) fn judge(&mut self, cx: &mut Context<'_>) {
        self.find_ignored(cx);
        let is_due =
            |uplink: &Uplink| uplink.due || uplink.prober.deadline().is_some_and(|at| at <= cx.now);
        let due: Vec<usize> =
            (0..self.list.len()).filter(|index| is_due(&self.list[*index])).collect();
        if due.is_empty() {
            return;
        }
        let common = check::common_cause(self.probers());
        for index in due {
            let uplink = &self.list[index];
            let ignored = check::left_out(uplink.prober.asked(), &self.ignored);
            let context = check::Context {
                ignored: &ignored,
                is_common: common.get(index).copied().unwrap_or(false),
                is_comparing: check::is_comparing(cx.now, index, self.probers()),
            };
            let uplink = &mut self.list[index];
            uplink.due = false;
            uplink.prober.judge(cx.now, &context);
            self.set_health(index, cx);
            self.note_learnt(index, cx);
        }
        self.wake_others(cx.now);
    }

    /// A silence of one uplink, or of targets on it, is looked into on the others.
    fn wake_others(&mut self, now: Instant) {
        for index in 0..self.list.len() {
            if check::should_compare(index, self.probers()) {
                self.list[index].prober.suspect(now);
            } else if check::should_wake(now, index, self.probers()) {
                self.list[index].prober.look_closely(now);
            }
        }
    }

    /// What the checks have found besides the verdict is written down when it changes.
    fn note_learnt(&self, index: usize, cx: &mut Context<'_>) {
        let (name, uplink) = (&cx.config.uplinks[index].name, &self.list[index]);
        let mut learnt = uplink.prober.learnt();
        learnt.limited_kind = learnt.limited_rate.map(|_| uplink.check.kind);
        let known = &mut cx.desk.saved.learnt;
        if known.get(name).copied().unwrap_or_default() != learnt {
            known.insert(name.clone(), learnt);
            cx.desk.save_soon();
        }
    }

    fn find_ignored(&mut self, cx: &mut Context<'_>) {
        if cx.now < self.next_ignoring {
            return;
        }
        self.next_ignoring = cx.now + IGNORING_PACE;
        let asked = cx.config.asked();
        let before = (&self.ignored[..], self.ignored_changed);
        let ignored = check::blame(cx.now, &asked, self.probers(), before);
        if ignored == self.ignored {
            return;
        }
        self.ignored_changed = cx.now;
        let before = self.ignored_targets();
        self.ignored = ignored;
        let after = self.ignored_targets();
        for target in cx.config.targets().into_iter().map(IpAddr::V4) {
            let ignored = after.contains(&target);
            if ignored != before.contains(&target) {
                cx.out.push(Output::tell(UplinkNews::Ignored { target, ignored }));
            }
        }
        self.list.iter_mut().for_each(|uplink| uplink.due = true);
        cx.desk.saved.ignored = after;
        cx.desk.save_soon();
    }

    /// True if a target of an uplink is left out of the count.
    pub(crate) fn is_ignored(&self, uplink: &Uplink, target: usize) -> bool {
        check::left_out(uplink.prober.asked(), &self.ignored).get(target).copied().unwrap_or(false)
    }

    /// The targets that are left out of the count, however they are asked.
    pub(crate) fn ignored_targets(&self) -> Vec<IpAddr> {
        let mut targets: Vec<_> = self.ignored.iter().map(|(_, at)| IpAddr::V4(*at)).collect();
        targets.sort_unstable();
        targets.dedup();
        targets
    }
}
