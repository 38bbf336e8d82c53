//! What interfaces are called now: the kernel's names follow the next card, the configuration does
//! not.
//!
//! Promises: a new name is taken like a new configuration, all at once; an uplink keeps its verdict,
//! number and connections; what was written down under the old name goes along.

pub(crate) mod news;

use crate::config::{
    Config, Device, Devices, FirewallMode, Links, Named, Network, Selector, Stray, StrayCause,
    UplinkConfig,
};
use crate::desk::Desk;
use crate::facts::{Facts, UplinkFacts};
use crate::io::Output;
use crate::net::IfName;
use crate::notice::{CoexistNews, NamesNews};
use crate::queues::Place;
use crate::reconcile::Reconciler;
use crate::saved::Saved;
use crate::state::Observed;
use crate::status::{Conflict, ConflictKind};
use alloc::collections::BTreeMap;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// New names by old ones.
type Renamed = BTreeMap<IfName, IfName>;

/// What is known of interfaces that the file calls by something else than their names.
#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    /// Interfaces that are not found, or not for certain.
    pub(crate) unnamed: Vec<Conflict>,
    /// The devices of those whose place nobody has looked up yet.
    unread: Devices,
}

/// What a name is found out from.
#[derive(Copy, Clone, Debug)]
pub(crate) struct Sight<'a> {
    pub(crate) config: &'a Config,
    pub(crate) observed: &'a Observed,
    pub(crate) saved: &'a Saved,
}

impl Names {
    /// A configuration with the names that the interfaces have here.
    pub(crate) fn named(&self, config: Config, sight: Sight<'_>) -> Config {
        let mut devices = self.devices(sight.saved);
        for (text, device, _) in sight.expected(&config) {
            devices.entry(text).or_insert(device);
        }
        let names = config.names(&sight.observed.links, &devices);
        config.with_names(&names)
    }

    fn devices(&self, saved: &Saved) -> Devices {
        let unread = self.unread.iter().map(|(text, device)| (text.clone(), *device));
        unread.chain(saved.devices.clone()).collect()
    }

    /// Notes the devices of uplinks and networks that a new file names otherwise than before: it is
    /// the same one, if it fits, or while nobody has looked where it is.
    pub(crate) fn expect(
        &mut self,
        file: &Config,
        (config, observed): (&Config, &Observed),
        saved: &mut Saved,
    ) {
        for (text, device, is_read) in (Sight { config, observed, saved }).expected(file) {
            let known = if is_read { &mut saved.devices } else { &mut self.unread };
            known.insert(text, device);
        }
    }

    /// Where every device was looked up, none is in doubt any more. Returns the names that the
    /// interfaces have now, if one is new.
    pub(crate) fn look(&mut self, sight: Sight<'_>, out: &mut Vec<Output>) -> Option<Vec<Named>> {
        let links = &sight.observed.links;
        if links.values().all(|link| link.identity.path.is_some()) {
            self.unread.clear();
        }
        let names = sight.config.names(links, &self.devices(sight.saved));
        let is_new = |named: &&Named| !sight.config.has(named);
        if !names.iter().any(|named| is_new(&named)) {
            return None;
        }
        for Named { selector, ifname, .. } in names.iter().filter(is_new) {
            let is_renamed = !sight.config.calls(selector, *ifname);
            if is_renamed && links.contains_key(ifname) {
                let (interface, ifname) = (selector.to_string(), ifname.to_string());
                out.push(Output::tell(NamesNews::Named { interface, ifname }));
            }
        }
        Some(names)
    }

    /// Writes down which devices are meant: a later process has nothing else to tell one of several by.
    pub(crate) fn note_devices(&self, config: &Config, observed: &Observed, desk: &mut Desk) {
        let mut devices = desk.saved.devices.clone();
        config.note_devices(&observed.links, &mut devices);
        devices.retain(|text, _| !self.unread.contains_key(text));
        if devices != desk.saved.devices {
            desk.save_soon();
        }
        desk.saved.devices = devices;
    }

