//! The rules of the house that no compiler checks.
//!
//! Owns sizes of files and functions, forbidden words, the borders between the
//! crates as ARCHITECTURE.md draws them, and the links of the manual; others look at the
//! rooms of the core and at the files that the pages name. It runs as an ordinary test, too.

use crate::circles;
use crate::mutants;
use crate::pages;
use crate::programs;
use crate::source;
use crate::workspace;
use std::collections::BTreeSet;
use std::path::Path;

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;
/// The only place that reads the wall clock.
const WALL_CLOCK: &str = "crates/linux/src/clock.rs";
/// Where the laws are listed.
const LAWS: &str = "crates/sim/src/invariant/mod.rs";

/// What only one part may do: the folder that may not, the words, and who does it instead. A
/// command that waits at a terminal is no part of the router.
const BORDERS: &[(&str, &str, &str)] = &[
    ("crates/rail/src/daemon", "Instant::now", "the clock is read in rail_linux"),
    ("crates/rail/src/daemon", "SystemTime::now", "the clock is read in rail_linux"),
    ("crates/rail/src/daemon", "thread::sleep", "the loop waits in one place, with a deadline"),
    ("crates/rail/src/daemon", "Command::new", "children are started by rail_linux::process"),
    ("crates/rail/src/load", "Command::new", "reading a file starts nothing"),
    ("crates/rail/src", "UdpSocket", "rail speaks to its operator alone"),
    ("crates/rail/src", "TcpStream", "rail speaks to its operator alone"),
];

/// Where the rules are made, and the only file of it that reads what `[[uplink]]` says.
const RENDER: &str = "crates/core/src/render";
const VIEW: &str = "crates/core/src/render/view.rs";
/// Words by which the others would read it.
const UPLINKS: &[&str] =
    &["UplinkConfig", "config.uplinks", "config().uplinks", "config.maybe_outside"];
/// Words by which that file would read what an uplink has from the configuration, which its facts say.
const CONFIGURED: &[&str] =
    &["uplink.address", "u.address", "uplink.gateway", "u.gateway", ".own_addresses"];

/// Checks the whole repository.
///
/// # Errors
/// Every breach, one a line.
pub(crate) fn run(_: &[String]) -> Result<(), String> {
    let mut breaches = Vec::new();
    for path in workspace::files()? {
        if let Some(text) = workspace::text(&path) {
            words(&path, &text, &mut breaches);
            if path.extension().is_some_and(|e| e == "rs") {
                rust(&path, &text, &mut breaches);
            }
        }
    }
    laws(&mut breaches);
    graph(&mut breaches)?;
    manual(&mut breaches)?;
    changelog(&mut breaches);
    programs::check(&mut breaches)?;
    circles::check(&mut breaches)?;
    pages::check(&mut breaches)?;
    if breaches.is_empty() {
        println!("tidy: nothing to complain about");
        return Ok(());
    }
    Err(breaches.join("\n"))
}

/// Words that must not stand in any file. They are built here, so that this file passes.
fn forbidden() -> Vec<(String, &'static str)> {
    let mut words = vec![
        (["TO", "DO"].concat(), "say it as `GAP RFC ..` or in the manual, or do it"),
        (["FIX", "ME"].concat(), "fix it"),
        (["dbg", "!("].concat(), "left over from a search"),
        (["<<<<", "<<< "].concat(), "left over from a merge"),
    ];
    // A path of this machine works nowhere else; short roots (`/`) would match everything.
    let root = workspace::root().display().to_string();
    if root.matches('/').count() >= 2 {
        words.push((root, "a path of this machine"));
    }
    words
}

fn words(path: &Path, text: &str, breaches: &mut Vec<String>) {
    for (word, why) in forbidden() {
        if let Some(at) = text.find(&word) {
            let line = source::line(text, at);
            breaches.push(format!("{}:{line}: {word:?}: {why}", path.display()));
        }
    }
}

/// Tests may be long, and may unwrap.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().and_then(|s| s.to_str()).unwrap_or_default();
    stem == "tests"
        || stem == "testing"
        || stem.ends_with("_tests")
        || path.components().any(|c| c.as_os_str() == "tests")
}

