//! Kinds of checks: each asks a question and recognises its answer. Pace, evidence and verdict never
//! know which kind it was.
//!
//! A kind is a file here, a variant of [`Kind`] and of [`CheckKind`], and a line in the list of words in
//! the loader; ARCHITECTURE.md lists all that it touches. What a question becomes (a packet through a
//! port of the kind's, or a question that the shell works on) is the kind's own matter. The number `n` of
//! a question counts up and never returns, whatever fits on the wire; each asks one target.

mod arp;
mod icmp;
mod tcp;

use arp::Arp;
pub use icmp::Icmp;
use tcp::Tcp;

use super::settings::QUICK;
use crate::config::{CheckConfig, CheckKind};
use crate::io::{Ask, Binding, Peer, PortId, PortKind};
use crate::net::{Family, Mac, UplinkId};
use crate::random::Secret;
use crate::time::Duration;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr};
use rail_wire::ip::arp::ETHERTYPE;

/// A question that is to be asked now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Question {
    /// A packet through the port of the checks.
    Packet {
        /// The other end.
        to: Peer,
        /// What the kind of the port says.
        bytes: Vec<u8>,
    },
    /// Something that takes time and has one answer, which bears the same number.
    Ask {
        /// The number.
        n: u64,
        /// What is asked.
        ask: Ask,
    },
}

/// What a question is asked with.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Means {
    /// What it is bound to.
    pub binding: Binding,
    /// Hardware address of the device; `None`: it has none, or does not speak ARP.
    pub mac: Option<Mac>,
    /// How long an answer is waited for.
    pub timeout: Duration,
}

/// How an uplink is asked.
#[derive(Clone, Debug)]
pub enum Kind {
    /// ICMP echo.
    Icmp(Icmp),
    /// A TCP connection.
    Tcp(Tcp),
    /// ARP.
    Arp(Arp),
}

/// Who is asked by these checks, on an uplink with this gateway.
pub fn targets(check: &CheckConfig, gateway: Option<IpAddr>) -> Vec<Ipv4Addr> {
    match check.kind {
        CheckKind::Icmp | CheckKind::Tcp { .. } => check.targets.clone(),
        CheckKind::Arp => match gateway {
            Some(IpAddr::V4(gateway)) => Vec::from([gateway]),
            Some(IpAddr::V6(_)) | None => Vec::new(),
        },
    }
}

/// The shortest `interval` that a kind keeps; a shorter one is as this.
pub const fn least_interval(kind: CheckKind) -> Duration {
    match kind {
        CheckKind::Icmp => QUICK,
        CheckKind::Tcp { .. } => tcp::SPACING,
        CheckKind::Arp => arp::SPACING,
    }
}

impl Kind {
    /// `secret` differs by uplink and start; `prefix` is the part of the ICMP identifier that all
    /// uplinks share.
    pub fn new(kind: CheckKind, id: UplinkId, (secret, prefix): (Secret, u16)) -> Self {
        match kind {
            CheckKind::Icmp => Self::Icmp(Icmp::new(id, secret, prefix)),
            CheckKind::Tcp { port } => Self::Tcp(Tcp::new(secret, port)),
            CheckKind::Arp => Self::Arp(Arp::default()),
        }
    }

    /// Which one it is.
    pub const fn of(&self) -> CheckKind {
        match self {
            Self::Icmp(_) => CheckKind::Icmp,
            Self::Tcp(tcp) => CheckKind::Tcp { port: tcp.port },
            Self::Arp(_) => CheckKind::Arp,
        }
    }

    /// True if a target is the same host on every uplink. A gateway is not: another uplink may have another
    /// one of this address.
    pub const fn has_common_targets(&self) -> bool {
        match self {
            Self::Icmp(_) | Self::Tcp(_) => true,
            Self::Arp(_) => false,
        }
    }

    /// The port that it asks through, if it asks by packets.
    pub const fn port(&self, id: UplinkId, family: Family) -> Option<(PortId, PortKind)> {
        match self {
            Self::Icmp(icmp) => {
                Some((PortId::Probe(id, family), PortKind::IcmpEcho { ident: icmp.ident() }))
            }
            Self::Tcp(_) => None,
            Self::Arp(_) => Some((PortId::Arp(id), PortKind::Packet { ethertype: ETHERTYPE })),
        }
    }

    /// The least time between two questions, if an answer is overdue after `timeout`.
    pub fn spacing(&self, timeout: Duration) -> Duration {
        match self {
            Self::Icmp(_) => Duration::ZERO,
            Self::Tcp(_) => tcp::SPACING,
            Self::Arp(_) => timeout.clamp(arp::SPACING, arp::LONGEST_SPACING),
        }
    }

    /// Why an uplink cannot be asked in this way, if its device has this hardware address.
    pub fn lacks(&self, mac: Option<Mac>) -> Option<String> {
        match self {
            Self::Icmp(_) | Self::Tcp(_) => None,
            Self::Arp(_) => {
                mac.is_none().then(|| "its device has no ARP, so kind = \"arp\" cannot ask".into())
            }
        }
    }

    /// The question to a target, by its index and address, with number `n`; `None`: it cannot be asked
    /// with these means.
    pub fn question(
        &mut self,
        n: u64,
        (index, target): (usize, Ipv4Addr),
        means: &Means,
    ) -> Option<Question> {
        match self {
            Self::Icmp(icmp) => {
                let to = Peer::Host(IpAddr::V4(target));
                Some(Question::Packet { to, bytes: icmp.question(n, index) })
            }
            Self::Tcp(tcp) => {
                let (n, ask) = tcp.question(n, target, (means.binding, means.timeout));
                Some(Question::Ask { n, ask })
            }
            Self::Arp(arp) => {
                let (to, bytes) = arp.question(target, (&means.binding, means.mac?))?;
                Some(Question::Packet { to, bytes })
            }
        }
    }

    /// The target and the number of the question that a packet answers. `newest` is the last number
    /// that was asked.
    ///
    /// # Errors
    /// [`Refusal`], but never a wrong interface or a duplicate: only the caller knows of those.
    pub fn recognise(
        &self,
        newest: u64,
        targets: &[Ipv4Addr],
        from: Peer,
        bytes: &[u8],
    ) -> Result<(usize, u64), Refusal> {
        match self {
            Self::Icmp(icmp) => {
                let from = from.ip().ok_or(Refusal::WrongSource)?;
                icmp.recognise(newest, targets, from, bytes)
            }
            // It has no port.
            Self::Tcp(_) => Err(Refusal::Malformed),
            // There is one target, and the newest question is answered.
            Self::Arp(arp) => arp.recognise(from, bytes).map(|()| (0, newest)),
        }
    }

    /// The number of the question that the answer to a [`Question::Ask`] of this number belongs to;
    /// `None`: the kind has not asked it.
    pub const fn number(&self, newest: u64, asked: u64) -> Option<u64> {
        match self {
            Self::Icmp(_) | Self::Arp(_) => None,
            Self::Tcp(tcp) => tcp.number(newest, asked),
        }
    }
}

/// Why an answer was not taken.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// No answer of the form that ours have.
    Malformed,
    /// Not from a target.
    WrongSource,
    /// The number of no probe that was sent.
    WrongSequence,
    /// It does not hold what we sent: its sender never saw the question.
    WrongNonce,
    /// The answer to a probe of another uplink.
    WrongInterface,
    /// Answered before.
    Duplicate,
}
