//! Runs the laboratory's tests: those of all its binaries in one queue.
//!
//! Each test says its kind when asked (`RAIL_LAB_TELL`, see `lab/src/space.rs`), and the
//! kinds run one after the other: first those that only need namespaces, several a core,
//! for they mostly wait; then those that measure time, one on each core; then those that
//! load the whole machine. The longest begin first, so that none is left alone at the end.

use crate::workspace;
use serde_json::Value;
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Tests that only wait run this many at a time on each core.
const WAITING_PER_CORE: usize = 4;
/// What takes longest of each kind; the rest follows in the order of the binaries.
const LONGEST: &[&str] = &[
    "nothing_is_forwarded_at_any_step_before_the_first_verified_state",
    "connections_of_all_networks_are_shared_and_move",
    "two_subnets_on_one_port",
    "one_subnet_on_two_ports",
    "interfaces_that_change_are_followed",
    "saturation_is_no_failure",
    "a_box_inside_the_lan_shares_with_a_line",
    "cut_cable",
];

/// The kinds in the order in which they run.
const KINDS: &[&str] = &["isolated", "timed", "alone"];

struct Test {
    binary: PathBuf,
    name: String,
    kind: String,
}

struct Ended {
    name: String,
    passed: bool,
    /// It failed on a stalled machine each time, which proves nothing.
    inconclusive: bool,
    took: Duration,
    output: String,
}

/// Builds and runs all tests, or those whose name contains one of the arguments; after
/// `--without` stands a binary to leave out, after `--kind` one of the kinds to run.
///
/// # Errors
/// What failed.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mut wanted = Vec::new();
    let mut without = Vec::new();
    let mut kinds = Vec::new();
    let mut words = arguments.iter().map(String::as_str);
    while let Some(word) = words.next() {
        match word {
            "--without" => without.push(words.next().ok_or("--without needs a binary's name")?),
            "--kind" => kinds.push(words.next().ok_or("--kind needs one of the kinds")?),
            _ => wanted.push(word),
        }
    }
    if let Some(kind) = kinds.iter().find(|kind| !KINDS.contains(kind)) {
        return Err(format!("there is no kind {kind} among {}", KINDS.join(", ")));
    }
    let begun = Instant::now();
    let mut tests = Vec::new();
    for (name, binary) in binaries()? {
        if !without.contains(&name.as_str()) {
            tests.extend(list(&binary)?);
        }
    }
    tests.retain(|test| wanted.is_empty() || wanted.iter().any(|word| test.name.contains(word)));
    let unknown = LONGEST
        .iter()
        .find(|name| wanted.is_empty() && !tests.iter().any(|test| test.name.ends_with(*name)));
    if let Some(name) = unknown {
        return Err(format!("xtask/src/lab.rs names a test that does not exist: {name}"));
    }
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let mut ended = Vec::new();
    for kind in KINDS.iter().filter(|kind| kinds.is_empty() || kinds.contains(kind)) {
        let part: Vec<Test> = tests.extract_if(.., |test| test.kind == *kind).collect();
        let workers = match *kind {
            "isolated" => cores * WAITING_PER_CORE,
            "timed" => cores,
            _ => 1,
        };
        ended.extend(run_kind(kind, part, workers));
    }
    report(&ended, begun.elapsed())
}

fn report(ended: &[Ended], took: Duration) -> Result<(), String> {
    let failed: Vec<&Ended> = ended.iter().filter(|test| !test.passed).collect();
    let mut slowest: Vec<&Ended> = ended.iter().collect();
    slowest.sort_by_key(|test| std::cmp::Reverse(test.took));
    println!("\nthe slowest:");
    for test in slowest.iter().take(12) {
        println!("{:>8.1} s  {}", test.took.as_secs_f64(), test.name);
    }
    let (passed, word) =
        (ended.len() - failed.len(), if failed.is_empty() { "ok" } else { "FAILED" });
    // In the words of cargo's own tests, so that one reader serves for all.
    println!(
        "\ntest result: {word}. {passed} passed; {} failed; 0 ignored; 0 measured; 0 filtered out; \
         finished in {:.2}s",
        failed.len(),
        took.as_secs_f64()
    );
    let names: Vec<&str> = failed.iter().map(|test| test.name.as_str()).collect();
    if names.is_empty() { Ok(()) } else { Err(format!("failed: {}", names.join(", "))) }
}

