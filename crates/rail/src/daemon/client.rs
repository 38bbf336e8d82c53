//! One connection to a control socket: lines in, lines out, both bounded.

use rail_core::Action;
use rail_core::status::NotifierStatus;
use rail_core::time::Instant;
use rustix::io::Errno;
use serde::Deserialize;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

/// What a client may ask.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Request {
    /// The status.
    Status,
    /// The last events, and with `follow` those to come.
    Events {
        /// Stay and send what comes.
        follow: bool,
    },
    /// Read the configuration again.
    Reload {
        /// As in [`Wish`].
        ssh: String,
    },
    /// Take a configuration.
    Apply(Wish),
    /// Take back what is on trial, or take what was before.
    Rollback(Wish),
    /// Keep what is on trial.
    Confirm {
        /// Who asks.
        by: String,
    },
    /// Use an uplink otherwise than configured, or again as configured.
    Say(Said),
    /// What was in force.
    History,
    /// The text that is in force.
    Configuration,
    /// What the notifier says of itself.
    Notifier(Box<NotifierStatus>),
    /// End.
    Stop {
        /// Take everything away first.
        withdraw: bool,
    },
}

/// A configuration that somebody wants.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Wish {
    /// The text; `None`: one of before.
    pub(super) text: Option<String>,
    /// The name of its file, for the errors.
    pub(super) name: PathBuf,
    /// How many steps before; `None`: what is on trial, else one.
    pub(super) steps: Option<usize>,
    /// The time of the trial.
    pub(super) confirm: Option<Duration>,
    /// Who asks.
    pub(super) by: String,
    /// The SSH connection of who asks, as `SSH_CONNECTION` tells it.
    pub(super) ssh: String,
}

/// What somebody says of an uplink.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Said {
    /// Its name.
    pub(super) uplink: String,
    /// `None`: as configured.
    pub(super) action: Option<Action>,
    /// For how long.
    pub(super) time: Option<Duration>,
    /// Who asks.
    pub(super) by: String,
    /// As in [`Wish`].
    pub(super) ssh: String,
}

impl Request {
    /// True if it changes nothing.
    const fn is_read_only(&self) -> bool {
        matches!(self, Self::Status | Self::Events { .. })
    }
}

#[derive(Deserialize)]
struct Raw {
    command: String,
    #[serde(default)]
    follow: bool,
    #[serde(default)]
    withdraw: bool,
    text: Option<String>,
    #[serde(default)]
    name: PathBuf,
    steps: Option<usize>,
    confirm_ms: Option<u64>,
    #[serde(default)]
    uplink: String,
    for_ms: Option<u64>,
    #[serde(default)]
    by: String,
    #[serde(default)]
    ssh: String,
    report: Option<Box<NotifierStatus>>,
}

impl Raw {
    fn said(self, action: Option<Action>) -> Request {
        let (time, by) = (self.for_ms.map(Duration::from_millis), author(&self.by));
        Request::Say(Said { uplink: self.uplink, action, time, by, ssh: self.ssh })
    }

    fn wish(self) -> Wish {
        let confirm = self.confirm_ms.map(Duration::from_millis);
        let by = author(&self.by);
        let Self { text, name, steps, ssh, .. } = self;
        Wish { text, name, steps, confirm, by, ssh }
    }
}

/// A name for the history: short, and without what could steer a terminal.
fn author(text: &str) -> String {
    let clean: String = text.chars().filter(|c| !c.is_control()).take(80).collect();
    if clean.is_empty() { "root".into() } else { clean }
}

/// A connection.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) stream: UnixStream,
    /// May change something.
    pub(super) may_write: bool,
    /// Who it is.
    pub(super) user: u32,
    /// When it asked last, or came.
    pub(super) asked: Instant,
    /// Wants every event.
    pub(super) follows: bool,
    /// Is closed as soon as everything is sent.
    pub(super) ends: bool,
    /// Must be closed now.
    pub(super) broken: bool,
    /// What the poller was told to wait for: something to read, room to write; `None` while it does
    /// not know the connection.
    pub(super) polled: Option<(bool, bool)>,
    /// A request was taken and is not answered yet.
    owed: bool,
    /// It will send nothing more.
    input_ended: bool,
    input: Vec<u8>,
    output: Vec<u8>,
}

impl Client {
    pub(super) const fn new(stream: UnixStream, may_write: bool, user: u32, now: Instant) -> Self {
        Self {
            stream,
            may_write,
            user,
            asked: now,
            follows: false,
            ends: false,
            broken: false,
            polled: Some((true, false)),
            owed: false,
            input_ended: false,
            input: Vec::new(),
            output: Vec::new(),
        }
    }

    pub(super) const fn is_root(&self) -> bool {
        self.user == 0
    }

    /// True if nothing is being done for it: it asks nothing, or does not take its answer.
    pub(super) const fn is_idle(&self) -> bool {
        !self.follows && !self.owed
    }

    /// True if a question is here that is not answered yet.
    pub(super) fn is_waiting(&self) -> bool {
        self.owed || self.has_line()
    }

