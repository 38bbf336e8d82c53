//! Just enough Rust to count: a text without comments and literals, its tests
//! and its functions.

use std::ops::Range;

/// The text with comments, strings and character literals turned into spaces; line ends stay.
pub(crate) fn bare(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out: Vec<u8> = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let end = skipped(bytes, at);
        if end == at {
            out.push(if bytes[at].is_ascii() { bytes[at] } else { b'_' });
            at += 1;
        } else {
            out.extend(bytes[at..end].iter().map(|b| if *b == b'\n' { b'\n' } else { b' ' }));
            at = end;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The end of the comment or literal that begins at `at`; `at` if none does.
fn skipped(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let word_before = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    let length = match rest {
        [b'/', b'/', ..] => rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len()),
        [b'/', b'*', ..] => block_comment(rest),
        [b'"', ..] => string(rest),
        [b'r', b'"' | b'#', ..] if !word_before => raw_string(rest),
        [b'\'', b'\\', ..] => {
            2 + rest.iter().skip(3).position(|b| *b == b'\'').map_or(0, |n| n + 2)
        }
        [b'\'', _, b'\'', ..] => 3,
        // A character of several bytes, unlike a lifetime, ends within five.
        [b'\'', lead, ..] if !lead.is_ascii() => {
            rest.iter().skip(1).take(5).position(|b| *b == b'\'').map_or(0, |n| n + 2)
        }
        _ => 0,
    };
    at + length.min(rest.len())
}

fn block_comment(rest: &[u8]) -> usize {
    let mut depth = 0_u32;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn string(rest: &[u8]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

fn raw_string(rest: &[u8]) -> usize {
    let hashes = rest.iter().skip(1).take_while(|b| **b == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.extend(vec![b'#'; hashes]);
    let body = &rest[2 + hashes..];
    let found = body.windows(end.len()).position(|w| w == end);
    found.map_or(rest.len(), |n| 2 + hashes + n + end.len())
}

/// The parts of a bare text that stand under `#[cfg(test)]`, none within another one.
pub(crate) fn test_parts(bare: &str) -> Vec<Range<usize>> {
    let mut parts: Vec<Range<usize>> = Vec::new();
    for (start, _) in bare.match_indices("#[cfg(test)]") {
        if parts.last().is_none_or(|part| start >= part.end) {
            parts.push(start..body(bare, start).map_or(start, |body| body.end));
        }
    }
    parts
}

/// A function of a bare text.
pub(crate) struct Function {
    /// Its name.
    pub(crate) name: String,
    /// Where `fn` stands.
    pub(crate) start: usize,
    /// Lines from `fn` to the closing brace.
    pub(crate) lines: usize,
}

/// All functions with a body.
pub(crate) fn functions(bare: &str) -> Vec<Function> {
    let mut found = Vec::new();
    for (start, _) in bare.match_indices("fn ") {
        if bare[..start].ends_with(|c: char| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let name: String =
            bare[start + 3..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        if let (false, Some(body)) = (name.is_empty(), body(bare, start)) {
            let lines = bare[start..body.end].lines().count();
            found.push(Function { name, start, lines });
        }
    }
    found
}

/// The first `{ .. }` after `from`; `None` if a `;` outside brackets comes first.
fn body(bare: &str, from: usize) -> Option<Range<usize>> {
    let mut brackets = 0_i32;
    let mut braces = 0_i32;
    let mut start = None;
    for (offset, byte) in bare.bytes().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => brackets += 1,
            b')' | b']' => brackets -= 1,
            b';' if brackets == 0 && braces == 0 => return None,
            b'{' => {
                braces += 1;
                start.get_or_insert(offset);
            }
            b'}' => {
                braces -= 1;
                if braces <= 0 {
                    return start.map(|start| start..offset + 1);
                }
            }
            _ => {}
        }
    }
    None
}

/// The line number of an offset, from 1.
pub(crate) fn line(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given braces in comments and literals, when counted, then only the real ones count.
    #[test]
    fn literals_and_comments_are_not_code() {
        let text = "fn a<'x>() { // {\n let b = \"{\\\"{\"; let c = '{'; let d = r#\"{\"{\"#; /* { /* { */ */ }\nfn e();\nfn f() {}\n";
        let found = functions(&bare(text));
        let shape: Vec<(&str, usize)> = found.iter().map(|f| (f.name.as_str(), f.lines)).collect();
        assert_eq!(shape, [("a", 2), ("f", 1)]);
    }

    /// Given a part for tests within another one, then there is one part.
    #[test]
    fn parts_of_tests_do_not_overlap() {
        let text = "#[cfg(test)]\nimpl A {\n#[cfg(test)]\nfn b() {}\n}\nfn c() {}\n";
        let parts = test_parts(text);
        assert_eq!(parts.len(), 1);
        assert!(text[parts[0].clone()].ends_with("fn b() {}\n}"));
    }

    /// Given a test module, when looked for, then it is found with its body.
    #[test]
    fn test_modules_are_found() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests { fn b() {} }\nfn c() {}\n";
        let parts = test_parts(&bare(text));
        assert_eq!(parts.len(), 1);
        assert!(text[parts[0].clone()].ends_with("fn b() {} }"));
    }
}
