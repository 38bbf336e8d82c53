//! What others ask of a prober; and what its verdict asks of its targets: time-outs, loss, latency, jitter.

use super::{Duration, Instant, Mode, Prober, Quality, Running, Settings, Verdict};
use crate::check::Sums;
use crate::check::flight::{Fate, Probe};
use crate::check::verdict::Cause;
use crate::config::{Asked, CheckKind, Limit};
use crate::io::{PortId, PortKind};
use crate::net::{Family, UplinkId};
use crate::status::{ProbeCounters, RefusedCounters};
use alloc::vec::Vec;
use core::net::Ipv4Addr;

impl Prober {
    /// The verdict.
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// True if new connections should go elsewhere while that is found out: the uplink may be silent.
    pub fn is_suspect(&self) -> bool {
        self.silence.doubt_since().is_some()
    }

    /// Since when it is suspect.
    pub fn suspect_since(&self) -> Option<Instant> {
        self.silence.doubt_since()
    }

    /// True if nothing looks wrong to an uplink in use, and no answer to it takes this long.
    pub fn is_unusual(&self, now: Instant, silence: Duration) -> bool {
        let is_at_rest = self.pace.mode == Mode::Rest && self.pace.is_in_use();
        is_at_rest && self.is_asked() && silence > self.slowest(now)
    }

    /// True if a silence has outlived another time-out: others may wake for it. For a target that is dead
    /// everywhere they would wake each other all the time, and hardly ask it; nor for one that was never judged.
    pub fn is_wake_up_call(&self, now: Instant) -> bool {
        let is_long = |at| now.since(at) >= self.slowest(now) * 2;
        let is_known = self.verdict.is_usable() && self.verdict != Verdict::Probing;
        is_known && self.open_silence().is_some_and(is_long)
    }

    /// True if an answer has arrived since this moment.
    pub fn has_answered_since(&self, at: Instant) -> bool {
        self.silence.last_arrival().is_some_and(|last| last > at)
    }

    /// The settings.
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The uplink's number.
    pub const fn id(&self) -> UplinkId {
        self.id
    }

    /// The port that it asks through in a family, if it asks by packets.
    pub const fn port(&self, family: Family) -> Option<(PortId, PortKind)> {
        self.kind.port(self.id, family)
    }

    /// Who is asked.
    pub fn targets(&self) -> &[Ipv4Addr] {
        &self.addresses
    }

    /// Who is asked, and how.
    pub fn asked(&self) -> (CheckKind, &[Ipv4Addr]) {
        (self.kind.of(), &self.addresses)
    }

    /// The index of a target that others may ask as well, if it is asked so.
    pub fn index_of(&self, (kind, target): Asked) -> Option<usize> {
        self.position(target).filter(|_| self.kind.of() == kind)
    }

    /// The same, however it is asked.
    pub(super) fn position(&self, target: Ipv4Addr) -> Option<usize> {
        let is_common = self.kind.has_common_targets();
        self.addresses.iter().position(|own| is_common && *own == target)
    }

    /// When the first of the probes was sent that raised the doubt.
    pub fn doubted_since(&self) -> Option<Instant> {
        self.silence.doubt_asked()
    }

    /// How many answers a limiter on the way allows in 1,000 seconds; `None`: there is none.
    pub fn limited_rate(&self) -> Option<u32> {
        self.limiter.rate()
    }

    /// Consecutive good rounds so far of an uplink that is down.
    pub const fn good_rounds(&self) -> u32 {
        self.rounds.good()
    }

    /// How long a return is still held back, by `stable_for` or because it fell again and again.
    pub fn hold_left(&self, now: Instant) -> Duration {
        let stable = match self.held_from.or(self.rounds.since()) {
            Some(since) => (since + self.settings.stable_for).since(now),
            None => self.settings.stable_for,
        };
        let is_cured = self.evidence.recovered() >= super::RECOVERED + super::RECOVERED;
        let falls = self.past.falls();
        let damped = falls.held_until.since(now);
        stable.max(if falls.by_loss && is_cured { Duration::ZERO } else { damped })
    }

    /// When an uplink that is held back returns, if it stays good and nothing shows sooner that its loss is
    /// over.
    pub(super) fn hold_ends(&self) -> Option<Instant> {
        let is_held = matches!(self.verdict, Verdict::Held(_));
        is_held.then(|| self.judged + self.hold_left(self.judged))
    }

    /// Last answer of a target.
    pub fn last_answer(&self, target: usize) -> Option<Instant> {
        self.targets.get(target).and_then(|target| target.last_answer)
    }

    /// True if a target answers here now: not so many questions in a row were lost that it is silent.
    pub fn is_answering(&self, now: Instant, target: usize) -> bool {
        let has_answered = self.last_answer(target).is_some();
        has_answered && self.unanswered(target) < SILENT_TARGET && self.has_heard(now)
    }

    /// The last round trip to a target.
    pub fn rtt(&self, target: usize) -> Option<Duration> {
        self.targets.get(target).and_then(|target| target.trip.last())
    }

