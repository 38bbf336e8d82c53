//! What the shell is to look at: from the configuration, the numbers of uplinks and what is wanted.

use super::ports::watched;
use super::{Reconciler, Wants};
use crate::coexist::View;
use crate::config::Config;
use crate::io::Output;
use crate::io::Watch;
use crate::net::{Family, IfName};
use crate::queues::Place;
use crate::render;
use crate::saved::Saved;
use crate::state::{Key, State};
use alloc::vec::Vec;

impl Reconciler {
    /// Asks for other looks, if others are needed.
    pub(crate) fn refresh_watch(
        &mut self,
        wants: &Wants<'_>,
        saved: &Saved,
        out: &mut Vec<Output>,
    ) {
        let (config, facts) = (wants.config, (wants.facts)());
        let mut sysctls = render::sysctl_paths(config, &facts);
        let settings = saved.sysctls.keys().filter(|path| Place::parse(path).is_none());
        sysctls.extend(settings.cloned());
        sysctls.sort();
        sysctls.dedup();
        let enabled = config.uplinks.iter().zip(&facts.uplinks).filter(|(own, _)| own.enabled);
        let neighbours =
            enabled.filter_map(|(own, fact)| Some((own.ifname, fact.gateway(Family::V4)?)));
        let mut links: Vec<IfName> =
            config.uplinks.iter().filter(|u| u.enabled).map(|u| u.ifname).collect();
        links.sort_unstable();
        links.dedup();
        let watch = Watch {
            links,
            paths: config.has_paths(),
            tables: config.ranges.tables,
            used_tables: self.used_tables(config, saved),
            old_tables: saved.old_tables.clone(),
            sysctls,
            ports: watched(config, &self.observed.links, saved),
            main_refuses: self.observed.main.is_followed(),
            neighbours: neighbours.collect(),
            beside: View::of(config, &facts),
        };
        if watch != self.watch {
            let old = core::mem::replace(&mut self.watch, watch.clone());
            let has_ports = old.ports != watch.ports;
            out.push(Output::Watch(watch));
            if has_ports {
                self.renew_ports(&old.ports, out);
            }
        }
    }

    /// Routes in tables that nobody looks at are wanted: asks for a look.
    pub(crate) fn watch_tables(
        &mut self,
        desired: &State,
        wants: &Wants<'_>,
        saved: &Saved,
        out: &mut Vec<Output>,
    ) {
        let is_used = |table| self.watch.used_tables.binary_search(&table).is_ok();
        if !desired.keys().filter_map(table_of).all(is_used) {
            self.refresh_watch(wants, saved, out);
        }
    }

    /// The tables of all uplinks that ever had a number, and of all routes that are wanted.
    fn used_tables(&self, config: &Config, saved: &Saved) -> Vec<u32> {
        let shared = config.ranges.tables.0;
        let numbered = saved.ids.values().map(|id| shared + u32::from(id.0));
        let wanted = self.rendered.iter().flat_map(|(_, state)| state.keys()).filter_map(table_of);
        let mut used: Vec<u32> = numbered.chain(wanted).chain([shared]).collect();
        used.sort_unstable();
        used.dedup();
        used
    }

    /// What the shell looks at.
    #[cfg(test)]
    pub(crate) const fn watch(&self) -> &Watch {
        &self.watch
    }
}

const fn table_of(key: &Key) -> Option<u32> {
    match key {
        Key::Route(route) => Some(route.table),
        _ => None,
    }
}
