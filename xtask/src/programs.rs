//! Every program that is started here is one that `./dev setup` installs.
//!
//! Owns the comparison of the lists in `dev` with the code, the tests, the
//! laboratory, the benchmark and the scripts. Promises: a program without an
//! entry is a breach where it is started, an entry that nobody starts is one, too.
//! A start whose program is not written there (`Command::new(program)`) wants a
//! comment in its file that names what it starts: `starts:` behind two slashes,
//! then the names, and after a `;` what there is to say. What a package starts on
//! other machines (`packaging/`) is not installed here and left out.

use crate::shell;
use crate::source;
use crate::workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Where the lists are.
const LISTS: &str = "dev";

/// Lists that hold for some files besides `PROGRAMS`, which holds for all.
const SCOPES: &[(&str, &str)] = &[
    ("dev", "FRESH_PROGRAMS"),
    ("lab/fresh", "FRESH_PROGRAMS"),
    ("lab/guest", "GUEST_PROGRAMS"),
    ("xtask/src/mutants.rs", "MUTANTS_PROGRAMS"),
];

/// Not started, or not by us.
const NEVER: &[&str] = &["no-such-program", "rail"];

#[rustfmt::skip]
/// In every minimal root of Debian and Ubuntu, from packages that are essential or required.
const ESSENTIAL: &[&str] = &[
    // apt, dpkg
    "apt-cache", "apt-config", "apt-get", "dpkg-deb",
    // bash, dash, coreutils, grep
    "bash", "cat", "chmod", "chroot", "cp", "cut", "date", "dirname", "echo", "env", "grep", "head",
    "id", "install", "ln", "ls", "mkdir", "mktemp", "mv", "nice", "pwd", "readlink", "rm", "rmdir",
    "seq", "sh", "sleep", "sort", "stat", "stty", "sync", "tail", "tee", "timeout", "touch", "tr", "true", "uname",
    "wc", "yes",
    // mawk, sed, tar, gzip, findutils
    "awk", "find", "gzip", "sed", "tar",
    // mount, util-linux
    "chrt", "flock", "mount", "nsenter", "pivot_root", "setpriv", "setsid", "switch_root", "umount",
    "taskset", "unshare",
];

/// Installed by the step of `./dev` that uses them, or used only where they are.
const ELSEWHERE: &[&str] = &["cargo", "cargo-deny", "rustc", "rustup", "sudo"];

/// A program that something starts.
struct Start {
    path: PathBuf,
    line: usize,
    program: String,
}

/// `program:package` of one list.
struct Entry {
    list: String,
    program: String,
}

/// What differs between the lists and what is started, each as a sentence.
///
/// # Errors
/// The repository cannot be read.
pub(crate) fn check(breaches: &mut Vec<String>) -> Result<(), String> {
    let starts = starts(breaches)?;
    compare(&starts, &entries(), breaches);
    Ok(())
}

/// The entries of all lists.
fn entries() -> Vec<Entry> {
    let text = workspace::text(Path::new(LISTS)).unwrap_or_default();
    let mut found = Vec::new();
    for (name, body) in text.split("readonly ").filter_map(|part| part.split_once("PROGRAMS=(")) {
        let list = format!("{name}PROGRAMS");
        let body = body.split_once(')').map_or("", |(body, _)| body);
        for (program, _) in body.split_whitespace().filter_map(|entry| entry.split_once(':')) {
            found.push(Entry { list: list.clone(), program: program.to_owned() });
        }
    }
    found
}

