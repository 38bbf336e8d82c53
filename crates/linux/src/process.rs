//! Running other programs, by way of a small process that does nothing else.
//!
//! The spawner is this program again, started before the daemon has threads,
//! locks and rights. Promises: a child has no descriptor of ours, a fixed
//! environment and a group of its own; nothing of the group outlives the child's
//! end, its time, or the daemon; the caller never waits. A spawner that dies is
//! started again with the next request; what it was doing counts as failed, and
//! the children die with it, but not what those had started.
//! Leaves out which programs are run, and what their output means.
//!
//! ```text
//!  request   id:u64 timeout_ms:u64 keep:u64 (argument 0)*      with a memfd, if there is input
//!  helper    0:u64 word                                        with a socket: `rail WORD` lives on by itself
//!  answer    kind:u8 id:u64 (bytes | status:u8 value:i32)
//! ```

mod descriptors;
mod link;
mod server;

pub(crate) use descriptors::close_on_exec_from;
pub(crate) use link::{
    Link, MESSAGE, PATH, block_signals, empty_signal_mask, mind_signals, take_socket,
};
pub use server::spawner_main;

use crate::programs::nft;
use rail_core::state::OpError;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};
use std::collections::{BTreeMap, VecDeque};
use std::fs::File;
use std::io::{self, Seek, Write};
use std::time::Duration;

/// How a child ended.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Status {
    /// By itself, with this code.
    Exited(i32),
    /// By this signal.
    Signalled(i32),
    /// It had not ended in time, and was killed with its whole group.
    TimedOut,
    /// It was not started, or the spawner died over it: Linux error number.
    Failed(i32),
}

/// A request that is done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finished {
    /// Its number.
    pub id: u64,
    /// How it ended.
    pub status: Status,
    /// The first 64 KiB, or what was asked for.
    pub stdout: Vec<u8>,
    /// As much.
    pub stderr: Vec<u8>,
}

/// The daemon's end. Readable when something was finished.
#[derive(Debug)]
pub struct Spawner {
    link: Option<Link>,
    /// It was started with all rights that we had at first.
    has_rights: bool,
    /// Outlives every link, so that a new spawner needs no new registration.
    poller: OwnedFd,
    /// Readable when requests were lost with their spawner.
    lost: OwnedFd,
    open: BTreeMap<u64, (Vec<u8>, Vec<u8>)>,
    finished: VecDeque<Finished>,
    next: u64,
}

