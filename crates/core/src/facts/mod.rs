//! What we believe now. Facts, with the configuration, are all that the desired
//! state is made from.

mod attachment;
pub(crate) mod fixed;
pub mod kept;
mod system;

pub use attachment::{Attachment, Gateway, Origin, PerFamily, Ways};
pub use system::SystemFacts;

use crate::config::{Config, UplinkConfig};
use crate::net::{Family, Mac, Prefix, UplinkId};
use crate::status::Health;
use alloc::vec::Vec;
use core::net::IpAddr;

/// Beliefs about one uplink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UplinkFacts {
    /// Its number.
    pub id: UplinkId,
    /// How it is attached, in each family.
    pub way: Ways,
    /// Index of its interface; `None`: there is none.
    pub ifindex: Option<u32>,
    /// The interface is administratively up.
    pub link_up: bool,
    /// The interface has a carrier.
    pub carrier: bool,
    /// The address of its attachment is on the interface, in each family.
    pub has_address: PerFamily<bool>,
    /// Further addresses of ours on the interface: those of the configuration, and those of the
    /// uplink's subnet that others have set.
    pub further: Vec<Prefix>,
    /// Largest packet that the interface takes, in bytes; the last one seen if it is gone.
    pub mtu: u32,
    /// Health.
    pub health: Health,
    /// Carries new connections.
    pub active: bool,
    /// New connections avoid it while another can carry them.
    pub drained: bool,
    /// Hardware address of its gateway, the last one seen; for an interface of several uplinks only.
    pub gateway_mac: Option<Mac>,
}

impl UplinkFacts {
    /// Before anything was seen or learnt of it.
    pub fn new(id: UplinkId) -> Self {
        Self {
            id,
            way: Ways::default(),
            ifindex: None,
            link_up: false,
            carrier: false,
            has_address: PerFamily::default(),
            further: Vec::new(),
            mtu: WIDE_MTU,
            health: Health::Absent,
            active: false,
            drained: false,
            gateway_mac: None,
        }
    }

    /// Its address in a family, with the prefix length.
    pub fn address(&self, family: Family) -> Option<Prefix> {
        self.way[family].as_ref().map(|way| way.address)
    }

    /// The address of its gateway in a family.
    pub fn gateway(&self, family: Family) -> Option<IpAddr> {
        self.way[family].as_ref().and_then(|way| way.gateway.address())
    }

    /// Every address that is meant for the interface, those of the attachments first. What others
    /// have set there is not among them.
    pub fn prefixes<'a>(
        &'a self,
        uplink: &'a UplinkConfig,
    ) -> impl Iterator<Item = Prefix> + Clone + 'a {
        let attached = self.way.iter().flatten().map(|way| way.address);
        attached.chain(uplink.addresses.iter().copied())
    }

    /// True if it can carry connections: one that is held back does where nobody better can.
    pub const fn is_serving(&self) -> bool {
        self.health.is_usable() || (self.active && self.health.is_alive())
    }

    /// True if a route of a family through it can be installed.
    pub fn is_routable(&self, family: Family) -> bool {
        self.ifindex.is_some() && self.link_up && self.has_address[family]
    }
}

/// Beliefs about everything.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Facts {
    /// One for each uplink of the configuration, in its order.
    pub uplinks: Vec<UplinkFacts>,
    /// Those of the machine that they share.
    pub system: SystemFacts,
}

impl Facts {
    /// Before anything was seen: the numbers of the uplinks, and how the file attaches them.
    pub fn unseen(config: &Config, ids: impl IntoIterator<Item = UplinkId>) -> Self {
        let pairs = config.uplinks.iter().zip(ids);
        let fact =
            |(uplink, id)| UplinkFacts { way: fixed::attach(uplink), ..UplinkFacts::new(id) };
        Self { uplinks: pairs.map(fact).collect(), ..Self::default() }
    }

    /// As far as the desired state is made from them: it is the same for two that are equal in this.
    pub fn essence(&self) -> Self {
        let mut essence = self.clone();
        for fact in &mut essence.uplinks {
            let serves = fact.is_serving();
            fact.health = if serves { Health::Up } else { Health::Down };
            (fact.carrier, fact.drained) = (false, false);
        }
        essence
    }
}

/// MTU of Ethernet, in bytes.
pub const WIDE_MTU: u32 = 1500;
