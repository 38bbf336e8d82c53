//! Holds the manual to the program: what a page shows is run, read or compared.
//!
//! Owns the reading of the pages (`docs/*.md` and the README) into blocks. Each
//! block says by its info string what it is, and the tests below hold it to that:
//!
//! * `toml`: a whole configuration; `toml fragment`: a part of one, completed by
//!   [`examples::PREFIX`]; with `warns` behind it, one that is good but doubtful.
//! * `sh`: commands; those of `rail` and of `./dev` must exist.
//! * `text FILE`: what the program shows, as it stands in that file: a golden text
//!   or the answer to a bad configuration.
//! * `ini`, `text`, `diff`: files of other programs, and what [`touches`] makes.

mod commands;
mod examples;
mod sentences;
mod touches;

use std::fs;
use std::path::{Path, PathBuf};

/// A fenced block of a page.
struct Block {
    /// Page and line, for complaints.
    place: String,
    /// What stands behind the fence.
    info: String,
    text: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Name and text of every page for operators.
fn pages() -> Vec<(String, String)> {
    let docs = fs::read_dir(root().join("docs")).expect("the manual is there");
    let mut names: Vec<String> = docs
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.ends_with(".md"))
        .map(|name| format!("docs/{name}"))
        .collect();
    names.push("README.md".into());
    names.sort();
    let text = |name: &String| fs::read_to_string(root().join(name)).expect("a page can be read");
    names.iter().map(|name| (name.clone(), text(name))).collect()
}

/// Every block of every page.
fn blocks() -> Vec<Block> {
    pages().iter().flat_map(|(name, text)| blocks_of(name, text)).collect()
}

/// The README's configuration: two uplinks.
pub(crate) fn sample() -> String {
    let is_sample = |block: &Block| block.place.starts_with("README") && block.info == "toml";
    blocks().into_iter().find(is_sample).expect("the README has a configuration").text
}

fn blocks_of(name: &str, text: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut open: Option<Block> = None;
    for (number, line) in text.lines().enumerate() {
        match (line.strip_prefix("```"), open.take()) {
            (Some(info), None) => {
                let place = format!("{name}:{}", number + 1);
                open = Some(Block { place, info: info.into(), text: String::new() });
            }
            (Some(_), Some(block)) => blocks.push(block),
            (None, Some(mut block)) => {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
            (None, None) => {}
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    blocks
}

/// A page without its blocks: what is left is prose.
fn prose(text: &str) -> String {
    let mut inside = false;
    let mut kept = String::new();
    for line in text.lines() {
        let is_fence = line.starts_with("```");
        inside ^= is_fence;
        if !inside && !is_fence {
            kept += line;
            kept.push('\n');
        }
    }
    kept
}
