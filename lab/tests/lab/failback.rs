//! What becomes of connections on a standby when the better uplink carries again, by `on_failback`; the
//! table in `docs/uplinks.md` is held to it. And whether the router's own tunnels follow.

use rail_lab::flows::{Protocol, spread};
use rail_lab::topology::servers;
use rail_lab::traffic::{TCP_PORT, UDP_PORT};
use rail_lab::{
    ConfigText, Fault, FlowReport, Flows, FlowsReport, Node, Plan, Servers, World, eventually,
    figures, isolated,
};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("../../../docs/uplinks.md");
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
pub(crate) const DRAIN: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// Whose way to choose a source a program of the router has.
#[derive(Copy, Clone, PartialEq, Eq)]
enum Like {
    /// It leaves the source to the kernel.
    OpenVpn,
    /// It keeps the one that it last heard something at, until the kernel says that there is no such way
    /// (`EINVAL`).
    WireGuard,
}

impl Like {
    const fn port(self) -> u16 {
        match self {
            Self::OpenVpn => 1194,
            Self::WireGuard => 51_820,
        }
    }

    fn bind(self, source: Ipv4Addr) -> UdpSocket {
        // A child that is being started has the socket before this one, too, until it is its own program.
        let socket = eventually(Duration::from_secs(10), "the port of the tunnel", || {
            UdpSocket::bind((source, self.port()))
        });
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        socket
    }
}

/// A program of the router that sends from a port of its own; what the server sees.
struct Tunnel {
    seen: Arc<AtomicU32>,
    answers: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    fn start(node: &Node, like: Like) -> Self {
        let (seen, answers) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let (sees, counts, stops) = (Arc::clone(&seen), Arc::clone(&answers), Arc::clone(&stop));
        let thread = node.spawn(move || {
            let mut answer = [0; 64];
            let mut own = Ipv4Addr::UNSPECIFIED;
            let mut socket = like.bind(own);
            while !stops.load(Ordering::Relaxed) {
                let sent = socket.send_to(&[0; 8], (OUTSIDE, UDP_PORT));
                let is_no_way = sent.is_err_and(|e| e.kind() == ErrorKind::InvalidInput);
                let heard = socket.recv(&mut answer).ok();
                let source = heard.map(|length| {
                    let source = String::from_utf8_lossy(&answer[8..length]);
                    source.parse::<Ipv4Addr>().unwrap()
                });
                if let Some(source) = source {
                    sees.store(source.into(), Ordering::Relaxed);
                    counts.fetch_add(1, Ordering::Relaxed);
                }
                let next = source.or(is_no_way.then_some(Ipv4Addr::UNSPECIFIED)).unwrap_or(own);
                if like == Like::WireGuard && next != own {
                    own = next;
                    drop(socket);
                    socket = like.bind(own);
                }
            }
        });
        Self { seen, answers, stop, thread: Some(thread) }
    }

    /// How many answers it gets in this time.
    fn answers_in(&self, time: Duration) -> u32 {
        let before = self.answers.load(Ordering::Relaxed);
        thread::sleep(time);
        self.answers.load(Ordering::Relaxed) - before
    }

    fn wait_for(&self, source: Ipv4Addr) {
        eventually(Duration::from_secs(10), "the tunnel by another uplink", || {
            let seen = Ipv4Addr::from(self.seen.load(Ordering::Relaxed));
            if seen == source { Ok(()) } else { Err(seen) }
        });
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

const NAMED: &str = "[router]\ntunnels = [51820]\n";

fn text(on_failback: &str) -> ConfigText {
    let standby = format!("2\non_failback = \"{on_failback}\"");
    let forward = |protocol: &str, port: u16| {
        format!("[[forward]]\nprotocol = \"{protocol}\"\nport = {port}\nto = \"{INSIDE}\"\n")
    };
    ConfigText {
        tiers: vec!["1", Box::leak(standby.into_boxed_str())],
        check: "recover_after = 3\n".into(),
        rest: forward("tcp", TCP_PORT) + &forward("udp", UDP_PORT) + NAMED,
        ..ConfigText::default()
    }
}

/// Flows of one protocol after the return: they stay where they are, or all go, and when.
fn fate(report: &FlowsReport, protocol: Protocol, back: Instant) -> &'static str {
    let flows: Vec<&FlowReport> = report.flows.iter().filter(|f| f.protocol == protocol).collect();
    assert!(flows.len() >= 2 && flows.iter().all(|f| !f.sources.is_empty()), "{flows:?}");
    // What is cut is not answered any more by where it went before: TCP breaks, UDP has another source.
    let ends: Vec<bool> = flows.iter().map(|f| f.broken.is_some() || f.sources.len() > 1).collect();
    if ends.iter().all(|end| !end) {
        assert!(flows.iter().all(|f| f.lost() == 0), "{flows:?}");
        return "stays";
    }
    assert!(ends.iter().all(|end| *end), "some of them: {ends:?}");
    let late = back + DRAIN - SECOND;
    let is_late = |f: &&FlowReport| f.broken.as_ref().is_some_and(|(at, _)| *at > late);
    match (protocol, flows.iter().all(is_late)) {
        (Protocol::Udp, _) => "goes on by the better uplink",
        (Protocol::Tcp, true) => "ends after the time",
        (Protocol::Tcp, false) => "ends at once",
    }
}

/// The better uplink, which is to fail and return, and the address that servers see by the standby.
pub(crate) struct Return<'a> {
    pub(crate) world: &'a World,
    pub(crate) name: &'a str,
    /// What happens to it, and the health that it then has.
    pub(crate) fault: (Fault, &'a str),
    pub(crate) standby: Ipv4Addr,
}

impl Return<'_> {
    /// What becomes of long connections on the standby: TCP, UDP, and how many of two that came in lose
    /// something. `left` and `back` wait until others have followed.
    pub(crate) fn fates(
        &self,
        time: Duration,
        left: impl Fn(),
        back: impl Fn(),
    ) -> (&'static str, &'static str, usize) {
        let (net, rail, standby) = (&self.world.topology, &self.world.rail, self.standby);
        let injected = net.inject(1, self.fault.0).unwrap();
        rail.wait_health(self.name, self.fault.1, Duration::from_secs(5)).unwrap();
        left();
        let (clients, servers) = (net.clients(), servers());
        let mut plan = spread(Protocol::Tcp, 4, &clients, &servers);
        plan.extend(spread(Protocol::Udp, 4, &clients, &servers));
        let out = Flows::start(&net.client, plan);
        let to = |port| SocketAddrV4::new(standby, port);
        let plan =
            vec![(Protocol::Tcp, OUTSIDE, to(TCP_PORT)), (Protocol::Udp, OUTSIDE, to(UDP_PORT))];
        let came_in = Flows::start(&net.internet, plan);
        thread::sleep(SECOND);
        injected.repair().unwrap();
        rail.wait_health(self.name, "up", Duration::from_secs(15)).unwrap();
        let returned = Instant::now();
        back();
        thread::sleep(time + 3 * SECOND);
        let (out, came_in) = (out.stop().unwrap(), came_in.stop().unwrap());
        let lost = came_in.flows.iter().filter(|f| f.broken.is_some() || f.lost() > 0).count();
        let [tcp, udp] = [Protocol::Tcp, Protocol::Udp].map(|of| fate(&out, of, returned));
        (tcp, udp, lost)
    }
}