fn compare(starts: &[Start], entries: &[Entry], breaches: &mut Vec<String>) {
    let mut used = BTreeSet::new();
    for start in starts {
        let program = start.program.as_str();
        if ESSENTIAL.contains(&program) || ELSEWHERE.contains(&program) {
            continue;
        }
        let holds = |list: &str| {
            list == "PROGRAMS"
                || SCOPES.iter().any(|(path, l)| start.path.starts_with(path) && *l == list)
        };
        let mut fitting = entries.iter().filter(|e| e.program == program && holds(&e.list));
        match fitting.next() {
            Some(entry) => drop(used.insert((entry.list.as_str(), program))),
            None => breaches.push(format!(
                "{}:{}: {program} is started, but ./dev setup does not install it: add \
                 {program}:PACKAGE to a list in {LISTS}",
                start.path.display(),
                start.line
            )),
        }
    }
    let idle = entries.iter().filter(|e| !used.contains(&(e.list.as_str(), e.program.as_str())));
    breaches.extend(idle.map(|e| format!("{LISTS}: {}: nothing starts {}", e.list, e.program)));
}

fn starts(breaches: &mut Vec<String>) -> Result<Vec<Start>, String> {
    let mut all = Vec::new();
    let files = workspace::files()?;
    let parts = functions_of_parts(&files);
    for path in files {
        let Some(text) = workspace::text(&path) else { continue };
        let found = if path.extension().is_some_and(|e| e == "rs") {
            in_rust(&path, &text, breaches)
        } else if is_shell(&text) && !path.starts_with("packaging") {
            let mut found = in_shell(&text);
            let own = parts.get(path.parent().unwrap_or(Path::new("")));
            found.retain(|(_, word)| own.is_none_or(|own| !own.contains(word)));
            found
        } else {
            Vec::new()
        };
        for (line, program) in found {
            // What lies in the repository is started by a path of it.
            let is_ours =
                program.contains('/') && !program.starts_with('/') || program.starts_with("/proc/");
            let program = program.rsplit('/').next().unwrap_or_default().to_owned();
            let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.+".contains(c);
            if !is_ours && !NEVER.contains(&program.as_str()) && program.chars().all(is_name) {
                all.push(Start { path: path.clone(), line, program });
            }
        }
    }
    Ok(all)
}

/// The functions of scripts that are one script in parts, by their directory: those beside a `part-..`.
fn functions_of_parts(files: &[PathBuf]) -> BTreeMap<PathBuf, BTreeSet<String>> {
    let is_part = |path: &&PathBuf| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("part-"))
    };
    let mut all = BTreeMap::<PathBuf, BTreeSet<String>>::new();
    for directory in files.iter().filter(is_part).filter_map(|path| path.parent()) {
        all.entry(directory.to_path_buf()).or_default();
    }
    for path in files {
        let Some(own) = path.parent().and_then(|directory| all.get_mut(directory)) else {
            continue;
        };
        let text = workspace::text(path).filter(|text| is_shell(text));
        own.extend(text.iter().flat_map(|text| shell::functions(text)));
    }
    all
}

fn is_shell(text: &str) -> bool {
    text.starts_with("#!") && text.lines().next().is_some_and(|line| line.ends_with("sh"))
}

fn in_shell(text: &str) -> Vec<shell::Command> {
    let mut found = shell::programs(text);
    let first = text.lines().next().unwrap_or_default().trim_start_matches("#!");
    found.extend(first.split(' ').take(1).map(|program| (1, program.to_owned())));
    found
}

/// What stands before the name of a program.
const CALLS: &[&str] =
    &["Command::new(", ".sh(", ".run(", "run(spawner, ", ".request(", " run(", "!(run(", "output("];

fn in_rust(path: &Path, text: &str, breaches: &mut Vec<String>) -> Vec<shell::Command> {
    let bare = source::bare(text);
    let mut found = named(text);
    let is_named = !found.is_empty();
    let runs_lines = ["lab", "bench"].iter().any(|folder| path.starts_with(folder));
    for call in CALLS {
        for (at, _) in bare.match_indices(call) {
            let line = source::line(text, at);
            let rest = text[at + call.len()..].trim_start();
            let is_start = *call == "Command::new(" || (*call == ".sh(" && runs_lines);
            match literal(rest) {
                Some(words) => {
                    let mut words = words.split_whitespace();
                    found.extend(words.next().map(|program| (line, program.to_owned())));
                }
                None if is_start && !is_named && !is_own(rest) => {
                    breaches.push(format!(
                        "{}:{line}: which program is this? Name it in a comment: // {MARK} NAME",
                        path.display()
                    ));
                }
                None => {}
            }
        }
    }
    found.extend(scripts(text));
    found
}

