//! A world around one router: a kernel without firewall that takes what it is given or refuses it,
//! targets that answer or not, and time.

use super::*;
use crate::config::{CheckConfig, Tier};
use crate::io::{Answer, Ask, AskError, Child, Peer, PortId, Which};
use crate::net::{IfName, Mac};
use crate::notice::UplinkNews;
use crate::render::tests::config;
use crate::state::{Link, Op, OpError, RouteKey};
use crate::status::Health;
use alloc::sync::Arc;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use rail_wire::dhcp4::{LeaseTime, Reply, ReplyKind, Request, RequestKind, UdpChecksum};
use rail_wire::ip::arp::Arp;
use rail_wire::ip::icmp4::{Echo, EchoKind};

pub(super) const MS: Duration = Duration::from_millis(1);
pub(super) const START: Instant = Instant::from_nanos(1_000_000_000_000);

/// When the answer to a probe comes: by uplink, target, and number of the probe.
type Fate = dyn FnMut(u8, usize, u64) -> Option<Duration>;

pub(super) struct World {
    pub(super) router: Router,
    pub(super) config: Config,
    pub(super) state: Observed,
    pub(super) now: Instant,
    pub(super) notices: Vec<(Instant, Notice)>,
    pub(super) purges: Vec<(Instant, Purge)>,
    pub(super) links_up: Vec<IfName>,
    /// Programs that are to run.
    pub(super) children: Vec<Child>,
    pub(super) sent: BTreeMap<u8, u64>,
    /// Changes of these objects are refused.
    pub(super) refuses: fn(&Key) -> bool,
    /// Questions are never asked.
    pub(super) refuses_asks: bool,
    /// Deletions of connections are refused.
    pub(super) refuses_purges: bool,
    /// They take so long that they are not answered.
    pub(super) delays_purges: bool,
    /// The next reading lacks what this removes from it.
    pub(super) omits: Option<fn(&mut Observed)>,
    /// The first reading after a change lacks what this removes from it.
    pub(super) omits_after_change: Option<fn(&mut Observed)>,
    /// What DHCP servers answer, by uplink.
    pub(super) dhcp: fn(&Request, u8) -> Option<Reply>,
    /// What they were asked.
    pub(super) requests: Vec<Request>,
    watch: Watch,
    count: u64,
    answers: BTreeMap<(Instant, u64), Input>,
}

/// Uplinks of these tiers, in mode `external`: the rules are somebody else's.
pub(super) fn uplinks(tiers: &[u32]) -> Config {
    let tiers: Vec<_> = tiers.iter().map(|tier| (1, Tier::Number(*tier))).collect();
    let mut config = config(&tiers);
    config.firewall.mode = crate::config::FirewallMode::External;
    config
}

/// All interfaces are there and have a carrier.
pub(super) fn kernel(config: &Config) -> Observed {
    let mut state = Observed::default();
    for (index, uplink) in (1..).zip(&config.uplinks) {
        let link = Link { index, up: true, carrier: true, mtu: 1500, ..Link::default() };
        state.links.insert(uplink.ifname, link);
    }
    state
}

/// The first default of an uplink's table.
pub(super) fn default_of(table: u32) -> RouteKey {
    let prefix = crate::net::Prefix::default_route(Family::V4);
    RouteKey { table, prefix, metric: 0 }
}

/// Everything answers.
pub(super) fn all(_: u8, _: usize, _: u64) -> Option<Duration> {
    Some(MS * 10)
}

/// Nothing answers.
pub(super) fn nothing(_: u8, _: usize, _: u64) -> Option<Duration> {
    None
}

/// Uplink 2 alone is answered.
pub(super) fn second(uplink: u8, _: usize, _: u64) -> Option<Duration> {
    (uplink == 2).then_some(MS * 10)
}

/// The first target alone answers.
pub(super) fn first_target(_: u8, target: usize, _: u64) -> Option<Duration> {
    (target == 0).then_some(MS * 10)
}