    /// The long window of a target.
    pub fn quality(&self, target: usize) -> Option<&Quality> {
        self.targets.get(target).map(|target| &target.quality)
    }

    /// What became of the probes to a target.
    pub fn probes(&self, target: usize) -> ProbeCounters {
        self.targets.get(target).map(|target| target.probes).unwrap_or_default()
    }

    /// True if a target loses while enough others do not: its losses are its own.
    pub fn is_odd(&self, target: usize) -> bool {
        self.evidence.is_odd(target)
    }

    /// What arrived and was not taken.
    pub const fn refused(&self) -> RefusedCounters {
        self.refused
    }

    /// Sums over the targets that count on this uplink.
    pub fn sums(&self, now: Instant) -> Sums {
        let mut sums = Sums::default();
        for (t, target) in self.targets.iter().enumerate() {
            if !self.evidence.is_ignored(t) && !self.evidence.is_odd(t) {
                sums += target.quality.sums(now, self.settings.timeout);
            }
        }
        sums
    }

    /// True if the target has answered its last question, as far as an answer is due. What it did before
    /// this uplink fell silent or was interrupted says nothing of now.
    pub(crate) fn is_answered(&self, target: usize) -> bool {
        let is_due = |p: &&Probe| p.target == target && (p.fate != Fate::Open || p.is_overdue);
        self.flight.since(0).rev().find(is_due).is_some_and(|probe| probe.fate == Fate::Answered)
    }

    /// The settled questions to a target since its last answer here.
    pub fn unanswered(&self, target: usize) -> u32 {
        self.targets.get(target).map_or(0, |target| target.unanswered)
    }

    /// True if too few targets answer here, and others should ask them.
    pub const fn wants_comparison(&self) -> bool {
        self.comparing.is_some()
    }

    /// True if something arrived lately: by its silence it is not dead. An uplink that has just begun
    /// has not shown it; after a restart others may need longer for their first answer.
    pub fn is_heard(&self, now: Instant) -> bool {
        let patience = self.patience(now);
        self.running.is_some_and(|running| now.since(running.started) >= patience)
            && self.has_heard(now)
    }

    /// The same of one that may have just begun. What was heard before it fell silent says nothing.
    pub fn has_heard(&self, now: Instant) -> bool {
        let is_fresh = |at| at >= self.fell_silent && now.since(at) < self.patience(now);
        self.last_sign.is_some_and(is_fresh)
    }

    /// True if one that is out answers, and is good, but held back; or answers not for so long already that it
    /// would be back if it could.
    pub fn is_returning(&self, now: Instant) -> bool {
        let begun = self.running.map_or(Instant::ZERO, |running| running.started);
        let may_return = now.since(self.heard_from.max(begun)) < self.longest_return();
        self.is_heard(now) && (may_return || matches!(self.verdict, Verdict::Held(_)))
    }

    /// How long a return takes at the most: twice as long as one without a loss.
    fn longest_return(&self) -> Duration {
        let targets = u32::try_from(self.targets.len()).unwrap_or(u32::MAX);
        let limited = self.limiter.spacing().unwrap_or_default().saturating_mul(targets);
        let rounds = self.settings.recover_after.saturating_add(2).saturating_mul(2);
        self.settings.interval.max(limited).saturating_mul(rounds)
    }

    /// True if nothing arrived for so long that it is dead by its silence, whatever it fell for.
    pub fn is_mute(&self, now: Instant) -> bool {
        let patience = self.patience(now);
        self.running.is_some_and(|running| now.since(running.started) >= patience)
            && !self.has_heard(now)
    }

    /// True if a probe was answered that was sent at this moment or later, and not before the uplink
    /// began: what it was before an interruption, or in an earlier process, proves nothing.
    pub fn is_proven_since(&self, at: Instant) -> bool {
        let proves =
            |running: Running| self.proof.is_some_and(|(sent, _)| sent >= at.max(running.started));
        self.running.is_some_and(proves)
    }

    /// True if it may be silent by now, whatever it has answered before: it is suspect, or a question is
    /// overdue that no answer has overtaken.
    pub fn may_be_silent(&self) -> bool {
        self.is_suspect() || self.open_silence().is_some()
    }

    /// When the first question was sent that is overdue and that no answer has overtaken. What a target lacks
    /// that fails by itself says nothing.
    fn open_silence(&self) -> Option<Instant> {
        let is_fair = |t: usize| !self.evidence.is_odd(t) && !self.evidence.is_ignored(t);
        self.flight.quiet().find(|p| is_fair(p.target)).map(|p| p.sent)
    }

    /// For an uplink that is down because it fell silent: since when. Before that, a probe that is
    /// answered elsewhere proves nothing; it may have passed what then broke for all.
    pub fn silent_since(&self) -> Option<Instant> {
        let is_silent = matches!(self.verdict, Verdict::Down(cause) if cause.is_silence());
        let rtt = self.proof.map_or(Duration::ZERO, |(_, rtt)| rtt);
        let first = self.flight.since(self.flight.mark() + 1).next();
        first.filter(|_| is_silent).map(|probe| probe.sent + rtt)
    }

