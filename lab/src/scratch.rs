//! Files that vanish: the private tmpfs of an isolated process, and the lock that
//! lets tests which measure time run alone on the machine.
//!
//! The tmpfs is mounted by [`crate::space`] over `/run` of its own mount namespace,
//! so that nothing can be left behind and sockets of the host's services are out of
//! reach. The lock is one empty file in the machine's temporary directory.

use crate::LabError;
use rustix::fs::FlockOperation;
use std::fs::{self, File};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

/// How a test shares the machine with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Others may run beside it.
    Shared,
    /// It measures time: nobody else may run.
    Alone,
}

/// Holds the machine-wide lock until dropped.
#[derive(Debug)]
pub struct MachineLock {
    _file: File,
}

impl MachineLock {
    /// Waits for the lock.
    ///
    /// # Errors
    /// When the file in the temporary directory cannot be opened or locked.
    pub fn take(share: Share) -> Result<Self, LabError> {
        let path = std::env::temp_dir().join("rail-lab-timing.lock");
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&path)
            // A file of another user can still be locked for reading.
            .or_else(|_| File::open(&path))
            .map_err(|e| LabError::io(format!("open {}", path.display()), e))?;
        let operation = match share {
            Share::Shared => FlockOperation::LockShared,
            Share::Alone => FlockOperation::LockExclusive,
        };
        loop {
            match rustix::fs::flock(&file, operation) {
                Ok(()) => return Ok(Self { _file: file }),
                Err(rustix::io::Errno::INTR) => {}
                Err(e) => return Err(LabError::io(format!("lock {}", path.display()), e)),
            }
        }
    }
}

/// Makes a fresh directory inside the private tmpfs.
///
/// # Errors
/// When the directory cannot be made.
pub fn directory(name: &str) -> Result<PathBuf, LabError> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let path = PathBuf::from(format!("/run/rail-lab/{name}-{number}"));
    fs::create_dir_all(&path).map_err(|e| LabError::io(format!("create {}", path.display()), e))?;
    Ok(path)
}
