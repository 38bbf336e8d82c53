//! The program under test: `rail` started in the router's namespace.
//!
//! The built binary is `$RAIL_BIN`, else `rail` beside the running executable or above it
//! (`target/debug/deps/test` finds `target/debug/rail`). Files live in the private tmpfs.
//! Dropping ends the daemon by SIGKILL, so a panicking test leaves no process.

use crate::{LabError, Node, figures, scratch, try_eventually};
use serde_json::Value;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

/// A daemon with its files; running or not.
#[derive(Debug)]
pub struct Rail {
    node: Node,
    program: PathBuf,
    directory: PathBuf,
    child: Option<Child>,
}

impl Rail {
    /// Writes the configuration; starts nothing.
    ///
    /// # Errors
    /// When the binary is missing or a file cannot be written.
    pub fn new(node: &Node, config: &str) -> Result<Self, LabError> {
        Self::of(program()?, node, config)
    }

    /// The same of another binary.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn of(program: PathBuf, node: &Node, config: &str) -> Result<Self, LabError> {
        let directory = scratch::directory("rail")?;
        let rail = Self { node: node.clone(), program, directory, child: None };
        for part in ["runtime", "state"] {
            let path = rail.directory.join(part);
            fs::create_dir(&path).map_err(|e| LabError::io("create a directory", e))?;
        }
        rail.write_config(config)?;
        Ok(rail)
    }

    /// Writes the configuration, starts the daemon, and waits until `status` answers.
    ///
    /// # Errors
    /// When it does not become ready within five seconds; the message holds its log.
    pub fn run(node: &Node, config: &str) -> Result<Self, LabError> {
        let mut rail = Self::new(node, config)?;
        rail.start()?;
        Ok(rail)
    }

    /// Replaces the configuration file; `reload` makes the daemon read it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_config(&self, config: &str) -> Result<(), LabError> {
        fs::write(self.config_path(), config).map_err(|e| LabError::io("write rail.toml", e))
    }

    /// Starts the daemon and waits until it is ready; returns when it was started.
    ///
    /// # Errors
    /// As [`Rail::run`].
    pub fn start(&mut self) -> Result<Instant, LabError> {
        let at = self.launch()?;
        self.wait_ready(Duration::from_secs(5))?;
        Ok(at)
    }

    /// Starts the daemon and does not wait; returns when.
    ///
    /// # Errors
    /// When it runs already or cannot be started.
    pub fn launch(&mut self) -> Result<Instant, LabError> {
        self.launch_with(&[])
    }

    /// As [`Rail::launch`], with variables in its environment.
    ///
    /// # Errors
    /// As [`Rail::launch`].
    pub fn launch_with(&mut self, variables: &[(&str, &str)]) -> Result<Instant, LabError> {
        if self.child.is_some() {
            return Err(LabError::Refused("the daemon runs already".into()));
        }
        let log = File::options().create(true).append(true).open(self.log_path());
        let log = log.map_err(|e| LabError::io("open the log", e))?;
        let second = log.try_clone().map_err(|e| LabError::io("open the log", e))?;
        // starts: rail
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(self.config_path());
        command.arg("--runtime-dir").arg(self.runtime_dir());
        command.arg("--state-dir").arg(self.directory.join("state"));
        if std::env::var_os("RAIL_LAB_DEBUG").is_some() {
            command.arg("--debug");
        }
        command.stdin(Stdio::null()).stdout(log).stderr(second);
        command.envs(variables.iter().copied());
        let at = Instant::now();
        self.child = Some(self.node.start(&mut command)?);
        Ok(at)
    }

    /// Waits until `rail status` answers.
    ///
    /// # Errors
    /// When it does not within `limit`, or when the daemon ended.
    pub fn wait_ready(&mut self, limit: Duration) -> Result<(), LabError> {
        let start = Instant::now();
        loop {
            match self.status() {
                Ok(_) => return Ok(()),
                Err(error) if start.elapsed() > limit || self.ended().is_some() => {
                    let (log, waited, ended) = (self.log(), start.elapsed(), self.ended());
                    let text = format!(
                        "the daemon did not become ready in {waited:.1?} (end: {ended:?}): {error}\n{log}"
                    );
                    return Err(LabError::Late(text));
                }
                Err(_) => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Runs `rail WORDS` to its end in the router's namespace, as an administrator would.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn command(&self, words: &[&str]) -> Result<Output, LabError> {
        self.node.output(Command::new(&self.program).args(words).stdin(Stdio::null()))
    }

    /// What `rail generate firewall` prints for the configuration.
    ///
    /// # Errors
    /// When it cannot be started or does not end with 0.
    pub fn generate_firewall(&self, format: &str) -> Result<String, LabError> {
        let (program, config) = (self.program.to_string_lossy(), self.config_path());
        let config = config.to_string_lossy();
        self.node.run(&[&program, "generate", "firewall", "--format", format, "--config", &config])
    }

    /// As [`Rail::command`], with `--runtime-dir` added.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn ask(&self, words: &[&str]) -> Result<Output, LabError> {
        let mut command = Command::new(&self.program);
        command.args(words).arg("--runtime-dir").arg(self.runtime_dir());
        self.node.output(command.stdin(Stdio::null()))
    }

    /// What `rail status --json` prints, asked at the socket: a process for each question would take
    /// the time of a core from tests that wait.
    ///
    /// # Errors
    /// When no daemon answers.
    pub fn status(&self) -> Result<Value, LabError> {
        let mut answer = self.question(b"{\"command\":\"status\"}\n")?;
        match answer.get_mut("status").map(Value::take) {
            Some(status) => Ok(status),
            None => Err(LabError::Refused(format!("no status in {answer}"))),
        }
    }

    fn question(&self, line: &[u8]) -> Result<Value, LabError> {
        let failed = |e| LabError::io("ask the daemon", e);
        let mut stream =
            UnixStream::connect(self.runtime_dir().join("rail.sock")).map_err(failed)?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).map_err(failed)?;
        stream.write_all(line).map_err(failed)?;
        let mut answer = String::new();
        BufReader::new(stream).read_line(&mut answer).map_err(failed)?;
        serde_json::from_str(&answer)
            .map_err(|e| LabError::Refused(format!("the answer cannot be read: {e}")))
    }

    /// One field of one uplink, as text.
    ///
    /// # Errors
    /// When no daemon answers, or it knows no such uplink.
    pub fn uplink(&self, name: &str, field: &str) -> Result<String, LabError> {
        let status = self.status()?;
        let uplinks = status["uplinks"].as_array().into_iter().flatten();
        let found = uplinks.into_iter().find(|uplink| uplink["name"] == name);
        let value = found.map(|uplink| uplink[field].clone());
        match value {
            Some(Value::String(text)) => Ok(text),
            Some(other) => Ok(other.to_string()),
            None => Err(LabError::Refused(format!("no uplink {name} in {status}"))),
        }
    }

    /// How often an uplink changed its role since the daemon started, as `rail events` tells.
    ///
    /// # Errors
    /// When no daemon answers, or there are more events than it keeps.
    pub fn changes_of_role(&self, name: &str) -> Result<usize, LabError> {
        let output = self.ask(&["events", "--json"])?;
        let text = String::from_utf8_lossy(&output.stdout);
        if !(1..EVENTS_KEPT).contains(&text.lines().count()) {
            return Err(LabError::Refused("no event, or not all of them".into()));
        }
        let name = format!("\"{name}\"");
        let is_role = |line: &&str| line.contains("\"event\":\"role\"") && line.contains(&name);
        Ok(text.lines().filter(is_role).count())
    }

    /// Waits until an uplink has this health; returns when that was seen.
    ///
    /// # Errors
    /// When it does not get it within `limit`; the message holds the log.
    pub fn wait_health(
        &self,
        name: &str,
        health: &str,
        limit: Duration,
    ) -> Result<Instant, LabError> {
        let what = format!("{name} to be {health}");
        try_eventually(limit, &what, || match self.uplink(name, "health") {
            Ok(seen) if seen == health => Ok(Instant::now()),
            Ok(seen) => Err(seen),
            Err(error) => Err(error.to_string()),
        })
        .map_err(|error| LabError::Late(format!("{error}\n{}", self.log())))
    }

    /// Has the daemon forget how often an uplink fell, so that its next return is not held back, and waits
    /// until it is up again.
    ///
    /// # Errors
    /// As [`Rail::wait_health`].
    pub fn forget_falls(&self, name: &str, limit: Duration) -> Result<(), LabError> {
        for (verb, health) in [("disable", "disabled"), ("enable", "up")] {
            self.ask(&[verb, name])?;
            self.wait_health(name, health, limit)?;
            self.wait_settled(limit)?;
        }
        Ok(())
    }

    /// Watches an uplink for a while; every health that was seen, each change once.
    ///
    /// # Errors
    /// When the daemon does not answer.
    pub fn watch_health(&self, name: &str, time: Duration) -> Result<Vec<String>, LabError> {
        let start = Instant::now();
        let mut seen: Vec<String> = Vec::new();
        while start.elapsed() < time {
            let health = self.uplink(name, "health")?;
            if seen.last() != Some(&health) {
                seen.push(health);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        Ok(seen)
    }

    /// Waits until all uplinks are up and the kernel has what the daemon wants.
    ///
    /// # Errors
    /// As [`Rail::wait_health`].
    pub fn wait_all_up(&self, limit: Duration) -> Result<(), LabError> {
        try_eventually(limit, "all uplinks to be up", || {
            let status = self.status().map_err(|e| e.to_string())?;
            let uplinks = status["uplinks"].as_array().cloned().unwrap_or_default();
            let bad: Vec<String> = uplinks
                .iter()
                .filter(|uplink| uplink["health"] != "up")
                .map(|uplink| format!("{} is {}", uplink["name"], uplink["health"]))
                .collect();
            if bad.is_empty() && !uplinks.is_empty() && status["settled"] != false {
                Ok(())
            } else {
                Err(format!("{} settled: {}", bad.join(", "), status["settled"]))
            }
        })
        .map_err(|error| LabError::Late(format!("{error}\n{}", self.log())))
    }

    /// Waits until the kernel has what the daemon wants.
    ///
    /// # Errors
    /// As [`Rail::wait_health`].
    pub fn wait_settled(&self, limit: Duration) -> Result<(), LabError> {
        try_eventually(limit, "the kernel to have what is wanted", || {
            let status = self.status().map_err(|e| e.to_string())?;
            if status["settled"] == true { Ok(()) } else { Err(status["trouble"].to_string()) }
        })
    }

    /// Ends the daemon by SIGKILL and waits for its end; returns when.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<Instant, LabError> {
        let Some(mut child) = self.child.take() else {
            return Err(LabError::Refused("the daemon does not run".into()));
        };
        let at = Instant::now();
        child.kill().map_err(|e| LabError::io("kill the daemon", e))?;
        let ended = || matches!(child.try_wait(), Ok(Some(_))).then_some(()).ok_or("it runs");
        if try_eventually(Duration::from_secs(2), "the daemon to die", ended).is_err() {
            figures(&format!("the daemon does not die: {}", threads(child.id())));
            child.wait().map_err(|e| LabError::io("wait for the daemon", e))?;
        }
        Ok(at)
    }

    /// `rail stop`, with or without `--withdraw`, and waits until the daemon has ended.
    ///
    /// # Errors
    /// When it does not end within ten seconds.
    pub fn stop(&mut self, withdraw: bool) -> Result<ExitStatus, LabError> {
        let words: &[&str] = if withdraw { &["stop", "--withdraw"] } else { &["stop"] };
        let output = self.ask(words)?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr).into_owned();
            let line = format!("rail {}", words.join(" "));
            return Err(LabError::Command { line, status: output.status, output: text });
        }
        let limit = Duration::from_secs(10);
        let ended = try_eventually(limit, "the daemon to end", || self.ended().ok_or("it runs"));
        let status = ended.map_err(|e| LabError::Late(format!("{e}\n{}", self.log())))?;
        self.child = None;
        Ok(status)
    }

    /// Writes a configuration and `rail reload`s it.
    ///
    /// # Errors
    /// When the daemon refuses it.
    pub fn reload(&self, config: &str) -> Result<(), LabError> {
        self.write_config(config)?;
        let output = self.ask(&["reload"])?;
        if output.status.success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(LabError::Command { line: "rail reload".into(), status: output.status, output: text })
    }

    /// The process, if it was started and not ended by this object.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Memory that the running daemon has in use, in KiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn resident_kib(&self) -> Result<u64, LabError> {
        let status = self.directory_of_process()?.join("status");
        let text = fs::read_to_string(status).map_err(|e| LabError::io("read its status", e))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|l| l.split_whitespace().next()).and_then(|n| n.parse().ok());
        number.ok_or_else(|| LabError::Refused(format!("no VmRSS in {text}")))
    }

    /// Processor time of the threads of the running daemon, to the nanosecond: in a second a tick of
    /// the usual files is a hundredth.
    ///
    /// # Errors
    /// When it does not run.
    pub fn processor_time(&self) -> Result<Duration, LabError> {
        processor_time(&self.directory_of_process()?)
    }

    /// Number of descriptors that the running daemon has open.
    ///
    /// # Errors
    /// When it does not run.
    pub fn descriptors(&self) -> Result<usize, LabError> {
        let open = fs::read_dir(self.directory_of_process()?.join("fd"));
        Ok(open.map_err(|e| LabError::io("read its descriptors", e))?.count())
    }

    fn directory_of_process(&self) -> Result<PathBuf, LabError> {
        let pid = self.pid().ok_or_else(|| LabError::Refused("the daemon does not run".into()))?;
        Ok(PathBuf::from(format!("/proc/{pid}")))
    }

    /// How the daemon ended, if it did by itself.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.as_mut().and_then(|child| child.try_wait().ok().flatten())
    }

    /// Waits until the log, which is written beside the loop, has a line with all these words.
    ///
    /// # Errors
    /// When it has none within five seconds.
    pub fn wait_log(&self, words: &[&str]) -> Result<(), LabError> {
        try_eventually(Duration::from_secs(5), &format!("a line with {words:?}"), || {
            let log = self.log();
            let has_all = |line: &str| words.iter().all(|word| line.contains(word));
            if log.lines().any(has_all) { Ok(()) } else { Err(log) }
        })
    }

    /// All that it wrote so far.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_path()).unwrap_or_default()
    }

    /// The configuration file.
    pub fn config_path(&self) -> PathBuf {
        self.directory.join("rail.toml")
    }

    /// The runtime directory with the control socket.
    pub fn runtime_dir(&self) -> PathBuf {
        self.directory.join("runtime")
    }

    fn log_path(&self) -> PathBuf {
        self.directory.join("log")
    }
}

