//! The kinds of uplinks: where the address and the gateway of each come from.

mod dhcp;
mod ppp;

use super::{Context, Uplinks};
use crate::config::{Config, UplinkConfig, UplinkKind};
use crate::facts::{Ways, fixed};
use crate::io::{Binding, Port};
use crate::net::{Family, Mac, Prefix, UplinkId};
use crate::random::Secret;
use crate::reconcile::Wants;
use crate::saved::Saved;
use crate::state::Observed;
use crate::status::{LeaseStatus, PppStatus};
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use dhcp::Dhcp;
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
}

impl Kind {
    /// That of an uplink that begins; `saved` is what an earlier process has left.
    pub(super) fn new(own: &UplinkConfig, secret: Secret, saved: &Saved) -> Self {
        match &own.kind {
            UplinkKind::Static(_) => Self::Fixed,
            UplinkKind::Dhcp(config) => {
                let lease = saved.leases.get(&own.name);
                Self::Dhcp(Box::new(Dhcp::new(config, secret, lease)))
            }
            UplinkKind::Ppp(config) => {
                let given = saved.ppp.get(&own.name);
                Self::Ppp(Box::new(Ppp::new(config, own.mtu, given)))
            }
        }
    }

    /// Its lease, for the screens.
    pub(super) fn lease_status(&self, now: Instant) -> Option<LeaseStatus> {
        match self {
            Self::Fixed | Self::Ppp(_) => None,
            Self::Dhcp(dhcp) => Some(dhcp.status(now)),
        }
    }

    /// Its line, for the screens.
    pub(super) fn ppp_status(&self, now: Instant) -> Option<PppStatus> {
        match self {
            Self::Fixed | Self::Dhcp(_) => None,
            Self::Ppp(ppp) => Some(ppp.status(now)),
        }
    }

    /// Its interface is there while it is connected.
    pub(super) const fn is_dialled(&self) -> bool {
        matches!(self, Self::Ppp(_))
    }

    /// Takes what the file says now; the kind is the same.
    pub(super) fn set_config(&mut self, own: &UplinkConfig) {
        match (self, &own.kind) {
            (Self::Dhcp(dhcp), UplinkKind::Dhcp(config)) => dhcp.set_config(config),
            (Self::Ppp(ppp), UplinkKind::Ppp(config)) => ppp.set_config(config, own.mtu),
            _ => {}
        }
    }

    /// How the uplink is attached now.
    pub(super) fn ways(&self, own: &UplinkConfig) -> Ways {
        match self {
            Self::Fixed => fixed::attach(own),
            Self::Dhcp(dhcp) => dhcp.ways(own.mtu),
            Self::Ppp(ppp) => ppp.ways(),
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
            Self::Fixed | Self::Ppp(_) => Vec::new(),
            Self::Dhcp(_) => dhcp::ports(id, link, bound),
        }
    }

    /// What it is attached by it has got a moment ago: the kernel does not have it yet.
    pub(super) fn is_new(&self, now: Instant) -> bool {
        match self {
            // The kernel had it first.
            Self::Fixed | Self::Ppp(_) => false,
            Self::Dhcp(dhcp) => dhcp.is_new(now),
        }
    }

    /// Why there is no attachment, for people.
    pub(super) fn why_unattached(&self, own: &UplinkConfig) -> String {
        match self {
            Self::Fixed => format!("{} has got no address", own.ifname),
            Self::Dhcp(dhcp) => dhcp.why_unattached(own.ifname),
            Self::Ppp(ppp) => ppp.why_unattached(own),
        }
    }

    /// When it is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Fixed => None,
            Self::Dhcp(dhcp) => dhcp.deadline(),
            Self::Ppp(ppp) => ppp.deadline(),
        }
    }
}

impl Uplinks {
    /// Takes over how an uplink is attached now, by what its kind knows.
    fn take_ways(&mut self, index: usize, cx: &mut Context<'_>) {
        let own = &cx.config.uplinks[index];
        let uplink = &mut self.list[index];
        let ways = uplink.kind.ways(own);
        if uplink.facts.way == ways {
            return;
        }
        uplink.set_ways(cx.now, ways, own);
        if let Some(own) = uplink.facts.address(Family::V4) {
            cx.purge.keep(own.address);
        }
        self.links_due = true;
        cx.kernel.forget_rendered();
        cx.kernel.touch();
        cx.desk.saved.take(cx.config, self.list.iter().map(|uplink| &uplink.facts));
        cx.desk.save(true, cx.out);
        // The gateway is looked at, and what others do to the address.
        let (config, system) = (cx.config, cx.system);
        let wants = Wants { config, facts: &|| self.facts(system) };
        cx.kernel.refresh_watch(&wants, &cx.desk.saved, cx.out);
    }
}

/// Networks inside, as they are set and as they are meant: nobody outside may give an address in them.
fn inside<'a>(config: &'a Config, observed: &'a Observed) -> impl Iterator<Item = Prefix> + 'a {
    let is_inside = |ifname| config.networks.iter().any(|n| n.ifname == ifname);
    let there = observed.addresses.keys().filter(move |(ifname, _)| is_inside(*ifname));
    let meant = config.networks.iter().filter_map(|network| network.address);
    there.map(|(_, prefix)| prefix.network()).chain(meant.map(|own| own.network()))
}
