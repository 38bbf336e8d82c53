//! Cold standby: an uplink that has no address, asks nobody and carries nothing as long as one of a better
//! tier is usable.
//!
//! It is called as soon as none is: all are down, suspect, unplugged or drained. It is let go when one has
//! been good for [`STABLE`] and carries in its place; what still goes by it ends then. After a start it
//! waits for [`FIRST`], unless one of them has been good before.

use super::kind::Kind;
use super::{Context, Uplinks};
use crate::config::{Config, Standby, Tier};
use crate::io::Output;
use crate::notice::UplinkNews;
use crate::status::Health;
use crate::time::{Duration, Instant};

/// For so long one of a better tier has been good when an uplink is let go.
const STABLE: Duration = Duration::from_secs(60);
/// For so long a start waits for better ones.
const FIRST: Duration = Duration::from_secs(5);
/// For so long after a call it is no news that there is no lease yet.
const QUIET: Duration = Duration::from_secs(10);

/// What an uplink on cold standby is about.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Cold {
    /// It is needed, or was a moment ago.
    is_called: bool,
    called: Option<Instant>,
    /// Since when one of a better tier is good.
    better: Option<Instant>,
    /// One was, since the start.
    has_better: bool,
}

impl Cold {
    /// That of an uplink that begins: who holds something was called.
    pub(super) fn new(kind: &Kind) -> Self {
        Self { is_called: kind.holds(), ..Self::default() }
    }
}

/// How the best of a better tier is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Better {
    /// None is of use.
    None,
    /// It may be of use.
    Unsure,
    Good,
}

impl Uplinks {
    /// It waits to be called.
    pub(super) fn is_idle(&self, index: usize, config: &Config) -> bool {
        config.uplinks[index].standby == Standby::Cold && !self.list[index].cold.is_called
    }

    /// It waits to be called, and this health is what that looks like: no address yet, or no interface where
    /// pppd makes it. A stick that is gone, or a cable, is another matter.
    pub(super) fn waits_on_purpose(&self, index: usize, config: &Config, health: Health) -> bool {
        let is_dialled = self.list[index].kind.is_dialled();
        let is_meant = health == Health::NoAddress || health == Health::Absent && is_dialled;
        is_meant && self.is_idle(index, config)
    }

    /// It waits, or was called a moment ago: that it has no address is no news.
    pub(super) fn is_cold(&self, index: usize, config: &Config, now: Instant) -> bool {
        let called = self.list[index].cold.called;
        self.is_idle(index, config) || called.is_some_and(|at| now.since(at) < QUIET)
    }

    /// Calls those that are needed now, and lets those go that are not any more.
    pub(crate) fn call(&mut self, cx: &mut Context<'_>) {
        self.next_call = None;
        for index in 0..self.list.len() {
            let own = &cx.config.uplinks[index];
            if own.standby == Standby::Warm {
                self.list[index].cold = Cold { is_called: true, ..Cold::default() };
            } else if own.enabled {
                let due = match self.is_idle(index, cx.config) {
                    true => self.call_if_needed(index, cx),
                    false => self.let_go_if_spare(index, cx),
                };
                self.next_call = self.next_call.into_iter().chain(due).min();
            }
        }
    }

    /// When it is to be asked again, whatever happens.
    fn call_if_needed(&mut self, index: usize, cx: &mut Context<'_>) -> Option<Instant> {
        let better = self.better_than(index, cx.config);
        let uplink = &mut self.list[index];
        uplink.cold.has_better |= better == Better::Good;
        if better != Better::None {
            return None;
        }
        let first = cx.desk.started + FIRST;
        if cx.now < first && !uplink.cold.has_better {
            return Some(first);
        }
        uplink.cold = Cold { is_called: true, called: Some(cx.now), ..uplink.cold };
        uplink.kind.hurry();
        self.turn(index, true, cx);
        None
    }

    /// The same of one that was called.
    fn let_go_if_spare(&mut self, index: usize, cx: &mut Context<'_>) -> Option<Instant> {
        let is_good = self.better_than(index, cx.config) == Better::Good;
        // What is left on it has its time.
        let drained = cx.config.uplinks[index].on_failback.after();
        let wait = drained.unwrap_or(STABLE).max(STABLE);
        let uplink = &mut self.list[index];
        let since = *uplink.cold.better.get_or_insert(cx.now);
        if !is_good || uplink.facts.active {
            uplink.cold.better = None;
            return None;
        }
        if cx.now < since + wait {
            return Some(since + wait);
        }
        uplink.cold = Cold { has_better: true, ..Cold::default() };
        match &self.list[index].kind {
            Kind::Dhcp(_) => self.give_back(index, cx),
            Kind::Fixed | Kind::Keep(_) | Kind::Ppp(_) => {}
        }
        self.list[index].prober.retire();
        self.turn(index, false, cx);
        None
    }

    /// From here on it is looked at in another way.
    fn turn(&mut self, index: usize, called: bool, cx: &mut Context<'_>) {
        let what = if called { "called from cold standby" } else { "let go to cold standby" };
        self.list[index].note(cx.now, what.into());
        self.list[index].due = true;
        self.links_due = true;
        let uplink = cx.config.uplinks[index].name.clone();
        cx.out.push(Output::tell(UplinkNews::Standby { uplink, called }));
    }

    /// The best that the tiers before that of an uplink have.
    fn better_than(&self, index: usize, config: &Config) -> Better {
        let Tier::Number(own) = config.uplinks[index].tier else { return Better::None };
        let pairs = config.uplinks.iter().zip(&self.list);
        let before = pairs.filter(|(other, uplink)| {
            let is_before = matches!(other.tier, Tier::Number(tier) if tier < own);
            is_before && other.enabled && !uplink.facts.drained
        });
        let rank = |health| match health {
            Health::Up | Health::Degraded => Better::Good,
            Health::Probing => Better::Unsure,
            Health::Suspect
            | Health::Held
            | Health::Down
            | Health::NoWay
            | Health::NoAddress
            | Health::NoCarrier
            | Health::Absent
            | Health::Disabled => Better::None,
        };
        before.map(|(_, uplink)| rank(uplink.facts.health)).max().unwrap_or(Better::None)
    }
}
