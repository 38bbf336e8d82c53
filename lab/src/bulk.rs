//! Bulk transfers: one TCP connection each, a number of bytes down and then a number up.
//!
//! The client says how many bytes it wants (eight bytes, big endian). The server names the
//! source that it saw, sends them, swallows what the client sends until its end, and answers
//! how much that was. Progress can be read at any time. Threads block, with a time-out after
//! which they look whether they shall stop.

use crate::traffic::{TICK, connect};
use crate::{LabError, Node};
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{self, JoinHandle};

/// Port of the server.
pub const BULK_PORT: u16 = 7002;
/// As many bytes as there is time for.
pub const ENDLESS: u64 = u64::MAX;

/// The other end of all transfers, on all addresses of a node.
#[derive(Debug)]
pub struct BulkServer {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl BulkServer {
    /// Starts it.
    ///
    /// # Errors
    /// When the socket cannot be bound.
    pub fn start(node: &Node) -> Result<Self, LabError> {
        let listener = node.enter(|| {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, BULK_PORT))?;
            // An accepted socket takes this over.
            rustix::net::sockopt::set_socket_timeout(
                &listener,
                rustix::net::sockopt::Timeout::Recv,
                Some(TICK),
            )?;
            Ok::<_, io::Error>(listener)
        });
        let listener = listener.map_err(|e| LabError::io("listen for transfers", e))?;
        let stop = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&stop);
        let thread = Some(node.spawn(move || serve(&listener, &seen)));
        Ok(Self { stop, thread })
    }
}

impl Drop for BulkServer {
    fn drop(&mut self) {
        end(&self.stop, &mut self.thread);
    }
}

fn serve(listener: &TcpListener, stop: &Arc<AtomicBool>) {
    let mut threads = Vec::new();
    while let Ok((stream, peer)) = patiently(stop, || listener.accept()) {
        let stop = Arc::clone(stop);
        // What ends a transfer is seen by its client.
        threads.push(thread::spawn(move || drop(answer(stream, &peer.ip().to_string(), &stop))));
    }
    for thread in threads {
        let _ = thread.join();
    }
}

fn answer(mut stream: TcpStream, peer: &str, stop: &AtomicBool) -> io::Result<()> {
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    let mut wanted = [0; 8];
    fill(&mut stream, &mut wanted, stop)?;
    stream.write_all(format!("{peer}\n").as_bytes())?;
    give(&mut stream, u64::from_be_bytes(wanted), stop)?;
    let count = AtomicUsize::new(0);
    swallow(&mut stream, ENDLESS, &count, stop)?;
    stream.write_all(&(count.load(Ordering::Relaxed) as u64).to_be_bytes())?;
    // The client closes first, so that nothing it has not read is cut off.
    swallow(&mut stream, ENDLESS, &count, stop)
}

/// A transfer under way. Dropping it ends it by RST.
#[derive(Debug)]
pub struct Transfer {
    progress: Arc<Progress>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

// Not of 64 bits, which not each processor counts in one step: on one of 32 bits they end at 4 GiB.
#[derive(Debug, Default)]
struct Progress {
    source: OnceLock<Ipv4Addr>,
    received: AtomicUsize,
    confirmed: AtomicUsize,
}

impl Transfer {
    /// Starts a transfer of `down` bytes from the server and then of `up` bytes to it.
    pub fn start(
        node: &Node,
        (client, server): (Ipv4Addr, Ipv4Addr),
        (down, up): (u64, u64),
    ) -> Self {
        let (stop, progress) = (Arc::new(AtomicBool::new(false)), Arc::new(Progress::default()));
        let (seen, noted) = (Arc::clone(&stop), Arc::clone(&progress));
        // A transfer that breaks makes no more progress: that is what is looked at.
        let thread = Some(node.spawn(move || {
            let _ = transfer((client, server), (down, up), &noted, &seen);
        }));
        Self { progress, stop, thread }
    }

    /// The source that the server saw, once it is known.
    pub fn source(&self) -> Option<Ipv4Addr> {
        self.progress.source.get().copied()
    }

    /// Bytes that came down so far.
    pub fn received(&self) -> u64 {
        self.progress.received.load(Ordering::Relaxed) as u64
    }

    /// Bytes that the server says it got; known at the end.
    pub fn confirmed(&self) -> u64 {
        self.progress.confirmed.load(Ordering::Relaxed) as u64
    }
}

impl Drop for Transfer {
    fn drop(&mut self) {
        end(&self.stop, &mut self.thread);
    }
}

fn transfer(
    (client, server): (Ipv4Addr, Ipv4Addr),
    (down, up): (u64, u64),
    progress: &Progress,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut stream = connect(client, SocketAddrV4::new(server, BULK_PORT))?;
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(TICK))?;
    stream.set_write_timeout(Some(TICK))?;
    let mut wanted: &[u8] = &down.to_be_bytes();
    while !wanted.is_empty() {
        let written = patiently(stop, || stream.write(wanted))?;
        wanted = &wanted[written..];
    }
    let mut name = String::new();
    // One byte at a time: what follows is not text.
    let mut reader = BufReader::with_capacity(1, &stream);
    patiently(stop, || reader.read_line(&mut name))?;
    let source = name.trim().parse().map_err(|_| ErrorKind::InvalidData)?;
    let _ = progress.source.set(source);
    swallow(&mut stream, down, &progress.received, stop)?;
    give(&mut stream, up, stop)?;
    stream.shutdown(Shutdown::Write)?;
    let mut count = [0; 8];
    fill(&mut stream, &mut count, stop)?;
    let count = usize::try_from(u64::from_be_bytes(count)).unwrap_or(usize::MAX);
    progress.confirmed.store(count, Ordering::Relaxed);
    Ok(())
}

/// Repeats what timed out, until told to stop.
fn patiently<T>(stop: &AtomicBool, mut step: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match step() {
            Err(e) if is_slow(&e) && !stop.load(Ordering::Relaxed) => {}
            result => return result,
        }
    }
}

fn is_slow(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted)
}

fn give(stream: &mut TcpStream, bytes: u64, stop: &AtomicBool) -> io::Result<()> {
    let mut left = bytes;
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(ZEROS.len());
        let written = patiently(stop, || stream.write(&ZEROS[..size]))?;
        left -= written as u64;
    }
    Ok(())
}

/// Takes `limit` bytes, or all until the end, and counts them.
fn swallow(
    stream: &mut TcpStream,
    limit: u64,
    count: &AtomicUsize,
    stop: &AtomicBool,
) -> io::Result<()> {
    let mut buffer = [0; 1 << 16];
    let mut left = limit;
    while left > 0 && !stop.load(Ordering::Relaxed) {
        let size = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let length = patiently(stop, || stream.read(&mut buffer[..size]))?;
        if length == 0 {
            return Ok(());
        }
        left -= length as u64;
        count.fetch_add(length, Ordering::Relaxed);
    }
    Ok(())
}

fn fill(stream: &mut TcpStream, mut buffer: &mut [u8], stop: &AtomicBool) -> io::Result<()> {
    while !buffer.is_empty() {
        let length = patiently(stop, || stream.read(buffer))?;
        if length == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        buffer = &mut buffer[length..];
    }
    Ok(())
}

fn end(stop: &AtomicBool, thread: &mut Option<JoinHandle<()>>) {
    stop.store(true, Ordering::Relaxed);
    if let Some(thread) = thread.take() {
        let _ = thread.join();
    }
}

static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
