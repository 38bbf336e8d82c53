//! DHCP servers of a street: all leased uplinks are on one segment, and hear each other's answers.
//!
//! They answer by the table of RFC 2131 §4.3.2. One may be silent, may have lost its memory, may deny what it
//! does not know, and a rival beside it leases from a pool of its own. Promises: an address that somebody holds is
//! leased to nobody else, for a server asks before it offers (§2.2). What was granted is known here beside
//! what the servers still know of it: that is the truth for the laws.

use crate::dice::Dice;
use rail_core::net::{Mac, Prefix};
use rail_core::time::{Duration, Instant};
use rail_wire::dhcp4::{ClasslessRoute, LeaseTime, Reply, ReplyKind, Request, RequestKind};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

/// The servers of a street, and what they granted.
#[derive(Clone, Debug, Default)]
pub struct Street {
    /// The uplinks that are leased, in the order of the configuration.
    pub sites: BTreeMap<usize, Site>,
    servers: Vec<Server>,
    /// When each grant ends or ended, by card and address.
    granted: BTreeMap<(Mac, Ipv4Addr), Instant>,
    /// How long a lease lasts.
    lease: Duration,
    /// When it is to be extended, and asked of all; else the client computes that.
    times: Option<(Duration, Duration)>,
}

/// What clients on an uplink are given.
#[derive(Clone, Debug)]
pub struct Site {
    /// The network of the addresses, with the length that they are leased with.
    pub pool: Prefix,
    /// The next hop.
    pub gateway: Ipv4Addr,
    /// A network behind this uplink alone (RFC 3442).
    pub behind: Option<Prefix>,
    /// Since when the router has the address that it has, or none.
    pub since: Instant,
}

#[derive(Clone, Debug, Default)]
struct Server {
    id: u8,
    /// The address of each client, the last one also when its time is over.
    leases: BTreeMap<Mac, Ipv4Addr>,
    offers: BTreeMap<Mac, Ipv4Addr>,
    is_silent: bool,
    /// It denies addresses that it does not know (RFC 2131 §4.3.2 wants silence).
    denies: bool,
    /// The last part of the next address.
    next: u8,
}

impl Street {
    /// Servers for these uplinks.
    pub fn new(sites: BTreeMap<usize, Site>, dice: &mut Dice) -> Self {
        let seconds = dice.pick(&[30, 40, 60, 90]);
        let early = dice.permille(500);
        let second = Duration::from_secs(1);
        let mut street = Self {
            sites,
            servers: Vec::new(),
            granted: BTreeMap::new(),
            lease: second * seconds,
            times: early.then_some((second * 6, second * 20)),
        };
        street.add_server(dice);
        street
    }

    /// A rival comes.
    pub fn add_server(&mut self, dice: &mut Dice) {
        let id = u8::try_from(self.servers.len()).unwrap_or(u8::MAX);
        let next = u8::try_from(dice.below(200)).unwrap_or(0);
        let denies = dice.permille(300);
        self.servers.push(Server { id, next, denies, ..Server::default() });
    }

    /// The rival goes, with all that it knows.
    pub fn remove_rival(&mut self) {
        self.servers.truncate(1);
    }

    /// True if there is one.
    pub fn has_rival(&self) -> bool {
        self.servers.len() > 1
    }

    /// The servers answer nothing from now on, or again.
    pub fn set_silent(&mut self, is_silent: bool) {
        self.servers.iter_mut().for_each(|server| server.is_silent = is_silent);
    }

    /// The first server starts anew, without a memory; those that it leased to do not know that.
    pub fn reboot(&mut self, dice: &mut Dice) {
        if let Some(server) = self.servers.first_mut() {
            let next = u8::try_from(dice.below(200)).unwrap_or(0);
            *server = Server { id: server.id, denies: server.denies, next, ..Server::default() };
        }
    }

