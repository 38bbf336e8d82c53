//! The part of YAML that configurations by hand use: mappings and lists by indentation, lists in
//! brackets on one line, plain and quoted scalars, comments.
//!
//! Promises: any text gives a tree and a list of what could not be read, each with its place, never a
//! panic; depth is bounded, and time grows with the length. Leaves out, and names where it meets it:
//! anchors, aliases, tags, mappings in braces, texts of several lines, a second document.

mod scalar;

use crate::load::{Problem, shown};
use scalar::{is_item, key_of, refused, scalar, without_comment};
use std::collections::BTreeMap;
use std::ops::Range;

/// A value with its place, in bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Value {
    /// A scalar. In quotes it is a text, whatever it looks like; left out it is empty and plain.
    Scalar {
        text: String,
        quoted: bool,
    },
    List(Vec<Node>),
    /// In the order of the file.
    Map(Vec<Entry>),
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Of the key.
    pub(super) at: Range<usize>,
    pub(super) value: Node,
}

/// Reads a text: the tree, as far as it can be read, and what cannot.
pub(super) fn read(source: &str) -> (Node, Vec<Problem>) {
    let mut reader = Reader::default();
    reader.split(source);
    let root = match reader.peek() {
        None => plain(0..0, ""),
        Some(first) if is_item(first.text) => reader.list(first.indent, 0),
        Some(first) => reader.map(first.indent, 0),
    };
    if let Some(line) = reader.peek() {
        reader
            .error(line.span(), "this line does not go on with what began on the first one")
            .hint("lines of one mapping or list begin in one column");
    }
    (root, reader.errors)
}

/// A line without its indentation, and without white space at its end.
#[derive(Copy, Clone)]
struct Line<'a> {
    indent: usize,
    at: usize,
    text: &'a str,
}

impl Line<'_> {
    fn span(&self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }
}

#[derive(Default)]
struct Reader<'a> {
    lines: Vec<Line<'a>>,
    next: usize,
    errors: Vec<Problem>,
}

impl<'a> Reader<'a> {
    fn error(&mut self, span: Range<usize>, message: &str) -> &mut Problem {
        self.errors.push(Problem::new(span, message));
        let last = self.errors.len() - 1;
        &mut self.errors[last]
    }

