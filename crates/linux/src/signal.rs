//! Signals as something to read: `signalfd(2)`.
//!
//! Promises that the signals named here never interrupt anything; children get
//! an empty mask from the spawner. Leaves out SIGPIPE, which the runtime ignores.

use rustix::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::io;
use std::mem::MaybeUninit;

/// A signal that means something to us.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Signal {
    /// SIGTERM or SIGINT: end, leave everything in place.
    Stop,
    /// SIGHUP: read the configuration again.
    Reload,
    /// SIGXCPU: real-time work took too long without a pause.
    TooLong,
}

/// The descriptor.
#[derive(Debug)]
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the signals for this thread, and threads it starts later, and makes them readable.
    ///
    /// # Errors
    /// The kernel's, when it has no descriptor left.
    #[expect(unsafe_code, reason = "signalfd is not in rustix")]
    pub fn take() -> io::Result<Self> {
        let mut set = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `set` is initialised by sigemptyset before any other use; the mask is read only;
        // a descriptor that signalfd returns is new and ours.
        unsafe {
            libc::sigemptyset(set.as_mut_ptr());
            for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGXCPU] {
                libc::sigaddset(set.as_mut_ptr(), signal);
            }
            let error = libc::pthread_sigmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
            if error != 0 {
                return Err(io::Error::from_raw_os_error(error));
            }
            let fd = libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self { fd: OwnedFd::from_raw_fd(fd) })
        }
    }

    /// The next signal that arrived.
    pub fn next(&self) -> Option<Signal> {
        let mut info = [0; size_of::<libc::signalfd_siginfo>()];
        loop {
            if rustix::io::read(&self.fd, &mut info).ok()? != info.len() {
                return None;
            }
            // ssi_signo is the first field, 32 bits.
            match i32::from_ne_bytes([info[0], info[1], info[2], info[3]]) {
                libc::SIGTERM | libc::SIGINT => return Some(Signal::Stop),
                libc::SIGHUP => return Some(Signal::Reload),
                libc::SIGXCPU => return Some(Signal::TooLong),
                _ => {}
            }
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
