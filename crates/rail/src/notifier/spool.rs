//! The messages that wait for one target, in memory and as a file each.
//!
//! Promises: a message that was put here is on the disk before it is sent, and leaves it only when it was
//! sent or given up; the order is that of their numbers; a crash loses none. The oldest go when there are
//! too many. A disk that takes nothing hinders nothing: they stay in memory, and are written when it does.
//! What is here and not ours is left alone; what looks like ours and cannot be read is set aside.

use super::message::Message;
use rail_linux::file;
use std::collections::VecDeque;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// The queue of a target.
#[derive(Debug)]
pub(crate) struct Spool {
    directory: PathBuf,
    waiting: VecDeque<Entry>,
    next: u64,
    /// Messages that went because there were too many.
    pub(crate) dropped: u64,
    /// Why the disk took nothing, the last time.
    pub(crate) error: Option<String>,
}

#[derive(Debug)]
struct Entry {
    number: u64,
    message: Message,
    size: usize,
    is_written: bool,
}

impl Spool {
    /// Reads what a process before left there.
    pub(crate) fn open(directory: PathBuf) -> Self {
        let (waiting, next) = (VecDeque::new(), 1);
        let mut spool = Self { directory, waiting, next, dropped: 0, error: None };
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&spool.directory);
        if let Err(e) = made.and_then(|()| spool.read()) {
            spool.error = Some(format!("{}: {e}", spool.directory.display()));
        }
        spool.shorten();
        spool
    }

    fn read(&mut self) -> io::Result<()> {
        let mut aside = 0;
        for entry in fs::read_dir(&self.directory)?.take(MOST_FILES) {
            let entry = entry?;
            let name = entry.file_name();
            let Some(name) = name.to_str() else { continue };
            let path = entry.path();
            aside += usize::from(name.ends_with(".bad"));
            let Some(number) = number(name) else { continue };
            match read_message(&path) {
                Some((message, size)) => {
                    self.waiting.push_back(Entry { number, message, size, is_written: true });
                }
                None if aside < MOST_ASIDE => {
                    aside += 1;
                    // What cannot be renamed is passed over again the next time.
                    let _ = fs::rename(&path, self.directory.join(format!("{name}.bad")));
                }
                None => drop(fs::remove_file(&path)),
            }
            self.next = self.next.max(number.saturating_add(1));
        }
        self.waiting.make_contiguous().sort_by_key(|entry| entry.number);
        Ok(())
    }

    /// Puts a message at the end.
    pub(crate) fn push(&mut self, message: Message) {
        let size = serde_json::to_vec(&message).map_or(0, |text| text.len());
        let number = self.next;
        self.next += 1;
        self.waiting.push_back(Entry { number, message, size, is_written: false });
        self.shorten();
        self.write();
    }

    /// Writes what the disk did not take before.
    pub(crate) fn write(&mut self) {
        for entry in self.waiting.iter_mut().filter(|entry| !entry.is_written) {
            let path = path(&self.directory, entry.number);
            let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.directory);
            let written = made
                .and_then(|()| Ok(serde_json::to_vec(&entry.message)?))
                .and_then(|text| file::replace(&path, &text));
            match written {
                Ok(()) => entry.is_written = true,
                Err(e) => {
                    self.error = Some(format!("{}: {e}", self.directory.display()));
                    return;
                }
            }
        }
        self.error = None;
    }

    /// The message whose turn it is.
    pub(crate) fn first(&self) -> Option<&Message> {
        self.waiting.front().map(|entry| &entry.message)
    }

    /// Takes the first one out: it was sent, or nobody wants it.
    pub(crate) fn pop(&mut self) {
        if let Some(entry) = self.waiting.pop_front() {
            self.forget(&entry);
        }
    }

    /// The message of this name, if it waits.
    pub(crate) fn get(&self, id: &str) -> Option<&Message> {
        self.waiting.iter().map(|entry| &entry.message).find(|message| message.id == id)
    }

    pub(crate) fn len(&self) -> usize {
        self.waiting.len()
    }

    fn shorten(&mut self) {
        let size = |all: &VecDeque<Entry>| all.iter().map(|entry| entry.size).sum::<usize>();
        while self.waiting.len() > MOST_MESSAGES || size(&self.waiting) > MOST_BYTES {
            self.pop();
            self.dropped += 1;
        }
    }

    fn forget(&mut self, entry: &Entry) {
        if !entry.is_written {
            return;
        }
        // One that stays is sent again after a restart, which is better than a message too few.
        if let Err(e) = fs::remove_file(path(&self.directory, entry.number))
            && e.kind() != io::ErrorKind::NotFound
        {
            self.error = Some(format!("{}: {e}", self.directory.display()));
        }
    }
}

fn path(directory: &Path, number: u64) -> PathBuf {
    directory.join(format!("{number:012}.json"))
}

/// The number in a name of ours.
fn number(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".json")?;
    let is_ours = digits.len() >= 12 && digits.bytes().all(|b| b.is_ascii_digit());
    is_ours.then(|| digits.parse().ok())?.filter(|number| *number < u64::MAX)
}

