//! Uplinks whose address is leased: binds the client to ports, facts, news and the state file.

use super::{Kind, inside};
use crate::config::{Config, DhcpConfig};
use crate::desk::Desk;
use crate::dhcp4::SavedLease;
use crate::dhcp4::news::LeaseNews;
use crate::dhcp4::{Action, Client, FAMILY, Lease, Rules, Who};
use crate::facts::{Attachment, Origin, PerFamily, Ways};
use crate::io::{Binding, Output, Peer, Port, PortId, PortKind};
use crate::net::{IfName, Mac, Prefix, UplinkId};
use crate::purge::GRACE;
use crate::random::Secret;
use crate::state::Observed;
use crate::status::LeaseStatus;
use crate::time::Instant;
use crate::uplink::{Context, Uplinks};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use rail_wire::dhcp4::{self, Reply, UdpChecksum};
use rail_wire::ip::arp;

/// A client, and what people were told of it.
#[derive(Clone, Debug)]
pub(in crate::uplink) struct Dhcp {
    client: Client,
    reject_from: Vec<Prefix>,
    /// Why the last offer was refused.
    refused: String,
    /// The causes that were said since the last lease, each once: whoever floods us with bad offers fills no
    /// log.
    said: Vec<&'static str>,
    /// When an address was leased; `None`: there is none.
    leased: Option<Instant>,
    /// What arrived and was not looked at yet.
    inbox: Vec<(PortId, Vec<u8>)>,
}

impl Dhcp {
    pub(super) fn new(config: &DhcpConfig, secret: Secret, saved: Option<&SavedLease>) -> Self {
        let saved = saved.cloned().unwrap_or_default();
        Self {
            client: Client::new(Who::new(config), secret, saved),
            reject_from: config.reject_from.clone(),
            refused: String::new(),
            said: Vec::new(),
            leased: None,
            inbox: Vec::new(),
        }
    }

    pub(super) fn set_config(&mut self, config: &DhcpConfig) {
        self.client.set_who(Who::new(config));
        self.reject_from.clone_from(&config.reject_from);
    }

    /// A lease without a default route attaches nothing: no packet would leave. `mtu` is that of the file.
    pub(super) fn ways(&self, mtu: Option<u32>) -> Ways {
        let attachment = || {
            let lease = self.client.lease()?;
            Some(Attachment {
                address: lease.address,
                gateway: lease.next_hop()?,
                origin: Origin::Dhcp,
                routes: lease.routes.clone(),
                resolvers: lease.resolvers.iter().copied().map(IpAddr::V4).collect(),
                delegated: Vec::new(),
                mtu: mtu.or(lease.mtu.map(u32::from)),
            })
        };
        PerFamily::of(|family| (family == FAMILY).then(attachment).flatten())
    }

    pub(super) const fn holds(&self) -> bool {
        self.client.lease().is_some()
    }

    /// Somebody waits for its lease.
    pub(super) const fn hurry(&mut self) {
        self.client.hurry();
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.inbox.is_empty() { self.client.deadline() } else { Some(Instant::ZERO) }
    }

    /// There is somebody who waits for packets, and room.
    fn may_keep(&self) -> bool {
        !self.client.is_halted() && self.inbox.len() < MOST_KEPT
    }

    /// Takes a packet; false if it could not be read.
    fn take(
        &mut self,
        now: Instant,
        (port, bytes): (PortId, &[u8]),
        rules: &Rules,
        out: &mut Vec<Action>,
    ) -> bool {
        if matches!(port, PortId::Claim(_)) {
            self.client.take_arp(now, bytes, rules, out);
            return true;
        }
        // The shell has looked at the checksum: only there it is known whether there is one yet.
        let Ok(reply) = Reply::parse_packet(bytes, UdpChecksum::NotReady) else { return false };
        self.client.take(now, &reply, rules, out);
        true
    }

    pub(super) fn is_new(&self, now: Instant) -> bool {
        self.leased.is_some_and(|at| now.since(at) < GRACE)
    }

    /// Why the uplink has no address yet, for people.
    pub(super) fn why_unattached(&self, ifname: IfName) -> String {
        if self.client.lease().is_some_and(|lease| lease.next_hop().is_none()) {
            return format!("the DHCP server on {ifname} names no default route");
        }
        let refused = match self.refused.as_str() {
            "" => String::new(),
            why => format!("; an offer was refused: {why}"),
        };
        format!("no lease on {ifname} yet{refused}")
    }

