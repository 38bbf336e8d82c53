//! The uplinks: what attaches each, what is known of it, whether it is healthy, and which of them carry new
//! connections.
//!
//! [`Uplink`] holds everything of one, so that its checks, its facts and its history cannot
//! disagree. They stand in the order of the configuration.

mod adopt;
mod check;
pub(crate) mod choose;
mod cold;
mod health;
mod history;
mod kind;
mod left;
mod link;
pub(crate) mod news;
mod passive;
mod port;
mod role;
mod status;
mod way;

pub(crate) use adopt::{is_same, prepare};
pub(crate) use history::History;
pub(crate) use status::Report;
pub(crate) use way::Way;

use crate::check::Prober;
use crate::config::{Action, Asked, CheckConfig, Config, Overrides};
use crate::desk::Desk;
use crate::facts::{Facts, SystemFacts, UplinkFacts};
use crate::io::{Asker, Binding, Output, Port};
use crate::net::{IfName, Mac};
use crate::purge::{Carrier, Purger};
use crate::random::Secret;
use crate::reconcile::{Reconciler, Wants};
use crate::state::{Observed, State};
use crate::time::Instant;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use passive::Passive;

/// One uplink.
#[derive(Clone, Debug)]
pub(crate) struct Uplink {
    /// Its checks.
    pub(crate) prober: Prober,
    /// What they are made from.
    check: CheckConfig,
    /// When they were made: what was asked before is no question of theirs.
    made: Instant,
    /// Where its attachments come from.
    kind: kind::Kind,
    /// What its probes and its client cannot be guessed by.
    secret: Secret,
    /// What we believe of it.
    pub(crate) facts: UplinkFacts,
    /// The way of its probes.
    pub(crate) way: Way,
    /// Of a link of ours: why it is not as it is to be.
    link_trouble: Option<String>,
    /// Whether it waits for the death of better ones.
    cold: cold::Cold,
    /// What the traffic of others tells of it.
    passive: Passive,
    /// It carries, or has carried since it was left for a better one.
    has_carried: bool,
    /// It has carried, fell, and has not carried since.
    is_replaced: bool,
    /// What became of it.
    pub(crate) history: History,
    /// It heard something, or its facts changed: its health is to be found out.
    pub(crate) due: bool,
}

/// Checks that may ask: whose, bound to what, and when they were made. Others have nothing open.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
struct MayAsk {
    asker: Asker,
    binding: Binding,
    made: Instant,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Uplinks {
    list: Vec<Uplink>,
    /// Targets that are left out of the count.
    pub(crate) ignored: Vec<Asked>,
    /// When these last became others by what was heard.
    ignored_changed: Instant,
    next_ignoring: Instant,
    /// Who carried before an uplink died, and when it fell silent or died, until one of those that carry
    /// now has answered: they may all be dying.
    cascade: Option<(Vec<bool>, Instant)>,
    /// Since when a change of the active set waits for its verification.
    pub(crate) switching: Option<Instant>,
    /// No uplink is usable, and people know.
    lost_all: bool,
    /// What the kernel has of interfaces, addresses or routes is to be looked at.
    pub(crate) links_due: bool,
    ports: Vec<Port>,
    /// When one on cold standby is called or let go, if nothing happens.
    next_call: Option<Instant>,
    /// Who may ask.
    askers: Vec<MayAsk>,
}

/// What the uplinks work with besides themselves.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// As the file says.
    pub(crate) file: &'a Config,
    /// As it is meant now.
    pub(crate) config: &'a Config,
    pub(crate) system: &'a SystemFacts,
    pub(crate) kernel: &'a mut Reconciler,
    pub(crate) purge: &'a mut Purger,
    pub(crate) desk: &'a mut Desk,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Context<'_> {
    /// The hardware address that an interface asks from by ARP; `None`: it does not speak ARP.
    pub(crate) fn mac(&self, ifname: IfName) -> Option<Mac> {
        mac(&self.kernel.observed, ifname)
    }

    /// The desired state with these uplinks.
    pub(crate) fn desired(&mut self, uplinks: &Uplinks) -> Arc<State> {
        let facts = || uplinks.facts(self.system);
        self.kernel.desired(&Wants { config: self.config, facts: &facts }, &self.desk.saved)
    }
}

/// The hardware address that an interface asks from by ARP; `None`: it does not speak ARP.
fn mac(observed: &Observed, ifname: IfName) -> Option<Mac> {
    observed.links.get(&ifname).filter(|link| !link.no_arp)?.identity.mac
}

impl Uplinks {
    /// Each, in the order of the configuration.
    pub(crate) fn iter(
        &self,
    ) -> impl DoubleEndedIterator<Item = &Uplink> + ExactSizeIterator + Clone {
        self.list.iter()
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut Uplink> {
        self.list.iter_mut()
    }

    /// The one at this place in the configuration.
    #[cfg(test)]
    pub(crate) fn at(&self, index: usize) -> &Uplink {
        &self.list[index]
    }

    /// What we believe, of them and of the system.
    pub(crate) fn facts(&self, system: &SystemFacts) -> Facts {
        Facts { uplinks: self.facts_of_each().cloned().collect(), system: system.clone() }
    }

    /// What we believe of each.
    pub(crate) fn facts_of_each(&self) -> impl Iterator<Item = &UplinkFacts> + Clone {
        self.list.iter().map(|uplink| &uplink.facts)
    }

    /// What the removal of connections must know of them.
    pub(crate) fn carriers(&self) -> impl Iterator<Item = Carrier<'_>> + Clone {
        self.list.iter().map(|uplink| Carrier { facts: &uplink.facts, prober: &uplink.prober })
    }

    /// One of those that carry has answered a probe that was sent after this moment: what was never
    /// heard of may be dead.
    fn is_carried_since(&self, at: Instant) -> bool {
        self.carriers().any(|carrier| carrier.carries_since(at))
    }

    /// Takes note of who is to be drained.
    fn note_drained(&mut self, config: &Config, overrides: &Overrides) {
        for (uplink, own) in self.list.iter_mut().zip(&config.uplinks) {
            let said = overrides.get(&own.name);
            uplink.facts.drained = said.is_some_and(|said| said.action == Action::Drain);
        }
    }

    /// No check goes on, and no port is open.
    pub(crate) fn withdraw(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.release(now, out);
        self.list.iter_mut().for_each(|uplink| uplink.prober.stop(now));
        self.close_ports(out);
    }

    /// Some of them are to be looked at.
    pub(crate) fn are_due(&self) -> bool {
        self.links_due || self.list.iter().any(|uplink| uplink.due)
    }

    /// When the next check is due, or a client.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let due = |uplink: &Uplink| [uplink.prober.deadline(), uplink.kind.deadline()];
        self.list.iter().flat_map(due).flatten().chain(self.next_call).min()
    }
}
