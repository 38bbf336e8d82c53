//! Any text at all gives a configuration or a report.
//!
//! `RAIL_LONG=1 cargo test --release -p rail --bins damaged -- --nocapture` reads a million files.

use super::*;
use rail_lab::Random;

/// The corpus of good and bad files, and the sample.
fn seeds() -> Vec<String> {
    let mut seeds = vec![include_str!("../cli/sample.toml").to_owned()];
    for folder in ["good", "bad"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .expect("the corpus is there")
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
            .collect();
        files.sort();
        seeds.extend(files.iter().map(|file| std::fs::read_to_string(file).expect("text")));
    }
    seeds
}

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

/// One change of what a person would change: a line away, doubled, elsewhere or of another file, a
/// key or a value of another line.
fn edit(random: &mut Random, text: &mut String, seeds: &[String]) {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let donor = random.of(seeds).clone();
    let donated: Vec<&str> = donor.lines().collect();
    if lines.is_empty() || donated.is_empty() {
        return;
    }
    let at = random.below(lines.len());
    let other = (*random.of(&donated)).to_owned();
    match random.below(6) {
        0 => drop(lines.remove(at)),
        1 => lines.insert(at, lines[at].clone()),
        2 => {
            let to = random.below(lines.len());
            lines.swap(at, to);
        }
        3 => lines.insert(at, other),
        change => {
            if let (Some((key, value)), Some((new_key, new_value))) =
                (lines[at].split_once('='), other.split_once('='))
            {
                let (old, new) = ((key, value), (new_key, new_value));
                let (key, value) = if change == 4 { (new.0, old.1) } else { (old.0, new.1) };
                lines[at] = format!("{key}={value}");
            }
        }
    }
    *text = lines.join("\n") + "\n";
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
    let is_long = std::env::var_os("RAIL_LONG").is_some_and(|v| v == "1");
    let rounds = if is_long { 1_000_000 } else { 10_000 };
    let seeds = seeds();
    let mut random = Random::new(0x9e37_79b9_7f4a_7c15);
    let mut passed = 0;
    for round in 0..rounds {
        // Good files are few among the seeds, and more of them must stay good.
        let which = if round % 3 == 0 { random.below(8) } else { random.below(seeds.len()) };
        let mut text = seeds[which].clone();
        for _ in 0..=random.below(6) {
            if random.below(2) == 0 {
                mutate(&mut random, &mut text);
            } else {
                edit(&mut random, &mut text, &seeds);
            }
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
                let is_inside = |line: usize| (1..=lines).contains(&line);
                assert!(report.entries.iter().all(|e| is_inside(e.line)), "{text}\n{report}");
                assert!(report.to_string().contains("error"), "{text}");
            }
        }
    }
    println!("{rounds} files: {passed} good, {} refused with a place", rounds - passed);
    assert!(passed > rounds / 100, "only {passed} files were still good");
}

/// Given noise, when it is read, then there is a report.
#[test]
fn noise_never_panics() {
    let mut random = Random::new(42);
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
