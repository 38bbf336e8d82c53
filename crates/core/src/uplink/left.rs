//! Uplinks that are left for a better one: who decides that it carries again (`failback`), and what becomes of
//! their connections (`on_failback`).

use super::choose::{Candidate, Standing};
use super::{Context, Uplink, Uplinks};
use crate::config::{Config, Failback, OnFailback, Tier, UplinkConfig};
use alloc::format;
use alloc::string::String;

impl Uplinks {
    /// Where somebody decides on the return (`failback = "manual"`), an uplink that was replaced waits for
    /// him, as long as one of a higher tier carries that is good.
    pub(super) fn hold_replaced(&self, candidates: &mut [Candidate], config: &Config) {
        if config.router.failback == Failback::Auto {
            return;
        }
        let pairs = self.list.iter().zip(candidates.iter());
        let carries = |(uplink, c): &(&Uplink, &Candidate)| {
            uplink.facts.active && c.standing == Standing::Proven
        };
        let Some(tier) = pairs.filter(carries).map(|(_, c)| c.tier).min() else { return };
        for (uplink, candidate) in self.list.iter().zip(candidates) {
            // One that is preferred was told to carry.
            let is_told = candidate.tier == Tier::Number(0);
            if uplink.is_replaced && candidate.tier < tier && !is_told {
                candidate.standing = candidate.standing.max(Standing::Held);
            }
        }
    }

    /// Takes note of who has carried and is dead, and who carries again.
    pub(super) fn note_replaced(&mut self, cx: &mut Context<'_>) {
        for uplink in &mut self.list {
            uplink.is_replaced |= uplink.has_carried && !uplink.facts.health.is_alive();
            uplink.is_replaced &= !uplink.facts.active;
        }
        let pairs = self.list.iter().zip(&cx.config.uplinks);
        let replaced = pairs.filter(|(uplink, _)| uplink.is_replaced);
        if !replaced.clone().map(|(_, own)| &own.name).eq(&cx.desk.saved.replaced) {
            cx.desk.saved.replaced = replaced.map(|(_, own)| own.name.clone()).collect();
            cx.desk.save_soon();
        }
    }

    /// True if an uplink is good and waits for somebody to decide on its return.
    pub(super) fn waits_to_be_told(&self, index: usize, config: &Config) -> bool {
        let (uplink, tier) = (&self.list[index], config.uplinks[index].tier);
        let pairs = self.list.iter().zip(&config.uplinks);
        let mut carrying = pairs.filter(|(other, _)| other.facts.active);
        config.router.failback == Failback::Manual
            && uplink.is_replaced
            && carrying.any(|(_, own)| own.tier > tier)
    }

    /// Finds who has carried and carries no more, for one of a lower tier does that is good; and who carries
    /// again. A doubt alone is no better one: then another uplink may be silent as well.
    pub(super) fn find_left(&mut self, standing: Standing, cx: &mut Context<'_>) {
        let pairs = cx.config.uplinks.iter().zip(&self.list);
        let best = pairs.filter(|(_, uplink)| uplink.facts.active).map(|(own, _)| own.tier).min();
        let best = best.filter(|_| standing == Standing::Proven);
        for (uplink, own) in self.list.iter_mut().zip(&cx.config.uplinks) {
            let id = uplink.facts.id;
            if uplink.facts.active {
                uplink.has_carried = true;
                if cx.desk.saved.left.remove(&id).is_some() {
                    cx.desk.save_soon();
                    cx.purge.stay(id, cx.out);
                    uplink.note(cx.now, "carries again: its connections stay".into());
                }
                continue;
            }
            let is_beaten = best.is_some_and(|best| best < own.tier);
            if !is_beaten || !uplink.has_carried || !uplink.facts.health.is_alive() {
                continue;
            }
            uplink.has_carried = false;
            if let Some(text) = what_follows(own) {
                cx.desk.saved.left.insert(id, cx.now);
                cx.desk.save_soon();
                cx.purge.leave(id, cx.now, own.on_failback);
                uplink.note(cx.now, text);
            }
        }
    }
}

/// For its history; `None`: nothing follows.
fn what_follows(own: &UplinkConfig) -> Option<String> {
    let what = match own.on_failback {
        OnFailback::Keep => return None,
        OnFailback::Drain(time) => {
            format!("what is left of its connections in {} s is deleted", time.as_secs())
        }
        OnFailback::CutUdp => "its UDP connections are deleted".into(),
        OnFailback::Cut => "its connections are deleted".into(),
    };
    Some(format!("was left for a better uplink: {what}"))
}