/// Runs the tests of one kind on so many workers.
fn run_kind(kind: &str, mut tests: Vec<Test>, workers: usize) -> Vec<Ended> {
    if tests.is_empty() {
        return Vec::new();
    }
    let rank = |test: &Test| LONGEST.iter().position(|name| test.name.ends_with(name));
    tests.sort_by_key(|test| rank(test).unwrap_or(LONGEST.len()));
    println!("{} tests, {kind}, {workers} at a time", tests.len());
    let begun = Instant::now();
    let queue = Mutex::new(VecDeque::from(tests));
    let ended = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..workers {
            let (queue, ended) = (&queue, &ended);
            scope.spawn(move || {
                loop {
                    let next = queue.lock().expect("no worker panics").pop_front();
                    let Some(test) = next else { return };
                    let result = run_one(&test, worker);
                    print_ended(&result);
                    ended.lock().expect("no worker panics").push(result);
                }
            });
        }
    });
    println!("-- {kind}: {:.0} s", begun.elapsed().as_secs_f64());
    ended.into_inner().expect("no worker panics")
}

/// One test in a process of its own. A worker for timed tests has the core of its number.
fn run_one(test: &Test, worker: usize) -> Ended {
    let begun = Instant::now();
    let mut command = Command::new(&test.binary);
    command.args([test.name.as_str(), "--exact", "--test-threads=1"]).stdin(Stdio::null());
    if test.kind == "timed" {
        command.env("RAIL_LAB_WORKER", worker.to_string());
    }
    let (passed, output) = match command.output() {
        Ok(output) => {
            let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
            text.push_str(&String::from_utf8_lossy(&output.stderr));
            (output.status.success() && text.contains("1 passed"), text)
        }
        Err(error) => (false, format!("{} cannot be started: {error}", test.binary.display())),
    };
    let inconclusive = passed && output.contains(": inconclusive: ");
    Ended { name: test.name.clone(), passed, inconclusive, took: begun.elapsed(), output }
}

/// One line for the test, then its figures, or all that it said if it failed.
fn print_ended(test: &Ended) {
    let word = match (test.passed, test.inconclusive) {
        (false, _) => "FAILED",
        (true, true) => "unsure",
        (true, false) => "ok",
    };
    let mut text = format!("{word:<6} {:>6.1} s  {}\n", test.took.as_secs_f64(), test.name);
    if test.passed {
        // The laboratory indents what people are to see.
        for line in test.output.lines().filter(|line| line.starts_with("    ")) {
            text.push_str(line);
            text.push('\n');
        }
    } else {
        text.push_str(test.output.trim_end());
        text.push('\n');
    }
    print!("{text}");
}

/// The built test binaries of the laboratory, by name.
fn binaries() -> Result<BTreeMap<String, PathBuf>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // starts: cargo; and the tests that it built
    let output = Command::new(cargo)
        .current_dir(workspace::root())
        // The whole workspace: alone its dependencies have other features, and are built once more.
        .args(["test", "--locked", "--no-run", "--message-format=json", "--workspace"])
        .stderr(Stdio::inherit())
        .output()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    if !output.status.success() {
        return Err("the laboratory could not be built".into());
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let messages = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    Ok(messages
        .filter(|message| message["profile"]["test"] == true)
        .filter(|message| workspace::word(message, "package_id").contains("#rail-lab@"))
        .filter_map(|message| {
            let executable = message["executable"].as_str()?;
            Some((workspace::word(&message["target"], "name"), PathBuf::from(executable)))
        })
        .collect())
}

/// The tests of a binary. One that says no kind needs no namespaces, and goes with those that wait.
fn list(path: &PathBuf) -> Result<Vec<Test>, String> {
    let names = ask(path, &["--list", "--format=terse"])?;
    let kinds = ask(path, &["--nocapture", "--test-threads=1"])?;
    let kinds: BTreeMap<&str, &str> = kinds
        .lines()
        .filter_map(|line| line.split_once("kind: ")?.1.split_once(' '))
        .map(|(kind, name)| (name, kind))
        .collect();
    let ignored = ask(path, &["--list", "--format=terse", "--ignored"])?;
    let tests = names.lines().filter(|line| !ignored.lines().any(|other| other == *line));
    Ok(tests
        .filter_map(|line| line.strip_suffix(": test"))
        .map(|name| Test {
            binary: path.clone(),
            name: name.to_owned(),
            kind: (*kinds.get(name).unwrap_or(&KINDS[0])).to_owned(),
        })
        .collect())
}

fn ask(binary: &PathBuf, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(binary)
        .args(arguments)
        .env("RAIL_LAB_TELL", "1")
        .output()
        .map_err(|e| format!("{} cannot be started: {e}", binary.display()))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