    /// What people must know of interfaces that are not found, or not for certain, and of those that
    /// are closed though the file does not name them. That an uplink has none its health says.
    pub(crate) fn note_unnamed(&mut self, facts: &Facts, sight: Sight<'_>, out: &mut Vec<Output>) {
        let networks = sight.config.networks.iter().filter_map(|n| sight.unnamed_network(n));
        let uplinks = sight.config.uplinks.iter().filter_map(|u| sight.doubtful_uplink(u));
        let strays = facts
            .system
            .strays
            .iter()
            .filter_map(|stray| sight.closed_stray(*stray, facts.uplinks.get(stray.uplink)?));
        let unnamed: Vec<Conflict> = networks.chain(uplinks).chain(strays).collect();
        let old = core::mem::replace(&mut self.unnamed, unnamed);
        let reported = |gone| move |c: &Conflict| Output::tell(CoexistNews::conflict(c, gone));
        out.extend(self.unnamed.iter().filter(|c| !old.contains(c)).map(reported(false)));
        out.extend(old.iter().filter(|c| !self.unnamed.contains(c)).map(reported(true)));
    }
}

/// Follows links that have other names in a new reading, before it is taken over.
pub(crate) fn follow_renamed(
    newer: &Observed,
    config: &Config,
    kernel: &mut Reconciler,
    desk: &mut Desk,
) {
    let renamed = if kernel.has_read() {
        let known = kernel.observed.links.iter().map(|(name, link)| (*name, link.index));
        renamed(known, &newer.links)
    } else {
        renamed(desk.saved.links_seen.iter().map(|(n, i)| (*n, *i)), &newer.links)
    };
    if renamed.is_empty() {
        return;
    }
    let saved = &mut desk.saved;
    let new = |name: IfName| renamed.get(&name).copied().unwrap_or(name);
    let moved = |path: String| moved(path, &renamed);
    let take = |all: &mut BTreeMap<String, String>| {
        *all = core::mem::take(all).into_iter().map(|(path, v)| (moved(path), v)).collect();
    };
    take(&mut saved.sysctls);
    take(&mut kernel.observed.sysctls);
    // On an interface that the file does not name somebody else may have set it meanwhile.
    let names = config.names(&newer.links, &saved.devices);
    let is_named = |name: IfName| names.iter().any(|known| known.ifname == name);
    for (name, _) in &mut saved.addresses {
        *name = Some(new(*name)).filter(|new| is_named(*new)).unwrap_or(*name);
    }
    saved.links_up.iter_mut().for_each(|name| *name = new(*name));
    kernel.remember(saved);
    desk.rename_seen(new);
    let there = core::mem::take(&mut kernel.observed.addresses);
    kernel.observed.addresses =
        there.into_iter().map(|((name, prefix), owner)| ((new(name), prefix), owner)).collect();
    kernel.forget_rendered();
    desk.save_soon();
}

