//! How the configuration names interfaces, and which interface each name means now.
//!
//! The kernel's name of a port can change with the next card; its hardware address and its place do
//! not. Promises: what an interface is called now is a pure function of the links and of what it was
//! called before; a device that is gone for a moment keeps its name, so that nothing is rendered
//! anew for it; one that fits several stays what it was. Leaves out: reading the links.

use super::{Config, Network, PppConfig, PppLine, UplinkConfig, UplinkKind};
use crate::net::Link;
use crate::net::{IfName, Mac, Prefix};
use crate::random::Secret;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;
use serde::{Deserialize, Serialize};

mod stray;

pub use stray::{Stray, StrayCause};

/// What `interface` says.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Selector {
    /// A name, or an alternative name.
    Name(String),
    /// `mac:..`: its hardware address.
    Mac(Mac),
    /// `path:..`: where the device is, as udev's `ID_PATH` says.
    Path(String),
}

/// Links by name.
pub type Links = BTreeMap<IfName, Link>;

/// A device that was found: it keeps its index when it gets another name.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Device {
    /// Its name then.
    pub ifname: IfName,
    /// Its index.
    pub index: u32,
}

/// The devices that selectors meant, by what the file says.
pub type Devices = BTreeMap<String, Device>;

/// What a selector means now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named {
    /// What the file says.
    pub selector: Selector,
    /// The interface; a name that none can have, if there is none or nobody knows which.
    pub ifname: IfName,
    /// Interfaces that fit as well, and that nothing else in the file names.
    pub others: Vec<IfName>,
}

impl Selector {
    /// The interface name to work with while nothing else is known. No interface can have one that
    /// begins with a colon.
    pub fn ifname(&self) -> IfName {
        match self {
            Self::Name(name) => name.parse().unwrap_or_else(|_| self.nowhere()),
            Self::Mac(_) | Self::Path(_) => self.nowhere(),
        }
    }

    /// True if it is no plain name, which may appear at any time.
    pub fn is_elsewhere(&self) -> bool {
        !matches!(self, Self::Name(name) if name.parse::<IfName>().is_ok())
    }

    fn nowhere(&self) -> IfName {
        let hash = Secret::new([0; 16]).hash_bytes(self.to_string().as_bytes()) & 0xffff_ffff_ffff;
        format!(":{hash:012x}").parse().expect("13 plain characters are a name")
    }

    /// The interfaces that it may mean; one that stands on another has that one's address, and is
    /// meant only if there is no better.
    fn matches(&self, links: &Links) -> Vec<IfName> {
        let of = |is_it: &dyn Fn(&Link) -> bool| -> Vec<IfName> {
            links.iter().filter(|(_, link)| is_it(link)).map(|(name, _)| *name).collect()
        };
        match self {
            Self::Name(name) => {
                let own = links.keys().filter(|ifname| ifname.as_str() == name).copied();
                match own.collect::<Vec<_>>() {
                    none if none.is_empty() => of(&|link| link.identity.altnames.contains(name)),
                    own => own,
                }
            }
            Self::Mac(mac) => {
                let is_permanent = |link: &Link| link.identity.permanent_mac == Some(*mac);
                let has = |link: &Link| is_permanent(link) || link.identity.mac == Some(*mac);
                let stands_on_one = |link: &Link| {
                    links.values().any(|other| has(other) && link.lower == Some(other.index))
                };
                let ranks: [&dyn Fn(&Link) -> bool; 4] = [
                    &|link| !link.identity.is_stacked && is_permanent(link),
                    &|link| !link.identity.is_stacked && has(link),
                    &|link| has(link) && !stands_on_one(link),
                    &has,
                ];
                // A link of ours is no card: it has the address that the file gives it.
                let cards = |is_it: &dyn Fn(&Link) -> bool| -> Vec<IfName> {
                    let is_card =
                        |name: &IfName| links.get(name).is_some_and(|l| !l.is_ours(*name));
                    of(is_it).into_iter().filter(is_card).collect()
                };
                let found = ranks.into_iter().map(cards).find(|found| !found.is_empty());
                found.unwrap_or_default()
            }
            Self::Path(path) => of(&|link| link.identity.path.as_ref() == Some(path)),
        }
    }

    /// True if one interface fits best.
    pub fn is_certain(&self, links: &Links) -> bool {
        self.matches(links).len() == 1
    }

    /// True if it may mean this interface.
    pub fn fits(&self, links: &Links, ifname: IfName) -> bool {
        self.matches(links).contains(&ifname)
    }

