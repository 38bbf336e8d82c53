//! The record of a child: what it was declared as, and which process it is.
//!
//! Two files: the declaration, written before the child is started, and the kernel's line about the
//! process, which the child writes itself before it becomes the program. So there is no moment at which a
//! child runs without a record. Promises: a record that somebody else could have written, of another boot,
//! or torn, is not believed. The line bears the moment at which the process began, and it is compared with
//! the kernel's before anything is done to it; that tells one process from another more surely than the
//! program's file, which an upgrade replaces.

use super::place::{Place, is_ours, write};
use super::session::{Identity, Stat};
use rail_core::Child;
use rustix::fd::OwnedFd;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// What is known of a child that an earlier supervisor started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Record {
    pub(super) name: String,
    pub(super) identity: Identity,
    /// What it was declared as; `None` if that was by a version with other words.
    pub(super) child: Option<Child>,
    /// Which file it runs.
    pub(super) file: Option<String>,
}

#[derive(Serialize, Deserialize)]
struct Declared {
    boot: String,
    /// Which file it runs.
    #[serde(default)]
    file: Option<String>,
    child: Value,
}

/// Writes the declaration, and opens the file that takes the kernel's line.
pub(super) fn begin(
    place: &Place,
    boot: &str,
    child: &Child,
    file: Option<&str>,
) -> io::Result<OwnedFd> {
    let name = child.id.name();
    let process = process_file(place, &name);
    remove(&process)?;
    declare(place, boot, child, file)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(process)?;
    Ok(file.into())
}

/// Writes the declaration anew: what runs is this now.
pub(super) fn declare(
    place: &Place,
    boot: &str,
    child: &Child,
    file: Option<&str>,
) -> io::Result<()> {
    let file = file.map(str::to_owned);
    let declared = Declared { boot: boot.into(), file, child: serde_json::to_value(child)? };
    let path = declaration(place, &child.id.name());
    let temporary = path.with_extension("new");
    write(&temporary, &serde_json::to_vec(&declared)?, None, 0o600)?;
    fs::rename(temporary, path)
}

/// The child of this name has ended.
pub(super) fn end(place: &Place, name: &str) {
    // One that stays names a process that has ended, which is found out.
    let _ = remove(&process_file(place, name));
    let _ = remove(&declaration(place, name));
}

/// All records that can be believed.
pub(super) fn load(place: &Place, boot: &str) -> Vec<Record> {
    let Ok(found) = fs::symlink_metadata(place.common()) else { return Vec::new() };
    if !found.is_dir() || !is_ours(&found) {
        return Vec::new();
    }
    let Ok(entries) = fs::read_dir(place.common()) else { return Vec::new() };
    let names = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(PROCESS).map(str::to_owned));
    names.filter_map(|name| read(place, boot, name)).collect()
}

fn read(place: &Place, boot: &str, name: String) -> Option<Record> {
    let line = read_file(&process_file(place, &name))?;
    let identity = Stat::parse(std::str::from_utf8(&line).ok()?)?.identity;
    let declared: Declared =
        serde_json::from_slice(&read_file(&declaration(place, &name))?).ok()?;
    let child = serde_json::from_value(declared.child).ok();
    let child = child.filter(|child: &Child| child.id.name() == name);
    let file = declared.file;
    (declared.boot == boot).then_some(Record { name, identity, child, file })
}

/// The content of a file that nobody but us could have written.
pub(super) fn read_file(path: &Path) -> Option<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let mut file = File::options().read(true).custom_flags(flags).open(path).ok()?;
    let found = file.metadata().ok()?;
    if !found.is_file() || !is_ours(&found) || found.nlink() != 1 || found.len() > LARGEST {
        return None;
    }
    let mut content = Vec::new();
    file.by_ref().take(LARGEST).read_to_end(&mut content).ok()?;
    Some(content)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

fn declaration(place: &Place, name: &str) -> PathBuf {
    place.common().join(format!("{name}.json"))
}

fn process_file(place: &Place, name: &str) -> PathBuf {
    place.common().join(format!("{name}{PROCESS}"))
}

const PROCESS: &str = ".process";
/// A declaration bears the files of the child.
const LARGEST: u64 = 16 << 20;
