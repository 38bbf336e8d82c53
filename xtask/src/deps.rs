//! What we build upon: every direct dependency has its reason in
//! ARCHITECTURE.md, every package a licence of the list in `deny.toml`, comes
//! from the registry, and exists in one version only.
//!
//! `cargo deny` says the same and more where it is installed; this check needs
//! nothing but cargo.

use crate::workspace::{self, list, word};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// How the source of a package from a registry begins; paths have none, git has another.
const REGISTRY: &str = "registry+";

/// Checks the dependencies.
///
/// # Errors
/// Every breach, one a line.
pub(crate) fn run(_: &[String]) -> Result<(), String> {
    let mut breaches = Vec::new();
    explained(&mut breaches)?;
    let count = packages(&mut breaches)?;
    if breaches.is_empty() {
        println!("deps: {count} packages, each explained, licensed and from the registry");
        return Ok(());
    }
    Err(breaches.join("\n"))
}

/// The table of ARCHITECTURE.md names the direct dependencies, no more and no fewer.
fn explained(breaches: &mut Vec<String>) -> Result<(), String> {
    let (ours, arrows) = workspace::arrows()?;
    let others = arrows.into_iter().map(|arrow| arrow.to);
    let real: BTreeSet<String> = others.filter(|to| !ours.contains(to)).collect();
    let text = workspace::text(Path::new("ARCHITECTURE.md")).unwrap_or_default();
    let rows = workspace::section(&text, "## Dependencies");
    let named: BTreeSet<String> = rows
        .iter()
        .filter_map(|row| row.strip_prefix("| `")?.split_once('`'))
        .map(|(name, _)| name.to_owned())
        .collect();
    let missing = real.difference(&named);
    breaches.extend(missing.map(|n| format!("ARCHITECTURE.md: no reason is given for {n}")));
    let gone = named.difference(&real);
    breaches.extend(gone.map(|n| format!("ARCHITECTURE.md: {n} is not used any more")));
    Ok(())
}

/// Source, licence and number of versions of every package that this machine would build.
fn packages(breaches: &mut Vec<String>) -> Result<usize, String> {
    let host = host()?;
    let metadata = workspace::metadata(&["--locked", "--filter-platform", &host])?;
    let allowed = allowed(&workspace::text(Path::new("deny.toml")).unwrap_or_default());
    let mut versions: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for package in list(&metadata, "packages") {
        let (name, version) = (word(package, "name"), word(package, "version"));
        let licence = word(package, "license");
        if !permits(&licence, &allowed) {
            breaches.push(format!("{name} {version}: licence {licence:?} is not on the list"));
        }
        let source = word(package, "source");
        if !source.is_empty() && !source.starts_with(REGISTRY) {
            breaches.push(format!("{name} {version}: comes from {source}"));
        }
        versions.entry(name).or_default().push(version);
    }
    for (name, versions) in versions.iter().filter(|(_, versions)| versions.len() > 1) {
        breaches.push(format!("{name}: several versions ({})", versions.join(", ")));
    }
    Ok(versions.len())
}

/// The platform of this machine, in rustc's words.
fn host() -> Result<String, String> {
    let output = std::process::Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|e| format!("rustc cannot be started: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).ok_or_else(|| "rustc -vV names no host".to_owned())
}

/// The words of `allow = [ .. ]` in `deny.toml`.
fn allowed(deny: &str) -> BTreeSet<String> {
    let list = deny.split_once("allow = [").and_then(|(_, rest)| rest.split_once(']'));
    let words = list.map(|(list, _)| list.split('"').skip(1).step_by(2));
    words.into_iter().flatten().map(str::to_owned).collect()
}

/// Whether an SPDX expression can be met with these licences.
fn permits(expression: &str, allowed: &BTreeSet<String>) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut at = 0;
    !words.is_empty() && any_of(&words, &mut at, allowed) && at == words.len()
}

fn any_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = all_of(words, at, allowed);
    while words.get(*at) == Some(&"OR") {
        *at += 1;
        met |= all_of(words, at, allowed);
    }
    met
}

fn all_of(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let mut met = one(words, at, allowed);
    while words.get(*at) == Some(&"AND") {
        *at += 1;
        met &= one(words, at, allowed);
    }
    met
}

fn one(words: &[&str], at: &mut usize, allowed: &BTreeSet<String>) -> bool {
    let Some(word) = words.get(*at) else { return false };
    *at += 1;
    if *word == "(" {
        let met = any_of(words, at, allowed);
        *at += 1;
        return met;
    }
    let mut name = (*word).to_owned();
    if let (Some(&"WITH"), Some(exception)) = (words.get(*at), words.get(*at + 1)) {
        name = format!("{name} WITH {exception}");
        *at += 2;
    }
    allowed.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given SPDX expressions, when MIT and Zlib are allowed, then only what they can meet passes.
    #[test]
    fn licences_are_judged() {
        let allowed = allowed("[licenses]\nallow = [\"MIT\", \"Zlib\"]\n");
        for good in ["MIT", "MIT OR GPL-3.0", "GPL-3.0/MIT", "(GPL-3.0 OR MIT) AND Zlib"] {
            assert!(permits(good, &allowed), "{good}");
        }
        for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "MIT WITH X", "(MIT", "MIT Zlib"] {
            assert!(!permits(bad, &allowed), "{bad}");
        }
    }
}
