//! Who watches while daemons die: the LAN, the internet, and clients with connections.

use super::operation::Operation;
use rail_lab::{Connector, ConnectorPlan, Flows, Line, Topology, eventually, flows, topology};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long this process was held up at worst since it was last asked: on a machine that is busy
/// or paused nobody can tell a lost packet from a late look.
pub(crate) struct Pulse(Arc<AtomicU64>);

impl Pulse {
    pub(crate) fn start() -> Self {
        let worst = Arc::new(AtomicU64::new(0));
        let seen = Arc::clone(&worst);
        std::thread::spawn(move || {
            loop {
                let begun = Instant::now();
                std::thread::sleep(PERIOD);
                let took = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
                seen.fetch_max(took, Ordering::Relaxed);
            }
        });
        Self(worst)
    }

    pub(crate) fn worst(&self) -> Duration {
        Duration::from_millis(self.0.swap(0, Ordering::Relaxed))
    }
}

/// What tells the host that it has read all before.
const MARK: &[u8] = b"mark";

/// Each provider sends datagrams to a host of the LAN, by way of the router's address. Answers
/// are not waited for: who is heard inside has got in.
pub(crate) struct Intruders {
    sent: Arc<AtomicUsize>,
    heard: Arc<AtomicUsize>,
    /// Marks of our own that the host has read.
    marked: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Intruders {
    /// Starts them, and proves that they would be heard.
    pub(crate) fn start(topology: &Topology, operation: Operation) -> Self {
        // An interface that no uplink names is not ours to guard.
        let is_guarded = |line: &&Line| {
            line.number != 2 || !matches!(operation, Operation::Add | Operation::Remove)
        };
        let (sent, heard) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let host = topology.client.enter(|| UdpSocket::bind(HOST)).unwrap();
        host.set_read_timeout(Some(PERIOD)).unwrap();
        let marked = Arc::new(AtomicUsize::new(0));
        let (count, marks, end) = (Arc::clone(&heard), Arc::clone(&marked), Arc::clone(&stop));
        let mut threads = vec![std::thread::spawn(move || {
            while !end.load(Ordering::Relaxed) {
                let mut buffer = [0; 64];
                let got = host.recv(&mut buffer).map(|length| &buffer[..length]);
                match got {
                    Ok(MARK) => marks.fetch_add(1, Ordering::Relaxed),
                    Ok(_) => count.fetch_add(1, Ordering::Relaxed),
                    Err(_) => 0,
                };
            }
        })];
        for line in topology.lines.iter().filter(is_guarded) {
            let way = format!("route add 192.168.1.0/24 via {}\n", line.address());
            line.isp.ip_batch(&way).unwrap();
            let from = line.isp.enter(|| UdpSocket::bind((line.gateway(), 0))).unwrap();
            let (count, end) = (Arc::clone(&sent), Arc::clone(&stop));
            threads.push(std::thread::spawn(move || {
                while !end.load(Ordering::Relaxed) {
                    // Always from one port: as nobody answers, each is the first of its flow.
                    count.fetch_add(1, Ordering::Relaxed);
                    let _ = from.send_to(b"let me in", HOST);
                    std::thread::sleep(PERIOD);
                }
            }));
        }
        let intruders = Self { sent, heard, marked, stop, threads };
        intruders.prove(topology);
        intruders
    }

    /// The control: through a router that forwards and filters nothing they get in.
    fn prove(&self, topology: &Topology) {
        let router = &topology.router;
        router.ip_batch("addr add 100.64.3.2/24 dev wan3\n").unwrap();
        router.set("net/ipv4/ip_forward", "1").unwrap();
        eventually(Duration::from_secs(10), "the intruders to get into an open router", || {
            let heard = self.heard.load(Ordering::Relaxed);
            if heard > 0 { Ok(()) } else { Err(heard) }
        });
        router.set("net/ipv4/ip_forward", "0").unwrap();
        router.ip_batch("addr del 100.64.3.2/24 dev wan3\n").unwrap();
        // What was under way has arrived when nothing more comes for some periods; and the host, which
        // may wait for a processor, has read it all when it has read a mark that came behind it.
        let mark = topology.client.enter(|| UdpSocket::bind((CLIENT, 0))).unwrap();
        eventually(Duration::from_secs(10), "silence", || {
            let goal = self.sent.load(Ordering::Relaxed) + 20;
            while self.sent.load(Ordering::Relaxed) < goal {
                std::thread::sleep(PERIOD);
            }
            let before = self.marked.load(Ordering::Relaxed);
            mark.send_to(MARK, HOST).unwrap();
            eventually(Duration::from_secs(5), "the mark", || {
                let marked = self.marked.load(Ordering::Relaxed);
                if marked > before { Ok(()) } else { Err(marked) }
            });
            let heard = self.heard.swap(0, Ordering::Relaxed);
            if heard == 0 { Ok(()) } else { Err(heard) }
        });
    }

    /// How many were sent; none was heard.
    pub(crate) fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            thread.join().unwrap();
        }
        assert_eq!(self.heard.load(Ordering::Relaxed), 0, "somebody got in from outside");
        self.sent.load(Ordering::Relaxed)
    }
}

/// Connections of clients through the router, over one point.
pub(crate) struct Traffic {
    ssh: Connector,
    connector: Connector,
    flows: Flows,
    homes: BTreeMap<Ipv4Addr, Ipv4Addr>,
}