    fn peek(&self) -> Option<Line<'a>> {
        self.lines.get(self.next).copied()
    }

    /// The lines that say something.
    fn split(&mut self, source: &'a str) {
        let mut end = 0;
        for raw in source.split_inclusive('\n') {
            let mut at = end;
            end += raw.len();
            let mut line = raw.trim_end();
            if let Some(rest) = line.strip_prefix('\u{feff}').filter(|_| at == 0) {
                (line, at) = (rest, '\u{feff}'.len_utf8());
            }
            let text = line.trim_start_matches(' ');
            let indent = line.len() - text.len();
            let line = Line { indent, at: at + indent, text };
            let is_marker = |marker| indent == 0 && without_comment(text).trim_end() == marker;
            if text.is_empty() || text.trim_start().starts_with('#') {
                continue;
            } else if text.starts_with('\t') {
                let hint = "indent with blanks";
                self.error(line.span(), "a tab cannot indent a line").hint(hint);
            } else if is_marker("...") || is_marker("---") && !self.lines.is_empty() {
                if is_marker("---") {
                    self.error(line.span(), "a second document is not read");
                }
                return;
            } else if !is_marker("---") {
                self.lines.push(line);
            }
        }
    }

    /// The list or mapping that begins on the next line, or the scalar that stands there.
    fn block(&mut self, depth: usize) -> Node {
        let Some(line) = self.peek() else { return plain(0..0, "") };
        if depth > DEEPEST {
            self.error(line.span(), "nothing here needs to be nested that deep");
            self.skip(|next| next.indent >= line.indent);
            return plain(line.at..line.at, "");
        }
        if is_item(line.text) {
            return self.list(line.indent, depth);
        }
        if key_of(line.text).is_some() {
            return self.map(line.indent, depth);
        }
        self.next += 1;
        self.inline(line.at, line.text)
    }

    fn list(&mut self, indent: usize, depth: usize) -> Node {
        let start = self.peek().map_or(0, |line| line.at);
        let (mut items, mut end) = (Vec::new(), start);
        while let Some(line) = self.peek().filter(|l| l.indent == indent && is_item(l.text)) {
            let told = self.errors.len();
            let text = line.text[1..].trim_start();
            let offset = line.text.len() - text.len();
            let (indent_of_text, at) = (indent + offset, line.at + offset);
            let item = if text.is_empty() || text.starts_with('#') {
                self.next += 1;
                self.below(indent, false, line.span().end, depth)
            } else if is_item(text) || key_of(text).is_some() {
                // `- key: value`: the rest of the line is the first one of a block.
                self.lines[self.next] = Line { indent: indent_of_text, at, text };
                self.block(depth + 1)
            } else {
                self.next += 1;
                self.inline(at, text)
            };
            end = item.span.end.max(end);
            items.push(item);
            self.refuse_deeper(indent, told);
        }
        Node { span: start..end, value: Value::List(items) }
    }

    fn map(&mut self, indent: usize, depth: usize) -> Node {
        let start = self.peek().map_or(0, |line| line.at);
        let (mut entries, mut end) = (Vec::new(), start);
        let mut seen: BTreeMap<String, Range<usize>> = BTreeMap::new();
        while let Some(line) = self.peek().filter(|l| l.indent == indent && !is_item(l.text)) {
            self.next += 1;
            let told = self.errors.len();
            let Some((key, length, rest)) = key_of(line.text) else {
                match refused(line.text) {
                    Some(message) => self.error(line.span(), message),
                    None => self
                        .error(line.span(), "this is no `key: value`")
                        .hint("a blank stands behind the colon"),
                };
                self.skip(|next| next.indent > indent);
                continue;
            };
            let at = line.at..line.at + length;
            let text = line.text[rest..].trim_start();
            let value = if text.is_empty() || text.starts_with('#') {
                self.below(indent, true, line.at + rest, depth)
            } else {
                self.inline(line.at + line.text.len() - text.len(), text)
            };
            self.refuse_deeper(indent, told);
            end = value.span.end.max(at.end);
            if let Some(first) = seen.get(&key) {
                let (first, text) =
                    (first.clone(), format!("the key `{}` is given twice", shown(&key)));
                self.error(at.clone(), &text).also(&first, "first here");
            } else {
                seen.insert(key.clone(), at.clone());
            }
            entries.push(Entry { key, at, value });
        }
        Node { span: start..end, value: Value::Map(entries) }
    }

    /// What stands below a key or a dash with nothing behind it. The items of a key's list may begin in
    /// the column of the key.
    fn below(&mut self, indent: usize, of_key: bool, at: usize, depth: usize) -> Node {
        let is_below = |line: &Line<'_>| {
            line.indent > indent || of_key && line.indent == indent && is_item(line.text)
        };
        match self.peek().filter(is_below) {
            Some(_) => self.block(depth + 1),
            None => plain(at..at, ""),
        }
    }

    /// Refuses lines that are deeper than what ended before them, unless that was refused itself.
    fn refuse_deeper(&mut self, indent: usize, told: usize) {
        if let Some(line) = self.peek().filter(|line| line.indent > indent) {
            if self.errors.len() == told {
                self.error(line.span(), "this line belongs to nothing: it is indented too deep")
                    .hint("a value stands on one line, behind its key");
            }
            self.skip(|next| next.indent > indent);
        }
    }

    fn skip(&mut self, is_it: impl Fn(Line<'_>) -> bool) {
        while self.peek().is_some_and(&is_it) {
            self.next += 1;
        }
    }

    /// A value on one line, which begins at `at`.
    fn inline(&mut self, at: usize, text: &str) -> Node {
        if text.starts_with('[') {
            return self.brackets(at, text);
        }
        match scalar(text, &[]) {
            Ok((value, length)) => {
                let rest = text[length..].trim_start();
                if !rest.is_empty() && !rest.starts_with('#') {
                    let from = at + text.len() - rest.len();
                    self.error(from..at + text.len(), "there is text behind the quotes");
                }
                Node { span: at..at + length, value }
            }
            Err(message) => {
                self.error(at..at + text.len(), message);
                plain(at..at + text.len(), "")
            }
        }
    }

    /// `[a, b]`, scalars alone.
    fn brackets(&mut self, at: usize, text: &str) -> Node {
        let (mut items, mut here) = (Vec::new(), 1);
        let wrong = loop {
            here += text[here..].len() - text[here..].trim_start().len();
            let rest = &text[here..];
            if let Some(behind) = rest.strip_prefix(']') {
                let behind = behind.trim_start();
                here += 1;
                break (!behind.is_empty() && !behind.starts_with('#'))
                    .then_some("there is text behind the list");
            }
            if rest.is_empty() || rest.starts_with('#') {
                break Some("the closing bracket `]` is missing on this line");
            }
            if rest.starts_with('[') {
                break Some("a list of lists is not read");
            }
            let (value, length) = match scalar(rest, &[',', ']']) {
                Ok((_, 0)) => break Some("an element is missing before this comma"),
                Ok(read) => read,
                Err(message) => break Some(message),
            };
            items.push(Node { span: at + here..at + here + length, value });
            here += length;
            here += text[here..].len() - text[here..].trim_start().len();
            match text[here..].chars().next() {
                Some(',') => here += 1,
                Some(']') | None => {}
                Some(_) => break Some("a comma or `]` is missing here"),
            }
        };
        if let Some(message) = wrong {
            self.error(at + here..at + text.len(), message);
        }
        Node { span: at..at + here, value: Value::List(items) }
    }
}

fn plain(span: Range<usize>, text: &str) -> Node {
    Node { span, value: Value::Scalar { text: text.to_owned(), quoted: false } }
}

const DEEPEST: usize = 16;

#[cfg(test)]
mod tests;
