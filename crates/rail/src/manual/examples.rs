//! The blocks of the pages: configurations are read, screens are compared.

use super::{Block, blocks, pages, root};
use crate::load;
use rail_linux::manager::{Holder, Program};
use std::fs;
use std::path::Path;

/// What completes a fragment: the inside, unless it has one, and two uplinks, unless it has uplinks.
pub(super) const PREFIX: [(&str, &str); 2] = [
    ("[lan]", "[lan]\ninterfaces = [\"lan0\"]\n"),
    (
        "[[uplink]]",
        "[[uplink]]\nname = \"isp1\"\ninterface = \"wan1\"\naddress = \"198.51.100.2/24\"\n\
         gateway = \"198.51.100.1\"\n[[uplink]]\nname = \"isp2\"\ninterface = \"wan2\"\n\
         address = \"203.0.113.2/24\"\ngateway = \"203.0.113.1\"\n",
    ),
];

fn source(block: &Block, is_fragment: bool) -> String {
    let missing = PREFIX.iter().filter(|(header, _)| is_fragment && !block.text.contains(header));
    missing.map(|(_, text)| *text).chain([block.text.as_str()]).collect()
}

/// Given the configurations of the manual, when they are read, then they are good, and warn only
/// where the page says so.
#[test]
fn configurations_are_good() {
    let mut seen = 0;
    for block in blocks() {
        let mut words = block.info.split(' ');
        if words.next() != Some("toml") {
            continue;
        }
        let words: Vec<&str> = words.collect();
        let unknown = words.iter().find(|word| !["fragment", "warns"].contains(word));
        assert_eq!(unknown, None, "{}", block.place);
        seen += 1;
        match load::load(Path::new(&block.place), &source(&block, words.contains(&"fragment"))) {
            Err(report) => panic!("{}\n{report}", block.place),
            Ok((_, warnings)) => {
                let reported: Vec<_> = warnings.iter().map(|w| &w.entry.message).collect();
                assert_eq!(
                    words.contains(&"warns"),
                    !reported.is_empty(),
                    "{}: {reported:?}",
                    block.place
                );
            }
        }
    }
    assert!(seen >= 8, "only {seen} configurations");
}

/// Given a block that shows what the program says, then it is the text of the file that it names,
/// whole or the part around `...`. `UPDATE_GOLDEN=1` renews the whole ones.
#[test]
fn screens_are_those_of_the_program() {
    let mut seen = 0;
    for block in blocks() {
        let Some(file) = block.info.strip_prefix("text ") else { continue };
        let is_kept = file.starts_with("crates/rail/tests/bad/") || file.contains("/golden/");
        assert!(is_kept, "{}: nothing keeps {file} true", block.place);
        let text = fs::read_to_string(root().join(file));
        let text = text.unwrap_or_else(|e| panic!("{}: {file}: {e}", block.place));
        seen += 1;
        if !block.text.lines().any(|line| line == "...") && block.text != text {
            if std::env::var_os("UPDATE_GOLDEN").is_none() {
                panic!("{}: {file} is now\n{text}", block.place);
            }
            let page = root().join(block.place.split(':').next().unwrap_or_default());
            let old = fs::read_to_string(&page).expect("the page is there");
            let fenced = |text: &str| format!("```{}\n{text}```\n", block.info);
            let new = old.replace(&fenced(&block.text), &fenced(&text));
            fs::write(&page, new).expect("written");
            continue;
        }
        let mut rest = text.as_str();
        for part in block.text.split("...\n") {
            let at = rest.find(part);
            assert!(at.is_some(), "{}: {file} has no\n{part}in\n{text}", block.place);
            rest = &rest[at.unwrap_or(0) + part.len()..];
        }
    }
    assert!(seen >= 3, "only {seen} screens");
}

/// Given any block, then its kind is one that is known, so that none escapes the tests.
#[test]
fn every_block_says_what_it_is() {
    for block in blocks() {
        let kind = block.info.split(' ').next().unwrap_or_default();
        let is_known = ["toml", "sh", "text", "ini", "diff"].contains(&kind);
        assert!(is_known, "{}: ```{} is no kind of block", block.place, block.info);
        let prints = ["error: ", "warning: ", "UPLINK "];
        let is_ours = block.text.lines().any(|l| prints.iter().any(|p| l.starts_with(p)));
        assert!(
            !is_ours || block.info.starts_with("text "),
            "{}: this is what rail says: name the file that it is compared with",
            block.place
        );
    }
}

/// Given the programs that can hold an interface, then the page about them tells what `rail check`
/// tells: where to write what, and what to do then.
#[test]
fn the_way_to_let_go_is_the_one_that_check_tells() {
    let (_, page) = pages().into_iter().find(|(name, _)| name == "docs/beside.md").expect("it");
    for program in [Program::NetworkManager, Program::Networkd, Program::Dhcpcd, Program::Ifupdown]
    {
        let holder = Holder { program, interfaces: vec!["wan1".into(), "wan2".into()] };
        let row = format!("| {} |", holder.name());
        let row = page.lines().find(|line| line.starts_with(&row)).expect("a row for each");
        let way = holder.release();
        let lines = way.text.lines().filter(|line| !line.is_empty());
        let command = way.command.split(':').next().unwrap_or_default();
        for part in lines.chain([way.file.as_str(), command]) {
            assert!(row.contains(part), "{}: {part:?} is not in: {row}", holder.name());
        }
    }
}
