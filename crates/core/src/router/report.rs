//! The snapshot for the screens.

use super::Router;
use crate::check::quorum_window;
use crate::config::{Tier, UplinkConfig};
use crate::facts::Facts;
use crate::net::{Family, IfName};
use crate::render;
use crate::state::{Key, Resource, State};
use crate::status::{ConfigurationStatus, Health, SelfStatus, Status, TargetStatus, UplinkStatus};
use crate::time::{Duration, Instant};
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::IpAddr;

impl Router {
    /// The interface behind which this client of one of our addresses is: that of its own network,
    /// else that of the address.
    pub fn interface_towards(&self, client: IpAddr, server: IpAddr) -> Option<IfName> {
        let all = || self.observed.addresses.keys();
        let near =
            all().filter(|(_, prefix)| prefix.contains(client)).max_by_key(|(_, p)| p.length);
        let own = || all().find(|(_, prefix)| prefix.address == server);
        near.or_else(own).map(|(ifname, _)| *ifname)
    }

    /// A snapshot of everything an operator may want to see.
    pub fn status(&self, now: Instant) -> Status {
        let facts = self.facts.essence();
        let is_known = |(known, _): &&(Facts, Arc<State>)| *known == facts;
        let rendered = self.rendered.as_ref().filter(is_known).map(|(_, state)| &**state);
        // What the kernel has, where the wanted map waits or is refused.
        let there = self.observed.firewall.as_ref().and_then(|table| table.buckets.as_ref());
        let wanted = rendered.and_then(|state| match state.get(&Key::Buckets) {
            Some(Resource::Buckets(map)) => Some(map),
            _ => None,
        });
        let map = there.filter(|_| self.engine.is_held(&Key::Buckets)).or(wanted);
        let shares = render::shares(&self.config, &self.facts, map);
        Status {
            router: self.config.router.name.clone(),
            uptime_s: now.since(self.started).as_secs(),
            generation: self.saved.generation,
            uplinks: (0..self.lines.len())
                .map(|i| self.uplink_status(now, i, shares.get(i).copied().unwrap_or(0.0)))
                .collect(),
            vrrp: Vec::new(),
            settled: self.knows_kernel && !self.dirty && self.engine.is_settled(),
            guarded: self.is_guarded(),
            configuration: ConfigurationStatus::default(),
            trouble: self.engine.trouble(now),
            foreign: self.foreign.clone(),
            conflicts: self.unnamed.iter().chain(&self.beside.conflicts).cloned().collect(),
            unread: self.beside.unread.clone(),
            blamed: self.ignored(),
            counters: self.counters,
            repairs: self.engine.repairs(),
            own: SelfStatus::default(),
        }
    }

    fn uplink_status(&self, now: Instant, index: usize, share: f64) -> UplinkStatus {
        let (uplink, fact) = (&self.config.uplinks[index], &self.facts.uplinks[index]);
        let (line, book) = (&self.lines[index], &self.books[index]);
        let sums = line.sums(now, &self.blamed);
        UplinkStatus {
            name: uplink.name.clone(),
            description: uplink.description.clone(),
            id: fact.id,
            interface: self.interface(uplink),
            address: fact.address(Family::V4),
            gateway: fact.gateway(Family::V4),
            weight: uplink.weight,
            said: self.override_status(now, index),
            tier: match self.file.uplinks[index].tier {
                Tier::Number(n) => Some(n),
                Tier::Inbound => None,
            },
            health: fact.health,
            role: book.role,
            share,
            since_s: now.since(book.since).as_secs(),
            cause: book.cause.clone(),
            rtt_us: sums.rtt().map(micros),
            jitter_us: sums.jitter().map(micros),
            loss_pct: sums.loss_permille().map(per_cent),
            carrier: fact.ifindex.map(|_| fact.carrier),
            link_up: fact.ifindex.map(|_| fact.link_up),
            has_address: fact.has_address[Family::V4],
            neighbour: book.neighbour.clone(),
            targets: (0..self.config.check.targets.len())
                .map(|target| self.target_status(now, index, target))
                .collect(),
            returns: self.returns(now, index),
            history: book.history.iter().cloned().collect(),
            transitions: book.transitions,
            refused: line.refused(),
        }
    }