    /// Interfaces by which packets of the meant one may come in as well: those that it may be, and
    /// a bridge or a bond that has its address because it is a port there. What stands on it, as a VLAN
    /// does, is another network, and so is a bridge of such.
    fn others(&self, links: &Links) -> Vec<IfName> {
        let mut all = self.matches(links);
        if let Self::Mac(mac) = self {
            let has = |link: &&Link| link.identity.mac == Some(*mac) && link.lower.is_none();
            let alone = |(_, link): &(&IfName, &Link)| has(link) && !link.identity.is_stacked;
            all.extend(links.iter().filter(alone).map(|(name, _)| *name));
            // A bond may itself be the port of a bridge.
            let mut next = 0;
            while let Some(port) = all.get(next) {
                let master = links.get(port).and_then(|port| port.master);
                let is_master = |link: &Link| has(&link) && Some(link.index) == master;
                let found = links.iter().find(|(_, link)| is_master(link)).map(|(name, _)| *name);
                all.extend(found.filter(|name| !all.contains(name)));
                next += 1;
            }
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// The name of the device that it meant before. Another device that has taken the name of one that is
    /// gone is not it.
    fn before(&self, links: &Links, devices: &Devices) -> Option<IfName> {
        let device = devices.get(&self.to_string())?;
        let now = links.iter().find(|(_, link)| link.index == device.index).map(|(name, _)| *name);
        now.or_else(|| Some(device.ifname).filter(|name| !links.contains_key(name)))
    }

    /// What is said of whose interface it is, if these may be meant as well: `filters ..`.
    pub fn filters(&self, others: &str) -> String {
        format!("filters {others}, too, which \"{self}\" may mean")
    }

    /// What is said of it where no interface is found: `there is no interface ..`.
    fn missing(&self) -> String {
        match self {
            Self::Name(name) => format!("there is no interface {name}"),
            Self::Mac(mac) => format!("no interface has the hardware address {mac}"),
            Self::Path(path) => format!("no interface is at {path}"),
        }
    }
}

impl From<IfName> for Selector {
    fn from(ifname: IfName) -> Self {
        Self::Name(ifname.to_string())
    }
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Mac(mac) => write!(f, "mac:{mac}"),
            Self::Path(path) => write!(f, "path:{path}"),
        }
    }
}

/// What devices outside were called when uplinks had them, and which uplinks these were, by index.
pub type Outside = BTreeMap<u32, (IfName, String)>;

/// The name that this device had as an uplink's, and the uplink, if it was called otherwise then.
fn renamed_outside<'a>(
    outside: &'a Outside,
    ifname: IfName,
    link: &Link,
) -> Option<(IfName, &'a str)> {
    let (name, uplink) = outside.get(&link.index)?;
    (*name != ifname).then_some((*name, uplink))
}

impl Config {
    /// The interfaces below those of uplinks: what links of ours stand on, and what PPPoE goes by.
    fn ports(&self) -> impl Iterator<Item = (&Selector, IfName)> {
        self.uplinks.iter().filter_map(|uplink| {
            let own = uplink.own_link.as_ref().map(|own| (&own.parent, own.port));
            own.or_else(|| uplink.ppp()?.parent())
        })
    }

    /// What the file says of interfaces, and what each is called here: networks first, then uplinks, in the
    /// order of the file, then the ports below, each word once.
    fn selectors(&self) -> Vec<(&Selector, IfName)> {
        let inside = self.networks.iter().map(|network| (&network.interface, network.ifname));
        let outside = self.uplinks.iter().map(|uplink| (&uplink.interface, uplink.ifname));
        let ports = self.ports();
        let mut all: Vec<(&Selector, IfName)> = Vec::new();
        for pair in inside.chain(outside).chain(ports) {
            if all.iter().all(|(known, _)| *known != pair.0) {
                all.push(pair);
            }
        }
        all
    }

    /// What each interface is called now. `devices` are those of before: of several that fit it is still
    /// the one that it was, and so it is where none fits any more, unless that one is gone and another
    /// has its name, or is meant by something else now.
    pub fn names(&self, links: &Links, devices: &Devices) -> Vec<Named> {
        let closed = |selector: &Selector| {
            self.networks.iter().any(|n| n.interface == *selector && n.is_closed())
        };
        // Two words for one interface were not compared when the file was validated. What is
        // closed comes first: it stays so, whatever else the file calls its interface.
        let mut all: Vec<&Selector> = self.selectors().into_iter().map(|(s, _)| s).collect();
        all.sort_by_key(|selector| !closed(selector));
        let mut named: Vec<(&Selector, IfName)> = Vec::new();
        let is_taken = |named: &[(&Selector, IfName)], name| named.iter().any(|(_, n)| *n == name);
        let mut absent = Vec::new();
        for selector in all {
            let found = selector.matches(links);
            let before = selector.before(links, devices);
            let name = match found.as_slice() {
                [] => {
                    absent.push(selector);
                    continue;
                }
                [name] => Some(*name),
                several => before.filter(|name| several.contains(name)),
            };
            let name = name.filter(|name| !is_taken(&named, *name));
            named.push((selector, name.unwrap_or_else(|| selector.nowhere())));
        }
        for selector in absent {
            let before = selector.before(links, devices);
            let wanted = [before, Some(selector.ifname())].into_iter().flatten();
            let name = wanted.into_iter().find(|name| !is_taken(&named, *name));
            named.push((selector, name.unwrap_or_else(|| selector.nowhere())));
        }
        let others = |selector: &Selector| {
            let all = selector.others(links).into_iter();
            all.filter(|name| !is_taken(&named, *name)).collect()
        };
        let meant = |(s, ifname): &(&Selector, IfName)| Named {
            selector: (*s).clone(),
            ifname: *ifname,
            others: others(s),
        };
        named.iter().map(meant).collect()
    }

