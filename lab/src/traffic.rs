//! What clients see: servers that say which source they saw, and a connector that opens
//! one new TCP connection each period.
//!
//! The server writes the peer's address into its reply, so the client knows the uplink of
//! every connection. The connector never waits for a connection, unless its plan says how
//! many may be open at once: the schedule is kept whatever happens to earlier ones. A connection fails if it is not answered within the
//! time-out, which is shorter than the first repetition of a SYN (1 s); repetition would
//! hide an outage. Connections are closed by RST, so none of them lingers.

use crate::{LabError, Node};
use rustix::event::{Timespec, epoll};
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Port of the TCP servers.
pub const TCP_PORT: u16 = 7000;
/// Port of the UDP servers.
pub const UDP_PORT: u16 = 7001;

/// Echo servers; each TCP connection begins with a line that names the peer.
#[derive(Debug)]
pub struct Servers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Servers {
    /// Starts TCP and UDP servers of a node; `addresses` are those that answer UDP.
    ///
    /// # Errors
    /// When a socket cannot be bound.
    pub fn start(node: &Node, addresses: &[Ipv4Addr]) -> Result<Self, LabError> {
        let mut servers = Self::tcp(node, SocketAddr::from((Ipv4Addr::UNSPECIFIED, TCP_PORT)))?;
        let bound: io::Result<Vec<UdpSocket>> = node.enter(|| {
            addresses.iter().map(|a| UdpSocket::bind(SocketAddrV4::new(*a, UDP_PORT))).collect()
        });
        let sockets = bound.map_err(|e| LabError::io("bind the UDP servers", e))?;
        let stop = Arc::clone(&servers.stop);
        servers.threads.push(node.spawn(move || {
            let _ = serve_udp(&sockets, &stop);
        }));
        Ok(servers)
    }

    /// Starts a TCP server alone.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn tcp(node: &Node, address: SocketAddr) -> Result<Self, LabError> {
        let listener = node
            .enter(|| TcpListener::bind(address))
            .map_err(|e| LabError::io(format!("listen on {address} in {}", node.name()), e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = node.spawn(move || {
            let _ = serve_tcp(&listener, &seen);
        });
        Ok(Self { stop, threads: vec![thread] })
    }
}

impl Drop for Servers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve_tcp(listener: &TcpListener, stop: &AtomicBool) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    epoll::add(&poll, listener, epoll::EventData::new_u64(0), epoll::EventFlags::IN)?;
    let mut open: HashMap<u64, TcpStream> = HashMap::new();
    let mut next = 1;
    let mut buffer = [0u8; 4096];
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        wait(&poll, &mut events, TICK)?;
        for id in events.drain(..) {
            if id == 0 {
                while let Ok((mut stream, peer)) = listener.accept() {
                    stream.set_nonblocking(true)?;
                    let _ = rustix::net::sockopt::set_tcp_nodelay(&stream, true);
                    let _ = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                    let _ = stream.write_all(format!("{}\n", peer.ip().to_canonical()).as_bytes());
                    let data = epoll::EventData::new_u64(next);
                    epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
                    open.insert(next, stream);
                    next += 1;
                }
            } else if let Some(stream) = open.get_mut(&id) {
                match stream.read(&mut buffer) {
                    Ok(length) if length > 0 => drop(stream.write_all(&buffer[..length])),
                    Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
                    _ => drop(open.remove(&id)),
                }
            }
        }
    }
    Ok(())
}

fn serve_udp(sockets: &[UdpSocket], stop: &AtomicBool) -> io::Result<()> {
    let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
    for (id, socket) in (0u64..).zip(sockets) {
        socket.set_nonblocking(true)?;
        epoll::add(&poll, socket, epoll::EventData::new_u64(id), epoll::EventFlags::IN)?;
    }
    let mut buffer = [0u8; 2048];
    let mut events = Vec::with_capacity(256);
    while !stop.load(Ordering::Relaxed) {
        wait(&poll, &mut events, TICK)?;
        for id in events.drain(..) {
            let socket = usize::try_from(id).ok().and_then(|id| sockets.get(id));
            let Some(socket) = socket else { continue };
            while let Ok((length, peer)) = socket.recv_from(&mut buffer) {
                let mut reply = buffer[..length.min(8)].to_vec();
                reply.extend_from_slice(peer.ip().to_string().as_bytes());
                let _ = socket.send_to(&reply, peer);
            }
        }
    }
    Ok(())
}

