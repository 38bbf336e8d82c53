//! A process of our own program beside the daemon, and the socket to it.
//!
//! Promises: it has no descriptor of ours but that socket, a fixed environment, and a session of its own;
//! it ends when the daemon does, however that ends.

use super::close_on_exec_from;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags,
    SocketType, recv, sendmsg, socketpair,
};
use std::fs::File;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The daemon's end.
#[derive(Debug)]
pub(crate) struct Link {
    socket: OwnedFd,
    /// `None`: a spawner is its parent.
    process: Option<Child>,
}

impl Link {
    /// The socket.
    pub(crate) const fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Ends it, and its part in the poller.
    pub(crate) fn leave(self, poller: &OwnedFd) {
        // Closing is not enough: a child that was forked just now and has not begun its program yet
        // holds the socket too, and would keep it readable.
        let _ = epoll::delete(poller, &self.socket);
    }

    /// Starts it, as `rail WORD`.
    pub(crate) fn start(poller: &OwnedFd, word: &str) -> io::Result<Self> {
        let (mut link, theirs) = Self::open(poller)?;
        link.process = Some(start(word, &theirs)?);
        Ok(link)
    }

    /// The socket alone, and its other end for whoever starts the process.
    pub(super) fn open(poller: &OwnedFd) -> io::Result<(Self, OwnedFd)> {
        let (family, kind) = (AddressFamily::UNIX, SocketType::SEQPACKET);
        let (socket, theirs) = socketpair(family, kind, SocketFlags::CLOEXEC, None)?;
        epoll::add(poller, &socket, EventData::new_u64(1), EventFlags::IN)?;
        Ok((Self { socket, process: None }, theirs))
    }

    /// Sends a message, with a file.
    pub(crate) fn send(&self, bytes: &[u8], input: Option<&File>) -> Result<(), Errno> {
        self.send_with(bytes, input.map(AsFd::as_fd))
    }

    /// Sends a message, with a descriptor.
    pub(super) fn send_with(&self, bytes: &[u8], fd: Option<BorrowedFd<'_>>) -> Result<(), Errno> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let fds = fd.map(|fd| [fd]);
        if let Some(fds) = &fds {
            // There is room for exactly one.
            let _ = control.push(SendAncillaryMessage::ScmRights(fds));
        }
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        sendmsg(&self.socket, &[IoSlice::new(bytes)], &mut control, flags).map(|_| ())
    }

    /// Waits until its end of the socket is closed, but not for long.
    fn until_closed(&self, end: Instant) {
        let mut byte = [0];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).ok();
            let ready = poll(&mut [PollFd::new(&self.socket, PollFlags::IN)], timeout.as_ref());
            let is_over = match (ready, recv(&self.socket, &mut byte[..], RecvFlags::DONTWAIT)) {
                (Ok(0), _) | (_, Ok((_, 0))) => true,
                (_, Ok(_) | Err(Errno::AGAIN | Errno::INTR)) => false,
                (_, Err(_)) => true,
            };
            if is_over || left.is_zero() {
                return;
            }
        }
    }
}

/// Starts `rail WORD` with this end of a socket.
#[expect(unsafe_code, reason = "the child needs its end of the socket at a known number")]
pub(super) fn start(word: &str, theirs: &OwnedFd) -> io::Result<Child> {
    // Occupies the number if it is free: else the pipe over which Command hears of a failed
    // exec could have it, and would be replaced.
    let _occupied = rustix::io::fcntl_dupfd_cloexec(theirs, SOCKET)?;
    let from = theirs.as_raw_fd();
    let mut command = Command::new("/proc/self/exe");
    command.arg0("rail").arg(word).env_clear().env("PATH", PATH).current_dir("/");
    command.stdin(Stdio::null()).stdout(Stdio::null());
    // SAFETY: between fork and exec only system calls are made, which are async-signal-safe;
    // `from` stays open until the child was started.
    unsafe {
        command.pre_exec(move || {
            // A Ctrl-C on the daemon's terminal is not meant for us.
            libc::setsid();
            empty_signal_mask()?;
            close_on_exec_from(3)?;
            let moved = libc::dup2(from, SOCKET);
            if moved < 0 || libc::fcntl(SOCKET, libc::F_SETFD, 0) < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    command.spawn()
}

impl Drop for Link {
    fn drop(&mut self) {
        let end = Instant::now() + GRACE;
        let Some(process) = &mut self.process else {
            let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Write);
            return self.until_closed(end);
        };
        // The spawner ends, and its children with it, when it sees the end of the socket.
        let _ = rustix::net::shutdown(&self.socket, rustix::net::Shutdown::Both);
        while matches!(process.try_wait(), Ok(None)) {
            if Instant::now() >= end {
                // It hangs; its children have asked the kernel to die with it.
                let _ = process.kill();
                let _ = process.wait();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// The other end, in the process that was started.
#[expect(unsafe_code, reason = "takes over the descriptor that the daemon left for us")]
pub(crate) fn take_socket() -> Option<OwnedFd> {
    // SAFETY: the daemon put the socket there, and nobody else in this process knows of it.
    let socket = unsafe { OwnedFd::from_raw_fd(SOCKET) };
    let ready = rustix::net::sockopt::socket_type(&socket).is_ok()
        && rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC).is_ok();
    ready.then_some(socket)
}

/// Lets a child hear every signal again. Async-signal-safe.
#[expect(unsafe_code, reason = "signal masks are not in rustix")]
pub(crate) fn empty_signal_mask() -> io::Result<()> {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is initialised by sigemptyset before it is read.
    let error = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut())
    };
    if error == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(error)) }
}

/// Takes back what our own parents chose to ignore (as `nohup` does with SIGHUP), or children
/// would ignore it, too. All signals are blocked here, so the default action cannot hit us.
#[expect(unsafe_code, reason = "signal actions are not in rustix")]
pub(crate) fn mind_signals() {
    for signal in 1..=libc::SIGRTMAX() {
        // SAFETY: no handler is installed; the kernel refuses what cannot be set.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
}

/// Lets no signal end this process: it ends when the daemon does.
#[expect(unsafe_code, reason = "signal masks are not in rustix")]
pub(crate) fn block_signals() {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: `set` is initialised by sigfillset before it is read.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// The other end of the socket.
const SOCKET: RawFd = 3;
/// Where programs are looked for.
pub(crate) const PATH: &str = "/usr/sbin:/usr/bin:/sbin:/bin";
/// Longest message, in both directions.
pub(crate) const MESSAGE: usize = 64 * 1024;
/// How long it may take to end.
const GRACE: Duration = Duration::from_secs(1);
