//! A new configuration: what is the same goes on untouched.

use super::settle::{self, EVERYTHING};
use super::{Book, Router};
use crate::check::{Line, Verdict};
use crate::config::{Config, UplinkConfig};
use crate::facts::UplinkFacts;
use crate::io::Output;
use crate::net::UplinkId;
use crate::notice::Notice;
use crate::time::Instant;
use alloc::vec::Vec;

/// True if both describe the same uplink, so that its verdict stays true.
fn is_same_line(a: &UplinkConfig, b: &UplinkConfig) -> bool {
    let same_interface = a.interface == b.interface || a.ifname == b.ifname;
    same_interface && a.address == b.address && a.gateway == b.gateway
}

impl Router {
    /// Takes the configuration of the file. What was said of uplinks that it no longer has waits,
    /// for it may be on trial or a slip of the pen, and is over with the next one that lacks them.
    pub(super) fn reload(&mut self, now: Instant, file: Config, out: &mut Vec<Output>) {
        let has = |config: &Config, name: &str| config.uplinks.iter().any(|u| u.name == name);
        self.saved.overrides.retain(|name, _| has(&file, name) || has(&self.file, name));
        self.saved.generation += 1;
        let generation = self.saved.generation;
        out.push(Output::Notice(Notice::Reloaded { generation }));
        self.expect_devices(&file);
        let config = self.meant(&file);
        self.file = file;
        self.take_config(now, config, out);
    }

    /// Takes a new configuration.
    pub(super) fn take_config(&mut self, now: Instant, config: Config, out: &mut Vec<Output>) {
        self.purge_removed(&config);
        let ignored = self.ignored();
        let cascade = self.cascade.take();
        let old = core::mem::replace(&mut self.config, config);
        let mut before: Vec<Option<(Line, Book, UplinkFacts)>> = core::mem::take(&mut self.lines)
            .into_iter()
            .zip(core::mem::take(&mut self.books))
            .zip(core::mem::take(&mut self.facts.uplinks))
            .map(|((line, book), fact)| Some((line, book, fact)))
            .collect();
        let has_carried = |i: usize| cascade.as_ref().is_some_and(|(before, _)| before[i]);
        let mut carried = Vec::new();
        self.saved.number(&self.config);
        for index in 0..self.config.uplinks.len() {
            let uplink = &self.config.uplinks[index];
            let id = self.saved.ids.get(&uplink.name).copied().unwrap_or(UplinkId(0));
            let same = |o: &UplinkConfig| o.name == uplink.name && is_same_line(o, uplink);
            let position = old.uplinks.iter().position(same);
            carried.push(position.is_some_and(&has_carried));
            let kept = position.and_then(|i| before[i].take());
            let (line, book, fact) = match kept {
                Some((line, book, fact)) if fact.id == id && *line.check() == self.config.check => {
                    (line, book, fact)
                }
                Some((line, book, fact)) => {
                    let verdict = line.verdict();
                    (self.fresh_uplink(now, id, verdict).0, book, UplinkFacts { id, ..fact })
                }
                None => self.fresh_uplink(now, id, Verdict::Probing),
            };
            self.lines.push(line);
            self.books.push(book);
            self.facts.uplinks.push(fact);
        }
        self.attach_uplinks();
        self.saved.take(&self.config, &self.facts);
        self.cascade = cascade.filter(|_| carried.contains(&true)).map(|(_, at)| (carried, at));
        self.lines_dirty = alloc::vec![true; self.lines.len()];
        self.blamed = self.still_ignored(&ignored);
        self.saved.ignored = self.ignored();
        self.saved.verdicts.retain(|name, _| self.config.uplinks.iter().any(|u| u.name == *name));
        self.note_drained();
        // What was refused of the old one says nothing about the new one.
        self.engine.retry_now(now);
        self.rendered = None;
        self.links_dirty = true;
        self.dirty = true;
        self.refresh_watch(out);
        self.save(true, out);
        out.push(Output::Observe(EVERYTHING));
    }

    /// Connections of uplinks that go away, or become another uplink, can move.
    fn purge_removed(&mut self, config: &Config) {
        let mut gone = Vec::new();
        for (uplink, fact) in self.config.uplinks.iter().zip(&self.facts.uplinks) {
            let stays =
                |u: &UplinkConfig| u.name == uplink.name && u.enabled && is_same_line(u, uplink);
            if !config.uplinks.iter().any(stays) {
                gone.push(fact.id);
            }
        }
        for id in gone {
            self.purge_later(id);
        }
    }

    fn purge_later(&mut self, id: UplinkId) {
        let purge = settle::purge(&self.config, &self.facts, &self.observed, id);
        self.pending_purges.insert(id, settle::Pending::new(purge, settle::Pass::First));
    }

    /// Connections of uplinks that went away earlier: the process that took the configuration may
    /// have died before it removed them, and they would leave by other uplinks for ever.
    pub(super) fn purge_forgotten(&mut self) {
        for id in self.saved.leaving.clone() {
            self.purge_later(id);
        }
    }
}
