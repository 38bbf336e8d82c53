//! Who asks for names, and who knows them all.

use rail_lab::{LabError, Node};
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Hosts that ask at the same time, and the questions of each that wait.
const HOSTS: usize = 4;
const WAITING: usize = 25;
/// Names that come again and again: all fit into the cache.
const KNOWN: u64 = 1000;
/// A question that has no answer by then is lost.
const LATE: Duration = Duration::from_millis(200);
/// How names begin that are asked for once.
const NEW: u8 = b'n';
const PORT: u16 = 53;
/// Identifier, flags and counts.
const HEADER: usize = 12;

/// Which names are asked for.
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) enum Load {
    /// Names that dnsmasq knows.
    Known,
    /// Each name once.
    New,
}

/// A resolver that answers each question for a name with an address, for an hour if it is a known name.
pub(crate) struct Resolver {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Resolver {
    /// Starts one on all addresses of a node.
    pub(crate) fn start(node: &Node) -> Result<Self, LabError> {
        let socket = node.enter(|| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, PORT)));
        let socket = socket.map_err(|e| LabError::io("listen for questions", e))?;
        socket.set_read_timeout(Some(LATE)).map_err(|e| LabError::io("set a timeout", e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let is_over = stop.clone();
        let thread = std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while !is_over.load(Ordering::Relaxed) {
                let Ok((length, from)) = socket.recv_from(&mut buffer) else { continue };
                if let Some(answer) = answer(&buffer[..length]) {
                    let _ = socket.send_to(&answer, from);
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The question, and behind it one address; what else was in the message is left out.
fn answer(question: &[u8]) -> Option<Vec<u8>> {
    let name = question.get(HEADER..)?.iter().position(|byte| *byte == 0)?;
    let mut out = question.get(..HEADER + name + 5)?.to_vec();
    // An answer, and the asked one recurses; one question, one answer.
    out[2] |= 0x80;
    out[3] = 0x80;
    out[4..HEADER].copy_from_slice(&[0, 1, 0, 1, 0, 0, 0, 0]);
    // A new name is for nobody else, and leaves the others in the cache.
    let hour = if question.get(HEADER + 1) == Some(&NEW) { [0, 0] } else { [0x0e, 0x10] };
    // The name of the question, A, IN, the time to live, four bytes.
    out.extend([0xc0, HEADER as u8, 0, 1, 0, 1, 0, 0]);
    out.extend(hour);
    out.extend([0, 4, 198, 51, 100, 7]);
    Some(out)
}

fn question(id: u16, name: &str) -> Vec<u8> {
    let mut out = id.to_be_bytes().to_vec();
    // Recursion is desired; one question.
    out.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in name.split('.') {
        out.push(label.len() as u8);
        out.extend(label.as_bytes());
    }
    out.extend([0, 0, 1, 0, 1]);
    out
}

/// One question for a name that nobody knows yet.
pub(crate) fn is_answered(client: &Node, to: Ipv4Addr) -> bool {
    client.enter(|| host(to, LATE, std::iter::once(new_name()))).0 > 0
}

/// Asks for `time`, each host as fast as answers come; answers a second, and how many were lost.
pub(crate) fn ask(client: &Node, to: Ipv4Addr, load: Load, time: Duration) -> (f64, u64) {
    let asking = |offset: u64| {
        let next = move |n: u64| match load {
            Load::Known => known_name(n + offset),
            Load::New => new_name(),
        };
        client.enter(|| host(to, time, (0..).map(next)))
    };
    if load == Load::Known {
        client.enter(|| host(to, Duration::from_secs(10), (0..KNOWN).map(known_name)));
    }
    let all = std::thread::scope(|scope| {
        let offsets = (0..HOSTS as u64).map(|n| n * KNOWN / HOSTS as u64);
        let hosts: Vec<_> = offsets.map(|offset| scope.spawn(move || asking(offset))).collect();
        hosts.into_iter().filter_map(|host| host.join().ok()).collect::<Vec<_>>()
    });
    let (answers, lost) = all.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    (answers as f64 / time.as_secs_f64(), lost)
}

fn known_name(n: u64) -> String {
    format!("k{}.bench.test", n % KNOWN)
}

fn new_name() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    format!("{}{}.bench.test", char::from(NEW), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// One host, with so many questions waiting until the time is over or there is no name left: how many were answered
/// in that time, and how many never.
fn host(to: Ipv4Addr, time: Duration, names: impl Iterator<Item = String>) -> (u64, u64) {
    let Ok(socket) = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)) else { return (0, 0) };
    if socket.connect((to, PORT)).is_err() || socket.set_read_timeout(Some(LATE)).is_err() {
        return (0, 0);
    }
    let (mut waiting, mut answers, mut lost) = (0, 0, 0);
    let mut buffer = [0; 512];
    let start = Instant::now();
    let mut questions = names.zip((0..=u16::MAX).cycle());
    loop {
        let in_time = start.elapsed() < time;
        while in_time
            && waiting < WAITING
            && let Some((name, id)) = questions.next()
        {
            // What cannot be sent is lost as well.
            let _ = socket.send(&question(id, &name));
            waiting += 1;
        }
        if waiting == 0 {
            return (answers, lost);
        }
        match socket.recv(&mut buffer) {
            Ok(length) => {
                waiting -= 1;
                // With an address, not a refusal.
                let is_good = length > HEADER && buffer[7] == 1;
                answers += u64::from(is_good && in_time);
                lost += u64::from(!is_good);
            }
            Err(_) => {
                lost += waiting as u64;
                waiting = 0;
            }
        }
    }
}
