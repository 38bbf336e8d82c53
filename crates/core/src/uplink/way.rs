//! Do probes of an uplink find their way? Without its route and its rule a socket that is bound to
//! a device falls back to "on link": what it finds out then says nothing of the uplink.
//!
//! An uplink that loses its way is not probed. A repair takes milliseconds, so its health stays for
//! [`GRACE`]; after that it is *no-way* and carries nothing. The first good round brings it back. So is
//! one whose device its kind of check cannot ask through.

use super::{Context, Uplinks};
use crate::facts::Facts;
use crate::net::Family;
use crate::purge::GRACE;
use crate::reconcile::Reconciler;
use crate::render;
use crate::state::{Key, State, is_met};
use crate::time::Instant;
use alloc::format;
use alloc::string::String;

/// What is known of the way of an uplink that has link and address.
#[derive(Clone, Debug, Default)]
pub(crate) struct Way {
    /// What is missing.
    missing: Option<Key>,
    /// Since when it is lost or refused; not while the first pass is still to bring it.
    lost: Option<Instant>,
    /// Its device cannot be asked through by its kind of check.
    pub(crate) is_unaskable: bool,
    /// Why there is none.
    pub(crate) refused: Option<String>,
}

impl Uplinks {
    /// Starts, halts and ends the checks with the way of their probes.
    pub(super) fn refresh_way(
        &mut self,
        index: usize,
        (facts, desired): (&Facts, &State),
        cx: &Context<'_>,
    ) {
        let mac = cx.mac(cx.config.uplinks[index].ifname);
        let uplink = &mut self.list[index];
        let (way, fact) = (&mut uplink.way, &uplink.facts);
        if !(cx.config.uplinks[index].enabled && fact.carrier && fact.has_address[Family::V4]) {
            // One that was given up is still lost when the link is back, until the way is there.
            if way.refused.is_none() {
                *way = Way::default();
            }
            return;
        }
        if let Some(why) = uplink.prober.lacks(mac) {
            uplink.due |= way.refused.as_ref() != Some(&why);
            *way = Way { is_unaskable: true, refused: Some(why), ..Way::default() };
            uplink.prober.lose_way();
            return;
        }
        let keys = render::way_of(cx.config, facts, index);
        let observed = &cx.kernel.observed;
        let is_there =
            |key: &Key| desired.get(key).is_some_and(|value| is_met(key, value, observed));
        way.missing = keys.into_iter().find(|key| !is_there(key));
        let Some(key) = &way.missing else {
            uplink.due |= way.refused.is_some();
            *way = Way::default();
            uplink.prober.start(cx.now);
            return;
        };
        let trouble = cx.kernel.engine.trouble_with(key);
        if uplink.prober.is_running() || trouble.is_some() || way.lost.is_some() {
            let lost = *way.lost.get_or_insert(cx.now);
            uplink.prober.halt();
            if cx.now.since(lost) >= GRACE {
                uplink.prober.lose_way();
                let why = trouble.unwrap_or_else(|| "it is missing".into());
                way.refused = Some(format!("{key}: {why}"));
                uplink.due = true;
            }
        }
    }

    /// An uplink waits for its way, and now it is known that it does not come.
    pub(crate) fn is_way_in_trouble(&self, kernel: &Reconciler) -> bool {
        let is_new = |way: &Way| {
            let missing = way.missing.as_ref().filter(|_| way.lost.is_none());
            missing.is_some_and(|key| kernel.engine.trouble_with(key).is_some())
        };
        self.list.iter().any(|uplink| is_new(&uplink.way))
    }

    /// When the next lost way is given up, or what another program has taken away.
    pub(crate) fn way_deadline(&self) -> Option<Instant> {
        let open = self.list.iter().map(|uplink| &uplink.way).filter(|way| way.refused.is_none());
        let lost = open.filter_map(|way| way.lost).map(|at| at + GRACE);
        lost.chain(self.list.iter().filter_map(|uplink| uplink.kind.look_deadline())).min()
    }
}
