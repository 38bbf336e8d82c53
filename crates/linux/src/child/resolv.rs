//! `/etc/resolv.conf`, while a child answers the system's own questions.
//!
//! What stood there stands in ours as a comment, so that no crash, boot or lost state costs it, and comes back as
//! soon as no such child runs. Promises: a link is not followed and not replaced, for it belongs to systemd-resolved,
//! `NetworkManager` or resolvconf; the file is changed in place, which a mount or a read-only directory allows; it is
//! written once in a minute at most, whatever others do, but for giving it back.
//! Leaves out noticing others at once: the file is looked at once in a minute.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The file, and what is to become of it.
#[derive(Debug)]
pub(super) struct Resolv {
    path: PathBuf,
    is_wanted: bool,
    look_at: Option<Instant>,
    written: Option<Instant>,
    /// How often in a row others had changed it.
    changed: u32,
    /// What was said last.
    told: Option<Option<String>>,
}

impl Resolv {
    pub(super) const fn new(path: PathBuf) -> Self {
        let (look_at, written, told) = (None, None, None);
        Self { path, is_wanted: false, look_at, written, changed: 0, told }
    }

    /// What is told is told again.
    pub(super) fn forget_told(&mut self) {
        self.told = None;
    }

    /// When it is looked at again.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.look_at
    }

    /// Brings about what is wanted; what there is to say of it: why it is not so, or that it is.
    pub(super) fn settle(&mut self, now: Instant, is_wanted: bool) -> Option<Option<String>> {
        let is_new = self.look_at.is_none() || is_wanted != self.is_wanted;
        if !is_new && self.look_at.is_some_and(|at| at > now) && self.told.is_some() {
            return None;
        }
        if is_wanted != self.is_wanted {
            self.told = None;
        }
        self.is_wanted = is_wanted;
        self.look_at = Some(now + BETWEEN);
        let done = if is_wanted { self.lead(now) } else { self.give_back(now) };
        if !is_wanted && done.is_ok() {
            // Without a child it is ours only if one of an earlier supervisor's was to be asked.
            self.look_at = Some(now + NEVER);
        }
        let why = done.err().map(|e| format!("{}: {e}", self.path.display()));
        let is_told = self.told.as_ref() == Some(&why) || (!is_wanted && why.is_none());
        self.told = Some(why.clone());
        (!is_told).then_some(why)
    }

    fn lead(&mut self, now: Instant) -> io::Result<()> {
        let mut file = Opened::at(&self.path)?;
        let wanted = made(&original(&file.text).unwrap_or_else(|| file.text.clone()));
        if file.text == wanted {
            self.changed = 0;
            return Ok(());
        }
        if let Some(next) = self.written.map(|at| at + BETWEEN).filter(|next| *next > now) {
            self.look_at = Some(next);
            return Err(io::Error::other(
                "it was given back a moment ago; it is changed in a minute",
            ));
        }
        if wanted.len() as u64 > LONGEST {
            return Err(io::Error::other(TOO_LONG));
        }
        file.write(&wanted)?;
        self.changed += u32::from(self.written.replace(now).is_some());
        match self.changed {
            0 | 1 => Ok(()),
            _ => Err(io::Error::other(
                "another program changes it again and again; let one of both write it",
            )),
        }
    }

    fn give_back(&mut self, now: Instant) -> io::Result<()> {
        self.changed = 0;
        // A file that is not ours, or that we may not read, is nothing to give back.
        let Ok(mut file) = Opened::at(&self.path) else { return Ok(()) };
        let Some(before) = original(&file.text) else { return Ok(()) };
        // A program that ends again and again does not change the file as often.
        self.written = Some(now);
        file.write(&before)
    }
}

/// Why the file cannot be ours on this machine; `None`: it can be, or only root can tell.
pub fn resolv_conf_obstacle() -> Option<String> {
    let is_root = rustix::process::geteuid().is_root();
    let is_ours = |e: &io::Error| is_root || e.kind() != io::ErrorKind::PermissionDenied;
    let why = match Opened::at(Path::new(RESOLV_CONF)) {
        Ok(file) => file.refuses.filter(is_ours),
        Err(e) => Some(e),
    };
    why.map(|e| format!("{RESOLV_CONF}: {e}"))
}