    /// Notes which device each selector means. A plain name means whatever has it, and is not noted.
    pub fn note_devices(&self, links: &Links, devices: &mut Devices) {
        let all = self.selectors();
        for (selector, ifname) in &all {
            let text = selector.to_string();
            if text == ifname.as_str() && links.contains_key(ifname) {
                devices.remove(&text);
            } else if let Some(link) = links.get(ifname) {
                devices.insert(text, Device { ifname: *ifname, index: link.index });
            }
        }
        // A configuration on trial may go again.
        devices.retain(|text, device| {
            all.iter().any(|(selector, _)| selector.to_string() == *text)
                || links.values().any(|link| link.index == device.index)
        });
    }

    /// Gives the interfaces these names.
    #[must_use]
    pub fn with_names(mut self, names: &[Named]) -> Self {
        let named = |selector: &Selector| {
            let found = names.iter().find(|named| named.selector == *selector);
            found.map_or_else(
                || (selector.ifname(), Vec::new()),
                |named| (named.ifname, named.others.clone()),
            )
        };
        for network in &mut self.networks {
            (network.ifname, network.others) = named(&network.interface);
        }
        for uplink in &mut self.uplinks {
            (uplink.ifname, uplink.others) = named(&uplink.interface);
            if let Some(own) = &mut uplink.own_link {
                own.port = named(&own.parent).0;
            }
            if let UplinkKind::Ppp(PppConfig {
                line: PppLine::Ethernet { parent, port, .. }, ..
            }) = &mut uplink.kind
            {
                *port = named(parent).0;
            }
        }
        self
    }

    /// True if the file names interfaces by their path.
    pub fn has_paths(&self) -> bool {
        self.selectors().iter().any(|(selector, _)| matches!(selector, Selector::Path(_)))
    }

    /// True if this is what the interface is called already.
    pub fn calls(&self, selector: &Selector, name: IfName) -> bool {
        self.selectors().contains(&(selector, name))
    }

    /// True if this is known already.
    pub fn has(&self, named: &Named) -> bool {
        let inside = self.networks.iter().map(|n| (&n.interface, n.ifname, &n.others));
        let outside = self.uplinks.iter().map(|u| (&u.interface, u.ifname, &u.others));
        let none = Vec::new();
        let ports = self.ports().map(|(parent, port)| (parent, port, &none));
        let known = (&named.selector, named.ifname, &named.others);
        inside.chain(outside).chain(ports).any(|now| now == known)
    }

    /// Interfaces that may be an uplink's outside, beside the one that it uses: they are filtered as it is.
    pub fn maybe_outside(&self) -> impl Iterator<Item = (IfName, &UplinkConfig)> {
        let outside = self.uplinks.iter().filter(|u| !self.is_inside(u));
        outside.flat_map(|u| u.others.iter().map(move |ifname| (*ifname, u)))
    }

    /// Interfaces that may be a closed network's, beside the one that it uses: they are filtered as it is.
    pub fn maybe_closed(&self) -> impl Iterator<Item = (IfName, &Network)> {
        let closed = self.networks.iter().filter(|network| network.is_closed());
        closed.flat_map(|n| n.others.iter().map(move |ifname| (*ifname, n)))
    }

