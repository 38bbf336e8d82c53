//! Files that survive a power cut: replaced whole or not at all.
//!
//! Promises: after [`replace`] returned, the new content is on the disk; at any
//! moment before, a reader finds the old or the new one, complete. The state
//! file that is missing, torn or foreign yields the default and a sentence
//! about it, never an error.

use rail_core::Saved;
use serde_json::Value;
use std::fmt;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Name of the state file in the state directory.
pub const STATE_FILE: &str = "state.json";

/// Puts `content` in the place of `path`, durably, with mode 0600.
///
/// # Errors
/// Those of the file system; then `path` is as it was.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    replace_with_mode(path, content, 0o600)
}

/// As [`replace`], with this mode.
///
/// # Errors
/// As [`replace`].
pub fn replace_with_mode(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    let mut temporary = std::ffi::OsString::from(".");
    temporary.push(name);
    temporary.push(".new");
    let temporary = directory.join(temporary);
    let written = write_new(&temporary, content, mode).and_then(|()| fs::rename(&temporary, path));
    if let Err(e) = written {
        // The failure that matters is reported; a rest is removed by the next attempt.
        let _ = fs::remove_file(&temporary);
        return Err(e);
    }
    File::open(directory)?.sync_all()
}

/// Writes the state file.
///
/// # Errors
/// Those of the file system; then the old one is still there.
pub fn save(state_dir: &Path, saved: &Saved) -> io::Result<()> {
    let mut text = serde_json::to_vec_pretty(saved)?;
    text.push(b'\n');
    replace(&state_dir.join(STATE_FILE), &text)
}

/// What is wrong with a state file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Flaw {
    text: String,
    begins: String,
}

impl Flaw {
    /// The same, and what a router that begins with it has instead.
    pub fn at_start(&self) -> String {
        format!("{}; {}", self.text, self.begins)
    }
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads the state file. The second value says what was wrong with it, if it was there.
pub fn load_saved(state_dir: &Path) -> (Saved, Option<Flaw>) {
    let empty = |text| {
        let begins = "it counts as empty".into();
        (Saved::default(), Some(Flaw { text, begins }))
    };
    let path = state_dir.join(STATE_FILE);
    let text = match read_limited(&path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return (Saved::default(), None),
        Err(e) => {
            return empty(format!("could not read {}: {e}", path.display()));
        }
    };
    if let Ok(saved) = serde_json::from_slice(&text) {
        return (saved, None);
    }
    match serde_json::from_slice(&text) {
        Ok(fields) => {
            let (saved, unknown) = by_field(fields);
            let text = format!("{} is of another version", path.display());
            let begins = format!("it is used without {}", unknown.join(", "));
            (saved, Some(Flaw { text, begins }))
        }
        Err(e) => empty(format!("{} is damaged ({e})", path.display())),
    }
}

/// What can be read of a file with words that we do not know, and the names of what cannot: the
/// numbers of uplinks and the original settings must survive a verdict that only a later version has.
fn by_field(fields: serde_json::Map<String, Value>) -> (Saved, Vec<String>) {
    let one =
        |name: &str, value: Value| Value::Object([(name.to_owned(), value)].into_iter().collect());
    let (mut known, mut unknown) = (serde_json::Map::new(), Vec::new());
    for (name, value) in fields {
        let fits = |value: Value| serde_json::from_value::<Saved>(one(&name, value)).is_ok();
        if fits(value.clone()) {
            known.insert(name, value);
            continue;
        }
        let rest = match value {
            Value::Object(entries) => {
                let alone = |(k, v): &(String, Value)| fits(one(k, v.clone()));
                Value::Object(entries.into_iter().filter(alone).collect())
            }
            Value::Array(items) => {
                let alone = |item: &Value| fits(Value::Array(vec![item.clone()]));
                Value::Array(items.into_iter().filter(alone).collect())
            }
            _ => Value::Null,
        };
        unknown.push(format!("parts of `{name}`"));
        if fits(rest.clone()) {
            known.insert(name, rest);
        }
    }
    (serde_json::from_value(Value::Object(known)).unwrap_or_default(), unknown)
}

fn write_new(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Ok(()) => {}
        Err(e) if e.kind() == io::ErrorKind::NotFound => {}
        Err(e) => return Err(e),
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(content)?;
    // The mask of the process does not count.
    file.set_permissions(Permissions::from_mode(mode))?;
    file.sync_all()
}

/// A state file is a few kilobytes; one of gigabytes is not ours.
fn read_limited(path: &Path) -> io::Result<Vec<u8>> {
    read_up_to(path, MAX_STATE_BYTES)
}

/// Reads a file of ours that is not larger than this.
pub(crate) fn read_up_to(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let length = fs::metadata(path)?.len();
    if length > most {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is far too large"));
    }
    fs::read(path)
}

const MAX_STATE_BYTES: u64 = 4 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::status::Health;

