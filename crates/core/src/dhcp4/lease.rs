//! What a server has leased, and how long it lasts.

use crate::facts::Gateway;
use crate::net::{Family, Mac, Prefix, is_host};
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::dhcp4::{ClasslessRoute, LeaseTime, Reply};
use serde::{Deserialize, Serialize};

/// A lease.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Lease {
    /// Our address with its prefix length.
    pub address: Prefix,
    /// Where packets to the outside go; `None`: the server names no default route.
    pub gateway: Option<Ipv4Addr>,
    /// Further routes (RFC 3442); a gateway of zeros: the destination is on the link.
    #[serde(default)]
    pub routes: Vec<(Prefix, Ipv4Addr)>,
    /// Name servers.
    #[serde(default)]
    pub resolvers: Vec<Ipv4Addr>,
    /// Largest packet, in bytes, where the server says so.
    #[serde(default)]
    pub mtu: Option<u16>,
    /// The server, by its identifier; `None`: it has none, and cannot be asked alone.
    #[serde(default)]
    pub server: Option<Ipv4Addr>,
    /// From when on the server is asked to extend it, and from when on every server is.
    pub renew: Instant,
    /// See `renew`.
    pub rebind: Instant,
    /// Its end; `None`: it has none.
    pub expires: Option<Instant>,
}

/// What an earlier process has left.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedLease {
    /// The lease; its times are on the boot clock.
    pub lease: Option<Lease>,
    /// The last address: after a boot it is asked for again.
    pub last: Option<Ipv4Addr>,
    /// The network card that it was leased to.
    pub owner: Option<Mac>,
}

/// Why an answer gives no lease.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum NoLease {
    /// No host can have the address.
    Address,
    /// It has no length and nothing tells it.
    Mask,
    /// It lasts for no time, or the server does not say how long.
    Time,
}

impl NoLease {
    /// For people.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Address => "no host can have the address",
            Self::Mask => "it has no subnet mask",
            Self::Time => "it says no time",
        }
    }
}

impl Lease {
    /// What an answer leases, counted from when it was asked for. What the answer to a renewal leaves
    /// out is as in the lease `before`: some servers then send the times alone.
    ///
    /// # Errors
    /// [`NoLease`].
    pub(super) fn of(
        reply: &Reply,
        asked: Instant,
        before: Option<&Self>,
    ) -> Result<Self, NoLease> {
        let address = reply.yiaddr;
        if !is_host(address) {
            return Err(NoLease::Address);
        }
        let before = before.filter(|before| before.address.address == IpAddr::V4(address));
        let length = reply.prefix_length.or_else(|| before.map(|before| before.address.length));
        let address = Prefix { address: address.into(), length: length.ok_or(NoLease::Mask)? };
        let (gateway, routes) = ways(reply, before);
        let resolvers = match (reply.resolvers.is_empty(), before) {
            (true, Some(before)) => before.resolvers.clone(),
            _ => reply.resolvers.clone(),
        };
        let mtu = reply.mtu.filter(|mtu| *mtu >= LEAST_MTU);
        let mtu = mtu.or_else(|| before.and_then(|before| before.mtu));
        let times = Times::of(reply)?;
        Ok(Self {
            address,
            gateway,
            routes,
            resolvers,
            mtu,
            server: reply.server_id.or_else(|| before.and_then(|before| before.server)),
            renew: asked + times.renew,
            rebind: asked + times.rebind,
            expires: times.whole.map(|whole| asked + whole),
        })
    }

    /// Our address.
    pub const fn ip(&self) -> Option<Ipv4Addr> {
        match self.address.address {
            IpAddr::V4(address) => Some(address),
            IpAddr::V6(_) => None,
        }
    }

