//! The walk over a parsed file: it hands out values of the wanted type and
//! notes everything that is not one.
//!
//! Promises: it never stops at the first problem, and never panics on any text.
//! What could not be read is noted and replaced by a harmless value; a file
//! with a note never becomes a configuration.

use super::keys;
use super::report::Problem;
use crate::hidden::is_hidden;
use std::ops::{Range, RangeInclusive};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// A value of the file with its place.
pub(super) type Node<'a> = &'a Spanned<DeValue<'a>>;

/// A value that was understood, with its place.
#[derive(Clone, Debug)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) span: Range<usize>,
}

/// A table of the file.
pub(super) struct Section<'a> {
    /// As in [`keys`]: `check.loss`.
    pub(super) path: &'static str,
    pub(super) table: &'a DeTable<'a>,
    /// Its header, or the inline table.
    pub(super) span: Range<usize>,
}

impl<'a> Section<'a> {
    pub(super) fn get(&self, key: &str) -> Option<Node<'a>> {
        self.table.get(key)
    }

    /// The place of a key's value, or of the header.
    pub(super) fn place(&self, key: &str) -> Range<usize> {
        self.get(key).map_or_else(|| self.span.clone(), Spanned::span)
    }
}

/// Collects what is wrong.
#[derive(Default)]
pub(super) struct Reader {
    pub(super) errors: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
    /// The text itself is broken, so that something missing may be the reader's loss.
    pub(super) broken: bool,
}

impl Reader {
    pub(super) fn error(&mut self, span: Range<usize>, message: impl Into<String>) -> &mut Problem {
        note(&mut self.errors, span, message.into())
    }

    pub(super) fn warning(&mut self, span: Range<usize>, message: String) -> &mut Problem {
        note(&mut self.warnings, span, message)
    }

    /// A key that this version does not know how to carry out.
    pub(super) fn later(&mut self, span: Range<usize>, what: &str) -> &mut Problem {
        self.error(span, format!("{what}: not in this version"))
    }

    /// A key that cannot be left out.
    pub(super) fn missing(&mut self, section: &Section<'_>, key: &str, example: &str) {
        if !self.broken && !is_misspelt(section, key) {
            let text = format!("`{key}` is missing in {}", title(section.path));
            self.error(section.span.clone(), text).hint(format!("for example: {key} = {example}"));
        }
    }

    fn wrong_type(&mut self, node: Node<'_>, key: &str, wanted: &str) -> &mut Problem {
        let text = format!("`{key}` must be {wanted}, this is {}", kind(node.get_ref()));
        self.error(node.span(), text)
    }

    /// Checks a table's keys: each must be one of ours.
    pub(super) fn check_keys(&mut self, section: &Section<'_>) {
        let valid = keys::of(section.path);
        let mut found: Vec<_> = section.table.keys().collect();
        found.sort_by_key(|k| k.span().start);
        for key in found {
            let name: &str = key.get_ref();
            if valid.built.contains(&name) {
                continue;
            }
            if valid.later.contains(&name) {
                self.later(key.span(), &format!("`{name}`{}", within(section.path)));
                continue;
            }
            let hint = hint_for_key(section.path, name);
            let message = format!("unknown key `{}`{}", shown(name), within(section.path));
            self.error(key.span(), message).hint(hint);
        }
    }

