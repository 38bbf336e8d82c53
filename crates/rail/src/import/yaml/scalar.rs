//! What stands on one line of YAML: dashes, keys, scalars and comments, and where each of them ends.

use super::Value;

/// `-`, and what follows behind a blank.
pub(super) fn is_item(text: &str) -> bool {
    text == "-" || text.starts_with("- ")
}

/// A key, the length of what it is written as, and where what stands behind its colon begins.
pub(super) fn key_of(text: &str) -> Option<(String, usize, usize)> {
    let is_end = |at: usize| text[at + 1..].is_empty() || text[at + 1..].starts_with([' ', '\t']);
    if text.starts_with(['"', '\'']) {
        let (Value::Scalar { text: key, .. }, length) = scalar(text, &[]).ok()? else {
            return None;
        };
        let colon = length + text[length..].len() - text[length..].trim_start().len();
        return (text[colon..].starts_with(':') && is_end(colon)).then_some((
            key,
            length,
            colon + 1,
        ));
    }
    if refused(text).is_some() || text.starts_with('[') {
        return None;
    }
    let (colon, _) = without_comment(text).match_indices(':').find(|(at, _)| is_end(*at))?;
    let key = text[..colon].trim_end();
    (!key.is_empty()).then(|| (key.to_owned(), key.len(), colon + 1))
}

/// A scalar at the beginning of `text`, up to a comment or one of `ends`, and its length.
pub(super) fn scalar(text: &str, ends: &[char]) -> Result<(Value, usize), &'static str> {
    if text.starts_with(['"', '\'']) {
        let (text, length) = in_quotes(text)?;
        return Ok((Value::Scalar { text, quoted: true }, length));
    }
    if let Some(message) = refused(text) {
        return Err(message);
    }
    let end = text.find(ends).unwrap_or(text.len());
    let text = without_comment(&text[..end]).trim_end();
    if text.contains(": ") || text.ends_with(':') {
        return Err("a text with a colon and a blank in it stands in quotes");
    }
    Ok((Value::Scalar { text: text.to_owned(), quoted: false }, text.len()))
}

/// Why nothing plain begins so.
pub(super) fn refused(text: &str) -> Option<&'static str> {
    match text.chars().next()? {
        '&' | '*' => Some("anchors (`&`) and aliases (`*`) are not read: write the value itself"),
        '!' => Some("tags (`!`) are not read"),
        '|' | '>' => Some("texts of several lines are not read"),
        '{' => Some("mappings in braces are not read: write one key a line"),
        '%' | '@' | '`' => Some("no value begins with this character: put it in quotes"),
        _ if is_item(text) => Some("a list begins on a line of its own"),
        _ => None,
    }
}

/// A plain text without the comment behind it.
pub(super) fn without_comment(text: &str) -> &str {
    let is_comment = |at: &usize| text[..*at].ends_with([' ', '\t']);
    let mut hashes = text.match_indices('#').map(|(at, _)| at);
    hashes.find(is_comment).map_or(text, |at| &text[..at])
}

/// The text in the quotes at the beginning of `text`, and the length with them. In single quotes two of them
/// are one; in double quotes a backslash begins an escape.
fn in_quotes(text: &str) -> Result<(String, usize), &'static str> {
    let mut out = String::new();
    let mut rest = text.char_indices().peekable();
    let quote = rest.next().map_or('"', |(_, quote)| quote);
    while let Some((at, c)) = rest.next() {
        let is_again = |next: &(usize, char)| quote == '\'' && next.1 == quote;
        if c == quote && rest.next_if(is_again).is_none() {
            return Ok((out, at + 1));
        }
        if c != '\\' || quote == '\'' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some((_, escaped @ ('"' | '\\' | '/'))) => out.push(escaped),
            Some((_, 'n')) => out.push('\n'),
            Some((_, 't')) => out.push('\t'),
            _ => return Err("this escape is not read; single quotes take text as it is"),
        }
    }
    Err("the closing quote is missing on this line")
}