/// The file, open.
#[derive(Debug)]
struct Opened {
    file: File,
    text: String,
    /// Why it cannot be written.
    refuses: Option<io::Error>,
}

impl Opened {
    /// Opens it for reading, and for writing if that is allowed.
    fn at(path: &Path) -> io::Result<Self> {
        let wrong = |text: String| Err(io::Error::other(text));
        let found = fs::symlink_metadata(path)?;
        if found.is_symlink() {
            let goal = fs::read_link(path).unwrap_or_default();
            let (goal, owner) = (goal.display().to_string(), owner(&goal.to_string_lossy()));
            return wrong(format!(
                "it is a link to {goal}, which {owner} looks after; replace the link by a file, or leave `resolv_conf` out"
            ));
        }
        let me = rustix::process::geteuid().as_raw();
        if !found.is_file() || ![0, me].contains(&found.uid()) || found.len() > LONGEST {
            return wrong(TOO_LONG.into());
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let (file, refuses) = match options.clone().write(true).open(path) {
            Ok(file) => (file, None),
            Err(e) => (options.open(path)?, Some(e)),
        };
        let mut bytes = Vec::new();
        (&file).take(LONGEST).read_to_end(&mut bytes)?;
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { file, text, refuses }),
            Err(_) => wrong("it is no text".into()),
        }
    }

    /// In one piece: whoever reads meanwhile has one or the other, and at worst lines of both.
    fn write(&mut self, text: &str) -> io::Result<()> {
        if let Some(e) = self.refuses.take() {
            return Err(e);
        }
        self.file.write_all_at(text.as_bytes(), 0)?;
        self.file.set_len(u64::try_from(text.len()).unwrap_or(LONGEST))?;
        self.file.sync_data()
    }
}

/// Who has such links made.
fn owner(goal: &str) -> &'static str {
    match goal {
        _ if goal.contains("systemd/resolve") => "systemd-resolved",
        _ if goal.contains("NetworkManager") => "NetworkManager",
        _ if goal.contains("resolvconf") => "resolvconf",
        _ => "another program",
    }
}

/// Ours, with the file before it in comments. What else a resolver is told there still holds.
fn made(before: &str) -> String {
    let mut text = String::from(SIGN);
    for line in before.lines() {
        text += KEPT;
        text += line;
        text.push('\n');
    }
    text += "nameserver 127.0.0.1\n";
    let is_other = |line: &&str| {
        let word = line.split_whitespace().next().unwrap_or_default();
        matches!(word, "search" | "domain" | "options" | "sortlist")
    };
    for line in before.lines().filter(is_other) {
        text += line;
        text.push('\n');
    }
    text
}

/// What stood there before ours; `None`: it is not ours.
fn original(text: &str) -> Option<String> {
    let kept = text.strip_prefix(SIGN)?.lines().map_while(|line| line.strip_prefix(KEPT));
    Some(kept.map(|line| format!("{line}\n")).collect())
}

/// The file of the system.
pub(super) const RESOLV_CONF: &str = "/etc/resolv.conf";
const SIGN: &str =
    "# Made by rail (resolv_conf = true). What stood here comes back when rail goes:\n";
