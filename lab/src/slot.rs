//! Who may run beside whom: one slot for each core of the machine.
//!
//! A slot is an empty file in the machine's temporary directory, locked by `flock`, so
//! that the lock goes with the process. A test that measures time takes one slot for
//! itself and runs on that core; a test that loads the whole machine takes them all;
//! every other test shares them all. So tests that measure time run one a core, and
//! never beside any other kind.

use crate::LabError;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use rustix::thread::{CpuSet, sched_getaffinity};
use std::fs::File;
use std::path::{Path, PathBuf};

/// The number of a runner's worker: each begins with a core of its own.
const WORKER: &str = "RAIL_LAB_WORKER";

/// How a test shares the machine with others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Share {
    /// Others may run beside it.
    Shared,
    /// It measures time: a core is its own.
    Core,
    /// It loads every core: nothing else may run.
    Machine,
}

impl Share {
    /// The word a runner knows it by.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "isolated",
            Self::Core => "timed",
            Self::Machine => "alone",
        }
    }
}

/// Holds what a test may use until dropped.
#[derive(Debug)]
pub struct Slot {
    _files: Vec<File>,
    core: Option<usize>,
}

impl Slot {
    /// Waits until the machine can be shared in this way.
    ///
    /// # Errors
    /// When a file in the temporary directory cannot be opened or locked.
    pub fn take(share: Share) -> Result<Self, LabError> {
        let cores = cores()?;
        match share {
            Share::Shared => Self::all(&cores, FlockOperation::LockShared),
            Share::Machine => Self::all(&cores, FlockOperation::LockExclusive),
            Share::Core => Self::one(&cores),
        }
    }

    /// The core that is its own.
    pub const fn core(&self) -> Option<usize> {
        self.core
    }

    /// All slots, in the order of the cores: two that want all of them cannot hold half each.
    fn all(cores: &[usize], operation: FlockOperation) -> Result<Self, LabError> {
        let lock = |core: &usize| lock(&path(*core), operation);
        Ok(Self { _files: cores.iter().map(lock).collect::<Result<_, _>>()?, core: None })
    }

    /// The first slot that is free, beginning with the worker's own.
    fn one(cores: &[usize]) -> Result<Self, LabError> {
        let worker: Option<usize> = std::env::var(WORKER).ok().and_then(|n| n.parse().ok());
        // Without a runner they do not all wait for the same one.
        let first = worker.unwrap_or(std::process::id() as usize) % cores.len();
        for core in cores[first..].iter().chain(&cores[..first]) {
            let file = open(&path(*core))?;
            if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self { _files: vec![file], core: Some(*core) });
            }
        }
        let file = lock(&path(cores[first]), FlockOperation::LockExclusive)?;
        Ok(Self { _files: vec![file], core: Some(cores[first]) })
    }
}

/// The cores that this process may use; never empty.
fn cores() -> Result<Vec<usize>, LabError> {
    let set = sched_getaffinity(None).map_err(|e| LabError::io("ask for the cores", e))?;
    Ok((0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core)).collect())
}

fn path(core: usize) -> PathBuf {
    std::env::temp_dir().join(format!("rail-lab-core-{core}.lock"))
}

fn open(path: &Path) -> Result<File, LabError> {
    File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        // The file of another user can still be locked.
        .or_else(|_| File::open(path))
        .map_err(|e| LabError::io(format!("open {}", path.display()), e))
}

fn lock(path: &Path, operation: FlockOperation) -> Result<File, LabError> {
    let file = open(path)?;
    loop {
        match rustix::fs::flock(&file, operation) {
            Ok(()) => return Ok(file),
            Err(Errno::INTR) => {}
            Err(e) => return Err(LabError::io(format!("lock {}", path.display()), e)),
        }
    }
}
