//! A new configuration: what is the same goes on untouched.

use super::Router;
use crate::config::{Config, UplinkConfig};
use crate::io::Output;
use crate::net::UplinkId;
use crate::notice::RouterNews;
use crate::purge::{Pending, movable};
use crate::reconcile::Wants;
use crate::state::Scope;
use crate::time::Instant;
use crate::uplink::is_same;
use alloc::string::String;
use alloc::vec::Vec;

impl Router {
    /// Loads the configuration of the file. What was said of uplinks that it no longer has waits,
    /// for it may be on trial or a slip of the pen, and is over with the next one that lacks them.
    pub(super) fn reload(&mut self, now: Instant, file: Config, out: &mut Vec<Output>) {
        let has = |config: &Config, name: &str| config.uplinks.iter().any(|u| u.name == name);
        let saved = &mut self.desk.saved;
        saved.overrides.retain(|name, _| has(&file, name) || has(&self.file, name));
        saved.generation = saved.generation.saturating_add(1);
        out.push(Output::tell(RouterNews::Reloaded { generation: saved.generation }));
        self.names.expect(&file, (&self.config, &self.kernel.observed), saved);
        let config = self.meant(&file);
        self.file = file;
        self.load_config(now, config, out);
    }

    /// Loads a new configuration.
    pub(super) fn load_config(&mut self, now: Instant, config: Config, out: &mut Vec<Output>) {
        self.purge_removed(&config);
        let old = core::mem::replace(&mut self.config, config);
        self.children.touch();
        let Self { config, desk, uplinks, system, kernel, secret, .. } = self;
        desk.saved.number(config);
        uplinks.take(now, (&old, config), desk, secret);
        desk.saved.take(config, uplinks.facts_of_each());
        let stays = |name: &String| config.uplinks.iter().any(|u| u.name == *name);
        desk.saved.verdicts.retain(|name, _| stays(name));
        desk.saved.learnt.retain(|name, _| stays(name));
        // What was refused of the old one says nothing about the new one.
        kernel.engine.retry_now(now);
        kernel.forget_rendered();
        kernel.touch();
        let wants = Wants { config, facts: &|| uplinks.facts(system) };
        kernel.refresh_watch(&wants, &desk.saved, out);
        desk.save(true, out);
        out.push(Output::Observe(Scope::ALL));
    }

    /// Connections of uplinks that go away, or become another uplink, can move.
    fn purge_removed(&mut self, config: &Config) {
        let pairs = self.config.uplinks.iter().zip(self.uplinks.iter());
        let is_gone = |own: &UplinkConfig| {
            let stays = |u: &UplinkConfig| u.name == own.name && u.enabled && is_same(u, own);
            !config.uplinks.iter().any(stays)
        };
        let gone = pairs.filter(|(own, _)| is_gone(own)).map(|(_, uplink)| uplink.facts.id);
        for id in gone.collect::<Vec<_>>() {
            self.purge_later(id);
        }
    }

    fn purge_later(&mut self, id: UplinkId) {
        let purge = movable(&self.config, self.uplinks.facts_of_each(), &self.kernel.observed, id);
        self.purge.put(id, Pending::first(purge));
    }

    /// Connections of uplinks that went away earlier: the process that took the configuration may
    /// have died before it removed them, and they would leave by other uplinks for ever.
    pub(super) fn purge_forgotten(&mut self) {
        for id in self.desk.saved.leaving.clone() {
            self.purge_later(id);
        }
    }
}
