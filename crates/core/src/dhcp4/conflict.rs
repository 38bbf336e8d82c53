//! Does somebody else have the address? Probes and announcements of RFC 5227, beside the use of the
//! address, for waiting them out would cost seconds of outage.

use super::Action;
use crate::net::Mac;
use crate::time::{Duration, Instant};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use rail_wire::ip::arp::{Arp, ArpKind};

/// What is asked about one address.
#[derive(Copy, Clone, Debug, Default)]
pub(super) struct Conflict {
    trial: Option<Trial>,
    /// Who objected last, and to which address.
    objected: Option<(Ipv4Addr, Mac)>,
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
}

impl Conflict {
    /// An address that is used from now on. Who objected to the one before is remembered.
    pub(super) fn begin(self, now: Instant, address: Option<Ipv4Addr>, random: u64) -> Self {
        let trial = address.map(|address| Trial { address, sent: 0, next: now, random });
        Self { trial, ..self }
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
    /// has neither.
    pub(super) fn take(&mut self, bytes: &[u8], own: &[Mac]) -> Option<Objection> {
        let trial = self.trial.filter(|trial| trial.sent <= PROBES)?;
        let arp = Arp::parse(bytes).ok()?;
        let by = Mac(arp.sender_mac);
        let is_his =
            arp.kind == ArpKind::Reply && arp.sender == trial.address && !own.contains(&by);
        if !is_his {
            return None;
        }
        let before = self.objected.replace((trial.address, by));
        let answers_for_all = before.is_some_and(|(to, who)| who == by && to != trial.address);
        (!answers_for_all).then_some(Objection { by })
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.trial.map(|trial| trial.next)
    }
}

const PROBES: u32 = 3;
const ANNOUNCEMENTS: u32 = 2;
