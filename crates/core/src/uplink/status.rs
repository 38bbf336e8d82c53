//! An uplink for the screens: what it is, how it does, and what must happen before it returns.

use super::{Uplink, Uplinks};
use crate::check::Verdict;
use crate::config::{Config, Override, Tier, UplinkConfig};
use crate::net::Family;
use crate::reconcile::Reconciler;
use crate::render;
use crate::saved::Saved;
use crate::state::Key;
use crate::status::{CheckStatus, Health, OverrideStatus, TargetStatus, UplinkStatus};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What the screens show besides the uplinks themselves.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Report<'a> {
    pub(crate) now: Instant,
    /// As the file says.
    pub(crate) file: &'a Config,
    /// As it is meant now.
    pub(crate) config: &'a Config,
    pub(crate) kernel: &'a Reconciler,
    pub(crate) saved: &'a Saved,
}

impl Uplinks {
    /// A snapshot of each; `shares` are their shares of new connections.
    pub(crate) fn status(&self, shares: &[f64], report: &Report<'_>) -> Vec<UplinkStatus> {
        let share = |index: usize| shares.get(index).copied().unwrap_or(0.0);
        (0..self.list.len()).map(|index| self.status_of(index, share(index), report)).collect()
    }

    fn status_of(&self, index: usize, share: f64, report: &Report<'_>) -> UplinkStatus {
        let (own, uplink) = (&report.config.uplinks[index], &self.list[index]);
        let (fact, history) = (&uplink.facts, &uplink.history);
        let sums = uplink.prober.sums(report.now);
        let said = report.saved.overrides.get(&own.name);
        UplinkStatus {
            name: own.name.clone(),
            description: own.description.clone(),
            id: fact.id,
            interface: interface(own, report.kernel),
            address: fact.address(Family::V4),
            gateway: fact.gateway(Family::V4),
            weight: own.weight,
            said: said.map(|said| override_status(said, report.now)),
            tier: match report.file.uplinks[index].tier {
                Tier::Number(n) => Some(n),
                Tier::Inbound => None,
            },
            health: fact.health,
            role: history.role,
            share,
            since_s: report.now.since(history.since).as_secs(),
            cause: history.cause.clone(),
            rtt_us: sums.rtt().map(micros),
            jitter_us: sums.jitter().map(micros),
            loss_pct: sums.loss_permille().map(per_cent),
            limited_per_s: uplink.prober.limited_rate().map(|rate| f64::from(rate) / 1000.0),
            carrier: fact.ifindex.map(|_| fact.carrier),
            link_up: fact.ifindex.map(|_| fact.link_up),
            has_address: fact.has_address[Family::V4],
            lease: uplink.kind.lease_status(report.now),
            ppp: uplink.kind.ppp_status(report.now),
            cold: self.waits_on_purpose(index, report.config, fact.health),
            kept: uplink.kind.kept_status(report.now),
            neighbour: history.neighbour.clone(),
            check: CheckStatus::from(&uplink.check),
            targets: (0..uplink.prober.targets().len())
                .map(|target| self.target_status(report.now, uplink, target))
                .collect(),
            returns: self.returns(index, report),
            history: history.entries.iter().cloned().collect(),
            transitions: history.transitions,
            refused: uplink.prober.refused(),
        }
    }

    fn target_status(&self, now: Instant, uplink: &Uplink, target: usize) -> TargetStatus {
        let (prober, check) = (&uplink.prober, &uplink.check);
        let sums = prober.quality(target).map(|q| q.sums(now, check.timeout));
        let silent = prober.last_answer(target).map(|at| now.since(at));
        // What a target answered before the uplink went down says nothing of it now, nor does what it
        // answered before all fell silent again.
        let fell = (uplink.facts.health == Health::Down).then_some(uplink.history.since);
        let has_heard =
            |fell| prober.has_heard(now) && prober.last_answer(target).is_some_and(|at| at >= fell);
        let address = prober.targets()[target];
        TargetStatus {
            address: IpAddr::V4(address),
            answering: prober.is_running()
                && fell.is_none_or(has_heard)
                && silent.is_some()
                && prober.unanswered(target) < SILENT,
            ignored: self.is_ignored(uplink, target),
            rtt_us: prober.rtt(target).map(micros),
            loss_pct: sums.and_then(|s| s.loss_permille()).map(per_cent),
            silent_ms: silent.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            probes: prober.probes(target),
        }
    }

