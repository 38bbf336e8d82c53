//! Files that vanish: the private tmpfs of an isolated process.
//!
//! It is mounted by [`crate::space`] over `/run` of its own mount namespace, so that
//! nothing can be left behind and sockets of the host's services are out of reach.

use crate::LabError;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

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
