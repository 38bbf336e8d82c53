//! A daemon in a network namespace of its own, and a scratch directory for it.

use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// Two uplinks.
pub(super) const CONFIG: &str = include_str!("rail.toml");

/// A scratch directory with a configuration, and a daemon that is killed on drop.
pub(super) struct Bench {
    pub(super) dir: PathBuf,
    pub(super) child: Option<Child>,
}

impl Bench {
    pub(super) fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("rail-daemon-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        fs::write(dir.join("rail.toml"), CONFIG).unwrap();
        Self { dir, child: None }
    }

    pub(super) fn rail(&self, command: &str) -> Vec<String> {
        let dir = |name: &str| self.dir.join(name).display().to_string();
        let mut words = vec![env!("CARGO_BIN_EXE_rail").to_owned(), command.to_owned()];
        words.extend(["--config".into(), dir("rail.toml")]);
        words.extend(["--runtime-dir".into(), dir("run"), "--state-dir".into(), dir("state")]);
        words
    }

    /// Starts a daemon and waits until it listens.
    pub(super) fn start(&mut self, before: &str, environment: &[(&str, &str)]) {
        self.spawn(before, environment);
        let socket = self.dir.join("run/rail.sock");
        eventually("the socket", || UnixStream::connect(&socket).ok().map(drop));
    }

    /// Starts a daemon in a new network namespace, and in it first this shell command.
    pub(super) fn spawn(&mut self, before: &str, environment: &[(&str, &str)]) {
        self.child = Some(self.command(before).envs(environment.iter().copied()).spawn().unwrap());
    }

    pub(super) fn command(&self, before: &str) -> Command {
        let script = format!("{before}\nexec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "sh", "-ec", &script, "sh"]).args(self.rail("run"));
        command.stdin(Stdio::null()).stderr(fs::File::create(self.dir.join("log")).unwrap());
        command
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(super) fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(self.child.as_ref().unwrap());
        kill_process(pid, signal).unwrap();
    }

    pub(super) fn exit(&mut self) -> ExitStatus {
        let child = self.child.as_mut().unwrap();
        let status = eventually("the exit", || child.try_wait().unwrap());
        self.child = None;
        status
    }

    /// The first line of the answer.
    pub(super) fn ask(&self, socket: &str, line: &str) -> String {
        let mut stream = UnixStream::connect(self.dir.join("run").join(socket)).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).unwrap();
        answer
    }

    /// Files, sockets, threads and processes, as the manual writes them.
    pub(super) fn traces(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for (own, usual) in [("run", "/run/rail"), ("state", "/var/lib/rail")] {
            for entry in fs::read_dir(self.dir.join(own)).into_iter().flatten() {
                found.insert(format!("{usual}/{}", entry.unwrap().file_name().display()));
            }
        }
        let Some(child) = &self.child else { return found };
        let proc = PathBuf::from(format!("/proc/{}", child.id()));
        let sockets = fs::read_to_string(proc.join("net/unix")).unwrap();
        let names = sockets.lines().filter_map(|line| line.split_whitespace().nth(7));
        // The others stand in the runtime directory.
        found.extend(names.filter(|name| name.starts_with('@')).map(Into::into));
        for fd in fs::read_dir(proc.join("fd")).unwrap().flatten() {
            let target = fs::read_link(fd.path()).unwrap_or_default();
            if target.starts_with("/run/rail") && target.display().to_string().contains("netns-") {
                found.insert("/run/rail/netns-INODE.lock".into());
            }
        }
        for task in fs::read_dir(proc.join("task")).unwrap() {
            let task = task.unwrap().path();
            let name = fs::read_to_string(task.join("comm")).unwrap_or_default();
            found.insert(format!("thread {}", name.trim()));
            for pid in fs::read_to_string(task.join("children")).unwrap().split_whitespace() {
                // One that has ended meanwhile has no words.
                let words = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                found
                    .insert(format!("process {}", words.trim_end_matches('\0').replace('\0', " ")));
            }
        }
        found
    }

    pub(super) fn log(&self) -> String {
        fs::read_to_string(self.dir.join("log")).unwrap()
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        fs::remove_dir_all(&self.dir).unwrap();
    }
}

pub(super) fn eventually<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = found() {
            return found;
        }
        assert!(begun.elapsed() < LIMIT, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Runs a command in the network namespace of a process.
pub(super) fn inside(pid: u32, words: &[String]) -> std::process::Output {
    let target = format!("--net=/proc/{pid}/ns/net");
    Command::new("nsenter").arg(target).args(words).output().unwrap()
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

pub(super) const LIMIT: Duration = Duration::from_secs(20);
