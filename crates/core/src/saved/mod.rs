//! What outlives the process: the state file.

mod given;
mod kept;
mod learnt;
mod which;

pub use given::SavedPpp;
pub use kept::SavedKept;
pub use learnt::{Falls, Learnt};
pub use which::Which;

use crate::config::{Config, Devices, Nat, Outside, Overrides, UplinkConfig};
use crate::dhcp4::SavedLease;
use crate::facts::UplinkFacts;
use crate::net::{Family, IfName, Prefix, UplinkId};
use crate::state::RouteKey;
use crate::status::Health;
use crate::time::Instant;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::string::String;
use alloc::vec::Vec;
use core::net::IpAddr;
use serde::{Deserialize, Serialize};

/// The content of the state file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The kernel's boot id at the time of writing; verdicts count within one boot only.
    pub boot_id: String,
    /// Number of each uplink name ever seen; never handed to another name while free ones are left.
    pub ids: BTreeMap<String, UplinkId>,
    /// Verdict of each uplink.
    pub verdicts: BTreeMap<String, Health>,
    /// What the checks of each uplink have found besides; nothing of one of which nothing is known.
    pub learnt: BTreeMap<String, Learnt>,
    /// What uplinks have leased, by name.
    pub leases: BTreeMap<String, SavedLease>,
    /// What the other ends of PPP uplinks have given, by name.
    pub ppp: BTreeMap<String, SavedPpp>,
    /// What other programs had configured for uplinks, by name.
    pub kept: BTreeMap<String, SavedKept>,
    /// Names of the uplinks that carried new connections.
    pub active: Vec<String>,
    /// Names of the uplinks that fell and have not carried since.
    pub replaced: Vec<String>,
    /// Targets that no uplink reaches, and that are left out of the count.
    pub ignored: Vec<IpAddr>,
    /// What was said of uplinks by command.
    pub overrides: Overrides,
    /// Kernel settings as they were before we first changed them.
    pub sysctls: BTreeMap<String, String>,
    /// Addresses that we added (for kernels that cannot mark them).
    pub addresses: Vec<(IfName, Prefix)>,
    /// Routes of ours that were in place: what stands there now has pushed them out.
    pub routes: Vec<RouteKey>,
    /// Devices that were seen up, by their index: one that is down later was set down by somebody.
    pub links_seen: BTreeMap<IfName, u32>,
    /// The devices that uplinks have had outside, by index, while they are there and the file does
    /// not call them a network: whatever such a device is called now, the provider is behind it.
    pub outside: Outside,
    /// The devices that the file meant by something else than their names.
    pub devices: Devices,
    /// Uplinks that left the configuration, until their connections are deleted.
    pub leaving: Vec<UplinkId>,
    /// Uplinks that were left for a better one, and since when, until their connections are deleted.
    pub left: BTreeMap<UplinkId, Instant>,
    /// Links that we set up.
    pub links_up: Vec<IfName>,
    /// What the uplinks of the configuration leave in the connection table, by name.
    #[serde(rename = "imprints")]
    pub bindings: BTreeMap<String, NatBinding>,
    /// Connections that lead nowhere since an uplink became another one, until they are deleted:
    /// the process that took the configuration may die before.
    #[serde(rename = "void")]
    pub stale: Vec<Stale>,
    /// First and last of our routing tables.
    pub tables: Option<(u32, u32)>,
    /// Ranges of tables that were ours before, until nothing of ours is left in them.
    pub old_tables: Vec<(u32, u32)>,
    /// Counts configurations that were loaded.
    pub generation: u64,
}

impl Saved {
    /// What of it is true within this boot: a verdict, a time on the boot clock or an index of a device
    /// means nothing after another one.
    #[must_use]
    pub fn of_boot(self, boot_id: String) -> Self {
        if self.boot_id == boot_id {
            return self;
        }
        let Self { ids, generation, mut overrides, mut leases, .. } = self;
        // The boot clock begins anew.
        overrides.retain(|_, said| said.until.is_none());
        leases.values_mut().for_each(|saved| saved.lease = None);
        Self { boot_id, ids, generation, overrides, leases, ..Self::default() }
    }

