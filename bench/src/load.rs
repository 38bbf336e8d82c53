//! The loads: one TCP stream, a flood of small datagrams, one connection after another.

use rail_lab::Node;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

const SINK: u16 = 5001;
/// Several, so that no four-tuple comes back while the kernel remembers its last use.
const ACCEPT: std::ops::Range<u16> = 5010..5026;
const DATAGRAMS: u16 = 5003;

/// Clients that connect at the same time.
const CLIENTS: usize = 4;

/// A SYN that was lost costs this much, not the second until it is repeated.
const PATIENCE: Duration = Duration::from_millis(20);

/// A server that swallows everything and counts.
pub(crate) struct Sink {
    address: Ipv4Addr,
    bytes: Arc<AtomicU64>,
    datagrams: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Sink {
    /// Starts the servers in a node.
    pub(crate) fn start(node: &Node, address: Ipv4Addr) -> Self {
        let bytes = Arc::new(AtomicU64::new(0));
        let datagrams = Arc::new(AtomicU64::new(0));
        let stop = Arc::new(AtomicBool::new(false));
        let (b, d, s) = (bytes.clone(), datagrams.clone(), stop.clone());
        let (s2, s3) = (stop.clone(), stop.clone());
        let listeners = node.enter(|| {
            let stream = TcpListener::bind((address, SINK)).expect("a free port in our namespace");
            let accept = ACCEPT.map(|port| {
                TcpListener::bind((address, port)).expect("a free port in our namespace")
            });
            let accept: Vec<TcpListener> = accept.collect();
            let udp = UdpSocket::bind((address, DATAGRAMS)).expect("a free port in our namespace");
            (stream, accept, udp)
        });
        let (stream, accept, udp) = listeners;
        let quick = Some(Duration::from_millis(100));
        udp.set_read_timeout(quick).expect("a timeout that is not zero");
        stream.set_nonblocking(true).expect("a listener can be made non-blocking");
        for listener in &accept {
            listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        }
        let threads = vec![
            std::thread::spawn(move || swallow(&stream, &b, &s)),
            std::thread::spawn(move || accept_all(&accept, &s2)),
            std::thread::spawn(move || count(&udp, &d, &s3)),
        ];
        Self { address, bytes, datagrams, stop, threads }
    }

    /// One TCP stream for `time`; Mbit/s that arrived.
    pub(crate) fn stream(&self, client: &Node, time: Duration) -> f64 {
        let to = SocketAddrV4::new(self.address, SINK);
        let before = self.bytes.load(Ordering::Relaxed);
        let seconds = client.enter(|| {
            let Ok(mut stream) = TcpStream::connect(to) else { return f64::MAX };
            let block = vec![0_u8; 128 * 1024];
            let start = Instant::now();
            while start.elapsed() < time && stream.write_all(&block).is_ok() {}
            start.elapsed().as_secs_f64()
        });
        let got = self.bytes.load(Ordering::Relaxed) - before;
        got as f64 * 8.0 / seconds / 1e6
    }

    /// Datagrams of 64 bytes for `time`; thousands a second that arrived.
    pub(crate) fn flood(&self, client: &Node, time: Duration) -> f64 {
        let to = SocketAddrV4::new(self.address, DATAGRAMS);
        let before = self.datagrams.load(Ordering::Relaxed);
        let seconds = client.enter(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").expect("a free port in our namespace");
            if socket.connect(to).is_err() {
                return f64::MAX;
            }
            let start = Instant::now();
            while start.elapsed() < time {
                for _ in 0..64 {
                    let _ = socket.send(&[0_u8; 64]);
                }
            }
            start.elapsed().as_secs_f64()
        });
        let got = self.datagrams.load(Ordering::Relaxed) - before;
        got as f64 / seconds / 1e3
    }

    /// Connections one after another, by several clients at once so that both cores are busy
    /// and the processor, not the waiting for a wake-up, is what is measured; a second.
    pub(crate) fn connections(&self, client: &Node, time: Duration) -> f64 {
        let connect = |offset: usize| {
            let mut ports = ACCEPT.cycle().skip(offset);
            client.enter(|| {
                let start = Instant::now();
                let mut made = 0_u64;
                while start.elapsed() < time {
                    let port = ports.next().unwrap_or(ACCEPT.start);
                    let to = SocketAddrV4::new(self.address, port);
                    if let Ok(stream) = TcpStream::connect_timeout(&to.into(), PATIENCE) {
                        reset_on_close(&stream);
                        made += 1;
                    }
                }
                made as f64 / start.elapsed().as_secs_f64()
            })
        };
        std::thread::scope(|scope| {
            let clients: Vec<_> =
                (0..CLIENTS).map(|n| scope.spawn(move || connect(n * 4))).collect();
            clients.into_iter().filter_map(|c| c.join().ok()).sum()
        })
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn swallow(listener: &TcpListener, bytes: &AtomicU64, stop: &AtomicBool) {
    let mut block = vec![0_u8; 256 * 1024];
    while !stop.load(Ordering::Relaxed) {
        wait_readable(std::slice::from_ref(listener));
        let Ok((mut stream, _)) = listener.accept() else { continue };
        let _ = stream.set_nonblocking(false);
        while let Ok(n @ 1..) = stream.read(&mut block) {
            bytes.fetch_add(n as u64, Ordering::Relaxed);
        }
    }
}

fn accept_all(listeners: &[TcpListener], stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        wait_readable(listeners);
        for listener in listeners {
            while let Ok((stream, _)) = listener.accept() {
                reset_on_close(&stream);
            }
        }
    }
}

fn count(socket: &UdpSocket, datagrams: &AtomicU64, stop: &AtomicBool) {
    let mut block = [0_u8; 128];
    while !stop.load(Ordering::Relaxed) {
        while socket.recv(&mut block).is_ok() {
            datagrams.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Waits at most 100 ms for something to accept.
#[expect(unsafe_code, reason = "poll over a few descriptors")]
fn wait_readable(listeners: &[TcpListener]) {
    use std::os::fd::AsRawFd;
    let poll =
        |l: &TcpListener| libc::pollfd { fd: l.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut fds: Vec<libc::pollfd> = listeners.iter().map(poll).collect();
    let count = libc::nfds_t::try_from(fds.len()).unwrap_or(0);
    // SAFETY: valid pollfds, and their count.
    unsafe { libc::poll(fds.as_mut_ptr(), count, 100) };
}

/// Closes with RST, so that no TIME_WAIT fills the ports.
#[expect(unsafe_code, reason = "std has no stable SO_LINGER")]
fn reset_on_close(stream: &TcpStream) {
    use std::os::fd::AsRawFd;
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let length = libc::socklen_t::try_from(size_of::<libc::linger>()).unwrap_or(8);
    // SAFETY: the option value is a valid linger structure of that length.
    unsafe {
        libc::setsockopt(
            stream.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_LINGER,
            (&raw const linger).cast(),
            length,
        );
    }
}
