//! How a notice reads: the same for a log line, an event and a screen.

use alloc::string::{String, ToString};
use alloc::vec::Vec;
use serde::{Deserialize, Serialize};

/// How much a notice matters.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// We fail our duty.
    Error,
    /// A human should look this week.
    Warn,
    /// A role or an uplink changed.
    Info,
    /// Why a decision fell so.
    Debug,
    /// Per packet.
    Trace,
}

/// A field of a log line.
pub type Field = (&'static str, String);

/// What a notice says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Entry<'a> {
    /// How much it matters.
    pub severity: Severity,
    /// One sentence in the past tense, without values.
    pub sentence: &'a str,
    /// The values, with fixed names, in their order.
    pub fields: Vec<Field>,
}

impl<'a> Entry<'a> {
    pub(crate) const fn new(severity: Severity, sentence: &'a str) -> Self {
        Self { severity, sentence, fields: Vec::new() }
    }

    pub(crate) const fn warn(sentence: &'a str) -> Self {
        Self::new(Severity::Warn, sentence)
    }

    pub(crate) const fn info(sentence: &'a str) -> Self {
        Self::new(Severity::Info, sentence)
    }

    pub(crate) const fn debug(sentence: &'a str) -> Self {
        Self::new(Severity::Debug, sentence)
    }

    /// Adds a value.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }
}
