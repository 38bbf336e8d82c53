//! Keeping our descriptors from what we start.
//!
//! Promises: after [`close_on_exec_from`] no descriptor of that number or above passes an exec, on
//! every kernel that the daemon starts on. Async-signal-safe: it runs between fork and exec.

use rustix::fd::AsRawFd;
use rustix::fs::{Mode, OFlags, RawDir, open};
use rustix::io::{Errno, FdFlags};
use std::io;
use std::mem::MaybeUninit;

/// Has the kernel close every descriptor from this one on at exec.
pub(crate) fn close_on_exec_from(first: i32) -> io::Result<()> {
    match all_at_once(first) {
        // Linux 5.10 does not know the flag, older ones not the call; a container may refuse it.
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => one_by_one(first),
        other => Ok(other?),
    }
}

#[expect(unsafe_code, reason = "close_range is not in rustix")]
fn all_at_once(first: i32) -> Result<(), Errno> {
    let flags = libc::CLOSE_RANGE_CLOEXEC;
    // SAFETY: a system call without pointers; it changes nothing before an exec.
    let result = unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, flags) };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(Errno::from_raw_os_error(error.raw_os_error().unwrap_or(libc::EIO)))
}

#[expect(unsafe_code, reason = "the directory names descriptors by number")]
fn one_by_one(first: i32) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let directory = open(c"/proc/self/fd", flags, Mode::empty())?;
    let mut space = [MaybeUninit::uninit(); 1024];
    let mut entries = RawDir::new(&directory, &mut space);
    while let Some(entry) = entries.next() {
        // `.` and `..` are no numbers.
        let name = entry?.file_name().to_str().ok().and_then(|name| name.parse().ok());
        if let Some(number) = name.filter(|n| *n >= first && *n != directory.as_raw_fd()) {
            // SAFETY: it was open a moment ago, and this process has one thread.
            let fd = unsafe { rustix::fd::BorrowedFd::borrow_raw(number) };
            rustix::io::fcntl_setfd(fd, FdFlags::CLOEXEC)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::io::{fcntl_dupfd_cloexec, fcntl_getfd, fcntl_setfd};

    /// Given more open descriptors than one reading of the directory tells, when they are taken one
    /// by one, then each from the first on is closed at exec, and none before it.
    #[test]
    fn without_the_call_each_descriptor_is_found() {
        let null = std::fs::File::open("/dev/null").unwrap();
        let opened: Vec<_> = (0..200).map(|_| fcntl_dupfd_cloexec(&null, 600).unwrap()).collect();
        for fd in &opened {
            fcntl_setfd(fd, FdFlags::empty()).unwrap();
        }
        let first = opened[1].as_raw_fd();
        one_by_one(first).unwrap();
        for fd in &opened {
            let expected = if fd.as_raw_fd() < first { FdFlags::empty() } else { FdFlags::CLOEXEC };
            assert_eq!(fcntl_getfd(fd).unwrap(), expected, "{fd:?}");
        }
    }
}