    fn scratch(name: &str) -> std::path::PathBuf {
        let dir = std::env::temp_dir().join(format!("rail-file-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn the_state_comes_back_and_nothing_else_is_left() {
        let dir = scratch("round");
        assert_eq!(load_saved(&dir), (Saved::default(), None));
        let mut saved = Saved { boot_id: "b".into(), generation: 7, ..Saved::default() };
        saved.verdicts.insert("isp1".into(), Health::Down);
        // A rest of a writer that died does not disturb.
        fs::write(dir.join(".state.json.new"), "torn").unwrap();
        save(&dir, &saved).unwrap();
        save(&dir, &saved).unwrap();
        assert_eq!(load_saved(&dir), (saved, None));
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 1);
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_file_of_an_older_version_is_read() {
        let dir = scratch("older");
        fs::write(dir.join(STATE_FILE), r#"{"ids": {"isp1": 1}, "generation": 7}"#).unwrap();
        let (saved, problem) = load_saved(&dir);
        assert_eq!((saved.ids.len(), saved.generation, problem), (1, 7, None));
        let (print, void) = (
            r#"{"uplink": 1, "mark": 1, "mask": 3, "address": "192.0.2.1", "source": null}"#,
            r#"{"uplink": 1, "mark": 1, "mask": 3, "which": {"From": "192.0.2.1"}}"#,
        );
        let text = format!(r#"{{"imprints": {{"isp1": {print}}}, "void": [{void}]}}"#);
        fs::write(dir.join(STATE_FILE), text).unwrap();
        let (saved, problem) = load_saved(&dir);
        assert_eq!((saved.bindings.len(), saved.stale.len(), problem), (1, 1, None));
        save(&dir, &saved).unwrap();
        assert_eq!(load_saved(&dir), (saved, None));
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a state of a later version, with words that are not known yet, then all that is known
    /// is kept: numbers, original settings, and the other entries of the same list.
    #[test]
    fn a_file_of_a_newer_version_keeps_what_is_known() {
        let dir = scratch("newer");
        let text = r#"{"ids": {"isp1": 1, "isp2": 2}, "sysctls": {"net/ipv4/ip_forward": "0"},
            "verdicts": {"isp1": "down", "isp2": "excellent"}, "generation": "many",
            "void": [{"uplink": 1, "mark": 1, "mask": 3, "which": "Later"},
                {"uplink": 1, "mark": 1, "mask": 3, "which": {"From": "192.0.2.1"}}],
            "learnt": {"isp1": {"limited_rate": 8000, "limited_kind": "icmp", "later": 1},
                "isp2": {"suspect": "maybe"}},
            "later": true}"#;
        fs::write(dir.join(STATE_FILE), text).unwrap();
        let (saved, problem) = load_saved(&dir);
        assert_eq!((saved.ids.len(), saved.sysctls.len(), saved.stale.len()), (2, 1, 1));
        assert_eq!(saved.learnt.len(), 1);
        assert_eq!(saved.learnt["isp1"].limited_rate, Some(8000));
        assert_eq!(saved.verdicts.into_iter().collect::<Vec<_>>(), [("isp1".into(), Health::Down)]);
        let problem = problem.unwrap().at_start();
        for part in ["`verdicts`", "`generation`", "`void`", "`learnt`"] {
            assert!(problem.contains(part), "{problem}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_torn_file_at_any_byte_yields_the_default_and_a_sentence() {
        let dir = scratch("torn");
        save(&dir, &Saved { generation: 3, ..Saved::default() }).unwrap();
        let whole = fs::read(dir.join(STATE_FILE)).unwrap();
        // Without its last byte, the line end, it is still complete.
        for cut in 0..whole.len() - 1 {
            fs::write(dir.join(STATE_FILE), &whole[..cut]).unwrap();
            let (saved, problem) = load_saved(&dir);
            assert_eq!(saved, Saved::default());
            assert!(problem.unwrap().at_start().contains("damaged"), "cut at {cut}");
        }
        fs::remove_dir_all(dir).unwrap();
    }

    #[test]
    fn a_failure_leaves_the_old_content() {
        let dir = scratch("fail");
        let path = dir.join("f");
        replace(&path, b"old").unwrap();
        fs::create_dir(dir.join(".f.new")).unwrap();
        assert!(replace(&path, b"new").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"old");
        fs::remove_dir_all(dir).unwrap();
    }
}
