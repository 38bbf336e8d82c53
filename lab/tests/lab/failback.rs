//! What becomes of connections on a standby when the better uplink carries again, by `on_failback`; the
//! table in `docs/uplinks.md` is held to it.

use rail_lab::flows::{Protocol, spread};
use rail_lab::topology::servers;
use rail_lab::traffic::{TCP_PORT, UDP_PORT};
use rail_lab::{
    ConfigText, Fault, FlowReport, Flows, FlowsReport, Node, Plan, Servers, World, eventually,
    figures, isolated,
};
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const PAGE: &str = include_str!("../../../docs/uplinks.md");
const INSIDE: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 60);
const DRAIN: Duration = Duration::from_secs(3);
const SECOND: Duration = Duration::from_secs(1);

/// A program of the router that sends from a port of its own and leaves the source to the kernel, as
/// OpenVPN does; what the server sees.
struct Tunnel {
    seen: Arc<AtomicU32>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Tunnel {
    fn start(node: &Node) -> Self {
        let socket = node.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 1194))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let (seen, stop) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
        let (sees, stops) = (Arc::clone(&seen), Arc::clone(&stop));
        let thread = node.spawn(move || {
            let mut answer = [0; 64];
            while !stops.load(Ordering::Relaxed) {
                // Without a way it is not sent.
                let _ = socket.send_to(&[0; 8], (OUTSIDE, UDP_PORT));
                let Ok(length) = socket.recv(&mut answer) else { continue };
                let source: Ipv4Addr = String::from_utf8_lossy(&answer[8..length]).parse().unwrap();
                sees.store(source.into(), Ordering::Relaxed);
            }
        });
        Self { seen, stop, thread: Some(thread) }
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

fn text(on_failback: &str) -> ConfigText {
    let standby = format!("2\non_failback = \"{on_failback}\"");
    let forward = |protocol: &str, port: u16| {
        format!("[[forward]]\nprotocol = \"{protocol}\"\nport = {port}\nto = \"{INSIDE}\"\n")
    };
    ConfigText {
        tiers: vec!["1", Box::leak(standby.into_boxed_str())],
        check: "recover_after = 3\n".into(),
        rest: forward("tcp", TCP_PORT) + &forward("udp", UDP_PORT),
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

#[test]
fn connections_go_back_as_the_file_says() {
    isolated(|| {
        // given long connections on a standby: of clients, of the router's own, and some that came in /
        // when the better uplink carries again / then each becomes what the page says
        let world = World::start(&Plan::new(2), &text("keep")).unwrap();
        let (net, rail) = (&world.topology, &world.rail);
        let _inside = Servers::start(&net.client, &[INSIDE]).unwrap();
        let tunnel = Tunnel::start(&net.router);
        let (better, standby) = (net.line(1).address(), net.line(2).address());
        tunnel.wait_for(better);
        for (wanted, time) in
            [("keep", SECOND), ("cut-udp", SECOND), ("cut", SECOND), ("drain 3s", DRAIN)]
        {
            rail.reload(&net.config(&text(wanted))).unwrap();
            let injected = net.inject(1, Fault::Carrier).unwrap();
            rail.wait_health("isp1", "no-carrier", Duration::from_secs(5)).unwrap();
            tunnel.wait_for(standby);
            let (clients, servers) = (net.clients(), servers());
            let mut plan = spread(Protocol::Tcp, 4, &clients, &servers);
            plan.extend(spread(Protocol::Udp, 4, &clients, &servers));
            let out = Flows::start(&net.client, plan);
            let to = |port| SocketAddrV4::new(standby, port);
            let plan = vec![
                (Protocol::Tcp, OUTSIDE, to(TCP_PORT)),
                (Protocol::Udp, OUTSIDE, to(UDP_PORT)),
            ];
            let came_in = Flows::start(&net.internet, plan);
            thread::sleep(SECOND);
            injected.repair().unwrap();
            rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
            let back = Instant::now();
            tunnel.wait_for(better);
            thread::sleep(time + 3 * SECOND);
            let (out, came_in) = (out.stop().unwrap(), came_in.stop().unwrap());
            let lost = came_in.flows.iter().filter(|f| f.broken.is_some() || f.lost() > 0).count();
            let [tcp, udp] = [Protocol::Tcp, Protocol::Udp].map(|of| fate(&out, of, back));
            let row = format!("| `\"{wanted}\"` | {tcp} | {udp} | stays | follows |");
            figures(&format!("{row} {lost} of 2 that came in lost something"));
            assert_eq!(lost, 0, "{wanted}");
            assert!(PAGE.contains(&row), "docs/uplinks.md lacks: {row}");
            rail.forget_falls("isp1", Duration::from_secs(15)).unwrap();
        }
        assert_eq!(net.wrong_sources().unwrap(), 0);
    });
}