    /// The numbers of the uplinks of a configuration, in its order.
    pub fn ids_of<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = UplinkId> + 'a {
        let id = |u: &UplinkConfig| self.ids.get(&u.name).copied().unwrap_or(UplinkId(0));
        config.uplinks.iter().map(id)
    }

    /// Notes which connections lead nowhere under a configuration, whose uplinks are numbered, and what
    /// its uplinks have now.
    pub fn take<'a>(&mut self, config: &Config, facts: impl IntoIterator<Item = &'a UplinkFacts>) {
        let mut new = BTreeMap::new();
        for (uplink, fact) in config.uplinks.iter().zip(facts) {
            let known = self.bindings.get(&uplink.name).filter(|known| known.uplink == fact.id);
            // What is not learnt yet may be what it was.
            let binding = NatBinding::of(config, uplink, fact).or_else(|| known.cloned());
            let binding = binding.filter(|_| self.ids.contains_key(&uplink.name));
            new.extend(binding.map(|binding| (uplink.name.clone(), binding)));
        }
        let old = core::mem::replace(&mut self.bindings, new);
        let gone = old.iter().filter(|(name, _)| !self.bindings.contains_key(*name));
        self.leaving.extend(gone.map(|(_, binding)| binding.uplink));
        self.leaving.retain(|id| self.bindings.values().all(|binding| binding.uplink != *id));
        self.leaving.sort_unstable();
        self.leaving.dedup();
        for (name, old) in old {
            self.stale.extend(old.stale_under(self.bindings.get(&name)));
        }
        // What came back in the meantime is good again.
        self.stale.retain(|stale| !self.bindings.values().any(|binding| binding.explains(stale)));
        self.stale.sort_by_key(|stale| (stale.uplink, stale.mark));
        self.stale.dedup();
        let tables = config.ranges.tables;
        let before = self.tables.replace(tables);
        self.old_tables.extend(before.filter(|before| *before != tables));
        self.old_tables.retain(|old| *old != tables);
        self.old_tables.sort_unstable();
        self.old_tables.dedup();
    }

    /// Gives every uplink name a number: its old one if the ranges still hold it, else the lowest
    /// never used, else the lowest whose name is gone from the configuration.
    pub fn number(&mut self, config: &Config) {
        let ids = &mut self.ids;
        let most = config.ranges.highest_id();
        ids.retain(|_, id| (1..=most).contains(&id.0));
        // Somebody may have edited the file, and given one number to several names.
        let mut taken = BTreeSet::new();
        for is_sought in [true, false] {
            let is_named = |name: &String| config.uplinks.iter().any(|u| u.name == *name);
            ids.retain(|name, id| is_named(name) != is_sought || taken.insert(*id));
        }
        for uplink in &config.uplinks {
            if ids.contains_key(&uplink.name) {
                continue;
            }
            let free = (1..=most).find(|n| !ids.values().any(|id| id.0 == *n));
            let number = free.or_else(|| {
                let is_gone = |name: &String| config.uplinks.iter().all(|u| u.name != *name);
                let gone = ids.iter().filter(|(name, _)| is_gone(name));
                let name = gone.min_by_key(|(_, id)| **id)?.0.clone();
                ids.remove(&name).map(|id| id.0)
            });
            if let Some(number) = number {
                ids.insert(uplink.name.clone(), UplinkId(number));
            }
        }
    }
}

/// What an uplink leaves in the connection table of the kernel: by it the kernel treats a known
/// connection for its whole life, whatever the rules say by then.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NatBinding {
    /// The uplink.
    pub uplink: UplinkId,
    /// Connection mark.
    pub mark: u32,
    /// The bits of it that are ours.
    pub mask: u32,
    /// The uplink's address: forwarded connections came to it, the router's own have it.
    pub address: IpAddr,
    /// What sources are translated to; `None`: they are not.
    pub source: Option<IpAddr>,
    /// The uplink's further addresses.
    #[serde(default)]
    pub further: Vec<IpAddr>,
}

/// Connections to delete, however well the uplink of their number is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Stale {
    /// The uplink they were made by; its number may have another owner by now.
    pub uplink: UplinkId,
    /// Connection mark.
    pub mark: u32,
    /// The bits of it that were ours.
    pub mask: u32,
    /// Which of those with the mark.
    pub which: Which,
}

impl NatBinding {
    /// `None` while the uplink has no address.
    fn of(config: &Config, uplink: &UplinkConfig, fact: &UplinkFacts) -> Option<Self> {
        let address = fact.address(Family::V4)?.address;
        let source = match uplink.nat {
            Nat::On => Some(address),
            Nat::To(other) => Some(other.into()),
            Nat::Off => None,
        };
        let (mark, mask) = (config.ranges.mark(fact.id), config.ranges.mark_mask);
        let further = uplink.addresses.iter().map(|further| further.address).collect();
        Some(Self { uplink: fact.id, mark, mask, address, source, further })
    }

    /// The connections that are lost when the uplink becomes this one, or goes. Interface and
    /// gateway are no matter: routes are looked up anew for every packet.
    fn stale_under(&self, new: Option<&Self>) -> impl Iterator<Item = Stale> {
        // A narrower mask that still gives the number is as good; a wider one reads foreign bits.
        let new = new.filter(|new| new.mark == self.mark && new.mask & !self.mask == 0);
        let translated = match self.source {
            Some(source) => Which::From(source),
            None => Which::Movable,
        };
        let is_translated_so = new.is_some_and(|new| new.source == self.source);
        let has_address = new.is_some_and(|new| new.address == self.address);
        let which = [
            (!is_translated_so).then_some(translated),
            (!has_address).then_some(Which::At(self.address)),
        ];
        let is_lost = move |own: &&IpAddr| !new.is_some_and(|new| new.further.contains(*own));
        // Programs have a further address, forwards are asked for by it, and `[[nat]]` gives it.
        let further = self.further.iter().filter(is_lost);
        let further = further.flat_map(|own| [Which::At(*own), Which::From(*own)]);
        let Self { uplink, mark, mask, .. } = *self;
        let all = which.into_iter().flatten().chain(further);
        all.map(move |which| Stale { uplink, mark, mask, which })
    }

    /// True if such connections are this uplink's as it is now.
    fn explains(&self, stale: &Stale) -> bool {
        (self.mark, self.mask) == (stale.mark, stale.mask)
            && match stale.which {
                Which::From(source) => {
                    self.source == Some(source) || self.further.contains(&source)
                }
                Which::At(address) => self.address == address || self.further.contains(&address),
                Which::Movable => self.source.is_none(),
                // Nothing stale is.
                Which::MovableUdp | Which::All => false,
            }
    }
}

#[cfg(test)]
mod tests;