impl Drop for Rail {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon's log:\n{}", self.log());
        }
        let _ = self.kill();
    }
}

/// Finds the built `rail`.
///
/// # Errors
/// When it has not been built.
pub fn program() -> Result<PathBuf, LabError> {
    if let Some(path) = std::env::var_os("RAIL_BIN") {
        return Ok(PathBuf::from(path));
    }
    let own = std::env::current_exe().map_err(|e| LabError::io("find the running program", e))?;
    let found = own.ancestors().skip(1).take(2).map(|d| d.join("rail")).find(|p| is_program(p));
    found.ok_or_else(|| {
        LabError::Refused("no built `rail`: run `cargo build -p rail` or set RAIL_BIN".into())
    })
}

/// Processor time of the threads of the process with this directory below `/proc`: the first number of their
/// `schedstat` (proc(5)).
///
/// # Errors
/// When it does not run.
pub fn processor_time(process: &Path) -> Result<Duration, LabError> {
    let threads = fs::read_dir(process.join("task"));
    let threads = threads.map_err(|e| LabError::io("read its threads", e))?;
    let time = |thread: fs::DirEntry| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    };
    Ok(Duration::from_nanos(threads.flatten().filter_map(time).sum()))
}

/// The daemon forgets older ones.
const EVENTS_KEPT: usize = 1000;

fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// The threads of a process, and where in the kernel each is; proc_pid_task(5), proc_pid_stack(5).
fn threads(pid: u32) -> String {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let text = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let all: Vec<String> = tasks
        .map(|task| {
            let [comm, stack] = ["comm", "stack"].map(|name| text(task.path().join(name)));
            format!("{} in {}", comm.trim(), stack.replace('\n', " "))
        })
        .collect();
    all.join("; ")
}
