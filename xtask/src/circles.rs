//! No circle between the rooms of the core: who uses a room is not used by it, not even in a roundabout way.
//! A reader can begin at the bottom, and a machine can be taken out.
//!
//! A room is a folder or a file right below `crates/core/src`. Tests may look anywhere. A machine's
//! `news.rs` stands beside it and belongs to the room of notices: it does not name its machine.

use crate::source;
use crate::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const CORE: &str = "crates/core/src";
const NOTICES: &str = "notice";

/// Which rooms each room names, and one file that does so.
type Uses = BTreeMap<String, BTreeMap<String, PathBuf>>;

/// Notes a circle, if there is one.
pub(crate) fn check(breaches: &mut Vec<String>) -> Result<(), String> {
    let root = Path::new(CORE);
    let lib = workspace::text(&root.join("lib.rs")).ok_or("the core has no lib.rs")?;
    let names = exported(&lib);
    let mut uses = Uses::new();
    for path in workspace::files()? {
        let Ok(inner) = path.strip_prefix(root) else { continue };
        let is_code = path.extension().is_some_and(|e| e == "rs") && !is_test(inner);
        if let Some(text) = workspace::text(&path).filter(|_| is_code)
            && inner.as_os_str() != "lib.rs"
        {
            note(&mut uses, &room_of(inner), &path, &text, &names);
        }
    }
    breaches.extend(circle(&uses));
    Ok(())
}

/// The room of a file.
fn room_of(inner: &Path) -> String {
    if inner.ends_with("news.rs") {
        return NOTICES.to_owned();
    }
    let first = inner.components().next().map(|part| part.as_os_str().to_string_lossy());
    first.unwrap_or_default().trim_end_matches(".rs").to_owned()
}

fn is_test(inner: &Path) -> bool {
    inner.components().any(|part| {
        let name = part.as_os_str().to_string_lossy();
        name == "tests" || name.ends_with("tests.rs")
    })
}

/// What the crate exports at its root, and the room that it stands in.
fn exported(lib: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    for statement in lib.split(';') {
        let Some((_, path)) = statement.split_once("pub use ") else { continue };
        let Some((room, list)) = path.split_once("::") else { continue };
        for name in words(list) {
            names.insert(name.to_owned(), room.trim().to_owned());
        }
    }
    names
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn note(uses: &mut Uses, room: &str, path: &Path, text: &str, names: &BTreeMap<String, String>) {
    let mut bare = source::bare(text);
    for part in source::test_parts(&bare).into_iter().rev() {
        bare.replace_range(part, "");
    }
    for (at, _) in bare.match_indices("crate::") {
        let rest = &bare[at + "crate::".len()..];
        let list = match rest.strip_prefix('{') {
            Some(group) => group.split('}').next().unwrap_or_default(),
            None => rest
                .split([':', ';', ',', ' ', ')', '>', '(', '<', '\n'])
                .next()
                .unwrap_or_default(),
        };
        let firsts = list.split(',').filter_map(|path| words(path).next());
        for first in firsts {
            let inner = rest.strip_prefix(first).and_then(|inner| inner.strip_prefix("::"));
            let is_news = inner.is_some_and(|inner| words(inner).next() == Some("news"));
            let used = names.get(first).map_or(first, String::as_str);
            let used = if is_news { NOTICES } else { used };
            if used != room {
                let used = uses.entry(room.to_owned()).or_default().entry(used.to_owned());
                used.or_insert_with(|| path.to_owned());
            }
        }
    }
}

/// The first circle, as a sentence.
fn circle(uses: &Uses) -> Option<String> {
    let mut done = BTreeSet::new();
    uses.keys().find_map(|room| walk(uses, room, &mut Vec::new(), &mut done))
}

fn walk<'a>(
    uses: &'a Uses,
    room: &'a str,
    way: &mut Vec<&'a str>,
    done: &mut BTreeSet<&'a str>,
) -> Option<String> {
    if let Some(at) = way.iter().position(|passed| *passed == room) {
        let mut rooms = way[at..].to_vec();
        rooms.push(room);
        let files = rooms.windows(2).map(|pair| uses[pair[0]][pair[1]].display().to_string());
        let files: Vec<_> = files.collect();
        return Some(format!("{CORE}: a circle: {} ({})", rooms.join(" -> "), files.join(", ")));
    }
    if !done.contains(room) {
        way.push(room);
        for used in uses.get(room).into_iter().flat_map(BTreeMap::keys) {
            if let Some(found) = walk(uses, used, way, done) {
                return Some(found);
            }
        }
        way.pop();
        done.insert(room);
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given rooms of which each names the next, and the last one the first, or not, then a circle is
    /// found or not; tests may name whom they like.
    #[test]
    fn a_circle_is_found() {
        let names = exported("pub use io::{Input, Output};\n");
        let of = |rooms: &[(&str, &str)]| {
            let mut uses = Uses::new();
            for (room, text) in rooms {
                note(&mut uses, room, Path::new(&format!("{room}.rs")), text, &names);
            }
            circle(&uses)
        };
        let line = [("a", "use crate::b::B;\n"), ("b", "fn f(x: crate::c::C) {}\n"), ("io", "")];
        assert_eq!(of(&line), None);
        let back = [line[0], line[1], ("c", "use crate::{a::A, time};\n")];
        assert!(of(&back).unwrap().contains("a -> b -> c -> a (a.rs, b.rs, c.rs)"));
        let exported = [("io", "use crate::a::A;\n"), ("a", "use crate::Output;\n")];
        assert!(of(&exported).unwrap().contains("a -> io -> a"));
        let news = "use crate::notice::N;\n";
        assert_eq!(of(&[("notice", "use crate::b::news::N;\n"), ("b", news)]), None);
        assert!(of(&[("notice", "use crate::b::B;\n"), ("b", news)]).is_some());
        assert_eq!(room_of(Path::new("b/news.rs")), "notice");
        let tests = "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n";
        assert_eq!(of(&[line[0], ("b", tests)]), None);
    }
}
