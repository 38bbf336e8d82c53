//! Supervised children: the programs that run beside the router, declared like state by their owner.
//!
//! The shell starts what is new in the list, ends what is no longer in it, and restarts or reloads what
//! changed. Children outlive a crash and a stop of the daemon; the next one adopts them. The shell starts
//! nothing twice by itself: a child that ended runs again when its declaration bears another `run`. A new
//! child is a variant of [`ChildId`] and an owner that declares it.

use crate::net::UplinkId;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::time::Duration;
use serde::{Deserialize, Serialize};

/// Whose child it is.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildId {
    /// Addresses and names for the inside networks.
    Services,
    /// The line of an uplink by PPP.
    Ppp(UplinkId),
    /// Whoever tells people and the servers of names.
    Notifier,
}

impl ChildId {
    /// Its name for people; also that of its files. Each child has its own.
    pub fn name(self) -> String {
        match self {
            Self::Services => "services".into(),
            Self::Ppp(uplink) => alloc::format!("ppp-{}", uplink.0),
            Self::Notifier => "notifier".into(),
        }
    }

    /// The child of this name.
    pub fn named(name: &str) -> Option<Self> {
        match name {
            "services" => Some(Self::Services),
            "notifier" => Some(Self::Notifier),
            other => other.strip_prefix("ppp-")?.parse().ok().map(UplinkId).map(Self::Ppp),
        }
    }
}

/// What is run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Program {
    /// This program of the system, looked for in its directories.
    System(String),
    /// Our own program again.
    Own,
}

/// As whom it runs.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum User {
    /// Root, with what rights we were started with.
    Root,
    /// A user of its own, who owns nothing: `rail-NAME` if the system has it.
    Own,
}

/// A right that a child keeps without being root.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Capability {
    /// Change the network.
    ChangeNetwork,
    /// Use the first thousand ports.
    LowPorts,
    /// Open raw sockets.
    RawSockets,
}

/// What is done when only its files changed.
#[derive(Copy, Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnChange {
    /// It is ended and started again.
    Restart,
    /// It gets the new files and a SIGHUP.
    Reload,
}

/// A file in the child's directory. The child can read it and not change it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChildFile {
    /// Name, without a directory.
    pub name: String,
    /// Content.
    pub content: String,
    /// Nobody but root and the child can read it.
    pub is_secret: bool,
}

impl fmt::Debug for ChildFile {
    /// Without the content, which may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.name, self.content.len())
    }
}

/// Ports that a child needs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Needs {
    /// Which.
    pub ports: Vec<u16>,
    /// The exit code by which it says that it could not have one.
    pub lacking: i32,
}

/// A program that is to run.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Child {
    /// Whose; a list holds each once.
    pub id: ChildId,
    /// Counts its lives. Owners leave it at 0: it is counted where the list is made.
    pub run: u64,
    /// What is run.
    pub program: Program,
    /// Its arguments. In these and in the files stands [`DIRECTORY`] for its directory, and [`KEPT`] for
    /// the one that outlives a boot.
    pub args: Vec<String>,
    /// Arguments with which the program says by its exit code whether its files are good. They are asked before it
    /// is ended to get new ones, in a directory of their own; none: it is not asked.
    #[serde(default)]
    pub trial: Vec<String>,
    /// What its directory holds; it is its working directory.
    pub files: Vec<ChildFile>,
    /// As whom.
    pub user: User,
    /// What it keeps of root's rights.
    pub capabilities: Vec<Capability>,
    /// The system itself asks it for names: while it runs, `/etc/resolv.conf` leads to it.
    #[serde(default)]
    pub is_resolver: bool,
    /// Ports that it needs: when it lacks them, it is found out who has them.
    #[serde(default)]
    pub needs: Option<Needs>,
    /// It has a directory below the state directory, too, in which it may write.
    pub keeps_state: bool,
    /// What to do when only files changed.
    pub on_change: OnChange,
    /// How long after SIGTERM it is killed.
    pub grace: Duration,
}

/// Stands for the child's directory in arguments and files. No configuration can hold this character.
pub const DIRECTORY: char = '\u{1}';
/// Stands around the path of a file in the content of a secret file: for the first line of that file, as a word in
/// double quotes with `\` before each `"` and `\`. What is secret goes through no other hand.
pub const FIRST_LINE_OF: char = '\u{3}';
/// Stands for the child's directory below the state directory.
pub const KEPT: char = '\u{2}';

impl Child {
    /// True if whoever runs `other` runs this.
    pub fn is_same(&self, other: &Self) -> bool {
        self.files == other.files && self.differs_in_files_alone(other)
    }

    /// True if new files would make `other` this.
    pub fn differs_in_files_alone(&self, other: &Self) -> bool {
        // Named one by one, so that a new field is not forgotten.
        let Self { id, run: _, program, args, files: _, user, capabilities, .. } = self;
        let Self { is_resolver: _, needs: _, .. } = self;
        let Self { keeps_state, trial: _, on_change: _, grace: _, .. } = self;
        let same_program = *id == other.id && *program == other.program && *args == other.args;
        let same_rights = *user == other.user && *capabilities == other.capabilities;
        same_program && same_rights && *keeps_state == other.keeps_state
    }
}

/// How a child ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
    /// Somehow: it was adopted, and only a parent is told.
    Unknown,
    /// It was not started; why not.
    NotStarted(String),
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => write!(f, "killed by signal {signal}"),
            Self::Unknown => f.write_str("ended, exit code unknown"),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

/// What happened to a child.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChildEvent {
    /// It runs.
    Began {
        /// Process id.
        pid: u32,
        /// An earlier daemon started it.
        is_adopted: bool,
        /// For how long it has run.
        age: Duration,
    },
    /// It wrote this line, cut where it was long; in a flood only some lines come.
    Said {
        /// The line, without control characters.
        line: String,
        /// Lines before it that did not come.
        missed: u64,
    },
    /// It has new files and was told so.
    Reloaded,
    /// The program does not take the new files; it goes on with the old ones.
    Refused {
        /// What it said of them, in one line.
        why: String,
    },
    /// The system's own questions do not go to it as they should, or do so again.
    Hindered {
        /// Why; `None`: they do.
        why: Option<String>,
    },
    /// It does not run any more.
    Ended {
        /// How it ended.
        exit: Exit,
        /// We had told it to.
        was_asked: bool,
    },
}
