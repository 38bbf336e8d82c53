//! How the configuration names interfaces, and which interface each name means now.
//!
//! The kernel's name of a port can change with the next card; its hardware address and its place do
//! not. Promises: what an interface is called now is a pure function of the links and of what it was
//! called before; a device that is gone for a moment keeps its name, so that nothing is rendered
//! anew for it. Leaves out: reading the links.

use super::Config;
use crate::net::{IfName, Mac};
use crate::random::Key;
use crate::state::Link;
use alloc::collections::BTreeMap;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

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
        let hash = Key::new([0; 16]).hash_bytes(self.to_string().as_bytes()) & 0xffff_ffff_ffff;
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
                let ranks: [&dyn Fn(&Link) -> bool; 3] = [
                    &|link| !link.identity.is_stacked && is_permanent(link),
                    &|link| !link.identity.is_stacked && has(link),
                    &has,
                ];
                let found = ranks.into_iter().map(of).find(|found| !found.is_empty());
                found.unwrap_or_default()
            }
            Self::Path(path) => of(&|link| link.identity.path == *path),
        }
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

impl Config {
    /// What the file says of interfaces, and what each is called here: networks first, in the order
    /// of the file, each word once.
    fn selectors(&self) -> Vec<(&Selector, IfName)> {
        let inside = self.networks.iter().map(|network| (&network.interface, network.ifname));
        let outside = self.uplinks.iter().map(|uplink| (&uplink.interface, uplink.ifname));
        let mut all: Vec<(&Selector, IfName)> = Vec::new();
        for pair in inside.chain(outside) {
            if all.iter().all(|(known, _)| *known != pair.0) {
                all.push(pair);
            }
        }
        all
    }

    /// What each interface is called now. One that is not found keeps the name that it had in `last`,
    /// unless another device has that name now.
    pub fn names(&self, links: &Links, last: &Self) -> Vec<(Selector, IfName)> {
        let last = last.selectors();
        let mut names: Vec<(Selector, IfName)> = Vec::new();
        for (selector, _) in self.selectors() {
            let found = selector.matches(links);
            let before = last.iter().find(|(known, _)| *known == selector).map(|(_, name)| *name);
            let wanted = match found.as_slice() {
                [name] => *name,
                [] => before
                    .filter(|name| !links.contains_key(name))
                    .unwrap_or_else(|| selector.ifname()),
                _ => selector.nowhere(),
            };
            // Two words for one interface were not compared when the file was validated.
            let is_taken = names.iter().any(|(_, name)| *name == wanted);
            let name = if is_taken { selector.nowhere() } else { wanted };
            names.push((selector.clone(), name));
        }
        names
    }

    /// Gives the interfaces these names.
    #[must_use]
    pub fn with_names(mut self, names: &[(Selector, IfName)]) -> Self {
        let name = |selector: &Selector| {
            let found = names.iter().find(|(known, _)| known == selector);
            found.map_or_else(|| selector.ifname(), |(_, name)| *name)
        };
        for network in &mut self.networks {
            network.ifname = name(&network.interface);
        }
        for uplink in &mut self.uplinks {
            uplink.ifname = name(&uplink.interface);
        }
        self
    }

    /// True if the file names interfaces by their path.
    pub fn has_paths(&self) -> bool {
        self.selectors().iter().any(|(selector, _)| matches!(selector, Selector::Path(_)))
    }

    /// True if this is what the interface is called already.
    pub fn has(&self, selector: &Selector, name: IfName) -> bool {
        self.selectors().contains(&(selector, name))
    }

    /// Why an interface is not found.
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
    /// name. (One with a plain name may appear at any time.)
    pub fn missing(&self, links: &Links) -> Vec<String> {
        let all = self.selectors().into_iter();
        let absent = all.filter(|(s, name)| s.is_elsewhere() && !links.contains_key(name));
        absent.map(|(selector, _)| self.why_missing(selector, links)).collect()
    }
}

#[cfg(test)]
mod tests;