/// Waits for events and appends their data.
pub(crate) fn wait(poll: &OwnedFd, events: &mut Vec<u64>, limit: Duration) -> io::Result<()> {
    let limit = Timespec::try_from(limit).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut buffer =
        [epoll::Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) };
            128];
    match epoll::wait(poll, &mut buffer[..], Some(&limit)) {
        Ok(count) => events.extend(buffer[..count].iter().map(|event| {
            let data = event.data;
            data.u64()
        })),
        Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    Ok(())
}

/// How the connector behaves.
#[derive(Clone, Debug)]
pub struct ConnectorPlan {
    /// Client addresses, used in turn.
    pub sources: Vec<Ipv4Addr>,
    /// Servers, used in turn; both lists together spread over many pairs.
    pub servers: Vec<SocketAddrV4>,
    /// Time between two new connections.
    pub period: Duration,
    /// When a connection has failed.
    pub timeout: Duration,
    /// Stops by itself after this many.
    pub count: Option<usize>,
    /// Connections that may be open at once; a busy machine then opens them more slowly.
    pub at_once: usize,
}

impl ConnectorPlan {
    /// A new connection each 10 ms, failed after 300 ms.
    pub fn new(sources: Vec<Ipv4Addr>, servers: &[Ipv4Addr]) -> Self {
        Self {
            sources,
            servers: servers.iter().map(|a| SocketAddrV4::new(*a, TCP_PORT)).collect(),
            period: Duration::from_millis(10),
            timeout: Duration::from_millis(300),
            count: None,
            at_once: usize::MAX,
        }
    }
}

/// One connection that was tried.
#[derive(Clone, Debug)]
pub struct Attempt {
    /// When it was due.
    pub at: Instant,
    /// The client's address.
    pub client: Ipv4Addr,
    /// The source that the server saw and the time to its reply; or why it failed.
    pub outcome: Result<(Ipv4Addr, Duration), String>,
}

/// A running connector.
#[derive(Debug)]
pub struct Connector {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicUsize>,
    thread: JoinHandle<io::Result<Vec<Attempt>>>,
}

impl Connector {
    /// Starts it in a node.
    pub fn start(node: &Node, plan: ConnectorPlan) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let done = Arc::new(AtomicUsize::new(0));
        let (seen, counted) = (Arc::clone(&stop), Arc::clone(&done));
        let thread = node.spawn(move || Connecting::new(plan)?.run(&seen, &counted));
        Self { stop, done, thread }
    }

    /// Connections that have ended, well or badly, so far.
    pub fn ended(&self) -> usize {
        self.done.load(Ordering::Relaxed)
    }

    /// Opens no more, waits for the open ones, and reports.
    ///
    /// # Errors
    /// When the connector itself failed, for example for want of descriptors.
    pub fn stop(self) -> Result<ConnectorReport, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        self.finish()
    }

    /// Waits until the planned count is reached.
    ///
    /// # Errors
    /// As [`Connector::stop`].
    pub fn finish(self) -> Result<ConnectorReport, LabError> {
        let result = self.thread.join().map_err(|_| LabError::Refused("the connector died".into()));
        let mut attempts = result?.map_err(|e| LabError::io("open connections", e))?;
        attempts.sort_by_key(|attempt| attempt.at);
        Ok(ConnectorReport { attempts })
    }
}

/// What became of all connections, by time.
#[derive(Clone, Debug, Default)]
pub struct ConnectorReport {
    /// In the order in which they were due.
    pub attempts: Vec<Attempt>,
}

impl ConnectorReport {
    /// Number of failed connections.
    pub fn failed(&self) -> usize {
        self.attempts.iter().filter(|a| a.outcome.is_err()).count()
    }

    /// Failed connections that were due in `from..to`.
    pub fn failed_between(&self, from: Instant, to: Instant) -> usize {
        let inside = |a: &&Attempt| a.at >= from && a.at < to;
        self.attempts.iter().filter(inside).filter(|a| a.outcome.is_err()).count()
    }