    /// For the screens.
    pub(in crate::uplink) fn status(&self, now: Instant) -> LeaseStatus {
        let (lease, counted) = (self.client.lease(), self.client.counters());
        LeaseStatus {
            phase: self.client.phase().into(),
            server: lease.and_then(|lease| lease.server),
            remaining_s: lease.and_then(|lease| seconds(lease, now)),
            resolvers: lease.map_or_else(Vec::new, |lease| lease.resolvers.clone()),
            sent: counted.sent,
            received: counted.received,
            refusals: counted.refused,
            denied: counted.denied,
            refused: self.refused.clone(),
        }
    }
}

/// The packet sockets need no address; a server is asked alone from the address of the lease.
pub(super) fn ports(
    id: UplinkId,
    link: Option<(Binding, Mac)>,
    bound: Option<Binding>,
) -> Vec<Port> {
    let port = |id, kind, binding| Port { id, kind, binding };
    let nobody = |link| Binding { source: Some(Ipv4Addr::UNSPECIFIED.into()), ..link };
    let open = link.map(|(link, client)| {
        [
            port(PortId::Dhcp(id), PortKind::DhcpReplies { client }, link),
            port(PortId::Claim(id), PortKind::Packet { ethertype: arp::ETHERTYPE }, nobody(link)),
        ]
    });
    // The packet socket hears what a server answers here as well.
    let kind = PortKind::Udp { local: dhcp4::CLIENT_PORT, is_deaf: true };
    let asks = bound.map(|bound| port(PortId::DhcpServer(id), kind, bound));
    open.into_iter().flatten().chain(asks).collect()
}

impl Uplinks {
    /// Keeps what arrived for a client until it is its turn. True if it was for one.
    pub(in crate::uplink) fn keep_for_lease(
        &mut self,
        (port, bytes): (PortId, &[u8]),
        desk: &mut Desk,
    ) -> bool {
        let (PortId::Dhcp(id) | PortId::Claim(id) | PortId::DhcpServer(id)) = port else {
            return false;
        };
        let uplink = self.list.iter_mut().find(|uplink| uplink.facts.id == id);
        match uplink.map(|uplink| &mut uplink.kind) {
            // The packet socket hears what a server answers here as well.
            Some(Kind::Dhcp(_)) if matches!(port, PortId::DhcpServer(_)) => {}
            Some(Kind::Dhcp(dhcp)) if dhcp.may_keep() => {
                dhcp.inbox.push((port, bytes.to_vec()));
            }
            _ => desk.counters.packets_refused += 1,
        }
        true
    }

    /// Lets the clients do what is due.
    pub(crate) fn lease(&mut self, cx: &mut Context<'_>) {
        for index in 0..self.list.len() {
            let own = &cx.config.uplinks[index];
            let (ifname, enabled) = (own.ifname, own.enabled);
            let fact = &self.list[index].facts;
            let is_idle = self.is_idle(index, cx.config);
            let is_linked = enabled && fact.link_up && fact.carrier && !is_idle;
            let card = cx.mac(ifname).filter(|_| is_linked);
            let Kind::Dhcp(dhcp) = &mut self.list[index].kind else { continue };
            if dhcp.inbox.is_empty() && !dhcp.client.is_due(cx.now, card) {
                continue;
            }
            let mut actions = Vec::new();
            dhcp.client.set_card(cx.now, card, &mut actions);
            let inbox = core::mem::take(&mut dhcp.inbox);
            if !inbox.is_empty() {
                let rules = self.rules(index, cx.config, &cx.kernel.observed);
                let Kind::Dhcp(dhcp) = &mut self.list[index].kind else { continue };
                for (port, bytes) in inbox {
                    let taken = dhcp.take(cx.now, (port, &bytes), &rules, &mut actions);
                    cx.desk.counters.packets_refused += u64::from(!taken);
                }
            }
            let Kind::Dhcp(dhcp) = &mut self.list[index].kind else { continue };
            dhcp.client.wake(cx.now, &mut actions);
            self.act(index, actions, cx);
        }
    }

    /// Gives the lease of an uplink back, and asks for none.
    pub(in crate::uplink) fn give_back(&mut self, index: usize, cx: &mut Context<'_>) {
        let Kind::Dhcp(dhcp) = &mut self.list[index].kind else { return };
        dhcp.inbox.clear();
        let mut actions = Vec::new();
        dhcp.client.let_go(cx.now, &mut actions);
        self.act(index, actions, cx);
    }

    /// Gives all leases back.
    pub(in crate::uplink) fn release(&mut self, now: Instant, out: &mut Vec<Output>) {
        for uplink in &mut self.list {
            let Kind::Dhcp(dhcp) = &mut uplink.kind else { continue };
            let mut actions = Vec::new();
            dhcp.client.release(now, &mut actions);
            let id = uplink.facts.id;
            out.extend(actions.into_iter().filter_map(|action| sent(id, action)));
        }
    }

