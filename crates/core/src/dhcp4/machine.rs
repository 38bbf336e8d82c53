//! The client of one uplink: RFC 2131, with what the field has taught since.
//!
//! A lease and the exchange with a server are two things. A lease that is held stays while the exchange
//! begins anew (a carrier that returns, a restart, a server that is silent), and ends when its time is
//! over, when a server denies it, or when somebody else has the address.

use super::conflict::{Conflict, Objection};
use super::exchange::{Exchange, back_off, retry};
use super::lease::{Lease, NoLease, SavedLease};
use super::news::LeaseEnd;
use super::phase::{Offer, Phase};
use super::{Action, Rules, Who};
use crate::net::{Mac, Prefix};
use crate::random::Secret;
use crate::time::{Duration, Instant};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::net::Ipv4Addr;
use rail_wire::dhcp4::{Reply, ReplyKind, RequestKind};
use rail_wire::ip::arp::Arp;

/// A client.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    who: Who,
    secret: Secret,
    /// The network card that it asks through; `None`: there is none, or it has no carrier.
    card: Option<Mac>,
    phase: Phase,
    lease: Option<Lease>,
    /// The last address, to ask for it again, and the card that it was leased to.
    last: Option<Ipv4Addr>,
    owner: Option<Mac>,
    /// Somebody waits for the lease: no street asks at the same time.
    hurries: bool,
    /// What it says of itself has changed since.
    is_renamed: bool,
    conflict: Conflict,
    /// Routes of the last lease that are not used, each with the network of ours that it meets.
    unused: Vec<(Prefix, Prefix)>,
    /// Denials in a row.
    denials: u32,
    /// Exchanges that were begun.
    exchanges: u64,
    counters: Counters,
}

/// What was counted since the start.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Counters {
    /// Messages sent.
    pub(crate) sent: u64,
    /// Answers that belonged to a question.
    pub(crate) received: u64,
    /// Answers that were of no use, or wrong.
    pub(crate) refused: u64,
    /// Denials.
    pub(crate) denied: u64,
}

impl Client {
    /// A client that begins, with what an earlier process has left.
    pub(crate) fn new(who: Who, secret: Secret, saved: SavedLease) -> Self {
        let SavedLease { lease, last, owner } = saved;
        let last = last.or_else(|| lease.as_ref().and_then(Lease::ip));
        Self {
            who,
            secret,
            card: None,
            phase: Phase::Halted,
            lease,
            last,
            owner,
            hurries: false,
            is_renamed: false,
            conflict: Conflict::default(),
            unused: Vec::new(),
            denials: 0,
            exchanges: 0,
            counters: Counters::default(),
        }
    }

    /// What it says of itself has changed: for the server it is another client. The next look at the card
    /// begins anew.
    pub(crate) fn set_who(&mut self, who: Who) {
        if self.who != who {
            (self.who, self.card, self.phase) = (who, None, Phase::Halted);
            self.is_renamed = true;
        }
    }

    /// Somebody waits for the lease.
    pub(crate) const fn hurry(&mut self) {
        self.hurries = true;
    }

    /// What it holds.
    pub(crate) const fn lease(&self) -> Option<&Lease> {
        self.lease.as_ref()
    }

    /// What a later process is to know.
    pub(crate) fn saved(&self) -> SavedLease {
        SavedLease { lease: self.lease.clone(), last: self.last, owner: self.owner }
    }

    /// There is something to do, if this is the card now.
    pub(crate) fn is_due(&self, now: Instant, card: Option<Mac>) -> bool {
        self.card != card || self.deadline().is_some_and(|at| at <= now)
    }

    /// It asks nothing, and waits for no answer.
    pub(crate) const fn is_halted(&self) -> bool {
        self.card.is_none()
    }

    /// What was counted since the start.
    pub(crate) const fn counters(&self) -> Counters {
        self.counters
    }