    /// Its name here; what the file says of one that has none.
    fn interface(&self, uplink: &UplinkConfig) -> String {
        if self.observed.links.contains_key(&uplink.ifname) {
            return uplink.ifname.to_string();
        }
        uplink.interface.to_string()
    }

    fn target_status(&self, now: Instant, index: usize, target: usize) -> TargetStatus {
        let line = &self.lines[index];
        let check = line.check();
        let sums = line.quality(target).map(|q| q.sums(now, check.timeout));
        let silent = line.last_answer(target).map(|at| now.since(at));
        // What a target answered before the uplink went down says nothing of it now.
        let fell =
            (self.facts.uplinks[index].health == Health::Down).then_some(self.books[index].since);
        let heard_since = fell.is_none_or(|at| line.last_answer(target).is_some_and(|a| a >= at));
        TargetStatus {
            address: IpAddr::V4(check.targets[target]),
            answering: line.is_running()
                && heard_since
                && line.heard_within(now, target, quorum_window(check)),
            blamed: self.blamed.get(target).copied().unwrap_or(false),
            rtt_us: line.quality(target).and_then(|q| q.last_rtt()).map(micros),
            loss_pct: sums.and_then(|s| s.loss_permille()).map(per_cent),
            silent_ms: silent.map(|d| u64::try_from(d.as_millis()).unwrap_or(u64::MAX)),
            probes: line.probes(target),
        }
    }

    /// No bucket can be given to the uplink: the rules in the kernel do not know it.
    fn waits_for_rules(&self, index: usize) -> bool {
        let Some((_, desired)) = &self.rendered else { return false };
        let mark = render::mark(&self.config, self.facts.uplinks[index].id);
        self.config.uplinks[index].tier != Tier::Inbound
            && desired.contains_key(&Key::Firewall)
            && !self.engine.knows(mark, desired, &self.observed)
    }

    /// What must happen before the uplink carries connections again.
    fn returns(&self, now: Instant, index: usize) -> String {
        let line = &self.lines[index];
        let check = line.check();
        match self.facts.uplinks[index].health {
            Health::Probing | Health::Up | Health::Degraded if self.waits_for_rules(index) => {
                "when nft has loaded its rules".into()
            }
            Health::Probing | Health::Up | Health::Degraded => String::new(),
            Health::Disabled if self.file.uplinks[index].enabled => {
                let over = self.saved.overrides.get(&self.file.uplinks[index].name);
                match over.and_then(|over| over.until) {
                    Some(_) => "when its time is over, or by `rail enable`".into(),
                    None => "by `rail enable`".into(),
                }
            }
            Health::Disabled => "when it is enabled in the configuration".into(),
            Health::Absent => "when the interface appears".into(),
            Health::NoCarrier => "when the interface is up and has a carrier".into(),
            Health::NoAddress => "when the address is on the interface".into(),
            Health::NoWay => {
                "when the kernel has its route and its rule, after one good round".into()
            }
            Health::Down => {
                let run = line.run(now, &self.blamed);
                let (have, want) = (run.length, check.recover_after);
                let stable = if check.stable_for.is_zero() {
                    String::new()
                } else {
                    format!(" that last {} s", check.stable_for.as_secs_f32())
                };
                let lossy = if have >= want { ", too much was lost in them" } else { "" };
                let have = have.min(want);
                format!("after {want} consecutive good rounds{stable} (now {have}{lossy})")
            }
            Health::Held => {
                let lasted = line.well_since().map_or(Duration::ZERO, |at| now.since(at));
                let left = check.stable_for.saturating_sub(lasted);
                format!("when it has been good for {:.1} s more", left.as_secs_f32())
            }
        }
    }
}

fn micros(d: Duration) -> u64 {
    u64::try_from(d.as_micros()).unwrap_or(u64::MAX)
}

fn per_cent(permille: u64) -> f64 {
    f64::from(u32::try_from(permille).unwrap_or(u32::MAX)) / 10.0
}
