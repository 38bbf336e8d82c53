//! Names of domains: RFC 1035 §3.1, §4.1.4; the search list of RFC 3397.
//!
//! Promises: a name has the grammar of host names, and can stand in a file, a command or a log as it is.
//! A list is no longer than the message that brought it: compressed, 60 bytes could stand for 8000.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

/// A name: letters, digits, `-` and `_`, in labels of 1 to 63, at most 253 (RFC 1035 §2.3.1, §2.3.4).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name(String);

impl Name {
    /// Takes a name as text, with or without the dot at its end; `None` for all else (RFC 1035 §2.3.1).
    pub fn new(text: &str) -> Option<Self> {
        let text = text.strip_suffix('.').unwrap_or(text);
        let is_name = text.len() <= LONGEST && text.split('.').all(|l| is_label(l.as_bytes()));
        is_name.then(|| Self(text.into()))
    }

    /// Reads the value of option 15, zeros at its end aside.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let end = bytes.iter().rposition(|byte| *byte != 0)?;
        Self::new(core::str::from_utf8(bytes.get(..=end)?).ok()?)
    }

    /// The name as text, without the dot at its end (RFC 1035 §2.3.1).
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A list of names, in one piece of memory (RFC 3397 §2).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Names(String);

impl Names {
    /// No names (RFC 3397 §2).
    pub const EMPTY: Self = Self(String::new());

    /// Makes a list of names (RFC 3397 §2).
    pub fn new(names: &[Name]) -> Self {
        let mut list = Self::default();
        names.iter().for_each(|name| list.push(name.as_str()));
        list
    }

    /// The names, without the dots at their ends (RFC 3397 §2).
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.split_ascii_whitespace()
    }

    /// True if there is no name (RFC 3397 §2).
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Reads the value of option 119; `None` if a name is none, or all take more than `most` bytes.
    pub(super) fn read(bytes: &[u8], most: usize) -> Option<Self> {
        let mut list = Self::default();
        let mut at = 0;
        while at < bytes.len() {
            let name;
            (name, at) = expand(bytes, at)?;
            list.push(&name);
            if list.0.len() > most {
                return None;
            }
        }
        list.0.shrink_to_fit();
        Some(list).filter(|list| !list.is_empty())
    }

    /// The value of option 119, not compressed.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for name in self.iter() {
            for label in name.split('.') {
                bytes.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
                bytes.extend(label.as_bytes());
            }
            bytes.push(0);
        }
        bytes
    }

    fn push(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        self.0.push_str(name);
    }
}

/// The name that begins at `begin`, and where the next one does.
fn expand(bytes: &[u8], begin: usize) -> Option<(String, usize)> {
    let mut name = String::new();
    let (mut at, mut next) = (begin, None);
    // Pointers may lead round.
    for _ in 0..MOST_STEPS {
        let length = *bytes.get(at)?;
        at += 1;
        if length == 0 {
            return (!name.is_empty()).then_some((name, next.unwrap_or(at)));
        }
        if length & POINTER == POINTER {
            let low = *bytes.get(at)?;
            next = next.or(Some(at + 1));
            at = usize::from(u16::from_be_bytes([length & !POINTER, low]));
            continue;
        }
        let end = at + usize::from(length);
        let label = bytes.get(at..end).filter(|label| is_label(label))?;
        if !name.is_empty() {
            name.push('.');
        }
        name.push_str(core::str::from_utf8(label).ok()?);
        at = end;
        if name.len() > LONGEST {
            return None;
        }
    }
    None
}

fn is_label(label: &[u8]) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
    let is_good = |byte: &u8| is_edge(byte) || *byte == b'-';
    label.first().is_some_and(is_edge)
        && label.last().is_some_and(is_edge)
        && label.len() <= 63
        && label.iter().all(is_good)
}

const LONGEST: usize = 253;
/// A name has at most 127 labels; as many pointers are enough.
const MOST_STEPS: usize = 255;
/// The two bits that tell a pointer from the length of a label.
const POINTER: u8 = 0xc0;
