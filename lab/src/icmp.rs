//! Echo replies that nobody sent: what an attacker on the way, or a broken box, would put
//! on the wire.
//!
//! A [`Listener`] in the internet sees each request of the router with its secret bits; a
//! [`Forger`] writes IP packets with any source. Both are raw sockets.

use crate::{LabError, Node};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketAddrV4, SocketFlags, SocketType, ipproto, recvfrom,
    sendto,
};
use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// An echo request as it arrived.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who asked, as seen there.
    pub from: Ipv4Addr,
    /// Who was asked.
    pub to: Ipv4Addr,
    /// The ICMP message.
    pub message: Vec<u8>,
}

impl Request {
    /// The answer to it.
    pub fn reply(&self) -> Vec<u8> {
        let mut message = self.message.clone();
        message[0] = 0;
        sign(&mut message);
        message
    }
}

/// Writes the checksum (RFC 1071) of an ICMP message into it.
pub fn sign(message: &mut [u8]) {
    message[2..4].fill(0);
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
    let sum: u32 = message.chunks(2).map(word).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let sum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
}

/// Hears the echo requests that reach a node.
#[derive(Debug)]
pub struct Listener {
    heard: Arc<Mutex<Heard>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Heard {
    last: VecDeque<Request>,
    counts: BTreeMap<(Ipv4Addr, Ipv4Addr), u64>,
}

impl Listener {
    /// Starts to listen.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn start(node: &Node) -> Result<Self, LabError> {
        let socket = node.enter(|| raw(ipproto::ICMP))?;
        set_socket_timeout(&socket, Timeout::Recv, Some(Duration::from_millis(50)))
            .map_err(|e| LabError::io("set a time-out", e))?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let stop = Arc::new(AtomicBool::new(false));
        let (into, seen) = (Arc::clone(&heard), Arc::clone(&stop));
        let thread = node.spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                if let Some(request) = hear(&socket) {
                    note(&mut into.lock().unwrap_or_else(PoisonError::into_inner), request);
                }
            }
        });
        Ok(Self { heard, stop, thread: Some(thread) })
    }

    /// The last requests from this address, newest last.
    pub fn last(&self, from: Ipv4Addr) -> Vec<Request> {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.last.iter().filter(|request| request.from == from).cloned().collect()
    }

    /// How many requests one address sent to another.
    pub fn count(&self, from: Ipv4Addr, to: Ipv4Addr) -> u64 {
        let heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.counts.get(&(from, to)).copied().unwrap_or(0)
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn note(heard: &mut Heard, request: Request) {
    *heard.counts.entry((request.from, request.to)).or_insert(0) += 1;
    if heard.last.len() == KEPT {
        heard.last.pop_front();
    }
    heard.last.push_back(request);
}

/// The next echo request; `None` for anything else, or when none came for a while.
fn hear(socket: &OwnedFd) -> Option<Request> {
    let mut buffer = [0u8; 256];
    let (_, length, _) = recvfrom(socket, &mut buffer, RecvFlags::empty()).ok()?;
    let packet = buffer.get(..length)?;
    let header = usize::from(packet.first()? & 0xf) * 4;
    let message = packet.get(header..)?;
    let address =
        |at: usize| Some(Ipv4Addr::from(<[u8; 4]>::try_from(packet.get(at..at + 4)?).ok()?));
    let request = Request { from: address(12)?, to: address(16)?, message: message.to_vec() };
    (message.len() >= 8 && message[0] == 8).then_some(request)
}

/// Sends packets whose source is a lie.
#[derive(Debug)]
pub struct Forger {
    socket: OwnedFd,
}

impl Forger {
    /// Opens one; what it sends takes the routes of this node.
    ///
    /// # Errors
    /// When the kernel refuses the socket.
    pub fn open(node: &Node) -> Result<Self, LabError> {
        Ok(Self { socket: node.enter(|| raw(ipproto::RAW))? })
    }

    /// Sends an ICMP message; true if the kernel took it.
    pub fn send(&self, from: Ipv4Addr, to: Ipv4Addr, message: &[u8]) -> bool {
        // The kernel fills in length, identification and checksum (raw(7)).
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 1, 0, 0];
        packet.extend(from.octets());
        packet.extend(to.octets());
        packet.extend(message);
        sendto(&self.socket, &packet, SendFlags::empty(), &SocketAddrV4::new(to, 0)).is_ok()
    }
}

fn raw(protocol: rustix::net::Protocol) -> Result<OwnedFd, LabError> {
    let flags = SocketFlags::CLOEXEC;
    rustix::net::socket_with(AddressFamily::INET, SocketType::RAW, flags, Some(protocol))
        .map_err(|e| LabError::io("open a raw socket", e))
}

/// Requests that are remembered.
const KEPT: usize = 512;