impl Sight<'_> {
    /// These devices, by what the file says, and whether somebody has looked where each is.
    fn expected(self, file: &Config) -> Vec<(String, Device, bool)> {
        let old = self.config;
        let inside = file.networks.iter().filter_map(|network| {
            let before = old.networks.iter().find(|n| n.name == network.name)?;
            Some((&network.interface, before.ifname))
        });
        let outside = file.uplinks.iter().filter_map(|uplink| {
            let before = old.uplinks.iter().find(|u| u.name == uplink.name)?;
            Some((&uplink.interface, before.ifname))
        });
        let mut expected: Vec<(String, Device, bool)> = Vec::new();
        for (selector, ifname) in inside.chain(outside) {
            let text = selector.to_string();
            let Some(link) = self.observed.links.get(&ifname) else { continue };
            let is_known = expected.iter().any(|(known, _, is_read)| *is_read && *known == text);
            if is_known || self.saved.devices.contains_key(&text) {
                continue;
            }
            let device = Device { ifname, index: link.index };
            let is_read = selector.fits(&self.observed.links, ifname);
            let may_be = matches!(selector, Selector::Path(_)) && link.identity.path.is_none();
            if is_read || may_be {
                expected.push((text, device, is_read));
            }
        }
        expected
    }

    fn unnamed_network(self, network: &Network) -> Option<Conflict> {
        let links = &self.observed.links;
        let effect = if links.contains_key(&network.ifname) {
            let others = if network.is_closed() { network.others.as_slice() } else { &[] };
            let doubt = self.in_doubt(&network.interface, network.ifname);
            self.with_others(doubt, &network.interface, others)?
        } else if network.interface.is_elsewhere() {
            let why = self.config.why_missing(&network.interface, links);
            let closed = match network.others.as_slice() {
                [_, ..] if network.is_closed() => "; each is filtered as this network",
                _ => "",
            };
            alloc::format!("has no interface: {why}{closed}")
        } else {
            return None;
        };
        Some(conflict(alloc::format!("network {}", network.name), effect, Vec::new()))
    }

    fn doubtful_uplink(self, uplink: &UplinkConfig) -> Option<Conflict> {
        let doubt = self.in_doubt(&uplink.interface, uplink.ifname);
        let others = if self.config.is_inside(uplink) { &[] } else { uplink.others.as_slice() };
        let effect = self.with_others(doubt, &uplink.interface, others)?;
        let uplinks = alloc::vec![uplink.name.clone()];
        Some(conflict(alloc::format!("uplink {}", uplink.name), effect, uplinks))
    }

    /// An interface that the file does not name, filtered as an uplink.
    fn closed_stray(self, stray: Stray, fact: &UplinkFacts) -> Option<Conflict> {
        if self.config.firewall.mode != FirewallMode::Basic {
            return None;
        }
        let (ifname, uplink) = (stray.ifname, self.config.uplinks.get(stray.uplink)?);
        let here = self.observed.addresses.keys().filter(|(name, _)| *name == ifname);
        let nearby = here.map(|(_, address)| address).find_map(|address| {
            let mut own = fact.prefixes(uplink);
            let network = own.find(|own| own.shares_network(*address))?.network();
            Some(alloc::format!("its address {address} is in the uplink's network {network}"))
        });
        let why = match stray.cause {
            StrayCause::Device => "the uplink had it under another name".into(),
            StrayCause::Address | StrayCause::Network => nearby?,
        };
        let effect = alloc::format!(
            "is closed as uplink {} is: the file does not name it, and {why}",
            uplink.name
        );
        let uplinks = alloc::vec![uplink.name.clone()];
        Some(Conflict {
            kind: ConflictKind::Closed,
            remedy: self.config.stray_remedy(&self.observed.links, stray, uplink),
            ..conflict(alloc::format!("interface {ifname}"), effect, uplinks)
        })
    }

    /// What more is filtered, for it may be the interface as well.
    fn with_others(
        self,
        doubt: Option<String>,
        selector: &Selector,
        others: &[IfName],
    ) -> Option<String> {
        if others.is_empty() || self.config.firewall.mode == FirewallMode::Off {
            return doubt;
        }
        let names: Vec<_> = others.iter().map(ToString::to_string).collect();
        Some(match doubt {
            Some(doubt) => alloc::format!("{doubt}; it filters {}, too", names.join(", ")),
            None => selector.filters(&names.join(", ")),
        })
    }

    /// Why an interface is not certainly the meant one.
    fn in_doubt(self, selector: &Selector, ifname: IfName) -> Option<String> {
        let links = &self.observed.links;
        let is_sure = selector.is_certain(links) || !links.contains_key(&ifname);
        let why = || self.config.why_missing(selector, links);
        (!is_sure).then(|| alloc::format!("uses {ifname} as before, but {}", why()))
    }
}

fn conflict(owner: String, effect: String, uplinks: Vec<String>) -> Conflict {
    Conflict {
        kind: ConflictKind::Device,
        certain: true,
        owner,
        object: String::new(),
        place: None,
        effect,
        remedy: "`ip -details link` shows names and hardware addresses, `udevadm info \
                 /sys/class/net/NAME` the path as ID_PATH"
            .into(),
        uplinks,
    }
}

/// A link keeps its index when it gets another name.
fn renamed(known: impl Iterator<Item = (IfName, u32)>, links: &Links) -> Renamed {
    let by_index: BTreeMap<u32, IfName> = links.iter().map(|(n, link)| (link.index, *n)).collect();
    let pairs = known.filter_map(|(old, index)| Some((old, *by_index.get(&index)?)));
    pairs.filter(|(old, new)| old != new).collect()
}

/// The path of a setting of an interface under its new name: `net/ipv4/conf/NAME/..`, `class/net/NAME/..`.
fn moved(path: String, renamed: &Renamed) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    let place = if Place::parse(&path).is_some() { 2 } else { 3 };
    let old = parts.get(place).filter(|_| parts.len() > 4).and_then(|part| part.parse().ok());
    match old.and_then(|old: IfName| renamed.get(&old)) {
        Some(new) => {
            parts[place] = new.as_str();
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
            ("class/net/wan1/queues/rx-0/rps_cpus", "class/net/wan2.7/queues/rx-0/rps_cpus"),
        ] {
            assert_eq!(moved(old.into(), &renamed), new);
        }
    }
}
