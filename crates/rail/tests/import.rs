//! `rail import fault_tolerant_router`: files that behave as published ones do, and bad ones, word for word.
//!
//! `UPDATE_GOLDEN=1 cargo test -p rail --test import` rewrites the expected texts; they are reviewed like
//! prose.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/import")
}

fn rail(dir: &Path, words: &[&str]) -> Output {
    let mut rail = Command::new(env!("CARGO_BIN_EXE_rail"));
    rail.current_dir(dir).args(words).output().expect("rail starts")
}

fn import(dir: &Path, file: &str) -> Output {
    rail(dir, &["import", "fault_tolerant_router", file])
}

fn files(dir: &Path) -> Vec<String> {
    let mut files: Vec<_> = fs::read_dir(dir)
        .expect("the corpus is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".conf"))
        .collect();
    files.sort();
    files
}

/// Compares with the expected text, or writes it.
fn golden(place: &Path, text: &str, wrong: &mut Vec<String>) {
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(place, text).expect("written");
    }
    if fs::read_to_string(place).unwrap_or_default() != text {
        wrong.push(format!("{}:\n{text}", place.display()));
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("text")
}

/// Given the sample and three files as people published them, when they are imported, then the outcome and
/// the warnings are the expected ones, no password is copied, and `rail check` takes the file.
#[test]
fn good_files_become_files_of_ours() {
    let dir = folder();
    let files = files(&dir);
    assert!(files.len() >= 4, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let output = import(&dir, &file);
        let (made, told) = (text(output.stdout), text(output.stderr));
        assert!(output.status.success(), "{file}: {told}");
        assert!(!made.contains("hunter-2"), "{file}: {made}");
        golden(&dir.join("golden").join(file.replace(".conf", ".toml")), &made, &mut wrong);
        golden(&dir.join("golden").join(file.replace(".conf", ".txt")), &told, &mut wrong);
        let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("imported-{file}.toml"));
        fs::write(&place, &made).expect("written");
        let check = rail(&dir, &["check", "--config", &place.display().to_string()]);
        assert!(check.status.success(), "{file}: {}", text(check.stderr));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Given files with faults, when they are imported, then all faults are told with their places in that file,
/// nothing is printed, and the exit code is 1.
#[test]
fn bad_files_are_explained() {
    let dir = folder().join("bad");
    let files = files(&dir);
    assert!(files.len() >= 10, "{files:?}");
    let mut wrong = Vec::new();
    for file in files {
        let output = import(&dir, &file);
        let (made, told) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(1), "{file}: {told}");
        assert_eq!(made, "", "{file}");
        assert!(told.contains(&format!("--> {file}:")), "{file} without a place:\n{told}");
        assert!(!told.contains("rail.toml"), "{file}: a place in a file that nobody has:\n{told}");
        golden(&dir.join(file.replace(".conf", ".txt")), &told, &mut wrong);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Given no file, a directory, too large a file, or bytes that are no text, when they are imported, then the
/// reason is told and the exit code is 1.
#[test]
fn what_is_no_text_is_refused() {
    let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join("import-odd");
    fs::create_dir_all(&dir).expect("made");
    fs::write(dir.join("large.conf"), "a: 1\n".repeat(200_001)).expect("written");
    fs::write(dir.join("latin1.conf"), b"uplinks:\n# \xfcber\n").expect("written");
    fs::write(dir.join("zero.conf"), b"uplinks:\n\0").expect("written");
    for (file, words) in [
        ("missing.conf", "cannot be read"),
        (".", "cannot be read"),
        ("large.conf", "larger than 1 MB"),
        ("latin1.conf", "not UTF-8 text, from line 2 column 3"),
        ("zero.conf", "zero bytes"),
    ] {
        let output = import(&dir, file);
        let told = text(output.stderr);
        assert_eq!(output.status.code(), Some(1), "{file}: {told}");
        assert!(told.contains(words) && output.stdout.is_empty(), "{file}: {told}");
    }
}