/// Uplinks of these tiers with the default checks, good for half a minute.
pub(super) fn settled(tiers: &[u32]) -> World {
    let mut config = uplinks(tiers);
    config.check = CheckConfig::of(config.check.targets.clone());
    let mut world = World::new(config);
    world.run(MS * 30_000, all);
    world
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        let state = kernel(&config);
        Self::with(config, Saved::default(), START, state, |_| false)
    }

    pub(super) fn with(
        config: Config,
        saved: Saved,
        now: Instant,
        state: Observed,
        refuses: fn(&Key) -> bool,
    ) -> Self {
        let mut config = config;
        config.check_all(config.check.clone());
        let router = Router::new(config.clone(), saved, "boot".into(), [3; 16]);
        let mut world = Self {
            router,
            config,
            state,
            now,
            notices: Vec::new(),
            purges: Vec::new(),
            links_up: Vec::new(),
            children: Vec::new(),
            sent: BTreeMap::new(),
            refuses,
            refuses_asks: false,
            refuses_purges: false,
            delays_purges: false,
            omits: None,
            omits_after_change: None,
            dhcp: leases,
            requests: Vec::new(),
            watch: Watch::default(),
            count: 0,
            answers: BTreeMap::new(),
        };
        let mut out = Vec::new();
        world.router.start(now, &mut out);
        world.perform(out, &mut |_, _, _| None);
        world
    }

    /// The process dies, and another one starts a second later on what it left.
    pub(super) fn restart(self, change: impl FnOnce(&mut Observed)) -> Self {
        let mut state = self.state;
        change(&mut state);
        Self::with(self.config, self.router.desk.saved, self.now + MS * 1000, state, self.refuses)
    }

    fn perform(&mut self, mut out: Vec<Output>, fate: &mut Fate) {
        while !out.is_empty() {
            let mut next = Vec::new();
            for output in out {
                self.output(output, &mut next, fate);
            }
            self.router.wake(self.now, &mut next);
            out = next;
        }
    }

    fn output(&mut self, output: Output, next: &mut Vec<Output>, fate: &mut Fate) {
        let now = self.now;
        match output {
            Output::Apply(plan) => {
                self.omits = self.omits_after_change.take().or(self.omits);
                for step in plan {
                    let result = if (self.refuses)(&step.key) {
                        Err(OpError { errno: 101, text: "Network is unreachable".into() })
                    } else {
                        self.apply(step.key.clone(), step.op);
                        Ok(())
                    };
                    self.router.handle(now, Input::Applied(step.key, result), next);
                }
            }
            Output::Watch(watch) => self.watch = watch,
            Output::Observe(scope) => {
                let mut state = Box::new(self.state.clone());
                for link in state.links.values_mut() {
                    let path = link.identity.path.take().unwrap_or_default();
                    link.identity.path = self.watch.paths.then_some(path);
                }
                state.routes.retain(|k, r| self.watch.has_route(k.table, r.protocol));
                let is_watched = |name: &IfName| self.watch.ports.iter().any(|p| p.ifname == *name);
                Arc::make_mut(&mut state.queues).ports.retain(|name, _| is_watched(name));
                if let Some(omit) = self.omits.take_if(|_| !scope.is_empty()) {
                    omit(&mut state);
                }
                self.router.handle(now, Input::Observed(scope, state), next);
            }
            Output::Purge(purge) => {
                let uplink = purge.uplink;
                // Those that no uplink has are asked for all the time.
                if purge.which != Which::All {
                    self.purges.push((now, purge));
                }
                let error = OpError { errno: 105, text: "No buffer space available".into() };
                let result = if self.refuses_purges { Err(error) } else { Ok(1) };
                if !self.delays_purges {
                    self.router.handle(now, Input::Purged { uplink, result }, next);
                }
            }
            Output::Save { durable: true, .. } => {
                self.router.handle(now, Input::Saved(self.router.desk.durable()), next);
            }
            Output::Notice(notice) => self.notices.push((now, notice)),
            Output::Children(children) => self.children = children,
            Output::LinkUp(ifname) => self.links_up.push(ifname),
            Output::Send { port, to, bytes } => {
                let (rtt, number) = self.asked(port.uplink().unwrap(), to.ip(), fate);
                let reply = match port {
                    PortId::Dhcp(id) | PortId::DhcpServer(id) => self.lease(id, port, to, &bytes),
                    _ => reply(port, to, &bytes),
                };
                let answer = reply.map(|(port, from, bytes)| Input::Packet {
                    port,
                    from,
                    age: Duration::ZERO,
                    bytes,
                });
                self.answers
                    .extend(rtt.zip(answer).map(|(rtt, input)| ((now + rtt, number), input)));
            }
            Output::Ask(id, Ask::Connect { to, timeout, .. }) => {
                let (rtt, number) = self.asked(id.asker.uplink().unwrap(), Some(to.ip()), fate);
                let (after, answer) = match rtt {
                    _ if self.refuses_asks => (Duration::ZERO, Err(AskError::NotAsked)),
                    Some(rtt) if rtt < timeout => (rtt, Ok(Answer::Connected { rtt })),
                    _ => (timeout, Err(AskError::TimedOut)),
                };
                self.answers.insert((now + after, number), Input::Answered(id, answer));
            }
            Output::CancelAsks(asker) => {
                let is_its =
                    |input: &Input| matches!(input, Input::Answered(id, _) if id.asker == asker);
                self.answers.retain(|_, input| !is_its(input));
            }
            _ => {}
        }
    }

    /// An uplink asks a target, or its gateway: what becomes of it, and its number.
    fn asked(
        &mut self,
        uplink: UplinkId,
        to: Option<IpAddr>,
        fate: &mut Fate,
    ) -> (Option<Duration>, u64) {
        self.count += 1;
        *self.sent.entry(uplink.0).or_default() += 1;
        let targets = &self.router.config.check.targets;
        // The gateway and DHCP servers are no targets.
        let index = |to| targets.iter().position(|target| IpAddr::V4(*target) == to);
        (fate(uplink.0, to.and_then(index).unwrap_or(0), self.count), self.count)
    }

    /// What the DHCP server of an uplink answers; it is heard on the packet socket.
    fn lease(
        &mut self,
        id: UplinkId,
        port: PortId,
        to: Peer,
        bytes: &[u8],
    ) -> Option<(PortId, Peer, Vec<u8>)> {
        let request = match (port, to) {
            (PortId::DhcpServer(_), Peer::Socket(SocketAddr::V4(to))) => {
                Request::parse(bytes, *to.ip())
            }
            _ => Request::parse_packet(bytes, UdpChecksum::Complete),
        };
        let request = request.unwrap();
        self.requests.push(request.clone());
        let reply = (self.dhcp)(&request, id.0)?;
        let bytes = reply.emit_packet(Ipv4Addr::BROADCAST);
        Some((PortId::Dhcp(id), Peer::Link(GATEWAY), bytes))
    }

    fn apply(&mut self, key: Key, op: Op) {
        perform(&mut self.state, key, op);
    }

    /// Hands something to the router.
    pub(super) fn input(&mut self, mut input: Input) {
        if let Input::Reload(config) = &mut input {
            // Uplinks whose checks a test has left alone are checked as all are.
            let (old, new) = (&self.config.check, config.check.clone());
            let alike = config.uplinks.iter_mut().filter(|uplink| uplink.check == *old);
            alike.for_each(|uplink| uplink.check = new.clone());
        }
        let mut out = Vec::new();
        self.router.handle(self.now, input, &mut out);
        out.push(Output::Observe(Scope::NONE));
        self.perform(out, &mut |_, _, _| None);
    }

    /// The kernel says that something changed.
    pub(super) fn changed(&mut self, scope: Scope) {
        self.input(Input::Changed(scope));
    }

    /// Lets time pass; `fate` says what becomes of each probe.
    pub(super) fn run(
        &mut self,
        time: Duration,
        mut fate: impl FnMut(u8, usize, u64) -> Option<Duration> + 'static,
    ) {
        let end = self.now + time;
        while self.now < end {
            self.now = self.now + MS;
            let mut out = Vec::new();
            let mut stirred = false;
            while let Some(((at, number), _)) = self.answers.first_key_value() {
                if *at > self.now {
                    break;
                }
                let answer = self.answers.remove(&(*at, *number)).unwrap();
                self.router.handle(self.now, answer, &mut out);
                stirred = true;
            }
            if stirred || self.router.deadline().is_some_and(|at| at <= self.now) {
                self.router.wake(self.now, &mut out);
            }
            self.perform(out, &mut fate);
        }
    }

    pub(super) fn health(&self) -> Vec<Health> {
        self.router.uplinks.iter().map(|uplink| uplink.facts.health).collect()
    }

    pub(super) fn active(&self) -> Vec<bool> {
        self.router.uplinks.iter().map(|uplink| uplink.facts.active).collect()
    }

    /// Changes of health since then: which uplink, and to what.
    pub(super) fn reported(&self, since: Instant) -> Vec<(String, Health)> {
        let health = |(at, notice): &(Instant, Notice)| match notice {
            Notice::Uplink(UplinkNews::Health { uplink, to, .. }) if *at >= since => {
                Some((uplink.clone(), *to))
            }
            _ => None,
        };
        self.notices.iter().filter_map(health).collect()
    }

    /// The interface of the uplink of this index.
    pub(super) fn link(&mut self, index: usize) -> &mut Link {
        let ifname = self.config.uplinks[index].ifname;
        self.state.links.get_mut(&ifname).unwrap()
    }

    /// The interface vanishes, and what the kernel has of it.
    pub(super) fn unplug(state: &mut Observed, config: &Config, index: usize) {
        let ifname = config.uplinks[index].ifname;
        state.links.remove(&ifname);
        state.addresses.retain(|(name, _), _| *name != ifname);
        let table = config.ranges.tables.0 + u32::try_from(index + 1).unwrap();
        state.routes.remove(&default_of(table));
    }

    /// The deletions of this uplink's connections that can move, since then.
    pub(super) fn moved(&self, uplink: u8, since: Instant) -> usize {
        let is_it = |(at, purge): &&(Instant, Purge)| {
            *at >= since && purge.uplink.0 == uplink && purge.which == Which::Movable
        };
        self.purges.iter().filter(is_it).count()
    }
}

