//! Changes of kernel objects: what is to be done, and why the kernel refused it.

use super::{Key, Resource};
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

/// The way from observed to desired, in the order of execution.
pub type Plan = Vec<Step>;

/// One change.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Step {
    /// The object it brings about.
    pub key: Key,
    /// The change.
    pub op: Op,
}

/// A change of one kernel object. It carries the value, so there are few ways to disagree with its key.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// Bring the object about.
    Put {
        /// What it is to be.
        value: Resource,
        /// In place of what has the same key; without, that is an error.
        replace: bool,
    },
    /// Delete the object, if it is ours.
    Drop,
    /// Run this text through `nft -f -` (one transaction).
    Script(String),
    /// Change elements of the bucket map in one batch: first `del`, then `add`, as (bucket, mark).
    Buckets {
        /// Elements to remove.
        del: Vec<(u32, u32)>,
        /// Elements to add.
        add: Vec<(u32, u32)>,
    },
}

impl Op {
    /// Brings the object about where nothing has its key.
    pub const fn put(value: Resource) -> Self {
        Self::Put { value, replace: false }
    }

    /// Brings the object about in place of what has its key.
    pub const fn replace(value: Resource) -> Self {
        Self::Put { value, replace: true }
    }
}

/// A change in words, for the log.
pub fn describe(op: &Op) -> String {
    match op {
        Op::Script(script) => alloc::format!("nft transaction of {} lines", script.lines().count()),
        Op::Buckets { del, add } => alloc::format!("{} buckets out, {} in", del.len(), add.len()),
        Op::Drop => "deleted".into(),
        Op::Put { value: Resource::Sysctl(value), .. } => alloc::format!("set to {value}"),
        Op::Put { value, replace } => match value.to_string() {
            text if text.is_empty() => "added".into(),
            text if *replace => alloc::format!("replaced by {text}"),
            text => alloc::format!("created {text}"),
        },
    }
}

/// Why the kernel refused a change.
#[derive(Clone, PartialEq, Eq, Debug, serde::Serialize, serde::Deserialize)]
pub struct OpError {
    /// Linux error number; 0 if the failure was not a system call's.
    pub errno: i32,
    /// The kernel's extended ack, nft's message, or the name of the error.
    pub text: String,
}

impl fmt::Display for OpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
