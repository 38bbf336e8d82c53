//! What interfaces are called now: the kernel's names follow the next card, the configuration does
//! not.
//!
//! Promises: a new name is taken like a new configuration, all at once; an uplink keeps its verdict,
//! number and connections; what was written down under the old name goes along.

use super::{Router, overrides};
use crate::config::{Config, Links, Network, Selector};
use crate::net::IfName;
use crate::notice::Notice;
use crate::output::Output;
use crate::state::{Observed, Scope};
use crate::status::{Conflict, ConflictKind};
use crate::time::Instant;
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// New names by old ones.
type Renamed = BTreeMap<IfName, IfName>;

impl Router {
    /// The file's configuration as it is meant now and here.
    pub(super) fn meant(&self, file: &Config) -> Config {
        self.named(overrides::effective(file, &self.saved.overrides))
    }

    /// A configuration with the names that the interfaces have here.
    pub fn named(&self, config: Config) -> Config {
        let names = config.names(&self.observed.links, &self.config);
        config.with_names(&names)
    }

    /// Notes which links have other names in a new reading, before it is taken over.
    pub(super) fn note_renamed(&mut self, scope: Scope, newer: &Observed) {
        if !scope.has(Scope::LINKS) {
            return;
        }
        let renamed = if self.has_read {
            let known = self.observed.links.iter().map(|(name, link)| (*name, link.index));
            renamed(known, &newer.links)
        } else {
            renamed(self.saved.links_seen.iter().map(|(n, i)| (*n, *i)), &newer.links)
        };
        if renamed.is_empty() {
            return;
        }
        let new = |name: IfName| renamed.get(&name).copied().unwrap_or(name);
        let moved = |path: String| moved(path, &renamed);
        let take = |all: &mut BTreeMap<String, String>| {
            *all = core::mem::take(all).into_iter().map(|(path, v)| (moved(path), v)).collect();
        };
        take(&mut self.saved.sysctls);
        take(&mut self.observed.sysctls);
        // On an interface that the file does not name somebody else may have set it meanwhile.
        let names = self.config.names(&newer.links, &self.config);
        let is_named = |name: IfName| names.iter().any(|(_, known)| *known == name);
        for (name, _) in &mut self.saved.addresses {
            *name = Some(new(*name)).filter(|new| is_named(*new)).unwrap_or(*name);
        }
        self.saved.links_up.iter_mut().for_each(|name| *name = new(*name));
        let seen = core::mem::take(&mut self.saved.links_seen);
        self.saved.links_seen = seen.into_iter().map(|(name, i)| (new(name), i)).collect();
        self.engine.memory.addresses = self.saved.addresses.iter().copied().collect();
        let there = core::mem::take(&mut self.observed.addresses);
        self.observed.addresses =
            there.into_iter().map(|((name, prefix), owner)| ((new(name), prefix), owner)).collect();
        self.rendered = None;
        self.save_due = true;
    }

    /// Takes the names that the interfaces have now.
    pub(super) fn take_names(&mut self, now: Instant, out: &mut Vec<Output>) {
        if self.withdrawing {
            return;
        }
        let names = self.config.names(&self.observed.links, &self.config);
        let is_new = |(selector, name): &&(Selector, IfName)| !self.config.has(selector, *name);
        let news: Vec<_> = names.iter().filter(is_new).cloned().collect();
        if !news.is_empty() {
            for (selector, name) in &news {
                if self.observed.links.contains_key(name) {
                    let (interface, ifname) = (selector.to_string(), name.to_string());
                    out.push(Output::Notice(Notice::Named { interface, ifname }));
                }
            }
            let config = self.config.clone().with_names(&names);
            self.take_config(now, config, out);
        }
        self.note_unnamed(out);
    }

    /// Networks whose interface is not found; that of an uplink is told by its health.
    fn note_unnamed(&mut self, out: &mut Vec<Output>) {
        let links = &self.observed.links;
        let is_lost = |n: &&Network| n.interface.is_elsewhere() && !links.contains_key(&n.ifname);
        let lost = self.config.networks.iter().filter(is_lost);
        let unnamed: Vec<Conflict> = lost
            .map(|network| Conflict {
                kind: ConflictKind::Device,
                certain: true,
                owner: alloc::format!("network {}", network.name),
                object: String::new(),
                effect: alloc::format!(
                    "has no interface: {}",
                    self.config.why_missing(&network.interface, links)
                ),
                remedy: "`ip -details link` shows names and hardware addresses, `udevadm info \
                         /sys/class/net/NAME` the path as ID_PATH"
                    .into(),
                uplinks: Vec::new(),
            })
            .collect();
        let old = core::mem::replace(&mut self.unnamed, unnamed);
        let told = |gone| move |c: &Conflict| Output::Notice(Notice::conflict(c, gone));
        out.extend(self.unnamed.iter().filter(|c| !old.contains(c)).map(told(false)));
        out.extend(old.iter().filter(|c| !self.unnamed.contains(c)).map(told(true)));
    }
}

/// A link keeps its index when it gets another name.
fn renamed(known: impl Iterator<Item = (IfName, u32)>, links: &Links) -> Renamed {
    let by_index: BTreeMap<u32, IfName> = links.iter().map(|(n, link)| (link.index, *n)).collect();
    let pairs = known.filter_map(|(old, index)| Some((old, *by_index.get(&index)?)));
    pairs.filter(|(old, new)| old != new).collect()
}

/// The path of a setting of an interface under its new name: `net/ipv4/conf/NAME/..`.
fn moved(path: String, renamed: &Renamed) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    let old = parts.get(3).filter(|_| parts.len() > 4).and_then(|part| part.parse().ok());
    match old.and_then(|old: IfName| renamed.get(&old)) {
        Some(new) => {
            parts[3] = new.as_str();
            parts.join("/")
        }
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given settings of two interfaces that exchanged their names, then each path follows its
    /// device; a setting of no interface, and one of another, stay.
    #[test]
    fn settings_follow_their_device() {
        let name = |text: &str| text.parse::<IfName>().unwrap();
        let known = [(name("wan1"), 4), (name("wan2.7"), 5), (name("lan0"), 3)];
        let link = |index| crate::state::Link { index, ..Default::default() };
        let links =
            [("wan2.7", 4), ("wan1", 5), ("lan0", 3)].map(|(n, index)| (name(n), link(index)));
        let renamed = renamed(known.into_iter(), &links.into_iter().collect());
        assert_eq!(renamed.len(), 2);
        for (old, new) in [
            ("net/ipv4/conf/wan1/rp_filter", "net/ipv4/conf/wan2.7/rp_filter"),
            ("net/ipv4/conf/wan2.7/rp_filter", "net/ipv4/conf/wan1/rp_filter"),
            ("net/ipv4/conf/lan0/rp_filter", "net/ipv4/conf/lan0/rp_filter"),
            ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ] {
            assert_eq!(moved(old.into(), &renamed), new);
        }
    }
}
