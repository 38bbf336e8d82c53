//! From a command line to a daemon that may start its loop.
//!
//! The order matters: what can be wrong with the machine is found out before
//! anything is touched; the spawner is forked before there are threads and
//! before rights are given up; rights are given up before the first byte from
//! outside is read.

use super::RunOptions;
use super::api::Api;
use super::log::Log;
use super::pass::{Daemon, TOKEN_SIGNALS, TOKEN_TIMER};
use crate::load;
use rail_core::Router;
use rail_core::config::Config;
use rail_core::notice::{Notice, Severity};
use rail_linux::clock::Timer;
use rail_linux::lock::Lock;
use rail_linux::notify_socket::NotifySocket;
use rail_linux::poll::Poller;
use rail_linux::process::Spawner;
use rail_linux::shell::Shell;
use rail_linux::signal::Signals;
use rail_linux::{file, realtime};
use std::fs;
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
}

/// Does everything up to the first pass of the loop.
pub(super) fn set_up(options: RunOptions) -> Result<Daemon, Failure> {
    let (config, mut notices) = load_config(&options.config)?;
    check_machine().map_err(Failure::Here)?;
    make_dir(&options.runtime_dir, 0o755)?;
    make_dir(&options.state_dir, 0o700)?;
    // Before the lock, so that it is not handed on to the spawner.
    let start = || Spawner::start().map_err(here("start the process that runs nft"));
    let spawners = [start()?, start()?];
    let lock = Lock::take(&options.state_dir).map_err(|e| Failure::Here(e.to_string()))?;
    let signals = Signals::take().map_err(here("take signals"))?;
    let poller = Rc::new(Poller::new().map_err(here("make an epoll descriptor"))?);
    let timer = Timer::new().map_err(here("make a timer"))?;
    let api = Api::open(&options.runtime_dir, &poller).map_err(|e| {
        let dir = options.runtime_dir.display();
        Failure::Here(format!(
            "cannot make the control sockets in {dir}: {e}; choose another with --runtime-dir"
        ))
    })?;
    let is_realtime = enter_realtime(&mut notices);
    drop_rights(&options, &mut notices);
    let log = Log::start(&config.log, options.debug).map_err(|e| {
        let file = config.log.file.as_deref().unwrap_or("stderr");
        Failure::Here(format!("cannot write the log {file}: {e}; change [log] file"))
    })?;
    let shell = Shell::open(Rc::clone(&poller), spawners, &options.state_dir)
        .map_err(here("open netlink sockets"))?;
    poller.add(&signals, TOKEN_SIGNALS).map_err(here("wait for signals"))?;
    poller.add(&timer, TOKEN_TIMER).map_err(here("wait for a timer"))?;
    let (saved, problem) = file::load_saved(&options.state_dir);
    notices.extend(problem.map(|text| Notice::Daemon { severity: Severity::Warn, text }));
    let router = Router::new(config, saved, boot_id(), seed()?);
    let manager = NotifySocket::from_environment();
    let parts = super::pass::Parts { router, shell, poller, timer, signals, api, log, manager };
    Ok(Daemon::new(options, parts, lock, notices, is_realtime))
}

/// Reads and judges the configuration; the notices are its warnings.
pub(super) fn load_config(path: &Path) -> Result<(Config, Vec<Notice>), Failure> {
    match load::read_file(path) {
        Ok((config, warnings)) => {
            let told = warnings.iter().map(|warning| {
                let (line, message) = (warning.entry.line, &warning.entry.message);
                let text = format!("{}, line {line}: {message}", path.display());
                Notice::Daemon { severity: Severity::Warn, text }
            });
            Ok((config, told.collect()))
        }
        Err(report) => Err(Failure::Config(report.render(false).to_owned())),
    }
}

/// The kernel's number of this boot; empty where /proc does not tell.
pub(super) fn boot_id() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    text.trim().into()
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
        let text = "it needs the rights CAP_NET_ADMIN and CAP_NET_RAW; start it as root, \
                    for example with sudo";
        return Err(text.into());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let places = path.split(':').chain(["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/bin"]);
    if !places.filter(|p| !p.is_empty()).any(|p| Path::new(p).join("nft").is_file()) {
        let text = "the program nft is missing; install the package nftables \
                    (apt install nftables, dnf install nftables, apk add nftables)";
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
        Failure::Here(format!("{text}; choose others with --runtime-dir and --state-dir"))
    })
}

fn enter_realtime(notices: &mut Vec<Notice>) -> bool {
    match realtime::enter(PRIORITY) {
        Ok(()) => true,
        Err(e) => {
            let text = format!("runs with normal scheduling, real-time was refused: {e}");
            notices.push(Notice::Daemon { severity: Severity::Debug, text });
            false
        }
    }
}

/// Root without further rights can read and write only what belongs to root.
fn drop_rights(options: &RunOptions, notices: &mut Vec<Notice>) {
    let me = rustix::process::geteuid().as_raw();
    let is_foreign = |path: &Path| fs::metadata(path).is_ok_and(|found| found.uid() != me);
    let keep_files = is_foreign(&options.config)
        || is_foreign(&options.state_dir)
        || is_foreign(&options.runtime_dir);
    if let Err(e) = realtime::drop_rights(keep_files) {
        let text = format!("could not give up rights that are not needed: {e}");
        notices.push(Notice::Daemon { severity: Severity::Warn, text });
    }
}

fn here<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Failure {
    move |e| Failure::Here(format!("cannot {what}: {e}"))
}

/// Above all that is normal, below the kernel's own threads (50).
const PRIORITY: i32 = 10;

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