/// The answer to what is sent through a port, and who gives it.
fn reply(port: PortId, to: Peer, bytes: &[u8]) -> Option<(PortId, Peer, Vec<u8>)> {
    let (from, bytes) = match port {
        PortId::Probe(..) => {
            (to, Echo { kind: EchoKind::Reply, ..Echo::parse(bytes).unwrap() }.emit())
        }
        PortId::Arp(_) => (Peer::Link(GATEWAY), Arp::parse(bytes).unwrap().reply(GATEWAY.0).emit()),
        // Nobody else has the address.
        PortId::Dhcp(_) | PortId::DhcpServer(_) | PortId::Claim(_) => return None,
    };
    Some((port, from, bytes))
}

/// A server that leases 100.64.N.2 for ten minutes.
pub(super) fn leases(request: &Request, uplink: u8) -> Option<Reply> {
    let kind = match request.kind {
        RequestKind::Discover { .. } => ReplyKind::Offer,
        RequestKind::Decline { .. } | RequestKind::Release { .. } => return None,
        _ => ReplyKind::Ack,
    };
    let server = Ipv4Addr::new(100, 64, uplink, 1);
    Some(Reply {
        yiaddr: Ipv4Addr::new(100, 64, uplink, 2),
        server_id: Some(server),
        lease: Some(LeaseTime::Seconds(600)),
        prefix_length: Some(24),
        routers: alloc::vec![server],
        ..Reply::new(kind, server, request.xid, request.chaddr)
    })
}

/// The hardware address of every gateway.
const GATEWAY: Mac = Mac([2, 0, 0, 0, 0, 0xfe]);

/// No uplink is down in any of these.
pub(super) fn nobody_fell(reported: &[(String, Health)]) -> bool {
    let all = [Health::Up, Health::Probing, Health::Suspect, Health::Degraded];
    reported.iter().all(|(_, health)| all.contains(health))
}
