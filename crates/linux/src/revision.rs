//! The configurations of before, on the disk.
//!
//! Owns three files of the state directory: `last-good.toml` (the text that was
//! taken last), `history.json`, and `trial.json` (there only while a trial
//! waits for its confirmation). Promises: each is replaced whole; one that is
//! missing, damaged or unreadable costs itself alone, and is a sentence, never
//! an error. Also puts a text in the place of the configuration file.

use crate::file::{read_up_to, replace, replace_with_mode};
use rail_core::revision::{History, Kept, Trial};
use serde::de::DeserializeOwned;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Reads what was kept; the sentences say what could not be.
pub fn load(state_dir: &Path) -> (Kept, Vec<String>) {
    let mut problems = Vec::new();
    let path = state_dir.join(LAST_GOOD);
    let last_good = match read_up_to(&path, MOST_BYTES).map(String::from_utf8) {
        Ok(Ok(text)) => Some(text),
        Ok(Err(_)) => {
            problems.push(format!("{} is damaged: it is no text", path.display()));
            None
        }
        Err(e) => {
            problems.extend(unread(&path, &e));
            None
        }
    };
    let history: Option<History> = read_json(&state_dir.join(HISTORY), &mut problems);
    let trial: Option<Trial> = read_json(&state_dir.join(TRIAL), &mut problems);
    (Kept { last_good, history: history.unwrap_or_default(), trial }, problems)
}

/// Writes the text that was taken last, and the history.
///
/// # Errors
/// Those of the file system; then the file that failed is as it was.
pub fn keep(state_dir: &Path, last_good: &str, history: &History) -> io::Result<()> {
    let path = state_dir.join(LAST_GOOD);
    // A disk that is worn by writing lives longer.
    if read_up_to(&path, MOST_BYTES).ok().as_deref() != Some(last_good.as_bytes()) {
        replace(&path, last_good.as_bytes())?;
    }
    let path = state_dir.join(HISTORY);
    let text = serde_json::to_vec(history)?;
    if read_up_to(&path, MOST_BYTES).ok().as_ref() != Some(&text) {
        replace(&path, &text)?;
    }
    Ok(())
}

/// Writes that a trial has begun.
///
/// # Errors
/// Those of the file system; then there is none.
pub fn keep_trial(state_dir: &Path, trial: &Trial) -> io::Result<()> {
    let text = serde_json::to_vec(trial)?;
    let path = state_dir.join(TRIAL);
    replace(&path, &text).inspect_err(|_| {
        // Perhaps it is there, and only its directory was not flushed.
        let _ = fs::remove_file(&path);
    })
}

/// Notes that a trial was confirmed, and then puts its text in the place of the configuration file;
/// returns where an edit of that file is now, as [`install_over`] does.
///
/// # Errors
/// Those of the file system; then it is on trial as before.
pub fn confirm(state_dir: &Path, config: &Path, trial: &Trial) -> io::Result<Option<PathBuf>> {
    let there = read_up_to(config, MOST_BYTES).ok().and_then(|there| String::from_utf8(there).ok());
    // What goes back is in the note already, and what is too large was never good.
    let is_news = |there: &String| *there != trial.text && *there != trial.back;
    let replaced = there.filter(|there| is_news(there) && there.len() <= MOST_TO_NOTE);
    let note = |is_confirmed| -> io::Result<()> {
        let replaced = replaced.clone().filter(|_| is_confirmed);
        let trial = Trial { is_confirmed, replaced, ..trial.clone() };
        replace(&state_dir.join(TRIAL), &serde_json::to_vec(&trial)?)
    };
    note(true)?;
    install_over(config, &trial.text, &trial.back).inspect_err(|_| {
        // The disk that refused may refuse this, too.
        let _ = note(false);
    })
}

/// Gives the configuration file its good text back if it has the text of a trial that was taken
/// back, because somebody edited the file itself and tried that. What was tried is kept beside it;
/// the path of that is returned.
///
/// # Errors
/// Those of the file system; then the file is as it was.
pub fn restore(state_dir: &Path, config: &Path, good: &str) -> io::Result<Option<PathBuf>> {
    let trial = read_json::<Trial>(&state_dir.join(TRIAL), &mut Vec::new());
    let Some(trial) = trial.filter(|trial| trial.text != good) else { return Ok(None) };
    // One that cannot be read is not what was tried.
    if read_up_to(config, MOST_BYTES).ok().as_deref() != Some(trial.text.as_bytes()) {
        return Ok(None);
    }
    let rejected = keep_beside(config, REJECTED, trial.text.as_bytes())?;
    install(config, good)?;
    Ok(Some(rejected))
}

/// Puts a text in the place of the configuration file as [`install`] does. What stands there, if it
/// is neither this text nor the loaded one, is somebody's edit that was never loaded: it is kept
/// beside the file, and the path of that is returned.
///
/// # Errors
/// Those of the file system; then the file is as it was.
pub fn install_over(config: &Path, text: &str, loaded: &str) -> io::Result<Option<PathBuf>> {
    let there = match read_up_to(config, MOST_BYTES) {
        Ok(there) => there,
        Err(e) if e.kind() == io::ErrorKind::NotFound => Vec::new(),
        Err(e) => return Err(e),
    };
    if there == text.as_bytes() {
        return Ok(None);
    }
    let is_edit = !there.is_empty() && there != loaded.as_bytes();
    let kept = is_edit.then(|| keep_beside(config, UNLOADED, &there)).transpose()?;
    install(config, text)?;
    Ok(kept)
}

