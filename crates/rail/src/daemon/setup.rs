//! From a command line to a daemon that may start its loop.
//!
//! The order matters: what can be wrong with the machine is found out before
//! anything is touched; the spawner is forked before there are threads and
//! before rights are given up; rights are given up before the first byte from
//! outside is read.

use super::RunOptions;
use super::api::Api;
use super::begin::{Begun, begin};
use super::keeper::{self, Keeper};
use super::log::Log;
use super::pass::{Daemon, TOKEN_KEEPER, TOKEN_SIGNALS, TOKEN_TIMER};
use crate::load::is_lasting;
use rail_core::Router;
use rail_core::config::{self, Config};
use rail_core::notice::{Notice, Severity};
use rail_linux::child::Children;
use rail_linux::clock::{self, Timer};
use rail_linux::lock::{Lock, LockError};
use rail_linux::notify_socket::NotifySocket;
use rail_linux::poll::Poller;
use rail_linux::process::Spawner;
use rail_linux::programs::Unusable;
use rail_linux::rescue::Rescue;
use rail_linux::shell::Shell;
use rail_linux::signal::Signals;
use rail_linux::{file, programs, realtime};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::rc::Rc;

/// Why there is no daemon.
#[derive(Debug)]
pub(super) enum Failure {
    /// The configuration; the drawn report.
    Config(String),
    /// The machine; one sentence.
    Here(String),
    /// The machine at this moment; one sentence.
    Passing(String),
}

/// Does everything up to the first pass of the loop.
pub(super) fn set_up(options: RunOptions) -> Result<Daemon, Failure> {
    let boot_id = clock::boot_id();
    let Begun { config, revisions, mut notices } = begin(&options, &boot_id)?;
    check_machine().map_err(Failure::Here)?;
    make_dir(&options.runtime_dir, 0o755)?;
    make_dir(&options.state_dir, 0o700)?;
    // Before the lock, so that it is not handed on to the spawner.
    let start = || Spawner::start().map_err(here("start the process that runs nft"));
    let mut spawners = [start()?, start()?];
    let children = Children::start(&options.runtime_dir, &options.state_dir)
        .map_err(here("start the process that supervises helper programs"))?;
    programs::check_nft(&mut spawners[0]).map_err(|unusable| match unusable {
        Unusable::Lasting(text) => Failure::Here(text),
        Unusable::Passing(text) => Failure::Passing(text),
    })?;
    let mut lock = Lock::take(&options.state_dir).map_err(|e| match &e {
        LockError::Io(_, cause) if !is_lasting(cause) => Failure::Passing(e.to_string()),
        _ => Failure::Here(e.to_string()),
    })?;
    let passed_over = std::mem::take(&mut lock.passed_over).into_iter();
    notices.extend(passed_over.map(|text| Notice::daemon(Severity::Warn, text)));
    notices.extend(warn_of_others(&options.runtime_dir));
    let signals = Signals::take().map_err(here("take signals"))?;
    let poller = Rc::new(Poller::new().map_err(here("make an epoll descriptor"))?);
    let timer = Timer::new().map_err(here("make a timer"))?;
    let api = Api::open(&options.runtime_dir, &poller).map_err(|e| {
        let dir = options.runtime_dir.display();
        let text = format!(
            "cannot make the control sockets in {dir}: {e}; choose another with --runtime-dir"
        );
        by_cause(&e, text)
    })?;
    let is_realtime = enter_realtime(&mut notices);
    let rescue = start_rescue(is_realtime, &mut notices);
    drop_rights(&options, config.log.file.as_deref(), &mut notices);
    let log = start_log(&config.log, options.debug, &mut notices)?;
    let keeper = Keeper::start(options.state_dir.clone()).map_err(here("start a thread"))?;
    let shell = Shell::open(Rc::clone(&poller), spawners, children, &options.state_dir)
        .map_err(here("open netlink sockets"))?;
    poller.add(&signals, TOKEN_SIGNALS).map_err(here("wait for signals"))?;
    poller.add(&timer, TOKEN_TIMER).map_err(here("wait for a timer"))?;
    poller.add(&keeper, TOKEN_KEEPER).map_err(here("wait for a thread"))?;
    let (saved, flaw) = file::load_saved(&options.state_dir);
    let reported = |text| Notice::daemon(Severity::Warn, text);
    notices.extend(flaw.map(|flaw| reported(flaw.at_start())));
    let router = Router::new(config, saved, boot_id, seed()?);
    let manager = NotifySocket::from_environment();
    let parts = super::pass::Parts {
        router,
        shell,
        poller,
        timer,
        signals,
        api,
        log,
        manager,
        keeper,
        revisions,
        rescue,
    };
    Ok(Daemon::new(options, parts, lock, notices, is_realtime))
}

/// Reads and validates the configuration.
pub(super) fn load_config(path: &Path) -> Result<Config, Failure> {
    match keeper::read(path) {
        Ok(valid) => Ok(valid.version.config),
        Err(bad) => Err(Failure::Config(bad.report)),
    }
}

