//! What a child writes: a pipe with a name, its lines, and the limits of both.
//!
//! The child holds both ends of the pipe, so it gets no SIGPIPE when nobody reads it any more; and its end
//! does not block, so that a full pipe costs it lines and never its time. pppd writes no line any more after one
//! that did not fit, so the pipe is large. The next supervisor finds the pipe by its name, with what was written
//! meanwhile. A file instead would grow without end while no
//! daemon lives. The name stands where only root can write.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mknodat, open};
use rustix::io::Errno;
use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

/// The pipe of a child.
#[derive(Debug)]
pub(super) struct Output {
    pipe: OwnedFd,
    lines: Lines,
}

/// A line, and how many before it were dropped.
pub(super) type Line = (String, u64);

impl Output {
    /// Makes the pipe anew: its two ends, ours and the child's.
    pub(super) fn make(path: &Path) -> io::Result<(Self, OwnedFd)> {
        match std::fs::remove_file(path) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
        let output = Self::open(path)?;
        // Where it may not be so large, it is as large as others.
        let _ = rustix::pipe::fcntl_setpipe_size(&output.pipe, PIPE_BYTES);
        Ok((output, open_pipe(path)?))
    }

    /// Opens the pipe of a child that runs already.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { pipe: open_pipe(path)?, lines: Lines::default() })
    }

    /// The lines that arrived, as many as may come.
    pub(super) fn read(&mut self, now: Instant) -> Vec<Line> {
        let mut buffer = [0; 16 * 1024];
        let mut all = Vec::new();
        while self.resumes(now).is_none() {
            match rustix::io::read(&self.pipe, &mut buffer) {
                Ok(length) if length > 0 => self.lines.take(now, &buffer[..length], &mut all),
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => break,
            }
        }
        all
    }

    /// When it is read again, if it is not read now: it has written so much that the pipe may stay full
    /// for a moment.
    pub(super) fn resumes(&self, now: Instant) -> Option<Instant> {
        self.lines.resumes(now)
    }
}

impl AsFd for Output {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}

fn open_pipe(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let pipe = open(path, flags, Mode::empty())?;
    if FileType::from_raw_mode(fstat(&pipe)?.st_mode) != FileType::Fifo {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(pipe)
}

/// Words of a program without what would steer a terminal, or end a line.
pub(super) fn plain(words: &str) -> String {
    words.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// Bytes to lines.
#[derive(Debug, Default)]
struct Lines {
    begun: Vec<u8>,
    missed: u64,
    /// Since when it is counted, and what came since: bytes and lines.
    window: Option<Instant>,
    bytes: usize,
    count: u32,
}

impl Lines {
    fn take(&mut self, now: Instant, bytes: &[u8], all: &mut Vec<Line>) {
        if self.window.is_none_or(|since| now >= since + WINDOW) {
            (self.window, self.bytes, self.count) = (Some(now), 0, 0);
        }
        self.bytes += bytes.len();
        for byte in bytes {
            match byte {
                b'\n' => self.end(all),
                _ if self.begun.len() < LONGEST => self.begun.push(*byte),
                _ => {}
            }
        }
    }

    fn end(&mut self, all: &mut Vec<Line>) {
        let line = std::mem::take(&mut self.begun);
        if self.count >= MOST_LINES {
            self.missed += 1;
            return;
        }
        let text = String::from_utf8_lossy(&line);
        let text = plain(&text);
        let text = text.trim();
        if !text.is_empty() {
            self.count += 1;
            all.push((text.into(), std::mem::take(&mut self.missed)));
        }
    }

    fn resumes(&self, now: Instant) -> Option<Instant> {
        let until = self.window? + WINDOW;
        (self.bytes >= MOST_BYTES && now < until).then_some(until)
    }
}

/// Eight times what is read in a second.
const PIPE_BYTES: usize = 1 << 20;
const WINDOW: Duration = Duration::from_secs(1);
/// In each window.
const MOST_BYTES: usize = 128 * 1024;
const MOST_LINES: u32 = 20;
/// Bytes of a line.
const LONGEST: usize = 400;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given lines of every kind, a long one, and one in two parts, then each comes whole, cut and
    /// without what steers a terminal; given a flood, then twenty come in a second, and the first of the
    /// next second says how many did not.
    #[test]
    fn lines_are_cut_and_counted() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        let mut all = Vec::new();
        lines.take(now, b"one\n\ntw", &mut all);
        lines.take(now, b"o\x1b[2J\xff\n", &mut all);
        lines.take(now, &[b'x'; 5000], &mut all);
        lines.take(now, b"\n", &mut all);
        let texts: Vec<&str> = all.iter().map(|(text, _)| text.as_str()).collect();
        assert_eq!(texts[..2], ["one", "two [2J\u{fffd}"]);
        assert_eq!(texts[2].len(), LONGEST);
        let later = now + WINDOW;
        all.clear();
        for _ in 0..1000 {
            lines.take(later, b"again\n", &mut all);
        }
        assert_eq!(all.len(), 20);
        all.clear();
        lines.take(later + WINDOW, b"after\n", &mut all);
        assert_eq!(all, [("after".into(), 980)]);
    }

    /// Given a child that writes for a moment as much as eight seconds may have, then each of its writes fits.
    #[test]
    fn a_burst_fits_into_the_pipe() {
        let path = std::env::temp_dir().join(format!("rail-output-{}", std::process::id()));
        let (_output, end) = Output::make(&path).unwrap();
        for _ in 0..8 {
            assert_eq!(rustix::io::write(&end, &vec![b'x'; 100_000]), Ok(100_000));
        }
        std::fs::remove_file(&path).unwrap();
    }

    /// Given more bytes than a second may have, then nothing is read until that is over.
    #[test]
    fn a_flood_is_left_in_the_pipe() {
        let (mut lines, now) = (Lines::default(), Instant::now());
        lines.take(now, &vec![b'x'; MOST_BYTES], &mut Vec::new());
        assert_eq!(lines.resumes(now), Some(now + WINDOW));
        assert_eq!(lines.resumes(now + WINDOW), None);
        assert!(lines.begun.len() <= LONGEST);
    }
}
