//! The start of a child: from a declaration to a process with no right too many.

use super::output::Output;
use super::place::Place;
use super::record;
use super::session::Mark;
use super::user;
use crate::process::{PATH, close_on_exec_from, empty_signal_mask};
use crate::programs;
use rail_core::{Capability, Child, Program};
use rustix::fd::{AsRawFd, OwnedFd, RawFd};
use rustix::io::Errno;
use rustix::process::{Gid, Resource, Rlimit, Uid, setrlimit};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Starts it. Its record is there before it runs.
///
/// # Errors
/// The program is missing, a file or directory cannot be written, or the kernel refuses.
pub(super) fn start(
    place: &Place,
    boot: &str,
    child: &Child,
    file: Option<&str>,
) -> io::Result<(std::process::Child, Output)> {
    place.furnish(child)?;
    let (output, theirs) = Output::make(&place.pipe(&child.id.name()))?;
    let record = record::begin(place, boot, child, file)?;
    let mut command = command(place, child, &child.args)?;
    let again = theirs.try_clone()?;
    command.stdin(Stdio::null()).stdout(theirs).stderr(again);
    become_child(&mut command, Some(record.as_raw_fd()), Rights::of(child));
    let process = command.spawn()?;
    drop::<OwnedFd>(record);
    Ok((process, output))
}

/// The program with these arguments.
pub(super) fn command(place: &Place, child: &Child, args: &[String]) -> io::Result<Command> {
    let mut command = match &child.program {
        // starts: rail
        Program::Own => {
            let mut command = Command::new("/proc/self/exe");
            command.arg0("rail");
            command
        }
        Program::System(name) => {
            let path = programs::find(name).ok_or_else(|| {
                let text = format!("the program {name} is missing; install it");
                io::Error::new(io::ErrorKind::NotFound, text)
            })?;
            Command::new(path)
        }
    };
    command.args(args.iter().map(|argument| place.fill_in(child, argument)));
    command.env_clear().env("PATH", PATH).env("LC_ALL", "C");
    command.env(MARK, child.id.name());
    command.current_dir(place.of(&child.id.name()));
    Ok(command)
}

/// Which file a child runs, as the disk has it now: another one after an upgrade. `None`: there is none.
pub(super) fn file_of(child: &Child) -> Option<String> {
    let path = match &child.program {
        Program::Own => "/proc/self/exe".into(),
        Program::System(name) => programs::find(name)?,
    };
    let found = std::fs::metadata(path).ok()?;
    Some(format!("{}:{} {}.{}", found.dev(), found.ino(), found.mtime(), found.mtime_nsec()))
}

/// By what a process is known that a child of this name started; the declaration, if it can be read.
pub(super) fn mark(name: &str, child: Option<&Child>) -> Mark {
    let user = child.and_then(user::of).map(|(user, _)| user);
    Mark { word: format!("{MARK}={name}"), user }
}

/// What a child keeps.
#[derive(Copy, Clone)]
struct Rights {
    user: Option<(u32, u32)>,
    /// It declares what it needs; one of root's that declares nothing keeps what we have.
    is_limited: bool,
    capabilities: CapabilitySet,
}

impl Rights {
    fn of(child: &Child) -> Self {
        let sets = child.capabilities.iter().map(|capability| match capability {
            Capability::ChangeNetwork => CapabilitySet::NET_ADMIN,
            Capability::LowPorts => CapabilitySet::NET_BIND_SERVICE,
            Capability::RawSockets => CapabilitySet::NET_RAW,
        });
        // What we lack ourselves it will miss, and say so.
        let own = capabilities(None).map_or(CapabilitySet::empty(), |own| own.permitted);
        let is_limited = !child.capabilities.is_empty();
        let capabilities = sets.collect::<CapabilitySet>() & own;
        Self { user: user::of(child), is_limited, capabilities }
    }
}

/// The same rights for a trial, which is nobody's child in the end and has no record.
pub(super) fn become_tried(command: &mut Command, child: &Child) {
    become_child(command, None, Rights::of(child));
}

#[expect(unsafe_code, reason = "rights are given up between fork and exec")]
fn become_child(command: &mut Command, record: Option<RawFd>, rights: Rights) {
    // SAFETY: between fork and exec only system calls are made, which are async-signal-safe; `record`
    // stays open until the child was started.
    unsafe {
        command.pre_exec(move || {
            libc::setsid();
            be_ordinary();
            if let Some(record) = record {
                sign(record)?;
            }
            close_on_exec_from(3)?;
            if let Some((user, group)) = rights.user {
                give_up(Uid::from_raw(user), Gid::from_raw(group), rights.capabilities)?;
            } else if rights.is_limited {
                limit(rights.capabilities)?;
            }
            empty_signal_mask()
        });
    }
}

/// Writes what the kernel says of this process into its record. Async-signal-safe.
#[expect(unsafe_code, reason = "the descriptor is known by its number only")]
fn sign(record: RawFd) -> io::Result<()> {
    let mut line = [0; 1024];
    // SAFETY: system calls with constant strings and values on the stack.
    let written = unsafe {
        let stat = libc::open(c"/proc/self/stat".as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
        let length = libc::read(stat, line.as_mut_ptr().cast(), line.len());
        libc::close(stat);
        usize::try_from(length).map(|length| libc::write(record, line.as_ptr().cast(), length))
    };
    match written {
        Ok(written) if written > 0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Scheduling, priority and memory as any program has them; no core file, for there may be secrets in it.
/// What the kernel refuses is left. Async-signal-safe.
#[expect(unsafe_code, reason = "between fork and exec nothing may allocate")]
fn be_ordinary() {
    let priority: libc::c_int = 0;
    // SAFETY: system calls with constant strings and values on the stack.
    unsafe {
        let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, c"0".as_ptr().cast(), 1);
            libc::close(fd);
        }
        libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_OTHER, &raw const priority);
        libc::umask(0o022);
    }
    let _ = rustix::process::setpriority_process(None, 0);
    let none = || Rlimit { current: Some(0), maximum: Some(0) };
    // The daemon may become real-time again; a child never.
    for resource in [Resource::Core, Resource::Rtprio, Resource::Nice] {
        let _ = setrlimit(resource, none());
    }
}

/// Becomes another user, who keeps these rights and can get no others. Async-signal-safe: system calls
/// for this thread, which is the only one.
fn give_up(user: Uid, group: Gid, keep: CapabilitySet) -> Result<(), Errno> {
    let most = Some(MOST_PROCESSES);
    let _ = setrlimit(Resource::Nproc, Rlimit { current: most, maximum: most });
    rustix::thread::set_thread_groups(&[])?;
    rustix::thread::set_thread_res_gid(group, group, group)?;
    rustix::thread::set_keep_capabilities(true)?;
    rustix::thread::set_thread_res_uid(user, user, user)?;
    let sets = CapabilitySets { effective: keep, permitted: keep, inheritable: keep };
    set_capabilities(None, sets)?;
    for one in keep.iter() {
        rustix::thread::configure_capability_in_ambient_set(one, true)?;
    }
    rustix::thread::set_no_new_privs(true)
}

/// Stays root, whose files it reads, with these rights and no way to others. Async-signal-safe.
fn limit(keep: CapabilitySet) -> Result<(), Errno> {
    // Or the next program of root's has all rights again.
    rustix::thread::set_no_new_privs(true)?;
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: keep, permitted: keep, inheritable })
}

/// In the environment of a child: its name.
const MARK: &str = "RAIL_CHILD";
/// Of one user: a child that forks without end stops there.
const MOST_PROCESSES: u64 = 64;