    /// A table, its keys checked; `None` when absent or no table.
    pub(super) fn table<'a>(
        &mut self,
        parent: &Section<'a>,
        key: &str,
        path: &'static str,
    ) -> Option<Section<'a>> {
        let node = parent.get(key)?;
        let Some(table) = node.get_ref().as_table() else {
            let wanted = format!("a table, as in [{path}]");
            self.wrong_type(node, key, &wanted);
            return None;
        };
        let section = Section { path, table, span: node.span() };
        self.check_keys(&section);
        Some(section)
    }

    /// An array of tables, keys checked.
    pub(super) fn tables<'a>(
        &mut self,
        parent: &Section<'a>,
        key: &str,
        path: &'static str,
    ) -> Vec<Section<'a>> {
        let Some(node) = parent.get(key) else { return Vec::new() };
        let Some(array) = node.get_ref().as_array() else {
            let problem =
                self.wrong_type(node, key, &format!("a list of tables, as in [[{path}]]"));
            if let Some(table) = node.get_ref().as_table() {
                // `[uplink.isp1]`, as other programs have it: the names are those of tables.
                let mut names = table.iter().filter(|(_, value)| value.get_ref().is_table());
                problem.hint(match names.next() {
                    Some((name, _)) if !keys::of(path).built.contains(&&**name.get_ref()) => {
                        let name = shown(name.get_ref());
                        format!("write [[{path}]], and below it: name = \"{name}\"")
                    }
                    _ => format!("write [[{path}]] instead of [{path}]"),
                });
            }
            return Vec::new();
        };
        let mut sections = Vec::new();
        for node in array.iter() {
            if let Some(table) = node.get_ref().as_table() {
                let section = Section { path, table, span: node.span() };
                self.check_keys(&section);
                sections.push(section);
            } else {
                self.wrong_type(node, key, &format!("a list of tables, as in [[{path}]]"));
            }
        }
        sections
    }

    /// A text without control characters.
    pub(super) fn text<'a>(&mut self, node: Node<'a>, key: &str, wanted: &str) -> Option<&'a str> {
        let Some(text) = node.get_ref().as_str() else {
            self.wrong_type(node, key, wanted);
            return None;
        };
        if let Some(c) = text.chars().find(|c| is_hidden(*c)) {
            let code = u32::from(c);
            let (what, hint) = match c.is_control() {
                true => {
                    ("control", "write it without control characters, tabs and line ends included")
                }
                false => ("invisible", "delete it: it turns the text around, or has no width"),
            };
            self.error(node.span(), format!("`{key}` contains the {what} character U+{code:04X}"))
                .hint(hint);
            return None;
        }
        Some(text)
    }

    /// True or false.
    pub(super) fn boolean(&mut self, section: &Section<'_>, key: &str, default: bool) -> bool {
        let Some(node) = section.get(key) else { return default };
        node.get_ref().as_bool().unwrap_or_else(|| {
            self.wrong_type(node, key, "true or false");
            default
        })
    }

    /// A whole number within `bounds`.
    pub(super) fn integer(
        &mut self,
        node: Node<'_>,
        key: &str,
        bounds: RangeInclusive<u32>,
    ) -> Option<u32> {
        let Some(integer) = node.get_ref().as_integer() else {
            let problem = self.wrong_type(node, key, "a whole number");
            if let Some(text) = node.get_ref().as_str() {
                if text.parse::<u32>().is_ok() {
                    problem.hint(format!("write {key} = {text}, without quotes"));
                } else if key == "weight" {
                    problem.hint("weights are ratios: 7 and 3 share new connections 70 to 30");
                }
            }
            return None;
        };
        let number = i128::from_str_radix(integer.as_str(), integer.radix()).ok();
        let value = number.and_then(|v| u32::try_from(v).ok()).filter(|v| bounds.contains(v));
        if value.is_none() {
            let (least, most) = (bounds.start(), bounds.end());
            let text = match *most {
                u32::MAX if number.is_none_or(|n| n > 0) => format!("`{key}` is too large"),
                u32::MAX => format!("`{key}` must be at least {least}"),
                _ => format!("`{key}` must be between {least} and {most}"),
            };
            self.error(node.span(), text);
        }
        value
    }

    /// A whole number of `section` within `bounds`, or its default.
    pub(super) fn integer_or(
        &mut self,
        section: &Section<'_>,
        key: &str,
        bounds: RangeInclusive<u32>,
        default: u32,
    ) -> u32 {
        section.get(key).and_then(|node| self.integer(node, key, bounds)).unwrap_or(default)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(
        &mut self,
        section: &Section<'_>,
        key: &str,
        words: &[(&str, T)],
        later: &[&str],
    ) -> Option<T> {
        let node = section.get(key)?;
        let list = words.iter().map(|(w, _)| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
        let text = self.text(node, key, &format!("one of {list}"))?;
        if let Some((_, value)) = words.iter().find(|(w, _)| *w == text) {
            return Some(*value);
        }
        if later.contains(&text) {
            self.later(node.span(), &format!("{key} = \"{text}\"")).hint(format!("valid: {list}"));
            return None;
        }
        let all = words.iter().map(|(w, _)| *w).chain(later.iter().copied());
        let hint = match keys::nearest(text, all) {
            Some(near) => format!("did you mean \"{near}\"? valid: {list}"),
            None => format!("valid: {list}"),
        };
        self.error(node.span(), format!("`{key}` cannot be \"{}\"", shown(text))).hint(hint);
        None
    }

    /// The elements of a list; a single value is a mistake with a hint.
    pub(super) fn list<'a>(&mut self, node: Node<'a>, key: &str, wanted: &str) -> Vec<Node<'a>> {
        if let Some(array) = node.get_ref().as_array() {
            if array.iter().count() > MOST_ELEMENTS {
                let text = format!("`{key}` has more than {MOST_ELEMENTS} elements");
                self.error(node.span(), text);
            }
            return array.iter().take(MOST_ELEMENTS).collect();
        }
        let problem = self.wrong_type(node, key, wanted);
        let DeValue::String(text) = node.get_ref() else { return Vec::new() };
        problem.hint(format!("write {key} = [\"{}\"]", shown(text)));
        problem.yields = true;
        // Looked at as the only element: if it is wrong itself, the brackets would not help.
        vec![node]
    }

    /// The tables of a list that stands behind its key; `example` is one of them.
    pub(super) fn inline_tables<'a>(
        &mut self,
        node: Node<'a>,
        (key, path): (&str, &'static str),
        example: &str,
    ) -> Vec<Section<'a>> {
        let elements = self.list(node, key, &format!("a list of tables such as [{example}]"));
        let mut sections = Vec::new();
        for node in elements {
            match node.get_ref().as_table() {
                Some(table) => sections.push(Section { path, table, span: node.span() }),
                None => {
                    let text = format!("an element of `{key}` must be a table");
                    self.error(node.span(), text).hint(example);
                }
            }
        }
        sections
    }
}

