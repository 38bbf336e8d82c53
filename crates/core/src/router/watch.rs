//! What the shell is to look at: from the configuration, the numbers of uplinks and what is wanted.

use super::Router;
use crate::coexist::View;
use crate::io::Output;
use crate::net::{Family, IfName};
use crate::render;
use crate::state::{Key, Scope, Watch};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;

/// While the routes of a large `main` change, one reading of them begins so often.
const MAIN_PAUSE: Duration = Duration::from_millis(100);

impl Router {
    pub(super) fn refresh_watch(&mut self, out: &mut Vec<Output>) {
        let mut sysctls = render::sysctl_paths(&self.config, &self.facts);
        sysctls.extend(self.saved.sysctls.keys().cloned());
        sysctls.sort();
        sysctls.dedup();
        let enabled = self.config.uplinks.iter().zip(&self.facts.uplinks);
        let enabled = enabled.filter(|(uplink, _)| uplink.enabled);
        let neighbours = enabled.filter_map(|(u, f)| Some((u.ifname, f.gateway(Family::V4)?)));
        let mut links: Vec<IfName> =
            self.config.uplinks.iter().filter(|u| u.enabled).map(|u| u.ifname).collect();
        links.sort_unstable();
        links.dedup();
        let watch = Watch {
            links,
            paths: self.config.has_paths(),
            tables: self.config.ranges.tables,
            used_tables: self.used_tables(),
            old_tables: self.saved.old_tables.clone(),
            sysctls,
            main_refuses: self.observed.main.is_followed(),
            neighbours: neighbours.collect(),
            beside: View::of(&self.config, &self.facts),
        };
        if watch != self.watch {
            self.watch = watch.clone();
            out.push(Output::Watch(watch));
        }
    }

    /// What is to be read now. `main` waits if it has many routes and was read a moment ago: each of
    /// its changes is heard of, and a reading of many takes some 15 ms of the loop.
    pub(super) fn without_early_main(&mut self, now: Instant, scope: Scope) -> Scope {
        if !scope.has(Scope::MAIN) {
            return scope;
        }
        self.main_is_due = now < self.next_main;
        if self.main_is_due {
            return Scope(scope.0 & !Scope::MAIN.0);
        }
        let pause = if self.observed.main.is_large() { MAIN_PAUSE } else { Duration::ZERO };
        self.next_main = now + pause;
        scope
    }

    /// The tables of all uplinks that ever had a number, and of all routes that are wanted.
    fn used_tables(&self) -> Vec<u32> {
        let shared = self.config.ranges.tables.0;
        let numbered = self.saved.ids.values().map(|id| shared + u32::from(id.0));
        let wanted = self.rendered.iter().flat_map(|(_, state)| state.keys()).filter_map(table_of);
        let mut used: Vec<u32> = numbered.chain(wanted).chain([shared]).collect();
        used.sort_unstable();
        used.dedup();
        used
    }
}

pub(super) const fn table_of(key: &Key) -> Option<u32> {
    match key {
        Key::Route(route) => Some(route.table),
        _ => None,
    }
}