    /// From a fault to the start of the last connection that failed; zero if none did.
    pub fn last_failed_after(&self, fault: Instant) -> Duration {
        let failed = self.attempts.iter().rev().find(|a| a.outcome.is_err());
        failed.map_or(Duration::ZERO, |a| a.at.saturating_duration_since(fault))
    }

    /// From a moment to the start of the last connection of `from..to` that failed.
    pub fn last_failed_between(&self, from: Instant, to: Instant) -> Duration {
        let mut failed = self.attempts.iter().rev().filter(|a| a.outcome.is_err());
        let last = failed.find(|a| a.at >= from && a.at < to);
        last.map_or(Duration::ZERO, |a| a.at.saturating_duration_since(from))
    }

    /// The longest time between two successful connections that follow each other.
    pub fn longest_gap(&self) -> Duration {
        let good: Vec<_> = self.attempts.iter().filter(|a| a.outcome.is_ok()).collect();
        let gaps = good.windows(2).map(|pair| pair[1].at - pair[0].at);
        gaps.max().unwrap_or(Duration::MAX)
    }

    /// Connections per source that the servers saw.
    pub fn by_source(&self) -> BTreeMap<Ipv4Addr, usize> {
        self.by_source_between(None, None)
    }

    /// As [`ConnectorReport::by_source`], of those due in a time; an open end is unbounded.
    pub fn by_source_between(
        &self,
        from: Option<Instant>,
        to: Option<Instant>,
    ) -> BTreeMap<Ipv4Addr, usize> {
        let mut shares = BTreeMap::new();
        for attempt in &self.attempts {
            let inside = from.is_none_or(|t| attempt.at >= t) && to.is_none_or(|t| attempt.at < t);
            if let (true, Ok((source, _))) = (inside, &attempt.outcome) {
                *shares.entry(*source).or_insert(0) += 1;
            }
        }
        shares
    }

    /// The largest deviation from the weights, in percentage points; `sources` belong to the
    /// weights in order. A source that is not among them counts as 100 points.
    pub fn deviation(&self, sources: &[Ipv4Addr], weights: &[u32]) -> f64 {
        deviation(&self.by_source(), sources, weights)
    }

    /// Why connections failed, with counts.
    pub fn reasons(&self) -> BTreeMap<String, usize> {
        let mut reasons = BTreeMap::new();
        for reason in self.attempts.iter().filter_map(|a| a.outcome.as_ref().err()) {
            *reasons.entry(reason.clone()).or_insert(0) += 1;
        }
        reasons
    }
}

/// The largest deviation of counts from weights, in percentage points.
pub fn deviation(counts: &BTreeMap<Ipv4Addr, usize>, sources: &[Ipv4Addr], weights: &[u32]) -> f64 {
    if counts.is_empty() || counts.keys().any(|source| !sources.contains(source)) {
        return 100.0;
    }
    let all: usize = counts.values().sum();
    let sum: u32 = weights.iter().sum();
    let share = |source: &Ipv4Addr| *counts.get(source).unwrap_or(&0) as f64 / all as f64;
    let off = |(source, weight): (&Ipv4Addr, &u32)| {
        (share(source) - f64::from(*weight) / f64::from(sum)).abs() * 100.0
    };
    sources.iter().zip(weights).map(off).fold(0.0, f64::max)
}

/// A connection that waits for the server's line.
struct Open {
    stream: TcpStream,
    at: Instant,
    begun: Instant,
    client: Ipv4Addr,
    line: Vec<u8>,
}

struct Connecting {
    plan: ConnectorPlan,
    poll: OwnedFd,
    open: HashMap<u64, Open>,
    deadlines: VecDeque<(Instant, u64)>,
    attempts: Vec<Attempt>,
    begun: u64,
}

