//! One machine of the drawing: a network namespace held by a descriptor.
//!
//! No name, no file: the namespace ends with its last descriptor and process. A thread
//! enters it with setns; sockets and processes made by that thread stay in it.

use crate::{LabError, try_eventually};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space};
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A network namespace.
#[derive(Clone, Debug)]
pub struct Node {
    name: Arc<str>,
    file: Arc<File>,
}

impl Node {
    /// Makes a namespace with its loopback up.
    ///
    /// # Errors
    /// When the kernel refuses it.
    pub fn new(name: &str) -> Result<Self, LabError> {
        let file = thread::spawn(make).join().map_err(|_| stuck(name))?;
        let file = file.map_err(|e| LabError::io(format!("make the namespace of {name}"), e))?;
        let node = Self { name: name.into(), file: Arc::new(file) };
        node.ip_batch("link set lo up\n")?;
        Ok(node)
    }

    /// The name, for messages only.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs `work` in a thread of its own inside this namespace and waits for it.
    ///
    /// # Panics
    /// When `work` panics, with its message.
    pub fn enter<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        thread::scope(|scope| {
            let handle = scope.spawn(|| {
                self.move_here();
                work()
            });
            handle.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Starts a thread inside this namespace.
    pub fn spawn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> JoinHandle<T> {
        let node = self.clone();
        thread::spawn(move || {
            node.move_here();
            work()
        })
    }

    /// Starts a command inside this namespace.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(&self, command: &mut Command) -> Result<Child, LabError> {
        let result = self.enter(|| command.spawn());
        result.map_err(|e| LabError::io(format!("start {command:?} in {}", self.name), e))
    }

    /// Runs a command inside this namespace to its end, whatever its status.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn output(&self, command: &mut Command) -> Result<Output, LabError> {
        let result = self.enter(|| command.output());
        result.map_err(|e| LabError::io(format!("run {command:?} in {}", self.name), e))
    }

    /// Runs words as a command and returns what it printed.
    ///
    /// # Errors
    /// When it cannot be started or does not end with 0.
    pub fn run(&self, words: &[&str]) -> Result<String, LabError> {
        let (program, arguments) = words.split_first().unwrap_or((&"", &[]));
        // starts: ip, nft; the rest is named by those who call
        let output = self.output(Command::new(program).args(arguments).stdin(Stdio::null()))?;
        self.judge(&words.join(" "), output)
    }

    /// Runs a line of words, split at blanks; shorthand where the words hold none.
    ///
    /// # Errors
    /// As [`Node::run`].
    pub fn sh(&self, line: &str) -> Result<String, LabError> {
        self.run(&line.split_whitespace().collect::<Vec<_>>())
    }

    /// Feeds lines to one `ip -batch`.
    ///
    /// # Errors
    /// When one of them fails.
    pub fn ip_batch(&self, lines: &str) -> Result<(), LabError> {
        self.feed(Command::new("ip").args(["-batch", "-"]), lines)
    }

    /// Feeds a script to `nft -f`.
    ///
    /// # Errors
    /// When nft refuses it.
    pub fn nft(&self, script: &str) -> Result<(), LabError> {
        self.feed(Command::new("nft").args(["-f", "-"]), script)
    }

    /// Writes a setting below `/proc/sys` of this namespace, named as a path.
    ///
    /// # Errors
    /// When it does not exist or cannot be written.
    pub fn set(&self, name: &str, value: &str) -> Result<(), LabError> {
        let path = format!("/proc/sys/{name}");
        let result = self.enter(|| std::fs::write(&path, value));
        result.map_err(|e| LabError::io(format!("set {name} in {}", self.name), e))
    }

    /// Whether a connection from here to this address and port is answered, within 0.6 s.
    ///
    /// # Panics
    /// When it is no address and port.
    pub fn opens(&self, to: &str) -> bool {
        let to: SocketAddr = to.parse().expect("an address and a port");
        self.enter(|| TcpStream::connect_timeout(&to, Duration::from_millis(600))).is_ok()
    }

