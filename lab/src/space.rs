//! Isolation: a process runs itself again inside fresh namespaces.
//!
//! ```text
//! outer process ── waits, mirrors the result
//!  └─ intermediate ── unshare(net, mount, pid [, user]); waits
//!      └─ pid 1 of the new pid namespace ── reaps; dies with the intermediate
//!          └─ the same program again, RAIL_LAB_INSIDE=1
//! ```
//!
//! Promises: when any process of that chain dies, the kernel kills everything below
//! it, and namespaces, mounts and interfaces go with the last process. As root no user
//! namespace is made, unless `RAIL_LAB_USERNS=1` asks for it; anybody else gets one.
//! Where that is forbidden the error is one sentence with the command that helps;
//! nothing is ever skipped.
//!
//! Environment: `RAIL_LONG=1` full counts, `RAIL_LAB_LIMIT` seconds for one test,
//! `RAIL_LAB_TELL` only say the kinds, `RAIL_LAB_WORKER` the number of a runner's worker,
//! `RAIL_LAB_LEASED=1` uplinks by DHCP in any test (`Plan::leased`).

use crate::LabError;
use crate::slot::{Share, Slot};
use crate::stall::Witness;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::Duration;

/// The exit code for "the system forbids it", as automake uses it.
pub const EXIT_REFUSED: i32 = 77;

const INSIDE: &str = "RAIL_LAB_INSIDE";
/// Inside: what the test has to itself, by its label in proc_stat(5).
const WATCHED: &str = "RAIL_LAB_WATCHED";
/// Asks each test to say its kind instead of running.
const TELL: &str = "RAIL_LAB_TELL";
/// Begins that answer: `kind: timed module::test`.
const KIND: &str = "kind: ";

/// How often a test is run that failed on a stalled machine.
const ATTEMPTS: usize = 3;
/// Marks the line of a failing test that says how the machine stalled.
const STALLED: &str = "stalled: ";
/// How a test ends that takes too long.
const TOO_LONG: i32 = 124;
const INCONCLUSIVE: &str = "inconclusive";

/// Marks a line of figures, which is shown even when the test passes.
const FIGURES: &str = "figures: ";

/// True inside the namespaces.
pub fn is_inside() -> bool {
    std::env::var_os(INSIDE).is_some()
}

/// True if `RAIL_LONG=1` asks for the full counts.
pub fn long() -> bool {
    std::env::var_os("RAIL_LONG").is_some_and(|v| v == "1")
}

/// Prints one line of figures, shown for passing tests too.
pub fn figures(text: &str) {
    // One write, so that lines of parallel tests do not mix.
    let line = format!("{FIGURES}{text}\n");
    let _ = io::stdout().write_all(line.as_bytes());
}

/// Runs a test inside fresh namespaces; others may run at the same time.
///
/// The test function must contain nothing but this call: its path is taken from the
/// type of the closure.
///
/// # Panics
/// When the test fails, or when namespaces cannot be made.
pub fn isolated<F: FnOnce()>(test: F) {
    run_test(Share::Shared, test);
}

/// As [`isolated`], for a test that measures time: it has a core to itself. If it fails while
/// others used that core, it proves nothing: it is run again, and after three attempts it is
/// reported as inconclusive.
///
/// # Panics
/// When the test fails, or when namespaces cannot be made.
pub fn timed<F: FnOnce()>(test: F) {
    run_test(Share::Core, test);
}

/// As [`isolated`], for a test that loads every core: nothing else of the laboratory runs. If it
/// fails while others used the machine, it is run again as one that measures time.
///
/// # Panics
/// When the test fails, or when namespaces cannot be made.
pub fn alone<F: FnOnce()>(test: F) {
    run_test(Share::Machine, test);
}

/// Runs a test outside, which starts others inside; it says its kind as they do.
pub fn outside<F: FnOnce()>(test: F) {
    if std::env::var_os(TELL).is_some() {
        println!("{KIND}{} {}", Share::Shared.as_str(), test_path(std::any::type_name::<F>()));
        return;
    }
    test();
}

/// Runs the calling program again inside fresh namespaces and waits for it.
///
/// Returns `None` inside, where the caller goes on, and the status of the inner run
/// outside. Arguments and standard streams are the caller's own.
///
/// # Errors
/// [`LabError::Refused`] when the system forbids namespaces.
pub fn isolate_program() -> Result<Option<ExitStatus>, LabError> {
    if is_inside() {
        return Ok(None);
    }
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let mut command = again()?;
    command.args(arguments);
    let mut child = start(&mut command, None)?;
    child.wait().map(Some).map_err(|e| LabError::io("wait for the inner process", e))
}