/// Writes what the configuration file had beside it, with the mode of that.
fn keep_beside(config: &Path, ending: &str, text: &[u8]) -> io::Result<PathBuf> {
    let path = fs::canonicalize(config)?;
    let mode = fs::metadata(&path)?.permissions().mode() & 0o7777;
    let mut beside = path.into_os_string();
    beside.push(ending);
    let beside = PathBuf::from(beside);
    replace_with_mode(&beside, text, mode)?;
    Ok(beside)
}

/// Takes the note of a trial away. A disk that is full lets that happen.
///
/// # Errors
/// Those of the file system.
pub fn drop_trial(state_dir: &Path) -> io::Result<()> {
    match fs::remove_file(state_dir.join(TRIAL)) {
        Ok(()) => fs::File::open(state_dir)?.sync_all(),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(e) => Err(e),
    }
}

/// Puts a text in the place of the configuration file, whole or not at all; of a link, in the
/// place of what it leads to. The mode stays, and where we may the owner.
///
/// # Errors
/// Those of the file system; then the file is as it was.
pub fn install(config: &Path, text: &str) -> io::Result<()> {
    let path: PathBuf = fs::canonicalize(config).unwrap_or_else(|_| config.into());
    let old = fs::metadata(&path).ok();
    let mode = old.as_ref().map_or(0o600, |old| old.permissions().mode() & 0o7777);
    replace_with_mode(&path, text.as_bytes(), mode)?;
    if let Some(old) = old {
        // Without the right to, it is root's from now on; it can still be read as before by root.
        let _ = std::os::unix::fs::chown(&path, Some(old.uid()), Some(old.gid()));
    }
    Ok(())
}

fn read_json<T: DeserializeOwned>(path: &Path, problems: &mut Vec<String>) -> Option<T> {
    match read_up_to(path, MOST_BYTES) {
        Ok(text) => serde_json::from_slice(&text)
            .map_err(|e| problems.push(format!("{} is damaged ({e})", path.display())))
            .ok(),
        Err(e) => {
            problems.extend(unread(path, &e));
            None
        }
    }
}

fn unread(path: &Path, e: &io::Error) -> Option<String> {
    let is_missing = e.kind() == io::ErrorKind::NotFound;
    (!is_missing).then(|| format!("could not read {}: {e}", path.display()))
}

