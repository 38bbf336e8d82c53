//! The kinds of uplinks: where the address and the gateway of each come from.

mod dhcp;
mod keep;
mod ppp;

use crate::config::{Config, UplinkConfig, UplinkKind};
use crate::facts::{Ways, fixed};
use crate::io::{Binding, Port};
use crate::net::{Mac, Prefix, UplinkId};
use crate::random::Secret;
use crate::saved::Saved;
use crate::state::Observed;
use crate::status::{KeptStatus, LeaseStatus, PppStatus};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use dhcp::Dhcp;
use keep::Keep;
use ppp::Ppp;

/// What an uplink knows of its attachment beside the file.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing: the file says all.
    Fixed,
    /// A lease.
    Dhcp(Box<Dhcp>),
    /// A line that is dialled.
    Ppp(Box<Ppp>),
    /// What another program has configured.
    Keep(Box<Keep>),
}

impl Kind {
    /// That of an uplink that begins; `saved` is what an earlier process has left.
    pub(super) fn new(own: &UplinkConfig, secret: Secret, saved: &Saved) -> Self {
        match &own.kind {
            UplinkKind::Static(_) => Self::Fixed,
            UplinkKind::Dhcp(config) => {
                Self::Dhcp(Box::new(Dhcp::new(config, secret, saved.leases.get(&own.name))))
            }
            UplinkKind::Keep(config) => {
                Self::Keep(Box::new(Keep::new(config, saved.kept.get(&own.name))))
            }
            UplinkKind::Ppp(config) => {
                Self::Ppp(Box::new(Ppp::new(config, own.mtu, saved.ppp.get(&own.name))))
            }
        }
    }

    /// Its lease, for the screens.
    pub(super) fn lease_status(&self, now: Instant) -> Option<LeaseStatus> {
        match self {
            Self::Dhcp(dhcp) => Some(dhcp.status(now)),
            Self::Fixed | Self::Keep(_) | Self::Ppp(_) => None,
        }
    }

    /// What another program has configured, for the screens.
    pub(super) fn kept_status(&self, now: Instant) -> Option<KeptStatus> {
        match self {
            Self::Keep(keep) => Some(keep.status(now)),
            Self::Fixed | Self::Dhcp(_) | Self::Ppp(_) => None,
        }
    }

    /// Its line, for the screens.
    pub(super) fn ppp_status(&self, now: Instant) -> Option<PppStatus> {
        match self {
            Self::Fixed | Self::Dhcp(_) | Self::Keep(_) => None,
            Self::Ppp(ppp) => Some(ppp.status(now)),
        }
    }

    /// Its interface is there while it is connected.
    pub(super) const fn is_dialled(&self) -> bool {
        matches!(self, Self::Ppp(_))
    }

    /// It holds what it gives back when it goes to cold standby.
    pub(super) fn holds(&self) -> bool {
        match self {
            Self::Dhcp(dhcp) => dhcp.holds(),
            Self::Ppp(ppp) => ppp.holds(),
            Self::Fixed | Self::Keep(_) => false,
        }
    }

    /// It is called from cold standby: somebody waits for it.
    pub(super) fn hurry(&mut self) {
        match self {
            Self::Dhcp(dhcp) => dhcp.hurry(),
            Self::Fixed | Self::Keep(_) | Self::Ppp(_) => {}
        }
    }

    /// Takes what the file says now; the kind is the same.
    pub(super) fn set_config(&mut self, own: &UplinkConfig) {
        match (self, &own.kind) {
            (Self::Dhcp(dhcp), UplinkKind::Dhcp(config)) => dhcp.set_config(config),
            (Self::Ppp(ppp), UplinkKind::Ppp(config)) => ppp.set_config(config, own.mtu),
            (Self::Keep(keep), UplinkKind::Keep(config)) => keep.set_config(config),
            _ => {}
        }
    }

    /// How the uplink is attached now.
    pub(super) fn ways(&self, own: &UplinkConfig) -> Ways {
        match self {
            Self::Fixed => fixed::attach(own),
            Self::Dhcp(dhcp) => dhcp.ways(own.mtu),
            Self::Ppp(ppp) => ppp.ways(),
            Self::Keep(keep) => keep.ways(),
        }
    }

    /// The ports that it needs beside those of the checks. `link` is what they are bound to without an
    /// address, with the hardware address there, and `bound` with one.
    pub(super) fn ports(
        &self,
        id: UplinkId,
        link: Option<(Binding, Mac)>,
        bound: Option<Binding>,
    ) -> Vec<Port> {
        match self {
            Self::Fixed | Self::Keep(_) | Self::Ppp(_) => Vec::new(),
            Self::Dhcp(_) => dhcp::ports(id, link, bound),
        }
    }

    /// What it is attached by it has got a moment ago: the kernel does not have it yet.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        match self {
            // The kernel had it first.
            Self::Fixed | Self::Keep(_) | Self::Ppp(_) => false,
            Self::Dhcp(dhcp) => dhcp.is_new(now),
        }
    }

    /// Why there is no attachment, for people.
    pub(super) fn why_unattached(&self, own: &UplinkConfig) -> String {
        match self {
            Self::Fixed => format!("{} has got no address", own.ifname),
            Self::Dhcp(dhcp) => dhcp.why_unattached(own.ifname),
            Self::Keep(keep) => keep.why_unattached(own.ifname),
            Self::Ppp(ppp) => ppp.why_unattached(own),
        }
    }

    /// What must happen before there is one, for people.
    pub(super) fn what_attaches(&self) -> &'static str {
        match self {
            Self::Fixed => "when the address is on the interface",
            Self::Dhcp(_) => "when a DHCP server leases it an address and a gateway",
            Self::Keep(keep) if keep.lacks_gateway() => {
                "when another program sets a default route by its interface, or the file names its `gateway`"
            }
            Self::Keep(_) => "when another program sets an address and a default route",
            Self::Ppp(_) => "when it is connected",
        }
    }

    /// An address is there, and nothing says where it leads.
    pub(super) fn lacks_gateway(&self) -> bool {
        matches!(self, Self::Keep(keep) if keep.lacks_gateway())
    }

    /// When it is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Fixed | Self::Keep(_) => None,
            Self::Dhcp(dhcp) => dhcp.deadline(),
            Self::Ppp(ppp) => ppp.deadline(),
        }
    }

    /// When the kernel is to be looked at, whether it changes or not.
    pub(super) fn look_deadline(&self) -> Option<Instant> {
        match self {
            Self::Keep(keep) => keep.deadline(),
            Self::Fixed | Self::Dhcp(_) | Self::Ppp(_) => None,
        }
    }
}

/// Networks inside, as they are set and as they are meant: nobody outside may give an address in them.
fn inside<'a>(config: &'a Config, observed: &'a Observed) -> impl Iterator<Item = Prefix> + 'a {
    let is_inside = |ifname| config.networks.iter().any(|n| n.ifname == ifname);
    let there = observed.addresses.keys().filter(move |(ifname, _)| is_inside(*ifname));
    let meant = config.networks.iter().filter_map(|network| network.address);
    there.map(|(_, prefix)| prefix.network()).chain(meant.map(|own| own.network()))
}