fn run_test<F: FnOnce()>(share: Share, test: F) {
    if is_inside() {
        let witness = std::env::var(WATCHED).ok().map(Witness::start);
        watchdog(witness.clone());
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(test));
        if let Err(panic) = result {
            if let Some(foreign) = witness.and_then(|w| w.stall()) {
                println!("{}", stalled(foreign));
            }
            std::panic::resume_unwind(panic);
        }
        return;
    }
    let path = test_path(std::any::type_name::<F>());
    if std::env::var_os(TELL).is_some() {
        println!("{KIND}{} {path}", share.as_str());
        return;
    }
    let slot = Slot::take(share).unwrap_or_else(|e| panic!("{e}"));
    let watched = match share {
        Share::Shared => None,
        Share::Core => slot.core().map(|core| format!("cpu{core}")),
        Share::Machine => Some("cpu".into()),
    };
    let mut attempt = 0;
    loop {
        attempt += 1;
        let (status, output) =
            rerun_test(path, slot.core(), watched.as_deref()).unwrap_or_else(|e| panic!("{e}"));
        let stalled = output.lines().find_map(|line| line.split_once(STALLED));
        match stalled {
            _ if status.success() => return,
            None => panic!("{path} failed with {status}:\n{output}"),
            // A machine that stalls for minutes does so again.
            Some((_, why)) if attempt == ATTEMPTS || status.code() == Some(TOO_LONG) => {
                return tell(&format!("    {path}: {INCONCLUSIVE}: {why}\n{output}"));
            }
            Some((_, why)) => tell(&format!("    {path}: once more: {why}\n")),
        }
    }
}

/// Writes past libtest's capture, so that it is seen although the test passes.
fn tell(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}

fn rerun_test(
    path: &str,
    core: Option<usize>,
    watched: Option<&str>,
) -> Result<(ExitStatus, String), LabError> {
    let mut command = again()?;
    command.envs(watched.map(|label| (WATCHED, label)));
    command.args([path, "--exact", "--nocapture", "--test-threads=1", "--include-ignored"]);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = start(&mut command, core)?;
    let stdout = child.stdout.take().expect("stdout was asked for as a pipe");
    let stderr = child.stderr.take().expect("stderr was asked for as a pipe");
    // Both pipes are drained at once, or a chatty test would block on the other one.
    let (out, err) = thread::scope(|scope| {
        let out = scope.spawn(|| read_all(stdout));
        let err = scope.spawn(|| read_all(stderr));
        (out.join().unwrap_or_default(), err.join().unwrap_or_default())
    });
    let status = child.wait().map_err(|e| LabError::io("wait for the inner test", e))?;
    if out.contains("running 0 tests") {
        let sentence = format!("no test is called {path}: isolated() must be its only statement");
        return Err(LabError::Refused(sentence));
    }
    for line in out.lines().filter_map(|l| l.split_once(FIGURES)) {
        tell(&format!("    {path}: {}\n", line.1));
    }
    Ok((status, format!("{out}{err}")))
}

/// `crate::module::test::{{closure}}` as libtest names the test.
fn test_path(type_name: &str) -> &str {
    let path = type_name.strip_suffix("::{{closure}}").unwrap_or(type_name);
    path.split_once("::").map_or(path, |(_, rest)| rest)
}