fn rust(path: &Path, text: &str, breaches: &mut Vec<String>) {
    let shown = path.display();
    let lines = text.lines().count();
    if lines > FILE_LINES {
        breaches
            .push(format!("{shown}: {lines} lines, at most {FILE_LINES}: give each idea a file"));
    }
    if !text.starts_with("//!") && !is_test(path) {
        breaches.push(format!("{shown}:1: a file opens with a chapter (`//!`)"));
    }
    let bare = source::bare(text);
    no_std(path, &bare, breaches);
    if is_test(path) {
        return;
    }
    let tests = source::test_parts(&bare);
    let in_tests = |at: usize| tests.iter().any(|part| part.contains(&at));
    for function in source::functions(&bare) {
        if function.lines > FUNCTION_LINES && !in_tests(function.start) {
            let line = source::line(&bare, function.start);
            let (name, lines) = (&function.name, function.lines);
            breaches.push(format!(
                "{shown}:{line}: fn {name} has {lines} lines, at most {FUNCTION_LINES}"
            ));
        }
    }
    for (folder, word, why) in BORDERS {
        if let Some(at) = bare.find(word).filter(|at| path.starts_with(folder) && !in_tests(*at)) {
            let line = source::line(&bare, at);
            breaches.push(format!("{shown}:{line}: {word} does not belong here: {why}"));
        }
    }
    if let Some((word, at)) = configured(path, &bare).find(|(_, at)| !in_tests(*at)) {
        let line = source::line(&bare, at);
        breaches.push(format!(
            "{shown}:{line}: {word} is the configuration: what an uplink has its facts say, see {VIEW}"
        ));
    }
    // Who steps the wall clock must not reach any decision.
    if let Some(at) = bare.find("ClockId::Realtime").filter(|_| path != Path::new(WALL_CLOCK)) {
        let line = source::line(&bare, at);
        breaches.push(format!("{shown}:{line}: the wall clock is read in {WALL_CLOCK}, as text"));
    }
    for (at, _) in bare.match_indices(".unwrap()") {
        if !in_tests(at) {
            let line = source::line(&bare, at);
            breaches.push(format!("{shown}:{line}: unwrap() outside tests"));
        }
    }
}

