//! What a restart takes over: numbers of names always, verdicts and originals
//! within one boot.

use super::{Book, Router};
use crate::check::{Cause, Line, Verdict};
use crate::config::{CheckConfig, Config, FirewallMode};
use crate::facts::{Facts, UplinkFacts};
use crate::net::{Family, Prefix, UplinkId};
use crate::random::Secret;
use crate::render;
use crate::saved::Saved;
use crate::state::{NFT_ELEMENTS, Nexthop, RouteKey, RouteValue};
use crate::status::{Health, Role};
use crate::time::Instant;
use crate::uplink::kind;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Makes the saved state fit this boot and this configuration.
pub(super) fn prepare(saved: Saved, boot_id: String, config: &Config) -> Saved {
    let mut saved = saved.of_boot(boot_id);
    saved.sysctls.retain(|path, _| render::is_known_setting(path));
    saved.number(config);
    let facts = Facts::unseen(config, saved.ids_of(config).collect::<Vec<_>>());
    saved.take(config, &facts);
    saved
}

/// The verdict that a restart begins with.
const fn adopted(health: Health) -> Verdict {
    match health {
        Health::Up | Health::Degraded => Verdict::Up,
        Health::Held => Verdict::Held(Cause::Adopted),
        Health::Down => Verdict::Down(Cause::Adopted),
        // An outage that has not ended: it returns as in a process that goes on. The first reading of
        // the kernel may tell otherwise.
        Health::NoCarrier | Health::NoAddress | Health::Absent => Verdict::Down(Cause::Interrupted),
        Health::NoWay | Health::Probing | Health::Disabled => Verdict::Probing,
    }
}

impl Router {
    /// Sets up uplinks, books and facts for the configuration, from the saved verdicts.
    pub(super) fn adopt_uplinks(&mut self, now: Instant) {
        for index in 0..self.config.uplinks.len() {
            let name = &self.config.uplinks[index].name;
            let health = self.saved.verdicts.get(name).copied().unwrap_or(Health::Probing);
            let id = self.saved.ids.get(name).copied().unwrap_or(UplinkId(0));
            let (line, mut book, mut fact) = self.fresh_uplink(now, id, adopted(health));
            fact.active = self.saved.active.contains(name);
            // Who loses it at the start is told of.
            if fact.active {
                book.role = Role::Active;
            }
            self.lines.push(line);
            self.books.push(book);
            self.facts.uplinks.push(fact);
            self.lines_dirty.push(true);
        }
        self.attach_uplinks();
        self.note_drained();
        let ignored = self.saved.ignored.clone();
        self.blamed = self.still_ignored(&ignored);
    }

    /// Gives each uplink the attachments that its kind knows.
    pub(super) fn attach_uplinks(&mut self) {
        for (uplink, fact) in self.config.uplinks.iter().zip(&mut self.facts.uplinks) {
            fact.way = kind::configured(uplink);
        }
    }

    /// The state is written a moment after what it tells of. Where new connections go by an uplink that
    /// carried nothing by the state, it has come up since, and nothing is known of it.
    pub(super) fn adopt_newcomers(&mut self) {
        for index in 0..self.lines.len() {
            let name = &self.config.uplinks[index].name;
            let carried = self.saved.active.contains(name);
            let lacked = self.saved.verdicts.get(name).is_some_and(|health| health.lacks_device());
            if lacked && !carried && self.is_routed(index) {
                self.lines[index].retire();
            }
        }
    }

    /// New connections go by this uplink, by what the kernel has.
    fn is_routed(&self, index: usize) -> bool {
        let (uplink, fact) = (&self.config.uplinks[index], &self.facts.uplinks[index]);
        if self.config.firewall.mode != FirewallMode::External {
            let table = self.observed.firewall.as_ref();
            let buckets = table.and_then(|table| table.buckets.as_ref()).into_iter().flatten();
            let mark = render::mark(&self.config, fact.id);
            return buckets.into_iter().any(|(bucket, of)| *bucket < NFT_ELEMENTS && *of == mark);
        }
        let table = self.config.ranges.tables.0;
        let prefix = Prefix::default_route(Family::V4);
        let shared = self.observed.routes.get(&RouteKey { table, prefix, metric: 0 });
        let Some(way) = &fact.way[Family::V4] else { return false };
        let gateway = way.gateway.address();
        let is_it = |hop: &Nexthop| hop.ifname == uplink.ifname && hop.via == gateway;
        match shared.and_then(|route| route.value.as_ref()) {
            Some(RouteValue::Unicast { nexthops, .. }) => nexthops.iter().any(is_it),
            _ => false,
        }
    }

    /// Those of the targets that were left out of the count before; all of them cannot be.
    pub(super) fn still_ignored(&self, ignored: &[IpAddr]) -> Vec<bool> {
        let targets = &self.config.check.targets;
        let mut still: Vec<bool> =
            targets.iter().map(|target| ignored.contains(&IpAddr::V4(*target))).collect();
        if still.iter().all(|ignored| *ignored) {
            still.fill(false);
        }
        still
    }

    /// Line, book and facts of an uplink that begins with `verdict`.
    pub(super) fn fresh_uplink(
        &self,
        now: Instant,
        id: UplinkId,
        verdict: Verdict,
    ) -> (Line, Book, UplinkFacts) {
        let check: CheckConfig = self.config.check.clone();
        let line = Line::new(now, id, check, self.line_key(id, now), verdict);
        let book = Book {
            since: now,
            cause: String::new(),
            role: Role::Standby,
            history: VecDeque::new(),
            transitions: 0,
            is_told: false,
            way: super::way::Way::default(),
            neighbour: "unknown".into(),
        };
        (line, book, UplinkFacts::new(id))
    }

    /// The key of a line, and the prefix of the identifiers of all.
    fn line_key(&self, id: UplinkId, now: Instant) -> (Secret, u16) {
        let word = |n| self.key.hash(&[u64::from(id.0), now.as_nanos(), n]).to_le_bytes();
        let mut seed = [0; 16];
        let (low, high) = seed.split_at_mut(8);
        low.copy_from_slice(&word(0));
        high.copy_from_slice(&word(1));
        let prefix = u16::try_from(self.key.hash(&[]) & 0xffff).unwrap_or(0);
        (Secret::new(seed), prefix)
    }
}
