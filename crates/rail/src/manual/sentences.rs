//! What the pages quote of the program: lines of the log, events, words on the screen.

use super::{pages, prose, root};
use std::fs;
use std::path::Path;

/// First words of commands of other programs, and of our own, which other tests know.
const PROGRAMS: [&str; 7] = ["rail", "ip", "nft", "systemctl", "networkctl", "ufw", "generate"];

/// The text of all sources below a folder, string literals of several lines joined.
fn sources(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("a file").path();
        if path.is_dir() && !path.ends_with("manual") {
            sources(&path, all);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).expect("a source can be read");
            for line in text.lines() {
                match line.trim().strip_suffix('\\') {
                    Some(begun) => all.push_str(begun),
                    None => all.extend([line.trim_start(), "\n"]),
                }
            }
        }
    }
}

/// A quotation without the fields of a log line; `None` if it is none of ours.
fn sentence(span: &str) -> Option<String> {
    let words: Vec<&str> = span.split_whitespace().collect();
    let words: Vec<&str> = words.into_iter().take_while(|word| !word.contains('=')).collect();
    let is_word = |word: &&str| word.trim_end_matches(';').chars().all(|c| c.is_ascii_lowercase());
    let is_ours = words.len() > 1 && words.iter().all(is_word);
    (is_ours && !PROGRAMS.contains(&words[0])).then(|| words.join(" "))
}

/// Given the words that the pages quote, then the program says them.
#[test]
fn quotations_are_of_the_program() {
    let mut all = String::new();
    for name in ["core", "linux", "rail"] {
        sources(&root().join("crates").join(name).join("src"), &mut all);
    }
    let mut seen = 0;
    for (page, text) in pages() {
        for span in prose(&text).split('`').skip(1).step_by(2) {
            let Some(sentence) = sentence(span) else { continue };
            assert!(all.contains(&sentence), "{page}: rail does not say {sentence:?}");
            seen += 1;
        }
    }
    assert!(seen >= 6, "only {seen} quotations");
}