    /// It is over.
    pub fn is_over(&self, now: Instant) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    /// The next hop of what leaves by it. One outside the network of the address is a neighbour
    /// nevertheless: providers that lease single addresses mean it so. Zeros: there is none, everything is
    /// on the link.
    pub fn next_hop(&self) -> Option<Gateway> {
        let gateway = self.gateway?;
        if gateway.is_unspecified() {
            return Some(Gateway::Device);
        }
        let gateway = IpAddr::V4(gateway);
        let is_near = self.address.length < 32 && self.address.contains(gateway);
        Some(if is_near { Gateway::Via(gateway) } else { Gateway::OnLink(gateway) })
    }
}

/// How long a lease lasts.
struct Times {
    renew: Duration,
    rebind: Duration,
    whole: Option<Duration>,
}

impl Times {
    fn of(reply: &Reply) -> Result<Self, NoLease> {
        let whole = match reply.lease {
            None | Some(LeaseTime::Seconds(0)) => return Err(NoLease::Time),
            Some(LeaseTime::Infinite) => {
                return Ok(Self { renew: FOR_EVER, rebind: FOR_EVER, whole: None });
            }
            // Shorter ones would only be renewed again and again.
            Some(LeaseTime::Seconds(seconds)) => Duration::from_secs(seconds.into()).max(SHORTEST),
        };
        let said = match (reply.renewal, reply.rebinding) {
            (Some(LeaseTime::Seconds(renew)), Some(LeaseTime::Seconds(rebind))) => {
                Some((Duration::from_secs(renew.into()), Duration::from_secs(rebind.into())))
            }
            _ => None,
        };
        let is_in_order = |(renew, rebind): &(Duration, Duration)| {
            !renew.is_zero() && renew < rebind && *rebind < whole
        };
        let (renew, rebind) = said.filter(is_in_order).unwrap_or((whole / 2, whole * 7 / 8));
        Ok(Self { renew, rebind, whole: Some(whole) })
    }
}

/// The default route and the others. If the server names routes with their prefixes, nothing else
/// counts, even if none of them is a default one (RFC 3442).
///
/// A gateway that can be no host, or is ourselves, leads nowhere.
fn ways(reply: &Reply, before: Option<&Lease>) -> (Option<Ipv4Addr>, Vec<(Prefix, Ipv4Addr)>) {
    let leads = |gateway: Ipv4Addr| is_host(gateway) && gateway != reply.yiaddr;
    if let Some(routes) = &reply.routes {
        let all = || routes.iter().map(|route| (prefix(route), route.gateway));
        let all = || all().filter(|(_, by)| by.is_unspecified() || leads(*by));
        let halves = ["0.0.0.0/1", "128.0.0.0/1"].map(|text| text.parse::<Prefix>().ok());
        let by =
            |wanted: &Option<Prefix>| all().find(|(to, _)| Some(*to) == *wanted).map(|(_, by)| by);
        let [low, high] = halves.each_ref().map(by);
        let both = low.filter(|_| low == high);
        let whole = all().find(|(to, _)| to.length == 0).map(|(_, by)| by);
        // Both halves say the same as one default route.
        let is_default = |to: &Prefix| {
            to.length == 0 || (whole.is_none() && both.is_some() && halves.contains(&Some(*to)))
        };
        let others = all().filter(|(to, _)| !is_default(to)).collect();
        return (whole.or(both), others);
    }
    match (reply.routers.first(), before) {
        (None, Some(before)) => (before.gateway, before.routes.clone()),
        (first, _) => (first.copied().filter(|router| leads(*router)), Vec::new()),
    }
}

fn prefix(route: &ClasslessRoute) -> Prefix {
    Prefix { address: route.destination.into(), length: route.prefix_length }
}

/// The family of what is leased here.
pub(crate) const FAMILY: Family = Family::V4;
/// Every host takes packets of this size (RFC 791 §3.1); less is a mistake that would cut TCP to pieces.
const LEAST_MTU: u16 = 576;
const SHORTEST: Duration = Duration::from_secs(30);
/// For a lease without an end: longer than any machine runs.
const FOR_EVER: Duration = Duration::from_secs(100 * 365 * 24 * 3600);