#[test]
fn connections_go_back_as_the_file_says() {
    isolated(|| {
        // given long connections on a standby: of clients, of the router's own, and some that came in /
        // when the better uplink carries again / then each becomes what the page says
        let world = World::start(&Plan::new(2), &text("keep")).unwrap();
        let (net, rail) = (&world.topology, &world.rail);
        let _inside = Servers::start(&net.client, &[INSIDE]).unwrap();
        let tunnels = [Like::OpenVpn, Like::WireGuard].map(|of| Tunnel::start(&net.router, of));
        let wait_for = |source| tunnels.iter().for_each(|tunnel| tunnel.wait_for(source));
        let (better, standby) = (net.line(1).address(), net.line(2).address());
        wait_for(better);
        let fault = (Fault::Carrier, "no-carrier");
        let back = Return { world: &world, name: "isp1", fault, standby };
        for (wanted, time) in
            [("keep", SECOND), ("cut-udp", SECOND), ("cut", SECOND), ("drain 3s", DRAIN)]
        {
            rail.reload(&net.config(&text(wanted))).unwrap();
            let (tcp, udp, lost) = back.fates(time, || wait_for(standby), || wait_for(better));
            let row = format!("| `\"{wanted}\"` | {tcp} | {udp} | stays | follows | follows |");
            figures(&format!("{row} {lost} of 2 that came in lost something"));
            assert_eq!(lost, 0, "{wanted}");
            assert!(PAGE.contains(&row), "docs/uplinks.md lacks: {row}");
            rail.forget_falls("isp1", Duration::from_secs(15)).unwrap();
        }
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}

#[test]
fn a_tunnel_follows_that_keeps_its_source() {
    isolated(|| {
        // given a program that keeps its source as WireGuard does / when its uplink dies, then it is stuck
        // there; when the file names its port, then it follows to the standby and back, each time, also
        // when the uplink falls silent
        let tiers = vec!["1", "2"];
        let check = "recover_after = 3\n".to_owned();
        let unnamed = ConfigText { tiers, check, ..ConfigText::default() };
        let named = ConfigText { rest: NAMED.into(), ..unnamed.clone() };
        let world = World::start(&Plan::new(2), &unnamed).unwrap();
        let (net, rail) = (&world.topology, &world.rail);
        let (better, standby) = (net.line(1).address(), net.line(2).address());
        let tunnel = Tunnel::start(&net.router, Like::WireGuard);
        tunnel.wait_for(better);
        for (fault, health) in [(Fault::Carrier, "no-carrier"), (Fault::Gateway, "down")] {
            let injected = net.inject(1, fault).unwrap();
            rail.wait_health("isp1", health, Duration::from_secs(10)).unwrap();
            if fault == Fault::Carrier {
                assert_eq!(tunnel.answers_in(SECOND), 0);
                rail.reload(&net.config(&named)).unwrap();
            }
            tunnel.wait_for(standby);
            injected.repair().unwrap();
            rail.wait_health("isp1", "up", Duration::from_secs(30)).unwrap();
            tunnel.wait_for(better);
            assert!(tunnel.answers_in(SECOND) > 0);
        }
        // Without its name it stays on the standby for as long as that works.
        let injected = net.inject(1, Fault::Carrier).unwrap();
        rail.wait_health("isp1", "no-carrier", Duration::from_secs(10)).unwrap();
        tunnel.wait_for(standby);
        rail.reload(&net.config(&unnamed)).unwrap();
        injected.repair().unwrap();
        rail.wait_health("isp1", "up", Duration::from_secs(30)).unwrap();
        rail.wait_settled(Duration::from_secs(10)).unwrap();
        assert!(tunnel.answers_in(SECOND) > 0);
        tunnel.wait_for(standby);
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}