    /// Those of these that accept connections; all are asked at once, for silence takes time.
    pub fn open_of<'a>(&self, all: &[&'a str]) -> Vec<&'a str> {
        let is_open: Vec<bool> = thread::scope(|scope| {
            let asked: Vec<_> = all.iter().map(|to| scope.spawn(|| self.opens(to))).collect();
            asked.into_iter().map(|asked| asked.join().expect("no panic")).collect()
        });
        all.iter().zip(is_open).filter(|(_, is_open)| *is_open).map(|(to, _)| *to).collect()
    }

    /// Waits until every link has a carrier and can send: the kernel gives a device its queue some
    /// milliseconds after its carrier, and drops what is sent before.
    ///
    /// # Errors
    /// When one cannot within ten seconds.
    pub fn wait_for_carrier(&self) -> Result<(), LabError> {
        try_eventually(Duration::from_secs(10), "carrier on all links", || {
            let text = self.sh("ip -o link show").map_err(|e| e.to_string())?;
            let late = text.lines().find(|l| l.contains("NO-CARRIER") || l.contains("state DOWN"));
            late.map_or(Ok(()), |l| Err(l.to_owned()))
        })
    }

    /// The namespace as a path that `ip link ... netns` takes.
    pub fn path(&self) -> String {
        // The number that the mounted /proc knows us by, which differs from ours when the
        // /proc of an outer process namespace is still in place.
        let us = std::fs::read_link("/proc/self")
            .map_or_else(|_| "self".into(), |p| p.display().to_string());
        format!("/proc/{us}/fd/{}", self.file.as_raw_fd())
    }

    /// Runs a command to its end with `text` as its input.
    ///
    /// # Errors
    /// When it cannot be started or does not end with 0.
    pub fn feed(&self, command: &mut Command, text: &str) -> Result<(), LabError> {
        use std::io::Write as _;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.start(command)?;
        let mut pipe = child.stdin.take().expect("stdin was asked for as a pipe");
        // A command that ends early shows its reason in its output.
        let _ = pipe.write_all(text.as_bytes());
        drop(pipe);
        let output = child
            .wait_with_output()
            .map_err(|e| LabError::io(format!("wait for {command:?}"), e))?;
        self.judge(&format!("{command:?} with {text}"), output).map(drop)
    }

    fn judge(&self, line: &str, output: Output) -> Result<String, LabError> {
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        if output.status.success() {
            return Ok(text);
        }
        let line = format!("{}: {line}", self.name);
        let output_text = format!("{text}{}", String::from_utf8_lossy(&output.stderr));
        Err(LabError::Command { line, status: output.status, output: output_text })
    }

    fn move_here(&self) {
        move_into_link_name_space(self.file.as_fd(), Some(LinkNameSpaceType::Network))
            .expect("a namespace that we made and hold can be entered");
    }
}

/// Joins two nodes by a veth pair, made in place; both ends stay down.
///
/// # Errors
/// When the kernel refuses it.
pub fn veth(a: (&Node, &str), b: (&Node, &str)) -> Result<(), LabError> {
    let (left, right) = (a.0.path(), b.0.path());
    a.0.ip_batch(&format!(
        "link add {} netns {left} type veth peer name {} netns {right}\n",
        a.1, b.1
    ))
}

/// The same as a cable between two cards: with one index at both ends. To the kernel a veth whose
/// peer has another index depends on that, and it reports such a one's carrier at once, always; that
/// of a card it reports up to a second late when links change elsewhere.
///
/// # Errors
/// When the kernel refuses it.
pub fn cable(a: (&Node, &str), b: (&Node, &str), index: u32) -> Result<(), LabError> {
    let (left, right) = (a.0.path(), b.0.path());
    a.0.ip_batch(&format!(
        "link add {} netns {left} index {index} type veth peer name {} netns {right} index {index}\n",
        a.1, b.1
    ))
}

#[expect(unsafe_code, reason = "the safe form of unshare is deprecated")]
fn make() -> std::io::Result<File> {
    // SAFETY: the descriptor table is not unshared, which is the only hazard.
    unsafe { rustix::thread::unshare_unsafe(UnshareFlags::NEWNET) }?;
    File::open("/proc/thread-self/ns/net")
}

fn stuck(name: &str) -> LabError {
    LabError::Refused(format!("the thread that makes the namespace of {name} died"))
}
