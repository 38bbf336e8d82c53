//! Does somebody else have the address? Probes and announcements of RFC 5227, beside the use of the
//! address, for waiting them out would cost seconds of outage.

use super::Action;
use crate::net::Mac;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use rail_wire::ip::arp::Arp;

/// What is asked about one address.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Conflict {
    trial: Option<Trial>,
    /// Who objected last, to which address, and how often in a row.
    objected: Option<(Ipv4Addr, Mac, u32)>,
    /// When the address was defended last, and against whom: he is told of once.
    defended: Option<(Instant, Mac)>,
}

#[derive(Copy, Clone, Debug)]
struct Trial {
    address: Ipv4Addr,
    /// How many packets were sent, and when the next one is due.
    sent: u32,
    next: Instant,
    random: u64,
}

/// Somebody else has it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Objection {
    pub(super) by: Mac,
    /// The address is used nevertheless.
    pub(super) is_borne: bool,
}

impl Conflict {
    /// An address that is used from now on. Who objected to the one before is remembered.
    pub(super) fn begin(self, now: Instant, address: Option<Ipv4Addr>, random: u64) -> Self {
        let trial = address.map(|address| Trial { address, sent: 0, next: now, random });
        Self { trial, defended: None, ..self }
    }

    /// The address is not used any more.
    pub(super) const fn ended(self) -> Self {
        Self { trial: None, ..self }
    }

    /// Sends what is due: three probes, then two announcements.
    pub(super) fn wake(&mut self, now: Instant, mac: Mac, out: &mut Vec<Action>) {
        let Some(trial) = self.trial.as_mut().filter(|trial| trial.next <= now) else { return };
        let packet = match trial.sent < PROBES {
            true => Arp::probe(mac.0, trial.address),
            false => Arp::announcement(mac.0, trial.address),
        };
        out.push(Action::Arp(packet.emit()));
        trial.sent += 1;
        // 1 to 2 s between probes, 2 s before and between announcements.
        let random = Duration::from_millis(trial.random.rotate_left(trial.sent * 8) % 1000);
        let pause = if trial.sent < PROBES { random } else { Duration::from_secs(1) };
        trial.next = now + Duration::from_secs(1) + pause;
        if trial.sent == PROBES + ANNOUNCEMENTS {
            self.trial = None;
        }
    }

    /// Takes an ARP packet. One card that objects to two addresses in a row answers for all (proxy ARP), and
    /// has neither. Neither is an address given up for ever that the server leases again and again.
    pub(super) fn take(&mut self, now: Instant, bytes: &[u8], own: &[Mac]) -> Option<Objection> {
        let trial = self.trial.filter(|trial| trial.sent <= PROBES)?;
        let arp = Arp::parse(bytes).ok()?;
        let by = Mac(arp.sender_mac);
        if arp.sender != trial.address || own.contains(&by) {
            return None;
        }
        let before = self.objected.filter(|(_, who, _)| *who == by);
        let times = before.map_or(0, |(.., times)| times);
        let answers_for_all = before.is_some_and(|(to, ..)| to != trial.address);
        let is_borne = answers_for_all || times >= MOST_DECLINES;
        self.objected = Some((trial.address, by, times.saturating_add(1)));
        if is_borne {
            // It is said once, and announced.
            self.trial = Some(Trial { sent: PROBES + 1, ..trial });
            self.defended = Some((now, by));
        }
        Some(Objection { by, is_borne })
    }

    /// Takes an ARP packet about an address that is ours. Who speaks as if it were his is answered by an
    /// announcement, at most each ten seconds (RFC 5227 §2.4 c: a router does not give up its address). With
    /// his card, and true if it is the first time.
    pub(super) fn defend(
        &mut self,
        now: Instant,
        (bytes, address): (&[u8], Ipv4Addr),
        own: &[Mac],
    ) -> Option<(Mac, bool)> {
        let arp = Arp::parse(bytes).ok()?;
        let by = Mac(arp.sender_mac);
        let is_soon = self.defended.is_some_and(|(at, _)| now.since(at) < DEFENCE);
        if arp.sender != address || own.contains(&by) || is_soon {
            return None;
        }
        let before = self.defended.replace((now, by));
        Some((by, before.is_none_or(|(_, who)| who != by)))
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.trial.map(|trial| trial.next)
    }
}

const PROBES: u32 = 3;
/// An address is defended no more often.
const DEFENCE: Duration = Duration::from_secs(10);
/// So often an address is given up for the same card.
const MOST_DECLINES: u32 = 2;
const ANNOUNCEMENTS: u32 = 2;