impl Spawner {
    /// Starts the process.
    ///
    /// # Errors
    /// The kernel's: no process or descriptor left, or `/proc` is missing.
    pub fn start() -> io::Result<Self> {
        let poller = epoll::create(CreateFlags::CLOEXEC)?;
        let lost = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&poller, &lost, EventData::new_u64(0), EventFlags::IN)?;
        let link = Some(Link::start(&poller, "--spawner")?);
        let (open, finished) = (BTreeMap::new(), VecDeque::new());
        Ok(Self { link, has_rights: true, poller, lost, open, finished, next: 1 })
    }

    /// Asks for a program, found in the system's directories; the number of the request. It gets
    /// `stdin` as a file, and is killed when it has not ended within `timeout`.
    ///
    /// # Errors
    /// No argument, one with a zero byte, or more than 64 KiB of them; the spawner is gone and
    /// could not be started again, or has no room; the kernel's.
    pub fn request(&mut self, argv: &[&str], stdin: &[u8], timeout: Duration) -> io::Result<u64> {
        self.send(argv, stdin, timeout, CAPTURE)
    }

    /// Asks for a program without input, keeps this much of its output, and waits for its end.
    /// Not for the loop.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn run(&mut self, argv: &[&str], timeout: Duration, keep: usize) -> io::Result<Finished> {
        let id = self.send(argv, b"", timeout, keep)?;
        loop {
            if let Some(finished) = self.drain().into_iter().find(|finished| finished.id == id) {
                return Ok(finished);
            }
            match poll(&mut [PollFd::new(&self.poller, PollFlags::IN)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    /// Has `rail WORD` started with the rights that we had when the spawner was started, and a socket that is
    /// entered in `poller`. It ends when the socket does.
    ///
    /// # Errors
    /// The spawner was lost since, or the kernel refuses.
    pub(crate) fn helper(&mut self, poller: &OwnedFd, word: &str) -> io::Result<Link> {
        self.drain_link();
        let spawner = self.link.as_ref().filter(|_| self.has_rights).ok_or(Errno::PERM)?;
        let (link, theirs) = Link::open(poller)?;
        let mut bytes = Vec::from(HELPER.to_le_bytes());
        bytes.extend(word.as_bytes());
        match spawner.send_with(&bytes, Some(theirs.as_fd())) {
            Ok(()) => Ok(link),
            Err(e) => {
                link.leave(poller);
                Err(e.into())
            }
        }
    }

    fn send(
        &mut self,
        argv: &[&str],
        stdin: &[u8],
        timeout: Duration,
        keep: usize,
    ) -> io::Result<u64> {
        let id = self.next;
        let bytes = encode_request(id, argv, timeout, keep)?;
        let input = if stdin.is_empty() { None } else { Some(input_file(stdin)?) };
        self.drain_link();
        if self.link.is_none() {
            self.link = Some(Link::start(&self.poller, "--spawner")?);
        }
        let sent = self.link.as_ref().map_or(Err(Errno::PIPE), |l| l.send(&bytes, input.as_ref()));
        match sent {
            Err(Errno::PIPE | Errno::CONNRESET) => {
                self.lose_link();
                let link = self.link.insert(Link::start(&self.poller, "--spawner")?);
                link.send(&bytes, input.as_ref())?;
            }
            other => other?,
        }
        self.next += 1;
        self.open.insert(id, (Vec::new(), Vec::new()));
        Ok(id)
    }

    /// What was finished since the last call.
    pub fn drain(&mut self) -> Vec<Finished> {
        self.drain_link();
        self.clear_lost();
        self.finished.drain(..).collect()
    }

    /// Asks for `nft` with these commands; [`finished`](Self::finished) has its result.
    ///
    /// # Errors
    /// As [`request`](Self::request).
    pub fn nft(&mut self, text: &str) -> io::Result<()> {
        self.request(&[nft()?, "-f", "-"], text.as_bytes(), NFT_PATIENCE).map(|_| ())
    }

    /// The next finished request, as the result of a change; `None` if there is none.
    pub fn finished(&mut self) -> Option<Result<(), OpError>> {
        if self.finished.is_empty() {
            self.drain_link();
            self.clear_lost();
        }
        self.finished.pop_front().map(|finished| finished.result())
    }

    fn drain_link(&mut self) {
        let mut buffer = vec![0; MESSAGE];
        while let Some(link) = &self.link {
            match recv(link.socket(), &mut buffer[..], RecvFlags::DONTWAIT) {
                Ok((_, length)) if length > 0 => self.take(&buffer[..length.min(MESSAGE)]),
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR) => {}
                Ok(_) | Err(_) => self.lose_link(),
            }
        }
    }

    fn take(&mut self, message: &[u8]) {
        let Some(((kind, id), rest)) = split_answer(message) else { return };
        let Some((stdout, stderr)) = self.open.get_mut(&id) else { return };
        match kind {
            STDOUT => stdout.extend(rest),
            STDERR => stderr.extend(rest),
            END => {
                let status = decode_status(rest);
                if let Some((stdout, stderr)) = self.open.remove(&id) {
                    self.finished.push_back(Finished { id, status, stdout, stderr });
                }
            }
            _ => {}
        }
    }

    fn lose_link(&mut self) {
        self.has_rights = false;
        if let Some(link) = self.link.take() {
            link.leave(&self.poller);
        }
        for (id, (stdout, stderr)) in std::mem::take(&mut self.open) {
            let status = Status::Failed(Errno::PIPE.raw_os_error());
            self.finished.push_back(Finished { id, status, stdout, stderr });
        }
        // Full means readable, which is all we want.
        let _ = rustix::io::write(&self.lost, &1_u64.to_ne_bytes());
    }

    fn clear_lost(&self) {
        let mut count = [0; 8];
        // Nothing to read means that nothing was lost.
        let _ = rustix::io::read(&self.lost, &mut count);
    }
}

impl AsFd for Spawner {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.poller.as_fd()
    }
}

