//! What is read, what is refused and where, and that nothing is too much.

use super::*;
use crate::load::{Report, unfit};
use rail_lab::Random;

/// A tree on one line, keys and scalars as they are.
fn drawn(node: &Node) -> String {
    match &node.value {
        Value::Scalar { text, quoted: true } => format!("{text:?}"),
        Value::Scalar { text, .. } if node.is_blank() => format!("blank{text}"),
        Value::Scalar { text, .. } => text.clone(),
        Value::List(items) => {
            format!("[{}]", items.iter().map(drawn).collect::<Vec<_>>().join(", "))
        }
        Value::Map(entries) => {
            let entries = entries.iter().map(|e| format!("{}: {}", e.key, drawn(&e.value)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(", "))
        }
    }
}

fn good(source: &str) -> String {
    let (root, errors) = read(source);
    assert_eq!(errors, [], "{source}");
    drawn(&root)
}

/// Given mappings, lists, scalars, quotes and comments, then the tree is as YAML has it.
#[test]
fn the_subset_is_read() {
    for (source, expected) in [
        ("a: 1\nb:\n  c: x y\n  d: ~\n", "{a: 1, b: {c: x y, d: blank~}}"),
        // Items may begin in the column of their key, and a dash may have the first key.
        ("a:\n- b: 1\n  c: 2\n- b: 3\nd: 4\n", "{a: [{b: 1, c: 2}, {b: 3}], d: 4}"),
        ("a:\n  - x\n  -   y z\n  -\n", "{a: [x, y z, blank]}"),
        ("a:\n-\n  b: 1\n- - x\n  - y\n", "{a: [{b: 1}, [x, y]]}"),
        ("- a: 1\n- 2\n", "[{a: 1}, 2]"),
        ("a: 'it''s # no comment' # but this\n", "{a: \"it's # no comment\"}"),
        ("a: \"x\\t\\\"y\" \n", "{a: \"x\\t\\\"y\"}"),
        ("\"a b\" : 1\n'c': 2\n", "{a b: 1, c: 2}"),
        ("a: b#c # d\ne: http://x:80/y\nf: :login\n", "{a: b#c, e: http://x:80/y, f: :login}"),
        ("a: [1, 'x, y', z z ] # c\nb: []\nc: [1,]\n", "{a: [1, \"x, y\", z z], b: [], c: [1]}"),
        ("a: # nothing\nb:\n#c\n\n  c: 1\n", "{a: blank, b: {c: 1}}"),
        ("a:\n  x y\n", "{a: x y}"),
        ("\u{feff}# mark\r\n---\r\na: 1\r\nb: null\r\n...\r\nanything\n", "{a: 1, b: blanknull}"),
        ("", "blank"),
        ("# nothing\n\n\t\n", "blank"),
    ] {
        assert_eq!(good(source), expected, "{source}");
    }
}

/// Given scalars, then numbers, words for true and false and blanks are told from texts; in quotes all
/// are texts.
#[test]
fn scalars_have_types() {
    let of = |text: &str| {
        let (root, errors) = read(&format!("- {text}\n"));
        assert_eq!(errors, [], "{text}");
        let Value::List(mut items) = root.value else { panic!("{text} is no list") };
        items.remove(0)
    };
    for (text, number) in [("7", 7), ("-7", -7), ("+1_024_000", 1_024_000), ("0", 0)] {
        assert_eq!(of(text).integer(), Some(number), "{text}");
    }
    for text in ["'7'", "7.5", "seven", "_7", "-", "8.8.8.8", "99999999999999999999", "~"] {
        assert_eq!(of(text).integer(), None, "{text}");
    }
    for (text, word) in
        [("true", true), ("Yes", true), ("on", true), ("no", false), ("False", false)]
    {
        assert_eq!(of(text).boolean(), Some(word), "{text}");
    }
    assert_eq!(of("\"true\"").boolean(), None);
    for text in ["", "~", "null"] {
        assert!(of(text).is_blank() && of(text).text().is_none(), "{text}");
    }
    assert_eq!(of("'~'").text(), Some("~"));
}

/// Given what is not read, then each fault is named with line and column, all at once, and what is
/// beside it is read.
#[test]
fn what_is_not_read_is_named() {
    for (source, place, words) in [
        ("a: &x 1\n", "1:4", "anchors"),
        ("a: 1\nb: *x\n", "2:4", "anchors"),
        ("<<: *x\n", "1:5", "anchors"),
        ("&x a: 1\n", "1:1", "anchors"),
        ("a: !ruby/object {}\n", "1:4", "tags"),
        ("a: |\n  x\n", "1:4", "several lines"),
        ("a: {b: 1}\n", "1:4", "in braces"),
        ("a: [[1]]\n", "1:5", "a list of lists"),
        ("a: [1\n", "1:6", "closing bracket"),
        ("a: [1, , 2]\n", "1:8", "element is missing"),
        ("a: ['1' 2]\n", "1:9", "a comma"),
        ("a: [1] 2\n", "1:7", "behind the list"),
        ("a: 'b\n", "1:4", "closing quote"),
        ("a: \"b\\q\"\n", "1:4", "escape is not read"),
        ("a: 'b' c\n", "1:8", "behind the quotes"),
        ("a: b: c\n", "1:4", "stands in quotes"),
        ("a: - b\n", "1:4", "line of its own"),
        ("a: x\n  y\n", "2:3", "indented too deep"),
        ("a:\n    b: 1\n  c: 2\n", "3:3", "indented too deep"),
        ("\ta: 1\nb: 2\n", "1:1", "a tab"),
        ("  a: 1\nb: 2\n", "2:1", "does not go on"),
        ("a: 1\na: 2\n", "2:1", "given twice"),
        ("a: 1\nb:2\n", "2:1", "no `key: value`"),
        ("a: 1\n---\nb: 2\n", "2:1", "second document"),
        ("a: @b\n", "1:4", "no value begins"),
    ] {
        let (_, errors) = read(source);
        assert_eq!(errors.len(), 1, "{source}: {errors:?}");
        let report = Report::new("f", source, &errors).to_string();
        assert!(report.contains(words) && report.contains(&format!("f:{place}\n")), "{report}");
    }
    let (root, errors) = read("a: &x 1\nb\nc: *x\nd: 4\n");
    assert_eq!(errors.len(), 3);
    assert_eq!(drawn(&root), "{a: blank, c: blank, d: 4}");
}

/// Given nesting without end, then it is refused at a bounded depth.
#[test]
fn depth_is_bounded() {
    for source in ["- ".repeat(400_000), {
        let lines = (0..1200).map(|depth| format!("{}a:\n", " ".repeat(depth)));
        lines.collect::<String>()
    }] {
        let (_, errors) = read(&source);
        assert!(errors.iter().any(|e| e.message.contains("nested")), "{errors:?}");
    }
}

/// Given many lines of one kind, or a megabyte of keys, then all is read; a byte more than a megabyte is
/// refused unread.
#[test]
fn length_is_bounded() {
    for line in ["a:\n", "- 1\n", "x\n", "a: &b\n", "\t\n", "[\n", " #\n", "'\n"] {
        let source = line.repeat(200_000 / line.len());
        read(&source);
        assert!(unfit("f", &source).is_none());
    }
    let keys: String = (0..90_000).map(|number| format!("k{number}: v\n")).collect();
    let (root, errors) = read(&keys);
    assert!(errors.is_empty() && matches!(root.value, Value::Map(all) if all.len() == 90_000));
    assert!(unfit("f", &"a".repeat(1_000_001)).is_some());
}

/// Given random bytes, and random pieces of YAML, then there is a tree and each fault has a place inside
/// the text, on the border of a character, and never a panic.
#[test]
fn noise_never_panics() {
    const PIECES: [&str; 26] = [
        "a: ", "b:\n", "- ", "-\n", "\n", "  ", " ", "\t", "'", "\"", "\\", "[", "]", ", ", "{",
        "&x", "*x", "!t", "|", "#", " #", "---\n", "\u{fc}", "\u{feff}", "\r", "~",
    ];
    let mut random = Random::new(0x5eed);
    for round in 0..20_000 {
        let length = random.below(80);
        let source = if round % 2 == 0 {
            let bytes: Vec<u8> = (0..length).map(|_| random.bits().to_le_bytes()[3]).collect();
            String::from_utf8_lossy(&bytes).into_owned()
        } else {
            (0..length).map(|_| *random.of(&PIECES)).collect()
        };
        let (_, errors) = read(&source);
        for error in &errors {
            let inside = source.get(error.span.clone());
            assert!(inside.is_some(), "{source:?}: {error:?}");
        }
    }
}