fn read_all(mut pipe: impl Read) -> String {
    let mut bytes = Vec::new();
    let _ = pipe.read_to_end(&mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Others used the processor: the test may have failed for it.
fn stalled(foreign: Duration) -> String {
    format!("\n{STALLED}others used the processor for {foreign:?} in 250 ms\n")
}

/// A test that hangs must not hang the machine.
fn watchdog(witness: Option<Witness>) {
    let given = std::env::var("RAIL_LAB_LIMIT").ok().and_then(|v| v.parse().ok());
    let limit = Duration::from_secs(given.unwrap_or(if long() { 7200 } else { 300 }));
    thread::spawn(move || {
        thread::sleep(limit);
        let why = witness.as_ref().and_then(Witness::stall).map_or_else(String::new, stalled);
        eprintln!("the test took longer than {} s{why}", limit.as_secs());
        std::process::exit(TOO_LONG);
    });
}

fn again() -> Result<Command, LabError> {
    let program =
        std::env::current_exe().map_err(|e| LabError::io("find the running program", e))?;
    // starts: rail; or the test that runs
    let mut command = Command::new(program);
    command.env(INSIDE, "1");
    Ok(command)
}

fn start(command: &mut Command, core: Option<usize>) -> Result<std::process::Child, LabError> {
    let entry = Entry { core, ..Entry::of_caller() };
    #[expect(unsafe_code, reason = "namespaces must be entered between fork and exec")]
    // SAFETY: the closure only makes system calls on values prepared before the fork; it
    // does not allocate and takes no locks.
    unsafe {
        command.pre_exec(move || entry.enter());
    }
    command.spawn().map_err(|error| match error.raw_os_error() {
        Some(libc::EPERM | libc::ENOSPC | libc::EACCES | libc::EUSERS) => {
            LabError::Refused(refusal(&error))
        }
        _ => LabError::io("start the inner process", error),
    })
}

/// CAP_SYS_ADMIN, from the effective set.
fn may_make_namespaces() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let set = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let set = set.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    set.is_none_or(|set| set & (1 << CAP_SYS_ADMIN) != 0)
}

fn refusal(error: &io::Error) -> String {
    let helps = if std::path::Path::new("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")
        .exists()
    {
        "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    } else if std::path::Path::new("/proc/sys/kernel/unprivileged_userns_clone").exists() {
        "sysctl -w kernel.unprivileged_userns_clone=1"
    } else {
        "sysctl -w user.max_user_namespaces=10000"
    };
    let reason = match error.raw_os_error() {
        Some(libc::ENOSPC) => "their limit is reached".to_owned(),
        _ => error.to_string(),
    };
    format!(
        "this system does not let you make namespaces ({reason}): run `sudo {helps}`, or run \
         this as root"
    )
}

/// Everything the forked child needs, prepared while allocation is still allowed.
struct Entry {
    flags: i32,
    uid_map: Option<Vec<u8>>,
    gid_map: Vec<u8>,
    /// The core that the test and all it starts run on.
    core: Option<usize>,
}

impl Entry {
    fn of_caller() -> Self {
        let uid = rustix::process::geteuid();
        let gid = rustix::process::getegid();
        let wanted = std::env::var_os("RAIL_LAB_USERNS").is_some_and(|v| v == "1");
        // Root in a container may lack the right, and then is like anybody else.
        let user = wanted || !uid.is_root() || !may_make_namespaces();
        let flags = libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID;
        Self {
            flags: if user { flags | libc::CLONE_NEWUSER } else { flags },
            uid_map: user.then(|| format!("0 {} 1\n", uid.as_raw()).into_bytes()),
            gid_map: format!("0 {} 1\n", gid.as_raw()).into_bytes(),
            core: None,
        }
    }

    /// Runs in the forked child; returns in the innermost process only.
    #[expect(unsafe_code, reason = "fork, unshare and mount have no safe form")]
    fn enter(&self) -> io::Result<()> {
        if let Some(core) = self.core {
            let mut set = rustix::thread::CpuSet::new();
            set.set(core);
            rustix::thread::sched_setaffinity(None, &set)?;
        }
        // SAFETY: plain system calls on constant strings and owned buffers, in a process
        // with one thread; none of them touches memory of this program.
        unsafe {
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            check(libc::unshare(self.flags))?;
            if let Some(uid_map) = &self.uid_map {
                write_to(c"/proc/self/setgroups", b"deny")?;
                write_to(c"/proc/self/uid_map", uid_map)?;
                write_to(c"/proc/self/gid_map", &self.gid_map)?;
            }
            let none = std::ptr::null();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            check(libc::mount(none, c"/".as_ptr(), none, private, std::ptr::null()))?;
            let first = check(libc::fork())?;
            if first > 0 {
                wait_and_mirror(first);
            }
            check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
            mount_over(c"tmpfs", c"/run", 0)?;
            // Refused where the old /proc has parts covered; then the old one still serves.
            let hardened = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
            let _ = mount_over(c"proc", c"/proc", hardened);
            let second = check(libc::fork())?;
            if second > 0 {
                wait_and_mirror(second);
            }
            Ok(())
        }
    }
}

#[expect(unsafe_code, reason = "mount has no safe form that is allowed after fork")]
fn mount_over(kind: &std::ffi::CStr, at: &std::ffi::CStr, flags: libc::c_ulong) -> io::Result<()> {
    // SAFETY: all pointers are to constant strings.
    let result =
        unsafe { libc::mount(kind.as_ptr(), at.as_ptr(), kind.as_ptr(), flags, std::ptr::null()) };
    check(result).map(drop)
}

/// Waits for `child`, reaps everything else on the way, and exits as it did.
#[expect(unsafe_code, reason = "runs between fork and exec")]
fn wait_and_mirror(child: i32) -> ! {
    // SAFETY: system calls only. The descriptors are closed because one of them tells the
    // outer process that exec has happened, and the innermost process holds its own copies.
    unsafe {
        // Past the C library, for not each has it. Where the kernel has not, the start of the
        // inner process is seen only at its end.
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        let mut status = 0;
        loop {
            let reaped = libc::waitpid(-1, &raw mut status, 0);
            if reaped == child {
                break;
            }
            if reaped < 0 && *libc::__errno_location() != libc::EINTR {
                libc::_exit(EXIT_REFUSED);
            }
        }
        let code = if libc::WIFEXITED(status) {
            libc::WEXITSTATUS(status)
        } else {
            128 + libc::WTERMSIG(status)
        };
        libc::_exit(code)
    }
}

#[expect(unsafe_code, reason = "std's files allocate, which is not allowed after fork")]
fn write_to(path: &std::ffi::CStr, text: &[u8]) -> io::Result<()> {
    // SAFETY: the path is a constant string, the buffer outlives the call.
    unsafe {
        let fd = check(libc::open(path.as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC))?;
        let written = libc::write(fd, text.as_ptr().cast(), text.len());
        let result = if written < 0 { Err(io::Error::last_os_error()) } else { Ok(()) };
        libc::close(fd);
        result
    }
}

const CAP_SYS_ADMIN: u32 = 21;

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