/// A log file that cannot be opened is no reason not to route.
fn start_log(config: &config::Log, debug: bool, notices: &mut Vec<Notice>) -> Result<Log, Failure> {
    let Some(file) = &config.file else {
        return Log::start(config, debug).map_err(here("start the log"));
    };
    Log::start(config, debug).or_else(|e| {
        let text = format!("could not open the log file {file}: {e}; writes to stderr instead");
        notices.push(Notice::daemon(Severity::Error, text));
        let config = config::Log { file: None, ..config.clone() };
        Log::start(&config, debug).map_err(here("start the log"))
    })
}

/// Secret random bytes for probe nonces.
pub(super) fn seed() -> Result<[u8; 16], Failure> {
    let mut seed = [0; 16];
    rustix::rand::getrandom(&mut seed, rustix::rand::GetRandomFlags::empty())
        .map_err(here("get random bytes"))?;
    Ok(seed)
}

/// What must be true of any machine we work on.
fn check_machine() -> Result<(), String> {
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    if !is_recent(&release) {
        return Err(format!("kernel {release} is too old; use Linux 5.10 or later"));
    }
    if !realtime::can_route() {
        let text = "rail needs the rights CAP_NET_ADMIN and CAP_NET_RAW; start it as root, \
                    for example with sudo";
        return Err(text.into());
    }
    Ok(())
}

/// 5.10 or later; a release that does not begin with two numbers is given the benefit of the doubt.
fn is_recent(release: &str) -> bool {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(str::parse::<u32>);
    match (numbers.next(), numbers.next()) {
        (Some(Ok(major)), Some(Ok(minor))) => (major, minor) >= (5, 10),
        _ => true,
    }
}

fn make_dir(path: &Path, mode: u32) -> Result<(), Failure> {
    let made = fs::DirBuilder::new().recursive(true).mode(mode).create(path);
    made.map_err(|e| {
        let text = format!("cannot make the directory {}: {e}", path.display());
        by_cause(&e, format!("{text}; choose others with --runtime-dir and --state-dir"))
    })
}

/// Whoever can write in the directory can put sockets of his own in the place of ours.
fn warn_of_others(runtime_dir: &Path) -> Option<Notice> {
    let me = rustix::process::geteuid().as_raw();
    let found = fs::metadata(runtime_dir).ok()?;
    let is_theirs = found.uid() != 0 && found.uid() != me;
    let is_open = (found.mode() & 0o1002) == 0o0002;
    (is_theirs || is_open).then(|| {
        let dir = runtime_dir.display();
        let text = format!(
            "others can write in {dir}, and answer in rail's place there; choose another with \
             --runtime-dir"
        );
        Notice::daemon(Severity::Warn, text)
    })
}

fn enter_realtime(notices: &mut Vec<Notice>) -> bool {
    match realtime::enter(PRIORITY) {
        Ok(()) => true,
        Err(e) => {
            let text = format!("runs with normal scheduling, real-time was refused: {e}");
            notices.push(Notice::daemon(Severity::Info, text));
            false
        }
    }
}

/// A normal thread needs none: the kernel takes it to another processor by itself.
fn start_rescue(is_realtime: bool, notices: &mut Vec<Notice>) -> Option<Rescue> {
    if !is_realtime {
        return None;
    }
    let started = Rescue::start(PRIORITY + 1);
    if let Err(e) = &started {
        let text = format!("could not start the thread that moves the loop if it is late: {e}");
        notices.push(Notice::daemon(Severity::Warn, text));
    }
    started.ok()
}

/// Root without further rights can read and write only what belongs to root, or is open to others:
/// files that will be opened or made later, and every directory on the way to them.
fn drop_rights(options: &RunOptions, log: Option<&str>, notices: &mut Vec<Notice>) {
    let me = rustix::process::geteuid().as_raw();
    let owner = |path: &Path| fs::metadata(path).map_or(me, |found| found.uid());
    let log = log.map(Path::new);
    let all = [Some(&*options.config), Some(&*options.state_dir), Some(&*options.runtime_dir), log];
    let keep_files = all.into_iter().flatten().any(|path| {
        owner(path) != me || path.ancestors().map(owner).any(|owner| owner != 0 && owner != me)
    });
    if let Err(e) = realtime::drop_rights(keep_files) {
        let text = format!("could not give up rights that are not needed: {e}");
        notices.push(Notice::daemon(Severity::Warn, text));
    }
}

/// What the kernel lacks now it may have later: memory, a process, a descriptor, a module.
fn here<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Failure {
    move |e| Failure::Passing(format!("cannot {what}: {e}"))
}

fn by_cause(error: &io::Error, text: String) -> Failure {
    if is_lasting(error) { Failure::Here(text) } else { Failure::Passing(text) }
}

/// Above all that is normal, below the kernel's own threads (50).
pub(super) const PRIORITY: i32 = 10;

#[cfg(test)]
mod tests {
    use super::is_recent;

    #[test]
    fn old_kernels_are_known_by_their_number() {
        for (release, recent) in [
            ("5.10.0-30-amd64", true),
            ("6.18.44", true),
            ("10.1", true),
            ("5.9.16", false),
            ("4.19.0", false),
            ("odd", true),
        ] {
            assert_eq!(is_recent(release), recent, "{release}");
        }
    }
}