    /// What no server may give the uplink: what is inside, and what another uplink on its port has.
    fn rules(&self, index: usize, config: &Config, observed: &Observed) -> Rules {
        let own = &config.uplinks[index];
        let others = config.uplinks.iter().zip(&self.list).enumerate();
        let others = others.filter(|(i, (other, _))| *i != index && other.port() == own.port());
        let others = others.filter_map(|(_, (_, other))| other.facts.address(FAMILY));
        let others = others.map(|prefix| Prefix::host(prefix.address));
        let taken = inside(config, observed).chain(others).collect();
        let Kind::Dhcp(dhcp) = &self.list[index].kind else { return Rules::default() };
        Rules {
            taken,
            reject_from: dhcp.reject_from.clone(),
            own_cards: observed.links.values().filter_map(|link| link.identity.mac).collect(),
        }
    }

    /// Performs what a client wants, and takes over what it has.
    fn act(&mut self, index: usize, actions: Vec<Action>, cx: &mut Context<'_>) {
        let id = self.list[index].facts.id;
        for action in actions {
            self.tell(index, &action, cx);
            // A server is asked from the address of the lease. While somebody has taken that away, nobody is.
            let sent = sent(id, action).filter(|sent| self.is_open(sent));
            cx.out.extend(sent);
        }
        let own = &cx.config.uplinks[index];
        let Kind::Dhcp(dhcp) = &self.list[index].kind else { return };
        let saved = dhcp.client.saved();
        if cx.desk.saved.leases.get(&own.name) != Some(&saved) {
            cx.desk.saved.leases.insert(own.name.clone(), saved);
            cx.desk.save_soon();
        }
        self.take_ways(index, cx);
    }

    /// The port of what is sent is open.
    fn is_open(&self, sent: &Output) -> bool {
        matches!(sent, Output::Send { port, .. } if self.ports.iter().any(|open| open.id == *port))
    }

    /// Tells people what became of a lease.
    fn tell(&mut self, index: usize, action: &Action, cx: &mut Context<'_>) {
        let uplink = cx.config.uplinks[index].name.clone();
        let Kind::Dhcp(dhcp) = &mut self.list[index].kind else { return };
        let news = match action {
            Action::Broadcast(_) | Action::Unicast { .. } | Action::Arp(_) => return,
            Action::Bound { lease, is_new } => {
                dhcp.refused.clear();
                dhcp.said.clear();
                let (address, seconds) = (lease.address, seconds(lease, cx.now));
                if *is_new {
                    dhcp.leased = Some(cx.now);
                    let (gateway, server) = (lease.gateway, lease.server);
                    LeaseNews::Leased { uplink, address, gateway, server, seconds }
                } else {
                    LeaseNews::Renewed { uplink, address, seconds }
                }
            }
            Action::Lost { lease, why } => {
                LeaseNews::LeaseLost { uplink, address: lease.address, cause: why.describe() }
            }
            Action::ConflictBorne { address, by } => {
                LeaseNews::ConflictBorne { uplink, address: *address, by: *by }
            }
            Action::Denied { server, said } => {
                LeaseNews::Denied { uplink, server: *server, said: said.clone() }
            }
            Action::Refused { address, server, why } => {
                dhcp.refused = (*why).into();
                if dhcp.said.contains(why) {
                    return;
                }
                dhcp.said.push(why);
                let (address, server) = (*address, *server);
                LeaseNews::OfferRefused { uplink, address, server, cause: (*why).into() }
            }
            Action::RouteRefused { route, network } => {
                LeaseNews::RouteRefused { uplink, route: *route, network: *network }
            }
        };
        cx.out.push(Output::tell(news));
    }
}

/// The packet of an action.
fn sent(id: UplinkId, action: Action) -> Option<Output> {
    let everybody = Peer::Link(Mac([0xff; 6]));
    let (port, to, bytes) = match action {
        Action::Broadcast(bytes) => (PortId::Dhcp(id), everybody, bytes),
        Action::Arp(bytes) => (PortId::Claim(id), everybody, bytes),
        Action::Unicast { to, bytes } => {
            let to = SocketAddr::from((to, dhcp4::SERVER_PORT));
            (PortId::DhcpServer(id), Peer::Socket(to), bytes)
        }
        _ => return None,
    };
    Some(Output::Send { port, to, bytes })
}

/// More than a segment of servers sends between two turns of the loop.
const MOST_KEPT: usize = 64;

/// How long a lease still lasts; `None`: for ever.
fn seconds(lease: &Lease, now: Instant) -> Option<u64> {
    lease.expires.map(|end| end.since(now).as_secs())
}
