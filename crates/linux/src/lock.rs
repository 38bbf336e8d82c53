//! One daemon per network namespace and per state directory.
//!
//! Two daemons would repair each other for ever. The namespace is held by
//! `flock` on a file in a directory that only root can write, named by the
//! namespace's inode and not by the daemon's own directories; the state
//! directory by `flock`, too. A crash leaves a file that nobody holds.
//!
//! Beside the file, an abstract unix socket name (such names belong to the
//! network namespace) is taken: daemons before this one know nothing else, and
//! one that sees another `/run` is found by it. But anybody can take such a
//! name, so it counts only if root, or our own user, has it.

use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with};
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};

/// Held as long as the daemon lives.
#[derive(Debug)]
pub struct Lock {
    _namespace: Option<NamespaceFile>,
    _name: Option<UnixListener>,
    _directory: File,
    /// What was in the way and is no rail, as sentences for people.
    pub passed_over: Vec<String>,
}

/// Why the lock is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon works in this network namespace; its process id if it can be known.
    Namespace(Option<i32>),
    /// Another daemon uses this state directory.
    Directory(PathBuf),
    /// The lock file could not be made.
    Io(PathBuf, io::Error),
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Namespace(pid) => {
                f.write_str("another rail runs in this network namespace")?;
                if let Some(pid) = pid {
                    write!(f, " (process {pid})")?;
                }
                f.write_str("; stop it with `rail stop` first")
            }
            Self::Directory(path) => write!(
                f,
                "another rail uses the state directory {}; give this one its own with --state-dir",
                path.display()
            ),
            Self::Io(path, e) => {
                write!(f, "cannot lock {}: {e}; choose another with --state-dir", path.display())
            }
        }
    }
}

impl std::error::Error for LockError {}

impl Lock {
    /// Takes all locks, and waits for none; `state_dir` exists.
    ///
    /// # Errors
    /// Another daemon has one of them, or the file system refuses that of the state directory.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        Self::take_in(Path::new(DIRECTORY), state_dir)
    }

    fn take_in(directory: &Path, state_dir: &Path) -> Result<Self, LockError> {
        let mut passed_over = Vec::new();
        let namespace = match lock_namespace(directory) {
            Ok(locked) => Some(locked),
            Err(Refusal::Held(pid)) => return Err(LockError::Namespace(pid)),
            Err(Refusal::Io(e)) => {
                let dir = directory.display();
                passed_over.push(format!(
                    "no lock could be taken in {dir} ({e}); another rail in this network namespace \
                     might not be seen"
                ));
                None
            }
        };
        let name = take_name(&mut passed_over)?;
        let path = state_dir.join("lock");
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let made = options.open(&path);
        let file = made
            .or_else(|e| match e.kind() {
                // A disk that is full or read-only does not keep a router from its work.
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull => {
                    File::open(&path).or_else(|_| File::open(state_dir))
                }
                _ => Err(e),
            })
            .map_err(|e| LockError::Io(path.clone(), e))?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {
                Ok(Self { _namespace: namespace, _name: name, _directory: file, passed_over })
            }
            Err(Errno::WOULDBLOCK) => Err(LockError::Directory(state_dir.into())),
            Err(e) => Err(LockError::Io(path, e.into())),
        }
    }
}

/// The locked file of a network namespace.
#[derive(Debug)]
struct NamespaceFile {
    path: PathBuf,
    _file: File,
}

impl Drop for NamespaceFile {
    fn drop(&mut self) {
        // While it is still held, so that it is ours and nobody else's. A rest would do no harm.
        let _ = fs::remove_file(&self.path);
    }
}

/// Why the file of the namespace is not ours.
enum Refusal {
    Held(Option<i32>),
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(e: io::Error) -> Self {
        Self::Io(e)
    }
}

