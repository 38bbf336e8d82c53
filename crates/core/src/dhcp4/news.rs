//! News of leases.

use crate::net::{Mac, Prefix};
use crate::notice::Entry;
use alloc::string::String;
use core::net::Ipv4Addr;
use serde::{Deserialize, Serialize};

/// Why a lease ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum LeaseEnd {
    /// Nobody extended it.
    Expired,
    /// A server said that it is not ours.
    Denied,
    /// It was leased to another network card.
    OtherCard,
    /// It was leased to what the configuration called us before.
    OtherName,
    /// Somebody else has the address.
    Conflict {
        /// His card.
        by: Mac,
    },
}

impl LeaseEnd {
    pub(crate) fn describe(self) -> String {
        match self {
            Self::Expired => "no server extended it".into(),
            Self::Denied => "the server denied it".into(),
            Self::OtherName => "the configuration changed what the client says of itself".into(),
            Self::OtherCard => "it was leased to another network card".into(),
            Self::Conflict { by } => alloc::format!("{by} has the address, too"),
        }
    }
}

/// News of leases.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[expect(missing_docs, reason = "fields are named as in the log")]
pub enum LeaseNews {
    /// An address was leased. `seconds`: for how long; none: for ever.
    Leased {
        uplink: String,
        address: Prefix,
        gateway: Option<Ipv4Addr>,
        server: Option<Ipv4Addr>,
        seconds: Option<u64>,
    },
    /// The lease was extended.
    Renewed { uplink: String, address: Prefix, seconds: Option<u64> },
    /// The lease is over.
    LeaseLost { uplink: String, address: Prefix, cause: String },
    /// Somebody answers for the address, and it is used nevertheless: he answers for others as well, or the
    /// server leases it again and again.
    ConflictBorne { uplink: String, address: Ipv4Addr, by: Mac },
    /// A server denied what was asked for. `said`: its own words.
    Denied { uplink: String, server: Option<Ipv4Addr>, said: String },
    /// What a server gives is not taken; each cause is said once until an address is leased.
    OfferRefused { uplink: String, address: Ipv4Addr, server: Option<Ipv4Addr>, cause: String },
    /// A route of the server leads into a network of ours, and is not used.
    RouteRefused { uplink: String, route: Prefix, network: Prefix },
}

impl LeaseNews {
    pub(crate) fn entry(&self) -> Entry<'_> {
        match self {
            Self::Leased { uplink, address, gateway, server, seconds } => {
                Entry::info("leased an address")
                    .with("uplink", uplink)
                    .with("address", address)
                    .with("gateway", or_none(*gateway))
                    .with("server", or_none(*server))
                    .with("seconds", time(*seconds))
            }
            Self::Renewed { uplink, address, seconds } => Entry::debug("extended a lease")
                .with("uplink", uplink)
                .with("address", address)
                .with("seconds", time(*seconds)),
            Self::LeaseLost { uplink, address, cause } => Entry::warn("lost a lease")
                .with("uplink", uplink)
                .with("address", address)
                .with("cause", cause),
            Self::ConflictBorne { uplink, address, by } => {
                Entry::warn("somebody answers for a leased address; it is used nevertheless")
                    .with("uplink", uplink)
                    .with("address", address)
                    .with("by", by)
            }
            Self::Denied { uplink, server, said } => Entry::warn("a DHCP server denied an address")
                .with("uplink", uplink)
                .with("server", or_none(*server))
                .with("said", said),
            Self::OfferRefused { uplink, address, server, cause } => Entry::warn("refused a lease")
                .with("uplink", uplink)
                .with("address", address)
                .with("server", or_none(*server))
                .with("cause", cause),
            Self::RouteRefused { uplink, route, network } => {
                Entry::warn("refused a route of a DHCP server")
                    .with("uplink", uplink)
                    .with("route", route)
                    .with("network", network)
            }
        }
    }
}

fn or_none(address: Option<Ipv4Addr>) -> String {
    address.map_or_else(|| "none".into(), |address| alloc::format!("{address}"))
}

fn time(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| "for ever".into(), |seconds| alloc::format!("{seconds}"))
}
