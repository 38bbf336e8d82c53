//! Where children live: their directories and files.
//!
//! `RUNTIME/children` holds a directory, a record and a pipe for each child, and belongs to root alone. A
//! child's own directory belongs to root and to the child's group, which can read it and not change it.
//! `STATE/children/NAME`, for those that keep something, can be written by the group, too. Promises: no
//! file is written through a name that somebody else can change; a file is replaced whole. Where the disk
//! takes nothing, what a child keeps is in `RUNTIME/children/NAME.kept`, until the next boot.

use super::{secret, user};
use rail_core::{Child, DIRECTORY, KEPT};
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// The directories.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    runtime: PathBuf,
    state: PathBuf,
}

impl Place {
    /// Makes the common directory, and makes sure that it is ours.
    pub(super) fn open(runtime: &Path, state: &Path) -> io::Result<Self> {
        let place = Self { runtime: runtime.join("children"), state: state.join("children") };
        make(&place.runtime, 0o711)?;
        Ok(place)
    }

    /// The same in a directory of its own, for a trial.
    pub(super) fn beside(&self) -> io::Result<Self> {
        let place = Self { runtime: self.runtime.join(TRIAL), state: self.state.clone() };
        make(&place.runtime, 0o711)?;
        Ok(place)
    }

    /// Takes a place for a trial away.
    pub(super) fn remove(&self) {
        // What is left is written over by the next one.
        let _ = fs::remove_dir_all(&self.runtime);
    }

    /// The common directory.
    pub(super) fn common(&self) -> &Path {
        &self.runtime
    }

    /// The directory of a child.
    pub(super) fn of(&self, name: &str) -> PathBuf {
        self.runtime.join(name)
    }

    /// The pipe of a child.
    pub(super) fn pipe(&self, name: &str) -> PathBuf {
        self.runtime.join(format!("{name}.pipe"))
    }

    /// What the program of a child took last; it outlives a boot.
    pub(super) fn taken(&self, name: &str) -> PathBuf {
        self.state.join(format!("{name}.taken"))
    }

    /// Makes the directories of a child and writes its files.
    pub(super) fn furnish(&self, child: &Child) -> io::Result<()> {
        let group = user::of(child).map(|(_, group)| group);
        let directory = self.of(&child.id.name());
        make(&directory, 0o750)?;
        give(&directory, group, 0o750)?;
        if child.keeps_state {
            match self.keep(&child.id.name(), group) {
                Err(e) if takes_nothing(&e) => self.keep_in_memory(child)?,
                other => other?,
            }
        }
        for file in &child.files {
            if file.name.is_empty() || file.name.starts_with('.') || file.name.contains('/') {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            let mode = match (file.is_secret, group) {
                (false, _) => 0o644,
                (true, Some(_)) => 0o640,
                (true, None) => 0o600,
            };
            let temporary = directory.join(format!(".{}.new", file.name));
            let mut content = self.fill_in(child, &file.content);
            if file.is_secret {
                content = secret::fill_in(&content)?;
            }
            write(&temporary, content.as_bytes(), group, mode)?;
            fs::rename(&temporary, directory.join(&file.name))?;
        }
        Ok(())
    }

    /// Makes the directory that outlives a boot.
    fn keep(&self, name: &str, group: Option<u32>) -> io::Result<()> {
        self.state.parent().map_or(Ok(()), let_through)?;
        make(&self.state, 0o711)?;
        let kept = self.state.join(name);
        make(&kept, 0o770)?;
        give(&kept, group, 0o770)?;
        can_write(&kept)
    }

    /// The same in memory, with what there is on the disk.
    fn keep_in_memory(&self, child: &Child) -> io::Result<()> {
        let name = child.id.name();
        let (user, group) = user::of(child).unzip();
        let kept = self.in_memory(&name);
        let is_new = !kept.exists();
        make(&kept, 0o770)?;
        give(&kept, group, 0o770)?;
        let before = fs::read_dir(self.state.join(&name)).into_iter().flatten().flatten();
        for entry in before.filter(|_| is_new) {
            // What cannot be read is as if the disk were lost.
            let Ok(content) = read_own(&entry.path(), user) else { continue };
            write(&kept.join(entry.file_name()), &content, group, 0o660)?;
        }
        Ok(())
    }

    fn in_memory(&self, name: &str) -> PathBuf {
        self.runtime.join(format!("{name}.kept"))
    }

    /// The text with the names of the directories in their places.
    pub(super) fn fill_in(&self, child: &Child, text: &str) -> String {
        let name = child.id.name();
        let mut kept = self.state.join(&name);
        if can_write(&kept).is_err() {
            kept = self.in_memory(&name);
        }
        let directory = self.of(&name).display().to_string();
        text.replace(DIRECTORY, &directory).replace(KEPT, &kept.display().to_string())
    }

    /// Takes away what a child that has ended left in the common directory.
    pub(super) fn clear(&self, name: &str) {
        // What is left is replaced by the next start.
        let _ = fs::remove_dir_all(self.of(name));
        let _ = fs::remove_file(self.pipe(name));
    }
}

/// True if nobody but root, or whom we run as, can change it.
pub(super) fn is_ours(found: &fs::Metadata) -> bool {
    let me = rustix::process::geteuid().as_raw();
    found.uid() == me && found.mode() & 0o022 == 0
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        other => return other,
    }
    let found = fs::symlink_metadata(path)?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() {
        let text = format!("{} belongs to somebody else", path.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, text));
    }
    // The mask of the process does not count; and a disk that is read-only refuses what is so already.
    if found.mode() & 0o7777 == mode {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// The disk refuses, and not because of what is there.
fn takes_nothing(error: &io::Error) -> bool {
    use io::ErrorKind::{QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), QuotaExceeded | ReadOnlyFilesystem | StorageFull)
}

fn can_write(directory: &Path) -> io::Result<()> {
    Ok(rustix::fs::access(directory, rustix::fs::Access::WRITE_OK)?)
}

/// The content of a file of this user in a directory that he can change: he may have put there whatever he
/// wants us to read.
fn read_own(path: &Path, user: Option<u32>) -> io::Result<Vec<u8>> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    let found = file.metadata()?;
    let is_his = user.is_none_or(|user| found.uid() == user);
    if !found.is_file() || found.nlink() != 1 || !is_his || found.len() > LARGEST {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// Lets others pass through a directory to those that they know the name of.
fn let_through(path: &Path) -> io::Result<()> {
    let mode = fs::metadata(path)?.mode() & 0o7777;
    if mode & 0o011 == 0o011 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(mode | 0o011))
}

fn give(path: &Path, group: Option<u32>, mode: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(path)?;
    let has_group = group.is_none_or(|group| found.gid() == group);
    if has_group && found.mode() & 0o7777 == mode {
        return Ok(());
    }
    if !has_group {
        std::os::unix::fs::chown(path, None, group)?;
    }
    // A change of the group takes bits away.
    fs::set_permissions(path, Permissions::from_mode(mode))
}

/// Writes a new file in a directory that only we can change.
pub(super) fn write(path: &Path, content: &[u8], group: Option<u32>, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    if let Some(group) = group {
        std::os::unix::fs::fchown(&file, None, Some(group))?;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// No child has this name.
const TRIAL: &str = "trial";
/// Leases of more hosts than a network has.
const LARGEST: u64 = 16 << 20;
