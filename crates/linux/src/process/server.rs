//! The spawner's side: one thread, one loop, children.
//!
//! Promises that a child which writes without end, or hangs, delays no other.

use super::{
    CAPTURE, END, HELPER, MESSAGE, PATH, STDERR, STDOUT, Status, block_signals, close_on_exec_from,
    empty_signal_mask, encode_status, mind_signals, take_socket,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, recvmsg, send};
use rustix::process::{Pid, PidfdFlags, Resource, Rlimit, Signal, kill_process_group, pidfd_open};
use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Serves requests on descriptor 3 until the other end is closed, then kills what still runs and
/// ends this process. To be called by a `main` whose first argument is `--spawner`, before
/// anything else.
pub fn spawner_main() -> ! {
    // The manager's SIGTERM to the whole service comes too early: the daemon still needs us. We
    // end when it does.
    block_signals();
    mind_signals();
    let Some(socket) = take_socket() else { std::process::exit(2) };
    let (running, helpers) = (Vec::new(), Vec::new());
    let mut server = Server { socket, running, helpers, answers: VecDeque::new() };
    while server.pass().is_ok() {}
    for running in &server.running {
        running.kill();
    }
    std::process::exit(0)
}

struct Server {
    socket: OwnedFd,
    running: Vec<Running>,
    /// They end by themselves; we are their parent and no more.
    helpers: Vec<Child>,
    answers: VecDeque<Vec<u8>>,
}

struct Running {
    id: u64,
    child: Child,
    group: Pid,
    /// Readable when the child has ended.
    end: OwnedFd,
    stdout: Pipe,
    stderr: Pipe,
    deadline: Option<Instant>,
    timed_out: bool,
}

struct Pipe {
    fd: Option<OwnedFd>,
    kept: Vec<u8>,
    most: usize,
}

/// What a child may take.
struct Limits {
    time: Duration,
    /// Bytes of each output that are kept.
    output: usize,
}

impl Server {
    /// Waits for something and deals with it. An error ends the spawner.
    fn pass(&mut self) -> io::Result<()> {
        let ended = self.wait()?;
        let now = Instant::now();
        for (running, ended) in self.running.iter_mut().zip(&ended) {
            running.stdout.read();
            running.stderr.read();
            if !ended && !running.timed_out && running.deadline.is_some_and(|d| d <= now) {
                running.timed_out = true;
                running.kill();
            }
        }
        for (at, _) in ended.iter().enumerate().rev().filter(|(_, ended)| **ended) {
            let running = self.running.swap_remove(at);
            self.finish(running);
        }
        self.receive()?;
        self.flush()
    }