    /// When the lease of an address to a card ends or ended; `None`: it never was.
    pub fn ends(&self, card: Mac, address: Ipv4Addr) -> Option<Instant> {
        self.granted.get(&(card, address)).copied()
    }

    /// When the last lease of an address ends or ended; `None`: there never was one.
    pub fn last_end(&self, address: Prefix) -> Option<Instant> {
        let leased = |(_, leased): &(Mac, Ipv4Addr)| IpAddr::V4(*leased) == address.address;
        self.granted.iter().filter(|(key, _)| leased(key)).map(|(_, ends)| *ends).max()
    }

    /// True if the address was ever leased.
    pub fn knows(&self, address: Ipv4Addr) -> bool {
        self.last_end(Prefix::host(address.into())).is_some()
    }

    /// What the servers answer to a message from an uplink.
    pub fn answer(&mut self, now: Instant, line: usize, request: &Request) -> Vec<Reply> {
        let Some(site) = self.sites.get(&line).cloned() else { return Vec::new() };
        let mut replies = Vec::new();
        for index in 0..self.servers.len() {
            if self.servers[index].is_silent {
                continue;
            }
            let reply = self.serve(now, index, &site, request);
            replies.extend(reply);
        }
        replies
    }

    fn serve(
        &mut self,
        now: Instant,
        index: usize,
        site: &Site,
        request: &Request,
    ) -> Option<Reply> {
        let card = Mac(request.chaddr);
        let own = address_of(self.servers[index].id);
        let known = self.servers[index].leases.get(&card).copied();
        match request.kind {
            RequestKind::Discover { requested } => {
                let address = self.choose(now, index, (card, site), requested)?;
                self.servers[index].offers.insert(card, address);
                Some(self.give(ReplyKind::Offer, own, (site, address), request))
            }
            RequestKind::Selecting { server, .. } if server != own => {
                self.servers[index].offers.remove(&card);
                None
            }
            RequestKind::Selecting { requested, .. } => {
                let offered = self.servers[index].offers.remove(&card);
                let is_meant = offered.or(known) == Some(requested);
                self.grant_or_deny(now, index, (site, requested), request, is_meant)
            }
            RequestKind::Renewing { server, .. } if server != own => None,
            RequestKind::Renewing { address, .. } => {
                let is_known = known == Some(address);
                self.grant_or_deny(now, index, (site, address), request, is_known)
            }
            RequestKind::InitReboot { requested: address } | RequestKind::Rebinding { address } => {
                if known.is_none() && !self.servers[index].denies {
                    return None;
                }
                let is_known = known == Some(address);
                self.grant_or_deny(now, index, (site, address), request, is_known)
            }
            RequestKind::Decline { address, server } | RequestKind::Release { address, server } => {
                if server == own && known == Some(address) {
                    self.servers[index].leases.remove(&card);
                    self.granted.insert((card, address), now);
                }
                None
            }
        }
    }

    /// The address that a client had, or wants, or any; nobody else has it.
    fn choose(
        &mut self,
        now: Instant,
        index: usize,
        (card, site): (Mac, &Site),
        requested: Option<Ipv4Addr>,
    ) -> Option<Ipv4Addr> {
        let server = &mut self.servers[index];
        let (id, next) = (server.id, server.next);
        server.next = server.next.wrapping_add(1);
        let pool: Vec<_> = (0..SIZE).map(|n| pooled(site, id, next.wrapping_add(n))).collect();
        let remembered = server.leases.get(&card).copied();
        let requested = requested.filter(|address| pool.contains(address));
        let mut all = remembered.into_iter().chain(requested).chain(pool);
        all.find(|address| self.is_free(now, card, *address))
    }

    /// Nobody else answers for it.
    fn is_free(&self, now: Instant, card: Mac, address: Ipv4Addr) -> bool {
        let mut others = self.granted.iter().filter(|((other, _), _)| *other != card);
        let is_offered = |server: &Server| {
            server.offers.iter().any(|(other, offered)| *other != card && *offered == address)
        };
        !others.any(|((_, leased), ends)| *leased == address && *ends > now)
            && !self.servers.iter().any(is_offered)
    }

