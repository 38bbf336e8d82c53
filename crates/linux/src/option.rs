//! Options of sockets that rustix does not have, and those that a binding of the core asks for.

use rail_core::Binding;
use rustix::fd::{AsRawFd, OwnedFd};
use std::io;

/// Binds a socket to the device of a binding and gives it the mark; the source is for `bind` or for
/// each message.
///
/// # Errors
/// The kernel's: no such device, no right. Also if the device of this name is another one by now.
pub(crate) fn bind_to(fd: &OwnedFd, binding: &Binding) -> io::Result<()> {
    let device = binding.ifname.to_string();
    set(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, device.as_bytes())?;
    if rustix::net::netdevice::name_to_index(fd, &device)? != binding.ifindex {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    set(fd, libc::SOL_SOCKET, libc::SO_MARK, &binding.mark.to_ne_bytes())?;
    set_number(fd, libc::SOL_SOCKET, libc::SO_PRIORITY, PRIORITY_CONTROL)
}

/// Asks the kernel for the time of receipt. One before 5.1 does not know it: the time is then taken
/// when the message is read.
pub(crate) fn note_times(fd: &OwnedFd) {
    let _ = set_number(fd, libc::SOL_SOCKET, SO_TIMESTAMPNS_NEW, 1);
}

/// Attaches a filter of classic BPF.
///
/// # Errors
/// The kernel's.
pub(crate) fn attach_filter(fd: &OwnedFd, program: &mut [libc::sock_filter]) -> io::Result<()> {
    let filter = libc::sock_fprog {
        len: u16::try_from(program.len()).unwrap_or(0),
        filter: program.as_mut_ptr(),
    };
    set(fd, libc::SOL_SOCKET, libc::SO_ATTACH_FILTER, &filter)
}

/// One instruction of a filter: operation, how far to jump if true and if false, operand.
pub(crate) fn instruction(code: u32, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k }
}

/// Sets an option that is a number.
///
/// # Errors
/// The kernel's.
pub(crate) fn set_number(fd: &OwnedFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    set(fd, level, name, &value.to_ne_bytes())
}

/// Sets an option.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "these socket options are not in rustix")]
pub(crate) fn set<T: ?Sized>(fd: &OwnedFd, level: i32, name: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    let pointer = std::ptr::from_ref(value).cast::<libc::c_void>();
    // SAFETY: the pointer and the length describe `value`, which the kernel only reads; a filter
    // program that it points to lives in the caller.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, pointer, length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option into `value`; the number of bytes that the kernel wrote.
///
/// # Errors
/// The kernel's.
#[expect(unsafe_code, reason = "this socket option is not in rustix")]
pub(crate) fn get(fd: &OwnedFd, level: i32, name: i32, value: &mut [u8]) -> io::Result<usize> {
    let mut length = libc::socklen_t::try_from(value.len()).unwrap_or(0);
    let pointer = value.as_mut_ptr().cast::<libc::c_void>();
    // SAFETY: the kernel writes at most `length` bytes to `value`, and the new length to `length`.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, pointer, &raw mut length) };
    if result == 0 {
        Ok(usize::try_from(length).unwrap_or(0))
    } else {
        Err(io::Error::last_os_error())
    }
}

/// `SO_TIMESTAMPNS_NEW`, also the type of the message: 64-bit times on 32-bit machines, too.
pub(crate) const SO_TIMESTAMPNS_NEW: i32 = 64;
/// `TC_PRIO_INTERACTIVE`: the first band of the default queue.
const PRIORITY_CONTROL: i32 = 6;