impl Finished {
    /// Code 0, or the first line of what the program said about it.
    ///
    /// # Errors
    /// It ended otherwise.
    pub fn result(&self) -> Result<(), OpError> {
        let said = String::from_utf8_lossy(&self.stderr);
        let said = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
        let (errno, text) = match self.status {
            Status::Exited(0) => return Ok(()),
            Status::Exited(_) if !said.is_empty() => (0, said.into()),
            Status::Exited(code) => (0, format!("ended with code {code}")),
            Status::Signalled(signal) => (0, format!("was killed by signal {signal}")),
            Status::TimedOut => (Errno::TIMEDOUT.raw_os_error(), "did not end in time".into()),
            Status::Failed(errno) => {
                (errno, format!("could not be run: {}", io::Error::from_raw_os_error(errno)))
            }
        };
        Err(OpError { errno, text })
    }
}

fn encode_request(id: u64, argv: &[&str], timeout: Duration, keep: usize) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::from(id.to_le_bytes());
    bytes.extend(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX).to_le_bytes());
    bytes.extend(u64::try_from(keep).unwrap_or(u64::MAX).to_le_bytes());
    for argument in argv {
        bytes.extend(argument.as_bytes());
        bytes.push(0);
    }
    if argv.is_empty() || argv.iter().any(|a| a.contains('\0')) || bytes.len() > MESSAGE {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok(bytes)
}

pub(crate) fn input_file(bytes: &[u8]) -> io::Result<File> {
    let mut file = File::from(memfd_create("input", MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

fn split_answer(message: &[u8]) -> Option<((u8, u64), &[u8])> {
    let (kind, rest) = message.split_first()?;
    let (id, rest) = rest.split_first_chunk()?;
    Some(((*kind, u64::from_le_bytes(*id)), rest))
}

fn encode_status(status: Status) -> [u8; 5] {
    let (kind, value) = match status {
        Status::Exited(code) => (0, code),
        Status::Signalled(signal) => (1, signal),
        Status::TimedOut => (2, 0),
        Status::Failed(errno) => (3, errno),
    };
    let [a, b, c, d] = value.to_le_bytes();
    [kind, a, b, c, d]
}

fn decode_status(bytes: &[u8]) -> Status {
    let Ok([kind, value @ ..]) = <[u8; 5]>::try_from(bytes) else {
        return Status::Failed(Errno::PROTO.raw_os_error());
    };
    let value = i32::from_le_bytes(value);
    match kind {
        0 => Status::Exited(value),
        1 => Status::Signalled(value),
        2 => Status::TimedOut,
        _ => Status::Failed(value),
    }
}

/// How much of each output is kept, if nobody asks for another amount.
const CAPTURE: usize = 64 * 1024;
/// In the place of a request's number.
const HELPER: u64 = 0;
const STDOUT: u8 = 1;
const STDERR: u8 = 2;
const END: u8 = 3;
/// How long a transaction of nftables may take: a big one on a small router takes seconds.
const NFT_PATIENCE: Duration = Duration::from_secs(30);

/// The test program as a spawner or a supervisor: it has no main function of ours.
#[cfg(test)]
mod as_test {
    extern "C" fn become_spawner() {
        match std::env::args().nth(1).as_deref() {
            Some("--spawner") => super::spawner_main(),
            Some("--supervisor") => crate::child::supervisor_main(),
            _ => {}
        }
    }
    #[expect(unsafe_code, reason = "runs before the main function of the test harness")]
    #[used]
    // SAFETY: the loader calls what stands in this section, once, with one thread.
    #[unsafe(link_section = ".init_array")]
    static BECOME_SPAWNER: extern "C" fn() = become_spawner;
}