    /// Which of the running children have ended.
    fn wait(&self) -> io::Result<Vec<bool>> {
        let mut wanted = PollFlags::IN;
        wanted.set(PollFlags::OUT, !self.answers.is_empty());
        let mut fds = vec![PollFd::new(&self.socket, wanted)];
        fds.extend(self.running.iter().map(|r| PollFd::new(&r.end, PollFlags::IN)));
        let pipes = self.running.iter().flat_map(|r| [&r.stdout.fd, &r.stderr.fd]);
        fds.extend(pipes.flatten().map(|fd| PollFd::new(fd, PollFlags::IN)));
        let waiting = self.running.iter().filter(|r| !r.timed_out);
        let first = waiting.filter_map(|r| r.deadline).min();
        let timeout = first.map(|d| d.saturating_duration_since(Instant::now()));
        let timeout = timeout.and_then(|t| Timespec::try_from(t).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        Ok(fds.iter().skip(1).take(self.running.len()).map(|f| !f.revents().is_empty()).collect())
    }

    fn finish(&mut self, mut running: Running) {
        // While the child is not waited for, nobody else can get the number of its group.
        running.kill();
        let status = match running.child.wait() {
            _ if running.timed_out => Status::TimedOut,
            Ok(status) => match (status.code(), status.signal()) {
                (Some(code), _) => Status::Exited(code),
                (None, signal) => Status::Signalled(signal.unwrap_or(0)),
            },
            Err(e) => failed(&e),
        };
        for (kind, mut pipe) in [(STDOUT, running.stdout), (STDERR, running.stderr)] {
            pipe.read();
            for part in pipe.kept.chunks(PART) {
                self.answer(kind, running.id, part);
            }
        }
        self.answer(END, running.id, &encode_status(status));
    }

    fn answer(&mut self, kind: u8, id: u64, bytes: &[u8]) {
        let mut message = vec![kind];
        message.extend(id.to_le_bytes());
        message.extend(bytes);
        self.answers.push_back(message);
    }

    fn flush(&mut self) -> io::Result<()> {
        while let Some(message) = self.answers.front() {
            match send(&self.socket, message, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(_) => drop(self.answers.pop_front()),
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn receive(&mut self) -> io::Result<()> {
        let mut buffer = vec![0; MESSAGE];
        loop {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
            let mut control = RecvAncillaryBuffer::new(&mut space);
            let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
            let mut parts = [IoSliceMut::new(&mut buffer)];
            let length = match recvmsg(&self.socket, &mut parts, &mut control, flags) {
                Ok(received) if received.bytes == 0 => {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                Ok(received) => received.bytes,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => continue,
                Err(e) => return Err(e.into()),
            };
            let input = control.drain().find_map(|message| match message {
                RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
                _ => None,
            });
            self.take(&buffer[..length.min(MESSAGE)], input);
        }
    }

    fn take(&mut self, request: &[u8], input: Option<OwnedFd>) {
        let Some((id, rest)) = request.split_first_chunk() else { return };
        if u64::from_le_bytes(*id) == HELPER {
            return self.help(rest, input);
        }
        let Some((timeout, rest)) = rest.split_first_chunk() else { return };
        let Some((keep, rest)) = rest.split_first_chunk() else { return };
        let [id, timeout, keep] = [id, timeout, keep].map(|bytes| u64::from_le_bytes(*bytes));
        let limits = Limits {
            time: Duration::from_millis(timeout),
            output: usize::try_from(keep).unwrap_or(usize::MAX),
        };
        let arguments = rest.strip_suffix(&[0]).unwrap_or(rest);
        let started = if self.running.len() < CHILDREN {
            Running::start(id, arguments, limits, input)
        } else {
            Err(Errno::AGAIN.into())
        };
        match started {
            Ok(running) => self.running.push(running),
            Err(e) => self.answer(END, id, &encode_status(failed(&e))),
        }
    }
}

impl Server {
    /// Starts our own program with that socket. If it fails, whoever has the other end sees it closed.
    fn help(&mut self, word: &[u8], socket: Option<OwnedFd>) {
        self.helpers.retain_mut(|helper| matches!(helper.try_wait(), Ok(None)));
        let (Ok(word), Some(socket)) = (std::str::from_utf8(word), socket) else { return };
        self.helpers.extend(super::link::start(word, &socket));
    }
}

impl Running {
    #[expect(unsafe_code, reason = "the child must ask the kernel to die with us")]
    fn start(
        id: u64,
        arguments: &[u8],
        limits: Limits,
        input: Option<OwnedFd>,
    ) -> io::Result<Self> {
        let mut words = arguments.split(|byte| *byte == 0).map(OsStr::from_bytes);
        // starts: nft, iptables-legacy-save; what the daemon asks for
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words).env_clear().env("PATH", PATH).current_dir("/").process_group(0);
        command.stdin(input.map_or_else(Stdio::null, Stdio::from));
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let parent = rustix::process::getpid();
        // Who keeps more than usual reads what others have set up, of whatever size.
        let is_survey = limits.output > CAPTURE;
        // SAFETY: between fork and exec only system calls are made, which are async-signal-safe.
        unsafe {
            command.pre_exec(move || {
                rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
                // It may have died before we asked.
                if rustix::process::getppid() != Some(parent) {
                    return Err(Errno::PIPE.into());
                }
                be_modest(is_survey);
                close_on_exec_from(3)?;
                empty_signal_mask()
            });
        }
        let mut child = command.spawn()?;
        let opened = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or(Errno::SRCH);
        let opened = opened.and_then(|pid| Ok((pid, pidfd_open(pid, PidfdFlags::empty())?)));
        let (group, end) = match opened {
            Ok(opened) => opened,
            Err(e) => {
                // Without a way to hear of its end it must not run.
                let _ = child.kill();
                let _ = child.wait();
                return Err(e.into());
            }
        };
        let stdout = Pipe::new(child.stdout.take().map(OwnedFd::from), limits.output);
        let stderr = Pipe::new(child.stderr.take().map(OwnedFd::from), limits.output);
        let deadline = Instant::now().checked_add(limits.time);
        Ok(Self { id, child, group, end, stdout, stderr, deadline, timed_out: false })
    }

    fn kill(&self) {
        // Nobody left in the group is as good.
        let _ = kill_process_group(self.group, Signal::KILL);
    }
}

impl Pipe {
    fn new(fd: Option<OwnedFd>, most: usize) -> Self {
        // A pipe of our own can be made non-blocking; if not, its output is not read.
        let fd = fd.filter(|fd| rustix::io::ioctl_fionbio(fd, true).is_ok());
        Self { fd, kept: Vec::new(), most }
    }

    /// Reads what is there, up to a limit, keeps the first of it and drops the rest.
    fn read(&mut self) {
        let mut buffer = [0; 16 * 1024];
        for _ in 0..READS {
            let Some(fd) = &self.fd else { return };
            match rustix::io::read(fd.as_fd(), &mut buffer) {
                Ok(length) if length > 0 => {
                    let room = self.most - self.kept.len();
                    self.kept.extend(&buffer[..length.min(room)]);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Ok(_) | Err(_) => self.fd = None,
            }
        }
    }
}

/// The daemon is spared when memory runs out; its children are not, and one that reads what others
/// have set up may take neither all memory nor the processor. What the kernel refuses is left.
/// Async-signal-safe.
#[expect(unsafe_code, reason = "between fork and exec nothing may allocate")]
fn be_modest(is_survey: bool) {
    // SAFETY: system calls with constant strings and values on the stack.
    unsafe {
        let fd = libc::open(c"/proc/self/oom_score_adj".as_ptr(), libc::O_WRONLY | libc::O_CLOEXEC);
        if fd >= 0 {
            libc::write(fd, c"0".as_ptr().cast(), 1);
            libc::close(fd);
        }
    }
    if is_survey {
        let most = Some(SURVEY_MEMORY);
        let _ = rustix::process::setrlimit(Resource::As, Rlimit { current: most, maximum: most });
        let _ = rustix::process::setpriority_process(None, 10);
    }
}

fn failed(error: &io::Error) -> Status {
    Status::Failed(error.raw_os_error().unwrap_or(libc::EINVAL))
}

/// Address space of a child that reads what others have set up.
const SURVEY_MEMORY: u64 = 512 << 20;
/// Most children at a time.
const CHILDREN: usize = 64;
/// Longest part of an output in one message.
const PART: usize = 16 * 1024;
/// Most reads from a pipe at a time: more than a pipe holds.
const READS: usize = 8;
