//! The kinds of uplinks: where the address and the gateway of each come from.

mod dhcp;

use crate::config::{UplinkConfig, UplinkKind};
use crate::dhcp4::SavedLease;
use crate::facts::{Ways, fixed};
use crate::io::{Binding, Port};
use crate::net::{IfName, Mac, UplinkId};
use crate::random::Secret;
use crate::status::LeaseStatus;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use dhcp::Dhcp;

/// What an uplink knows of its attachment beside the file.
#[derive(Clone, Debug)]
pub(super) enum Kind {
    /// Nothing: the file says all.
    Fixed,
    /// A lease.
    Dhcp(Box<Dhcp>),
}

impl Kind {
    /// That of an uplink that begins; `saved` is what an earlier process had leased.
    pub(super) fn new(own: &UplinkConfig, secret: Secret, saved: Option<&SavedLease>) -> Self {
        match &own.kind {
            UplinkKind::Static(_) => Self::Fixed,
            UplinkKind::Dhcp(config) => Self::Dhcp(Box::new(Dhcp::new(config, secret, saved))),
        }
    }

    /// Its lease, for the screens.
    pub(super) fn lease_status(&self, now: Instant) -> Option<LeaseStatus> {
        match self {
            Self::Fixed => None,
            Self::Dhcp(dhcp) => Some(dhcp.status(now)),
        }
    }

    /// Takes what the file says now; the kind is the same.
    pub(super) fn set_config(&mut self, own: &UplinkConfig) {
        if let (Self::Dhcp(dhcp), UplinkKind::Dhcp(config)) = (self, &own.kind) {
            dhcp.set_config(config);
        }
    }

    /// How the uplink is attached now.
    pub(super) fn ways(&self, own: &UplinkConfig) -> Ways {
        match self {
            Self::Fixed => fixed::attach(own),
            Self::Dhcp(dhcp) => dhcp.ways(own.mtu),
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
            Self::Fixed => Vec::new(),
            Self::Dhcp(_) => dhcp::ports(id, link, bound),
        }
    }

    /// What it is attached by it has got a moment ago: the kernel does not have it yet.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        match self {
            Self::Fixed => false,
            Self::Dhcp(dhcp) => dhcp.is_new(now),
        }
    }

    /// Why there is no attachment, for people.
    pub(super) fn why_unattached(&self, ifname: IfName) -> String {
        match self {
            Self::Fixed => format!("{ifname} has got no address"),
            Self::Dhcp(dhcp) => dhcp.why_unattached(ifname),
        }
    }

    /// When it is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Fixed => None,
            Self::Dhcp(dhcp) => dhcp.deadline(),
        }
    }
}
