//! Standing above the crowd: real-time scheduling, and below it: fewer rights.
//!
//! Under load a normal process is 8 to 10 ms late at the 99th percentile, one
//! with `SCHED_FIFO` 0.4 ms; but for a kernel without preemption, see
//! [`rescue`](crate::rescue). Guards: threads and children start as normal
//! (`SCHED_RESET_ON_FORK`), and work that never pauses is ended
//! (`RLIMIT_RTTIME`), because it would starve the machine.

use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::io;
use std::time::Duration;

/// Makes the calling thread real-time (`SCHED_FIFO`) with this priority, 1 to 99.
///
/// # Errors
/// Not permitted; the thread is as it was.
pub fn enter(priority: i32) -> io::Result<()> {
    let limit = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
    // At the first SIGXCPU arrives, at the second SIGKILL; the service manager starts us again.
    let limits = Rlimit { current: Some(limit(RTTIME_SOFT)), maximum: Some(limit(RTTIME_HARD)) };
    setrlimit(Resource::Rttime, limits)?;
    // So that it can be entered again when the right to has been given up. Without it this time is
    // the only one.
    let priorities = u64::try_from(priority).ok();
    let _ = setrlimit(Resource::Rtprio, Rlimit { current: priorities, maximum: priorities });
    set_scheduler(libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK, priority)
}

/// Makes the calling thread a normal one again.
///
/// # Errors
/// The kernel's; none are expected.
pub fn leave() -> io::Result<()> {
    set_scheduler(libc::SCHED_OTHER | libc::SCHED_RESET_ON_FORK, 0)
}

/// Sleeps for a moment, too short to be noticed: what was worked before counts no more towards the
/// limit of [`enter`]. For work that may go on for longer than [`WITHOUT_PAUSE`].
pub fn pause() {
    std::thread::sleep(PAUSE);
}

#[expect(unsafe_code, reason = "sched_setscheduler is not in rustix")]
fn set_scheduler(policy: libc::c_int, priority: libc::c_int) -> io::Result<()> {
    // The kernel's `struct sched_param` is one number. The call is made past the C library, for
    // that of musl refuses it.
    let parameter = [priority];
    // SAFETY: the parameter lives through the call; pid 0 is the calling thread.
    let result =
        unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, policy, parameter.as_ptr()) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// True if the calling thread may change the network and open raw sockets.
pub fn can_route() -> bool {
    capabilities(None).is_ok_and(|sets| {
        sets.effective.contains(CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW)
    })
}

/// Gives up every right but those to route and to speak DHCP, whose port is one of the first thousand, for this
/// thread and all that it starts later, and makes sure that no program it could start has more. `files` keeps the right to open files of
/// other users, for directories that are not our own.
///
/// # Errors
/// The kernel's; then some rights may be left.
pub fn drop_rights(files: bool) -> io::Result<()> {
    let mut keep =
        CapabilitySet::NET_ADMIN | CapabilitySet::NET_RAW | CapabilitySet::NET_BIND_SERVICE;
    if files {
        keep |= CapabilitySet::DAC_OVERRIDE;
    }
    keep_rights(keep)
}

/// Gives up every right, for this thread and all that it starts later.
///
/// # Errors
/// The kernel's; then some rights may be left.
pub fn drop_all_rights() -> io::Result<()> {
    keep_rights(CapabilitySet::empty())
}

/// Gives up every right but the one to move other threads, whatever their rights are.
pub(crate) fn keep_right_to_move() -> io::Result<()> {
    keep_rights(CapabilitySet::SYS_NICE)
}

fn keep_rights(keep: CapabilitySet) -> io::Result<()> {
    let keep = keep & capabilities(None)?.permitted;
    let sets =
        CapabilitySets { effective: keep, permitted: keep, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets)?;
    rustix::thread::set_no_new_privs(true)?;
    Ok(())
}

/// Whoever works for longer than this in one go should [`pause`]: much less than the limit.
pub const WITHOUT_PAUSE: Duration = Duration::from_millis(50);
/// What [`pause`] takes at least.
pub const PAUSE: Duration = Duration::from_micros(100);
const RTTIME_SOFT: Duration = Duration::from_secs(1);
const RTTIME_HARD: Duration = Duration::from_secs(3);