    /// How long the uplink may be silent before it is down; not less than two probes of its pace take.
    pub fn patience(&self, now: Instant) -> Duration {
        self.silence.patience(now) + self.rest()
    }

    /// The time between two questions while nothing happens.
    pub(super) fn rest(&self) -> Duration {
        let rest = if self.pace.is_in_use() || !self.verdict.is_usable() {
            self.settings.interval
        } else {
            self.settings.standby()
        };
        rest.max(self.limiter.spacing().unwrap_or_default())
    }

    /// How many of the targets that count have answered within `window`.
    pub(super) fn heard_within(&self, now: Instant, window: Duration) -> usize {
        let is_heard = |t: &usize| self.last_answer(*t).is_some_and(|at| now.since(at) < window);
        let counts = |t: &usize| !self.evidence.is_ignored(*t);
        (0..self.targets.len()).filter(counts).filter(is_heard).count()
    }

    /// How many of them are not silent, by the questions that were settled.
    pub(super) fn answering(&self) -> usize {
        let answers = |(t, target): &(usize, &super::Target)| {
            !self.evidence.is_ignored(*t) && target.unanswered < SILENT_TARGET
        };
        self.targets.iter().enumerate().filter(answers).count()
    }

    /// The time after which a probe is overdue, by target.
    pub(super) fn timeouts(&self, now: Instant) -> Vec<Duration> {
        let bloat = self.bloat.now(now);
        self.targets.iter().map(|target| target.trip.timeout(bloat)).collect()
    }

    /// The longest of them, of targets that have answered.
    pub(super) fn slowest(&self, now: Instant) -> Duration {
        let bloat = self.bloat.now(now);
        let fair = self.targets.iter().enumerate().filter(|(t, _)| !self.evidence.is_ignored(*t));
        let known = fair.filter(|(_, target)| target.trip.is_known());
        let slowest = known.map(|(_, target)| target.trip.timeout(bloat)).max();
        slowest.unwrap_or(Duration::from_secs(1))
    }

    /// The loss of the last seconds in tenths of a per cent, reckoned once a second.
    pub(super) fn loss_now(&mut self, now: Instant, is_asked: bool) -> u64 {
        let (shown, at) = self.shown_loss;
        let is_lossy = is_asked || matches!(self.verdict, Verdict::Degraded(Cause::Loss(_)));
        if !is_lossy || (now.since(at) < Duration::from_secs(1) && shown > 0) {
            return shown;
        }
        let (mut lost, mut settled) = (0_u64, 0_u64);
        for probe in self.flight.since(0).filter(|p| !p.is_test && !self.evidence.is_odd(p.target))
        {
            let is_lost = matches!(probe.fate, Fate::Lost { .. });
            lost += u64::from(is_lost);
            settled += u64::from(is_lost || probe.fate == Fate::Answered);
        }
        self.shown_loss = ((lost * 1000).checked_div(settled).unwrap_or(0), now);
        self.shown_loss.0
    }

    /// Too long or too uneven round trips.
    pub(super) fn slowness(&self, now: Instant) -> Option<Cause> {
        if self.settings.latency.is_none() && self.settings.jitter.is_none() {
            return None;
        }
        let age = self.targets.iter().map(|target| target.quality.age(now)).max();
        let was = match self.verdict {
            Verdict::Degraded(
                cause @ (Cause::Latency(_) | Cause::Jitter(_) | Cause::WasDegraded),
            ) => Some(cause),
            _ => None,
        };
        if age.unwrap_or_default() < Duration::from_secs(10) {
            return was;
        }
        // Who is asked seldom has not answered within the minute: then what was known before is.
        let sums = self.sums(now);
        let rtt = sums.rtt().or_else(|| self.last_trip());
        let jitter = sums.jitter().or(match was {
            Some(Cause::Jitter(jitter)) => Some(jitter),
            _ => None,
        });
        let exceeds = |value: Option<Duration>, limit: Option<Limit>| {
            let (value, limit) = (value?, limit?);
            let most = if was.is_none() { limit.degraded } else { limit.recovered };
            (value > most).then_some(value)
        };
        let latency = exceeds(rtt, self.settings.latency).map(Cause::Latency);
        latency.or_else(|| exceeds(jitter, self.settings.jitter).map(Cause::Jitter))
    }

    /// The mean of the last round trips to the targets that count.
    fn last_trip(&self) -> Option<Duration> {
        let counts = |t: usize| !self.evidence.is_ignored(t) && !self.evidence.is_odd(t);
        let fair = self.targets.iter().enumerate().filter(|(t, _)| counts(*t));
        let last: Vec<Duration> = fair.filter_map(|(_, target)| target.trip.last()).collect();
        let count = u32::try_from(last.len()).ok().filter(|count| *count > 0)?;
        Some(last.iter().sum::<Duration>() / count)
    }
}

/// So many unanswered questions in a row make a target silent.
const SILENT_TARGET: u32 = 8;
