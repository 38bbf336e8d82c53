//! Uplinks that are left for a better one: what becomes of their connections (`on_failback`).

use super::choose::Standing;
use super::{Context, Uplinks};
use crate::config::{OnFailback, UplinkConfig};
use alloc::format;
use alloc::string::String;

impl Uplinks {
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
