//! What stands in the way: objects that the kernel refuses, and other software.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// A kernel object that is not as we want it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Trouble {
    /// The object.
    pub object: String,
    /// The kernel's words, or who fights.
    pub text: String,
    /// Milliseconds until the next attempt; 0: none, for somebody else's object stands in the place,
    /// or a contested one is in place now.
    pub retry_ms: u64,
    /// Somebody else keeps changing it.
    pub contested: bool,
}

/// Other software in our way.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct Conflict {
    /// What kind of conflict.
    pub kind: ConflictKind,
    /// False where a rule could not be understood: it may be so.
    pub certain: bool,
    /// Whose it is: a program, or the table where that is not known.
    pub owner: String,
    /// What exactly: table, chain, rule or policy.
    pub object: String,
    /// The part of it that anybody may know, where only root may read the rest: table and chain.
    #[serde(skip)]
    pub place: Option<String>,
    /// What it does to our traffic.
    pub effect: String,
    /// What to do about it: commands, where there are some.
    pub remedy: String,
    /// Names of the uplinks it concerns; empty: any.
    #[serde(default)]
    pub uplinks: Vec<String>,
}

impl Conflict {
    /// Who does what, in one sentence.
    pub fn sentence(&self) -> String {
        let Self { owner, object, effect, .. } = self;
        match object.as_str() {
            "" => format!("{owner} {effect}"),
            object => format!("{owner}: {object}: {effect}"),
        }
    }

    /// True if it concerns this uplink.
    pub fn concerns(&self, uplink: &str) -> bool {
        self.uplinks.is_empty() || self.uplinks.iter().any(|name| name == uplink)
    }

    /// True if an uplink that it concerns can be down for nothing else.
    pub fn is_fatal(&self) -> bool {
        match self.kind {
            ConflictKind::Device
            | ConflictKind::Overlap
            | ConflictKind::Address
            | ConflictKind::Target => true,
            // Of what the LAN sends the probes know nothing.
            ConflictKind::Drops | ConflictKind::Refuses | ConflictKind::Diverts => {
                !self.uplinks.is_empty()
            }
            ConflictKind::NotLoaded
            | ConflictKind::Closed
            | ConflictKind::Shadowed
            | ConflictKind::Offloads
            | ConflictKind::Translates
            | ConflictKind::Marks
            | ConflictKind::Range => false,
        }
    }
}

/// Kinds of conflicts, the worst first.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConflictKind {
    /// Packets of ours are dropped.
    Drops,
    /// Mode `external`, and the generated rules are not there.
    NotLoaded,
    /// A route of `main` refuses what uplinks should carry.
    Refuses,
    /// A policy rule, or routes of `main`, take packets of ours.
    Diverts,
    /// An interface cannot be used under its name, or where it stands.
    Device,
    /// Two networks overlap.
    Overlap,
    /// An interface that the file does not name is filtered as an uplink.
    Closed,
    /// An address is somebody else's, or nobody's.
    Address,
    /// A policy rule of others never matches, because ours come first.
    Shadowed,
    /// Connections bypass our rules.
    Offloads,
    /// A source is translated before we do it.
    Translates,
    /// Our bits of the marks are used.
    Marks,
    /// A route stands in our tables.
    Range,
    /// A target says nothing of an uplink.
    Target,
}