/// Where a file that makes rules reads an uplink's address or gateway from the configuration, or may.
fn configured<'a>(path: &Path, bare: &'a str) -> impl Iterator<Item = (&'static str, usize)> + 'a {
    let words = match path {
        path if path == Path::new(VIEW) => CONFIGURED,
        path if path.starts_with(RENDER) => UPLINKS,
        _ => &[],
    };
    // `addresses` is another key: those are meant for the interface whatever else is learnt.
    let is_whole = |end: usize| !bare[end..].starts_with(|c: char| c.is_alphanumeric());
    let found = words.iter().flat_map(|word| bare.match_indices(word).map(|(at, _)| (*word, at)));
    found.filter(move |(word, at)| is_whole(at + word.len()))
}

/// `wire` and `core` have no standard library, and no back door to it.
fn no_std(path: &Path, bare: &str, breaches: &mut Vec<String>) {
    let pure = ["crates/wire/src", "crates/core/src"];
    if !pure.iter().any(|folder| path.starts_with(folder)) {
        return;
    }
    if let Some(at) = bare.find("extern crate std") {
        let line = source::line(bare, at);
        breaches.push(format!("{}:{line}: no standard library here", path.display()));
    }
    if path.ends_with("src/lib.rs") && !bare.contains("#![no_std]") {
        breaches.push(format!("{}:1: `#![no_std]` is missing", path.display()));
    }
}

/// Each law of the simulator has a planted bug that turns it red, and each bug names a law.
fn laws(breaches: &mut Vec<String>) {
    let text = workspace::text(Path::new(LAWS)).unwrap_or_default();
    let list = text.split_once("laws! {").map_or("", |(_, rest)| rest);
    let list = list.split_once('}').map_or("", |(list, _)| list);
    let laws: BTreeSet<&str> =
        list.lines().filter_map(|line| Some(line.split_once("=>")?.0.trim())).collect();
    let patches = workspace::files().unwrap_or_default();
    let is_patch = |path: &&std::path::PathBuf| path.starts_with("mutants");
    let mut named = BTreeSet::new();
    for path in patches.iter().filter(is_patch) {
        let patch = workspace::text(path).unwrap_or_default();
        let law = mutants::law_of(&patch).to_owned();
        if !laws.contains(law.as_str()) {
            breaches.push(format!("{}: {law:?} is no law of {LAWS}", path.display()));
        }
        named.insert(law);
    }
    for law in laws.iter().filter(|law| !named.contains(**law)) {
        breaches.push(format!("{LAWS}: no patch in mutants/ names the law {law}: can it fail?"));
    }
    if laws.is_empty() {
        breaches.push(format!("{LAWS}: no laws found"));
    }
}

/// The arrows between our crates are those that ARCHITECTURE.md draws.
fn graph(breaches: &mut Vec<String>) -> Result<(), String> {
    let (_, arrows) = workspace::arrows()?;
    let real: BTreeSet<String> = arrows
        .iter()
        .filter(|arrow| arrow.ours && !arrow.only_tests)
        .map(|arrow| format!("{} -> {}", arrow.from, arrow.to))
        .collect();
    let text = workspace::text(Path::new("ARCHITECTURE.md")).unwrap_or_default();
    let mut drawn = BTreeSet::new();
    for line in workspace::section(&text, "## The crates") {
        if let Some((from, to)) = line.split_once(" -> ") {
            drawn.extend(to.split(", ").map(|to| format!("{from} -> {to}")));
        }
    }
    let missing = real.difference(&drawn);
    breaches.extend(missing.map(|a| format!("ARCHITECTURE.md: the graph lacks `{a}`")));
    let gone = drawn.difference(&real);
    breaches.extend(gone.map(|a| format!("ARCHITECTURE.md: there is no `{a}` any more")));
    Ok(())
}

/// Every page of the manual is in its index, and every relative link leads somewhere.
fn manual(breaches: &mut Vec<String>) -> Result<(), String> {
    let index = workspace::text(Path::new("docs/README.md")).unwrap_or_default();
    for path in workspace::files()? {
        if path.extension().is_none_or(|e| e != "md") {
            continue;
        }
        let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
        if path.starts_with("docs") && name != "README.md" && !index.contains(&format!("({name})"))
        {
            breaches.push(format!("docs/README.md: {name} is not in the index"));
        }
        let folder = path.parent().unwrap_or(Path::new(""));
        let own = workspace::text(&path).unwrap_or_default();
        for (target, anchor) in links(&own) {
            let other = workspace::root().join(folder).join(&target);
            if !other.exists() {
                breaches.push(format!("{}: the link to {target} leads nowhere", path.display()));
            } else if !anchor.is_empty() {
                let read = std::fs::read_to_string(&other).unwrap_or_default();
                let text = if target.is_empty() { &own } else { &read };
                if !headings(text).any(|heading| heading == anchor) {
                    let shown = path.display();
                    breaches.push(format!("{shown}: no heading for the link {target}#{anchor}"));
                }
            }
        }
    }
    Ok(())
}

/// The headings of a page as the part of a link after `#`.
fn headings(markdown: &str) -> impl Iterator<Item = String> {
    let titles = markdown.lines().filter(|line| line.starts_with('#'));
    titles.map(|line| {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_');
        title.chars().filter(kept).map(|c| if c == ' ' { '-' } else { c }).collect()
    })
}

/// Relative targets of `[text](target)`, and the part after `#`; both may be empty.
fn links(markdown: &str) -> Vec<(String, String)> {
    let ends = markdown.match_indices("](").map(|(at, _)| &markdown[at + 2..]);
    let targets = ends.filter_map(|rest| rest.split_once(')')).map(|(target, _)| target);
    targets
        .filter(|t| !t.contains("://") && !t.starts_with("mailto:"))
        .map(|t| t.split_once('#').unwrap_or((t, "")))
        .map(|(target, anchor)| (target.to_owned(), anchor.to_owned()))
        .collect()
}

fn changelog(breaches: &mut Vec<String>) {
    let text = workspace::text(Path::new("CHANGELOG.md")).unwrap_or_default();
    if !text.lines().any(|line| line == "## Unreleased") {
        breaches.push("CHANGELOG.md: the heading `## Unreleased` is missing".to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Given this repository, then it is tidy.
    #[test]
    fn the_repository_is_tidy() {
        if let Err(breaches) = run(&[]) {
            panic!("\n{breaches}");
        }
    }

    /// Given one breach of each kind that a single file can have, then each is found.
    #[test]
    fn breaches_are_found() {
        let body = "    let a = 1;\n".repeat(FUNCTION_LINES);
        let text = format!("extern crate std;\nfn f() {{\n{body}}}\nfn g() {{ h().unwrap() }}\n");
        let mut breaches = Vec::new();
        rust(Path::new("crates/core/src/lib.rs"), &text, &mut breaches);
        let all = breaches.join("\n");
        for part in ["chapter", "no standard library", "no_std", "fn f has", "unwrap()"] {
            assert!(all.contains(part), "{part} in {all}");
        }
        let mut breaches = Vec::new();
        let text = "//! x\nfn f() { std::time::Instant::now(); }\n";
        rust(Path::new("crates/rail/src/daemon/x.rs"), text, &mut breaches);
        assert_eq!(breaches.len(), 1, "{breaches:?}");
        let mut breaches = Vec::new();
        rust(Path::new("x.rs"), &"//! x\n".repeat(FILE_LINES + 1), &mut breaches);
        words(Path::new("x.md"), &["a TO", "DO b"].concat(), &mut breaches);
        assert_eq!(breaches.len(), 2, "{breaches:?}");
    }

    /// Given files that make rules, then none reads an uplink's address from the configuration, the view
    /// neither; other files may.
    #[test]
    fn rules_ask_the_facts_for_addresses() {
        let breaches = |path: &str, body: &str| {
            let mut breaches = Vec::new();
            rust(Path::new(path), &format!("//! x\nfn f() {{ {body} }}\n"), &mut breaches);
            breaches.len()
        };
        let (rules, view) = ("crates/core/src/render/ladder.rs", VIEW);
        assert_eq!(breaches(rules, "view.config.uplinks.iter().map(|u| u.gateway)"), 1);
        assert_eq!(breaches(rules, "g(&UplinkConfig::default())"), 1);
        assert_eq!(breaches(rules, "uplink.address(family)"), 0);
        assert_eq!(breaches(view, "config.uplinks.iter().map(|u| u.ifname)"), 0);
        assert_eq!(breaches(view, "config.uplinks.iter().map(|u| u.gateway)"), 1);
        assert_eq!(breaches(view, "uplink.gateway_onlink"), 1);
        assert_eq!(breaches(view, "uplink.addresses.len()"), 0);
        assert_eq!(breaches("crates/core/src/revision/path.rs", "config.uplinks.len()"), 0);
    }

    /// Given links and headings, then a link finds the heading that it names.
    #[test]
    fn a_link_into_a_page_names_its_heading() {
        let text =
            "## `mode = \"basic\"`, the default\n[a](b.md#mode--basic-the-default) [c](#d)\n";
        let names: Vec<_> = headings(text).collect();
        assert_eq!(names, ["mode--basic-the-default"]);
        let expected = [("b.md", "mode--basic-the-default"), ("", "d")];
        assert_eq!(links(text), expected.map(|(a, b)| (a.to_owned(), b.to_owned())));
    }

    /// Given the same words inside a test, then they are allowed.
    #[test]
    fn tests_may_unwrap() {
        let mut breaches = Vec::new();
        let text = "//! x\n#[cfg(test)]\nmod tests { fn a() { b().unwrap() } }\n";
        rust(Path::new("x.rs"), text, &mut breaches);
        assert!(breaches.is_empty(), "{breaches:?}");
    }
}
