//! Any text at all gives a configuration or a report.

use super::*;

const SEEDS: [&str; 4] = [
    include_str!("../../tests/good/everything.toml"),
    include_str!("../../tests/good/minimal-inline.toml"),
    include_str!("../../tests/bad/five-faults.toml"),
    include_str!("../cli/sample.toml"),
];

const PIECES: [&str; 24] = [
    "\"",
    "'",
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    ",",
    ".",
    "\n",
    "#",
    "\"\"\"",
    "\\u{0}",
    "\u{1b}",
    "\u{fc}",
    "99999999999999999999",
    "-1",
    "0x",
    "1e400",
    "nan",
    "2026-11-21",
    "[[uplink]]\n",
];

/// A small generator; the numbers repeat, so that a failure does.
struct Random(u64);

impl Random {
    fn below(&mut self, most: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % most.max(1)
    }
}

fn mutate(random: &mut Random, text: &mut String) {
    let boundary = |random: &mut Random, text: &str| {
        let mut at = random.below(text.len() + 1);
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let (a, b) = (boundary(random, text), boundary(random, text));
    let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 40));
    let to = (from..=to).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(from);
    match random.below(4) {
        0 => text.replace_range(from..to, ""),
        1 => text.insert_str(from, PIECES[random.below(PIECES.len())]),
        2 => text.replace_range(from..to, PIECES[random.below(PIECES.len())]),
        _ => {
            let copy = text[from..to].to_owned();
            let at = boundary(random, text);
            text.insert_str(at, &copy);
        }
    }
}

/// Given good and bad files with random damage, when they are read, then there is never a
/// panic, every problem has a place inside the file, and what passes prints itself.
#[test]
fn damaged_files_never_panic() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut passed = 0;
    for round in 0..4000 {
        let mut text = SEEDS[round % SEEDS.len()].to_owned();
        for _ in 0..=random.below(6) {
            mutate(&mut random, &mut text);
        }
        match load(Path::new("t.toml"), &text) {
            Ok((config, _)) => {
                passed += 1;
                let again = load(Path::new("t.toml"), &effective(&config));
                assert_eq!(again.map(|(c, _)| c), Ok(config), "{text}");
            }
            Err(report) => {
                assert!(!report.entries.is_empty(), "{text}");
                let lines = text.split('\n').count();
                assert!(report.entries.iter().all(|e| e.line <= lines), "{text}\n{report}");
                assert!(report.to_string().contains("error"), "{text}");
            }
        }
    }
    assert!(passed > 100, "only {passed} files were still good");
}

/// Given noise, when it is read, then there is a report.
#[test]
fn noise_never_panics() {
    let mut random = Random(42);
    for _ in 0..2000 {
        let length = random.below(200);
        let noise: String = (0..length)
            .map(|_| match random.below(3) {
                0 => PIECES[random.below(PIECES.len())].to_owned(),
                _ => char::from(u8::try_from(random.below(95) + 32).unwrap_or(b' ')).to_string(),
            })
            .collect();
        assert!(load(Path::new("t.toml"), &noise).is_err());
    }
}

/// Given a huge file with thousands of faults, when it is read, then the report is bounded
/// and comes soon.
#[test]
fn a_huge_bad_file_is_reported_soon() {
    let before = std::time::Instant::now();
    let text = "zzz = 1\nlan = [\n".repeat(60_000);
    let report = load(Path::new("t.toml"), &text).expect_err("nonsense");
    assert!(report.to_string().len() < 100_000);
    let wide = format!("[lan]\ninterfaces = [{}]\n", "1,".repeat(400_000));
    let report = load(Path::new("t.toml"), &wide).expect_err("nonsense");
    assert!(report.to_string().len() < 100_000);
    assert!(before.elapsed().as_secs() < 20, "{:?}", before.elapsed());
}
