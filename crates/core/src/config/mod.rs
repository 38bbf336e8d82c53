//! The configuration as plain values, one file for each section. Reading the file and
//! validating it is the binary's job (`rail::load`); what stands here is complete and
//! consistent.

mod balance;
mod check;
mod firewall;
mod forward;
mod network;
mod notify;
mod overrides;
mod performance;
mod ppp;
mod protocol;
mod ranges;
mod router;
mod selector;
mod service;
mod uplink;

pub use balance::*;
pub use check::*;
pub use firewall::*;
pub use forward::*;
pub use network::*;
pub use notify::*;
pub(crate) use overrides::effective;
pub use overrides::{Action, Override, Overrides};
pub use performance::*;
pub use ppp::*;
pub use protocol::*;
pub use ranges::*;
pub use router::*;
pub use selector::{Device, Devices, Links, Named, Outside, Selector, Stray, StrayCause};
pub use service::*;
pub use uplink::*;

use alloc::vec::Vec;
use core::net::Ipv4Addr;

/// Everything the administrator said, defaults filled in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Config {
    /// `[router]`.
    pub router: Router,
    /// `[log]`.
    pub log: Log,
    /// The inside: `[lan] interfaces`, and `[[network]]` in the order of the file.
    pub networks: Vec<Network>,
    /// `[firewall]`.
    pub firewall: FirewallConfig,
    /// `[balance] by`.
    pub balance: BalanceBy,
    /// `[ranges]`.
    pub ranges: Ranges,
    /// `[check]`.
    pub check: CheckConfig,
    /// `[[uplink]]`, in the order of the file.
    pub uplinks: Vec<UplinkConfig>,
    /// `[[nat]]`, in the order of the file: the first that names a source is for it.
    pub translations: Vec<Translation>,
    /// `[[forward]]`, in the order of the file.
    pub forwards: Vec<Forward>,
    /// `[performance]`.
    pub performance: Performance,
    /// `[notify]`.
    pub notify: Notify,
    /// `[[ddns]]`, in the order of the file.
    pub ddns: Vec<Ddns>,
}

impl Config {
    /// All that some uplink asks, each once.
    pub fn targets(&self) -> Vec<Ipv4Addr> {
        each_once(self.uplinks.iter().flat_map(|uplink| uplink.check.targets.iter().copied()))
    }

    /// The same as they are asked, each once.
    pub fn asked(&self) -> Vec<Asked> {
        let checks = self.uplinks.iter().map(|uplink| &uplink.check);
        each_once(checks.flat_map(|check| check.targets.iter().map(|at| (check.kind, *at))))
    }

    /// Gives every uplink the same checks.
    pub fn check_all(&mut self, check: CheckConfig) {
        self.uplinks.iter_mut().for_each(|uplink| uplink.check = check.clone());
        self.check = check;
    }

    /// True if the uplink is on an inside interface: its box stands among the hosts.
    pub fn is_inside(&self, uplink: &UplinkConfig) -> bool {
        self.networks.iter().any(|network| network.ifname == uplink.ifname)
    }
}

/// In the order of the first of each.
fn each_once<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut once = Vec::new();
    for one in all {
        if !once.contains(&one) {
            once.push(one);
        }
    }
    once
}
