//! The repository as data: its root, its files, its packages.

use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Folders that hold nothing of ours.
const SKIPPED: &[&str] = &[".git", ".dev", "target", "corpus", "artifacts"];

/// The root of the workspace.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().expect("xtask lies in the workspace").to_path_buf()
}

/// Every file below the root, as a path relative to it, in order.
pub(crate) fn files() -> Result<Vec<PathBuf>, String> {
    let root = root();
    let mut found = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        let entries = std::fs::read_dir(&folder).map_err(|e| format!("{folder:?}: {e}"))?;
        for entry in entries {
            let entry = entry.map_err(|e| format!("{folder:?}: {e}"))?;
            let kind = entry.file_type().map_err(|e| format!("{:?}: {e}", entry.path()))?;
            let name = entry.file_name();
            if kind.is_dir() && !SKIPPED.iter().any(|skipped| name == *skipped) {
                open.push(entry.path());
            } else if kind.is_file() {
                let path = entry.path();
                found.push(path.strip_prefix(&root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The text of a file; `None` if it is not UTF-8 or has gone.
pub(crate) fn text(path: &Path) -> Option<String> {
    std::fs::read_to_string(root().join(path)).ok()
}

/// The answer of `cargo metadata` with these arguments.
///
/// # Errors
/// The message of cargo.
pub(crate) fn metadata(arguments: &[&str]) -> Result<Value, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // starts: cargo
    let output = Command::new(cargo)
        .current_dir(root())
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .output()
        .map_err(|e| format!("cargo metadata cannot be started: {e}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).trim().to_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

/// One arrow of the dependency graph.
pub(crate) struct Arrow {
    /// The package that needs the other.
    pub(crate) from: String,
    /// The other.
    pub(crate) to: String,
    /// It lies in this repository.
    pub(crate) ours: bool,
    /// Only tests need it.
    pub(crate) only_tests: bool,
}

/// Names of our packages, and what they need directly.
///
/// # Errors
/// The message of cargo.
pub(crate) fn arrows() -> Result<(BTreeSet<String>, Vec<Arrow>), String> {
    let metadata = metadata(&["--no-deps", "--offline"])?;
    let mut names = BTreeSet::new();
    let mut arrows = Vec::new();
    for package in list(&metadata, "packages") {
        let from = word(package, "name");
        names.insert(from.clone());
        for dependency in list(package, "dependencies") {
            arrows.push(Arrow {
                from: from.clone(),
                to: word(dependency, "name"),
                ours: dependency["path"].is_string(),
                only_tests: dependency["kind"] == "dev",
            });
        }
    }
    Ok((names, arrows))
}

/// The array `key` of a JSON object; empty if there is none.
pub(crate) fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value[key].as_array().map_or(&[], Vec::as_slice)
}

/// The text `key` of a JSON object; empty if there is none.
pub(crate) fn word(value: &Value, key: &str) -> String {
    value[key].as_str().unwrap_or_default().to_owned()
}

/// The lines of a Markdown file between a heading and the next one.
pub(crate) fn section(markdown: &str, heading: &str) -> Vec<String> {
    let from = markdown.lines().skip_while(|line| *line != heading).skip(1);
    from.take_while(|line| !line.starts_with("## ")).map(str::to_owned).collect()
}
