//! What can go wrong in the laboratory itself.
//!
//! One small enum with a sentence per case. A failure of the router under test is
//! not an error here: it is a figure.

use std::fmt;
use std::io;
use std::process::ExitStatus;

/// A failure of the laboratory.
#[derive(Debug)]
pub enum LabError {
    /// An operation of the system failed.
    Io {
        /// What was tried, as a phrase ("open the namespace of isp1").
        what: String,
        /// The system's answer.
        source: io::Error,
    },
    /// A command ended badly.
    Command {
        /// The command line, with the node it ran in.
        line: String,
        /// How it ended.
        status: ExitStatus,
        /// Everything it wrote.
        output: String,
    },
    /// The system forbids what the laboratory needs; the sentence says what helps.
    Refused(String),
    /// A condition did not come true in time.
    Late(String),
}

impl LabError {
    /// Wraps an error of the system with what was tried.
    pub fn io(what: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Io { what: what.into(), source: source.into() }
    }
}

impl fmt::Display for LabError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io { what, source } => write!(f, "could not {what}: {source}"),
            Self::Command { line, status, output } => {
                write!(f, "`{line}` ended with {status}: {}", output.trim())
            }
            Self::Refused(sentence) | Self::Late(sentence) => f.write_str(sentence),
        }
    }
}

impl std::error::Error for LabError {}
