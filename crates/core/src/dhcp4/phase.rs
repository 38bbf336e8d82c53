//! What a client is about: the states of RFC 2131, figure 5.

use super::exchange::Exchange;
use crate::time::Instant;
use core::net::Ipv4Addr;

/// What a client is about.
#[derive(Clone, Debug)]
pub(super) enum Phase {
    /// There is nothing to ask through.
    Halted,
    /// Nothing is asked until then.
    Waiting(Instant),
    /// Who leases?
    Discovering(Exchange),
    /// This was offered.
    Requesting(Exchange, Offer),
    /// Is the address of before still ours?
    Rebooting(Exchange, Ipv4Addr),
    /// There is time until the lease is to be renewed.
    Bound,
    /// The server is asked to extend it.
    Renewing(Exchange),
    /// Every server is.
    Rebinding(Exchange),
}

/// What a server offered.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    pub(super) address: Ipv4Addr,
    pub(super) server: Option<Ipv4Addr>,
}

impl Phase {
    /// For people.
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Self::Halted => "halted",
            Self::Waiting(_) => "waiting",
            Self::Discovering(_) => "discovering",
            Self::Requesting(..) => "requesting",
            Self::Rebooting(..) => "verifying",
            Self::Bound => "bound",
            Self::Renewing(_) => "renewing",
            Self::Rebinding(_) => "rebinding",
        }
    }

    /// The questions that it asks.
    pub(super) const fn exchange(&self) -> Option<&Exchange> {
        match self {
            Self::Halted | Self::Waiting(_) | Self::Bound => None,
            Self::Discovering(exchange)
            | Self::Requesting(exchange, _)
            | Self::Rebooting(exchange, _)
            | Self::Renewing(exchange)
            | Self::Rebinding(exchange) => Some(exchange),
        }
    }

    pub(super) const fn exchange_mut(&mut self) -> Option<&mut Exchange> {
        match self {
            Self::Halted | Self::Waiting(_) | Self::Bound => None,
            Self::Discovering(exchange)
            | Self::Requesting(exchange, _)
            | Self::Rebooting(exchange, _)
            | Self::Renewing(exchange)
            | Self::Rebinding(exchange) => Some(exchange),
        }
    }
}
