//! Long flows: TCP and UDP with numbered pings, and what each of them lost.
//!
//! A TCP flow sends a ping each 50 ms and a UDP flow each 10 ms. Every ping's time and the
//! time of its answer are kept, so that loss and gaps can be told for any span. TCP repeats
//! what is lost: there a loss shows as a late answer.

use crate::traffic::{TCP_PORT, TICK, UDP_PORT, connect, wait};
use crate::{LabError, Node};
use rustix::event::epoll;
use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// The protocol of a flow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// A ping each 50 ms.
    Tcp,
    /// A ping each 10 ms.
    Udp,
}

impl Protocol {
    const fn period(self) -> Duration {
        Duration::from_millis(match self {
            Self::Tcp => 50,
            Self::Udp => 10,
        })
    }
}

/// Running flows.
#[derive(Debug)]
pub struct Flows {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<io::Result<Vec<FlowReport>>>,
}

/// What became of one flow.
#[derive(Clone, Debug)]
pub struct FlowReport {
    /// Protocol.
    pub protocol: Protocol,
    /// The client's address.
    pub client: Ipv4Addr,
    /// Sources that the server saw; more than one means that the flow moved.
    pub sources: BTreeSet<Ipv4Addr>,
    /// When each ping was sent, and when it was answered.
    pub pings: Vec<(Instant, Option<Instant>)>,
    /// When and how the flow broke: a reset, a closed connection.
    pub broken: Option<(Instant, String)>,
    /// Errors that did not break it, such as ICMP unreachable on a UDP socket.
    pub errors: usize,
}

impl FlowReport {
    /// Pings that were never answered.
    pub fn lost(&self) -> usize {
        self.pings.iter().filter(|(_, answer)| answer.is_none()).count()
    }

    /// Pings sent in `from..to` that were never answered.
    pub fn lost_between(&self, from: Instant, to: Instant) -> usize {
        let inside = |sent: &Instant| *sent >= from && *sent < to;
        self.pings.iter().filter(|(sent, answer)| inside(sent) && answer.is_none()).count()
    }

    /// The longest time between two answers that follow each other; all of it for a flow that
    /// was never answered.
    pub fn longest_gap(&self) -> Duration {
        let mut answers: Vec<Instant> = self.pings.iter().filter_map(|(_, a)| *a).collect();
        answers.sort_unstable();
        let gap = answers.windows(2).map(|pair| pair[1] - pair[0]).max();
        gap.unwrap_or(Duration::MAX)
    }

    /// The only source, unless the flow moved or was never answered.
    pub fn source(&self) -> Option<Ipv4Addr> {
        if self.sources.len() == 1 { self.sources.first().copied() } else { None }
    }
}

/// Sums over flows.
#[derive(Clone, Debug, Default)]
pub struct FlowsReport {
    /// Each flow.
    pub flows: Vec<FlowReport>,
}

impl FlowsReport {
    /// The flows whose first source is, or is not, this one.
    pub fn of(&self, source: Ipv4Addr, is: bool) -> Self {
        let chosen = self.flows.iter().filter(|f| f.sources.contains(&source) == is);
        Self { flows: chosen.cloned().collect() }
    }

    /// Unanswered UDP pings.
    pub fn udp_lost(&self) -> usize {
        self.udp().map(FlowReport::lost).sum()
    }

    /// UDP pings sent.
    pub fn udp_sent(&self) -> usize {
        self.udp().map(|f| f.pings.len()).sum()
    }

    /// Flows of either protocol that broke.
    pub fn broken(&self) -> usize {
        self.flows.iter().filter(|f| f.broken.is_some()).count()
    }

    /// Flows that servers saw from more than one source.
    pub fn mixed(&self) -> usize {
        self.flows.iter().filter(|f| f.sources.len() > 1).count()
    }

    /// The longest gap of any TCP flow.
    pub fn tcp_gap(&self) -> Duration {
        let tcp = self.flows.iter().filter(|f| f.protocol == Protocol::Tcp);
        tcp.map(FlowReport::longest_gap).max().unwrap_or_default()
    }