    /// Interfaces that the file does not name, in the network of an uplink: a new card renumbers
    /// ports, and the provider's cable is then where nobody looks for it. Networks that overlap are
    /// one network here, for whoever set the address there may know another length. A device that an
    /// uplink had keeps its index when it gets another name, whatever addresses are left on it. `own`
    /// are the addresses of each uplink, in the order of the file.
    pub fn strays(
        &self,
        links: &Links,
        outside: &Outside,
        own: &[Vec<Prefix>],
        addresses: impl IntoIterator<Item = (IfName, Prefix)>,
    ) -> Vec<Stray> {
        let is_named = |ifname: IfName| {
            self.uplinks.iter().any(|u| u.ifname == ifname || u.port() == ifname)
                || self.networks.iter().any(|network| network.ifname == ifname)
        };
        let position = |is_its: &dyn Fn(&UplinkConfig) -> bool| {
            self.uplinks.iter().position(|u| is_its(u) && !self.is_inside(u))
        };
        let renamed = links.iter().filter_map(|(ifname, link)| {
            let (before, name) = renamed_outside(outside, *ifname, link)?;
            // The uplink may have got another name in the file meanwhile, or be gone from the device.
            let uplink =
                position(&|u| u.name == name).or_else(|| position(&|u| u.ifname == before))?;
            Some(Stray { ifname: *ifname, uplink, cause: StrayCause::Device })
        });
        // A tunnel borrows an address alone, and none of its neighbours.
        let is_borrowed = |uplink: usize, prefix: Prefix| {
            let uplink = &self.uplinks[uplink];
            uplink.enabled
                && links.contains_key(&uplink.ifname)
                && prefix == Prefix::host(prefix.address)
        };
        let nearby = addresses.into_iter().filter_map(|(ifname, prefix)| {
            let owner = |is_its: &dyn Fn(Prefix) -> bool| {
                let has = |(u, own): (&UplinkConfig, &Vec<Prefix>)| {
                    !self.is_inside(u) && own.iter().any(|own| is_its(*own))
                };
                self.uplinks.iter().zip(own).position(has)
            };
            let home = owner(&|own| own.address == prefix.address);
            let uplink = home.or_else(|| owner(&|own| own.shares_network(prefix)))?;
            let cause = match home {
                Some(uplink) if !is_borrowed(uplink, prefix) => StrayCause::Address,
                _ => StrayCause::Network,
            };
            Some(Stray { ifname, uplink, cause })
        });
        let mut found: Vec<Stray> = Vec::new();
        for stray in renamed.chain(nearby) {
            let is_candidate = !is_named(stray.ifname) && stray.ifname.as_str() != "lo";
            match found.iter_mut().find(|known| known.ifname == stray.ifname) {
                Some(known) if stray.cause < known.cause => *known = stray,
                None if is_candidate => found.push(stray),
                Some(_) | None => {}
            }
        }
        found
    }

    /// Notes which devices uplinks have outside, by index, and forgets those that are gone or a
    /// network's now. One that never had a carrier under this name may have had it by chance: a new card
    /// is called something else until udev has seen it.
    pub fn note_outside(&self, links: &Links, outside: &mut Outside) {
        // Of several uplinks on one device, the first.
        for uplink in self.uplinks.iter().rev().filter(|uplink| !self.is_inside(uplink)) {
            let Some(link) = links.get(&uplink.ifname) else { continue };
            let is_known = outside.get(&link.index).is_some_and(|(name, _)| *name == uplink.ifname);
            if link.carrier || is_known {
                outside.insert(link.index, (uplink.ifname, uplink.name.clone()));
            }
        }
        let is_inside = |ifname: &IfName| self.networks.iter().any(|n| n.ifname == *ifname);
        let is_there = |index| links.iter().any(|(n, l)| l.index == index && !is_inside(n));
        outside.retain(|index, _| is_there(*index));
    }

    /// Why an interface is not found, or which others fit as well.
    pub fn why_missing(&self, selector: &Selector, links: &Links) -> String {
        let found = selector.matches(links);
        let other = |name: &IfName| {
            let all = self.selectors();
            let other = all.iter().find(|(other, n)| *other != selector && n == name);
            other.map(|(other, _)| other.to_string())
        };
        match found.as_slice() {
            [] => selector.missing(),
            [name] => match other(name) {
                Some(other) => format!(
                    "the file calls {name} both \"{other}\" and \"{selector}\"; use one of them"
                ),
                None => selector.missing(),
            },
            several => {
                let names: Vec<_> = several.iter().map(ToString::to_string).collect();
                format!("\"{selector}\" is several interfaces: {}", names.join(", "))
            }
        }
    }

    /// A sentence about each interface that is not found by its address, its path or an alternative
    /// name, or that the file means by two words. (One with a plain name may appear at any time.)
    pub fn missing(&self, links: &Links) -> Vec<String> {
        let all = self.selectors().into_iter();
        // One that the file means by something else, too, is not found by its plain name either.
        let is_sought = |(s, name): &(&Selector, IfName)| s.is_elsewhere() || name.is_nowhere();
        let absent = all.filter(|(s, name)| is_sought(&(s, *name)) && !links.contains_key(name));
        absent.map(|(selector, _)| self.why_missing(selector, links)).collect()
    }
}

#[cfg(test)]
mod tests;