    fn grant_or_deny(
        &mut self,
        now: Instant,
        index: usize,
        (site, address): (&Site, Ipv4Addr),
        request: &Request,
        is_right: bool,
    ) -> Option<Reply> {
        let (card, own) = (Mac(request.chaddr), address_of(self.servers[index].id));
        if !is_right || !self.is_free(now, card, address) {
            let denial = Reply::new(ReplyKind::Nak, own, request.xid, request.chaddr);
            return Some(Reply { server_id: Some(own), ..denial });
        }
        let ends = now + self.lease;
        self.servers[index].leases.insert(card, address);
        self.granted.insert((card, address), ends);
        Some(self.give(ReplyKind::Ack, own, (site, address), request))
    }

    fn give(
        &self,
        kind: ReplyKind,
        own: Ipv4Addr,
        (site, address): (&Site, Ipv4Addr),
        request: &Request,
    ) -> Reply {
        let seconds = |time: Duration| {
            LeaseTime::Seconds(u32::try_from(time.as_secs()).unwrap_or(u32::MAX - 1))
        };
        // Whoever names routes names the default one there, too.
        let routes = site.behind.map(|behind| {
            let all = [behind, Prefix::default_route(behind.family())];
            let route = |to: Prefix| match to.address {
                IpAddr::V4(destination) => Some(ClasslessRoute {
                    destination,
                    prefix_length: to.length,
                    gateway: site.gateway,
                }),
                IpAddr::V6(_) => None,
            };
            all.into_iter().filter_map(route).collect()
        });
        Reply {
            yiaddr: address,
            server_id: Some(own),
            lease: Some(seconds(self.lease)),
            renewal: self.times.map(|(renew, _)| seconds(renew)),
            rebinding: self.times.map(|(_, rebind)| seconds(rebind)),
            prefix_length: Some(site.pool.length),
            routers: vec![site.gateway],
            routes,
            ..Reply::new(kind, own, request.xid, request.chaddr)
        }
    }
}

/// The address of a server.
const fn address_of(id: u8) -> Ipv4Addr {
    Ipv4Addr::new(100, 64, 200, id + 1)
}

/// One of the addresses that a server has for an uplink.
fn pooled(site: &Site, id: u8, n: u8) -> Ipv4Addr {
    let last = FIRST + id % 2 * SIZE + n % SIZE;
    match site.pool.address {
        IpAddr::V4(address) => {
            let [a, b, c, _] = address.octets();
            Ipv4Addr::new(a, b, c, last)
        }
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    }
}

/// The last part of the first address, and how many each server has.
const FIRST: u8 = 10;
const SIZE: u8 = 120;

#[cfg(test)]
mod tests {
    use super::*;

    const A: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const B: [u8; 6] = [2, 0, 0, 0, 0, 2];
    const START: Instant = Instant::from_nanos(1_000_000_000_000);

    /// A street with one uplink, and one server that denies what it does not know, or not.
    fn street(denies: bool) -> Street {
        let pool = "100.64.200.0/24".parse().unwrap();
        let gateway = Ipv4Addr::new(100, 64, 200, 254);
        let site = Site { pool, gateway, behind: None, since: START };
        let mut street = Street::new(BTreeMap::from([(0, site)]), &mut Dice::new(1));
        street.servers[0].denies = denies;
        street
    }

    fn ask(street: &mut Street, now: Instant, card: [u8; 6], kind: RequestKind) -> Option<Reply> {
        let request = Request::new(kind, 7, card);
        // As bytes, as the world has it.
        let bytes = request.emit();
        let request = Request::parse(&bytes, request.destination()).unwrap();
        street.answer(now, 0, &request).pop()
    }