/// The locked file of this thread's network namespace.
fn lock_namespace(directory: &Path) -> Result<NamespaceFile, Refusal> {
    match DirBuilder::new().mode(0o755).create(directory) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e.into()),
        _ => {}
    }
    let found = fs::symlink_metadata(directory)?;
    if !found.is_dir() || !is_ours(&found) || found.mode() & 0o022 != 0 {
        return Err(io::Error::other("others can write there").into());
    }
    let inode = fs::metadata("/proc/thread-self/ns/net")?.ino();
    let path = directory.join(format!("netns-{inode}.lock"));
    for _ in 0..ATTEMPTS {
        let mut file = open_own(&path)?;
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(Errno::WOULDBLOCK) => return Err(Refusal::Held(read_holder(&mut file))),
            Err(e) => return Err(io::Error::from(e).into()),
        }
        // Whoever had it may have removed it between our two steps.
        let is_there = fs::symlink_metadata(&path);
        if is_there.is_ok_and(|found| file.metadata().is_ok_and(|own| own.ino() == found.ino())) {
            file.set_len(0)?;
            file.write_all(format!("{}\n", std::process::id()).as_bytes())?;
            return Ok(NamespaceFile { path, _file: file });
        }
    }
    Err(io::Error::from(io::ErrorKind::WouldBlock).into())
}

/// Opens or makes the file such that nobody else can have it open. What stands there and is not
/// ours goes: the directory is.
fn open_own(path: &Path) -> io::Result<File> {
    let is_own = |found: &fs::Metadata| {
        found.is_file() && is_ours(found) && found.nlink() == 1 && found.mode() & 0o077 == 0
    };
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir(path)?,
        Ok(found) if !is_own(&found) => fs::remove_file(path)?,
        _ => {}
    }
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut options = OpenOptions::new();
    options.create(true).truncate(false).read(true).write(true).mode(0o600).custom_flags(flags);
    options.open(path)
}

fn is_ours(found: &fs::Metadata) -> bool {
    found.uid() == 0 || found.uid() == rustix::process::geteuid().as_raw()
}

fn read_holder(file: &mut File) -> Option<i32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

/// Takes the abstract name, too; `None` if somebody has it who is no rail.
fn take_name(passed_over: &mut Vec<String>) -> Result<Option<UnixListener>, LockError> {
    let taken =
        SocketAddr::from_abstract_name(NAME).and_then(|name| UnixListener::bind_addr(&name));
    let text = match taken {
        Ok(listener) => return Ok(Some(listener)),
        Err(e) if e.kind() != io::ErrorKind::AddrInUse => {
            format!("the name @{NAME} could not be taken: {e}")
        }
        Err(_) => match name_holder() {
            Ok((user, pid)) if user == 0 || user == rustix::process::geteuid().as_raw() => {
                return Err(LockError::Namespace(Some(pid)));
            }
            Ok((user, pid)) => {
                format!("process {pid} of user {user} has the name @{NAME}; it is not rail")
            }
            Err(e) => format!("somebody has the name @{NAME} and does not answer ({e})"),
        },
    };
    passed_over.push(text);
    Ok(None)
}

/// User and process that listen on the name; the kernel tells them to whoever connects. Never waits:
/// the queue of connections may have been filled.
fn name_holder() -> io::Result<(u32, i32)> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    connect(&socket, &SocketAddrUnix::new_abstract_name(NAME.as_bytes())?)?;
    let peer = rustix::net::sockopt::socket_peercred(&socket)?;
    Ok((peer.uid.as_raw(), peer.pid.as_raw_nonzero().get()))
}

