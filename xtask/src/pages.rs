//! The pages for those who build `rail` name files and functions. Each that they name is there.
//!
//! Paths leave out `crates/` and `src/`: `core/desk.rs` is `crates/core/src/desk.rs`. Behind a file, in parentheses,
//! stand words of its code. A file without a folder stands somewhere. `NAME` in a path is yet to be written.

use crate::workspace;
use std::path::{Path, PathBuf};

const PAGES: &[&str] = &["ARCHITECTURE.md", "CONTRIBUTING.md"];

/// Notes what a page names and nobody finds.
pub(crate) fn check(breaches: &mut Vec<String>) -> Result<(), String> {
    let files = workspace::files()?;
    for page in PAGES {
        let text = workspace::text(Path::new(page)).unwrap_or_default();
        let lacks = lacking(&text, &files, |path| workspace::text(path).unwrap_or_default());
        breaches.extend(lacks.into_iter().map(|what| format!("{page}: there is no {what}")));
    }
    Ok(())
}

/// The paths of a page that no file has, and the words behind a path that its file lacks.
fn lacking(page: &str, files: &[PathBuf], read: impl Fn(&Path) -> String) -> Vec<String> {
    let parts: Vec<&str> = page.split('`').collect();
    let mut lacks = Vec::new();
    let mut file: Option<(&str, String)> = None;
    for (at, part) in parts.iter().enumerate() {
        let is_code = at % 2 == 1;
        match (&file, is_code) {
            // Only `path` (`word`, `word`) goes on with the file.
            (Some(_), false) if !matches!(*part, " (" | ", ") => file = None,
            (_, false) => {}
            (Some((path, text)), true) if is_name(part) => {
                if !has_word(text, part) {
                    lacks.push(format!("{part} in {path}"));
                }
            }
            (_, true) => {
                let found = find(part, files);
                if is_path(part, files) && found.is_none() {
                    lacks.push((*part).to_owned());
                }
                let source = found.filter(|found| found.extension().is_some());
                file = source.map(|found| (*part, read(&found)));
            }
        }
    }
    lacks
}

/// The file or folder that a page means.
fn find(path: &str, files: &[PathBuf]) -> Option<PathBuf> {
    let path = path.trim_end_matches('/');
    let (room, rest) = path.split_once('/').unwrap_or((path, ""));
    let places =
        [path.to_owned(), format!("crates/{room}/{rest}"), format!("crates/{room}/src/{rest}")];
    let mut places = places.iter().map(|place| Path::new(place).to_path_buf());
    let is_there = |place: &PathBuf| files.iter().any(|file| file.starts_with(place));
    places.find(is_there).or_else(|| {
        let is_alone = !path.contains('/') && path.contains('.');
        files.iter().find(|file| is_alone && file.ends_with(path)).cloned()
    })
}

/// True if the page means a file or a folder by it.
fn is_path(part: &str, files: &[PathBuf]) -> bool {
    let is_plain = part.chars().all(|c| c.is_alphanumeric() || matches!(c, '/' | '_' | '-' | '.'));
    let Some((room, _)) = part.split_once('/') else {
        return is_plain && part.ends_with(".rs");
    };
    let is_room = |room: &str| files.iter().any(|file| file.starts_with(room));
    let is_ours = is_room(room) || is_room(&format!("crates/{room}"));
    is_plain && is_ours && !room.is_empty() && !part.contains("NAME")
}

fn is_name(part: &str) -> bool {
    part.chars().all(|c| c.is_alphanumeric() || c == '_')
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given a page that names files, folders and functions, then those that are not there are found, and
    /// nothing else: neither a setting that looks like a path, nor a word that belongs to no file.
    #[test]
    fn names_that_are_gone_are_found() {
        let files =
            ["crates/core/src/uplink/link.rs", "crates/rail/tests/bad/a.toml", "lab/src/lib.rs"];
        let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
        let read = |_: &Path| "fn refresh_link() {}".to_owned();
        let lacking = |page: &str| lacking(page, &files, read);
        for page in [
            "`core/uplink/link.rs` (`refresh_link`), then `render`",
            "`core/uplink/`, `rail/tests/bad`, `lab/src/lib.rs`, `link.rs`, `crates/core`",
            "`net/ipv4/ip_forward`, `core/NAME/machine.rs`, `no_std`, `rail run`",
        ] {
            assert_eq!(lacking(page), Vec::<String>::new(), "{page}");
        }
        assert_eq!(
            lacking("`core/line.rs`, `lab/no`, `line.rs`"),
            ["core/line.rs", "lab/no", "line.rs"]
        );
        let gone = "`core/uplink/link.rs` (`refresh_link`, `refresh`)";
        assert_eq!(lacking(gone), ["refresh in core/uplink/link.rs"]);
    }
}