    /// No bucket can be given to the uplink: the rules in the kernel do not know it.
    fn waits_for_rules(&self, index: usize, report: &Report<'_>) -> bool {
        let Some(desired) = report.kernel.rendered() else { return false };
        let mark = render::mark(report.config, self.list[index].facts.id);
        report.config.uplinks[index].tier != Tier::Inbound
            && desired.contains_key(&Key::Firewall)
            && !report.kernel.engine.knows(mark, desired, &report.kernel.observed)
    }

    /// What must happen before the uplink carries connections again.
    fn returns(&self, index: usize, report: &Report<'_>) -> String {
        let uplink = &self.list[index];
        match uplink.facts.health {
            Health::Probing | Health::Up | Health::Suspect | Health::Degraded
                if self.waits_for_rules(index, report) =>
            {
                "when nft has loaded its rules".into()
            }
            Health::Suspect => "when it answers".into(),
            Health::Up | Health::Degraded if self.waits_to_be_told(index, report.config) => {
                "by `rail prefer`".into()
            }
            Health::Probing | Health::Up | Health::Degraded => String::new(),
            Health::Disabled => enabled_again(&report.file.uplinks[index], report.saved),
            health if self.waits_on_purpose(index, report.config, health) => {
                "when no uplink of a better tier is usable".into()
            }
            Health::Absent | Health::NoAddress if uplink.kind.is_dialled() => {
                "when it is connected".into()
            }
            Health::Absent => "when the interface appears".into(),
            Health::NoCarrier => "when the interface is up and has a carrier".into(),
            Health::NoAddress | Health::NoWay if uplink.facts.address(Family::V4).is_none() => {
                uplink.kind.what_attaches().into()
            }
            Health::NoAddress => "when the address is on the interface".into(),
            Health::NoWay if uplink.way.is_unaskable => {
                "when its kind of check fits its device".into()
            }
            Health::NoWay => {
                "when the kernel has its route and its rule, after one good round".into()
            }
            Health::Down => good_again(report.now, uplink),
            Health::Held => {
                let left = uplink.prober.hold_left(report.now);
                format!("when it has been good for {:.1} s more", left.as_secs_f32())
            }
        }
    }
}

/// What a dead uplink has to show.
fn good_again(now: Instant, uplink: &Uplink) -> String {
    let (have, want) = (uplink.prober.good_rounds(), uplink.check.recover_after);
    let left = uplink.prober.hold_left(now);
    let hold = if left.is_zero() {
        String::new()
    } else {
        format!(", not before {:.0} s", left.as_secs_f32())
    };
    let lossy = match uplink.prober.verdict() {
        _ if have < want => "",
        Verdict::Down(cause) if cause.is_loss() => ", until its loss is over for sure",
        _ => ", something was lost in them",
    };
    let have = have.min(want);
    format!("after {want} consecutive good rounds (now {have}{lossy}){hold}")
}

/// A target that left so many questions in a row unanswered is shown as silent.
const SILENT: u32 = 4;

fn enabled_again(file: &UplinkConfig, saved: &Saved) -> String {
    if !file.enabled {
        return "when it is enabled in the configuration".into();
    }
    match saved.overrides.get(&file.name).and_then(|over| over.until) {
        Some(_) => "when its time is over, or by `rail enable`".into(),
        None => "by `rail enable`".into(),
    }
}

/// Its name here; what the file says of one that has none.
fn interface(own: &UplinkConfig, kernel: &Reconciler) -> String {
    if kernel.observed.links.contains_key(&own.ifname) {
        return own.ifname.to_string();
    }
    own.interface.to_string()
}

fn override_status(said: &Override, now: Instant) -> OverrideStatus {
    OverrideStatus {
        action: said.action.participle().into(),
        by: said.by.clone(),
        until: said.until_wall.clone(),
        left_s: said.until.map(|until| until.since(now).as_secs()),
        text: said.sentence(),
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

fn per_cent(permille: u64) -> f64 {
    f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 10.0
}