    fn udp(&self) -> impl Iterator<Item = &FlowReport> {
        self.flows.iter().filter(|f| f.protocol == Protocol::Udp)
    }
}

impl Flows {
    /// Starts flows in a node, each from a client address to a server.
    pub fn start(node: &Node, flows: Vec<(Protocol, Ipv4Addr, SocketAddrV4)>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        Self { stop, thread: node.spawn(move || Flowing::new(flows)?.run(&seen)) }
    }

    /// Sends no more, waits half a second for late answers, and reports.
    ///
    /// # Errors
    /// When the flows could not be started.
    pub fn stop(self) -> Result<FlowsReport, LabError> {
        self.stop.store(true, Ordering::Relaxed);
        let result = self.thread.join().map_err(|_| LabError::Refused("the flows died".into()));
        let flows = result?.map_err(|e| LabError::io("start flows", e))?;
        Ok(FlowsReport { flows })
    }
}

/// Pairs of client and server for `count` flows, spread over both lists.
pub fn spread(
    protocol: Protocol,
    count: usize,
    clients: &[Ipv4Addr],
    servers: &[Ipv4Addr],
) -> Vec<(Protocol, Ipv4Addr, SocketAddrV4)> {
    let pair = |i: usize| (clients[i % clients.len()], servers[(i * 7) % servers.len()]);
    let port = match protocol {
        Protocol::Tcp => TCP_PORT,
        Protocol::Udp => UDP_PORT,
    };
    let flow = |(client, server)| (protocol, client, SocketAddrV4::new(server, port));
    (0..count).map(pair).map(flow).collect()
}

enum Socket {
    Tcp(TcpStream),
    Udp(UdpSocket),
}

struct Flow {
    socket: Socket,
    /// What arrived and is not a whole answer yet.
    rest: Vec<u8>,
    named: bool,
    report: FlowReport,
}

struct Flowing {
    poll: OwnedFd,
    flows: Vec<Flow>,
}

impl Flowing {
    fn new(plan: Vec<(Protocol, Ipv4Addr, SocketAddrV4)>) -> io::Result<Self> {
        let poll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let mut flows = Vec::new();
        for (id, (protocol, client, server)) in (0u64..).zip(plan) {
            let data = epoll::EventData::new_u64(id);
            let socket = match protocol {
                Protocol::Tcp => {
                    let stream = connect(client, server)?;
                    epoll::add(&poll, &stream, data, epoll::EventFlags::IN)?;
                    Socket::Tcp(stream)
                }
                Protocol::Udp => {
                    let socket = UdpSocket::bind(SocketAddrV4::new(client, 0))?;
                    socket.set_nonblocking(true)?;
                    socket.connect(server)?;
                    epoll::add(&poll, &socket, data, epoll::EventFlags::IN)?;
                    Socket::Udp(socket)
                }
            };
            let report = FlowReport {
                protocol,
                client,
                sources: BTreeSet::new(),
                pings: Vec::new(),
                broken: None,
                errors: 0,
            };
            flows.push(Flow { socket, rest: Vec::new(), named: false, report });
        }
        Ok(Self { poll, flows })
    }

