//! Our file while it is made, line by line. Each line knows the place of the foreign file that it came
//! from, so that what our reader refuses is shown there.
//!
//! Promises: whatever the foreign file says, a comment ends with its line.

use super::notes::{Section, unknown};
use super::yaml::Entry;
use crate::hidden::is_hidden;
use crate::load::{quoted, show_size};
use std::ops::Range;

/// The lines.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) text: String,
    places: Vec<Option<Range<usize>>>,
    /// What follows is written as a comment.
    pub(super) is_off: bool,
}

impl Draft {
    /// Where a line of ours, counted from 1, came from.
    pub(super) fn place(&self, line: usize) -> Option<&Range<usize>> {
        self.places.get(line.checked_sub(1)?)?.as_ref()
    }

    fn push(&mut self, line: &str, from: Option<&Range<usize>>) {
        let line = clean(line);
        self.text.push_str(line.trim_end());
        self.text.push('\n');
        self.places.push(from.cloned());
    }

    /// An empty line.
    pub(super) fn gap(&mut self) {
        self.push("", None);
    }

    /// A comment, broken into lines between words.
    pub(super) fn say(&mut self, text: &str) {
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > WIDTH {
                self.push(&format!("# {line}"), None);
                line.clear();
            }
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
        self.push(&format!("# {line}"), None);
    }

    /// A comment as it is, line by line.
    pub(super) fn quote(&mut self, text: &str) {
        for line in text.lines() {
            self.push(&format!("#   {line}"), None);
        }
    }

    /// Lines of ours that came from nothing.
    pub(super) fn plain(&mut self, text: &str) {
        text.lines().for_each(|line| self.push(line, None));
    }

    /// An entry of theirs as it stands in their file, unless it looks like a secret.
    pub(super) fn cite(&mut self, source: &str, entry: &Entry) {
        let end = entry.value.span.end.max(entry.at.end);
        let text = source.get(entry.at.start..end).unwrap_or(&entry.key);
        let lower = text.to_ascii_lowercase();
        let has_login = lower.contains("://") && lower.contains('@');
        match has_login || SECRETS.iter().any(|word| lower.contains(word)) {
            true => self.quote(&format!("{}: not copied", clean(&entry.key))),
            false => self.quote(text),
        }
    }

    /// The entries of a mapping that no list of keys has.
    pub(super) fn keep(&mut self, source: &str, section: &Section<'_>, known: &[&str]) {
        for entry in unknown(section.entries, known) {
            self.say(&format!("UNKNOWN KEY, kept: {}{}", section.path, entry.key));
            self.cite(source, entry);
        }
    }

    /// The header of a table, and what it came from.
    pub(super) fn header(&mut self, header: &str, origin: &str, from: &Range<usize>) {
        self.with_origin(header, origin, from);
    }

    /// A key with its value as our file has it, and the key that it came from.
    pub(super) fn set(&mut self, key: &str, value: &str, origin: &str, from: &Range<usize>) {
        self.with_origin(&format!("{key} = {value}"), origin, from);
    }

    /// A key with a text.
    pub(super) fn set_text(&mut self, key: &str, text: &str, origin: &str, from: &Range<usize>) {
        self.set(key, &quoted(&clean(text)), origin, from);
    }

    /// A key with a size.
    pub(super) fn set_size(&mut self, key: &str, bytes: u64, origin: &str, from: &Range<usize>) {
        self.set_text(key, &show_size(bytes), origin, from);
    }

    fn with_origin(&mut self, line: &str, origin: &str, from: &Range<usize>) {
        let off = if self.is_off { "# " } else { "" };
        let line = format!("{off}{line}");
        // What is off is no value, so nothing of it can be refused.
        self.push(&format!("{line:ORIGIN$} # {origin}"), (!self.is_off).then_some(from));
    }
}

/// Text of theirs without what ends a line or misleads the eye.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if is_hidden(c) { '?' } else { c }).collect()
}

/// Columns of a comment.
const WIDTH: usize = 100;
/// The column before which origins stand.
const ORIGIN: usize = 36;

/// Words in the name of what is not to be shown, or by which programs are told a login.
const SECRETS: [&str; 9] =
    ["pass", "pwd", "secret", "token", "key", "auth", "cred", " -u", " --user"];