impl Connecting {
    fn new(plan: ConnectorPlan) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let (open, deadlines) = (HashMap::new(), VecDeque::new());
        Ok(Self { plan, poll, open, deadlines, attempts: Vec::new(), begun: 0 })
    }

    fn run(mut self, stop: &AtomicBool, done: &AtomicUsize) -> io::Result<Vec<Attempt>> {
        let mut next = Instant::now();
        let mut events = Vec::with_capacity(256);
        loop {
            let enough = self.plan.count.is_some_and(|count| self.begun >= count as u64);
            let closing = enough || stop.load(Ordering::Relaxed);
            if closing && self.open.is_empty() {
                return Ok(self.attempts);
            }
            let waits = closing || self.open.len() >= self.plan.at_once;
            let now = Instant::now();
            if !waits && now >= next {
                self.begin(next);
                next += self.plan.period;
                continue;
            }
            self.expire(now);
            let mut limit = TICK;
            if !waits {
                limit = limit.min(next.saturating_duration_since(now));
            }
            if let Some((deadline, _)) = self.deadlines.front() {
                limit = limit.min(deadline.saturating_duration_since(now));
            }
            wait(&self.poll, &mut events, limit)?;
            for id in events.drain(..) {
                self.hear(id);
            }
            done.store(self.attempts.len(), Ordering::Relaxed);
        }
    }

    fn begin(&mut self, at: Instant) {
        let index = usize::try_from(self.begun).unwrap_or(0);
        let client = self.plan.sources[index % self.plan.sources.len()];
        // Another step for the servers, so that all pairs are met even for equal lengths.
        let round = index / self.plan.sources.len();
        let server = self.plan.servers[(index + round) % self.plan.servers.len()];
        let (id, begun) = (self.begun, Instant::now());
        self.begun += 1;
        let watched = connect(client, server).and_then(|stream| {
            let data = epoll::EventData::new_u64(id);
            epoll::add(&self.poll, &stream, data, epoll::EventFlags::IN)?;
            Ok(stream)
        });
        match watched {
            Ok(stream) => {
                self.deadlines.push_back((begun + self.plan.timeout, id));
                self.open.insert(id, Open { stream, at, begun, client, line: Vec::new() });
            }
            Err(e) => self.attempts.push(Attempt { at, client, outcome: Err(e.to_string()) }),
        }
    }

    fn expire(&mut self, now: Instant) {
        while self.deadlines.front().is_some_and(|(deadline, _)| *deadline <= now) {
            let Some((_, id)) = self.deadlines.pop_front() else { break };
            // What arrived while this thread waited for a processor arrived in time.
            self.hear(id);
            if let Some(open) = self.open.remove(&id) {
                self.end(&open, Err("timed out".into()));
            }
        }
    }

    fn hear(&mut self, id: u64) {
        let Some(open) = self.open.get_mut(&id) else { return };
        let mut buffer = [0u8; 64];
        let outcome = match open.stream.read(&mut buffer) {
            Ok(0) => Err("closed".into()),
            Ok(length) => {
                open.line.extend_from_slice(&buffer[..length]);
                if !open.line.ends_with(b"\n") {
                    return;
                }
                let text = String::from_utf8_lossy(&open.line);
                let seen = text.trim().parse().map_err(|_| format!("unexpected reply {text:?}"));
                seen.map(|source| (source, open.begun.elapsed()))
            }
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => return,
            Err(e) if e.kind() == io::ErrorKind::NotConnected => return,
            Err(e) => Err(e.to_string()),
        };
        if let Some(open) = self.open.remove(&id) {
            self.end(&open, outcome);
        }
    }

    fn end(&mut self, open: &Open, outcome: Result<(Ipv4Addr, Duration), String>) {
        self.attempts.push(Attempt { at: open.at, client: open.client, outcome });
    }
}

/// Begins a connection without waiting for it.
///
/// # Errors
/// What connect answers, except that it is under way.
pub fn connect(source: Ipv4Addr, server: SocketAddrV4) -> io::Result<TcpStream> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = rustix::net::socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    rustix::net::sockopt::set_socket_linger(&fd, Some(Duration::ZERO))?;
    rustix::net::sockopt::set_tcp_nodelay(&fd, true)?;
    rustix::net::bind(&fd, &SocketAddrV4::new(source, 0))?;
    match rustix::net::connect(&fd, &server) {
        Ok(()) | Err(rustix::io::Errno::INPROGRESS) => Ok(TcpStream::from(fd)),
        Err(e) => Err(e.into()),
    }
}

/// How soon a thread notices that it shall stop.
pub(crate) const TICK: Duration = Duration::from_millis(50);
