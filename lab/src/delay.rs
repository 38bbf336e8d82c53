//! Latency without netem: packets take a detour through a tun device and a thread that
//! holds each of them back.
//!
//! One direction is delayed, from the router to the internet, so the round trip grows by
//! the same amount. Order is kept; nothing is lost.

use crate::{LabError, Node};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// A detour in force.
#[derive(Debug)]
pub struct Delay {
    node: Node,
    interface: String,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Delay {
    /// Delays everything that enters `node` by `interface`.
    ///
    /// # Errors
    /// When there is no `/dev/net/tun`, or the kernel refuses a step.
    pub fn start(node: &Node, interface: &str, by: Duration) -> Result<Self, LabError> {
        let tun = node.enter(open_tun).map_err(|e| LabError::io("make a tun device", e))?;
        node.ip_batch(&format!(
            "link set {TUN} up\nroute add default dev {TUN} table {TABLE}\n\
             rule add iif {interface} lookup {TABLE} priority {TABLE}\n"
        ))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = Some(node.spawn(move || hold_back(tun, by, &seen)));
        Ok(Self { node: node.clone(), interface: interface.to_owned(), stop, thread })
    }

    /// Ends the detour; what is held back is lost.
    ///
    /// # Errors
    /// When the kernel refuses a step.
    pub fn stop(mut self) -> Result<(), LabError> {
        let interface = &self.interface;
        self.node.ip_batch(&format!("rule del iif {interface} lookup {TABLE}\n"))?;
        self.end();
        Ok(())
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

fn hold_back(mut tun: File, by: Duration, stop: &AtomicBool) {
    let mut held: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut buffer = [0u8; 65536];
    while !stop.load(Ordering::Relaxed) {
        let due =
            held.front().map_or(LONGEST, |(at, _)| at.saturating_duration_since(Instant::now()));
        let wait = Timespec::try_from(due.min(LONGEST)).expect("a short time fits");
        let ready = {
            let mut fds = [PollFd::new(&tun, PollFlags::IN)];
            poll(&mut fds, Some(&wait)).unwrap_or(0)
        };
        if ready > 0 {
            // The device does not block: empty it, then see what is due.
            while let Ok(length) = tun.read(&mut buffer) {
                held.push_back((Instant::now() + by, buffer[..length].to_vec()));
            }
        }
        let now = Instant::now();
        while held.front().is_some_and(|(at, _)| *at <= now) {
            if let Some((_, packet)) = held.pop_front() {
                // A packet that the kernel refuses is a lost packet, as on a real line.
                let _ = tun.write(&packet);
            }
        }
    }
}

#[expect(unsafe_code, reason = "TUNSETIFF has no safe form")]
fn open_tun() -> std::io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    // struct ifreq: sixteen bytes of name, then flags; 40 bytes in all on 64-bit systems.
    let mut request = [0u8; 40];
    request[..TUN.len()].copy_from_slice(TUN.as_bytes());
    let flags = libc::IFF_TUN | libc::IFF_NO_PI;
    request[16..20].copy_from_slice(&flags.to_ne_bytes());
    // SAFETY: the request is as long as the kernel reads and writes, and outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, request.as_mut_ptr()) };
    if result < 0 { Err(std::io::Error::last_os_error()) } else { Ok(file) }
}

const TUN: &str = "slow0";
const TABLE: u32 = 50;
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
/// How soon the thread notices that it shall stop.
const LONGEST: Duration = Duration::from_millis(50);