const KEPT: &str = "#: ";
const TOO_LONG: &str = "it is no file of root's of some lines";
/// More than a resolver reads.
const LONGEST: u64 = 64 * 1024;
/// Between two looks, and two writes.
const BETWEEN: Duration = Duration::from_secs(60);
/// Nobody waits so long.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::child::tests::own_mounts;
    use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

    const BEFORE: &str = "nameserver 9.9.9.9\nsearch example.org\n";

    fn resolv(name: &str) -> Resolv {
        let path = std::env::temp_dir().join(format!("rail-resolv-{}-{name}", std::process::id()));
        let _ = fs::remove_file(&path);
        fs::write(&path, BEFORE).unwrap();
        Resolv::new(path)
    }

    fn text(resolv: &Resolv) -> String {
        fs::read_to_string(&resolv.path).unwrap()
    }

    /// Given a file of somebody's, when a child is to be asked, then the file leads to it and keeps what else stood
    /// there; when none is, or another supervisor finds it so, then it is to the letter what it was.
    #[test]
    fn the_file_is_ours_for_a_time() {
        let (mut one, now) = (resolv("ours"), Instant::now());
        assert_eq!(one.settle(now, false), None);
        assert_eq!(text(&one), BEFORE);
        assert_eq!(one.settle(now, true), Some(None));
        let ours = text(&one);
        assert!(ours.starts_with(SIGN) && ours.contains("\nnameserver 127.0.0.1\n"), "{ours}");
        assert!(ours.ends_with("\nsearch example.org\n"), "{ours}");
        assert_eq!(one.settle(now, true), None);
        assert_eq!(text(&one), ours);
        let mut next = Resolv::new(one.path.clone());
        assert_eq!(next.settle(now, true), Some(None));
        assert_eq!(text(&one), ours);
        let mut last = Resolv::new(one.path.clone());
        assert_eq!(last.settle(now, false), None);
        assert_eq!(text(&one), BEFORE);
        fs::remove_file(one.path).unwrap();
    }

    /// Given another program that writes the file all the time, then it is written once in a minute, and told of;
    /// what that one wrote last is what comes back.
    #[test]
    fn nobody_is_fought() {
        let (mut one, mut now) = (resolv("fight"), Instant::now());
        one.settle(now, true);
        let (mut writes, mut said) = (0, Vec::new());
        for second in 0..300 {
            if text(&one).starts_with(SIGN) {
                writes += 1;
                fs::write(&one.path, format!("nameserver 192.0.2.{}\n", second % 200)).unwrap();
            }
            now += Duration::from_secs(1);
            said.extend(one.settle(now, true).flatten());
        }
        assert_eq!(writes, 5);
        assert!(said.len() == 1 && said[0].contains("again and again"), "{said:?}");
        one.settle(now + BETWEEN, true);
        one.settle(now + BETWEEN, false);
        assert!(text(&one).starts_with("nameserver 192.0.2."), "{}", text(&one));
        fs::remove_file(one.path).unwrap();
    }

    /// Given a file on a disk that is read-only, then the cause is that, and a look says so, too; when the disk can be
    /// written, then the file leads to the child, and when it cannot again, then giving it back is tried again.
    #[test]
    fn a_disk_that_is_read_only_is_told() {
        let disk = std::env::temp_dir().join(format!("rail-resolv-{}-disk", std::process::id()));
        fs::create_dir_all(&disk).unwrap();
        let of_thread = disk.clone();
        let looked = std::thread::spawn(move || {
            own_mounts();
            mount("tmpfs", &of_thread, "tmpfs", MountFlags::empty(), c"").unwrap();
            let path = of_thread.join("resolv.conf");
            fs::write(&path, BEFORE).unwrap();
            let (mut one, now) = (Resolv::new(path.clone()), Instant::now());
            let remount = |flags| mount_remount(&of_thread, flags, c"").unwrap();
            remount(MountFlags::RDONLY);
            let why = one.settle(now, true).flatten().unwrap();
            assert!(why.contains("Read-only file system"), "{why}");
            let refuses = Opened::at(&path).unwrap().refuses;
            remount(MountFlags::empty());
            assert_eq!(one.settle(now + BETWEEN, true), Some(None));
            remount(MountFlags::RDONLY);
            assert!(one.settle(now + BETWEEN, false).is_some());
            remount(MountFlags::empty());
            assert_eq!(one.settle(now + 2 * BETWEEN, false), None);
            assert_eq!(fs::read_to_string(&path).unwrap(), BEFORE);
            unmount(&of_thread, UnmountFlags::DETACH).unwrap();
            refuses.map(|e| e.kind())
        });
        assert_eq!(looked.join().unwrap(), Some(io::ErrorKind::ReadOnlyFilesystem));
        fs::remove_dir(disk).unwrap();
    }

    /// Given a link, as systemd-resolved makes it, then it is left as it is, and the cause names who looks after it.
    #[test]
    fn a_link_is_left_alone() {
        let mut one = resolv("link");
        fs::remove_file(&one.path).unwrap();
        std::os::unix::fs::symlink("../run/systemd/resolve/stub-resolv.conf", &one.path).unwrap();
        let why = one.settle(Instant::now(), true).flatten().unwrap();
        assert!(why.contains("which systemd-resolved looks after; replace the link"), "{why}");
        assert!(fs::symlink_metadata(&one.path).unwrap().is_symlink());
        fs::remove_file(one.path).unwrap();
    }
}
