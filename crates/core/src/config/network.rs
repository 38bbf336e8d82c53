//! `[[network]]` and `[lan]`.

use super::{DhcpService, DnsService, Selector};
use crate::net::{IfName, Prefix};
use alloc::string::{String, ToString};
use alloc::vec::Vec;

/// `[[network]]`, or one of `[lan] interfaces`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Network {
    /// Unique name: as that of an uplink; of `[lan]` that of the interface.
    pub name: String,
    /// The interface as the file says it.
    pub interface: Selector,
    /// Its name now; see [`Config::names`](super::Config::names).
    pub ifname: IfName,
    /// Interfaces that fit as well: their packets are filtered like those of this one.
    pub others: Vec<IfName>,
    /// Our address there; `None`: its address is somebody else's matter.
    pub address: Option<Prefix>,
    /// What its hosts may ask of the router itself.
    pub kind: NetworkKind,
    /// What its hosts may reach beyond the router.
    pub reach: Reach,
    /// `dhcp`: its hosts get addresses from the router.
    pub dhcp: Option<DhcpService>,
    /// `dns`: its hosts ask the router for names.
    pub dns: Option<DnsService>,
}

impl Network {
    /// One of `[lan] interfaces`.
    pub fn lan(ifname: IfName) -> Self {
        Self::lan_at(ifname.into())
    }

    /// One of `[lan] interfaces`, named by whatever it is.
    pub fn lan_at(interface: Selector) -> Self {
        let (name, ifname) = (interface.to_string(), interface.ifname());
        Self {
            name,
            interface,
            ifname,
            others: Vec::new(),
            address: None,
            kind: NetworkKind::Lan,
            reach: Reach::All,
            dhcp: None,
            dns: None,
        }
    }

    /// True if its hosts may not reach everything.
    pub fn is_closed(&self) -> bool {
        self.kind != NetworkKind::Lan || self.reach != Reach::All
    }
}

/// `kind` of a network.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub enum NetworkKind {
    /// The router is open to it (default).
    #[default]
    Lan,
    /// Servers that strangers reach; of the router it has ICMP, DNS and DHCP.
    Dmz,
    /// Strangers; the same.
    Guest,
}

/// `may_reach` of a network. Replies, and what a port forward translated, always pass.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Everything; the default of kind `lan`.
    All,
    /// This alone; the others' default is the internet.
    Only {
        /// What is behind the uplinks.
        internet: bool,
        /// Names of other networks.
        networks: Vec<String>,
    },
}