const NAME: &str = "rail-daemon";
/// The same for all daemons, whatever their own directories are.
const DIRECTORY: &str = "/run/rail";
/// Of locking a file that its holder is just removing.
const ATTEMPTS: u32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;
    use std::os::unix::fs::PermissionsExt;
    use std::time::{Duration, Instant};

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("rail-lock-{}-{name}", std::process::id()));
        for part in ["run", "one", "two"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        dir
    }

    /// Runs this as the user nobody, in this network namespace.
    fn as_nobody<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let work = || {
            let nobody = rustix::process::Uid::from_raw(65_534);
            rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            work()
        };
        std::thread::spawn(work).join().unwrap()
    }

    fn squat() -> UnixListener {
        UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME).unwrap()).unwrap()
    }

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = scratch("second");
        let here = dir.clone();
        in_new_netns(move || {
            let (run, one, two) = (here.join("run"), here.join("one"), here.join("two"));
            let first = Lock::take_in(&run, &one).unwrap();
            assert_eq!(first.passed_over, Vec::<String>::new());
            let own = i32::try_from(std::process::id()).unwrap();
            let refused = Lock::take_in(&run, &two).unwrap_err();
            assert!(matches!(refused, LockError::Namespace(Some(pid)) if pid == own), "{refused}");
            // One that sees another /run finds the name.
            let refused = Lock::take_in(&here.join("elsewhere"), &two).unwrap_err();
            assert!(matches!(refused, LockError::Namespace(Some(_))), "{refused}");
            let (same, other_run) = (one.clone(), run.clone());
            in_new_netns(move || {
                let refused = Lock::take_in(&other_run, &same).unwrap_err();
                assert!(matches!(refused, LockError::Directory(_)), "{refused}");
            });
            drop(first);
            assert_eq!(fs::read_dir(&run).unwrap().count(), 0);
            Lock::take_in(&run, &one).unwrap();
        });
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a user without rights who has the name, and has filled its queue, when a daemon
    /// starts, then it does, at once, and says who has it; a second daemon is still refused.
    #[test]
    fn who_squats_the_name_hinders_nobody() {
        let dir = scratch("squat");
        let here = dir.clone();
        in_new_netns(move || {
            let (run, one, two) = (here.join("run"), here.join("one"), here.join("two"));
            let listener = as_nobody(squat);
            let lock = Lock::take_in(&run, &one).unwrap();
            assert!(lock.passed_over[0].contains("of user 65534 has the name"), "{lock:?}");
            drop(lock);
            rustix::net::listen(&listener, 0).unwrap();
            let name = SocketAddrUnix::new_abstract_name(NAME.as_bytes()).unwrap();
            let mut waiting = Vec::new();
            let flags = SocketFlags::NONBLOCK;
            loop {
                let kind = SocketType::STREAM;
                let socket = socket_with(AddressFamily::UNIX, kind, flags, None).unwrap();
                if connect(&socket, &name).is_err() {
                    break;
                }
                waiting.push(socket);
            }
            let begun = Instant::now();
            let lock = Lock::take_in(&run, &one).unwrap();
            assert!(begun.elapsed() < Duration::from_secs(2));
            assert!(lock.passed_over[0].contains("does not answer"), "{lock:?}");
            let refused = Lock::take_in(&run, &two).unwrap_err();
            assert!(matches!(refused, LockError::Namespace(Some(_))), "{refused}");
        });
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a daemon of before, which has nothing but the name, then it is seen.
    #[test]
    fn an_older_daemon_is_seen_by_its_name() {
        let dir = scratch("older");
        let here = dir.clone();
        in_new_netns(move || {
            let _older = squat();
            let refused = Lock::take_in(&here.join("run"), &here.join("one")).unwrap_err();
            assert!(matches!(refused, LockError::Namespace(Some(_))), "{refused}");
        });
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given things of others in the place of the file, or a directory that others can write, then
    /// the daemon starts, at once; in the second case it says so.
    #[test]
    fn what_stands_in_the_files_place_is_taken_away() {
        let dir = scratch("place");
        let here = dir.clone();
        in_new_netns(move || {
            let (run, one) = (here.join("run"), here.join("one"));
            let inode = fs::metadata("/proc/thread-self/ns/net").unwrap().ino();
            let path = run.join(format!("netns-{inode}.lock"));
            let make: [fn(&Path); 4] = [
                |path| {
                    fs::write(path, "").unwrap();
                    std::os::unix::fs::chown(path, Some(65_534), None).unwrap();
                },
                |path| rustix::fs::mkfifoat(rustix::fs::CWD, path, 0o666.into()).unwrap(),
                |path| std::os::unix::fs::symlink("/nowhere/file", path).unwrap(),
                |path| fs::create_dir(path).unwrap(),
            ];
            for make in make {
                make(&path);
                let holder = path.clone();
                let _held = as_nobody(move || {
                    let mut options = OpenOptions::new();
                    let options = options.read(true).custom_flags(libc::O_NONBLOCK);
                    let file = options.open(holder).ok()?;
                    rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
                    Some(file)
                });
                let lock = Lock::take_in(&run, &one).unwrap();
                assert_eq!(lock.passed_over, Vec::<String>::new());
                let found = fs::symlink_metadata(&path).unwrap();
                assert_eq!((found.uid(), found.mode() & 0o7777), (0, 0o600));
            }
            fs::set_permissions(&run, fs::Permissions::from_mode(0o777)).unwrap();
            let lock = Lock::take_in(&run, &one).unwrap();
            assert!(lock.passed_over[0].contains("others can write there"), "{lock:?}");
        });
        fs::remove_dir_all(dir).unwrap();
    }
}