    fn run(mut self, stop: &AtomicBool) -> io::Result<Vec<FlowReport>> {
        let start = Instant::now();
        // Staggered, so that the flows do not send all at once.
        let stagger = |id: usize| start + Duration::from_micros(700 * id as u64);
        let mut due: BinaryHeap<_> =
            (0..self.flows.len()).map(|id| Reverse((stagger(id), id))).collect();
        let mut events = Vec::with_capacity(256);
        let mut end = None;
        loop {
            let now = Instant::now();
            if end.is_none() && stop.load(Ordering::Relaxed) {
                end = Some(now + LATE);
                due.clear();
            }
            if end.is_some_and(|end| now >= end || self.all_answered()) {
                return Ok(self.flows.into_iter().map(|flow| flow.report).collect());
            }
            let mut limit = TICK;
            while let Some(Reverse((at, id))) = due.peek().copied() {
                if at > now {
                    limit = limit.min(at - now);
                    break;
                }
                due.pop();
                let flow = &mut self.flows[id];
                flow.send(now);
                if flow.report.broken.is_none() {
                    due.push(Reverse((at + flow.report.protocol.period(), id)));
                }
            }
            wait(&self.poll, &mut events, limit)?;
            for id in events.drain(..) {
                let Some(flow) = usize::try_from(id).ok().and_then(|id| self.flows.get_mut(id))
                else {
                    continue;
                };
                flow.receive();
                if flow.report.broken.is_some()
                    && let Socket::Tcp(stream) = &flow.socket
                {
                    // A dead socket is readable for ever.
                    let _ = epoll::delete(&self.poll, stream);
                }
            }
        }
    }

    fn all_answered(&self) -> bool {
        self.flows.iter().all(|flow| flow.report.broken.is_some() || flow.report.lost() == 0)
    }
}

impl Flow {
    fn send(&mut self, now: Instant) {
        if self.report.broken.is_some() {
            return;
        }
        let number = (self.report.pings.len() as u64).to_be_bytes();
        let sent = match &mut self.socket {
            Socket::Tcp(stream) => stream.write(&number),
            Socket::Udp(socket) => socket.send(&number),
        };
        match (sent, &self.socket) {
            (Ok(_), _) => {}
            // Not connected yet: the first ping waits for the next turn.
            (Err(e), Socket::Tcp(_)) if is_early(&e) => return,
            (Err(e), Socket::Tcp(_)) => {
                self.report.broken = Some((now, e.to_string()));
                return;
            }
            // The packet counts as sent and lost.
            (Err(_), Socket::Udp(_)) => self.report.errors += 1,
        }
        self.report.pings.push((now, None));
    }

    fn receive(&mut self) {
        let mut buffer = [0u8; 2048];
        loop {
            let now = Instant::now();
            let received = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(&mut buffer),
                Socket::Udp(socket) => socket.recv(&mut buffer),
            };
            match (received, &self.socket) {
                (Ok(0), Socket::Tcp(_)) => self.report.broken = Some((now, "closed".into())),
                (Ok(length), Socket::Tcp(_)) => {
                    self.rest.extend_from_slice(&buffer[..length]);
                    self.take_stream(now);
                    continue;
                }
                (Ok(length), Socket::Udp(_)) => {
                    self.take_datagram(now, &buffer[..length]);
                    continue;
                }
                (Err(e), _) if is_early(&e) => {}
                (Err(e), Socket::Tcp(_)) => self.report.broken = Some((now, e.to_string())),
                (Err(_), Socket::Udp(_)) => {
                    self.report.errors += 1;
                    continue;
                }
            }
            return;
        }
    }

    fn take_stream(&mut self, now: Instant) {
        if !self.named {
            let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') else { return };
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            self.note_source(&line);
            self.named = true;
        }
        while let Some((number, _)) = self.rest.split_first_chunk::<8>() {
            let number = u64::from_be_bytes(*number);
            self.rest.drain(..8);
            self.answer(number, now);
        }
    }

    fn take_datagram(&mut self, now: Instant, datagram: &[u8]) {
        if let Some((number, source)) = datagram.split_first_chunk::<8>() {
            self.note_source(source);
            self.answer(u64::from_be_bytes(*number), now);
        }
    }

    fn note_source(&mut self, text: &[u8]) {
        if let Ok(source) = String::from_utf8_lossy(text).trim().parse() {
            self.report.sources.insert(source);
        }
    }

    fn answer(&mut self, number: u64, now: Instant) {
        let ping = usize::try_from(number).ok().and_then(|n| self.report.pings.get_mut(n));
        if let Some((_, answer @ None)) = ping {
            *answer = Some(now);
        }
    }
}

fn is_early(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected)
}

/// How long answers are awaited at the end.
const LATE: Duration = Duration::from_millis(500);