fn note(list: &mut Vec<Problem>, span: Range<usize>, message: String) -> &mut Problem {
    let at = list.len();
    list.push(Problem::new(span, message));
    &mut list[at]
}

/// True if an unknown key of the section probably means `key`: one complaint is enough.
pub(super) fn is_misspelt(section: &Section<'_>, key: &str) -> bool {
    let valid = keys::of(section.path);
    let all = || valid.built.iter().chain(valid.later).copied();
    section.table.keys().map(|k| -> &str { k.get_ref() }).any(|name| {
        let near = || keys::nearest(name, all());
        !all().any(|k| k == name) && keys::translated(section.path, name).or_else(near) == Some(key)
    })
}

fn hint_for_key(section: &str, name: &str) -> String {
    let valid = keys::of(section);
    if let Some(way) = keys::otherwise(section, name) {
        return way.into();
    }
    if let Some(ours) = keys::translated(section, name) {
        return format!("here it is called `{ours}`");
    }
    let all = valid.built.iter().chain(valid.later).copied();
    if let Some(near) = keys::nearest(name, all) {
        return format!("did you mean `{near}`?");
    }
    let homes: Vec<_> = keys::homes(name).map(title).collect();
    if !homes.is_empty() {
        return format!("`{name}` belongs in {}", homes.join(" or "));
    }
    format!("valid keys: {}", valid.built.join(", "))
}

fn within(path: &str) -> String {
    if path.is_empty() { String::new() } else { format!(" in {}", title(path)) }
}

/// How a section is written.
pub(super) fn title(path: &str) -> String {
    match path {
        "" => "the file".to_owned(),
        "uplink" | "forward" | "network" | "nat" | "ddns" => format!("[[{path}]]"),
        _ => format!("[{path}]"),
    }
}

/// Text from the file, fit to be shown: shortened, control characters escaped.
pub(crate) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        out.push_str("...");
    }
    out
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// Longer lists are refused: what is compared pairwise must stay cheap.
const MOST_ELEMENTS: usize = 256;
