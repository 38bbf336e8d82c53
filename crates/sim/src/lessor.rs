//! Uplinks whose addresses are leased, and what happens to their servers.
//!
//! As of those that another program configures, the configuration of the scene has what the router has leased
//! as if the file said so; without a lease it has no address there. The router says what it has, and the laws
//! compare that with what the servers granted.

use crate::dice::Dice;
use crate::fault::Fault;
use crate::net::{Site, Street};
use crate::scenario::{Scenario, prefix};
use crate::scene::Scene;
use crate::world::{Event, Heal, MS, SEC, World};
use rail_core::Saved;
use rail_core::config::{DhcpConfig, Fixed, OnFailback, Standby, Tier, UplinkConfig, UplinkKind};
use rail_core::net::Prefix;
use rail_core::time::{Duration, Instant};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// In some worlds the first uplink is leased, the last one on cold standby, or all. That is decided by the seed,
/// so that all other seeds stay what they were.
pub(crate) fn lease(seed: u64, scenario: &mut Scenario, dice: &mut Dice) {
    if seed % EVERY != OFFSET {
        return;
    }
    let config = &mut scenario.config;
    let (kind, last) = (seed / EVERY % 4, config.uplinks.len() - 1);
    let leased = match kind {
        0 => 0..=0,
        2 => last..=last,
        _ => 0..=last,
    };
    let (is_shared, has_more) = (dice.permille(500), dice.permille(300));
    let mut sites = BTreeMap::new();
    for line in leased {
        let Some(fixed) = config.uplinks[line].fixed().copied() else { continue };
        let (IpAddr::V4(gateway), n) = (fixed.gateway, line + 1) else { continue };
        let pool = match (is_shared, fixed.onlink) {
            (false, _) => fixed.address,
            (true, true) => prefix("100.64.200.0/32"),
            (true, false) => prefix("100.64.200.0/16"),
        };
        let behind = has_more.then(|| prefix(&format!("172.16.{n}.0/24")));
        sites.insert(line, Site { pool, gateway, behind, since: Instant::ZERO });
        config.uplinks[line].kind = UplinkKind::Dhcp(DhcpConfig::default());
        let ifname = config.uplinks[line].ifname;
        scenario.kernel.addresses.retain(|(name, _), _| *name != ifname);
    }
    scenario.mix.add(Fault::DropAddress);
    if kind >= 2
        && let [_, .., last] = config.uplinks.as_mut_slice()
    {
        (last.tier, last.standby) = (Tier::Number(2), Standby::Cold);
        last.on_failback = OnFailback::Drain(SEC * 60);
        for fault in [Fault::Silent, Fault::Carrier] {
            scenario.mix.add(fault);
        }
    }
    scenario.net.street = Street::new(sites, dice);
}

/// One seed in so many has leases.
const EVERY: u64 = 64;
const OFFSET: u64 = 38;

impl Scene {
    /// The address of this uplink is leased.
    pub(crate) fn is_leased(&self, line: usize) -> bool {
        self.net.street.sites.contains_key(&line)
    }

    /// Another program, or a server, gives the uplink of this name its address: the rules that stand may be from
    /// before.
    pub(crate) fn is_learnt(&self, name: &str) -> bool {
        let mut uplinks = self.config.uplinks.iter().enumerate();
        let line = uplinks.find(|(_, own)| own.name == name).map(|(line, _)| line);
        line.is_some_and(|line| self.kept.contains(&line) || self.is_leased(line))
    }

    /// The uplink got another address, or lost it, a moment ago: what was asked for before may still be under way.
    pub(crate) fn has_new_lease(&self, line: usize) -> bool {
        let site = self.net.street.sites.get(&line);
        site.is_some_and(|site| self.now < site.since + LONGEST)
    }

    /// A process begins with the leases that the last one has saved.
    pub(crate) fn adopt_leases(&mut self, saved: &Saved) {
        let lines: Vec<usize> = self.net.street.sites.keys().copied().collect();
        for line in lines {
            let saved = saved.leases.get(&self.config.uplinks[line].name);
            let lease = saved.and_then(|saved| saved.lease.as_ref());
            let address = lease.map(|lease| lease.address);
            self.set_lease(line, address);
        }
    }

    /// From now on the uplink has this address, or none.
    fn set_lease(&mut self, line: usize, address: Option<Prefix>) {
        let Some(site) = self.net.street.sites.get_mut(&line) else { return };
        let gateway = IpAddr::V4(site.gateway);
        let fixed = |address: Prefix| {
            let onlink = address.length == 32 || !address.contains(gateway);
            UplinkKind::Static(Fixed { address, gateway, onlink })
        };
        let dhcp = UplinkKind::Dhcp(DhcpConfig::default());
        let kind = address.map_or(dhcp, fixed);
        if self.config.uplinks[line].kind != kind {
            self.config.uplinks[line].kind = kind;
            site.since = self.now;
            self.lines[line].steady_since = self.now;
            self.refresh_ways();
        }
    }

    /// An uplink that is to have a lease has none.
    fn lacks_lease(&self) -> bool {
        let is_without = |line: &usize| lacks(&self.config.uplinks[*line]);
        self.net.street.sites.keys().any(is_without)
    }
}

/// It is to have a lease in any case, and has none.
pub(crate) fn lacks(uplink: &UplinkConfig) -> bool {
    uplink.standby == Standby::Warm && uplink.address().is_none()
}

impl World {
    /// The router says that an uplink has a lease of this address, or none any more.
    pub(crate) fn hear_lease(&mut self, uplink: &str, address: Option<Prefix>) {
        let position = self.scene.config.uplinks.iter().position(|own| own.name == uplink);
        if let Some(line) = position {
            self.scene.excuses.disturbed = self.scene.excuses.disturbed.max(self.scene.now);
            self.scene.set_lease(line, address);
        }
    }

    /// Something happens to the servers; false: to the address of the uplink.
    pub(crate) fn trouble_street(&mut self) -> bool {
        let street = &mut self.scene.net.street;
        let text = match self.dice.below(5) {
            0 | 1 => {
                street.reboot(&mut self.dice);
                "the server forgets its leases"
            }
            2 => {
                street.set_silent(true);
                "the servers are silent"
            }
            3 if !street.has_rival() => {
                street.add_server(&mut self.dice);
                "another server comes"
            }
            _ => return false,
        };
        self.note(format!("FAULT {text}"));
        let wait = self.dice.between(MS * 500, SEC * 60);
        self.after(wait, Event::Heal(Heal::Servers));
        true
    }

    /// The servers are as at the beginning, but for what they remember.
    pub(crate) fn heal_street(&mut self) {
        if !self.scene.net.street.sites.is_empty() {
            self.note("heals: the servers".into());
            self.scene.net.street.set_silent(false);
            self.scene.net.street.remove_rival();
        }
    }

    /// Clients that got no answer ask seldom.
    pub(crate) fn wait_for_leases(&mut self) {
        let end = self.scene.now + PATIENCE;
        while self.scene.lacks_lease() && self.scene.now < end && self.violation.is_none() {
            self.run_for(SEC);
        }
    }
}

/// Deletions of connections of several uplinks, and transactions, take no longer.
pub(crate) const LONGEST: Duration = SEC.saturating_mul(15);
/// The longest wait between two questions, and what a denial costs before the next one.
const PATIENCE: Duration = SEC.saturating_mul(200);