    /// The address that a client leases.
    fn lease(street: &mut Street, now: Instant, card: [u8; 6]) -> (Ipv4Addr, Ipv4Addr) {
        let offer = ask(street, now, card, RequestKind::Discover { requested: None }).unwrap();
        assert_eq!((offer.kind, offer.xid), (ReplyKind::Offer, 7));
        let (requested, server) = (offer.yiaddr, offer.server_id.unwrap());
        let ack = ask(street, now, card, RequestKind::Selecting { requested, server }).unwrap();
        assert_eq!((ack.kind, ack.yiaddr), (ReplyKind::Ack, requested));
        (requested, server)
    }

    fn kind(reply: Option<Reply>) -> Option<ReplyKind> {
        reply.map(|reply| reply.kind)
    }

    /// Given a lease, then its holder is told so in each phase, another client is denied it, and it is over with
    /// its time or with a release.
    #[test]
    fn a_server_answers_by_the_table() {
        let mut street = street(false);
        let (address, server) = lease(&mut street, START, A);
        let later = START + street.lease / 2;
        let questions = [
            RequestKind::Renewing { address, server },
            RequestKind::Rebinding { address },
            RequestKind::InitReboot { requested: address },
        ];
        for question in questions {
            assert_eq!(kind(ask(&mut street, later, A, question)), Some(ReplyKind::Ack));
        }
        let ends = later + street.lease;
        assert_eq!(street.ends(Mac(A), address), Some(ends));
        let taken = RequestKind::Selecting { requested: address, server };
        assert_eq!(kind(ask(&mut street, later, B, taken)), Some(ReplyKind::Nak));
        let (other, _) = lease(&mut street, later, B);
        assert_ne!(other, address);
        let wrong = RequestKind::InitReboot { requested: other };
        assert_eq!(kind(ask(&mut street, later, A, wrong)), Some(ReplyKind::Nak));
        let release = RequestKind::Release { address, server };
        assert_eq!(kind(ask(&mut street, later, A, release)), None);
        assert_eq!(street.ends(Mac(A), address), Some(later));
    }

    /// Given a server that has forgotten a lease, then it says nothing to that, or denies it; the address goes to
    /// nobody else before its time is over.
    #[test]
    fn a_server_forgets() {
        for denies in [false, true] {
            let mut street = street(denies);
            let (address, _) = lease(&mut street, START, A);
            street.reboot(&mut Dice::new(2));
            let reply = ask(&mut street, START, A, RequestKind::Rebinding { address });
            assert_eq!(kind(reply), denies.then_some(ReplyKind::Nak));
            let wants = RequestKind::Discover { requested: Some(address) };
            let offer = ask(&mut street, START, B, wants).unwrap();
            assert_ne!(offer.yiaddr, address);
            street.set_silent(true);
            assert_eq!(ask(&mut street, START, B, wants), None);
            street.set_silent(false);
            let after = START + street.lease + Duration::from_secs(1);
            street.reboot(&mut Dice::new(2));
            assert_eq!(ask(&mut street, after, B, wants).unwrap().yiaddr, address);
        }
    }

    /// Given a rival, then a client has what one of the two has granted, and the other is told.
    #[test]
    fn a_rival_leases_from_its_own_pool() {
        let mut street = street(false);
        street.add_server(&mut Dice::new(3));
        let request = Request::new(RequestKind::Discover { requested: None }, 7, A);
        let offers = street.answer(START, 0, &request);
        assert_eq!(offers.len(), 2);
        assert_ne!(offers[0].yiaddr, offers[1].yiaddr);
        let (requested, server) = (offers[1].yiaddr, offers[1].server_id.unwrap());
        let reply = ask(&mut street, START, A, RequestKind::Selecting { requested, server });
        assert_eq!(kind(reply), Some(ReplyKind::Ack));
        assert!(street.servers[0].offers.is_empty());
        street.remove_rival();
        let address = requested;
        assert_eq!(ask(&mut street, START, A, RequestKind::Renewing { address, server }), None);
    }
}
