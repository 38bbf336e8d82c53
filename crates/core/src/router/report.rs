//! The snapshot for the screens.

use super::Router;
use crate::config::Config;
use crate::io::ChildId;
use crate::net::IfName;
use crate::notifier::Notifier;
use crate::reconcile::tuned;
use crate::render;
use crate::service::Services;
use crate::state::{Key, Resource};
use crate::status::{ConfigurationStatus, QueueStatus, SelfStatus, Status};
use crate::time::Instant;
use crate::uplink::{Report, Uplinks};
use alloc::vec::Vec;
use core::net::IpAddr;

impl Router {
    /// The interface behind which this client of one of our addresses is: that of its own network,
    /// else that of the address.
    pub fn interface_towards(&self, client: IpAddr, server: IpAddr) -> Option<IfName> {
        let all = || self.kernel.observed.addresses.keys();
        let near =
            all().filter(|(_, prefix)| prefix.contains(client)).max_by_key(|(_, p)| p.length);
        let own = || all().find(|(_, prefix)| prefix.address == server);
        near.or_else(own).map(|(ifname, _)| *ifname)
    }

    /// A snapshot of everything an operator may want to see.
    pub fn status(&self, now: Instant) -> Status {
        let Self { config, desk, uplinks, system, kernel, coexist, children, .. } = self;
        let facts = uplinks.facts(system);
        let rendered = kernel.rendered_from(&facts.essence());
        // What the kernel has, where the wanted map waits or is refused.
        let there = kernel.observed.firewall.as_ref().and_then(|table| table.buckets.as_ref());
        let wanted = rendered.and_then(|state| match state.get(&Key::Buckets) {
            Some(Resource::Buckets(map)) => Some(map),
            _ => None,
        });
        let map = there.filter(|_| kernel.engine.is_held(&Key::Buckets)).or(wanted);
        let shares = render::shares(config, &facts, map);
        let report = Report { now, file: &self.file, config, kernel, saved: &desk.saved };
        Status {
            router: config.router.name.clone(),
            uptime_s: now.since(desk.started).as_secs(),
            generation: desk.saved.generation,
            uplinks: uplinks.status(&shares, &report),
            vrrp: Vec::new(),
            settled: kernel.is_in_sync(),
            guarded: kernel.is_guarded(),
            configuration: ConfigurationStatus::default(),
            trouble: kernel.engine.trouble(now),
            foreign: kernel.foreign.clone(),
            conflicts: self.names.unnamed.iter().chain(&coexist.conflicts).cloned().collect(),
            unread: coexist.unread.clone(),
            children: children.status(now, |id| has_owner(id, config, uplinks)),
            queues: QueueStatus::of(&kernel.observed.queues, tuned(config, &kernel.observed.links)),
            ignored: uplinks.ignored_targets(),
            counters: desk.counters,
            repairs: kernel.engine.repairs(),
            own: SelfStatus::default(),
            notifier: None,
        }
    }
}

/// Somebody wants the child to run, now or when he has waited.
fn has_owner(id: ChildId, config: &Config, uplinks: &Uplinks) -> bool {
    match id {
        ChildId::Services => Services::is_used(config),
        ChildId::Ppp(id) => uplinks.dials(id, config),
        ChildId::Notifier => Notifier::is_used(config),
    }
}