/// In the state directory.
const LAST_GOOD: &str = "last-good.toml";
const HISTORY: &str = "history.json";
const TRIAL: &str = "trial.json";
/// Behind the name of the configuration file.
const REJECTED: &str = ".rejected";
const UNLOADED: &str = ".unloaded";
/// A text of 2 MB of nothing but quotes is twice that in JSON.
const MOST_BYTES: u64 = 16 << 20;
/// A configuration is no larger.
const MOST_TO_NOTE: usize = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::revision::{Entry, Origin};
    use rail_core::time::Instant;

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("rail-revision-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    fn trial() -> Trial {
        Trial {
            origin: Origin { wall: "w".into(), by: "root".into(), how: "apply".into() },
            text: "new \u{1f600}\n\"".into(),
            back: "old".into(),
            boot_id: "b".into(),
            until: Instant::from_nanos(7),
            is_confirmed: false,
            replaced: None,
        }
    }

    fn history() -> History {
        let origin = Origin { wall: "w".into(), ..Origin::default() };
        History { entries: vec![Entry { origin, text: "old".into() }] }
    }

    /// Given what is kept, when it is read again, then it is the same, and nothing else is left.
    #[test]
    fn all_comes_back() {
        let dir = scratch("round");
        assert_eq!(load(&dir), (Kept::default(), vec![]));
        keep(&dir, "old", &history()).unwrap();
        keep_trial(&dir, &trial()).unwrap();
        let all = Kept { last_good: Some("old".into()), history: history(), trial: Some(trial()) };
        assert_eq!(load(&dir), (all, vec![]));
        drop_trial(&dir).unwrap();
        drop_trial(&dir).unwrap();
        assert_eq!(load(&dir).0.trial, None);
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 2);
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a configuration file with the text that is on trial, when that is taken back, then the
    /// file has the good text again, and the other is beside it; when it was confirmed, or the file
    /// was edited since, then the file stays; a confirmation that fails leaves a trial.
    #[test]
    fn a_file_that_was_tried_itself_goes_back() {
        let dir = scratch("restore");
        let (state, file) = (dir.join("state"), dir.join("rail.toml"));
        fs::create_dir_all(&state).unwrap();
        let trial = trial();
        let content = || fs::read_to_string(&file).unwrap();
        fs::write(&file, &trial.text).unwrap();
        assert_eq!(restore(&state, &file, "old").unwrap(), None, "no trial");
        keep_trial(&state, &trial).unwrap();
        let rejected = restore(&state, &file, "old").unwrap().unwrap();
        assert_eq!(
            (content().as_str(), rejected.as_path()),
            ("old", &*dir.join("rail.toml.rejected"))
        );
        assert_eq!(fs::read_to_string(rejected).unwrap(), trial.text);
        fs::write(&file, "edited since").unwrap();
        assert_eq!(restore(&state, &file, "old").unwrap(), None);
        let unloaded = confirm(&state, &file, &trial).unwrap().unwrap();
        assert_eq!(content(), trial.text);
        assert_eq!(unloaded, dir.join("rail.toml.unloaded"));
        assert_eq!(fs::read_to_string(unloaded).unwrap(), "edited since");
        let noted = load(&state).0.trial.unwrap();
        assert!(noted.is_confirmed);
        assert_eq!(noted.replaced.as_deref(), Some("edited since"));
        assert_eq!(restore(&state, &file, &trial.text).unwrap(), None);
        assert!(confirm(&state, &dir.join("none/rail.toml"), &trial).is_err());
        assert_eq!(load(&state).0.trial, Some(trial));
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a configuration file that was edited and never loaded, in whatever encoding, when another
    /// text is installed, then the edit is kept beside it with its mode; what was loaded, the same text,
    /// an empty file and a missing one leave nothing there. One that cannot be read stays.
    #[test]
    fn an_edit_that_was_never_loaded_is_kept() {
        let dir = scratch("unloaded");
        let (file, beside) = (dir.join("rail.toml"), dir.join("rail.toml.unloaded"));
        assert_eq!(install_over(&file, "new", "old").unwrap(), None);
        for (there, is_kept) in
            [(&b"old"[..], false), (b"new", false), (b"", false), (b"edit", true), (b"\xff", true)]
        {
            fs::write(&file, there).unwrap();
            fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
            let kept = install_over(&file, "new", "old").unwrap();
            assert_eq!(fs::read(&file).unwrap(), b"new");
            assert_eq!(kept.is_some(), is_kept, "{there:?}");
            assert_eq!(beside.exists(), is_kept);
            if is_kept {
                assert_eq!(fs::read(&beside).unwrap(), there);
                assert_eq!(fs::metadata(&beside).unwrap().permissions().mode() & 0o7777, 0o640);
                fs::remove_file(&beside).unwrap();
            }
        }
        fs::write(&file, "edit").unwrap();
        fs::create_dir(&beside).unwrap();
        assert!(install_over(&file, "new", "old").is_err());
        assert_eq!(fs::read(&file).unwrap(), b"edit");
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given each of the files torn at every byte, no text, too large, or a directory, when all is
    /// read, then the others are there and a sentence names the one.
    #[test]
    fn one_that_is_damaged_costs_itself_alone() {
        let dir = scratch("torn");
        keep(&dir, "old", &history()).unwrap();
        keep_trial(&dir, &trial()).unwrap();
        for name in [HISTORY, TRIAL] {
            let whole = fs::read(dir.join(name)).unwrap();
            for cut in 0..whole.len() {
                fs::write(dir.join(name), &whole[..cut]).unwrap();
                let (kept, problems) = load(&dir);
                assert_eq!(kept.last_good.as_deref(), Some("old"));
                assert_eq!(kept.trial.is_some(), name == HISTORY, "{name} cut at {cut}");
                assert_eq!(kept.history.entries.is_empty(), name == HISTORY);
                assert!(problems.len() == 1 && problems[0].contains(name), "{problems:?}");
            }
            fs::write(dir.join(name), &whole).unwrap();
        }
        for name in [LAST_GOOD, HISTORY, TRIAL] {
            fs::write(dir.join(name), [0xff, 0xfe]).unwrap();
            assert_eq!(load(&dir).1.len(), 1);
            fs::File::create(dir.join(name)).unwrap().set_len(MOST_BYTES + 1).unwrap();
            assert!(load(&dir).1[0].contains("too large"));
            fs::remove_file(dir.join(name)).unwrap();
            fs::create_dir(dir.join(name)).unwrap();
            assert_eq!(load(&dir).1.len(), 1);
            fs::remove_dir(dir.join(name)).unwrap();
        }
        fs::remove_dir_all(dir).unwrap();
    }

    /// Given a configuration file behind a link, when another is installed, then the link stays, and
    /// so does the mode of the file; where there was none, it is for root alone.
    #[test]
    fn what_is_installed_stands_where_the_file_was() {
        let dir = scratch("install");
        let (real, link) = (dir.join("real.toml"), dir.join("rail.toml"));
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o664)).unwrap();
        std::os::unix::fs::symlink("real.toml", &link).unwrap();
        install(&link, "new").unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o7777, 0o664);
        let fresh = dir.join("fresh.toml");
        install(&fresh, "new").unwrap();
        assert_eq!(fs::metadata(&fresh).unwrap().permissions().mode() & 0o7777, 0o600);
        assert!(install(&dir.join("none/rail.toml"), "new").is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