    /// What it is about, for people.
    pub(crate) const fn phase(&self) -> &'static str {
        self.phase.as_str()
    }

    /// The card that there is now, with a carrier. One that comes back may stand in another network, so what
    /// was leased is verified at once; it stays meanwhile.
    pub(crate) fn set_card(&mut self, now: Instant, card: Option<Mac>, out: &mut Vec<Action>) {
        if self.card == card {
            return;
        }
        self.card = card;
        // Another card is another client, for the server, and so is another name.
        let is_other = card.is_some() && self.owner.is_some() && self.owner != card;
        let is_renamed = card.is_some() && core::mem::take(&mut self.is_renamed);
        if is_other || is_renamed {
            self.lose(if is_other { LeaseEnd::OtherCard } else { LeaseEnd::OtherName }, out);
            (self.last, self.owner, self.conflict) = (None, None, Conflict::default());
        }
        self.phase = match card {
            None => Phase::Halted,
            Some(_) => self.begin(now, self.first_wait()),
        };
    }

    /// Asks for the last address, or for any.
    fn begin(&mut self, now: Instant, wait: Duration) -> Phase {
        let exchange = self.exchange(now, wait);
        match self.last {
            Some(address) => Phase::Rebooting(exchange, address),
            None => Phase::Discovering(exchange),
        }
    }

    /// A new exchange, whose first question is due after this time.
    fn exchange(&mut self, now: Instant, wait: Duration) -> Exchange {
        self.exchanges += 1;
        let xid = self.random(1) & u64::from(u32::MAX);
        let xid = u32::try_from(xid).unwrap_or_default();
        Exchange { xid, began: now, sent: 0, asked: now, next: now + wait }
    }

    /// Up to a second before a first question, so that a street does not ask at once after a power cut; less for
    /// an address that is known. A device that has just got its carrier drops what is sent at once.
    fn first_wait(&self) -> Duration {
        let random = if self.last.is_some() || self.hurries { 0 } else { self.random(2) % 1000 };
        Duration::from_millis(50 + random)
    }

    fn random(&self, which: u64) -> u64 {
        self.secret.hash(&[self.exchanges, which])
    }

    /// Sends what is due.
    pub(crate) fn wake(&mut self, now: Instant, out: &mut Vec<Action>) {
        if self.lease.as_ref().is_some_and(|lease| lease.is_over(now)) {
            self.lose(LeaseEnd::Expired, out);
            if self.card.is_some() {
                self.phase = Phase::Discovering(self.exchange(now, Duration::ZERO));
            }
        }
        let Some(mac) = self.card else { return };
        self.conflict.wake(now, mac, out);
        self.turn(now);
        self.ask(now, mac, out);
    }

    /// Goes over to the next phase, where the time for it has come.
    fn turn(&mut self, now: Instant) {
        let times = self.lease.as_ref().map(|lease| (lease.renew, lease.rebind, lease.server));
        let next: fn(Exchange) -> Phase = match (&self.phase, times) {
            (Phase::Waiting(until), _) if *until <= now => Phase::Discovering,
            (Phase::Requesting(exchange, _), _) if exchange.is_vain(MOST_REQUESTS, now) => {
                Phase::Discovering
            }
            // Nobody may know the address here. Who holds none loses time by asking on.
            (Phase::Rebooting(exchange, _), held)
                if exchange.is_vain(1 + u32::from(held.is_some()), now) =>
            {
                Phase::Discovering
            }
            (Phase::Bound | Phase::Renewing(_), Some((_, rebind, _))) if rebind <= now => {
                Phase::Rebinding
            }
            (Phase::Bound, Some((renew, _, Some(_)))) if renew <= now => Phase::Renewing,
            _ => return,
        };
        self.phase = next(self.exchange(now, Duration::ZERO));
    }

    /// Asks, if a question is due.
    fn ask(&mut self, now: Instant, mac: Mac, out: &mut Vec<Action>) {
        let lease = self.lease.as_ref();
        let held = lease.and_then(Lease::ip);
        let (last, jitter) = (self.last, self.random(3));
        let question = match (&self.phase, held) {
            (Phase::Discovering(_), _) => RequestKind::Discover { requested: last },
            (Phase::Requesting(_, offer), _) => {
                RequestKind::Selecting { requested: offer.address, server: or_zero(offer.server) }
            }
            (Phase::Rebooting(_, address), _) => RequestKind::InitReboot { requested: *address },
            (Phase::Renewing(_), Some(address)) => {
                let Some(server) = lease.and_then(|lease| lease.server) else { return };
                RequestKind::Renewing { address, server }
            }
            (Phase::Rebinding(_), Some(address)) => RequestKind::Rebinding { address },
            _ => return,
        };
        let end = lease.and_then(|lease| match self.phase {
            Phase::Renewing(_) => Some(lease.rebind),
            Phase::Rebinding(_) => Some(lease.expires.unwrap_or(Instant::FAR_FUTURE)),
            _ => None,
        });
        let Some(exchange) = self.phase.exchange_mut().filter(|exchange| exchange.next <= now)
        else {
            return;
        };
        exchange.sent += 1;
        exchange.asked = now;
        exchange.next =
            now + end.map_or_else(|| back_off(exchange.sent, jitter), |end| retry(now, end));
        let (xid, secs) = (exchange.xid, now.since(exchange.began).as_secs());
        self.counters.sent += 1;
        out.push(self.who.ask(mac, question, (xid, secs)));
    }

    /// Takes an answer.
    pub(crate) fn take(
        &mut self,
        now: Instant,
        reply: &Reply,
        rules: &Rules,
        out: &mut Vec<Action>,
    ) {
        let Some(mac) = self.card else { return };
        let Some(exchange) = self.phase.exchange() else { return };
        // Whose echo differs answers another client with our transaction number (RFC 6842).
        let own = self.who.client_id(mac);
        let is_echo = |id: &Vec<u8>| *id == own.as_bytes();
        if reply.xid != exchange.xid
            || reply.chaddr != mac.0
            || !reply.client_id.as_ref().is_none_or(is_echo)
        {
            self.counters.refused += 1;
            return;
        }
        self.counters.received += 1;
        match reply.kind {
            ReplyKind::Offer => self.take_offer(now, reply, rules, out),
            ReplyKind::Ack => self.take_ack(now, reply, rules, out),
            ReplyKind::Nak => self.take_nak(now, reply, out),
        }
    }

    fn take_offer(&mut self, now: Instant, reply: &Reply, rules: &Rules, out: &mut Vec<Action>) {
        let Phase::Discovering(exchange) = &self.phase else { return };
        let lease = Lease::of(reply, now, None).map_err(NoLease::as_str);
        let wrong = match lease {
            Err(why) => Some(why),
            Ok(lease) => rules.objection(reply, &lease),
        };
        if let Some(why) = wrong {
            self.refuse(reply, why, out);
            return;
        }
        let offer = Offer { address: reply.yiaddr, server: reply.server_id };
        let exchange = Exchange { sent: 0, asked: now, next: now, ..*exchange };
        self.phase = Phase::Requesting(exchange, offer);
        let Some(mac) = self.card else { return };
        self.ask(now, mac, out);
    }

    fn take_ack(&mut self, now: Instant, reply: &Reply, rules: &Rules, out: &mut Vec<Action>) {
        let held = self.lease.as_ref();
        let (asked, wanted) = match &self.phase {
            Phase::Requesting(exchange, offer) => {
                if offer.server.is_some() && reply.server_id != offer.server {
                    self.counters.refused += 1;
                    return;
                }
                (exchange.asked, offer.address)
            }
            Phase::Rebooting(exchange, address) => (exchange.asked, *address),
            Phase::Renewing(exchange) | Phase::Rebinding(exchange) => {
                let Some(address) = held.and_then(Lease::ip) else { return };
                (exchange.asked, address)
            }
            _ => return,
        };
        let is_renewal = matches!(self.phase, Phase::Renewing(_) | Phase::Rebinding(_));
        let before = held.filter(|_| is_renewal || matches!(self.phase, Phase::Rebooting(..)));
        let lease = match Lease::of(reply, asked, before) {
            // Another address than the one that was asked for is a denial of that.
            Ok(_) if reply.yiaddr != wanted => return self.take_nak(now, reply, out),
            Ok(lease) => lease,
            Err(why) => return self.refuse(reply, why.as_str(), out),
        };
        if let Some(why) = rules.objection(reply, &lease) {
            return self.refuse(reply, why, out);
        }
        self.bind(now, lease, rules, out);
    }

    /// The lease is ours.
    fn bind(&mut self, now: Instant, mut lease: Lease, rules: &Rules, out: &mut Vec<Action>) {
        let unused = rules.keep_allowed(&mut lease.routes);
        // A server names them again in each renewal.
        let news = unused.iter().filter(|route| !self.unused.contains(route));
        out.extend(news.map(|&(route, network)| Action::RouteRefused { route, network }));
        self.unused = unused;
        // Clients of a street that lost its power together do not renew together for ever.
        let jitter = Duration::from_millis(self.random(4) % 1000);
        let early = lease.renew.since(now) / 50;
        lease.renew = lease.renew - early * u32::try_from(jitter.as_millis()).unwrap_or(0) / 1000;
        let is_new = self.lease.as_ref().is_none_or(|old| old.address != lease.address);
        if is_new {
            self.conflict = self.conflict.begin(now, lease.ip(), self.random(5));
        }
        // Who leases, and denies each renewal, is asked more and more seldom as well.
        self.denials = if is_new { self.denials } else { 0 };
        (self.last, self.owner) = (lease.ip(), self.card);
        out.push(Action::Bound { lease: lease.clone(), is_new });
        (self.lease, self.phase) = (Some(lease), Phase::Bound);
    }

    fn take_nak(&mut self, now: Instant, reply: &Reply, out: &mut Vec<Action>) {
        let is_chosen = |server: Option<Ipv4Addr>| server.is_none() || reply.server_id == server;
        let counts = match &self.phase {
            Phase::Requesting(_, offer) => is_chosen(offer.server),
            Phase::Renewing(_) => is_chosen(self.lease.as_ref().and_then(|lease| lease.server)),
            // A network that does not know us says so by a server that we do not know.
            Phase::Rebooting(..) | Phase::Rebinding(_) => true,
            _ => false,
        };
        if !counts {
            self.counters.refused += 1;
            return;
        }
        self.counters.denied += 1;
        out.push(Action::Denied {
            server: reply.server_id,
            said: reply.message.as_ref().map_or_else(String::new, ToString::to_string),
        });
        self.lose(LeaseEnd::Denied, out);
        self.last = None;
        let wait = (FIRST_PAUSE * (1 << self.denials.min(5))).min(LONGEST_PAUSE);
        self.denials += 1;
        self.phase = Phase::Waiting(now + wait);
    }

    /// An answer is of no use; the question is asked again, more and more seldom.
    fn refuse(&mut self, reply: &Reply, why: &'static str, out: &mut Vec<Action>) {
        self.counters.refused += 1;
        out.push(Action::Refused { address: reply.yiaddr, server: reply.server_id, why });
    }

    /// Somebody answers for the address that is being tried, or speaks as if ours were his.
    pub(crate) fn take_arp(
        &mut self,
        now: Instant,
        bytes: &[u8],
        rules: &Rules,
        out: &mut Vec<Action>,
    ) {
        let Some(mac) = self.card else { return };
        let objection = self.conflict.take(now, bytes, &rules.own_cards);
        let Some(Objection { by, is_borne }) = objection else {
            self.defend(now, (bytes, mac), rules, out);
            return;
        };
        let held = self.lease.as_ref().and_then(|lease| Some((lease.ip()?, lease.server)));
        let Some((address, server)) = held else { return };
        if is_borne {
            out.push(Action::ConflictBorne { address, by });
            return;
        }
        let xid = self.exchange(now, Duration::ZERO).xid;
        out.push(self.who.ask(
            mac,
            RequestKind::Decline { address, server: or_zero(server) },
            (xid, 0),
        ));
        self.counters.sent += 1;
        self.lose(LeaseEnd::Conflict { by }, out);
        self.last = None;
        self.phase = Phase::Waiting(now + AFTER_DECLINE);
    }

    fn defend(
        &mut self,
        now: Instant,
        (bytes, mac): (&[u8], Mac),
        rules: &Rules,
        out: &mut Vec<Action>,
    ) {
        let Some(address) = self.lease.as_ref().and_then(Lease::ip) else { return };
        let found = self.conflict.defend(now, (bytes, address), &rules.own_cards);
        let Some((by, is_first)) = found else { return };
        out.push(Action::Arp(Arp::announcement(mac.0, address).emit()));
        if is_first {
            out.push(Action::ConflictBorne { address, by });
        }
    }

    /// Gives the lease back; there is no answer to that, so it is said twice.
    pub(crate) fn release(&mut self, now: Instant, out: &mut Vec<Action>) {
        let held = self.lease.as_ref().and_then(|lease| lease.ip().zip(lease.server));
        let (Some(mac), Some((address, server))) = (self.card, held) else { return };
        let xid = self.exchange(now, Duration::ZERO).xid;
        for _ in 0..2 {
            out.push(self.who.ask(mac, RequestKind::Release { address, server }, (xid, 0)));
        }
        (self.lease, self.last, self.card) = (None, None, None);
        self.phase = Phase::Halted;
    }

    /// Gives the lease back, if somebody can hear that, and asks for none until there is a card again.
    pub(crate) fn let_go(&mut self, now: Instant, out: &mut Vec<Action>) {
        self.release(now, out);
        self.conflict = self.conflict.ended();
        (self.lease, self.card, self.phase) = (None, None, Phase::Halted);
    }

    fn lose(&mut self, why: LeaseEnd, out: &mut Vec<Action>) {
        self.conflict = self.conflict.ended();
        if let Some(lease) = self.lease.take() {
            out.push(Action::Lost { lease, why });
        }
    }

    /// When something is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let lease = self.lease.as_ref();
        let end = lease.and_then(|lease| lease.expires);
        if self.card.is_none() {
            return end;
        }
        let own = match &self.phase {
            Phase::Halted => None,
            Phase::Waiting(until) => Some(*until),
            Phase::Bound => lease.map(|lease| match lease.server {
                Some(_) => lease.renew,
                None => lease.rebind,
            }),
            Phase::Renewing(exchange) => lease.map(|lease| exchange.next.min(lease.rebind)),
            phase => phase.exchange().map(|exchange| exchange.next),
        };
        [own, end, self.conflict.deadline()].into_iter().flatten().min()
    }
}

fn or_zero(server: Option<Ipv4Addr>) -> Ipv4Addr {
    server.unwrap_or(Ipv4Addr::UNSPECIFIED)
}

/// Questions for an offer before another one is sought (RFC 2131 §3.1.5).
const MOST_REQUESTS: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_secs(3);
const LONGEST_PAUSE: Duration = Duration::from_secs(64);
/// RFC 2131 §3.1.5.
const AFTER_DECLINE: Duration = Duration::from_secs(10);
