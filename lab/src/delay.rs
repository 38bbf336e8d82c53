//! Latency without netem: packets take a detour through a veth pair and a thread that
//! holds each of them back.
//!
//! One direction is delayed, from the router to the internet, so the round trip grows by
//! the same amount. Order is kept; nothing is lost, also when the delay changes. A packet socket is used rather than a
//! tun device, because `/dev/net/tun` is not for everybody on every system.

use crate::{LabError, Node};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A detour in force.
#[derive(Debug)]
pub struct Delay {
    node: Node,
    interface: String,
    by_us: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Delays everything of IPv4 that enters `node` by `interface`.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn start(node: &Node, interface: &str, by: Duration) -> Result<Self, LabError> {
        // The next hop has an address that nobody has, so the far end's own stack takes no
        // packet and the thread gets each of them.
        node.ip_batch(&format!(
            "link add slow0 address 02:00:00:00:77:01 type veth peer name slow1\n\
             link set slow0 up\nlink set slow1 up\n\
             neighbour add {NEXT} lladdr 02:00:00:00:77:77 dev slow0 nud permanent\n\
             route add default via {NEXT} dev slow0 onlink table {TABLE}\n"
        ))?;
        let socket = node.enter(open).map_err(|e| LabError::io("make a packet socket", e))?;
        let rule = format!("rule add iif {interface} lookup {TABLE} priority {TABLE}\n");
        node.ip_batch(&rule)?;
        let stop = Arc::new(AtomicBool::new(false));
        let by_us = Arc::new(AtomicU64::new(micros(by)));
        let (wanted, seen) = (Arc::clone(&by_us), Arc::clone(&stop));
        let thread = Some(node.spawn(move || hold_back(socket, &wanted, &seen)));
        Ok(Self { node: node.clone(), interface: interface.to_owned(), by_us, stop, thread })
    }

    /// Delays by this much from now on, also what is held back.
    pub fn change(&self, by: Duration) {
        self.by_us.store(micros(by), Ordering::Relaxed);
    }

    /// Ends the detour; what is held back is lost.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn stop(mut self) -> Result<(), LabError> {
        let interface = &self.interface;
        self.node.ip_batch(&format!("rule del iif {interface} lookup {TABLE}\n"))?;
        self.end();
        self.node.ip_batch("link del slow0\n")
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Delay {
    fn drop(&mut self) {
        self.end();
    }
}

fn micros(by: Duration) -> u64 {
    u64::try_from(by.as_micros()).unwrap_or(u64::MAX)
}

fn hold_back(mut socket: File, by_us: &AtomicU64, stop: &AtomicBool) {
    let mut held: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0u8; 66000];
    while !stop.load(Ordering::Relaxed) {
        let by = Duration::from_micros(by_us.load(Ordering::Relaxed));
        let due = held.front().map_or(LONGEST, |(came, _)| by.saturating_sub(came.elapsed()));
        let wait = Timespec::try_from(due.min(LONGEST)).expect("a short time fits");
        let ready = {
            let mut fds = [PollFd::new(&socket, PollFlags::IN)];
            poll(&mut fds, Some(&wait)).unwrap_or(0)
        };
        if ready > 0 {
            // The socket does not block: empty it, then see what is due.
            while let Ok(length) = socket.read(&mut buffer) {
                let mut packet = buffer[..length].to_vec();
                if let Some(destination) = packet.get_mut(HEADER..HEADER + NEAR.len()) {
                    destination.copy_from_slice(&NEAR);
                    held.push_back((Instant::now(), packet));
                }
            }
        }
        while held.front().is_some_and(|(came, _)| came.elapsed() >= by) {
            if let Some((_, packet)) = held.pop_front() {
                // A packet that the kernel refuses is a lost packet, as on a real uplink.
                let _ = socket.write(&packet);
            }
        }
    }
}

/// A packet socket on the far end, for IPv4, whose packets carry what is left to do for
/// their checksum and segmentation.
#[expect(unsafe_code, reason = "packet sockets have no safe form here")]
fn open() -> io::Result<File> {
    let any = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )?;
    let index = rustix::net::netdevice::name_to_index(&any, "slow1")?;
    let protocol = 0x0800_u16.to_be();
    let kind = libc::SOCK_RAW | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: the descriptor is fresh and owned by nobody else; the option and the address
    // are plain values that outlive the calls, given with their true sizes.
    unsafe {
        let fd = libc::socket(libc::AF_PACKET, kind, i32::from(protocol));
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let socket = OwnedFd::from_raw_fd(fd);
        let on: libc::c_int = 1;
        let size = size_of_val(&on) as libc::socklen_t;
        let option = (&raw const on).cast();
        if libc::setsockopt(fd, libc::SOL_PACKET, PACKET_VNET_HDR, option, size) < 0 {
            return Err(io::Error::last_os_error());
        }
        let mut address: libc::sockaddr_ll = std::mem::zeroed();
        address.sll_family = libc::AF_PACKET as u16;
        address.sll_protocol = protocol;
        address.sll_ifindex = index as i32;
        let size = size_of_val(&address) as libc::socklen_t;
        if libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(File::from(socket))
    }
}

/// The next hop of the detour; no packet carries it.
const NEXT: &str = "169.254.77.1";
const TABLE: u32 = 50;
const PACKET_VNET_HDR: libc::c_int = 15;
/// Length of `struct virtio_net_hdr`, before the frame.
const HEADER: usize = 10;
const NEAR: [u8; 6] = [2, 0, 0, 0, 0x77, 1];
/// How soon the thread notices that it shall stop.
const LONGEST: Duration = Duration::from_millis(50);
