//! The surroundings: devices, addresses and the routes of `main`, where they keep
//! an uplink from its work though no program is at fault.
//!
//! Promises: one sentence each, with the remedy; nothing about an interface that
//! this machine does not have, for a file may be checked elsewhere.

mod addresses;
mod devices;
mod routes;
mod targets;

use super::survey::{Survey, View};
use crate::config::CheckKind;
use crate::net::{IfName, Prefix};
use crate::state::MainDefault;
use crate::status::{Conflict, ConflictKind};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::IpAddr;

/// What was read of the machine itself.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Host {
    /// Devices.
    pub devices: Vec<Device>,
    /// IPv4 addresses by device.
    pub addresses: Vec<(String, Prefix)>,
    /// Routes of `main` that may decide over all traffic: short ones, and those that refuse.
    pub routes: Vec<MainRoute>,
    /// What `main` does with what it has no route for.
    pub main: MainDefault,
}

/// A device.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Device {
    /// Index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// The device that has it as a port, and what kind that is (`bridge`, `bond`, `vrf`, ..).
    pub master: Option<(String, String)>,
    /// Waits for something beside the carrier.
    pub dormant: bool,
    /// It forwards nothing, though the machine does.
    pub forwards_nothing: bool,
}

/// A route of `main`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct MainRoute {
    /// Destination.
    pub prefix: Prefix,
    /// Metric.
    pub metric: u32,
    /// Protocol number of who set it.
    pub protocol: u8,
    /// It refuses: `unreachable`, `blackhole` or `prohibit`.
    pub refuses: Option<&'static str>,
    /// Device of the only or the first next hop.
    pub device: Option<String>,
    /// Its gateway.
    pub via: Option<IpAddr>,
}

/// An uplink as the surroundings concern it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UplinkView {
    /// Name.
    pub name: String,
    /// Interface.
    pub ifname: IfName,
    /// Address, if it has one now.
    pub address: Option<Prefix>,
    /// Gateway, if it has one.
    pub gateway: Option<IpAddr>,
    /// What its probes are.
    pub check: CheckKind,
}

/// An inside network as the surroundings concern it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NetworkView {
    /// Interface.
    pub ifname: IfName,
    /// Our address there, if the configuration sets it.
    pub address: Option<Prefix>,
}

/// Everything that the surroundings do.
pub(super) fn examine(view: &View, survey: &Survey) -> Vec<Conflict> {
    let host = &survey.host;
    let mut all = devices::examine(view, host);
    all.extend(addresses::examine(view, host));
    all.extend(routes::examine(view, host));
    all.extend(targets::examine(view, host));
    all
}

impl Host {
    fn has(&self, ifname: IfName) -> bool {
        self.devices.iter().any(|device| device.name == ifname.as_str())
    }

    /// The addresses of inside networks: what the configuration sets, and what is there.
    fn inside<'a>(&'a self, view: &'a View) -> impl Iterator<Item = (IfName, Prefix)> + 'a {
        view.networks.iter().flat_map(move |network| {
            let there = self.addresses.iter().filter(|(name, _)| name == network.ifname.as_str());
            let there = there.map(|(_, prefix)| *prefix);
            let set = network.address.into_iter().filter(move |set| {
                !self.addresses.iter().any(|(name, p)| name == network.ifname.as_str() && p == set)
            });
            there.chain(set).map(|prefix| (network.ifname, prefix))
        })
    }
}

/// A sentence about `owner`; it is certain.
fn tell(
    kind: ConflictKind,
    owner: impl ToString,
    effect: String,
    remedy: String,
    uplinks: Vec<String>,
) -> Conflict {
    let (owner, object) = (owner.to_string(), String::new());
    Conflict { kind, certain: true, owner, object, place: None, effect, remedy, uplinks }
}

/// The names of the uplinks on an interface.
fn on(view: &View, ifname: &str) -> Vec<String> {
    let here = view.uplinks.iter().filter(|uplink| uplink.ifname.as_str() == ifname);
    here.map(|uplink| uplink.name.clone()).collect()
}

#[cfg(test)]
mod tests;