/// What they count.
#[derive(Default)]
pub(crate) struct Counts {
    attempts: usize,
    on_victim: usize,
    datagrams: usize,
    ssh: usize,
}

impl Traffic {
    /// Learns the uplink of each client, and starts.
    pub(crate) fn start(topology: &Topology) -> Self {
        let clients = topology.clients();
        let plan = ConnectorPlan { timeout: PATIENCE, ..plan(topology) };
        let first = ConnectorPlan {
            count: Some(clients.len()),
            period: Duration::from_millis(1),
            ..plan.clone()
        };
        let report = Connector::start(&topology.client, first).finish().unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let home = |a: &rail_lab::traffic::Attempt| Some((a.client, a.outcome.as_ref().ok()?.0));
        let homes = report.attempts.iter().filter_map(home).collect();
        let servers = topology::servers();
        let mut pairs = flows::spread(flows::Protocol::Tcp, 10, &clients, &servers);
        pairs.extend(flows::spread(flows::Protocol::Udp, 10, &clients, &servers));
        let flows = Flows::start(&topology.client, pairs);
        let connector = Connector::start(&topology.client, plan);
        let traffic = Self { ssh: ask_for_ssh(topology), connector, flows, homes };
        traffic.wait_for(20);
        traffic
    }

    /// Waits until this many more connections have ended.
    pub(crate) fn wait_for(&self, more: usize) {
        let goal = self.connector.ended() + more;
        eventually(Duration::from_secs(30), "connections", || {
            let ended = self.connector.ended();
            if ended >= goal { Ok(()) } else { Err(ended) }
        });
    }

    /// Ends. The clients of other uplinks than the victim noticed nothing at any time; once all was
    /// settled nobody did; and SSH from the LAN was never refused.
    pub(crate) fn judge(
        self,
        victim: Option<Ipv4Addr>,
        settled: Instant,
        counts: &mut Counts,
    ) -> Result<(), String> {
        let ssh = judge_ssh(self.ssh, counts);
        let report = self.connector.stop().unwrap();
        let flows = self.flows.stop().unwrap();
        let mut unfit = Vec::new();
        for attempt in &report.attempts {
            let home = self.homes.get(&attempt.client);
            let on_victim = victim.is_some() && home == victim.as_ref();
            counts.on_victim += usize::from(on_victim);
            if attempt.outcome.is_err() && (!on_victim || attempt.at >= settled) {
                let late = attempt.at.saturating_duration_since(settled);
                let early = settled.saturating_duration_since(attempt.at);
                unfit.push((attempt.client, home, late, early, &attempt.outcome));
            }
        }
        let healthy = match victim {
            Some(source) => flows.of(source, false),
            None => flows,
        };
        counts.attempts += report.attempts.len();
        counts.datagrams += healthy.udp_sent();
        if !unfit.is_empty() {
            return Err(format!("client, line, after and before all was settled: {unfit:?}"));
        }
        let noticed = (healthy.udp_lost(), healthy.broken(), healthy.mixed());
        if noticed != (0, 0, 0) {
            return Err(format!("flows: lost, broken, moved: {noticed:?}"));
        }
        ssh
    }
}

/// Opens connections to the router's port 22 from the LAN.
pub(crate) fn ask_for_ssh(topology: &Topology) -> Connector {
    let plan = ConnectorPlan {
        sources: vec![CLIENT],
        servers: vec![SSH],
        timeout: PATIENCE,
        ..ConnectorPlan::new(Vec::new(), &[])
    };
    Connector::start(&topology.client, plan)
}

/// None of them failed.
pub(crate) fn judge_ssh(connector: Connector, counts: &mut Counts) -> Result<(), String> {
    let report = connector.stop().unwrap();
    counts.ssh += report.attempts.len();
    match report.failed() {
        0 => Ok(()),
        _ => Err(format!("SSH from the LAN: {:?}", report.reasons())),
    }
}

impl Counts {
    /// In words; it is an error if nothing was proved.
    pub(crate) fn told(&self, traffic: bool, victim: bool) -> String {
        assert!(self.ssh > 0, "nobody asked for SSH");
        let ssh = format!("SSH from the LAN: 0 of {} failed", self.ssh);
        if !traffic {
            return ssh;
        }
        assert!(self.attempts > 0 && self.datagrams > 0, "no traffic");
        assert!(!victim || self.on_victim > 0, "no client on the victim");
        assert!(self.on_victim < self.attempts, "all clients on the victim");
        format!(
            "of healthy lines 0 of {} connections failed, 0 of {} datagrams lost; {ssh}",
            self.attempts - self.on_victim,
            self.datagrams
        )
    }
}

/// From all clients to all servers.
pub(crate) fn plan(topology: &Topology) -> ConnectorPlan {
    ConnectorPlan::new(topology.clients(), &topology::servers())
}

/// Less than the first repetition of a SYN, much more than a busy machine needs.
const PATIENCE: Duration = Duration::from_millis(900);

/// Between two datagrams of an intruder.
const PERIOD: Duration = Duration::from_millis(10);
const CLIENT: Ipv4Addr = Ipv4Addr::new(192, 168, 1, 10);
pub(crate) const SSH: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(192, 168, 1, 1), 22);
const HOST: SocketAddrV4 = SocketAddrV4::new(CLIENT, 80);
