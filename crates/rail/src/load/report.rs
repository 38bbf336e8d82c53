//! What is wrong with a file, and how it is shown: all problems at once, each
//! with file, line, column, the line itself, a caret, and the way out.
//!
//! Leaves out: deciding what is wrong.

use annotate_snippets::renderer::DecorStyle;
use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use std::fmt;
use std::ops::Range;

/// A problem that the reader found, by byte positions in the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Problem {
    pub(crate) span: Range<usize>,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(super) also: Option<(Range<usize>, String)>,
    /// Gives way to another problem at the same place.
    pub(super) yields: bool,
}

impl Problem {
    pub(crate) fn new(span: Range<usize>, message: impl Into<String>) -> Self {
        Self { span, message: message.into(), hint: None, also: None, yields: false }
    }

    /// Adds the way out.
    pub(crate) fn hint(&mut self, hint: impl Into<String>) -> &mut Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the other place that is involved.
    pub(crate) fn also(&mut self, span: &Range<usize>, label: impl Into<String>) -> &mut Self {
        self.also = Some((span.clone(), label.into()));
        self
    }
}

/// One problem with its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Entry {
    /// Line, counted from 1; 0 when the problem is the file as a whole.
    pub(crate) line: usize,
    /// Column in characters, counted from 1; 0 when the problem is the file as a whole.
    pub(crate) column: usize,
    /// What is wrong.
    pub(crate) message: String,
    /// What to write instead.
    pub(crate) hint: Option<String>,
}

/// Everything that keeps a file from being used.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Report {
    /// The problems in the order of the file, at most 50.
    pub(crate) entries: Vec<Entry>,
    plain: String,
    styled: String,
}

/// Something legal that is probably not meant.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Warning {
    /// The place and the words.
    pub(crate) entry: Entry,
    plain: String,
    styled: String,
}

impl Warning {
    /// The drawn form; with colours if `styled`.
    pub(crate) fn render(&self, styled: bool) -> &str {
        if styled { &self.styled } else { &self.plain }
    }
}

impl Report {
    /// A file that could not be read at all.
    pub(crate) fn whole_file(path: &str, message: String) -> Self {
        let text = format!("error: {message}\n --> {path}\n");
        let entry = Entry { line: 0, column: 0, message, hint: None };
        Self { entries: vec![entry], plain: text.clone(), styled: text }
    }

    /// Draws the problems.
    pub(crate) fn new(path: &str, source: &str, problems: &[Problem]) -> Self {
        let mut plain = String::new();
        let mut styled = String::new();
        for problem in problems.iter().take(MOST_SHOWN) {
            plain.push_str(&draw(path, source, problem, Level::ERROR, false));
            styled.push_str(&draw(path, source, problem, Level::ERROR, true));
        }
        let count = problems.len();
        let rest = match count {
            1 => "1 error\n".to_owned(),
            n if n > MOST_SHOWN => format!("{n} errors, the first {MOST_SHOWN} shown\n"),
            n => format!("{n} errors\n"),
        };
        plain.push_str(&rest);
        styled.push_str(&rest);
        let entries = problems.iter().take(MOST_SHOWN).map(|p| entry(source, p)).collect();
        Self { entries, plain, styled }
    }

    /// The drawn form; with colours if `styled`.
    pub(crate) fn render(&self, styled: bool) -> &str {
        if styled { &self.styled } else { &self.plain }
    }
}

/// As one reads it who wanted to apply the file.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.plain.strip_suffix('\n') {
            // The last line counts the problems, unless the file could not be read at all.
            Some(text) if !self.entries.iter().any(|entry| entry.line == 0) => {
                writeln!(f, "{text}; nothing was changed")
            }
            _ => f.write_str(&self.plain),
        }
    }
}

/// Draws the warnings.
pub(crate) fn warnings(path: &str, source: &str, problems: &[Problem]) -> Vec<Warning> {
    let one = |p: &Problem| Warning {
        entry: entry(source, p),
        plain: draw(path, source, p, Level::WARNING, false),
        styled: draw(path, source, p, Level::WARNING, true),
    };
    problems.iter().map(one).collect()
}

/// Line and column of a byte position, both counted from 1.
pub(super) fn place(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at).unwrap_or(source);
    let line = before.bytes().filter(|b| *b == b'\n').count() + 1;
    let start = before.rfind('\n').map_or(0, |i| i + 1);
    (line, before[start..].chars().count() + 1)
}

fn entry(source: &str, problem: &Problem) -> Entry {
    let (line, column) = place(source, problem.span.start);
    Entry { line, column, message: problem.message.clone(), hint: problem.hint.clone() }
}

/// Draws one problem in rustc's manner.
///
/// Only the lines concerned are handed to the renderer, so that a long file
/// with many faults stays cheap.
fn draw(path: &str, source: &str, p: &Problem, level: Level<'_>, styled: bool) -> String {
    let span = clip(source, &p.span);
    let also = p.also.as_ref().map(|(range, label)| (clip(source, range), label));
    let first = also.as_ref().map_or(span.start, |(range, _)| range.start.min(span.start));
    let last = also.as_ref().map_or(span.end, |(range, _)| range.end.max(span.end));
    let from = source[..first].rfind('\n').map_or(0, |i| i + 1);
    let to = source[last..].find('\n').map_or(source.len(), |i| last + i);
    let (line, column) = place(source, span.start);
    let (first_line, _) = place(source, from);
    let shift = |range: &Range<usize>| range.start - from..range.end - from;
    let mut renderer = if styled { Renderer::styled() } else { Renderer::plain() };
    renderer = renderer.decor_style(DecorStyle::Ascii).term_width(100);
    if to - from > WIDEST {
        let hint = p.hint.as_ref().map_or(String::new(), |h| format!("  = help: {h}\n"));
        return format!("error: {}\n --> {path}:{line}:{column}\n{hint}\n", p.message);
    }
    let mut snippet = Snippet::source(&source[from..to])
        .line_start(first_line)
        .path(path)
        .annotation(AnnotationKind::Primary.span(shift(&span)));
    if let Some((range, label)) = &also {
        let context = AnnotationKind::Context.span(shift(range));
        snippet = snippet.annotation(context.label(label.as_str()));
    }
    let mut group = level.primary_title(p.message.as_str()).element(snippet);
    if let Some(hint) = &p.hint {
        group = group.element(Level::HELP.message(hint.as_str()));
    }
    let mut text = renderer.render(&[group]);
    text.push_str("\n\n");
    text
}

/// A span inside the source, on character boundaries, and on one line.
fn clip(source: &str, span: &Range<usize>) -> Range<usize> {
    let down = |mut at: usize| {
        at = at.min(source.len());
        while !source.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = down(span.start);
    let end = down(span.end).max(start);
    let line = source[start..].find('\n').map_or(source.len(), |i| start + i);
    start..end.min(line)
}

/// More problems than this are only counted.
pub(crate) const MOST_SHOWN: usize = 50;
/// Wider excerpts, in bytes, are not drawn.
const WIDEST: usize = 16 * 1024;
