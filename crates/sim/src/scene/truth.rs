//! What is true of an uplink, and what may be claimed of it for that.

use super::line::Truth;
use super::{Class, Scene};
use crate::kernel::Outcome;
use rail_core::config::CheckConfig;

impl Scene {
    /// The checks of an uplink.
    pub fn check(&self, i: usize) -> &CheckConfig {
        &self.config.uplinks[i].check
    }

    pub(super) fn truth(&self, i: usize) -> Truth {
        let (condition, own) = (&self.net.lines[i], Outcome::Via(self.config.uplinks[i].ifname));
        let line = &self.lines[i];
        Truth {
            is_there: line.unplugged_since.is_none()
                && line.has_way
                && line.pinned == own
                && line.probe == own,
            is_dead: condition.is_dead(),
            loss_pct: condition.loss_pct,
            rtt: condition.rtt,
            missing: condition.missing_target,
            dead: self.net.dead_target,
            is_limited: condition.limiter.is_some(),
        }
    }

    pub(super) fn classify(&self, i: usize) -> Class {
        let (uplink, line) = (&self.config.uplinks[i], &self.lines[i]);
        let condition = &self.net.lines[i];
        let there = line.is_plugged && line.is_routable;
        let own = Outcome::Via(uplink.ifname);
        if !there || line.pinned != own || line.probe != own || condition.is_dead() {
            return Class::Dead;
        }
        let is_unsteady = self.now < condition.unsteady_until || condition.limiter.is_some();
        if !line.has_way || is_unsteady || !is_bearable(&uplink.check, condition.loss_pct) {
            return Class::Gray;
        }
        let has_faults = self.dead_targets(i) > 0;
        match (condition.loss_pct > 0, has_faults) {
            (false, false) => Class::Perfect,
            (true, true) => Class::Gray,
            (true, false) => Class::Good,
            (false, true) if self.are_targets_enough(i) => Class::Good,
            (false, true) => Class::Gray,
        }
    }

    /// How many targets of an uplink do not answer it.
    pub(super) fn dead_targets(&self, i: usize) -> usize {
        let is_dead = |target: Option<usize>| {
            target.is_some_and(|t| self.check(i).targets.contains(&self.net.targets[t]))
        };
        let (dead, missing) = (self.net.dead_target, self.net.lines[i].missing_target);
        usize::from(is_dead(dead)) + usize::from(is_dead(missing) && missing != dead)
    }

    /// Those that are left are as many as must answer. (Where they are not, and the one that does not
    /// answer is dead for all, the uplinks mostly find that out in time; nothing is claimed of that.)
    pub(super) fn are_targets_enough(&self, i: usize) -> bool {
        let (check, dead) = (self.check(i), self.dead_targets(i));
        dead + check.required <= check.targets.len()
    }
}

/// So much loss in each direction is far from what condemns an uplink.
fn is_bearable(check: &CheckConfig, loss_pct: u32) -> bool {
    let both = 100 * 100 - (100 - loss_pct) * (100 - loss_pct);
    both * 2 <= u32::from(check.loss.down_pct) * 100
}