fn read_message(path: &Path) -> Option<(Message, usize)> {
    if !fs::symlink_metadata(path).ok()?.is_file() {
        return None;
    }
    let mut bytes = Vec::new();
    fs::File::open(path).ok()?.take(LARGEST_FILE + 1).read_to_end(&mut bytes).ok()?;
    Some((parse(&bytes)?, bytes.len()))
}

/// Reads a file of ours.
pub(crate) fn parse(bytes: &[u8]) -> Option<Message> {
    if bytes.len() as u64 > LARGEST_FILE {
        return None;
    }
    serde_json::from_slice(bytes).ok()
}

/// At 20 an hour, ten hours of news.
const MOST_MESSAGES: usize = 200;
const MOST_BYTES: usize = 2 << 20;
/// Larger ones are not ours.
const LARGEST_FILE: u64 = 256 << 10;
/// Files that are looked at.
const MOST_FILES: usize = 10_000;
/// Files that are kept to be looked at by somebody.
const MOST_ASIDE: usize = 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::notifier::message;

    fn place(name: &str) -> PathBuf {
        let place = std::env::temp_dir().join(format!("rail-spool-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&place);
        place
    }

    fn message(n: usize) -> Message {
        message::test(format!("b-{n}"), 5, "2026-11-21T06:00:00.000Z", "gw", None)
    }

    fn ids(spool: &mut Spool) -> Vec<String> {
        let mut ids = Vec::new();
        while let Some(message) = spool.first() {
            ids.push(message.id.clone());
            spool.pop();
        }
        ids
    }

    /// Given messages, when the process is another, then they are there in their order; what was sent is not.
    #[test]
    fn messages_outlive_the_process() {
        let place = place("order");
        let mut spool = Spool::open(place.clone());
        (0..12).for_each(|n| spool.push(message(n)));
        spool.pop();
        drop(spool);
        let mut spool = Spool::open(place.clone());
        spool.push(message(12));
        assert!(spool.get("b-1").is_some() && spool.get("b-0").is_none());
        let expected: Vec<String> = (1..13).map(|n| format!("b-{n}")).collect();
        assert_eq!((ids(&mut spool), spool.error.clone()), (expected, None));
        assert_eq!(Spool::open(place.clone()).len(), 0);
        fs::remove_dir_all(place).unwrap();
    }

    /// Given torn files, foreign ones, a link, a pipe and a directory with our names, then all are passed
    /// over, foreign ones stay, and the rest is set aside.
    #[test]
    fn what_cannot_be_read_is_set_aside() {
        let place = place("torn");
        let mut spool = Spool::open(place.clone());
        spool.push(message(1));
        let whole = fs::read(path(&place, 1)).unwrap();
        for (n, bytes) in
            [&whole[..whole.len() / 2], b"", b"{}", b"\xff\xfe", b"null"].iter().enumerate()
        {
            fs::write(path(&place, 10 + n as u64), bytes).unwrap();
        }
        fs::write(path(&place, 20), vec![b' '; 300 << 10]).unwrap();
        fs::create_dir(path(&place, 21)).unwrap();
        std::os::unix::fs::symlink("/dev/zero", path(&place, 22)).unwrap();
        fs::write(place.join("notes.txt"), "mine").unwrap();
        fs::write(place.join(".000000000030.json.new"), "torn").unwrap();
        let mut spool = Spool::open(place.clone());
        assert_eq!((spool.len(), spool.error.clone()), (1, None));
        spool.push(message(2));
        assert!(path(&place, 23).exists(), "a number that was set aside is not used again");
        assert!(place.join("notes.txt").exists() && place.join("000000000010.json.bad").exists());
        let (ours, _) = (ids(&mut spool), Spool::open(place.clone()));
        assert_eq!(ours, ["b-1", "b-2"]);
        fs::remove_dir_all(place).unwrap();
    }

    /// Given a directory that cannot be made, then messages are kept in memory; when it can, they are written.
    #[test]
    fn a_disk_that_takes_nothing_hinders_nothing() {
        let place = place("full");
        fs::create_dir_all(&place).unwrap();
        fs::write(place.join("spool"), "no directory").unwrap();
        let mut spool = Spool::open(place.join("spool"));
        spool.push(message(1));
        assert!(spool.error.is_some() && spool.first().is_some());
        fs::remove_file(place.join("spool")).unwrap();
        spool.write();
        assert_eq!(spool.error, None);
        assert_eq!(Spool::open(place.join("spool")).len(), 1);
        fs::remove_dir_all(place).unwrap();
    }

    /// Given more messages than there is room for, then the oldest went, and are counted.
    #[test]
    fn the_oldest_go() {
        let place = place("many");
        let mut spool = Spool::open(place.clone());
        (0..MOST_MESSAGES + 5).for_each(|n| spool.push(message(n)));
        assert_eq!((spool.len(), spool.dropped), (MOST_MESSAGES, 5));
        assert_eq!(spool.first().map(|m| m.id.clone()), Some("b-5".into()));
        assert_eq!(fs::read_dir(&place).unwrap().count(), MOST_MESSAGES);
        fs::remove_dir_all(place).unwrap();
    }
}