    /// Reads once; what comes too fast waits in the kernel.
    pub(super) fn read(&mut self) {
        let mut chunk = [0; 16 * 1024];
        match self.stream.read(&mut chunk) {
            Ok(0) => {
                self.input_ended = true;
                self.close_if_through();
            }
            Ok(length) => self.input.extend_from_slice(&chunk[..length]),
            Err(e) if Errno::from_io_error(&e) == Some(Errno::WOULDBLOCK) => {}
            Err(_) => self.broken = true,
        }
    }

    /// True if a request waits that may be answered: the last answer has been taken.
    pub(super) fn is_due(&self) -> bool {
        !self.broken && !self.ends && !self.owed && self.output.is_empty() && self.has_line()
    }

    /// What the poller should wait for. While a request waits nothing more is read, so that a
    /// client that asks without end fills its own socket, not our memory.
    pub(super) fn interest(&self) -> (bool, bool) {
        (!self.input_ended && !self.ends && !self.has_line(), !self.output.is_empty())
    }

    fn has_line(&self) -> bool {
        self.input.contains(&b'\n') || self.input.len() > self.line_limit()
    }

    /// Who may change something hands in whole configurations.
    const fn line_limit(&self) -> usize {
        if self.may_write { WRITER_LIMIT } else { LINE_LIMIT }
    }

    /// The next request; a bad one is answered here.
    pub(super) fn next_request(&mut self) -> Option<Request> {
        let end = self.input.iter().position(|b| *b == b'\n');
        let limit = self.line_limit();
        let Some(end) = end.filter(|end| *end <= limit) else {
            self.refuse(&format!("a request is one line of at most {limit} bytes"));
            self.input.clear();
            self.ends = true;
            return None;
        };
        let line: Vec<u8> = self.input.drain(..=end).collect();
        let request = match parse(&line) {
            Ok(request) => request,
            Err(text) => {
                self.refuse(&text);
                return None;
            }
        };
        if !self.may_write && !request.is_read_only() {
            self.refuse("this socket is read-only; ask as root through rail.sock");
            return None;
        }
        self.owed = true;
        Some(request)
    }

    /// Queues `{"ok":false,"error":..}`.
    pub(super) fn refuse(&mut self, error: &str) {
        let line = serde_json::json!({ "ok": false, "error": error }).to_string();
        self.queue(&line);
        self.queue("\n");
    }

    /// Queues output. A client that does not read is dropped.
    pub(super) fn queue(&mut self, text: &str) {
        self.owed = false;
        if self.output.len() + text.len() > OUTPUT_LIMIT {
            self.broken = true;
            return;
        }
        self.output.extend_from_slice(text.as_bytes());
    }

    /// Sends what the kernel takes.
    pub(super) fn flush(&mut self) {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(0) => self.broken = true,
                Ok(length) => {
                    sent += length;
                    continue;
                }
                Err(e) if Errno::from_io_error(&e) == Some(Errno::WOULDBLOCK) => {}
                Err(e) if Errno::from_io_error(&e) == Some(Errno::INTR) => continue,
                Err(_) => self.broken = true,
            }
            break;
        }
        self.output.drain(..sent);
        self.close_if_through();
    }

    /// A client that can ask nothing more and waits for nothing has left.
    fn close_if_through(&mut self) {
        let asks_no_more = self.input_ended && !self.follows && !self.owed && !self.has_line();
        self.broken |= self.output.is_empty() && (self.ends || asks_no_more);
    }
}

fn parse(line: &[u8]) -> Result<Request, String> {
    let raw: Raw = serde_json::from_slice(line)
        .map_err(|e| format!("a request looks like {{\"command\":\"status\"}}: {e}"))?;
    match raw.command.as_str() {
        // `why` is a view of the status that the client makes.
        "status" | "why" => Ok(Request::Status),
        "events" => Ok(Request::Events { follow: raw.follow }),
        "reload" => Ok(Request::Reload { ssh: raw.ssh }),
        "apply" if raw.text.is_none() => Err("`apply` needs the `text` of a configuration".into()),
        "apply" => Ok(Request::Apply(raw.wish())),
        "rollback" => Ok(Request::Rollback(Wish { text: None, ..raw.wish() })),
        "confirm" => Ok(Request::Confirm { by: author(&raw.by) }),
        "disable" => Ok(raw.said(Some(Action::Disable))),
        "drain" => Ok(raw.said(Some(Action::Drain))),
        "prefer" => Ok(raw.said(Some(Action::Prefer))),
        "enable" => Ok(raw.said(None)),
        "history" => Ok(Request::History),
        "configuration" => Ok(Request::Configuration),
        "notifier" => Ok(Request::Notifier(raw.report.unwrap_or_default())),
        "stop" => Ok(Request::Stop { withdraw: raw.withdraw }),
        _ => {
            Err("there is no such command; known are status, why, events, reload, apply, confirm, \
             rollback, disable, enable, drain, prefer, history, configuration, notifier, stop"
                .into())
        }
    }
}

/// Longest request of who may change something: a configuration of 1 MB, each byte escaped.
const WRITER_LIMIT: usize = 8 << 20;
/// Longest request of others in bytes.
pub(super) const LINE_LIMIT: usize = 64 * 1024;
/// Most bytes that wait for a client; a status of 120 uplinks fits several times.
pub(super) const OUTPUT_LIMIT: usize = 4 << 20;
