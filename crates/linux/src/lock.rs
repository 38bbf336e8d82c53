//! One daemon per network namespace and per state directory.
//!
//! Two daemons would repair each other for ever. The namespace is held by an
//! abstract unix socket name (such names belong to the network namespace and
//! vanish with the process), the directory by `flock`. Neither leaves anything
//! behind after a crash.

use rustix::fs::FlockOperation;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// Held as long as the daemon lives.
#[derive(Debug)]
pub struct Lock {
    _namespace: UnixListener,
    _directory: File,
}

/// Why the lock is not ours.
#[derive(Debug)]
pub enum LockError {
    /// Another daemon works in this network namespace; its process id if it can be known.
    Namespace(Option<i32>),
    /// Another daemon uses this state directory.
    Directory(PathBuf),
    /// The lock file or the socket could not be made.
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
    /// Takes both locks; `state_dir` exists.
    ///
    /// # Errors
    /// Somebody has one of them, or the file system refuses.
    pub fn take(state_dir: &Path) -> Result<Self, LockError> {
        let namespace = lock_namespace().map_err(|e| match e.kind() {
            io::ErrorKind::AddrInUse => LockError::Namespace(holder()),
            _ => LockError::Io(state_dir.into(), e),
        })?;
        let path = state_dir.join("lock");
        let made =
            OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        let directory = made
            .or_else(|e| match e.kind() {
                // A disk that is full or read-only does not keep a router from its work.
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::StorageFull => {
                    File::open(&path).or_else(|_| File::open(state_dir))
                }
                _ => Err(e),
            })
            .map_err(|e| LockError::Io(path.clone(), e))?;
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { _namespace: namespace, _directory: directory }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(LockError::Directory(state_dir.into())),
            Err(e) => Err(LockError::Io(path, e.into())),
        }
    }
}

fn lock_namespace() -> io::Result<UnixListener> {
    UnixListener::bind_addr(&SocketAddr::from_abstract_name(NAME)?)
}

/// The process that listens on the name; the kernel tells it to whoever connects.
fn holder() -> Option<i32> {
    let stream = UnixStream::connect_addr(&SocketAddr::from_abstract_name(NAME).ok()?).ok()?;
    let peer = rustix::net::sockopt::socket_peercred(&stream).ok()?;
    Some(peer.pid.as_raw_nonzero().get())
}

const NAME: &str = "rail-daemon";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::in_new_netns;
    use std::fs;

    #[test]
    fn the_second_is_refused_until_the_first_is_gone() {
        let dir = std::env::temp_dir().join(format!("rail-lock-{}", std::process::id()));
        let other = dir.join("other");
        fs::create_dir_all(&other).unwrap();
        let here = dir.clone();
        in_new_netns(move || {
            let first = Lock::take(&here).unwrap();
            let refused = Lock::take(&other).unwrap_err();
            assert!(matches!(refused, LockError::Namespace(Some(_))), "{refused}");
            let same = here.clone();
            in_new_netns(move || {
                let refused = Lock::take(&same).unwrap_err();
                assert!(matches!(refused, LockError::Directory(_)), "{refused}");
            });
            drop(first);
            Lock::take(&here).unwrap();
        });
        fs::remove_dir_all(dir).unwrap();
    }
}
