//! A log file and its older ones, in a directory that may belong to others.
//!
//! Promises: what is written lands in a plain file of this name in this directory. A link, a pipe or a
//! file with a second name is refused, and so is a way to the directory that somebody else can
//! turn aside; so whoever may write into the directory cannot have root write elsewhere.

use rustix::fd::OwnedFd;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, fstat, openat, openat2, renameat, statat,
    unlinkat,
};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Where a log file and its older ones are.
#[derive(Debug)]
pub struct LogFile {
    path: PathBuf,
    name: OsString,
}

impl LogFile {
    /// The log file at `path`.
    ///
    /// # Errors
    /// It is the path of a directory.
    pub fn at(path: &Path) -> io::Result<Self> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self { path: path.into(), name: name.into() })
    }

    /// Opens it for appending, and makes it if there is none.
    ///
    /// # Errors
    /// Those of the file system; that it is no plain file of one name.
    pub fn open(&self) -> io::Result<File> {
        let flags = OFlags::WRONLY
            | OFlags::APPEND
            | OFlags::CREATE
            | OFlags::NOFOLLOW
            | OFlags::NONBLOCK
            | OFlags::CLOEXEC;
        let file = match openat(self.directory()?, &self.name, flags, Mode::from(0o640)) {
            Err(Errno::LOOP) => return Err(refused("it is a symbolic link")),
            // Nobody reads a pipe.
            Err(Errno::NXIO) => return Err(refused("it is no plain file")),
            other => other?,
        };
        let found = fstat(&file)?;
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
            return Err(refused("it is no plain file"));
        }
        if found.st_nlink > 1 {
            return Err(refused("it has another name as well (a hard link)"));
        }
        Ok(file.into())
    }

    /// Moves it to `NAME.1`, that to `NAME.2` and so on; the one after `keep` goes. Does nothing if
    /// somebody removed it.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn move_away(&self, keep: u32) -> io::Result<()> {
        let directory = self.directory()?;
        match statat(&directory, &self.name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        if keep == 0 {
            return Ok(unlinkat(&directory, &self.name, AtFlags::empty())?);
        }
        for n in (1..keep).rev() {
            // Fewer files than are kept is the rule at first.
            let _ = renameat(&directory, self.older(n), &directory, self.older(n + 1));
        }
        Ok(renameat(&directory, &self.name, &directory, self.older(1))?)
    }

    fn older(&self, n: u32) -> OsString {
        let mut name = self.name.clone();
        name.push(format!(".{n}"));
        name
    }

    fn directory(&self) -> io::Result<OwnedFd> {
        let parent = match self.path.parent() {
            Some(parent) if parent != Path::new("") => parent,
            _ => Path::new("."),
        };
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let straight = ResolveFlags::NO_SYMLINKS;
        match openat2(rustix::fs::CWD, parent, flags, Mode::empty(), straight) {
            // A link on the way, or a kernel or a filter that does not know the call.
            Err(Errno::LOOP | Errno::NOSYS | Errno::PERM) => {
                if let Some(whose) = turnable(parent) {
                    let whose = whose.display();
                    return Err(refused(&format!(
                        "others may turn the way to it aside, at {whose}"
                    )));
                }
                Ok(openat(rustix::fs::CWD, parent, flags, Mode::empty())?)
            }
            other => Ok(other?),
        }
    }
}

/// The first directory on the way, as written, whose entries somebody else may exchange.
fn turnable(way: &Path) -> Option<&Path> {
    let me = rustix::process::geteuid().as_raw();
    let mut all: Vec<&Path> = way.ancestors().filter(|part| *part != OsStr::new("")).collect();
    all.reverse();
    all.into_iter().find(|part| {
        fs::metadata(part).is_ok_and(|found| {
            let is_theirs = found.uid() != 0 && found.uid() != me;
            is_theirs || (found.mode() & 0o1002) == 0o0002
        })
    })
}

fn refused(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, why.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;

    /// Given a directory in which somebody put links, a second name, a pipe or a socket in the place of
    /// the log, then it is not opened, and nothing they lead to is touched.
    #[test]
    fn what_others_put_in_its_place_is_refused() {
        let dir = std::env::temp_dir().join(format!("rail-log-file-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let secret = dir.join("secret");
        fs::write(&secret, "secret").unwrap();
        let place = |name: &str| dir.join(name);
        symlink(&secret, place("link")).unwrap();
        symlink(place("nowhere"), place("dangling")).unwrap();
        fs::hard_link(&secret, place("second")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, place("pipe"), FileType::Fifo, Mode::from(0o600), 0)
            .unwrap();
        let _listener = UnixListener::bind(place("socket")).unwrap();
        fs::create_dir(place("directory")).unwrap();
        for name in ["link", "dangling", "second", "pipe", "socket", "directory"] {
            let file = LogFile::at(&place(name)).unwrap();
            assert!(file.open().is_err(), "{name} was opened");
        }
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert!(!place("nowhere").exists());
        let plain = LogFile::at(&place("plain")).unwrap();
        plain.open().unwrap();
        plain.move_away(2).unwrap();
        plain.move_away(2).unwrap();
        assert!(place("plain.1").exists() && !place("plain").exists());
        fs::remove_dir_all(&dir).unwrap();
    }

    /// Given a link on the way to the directory, then it is followed where only root may change it, and
    /// refused in a directory of another user.
    #[test]
    fn a_way_that_others_can_turn_is_not_taken() {
        let dir = std::env::temp_dir().join(format!("rail-log-way-{}", std::process::id()));
        for name in ["real", "theirs"] {
            fs::create_dir_all(dir.join(name)).unwrap();
        }
        symlink(dir.join("real"), dir.join("link")).unwrap();
        symlink(dir.join("real"), dir.join("theirs/link")).unwrap();
        let through = |way: &str| LogFile::at(&dir.join(way).join("log")).unwrap().open();
        through("link").unwrap();
        if rustix::process::geteuid().is_root() {
            std::os::unix::fs::chown(dir.join("theirs"), Some(65_534), None).unwrap();
            let error = through("theirs/link").unwrap_err().to_string();
            assert!(error.contains("others may turn the way"), "{error}");
            through("theirs").unwrap();
        }
        fs::remove_dir_all(&dir).unwrap();
    }
}
