//! What is said of a foreign file, and the reading of values from its tree: each key is known or
//! named, each value is of its type or refused with its place.

use super::yaml::{Entry, Node, Value};
use crate::load::{MOST_SHOWN, Problem, nearest, shown};
use std::net::Ipv4Addr;
use std::ops::Range;

/// A value that was understood, with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// Errors and warnings.
#[derive(Default)]
pub(super) struct Notes {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// Lines could not be read: what is missing may be there.
    pub(super) is_broken: bool,
}

/// A mapping of the file.
pub(super) struct Section<'a> {
    /// Its path with a dot behind it; empty for the file itself.
    pub(super) path: &'static str,
    pub(super) span: Range<usize>,
    pub(super) entries: &'a [Entry],
}

impl<'a> Section<'a> {
    /// The value of a key that is written, perhaps as nothing.
    pub(super) fn get(&self, key: &str) -> Option<&'a Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// The value of a key, unless it is left blank.
    pub(super) fn value(&self, key: &str) -> Option<&'a Node> {
        self.get(key).map(|entry| &entry.value).filter(|value| !value.is_blank())
    }
}

impl Notes {
    pub(super) fn error(
        &mut self,
        span: &Range<usize>,
        message: impl Into<String>,
    ) -> &mut Problem {
        note(&mut self.errors, span, message.into())
    }

    pub(super) fn warn(&mut self, span: &Range<usize>, message: impl Into<String>) -> &mut Problem {
        note(&mut self.warnings, span, message.into())
    }

    /// A key without which there is nothing to convert.
    pub(super) fn missing(&mut self, section: &Section<'_>, key: &str, example: &str) {
        if !self.is_broken {
            let span =
                section.get(key).map_or_else(|| section.span.clone(), |entry| entry.at.clone());
            let word = if section.get(key).is_some() { "blank" } else { "missing" };
            let text = format!("`{}{key}` is {word}", section.path);
            let others = section.entries.iter().map(|entry| entry.key.as_str());
            let hint = match nearest(key, others.filter(|other| *other != key)) {
                Some(near) => format!("is `{}` meant?", shown(near)),
                None => format!("for example: {example}"),
            };
            self.error(&span, text).hint(hint);
        }
    }

    fn wrong(&mut self, path: &str, node: &Node, wanted: &str) {
        if self.is_broken && node.is_blank() {
            return;
        }
        let text = format!("`{path}` must be {wanted}, this is {}", node.kind());
        self.error(&node.span, text);
    }

    /// The mapping below a key; `None` if it is blank or none.
    pub(super) fn section<'a>(
        &mut self,
        parent: &Section<'a>,
        key: &str,
        path: &'static str,
        known: &[&str],
    ) -> Option<Section<'a>> {
        let entry = parent.get(key).filter(|entry| !entry.value.is_blank())?;
        let name = format!("{}{key}", parent.path);
        let section = self.mapping(&entry.value, &name, path, known)?;
        // What is missing in it is missed at its key.
        Some(Section { span: entry.at.clone(), ..section })
    }

    /// A mapping with keys of `known`; others are named.
    pub(super) fn mapping<'a>(
        &mut self,
        node: &'a Node,
        name: &str,
        path: &'static str,
        known: &[&str],
    ) -> Option<Section<'a>> {
        let Value::Map(entries) = &node.value else {
            self.wrong(name, node, "a mapping");
            return None;
        };
        for entry in unknown(entries, known) {
            let near = (self.warnings.len() < MOST_SHOWN)
                .then(|| nearest(&entry.key, known.iter().copied()));
            let text = format!("unknown key `{path}{}`: nothing became of it", shown(&entry.key));
            let warning = self.warn(&entry.at, text);
            if let Some(near) = near.flatten() {
                warning.hint(format!("did you mean `{near}`?"));
            }
        }
        Some(Section { path, span: node.span.clone(), entries })
    }

    pub(super) fn list<'a>(&mut self, node: &'a Node, path: &str) -> Option<&'a [Node]> {
        let Value::List(items) = &node.value else {
            self.wrong(path, node, "a list");
            return None;
        };
        Some(items)
    }

    pub(super) fn text(&mut self, node: &Node, path: &str) -> Option<At<String>> {
        let Some(text) = node.text() else {
            self.wrong(path, node, "a text");
            return None;
        };
        Some(At { value: text.to_owned(), span: node.span.clone() })
    }

    pub(super) fn integer(&mut self, node: &Node, path: &str) -> Option<At<i64>> {
        let Some(value) = node.integer() else {
            self.wrong(path, node, "a whole number");
            return None;
        };
        Some(At { value, span: node.span.clone() })
    }

    pub(super) fn boolean(&mut self, node: &Node, path: &str) -> Option<bool> {
        let value = node.boolean();
        if value.is_none() {
            self.wrong(path, node, "true or false");
        }
        value
    }

    /// An address of IPv4.
    pub(super) fn address(&mut self, node: &Node, path: &str) -> Option<At<Ipv4Addr>> {
        let At { value, span } = self.text(node, path)?;
        let address = value.parse().ok();
        if address.is_none() {
            let text = format!("`{path}`: \"{}\" is no IPv4 address", shown(&value));
            self.error(&span, text);
        }
        Some(At { value: address?, span })
    }
}

/// What a value is, as Ruby's YAML understands it.
impl Node {
    /// Left out, or written as nothing.
    pub(super) fn is_blank(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, quoted: false }
            if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// A scalar of any kind, as it is written.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar { text, .. } if !self.is_blank() => Some(text),
            _ => None,
        }
    }

    /// A whole number, in decimal; `_` may stand between digits.
    pub(super) fn integer(&self) -> Option<i64> {
        let Value::Scalar { text, quoted: false } = &self.value else { return None };
        let is_digit = |c: char| c.is_ascii_digit() || c == '_';
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        let is_number =
            digits.starts_with(|c: char| c.is_ascii_digit()) && digits.chars().all(is_digit);
        is_number.then(|| text.replace('_', "").parse().ok())?
    }

    /// One of the words that Ruby's YAML takes for it.
    pub(super) fn boolean(&self) -> Option<bool> {
        let Value::Scalar { text, quoted: false } = &self.value else { return None };
        match text.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" => Some(true),
            "false" | "no" | "off" => Some(false),
            _ => None,
        }
    }

    /// What it is, for people.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar { .. } if self.is_blank() => "left blank",
            Value::Scalar { quoted: false, .. } if self.integer().is_some() => "a whole number",
            Value::Scalar { quoted: false, .. } if self.boolean().is_some() => "true or false",
            Value::Scalar { .. } => "a text",
        }
    }
}

/// The entries that no list of keys has.
pub(super) fn unknown<'a>(entries: &'a [Entry], known: &[&str]) -> impl Iterator<Item = &'a Entry> {
    entries.iter().filter(move |entry| !known.contains(&entry.key.as_str()))
}

fn note<'a>(list: &'a mut Vec<Problem>, span: &Range<usize>, message: String) -> &'a mut Problem {
    list.push(Problem::new(span.clone(), message));
    let last = list.len() - 1;
    &mut list[last]
}
