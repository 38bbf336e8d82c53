//! A new configuration: what is the same goes on untouched.

use super::Router;
use crate::config::{Config, UplinkConfig};
use crate::desk::Desk;
use crate::io::Output;
use crate::net::UplinkId;
use crate::notice::RouterNews;
use crate::purge::{Pending, Purger, movable};
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
        let Self { config, desk, uplinks, system, kernel, secret, purge, .. } = self;
        desk.saved.number(config);
        uplinks.take(now, (&old, config), desk, secret);
        desk.saved.take(config, uplinks.facts_of_each());
        resume_left(config, desk, purge, out);
        let stays = |name: &String| config.uplinks.iter().any(|u| u.name == *name);
        desk.saved.verdicts.retain(|name, _| stays(name));
        desk.saved.learnt.retain(|name, _| stays(name));
        // What was refused of the old one says nothing about the new one.
        kernel.engine.retry_now(now);
        kernel.forget_rendered();
        kernel.touch();
        self.children.touch();
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
        resume_left(&self.config, &mut self.desk, &mut self.purge, &mut Vec::new());
    }
}

/// Uplinks that were left for a better one are so still; what becomes of their connections the
/// configuration says.
fn resume_left(config: &Config, desk: &mut Desk, purge: &mut Purger, out: &mut Vec<Output>) {
    let ids: Vec<UplinkId> = desk.saved.ids_of(config).collect();
    let wanted = |id: UplinkId| {
        let pairs = config.uplinks.iter().zip(&ids);
        pairs.into_iter().find(|(_, of)| **of == id).map(|(own, _)| own.on_failback)
    };
    desk.saved.left.retain(|id, _| wanted(*id).is_some_and(|wanted| wanted.after().is_some()));
    for id in purge.left().into_iter().filter(|id| !desk.saved.left.contains_key(id)) {
        purge.stay(id, out);
    }
    for (id, since) in &desk.saved.left {
        wanted(*id).into_iter().for_each(|wanted| purge.leave(*id, *since, wanted));
    }
}