/// This program itself, or one of this repository.
fn is_own(rest: &str) -> bool {
    ["env!(", "std::env::current_exe"].iter().any(|own| rest.starts_with(own))
}

/// What comments name.
fn named(text: &str) -> Vec<shell::Command> {
    let lines = text.lines().enumerate();
    let marked = lines.filter_map(|(n, line)| Some((n + 1, line.trim().strip_prefix("// ")?)));
    let marked = marked.filter_map(|(n, line)| Some((n, line.strip_prefix(MARK)?)));
    let marked = marked.map(|(n, names)| (n, names.split(';').next().unwrap_or_default()));
    let is_end = |c: char| c == ',' || c.is_whitespace();
    marked
        .flat_map(|(n, names)| names.split(is_end).map(move |name| (n, name.to_owned())))
        .filter(|(_, name)| !name.is_empty())
        .collect()
}

/// The text of a literal that begins an argument: `"..`, `&["..`, `&format!("..`.
fn literal(rest: &str) -> Option<&str> {
    let rest = ["&format!(", "&[", "["].iter().find_map(|p| rest.strip_prefix(p)).unwrap_or(rest);
    rest.trim_start().strip_prefix('"')?.split('"').next()
}

/// The programs in the texts of `sh -c`.
fn scripts(text: &str) -> Vec<shell::Command> {
    let mut found = Vec::new();
    for (at, option) in text.match_indices("c\", \"") {
        let before = text[..at].rsplit('"').next().unwrap_or_default();
        if before != "-" && before != "-e" {
            continue;
        }
        let line = source::line(text, at);
        let script = text[at + option.len()..].split('"').next().unwrap_or_default();
        found.extend(shell::programs(script).into_iter().map(|(_, program)| (line, program)));
    }
    found
}

/// What begins a comment that names programs.
const MARK: &str = "starts:";

#[cfg(test)]
mod tests {
    use super::*;

    /// Given this repository, when one entry of a list is dropped, then that is a breach; each one.
    #[test]
    fn no_entry_can_be_dropped() {
        let starts = starts(&mut Vec::new()).unwrap();
        let count = entries().len();
        assert!(count >= 10, "{count} entries");
        for dropped in 0..count {
            let mut left = entries();
            let entry = left.remove(dropped);
            let mut breaches = Vec::new();
            compare(&starts, &left, &mut breaches);
            let named = breaches.iter().filter(|b| b.contains(&entry.program)).count();
            assert!(named > 0, "{} without {}: {breaches:?}", entry.list, entry.program);
        }
    }

    /// Given each way to start a program, then its name is found; where none is written, a comment
    /// is asked for.
    #[test]
    fn programs_are_found_in_rust() {
        for (text, expected) in [
            ("f(Command::new(\"a\"))", "a"),
            ("n.sh(\"a b c\")", "a"),
            ("n.sh(&format!(\"a {b}\"))", "a"),
            ("n.run(&[\"a\", b])", "a"),
            ("s.request(&[\"sh\", \"-c\", \"a | b\"])", "sh a b"),
            ("// starts: a, b\nf(Command::new(c))", "a b"),
            ("f(Command::new(a)) // no name", "?"),
            ("n.sh(a)", "?"),
            ("// Command::new(a)\n", ""),
        ] {
            let mut breaches = Vec::new();
            let found = in_rust(Path::new("lab/x.rs"), text, &mut breaches);
            let mut words: Vec<_> = found.into_iter().map(|(_, program)| program).collect();
            words.extend(breaches.iter().map(|_| "?".to_owned()));
            assert_eq!(words.join(" "), expected, "{text}");
        }
    }
}
