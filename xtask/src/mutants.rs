//! Plants known bugs and demands that the simulator sees each of them.
//!
//! A law that cannot fail is a defect. Each `mutants/*.patch` is one bug; it is
//! applied to a copy of the tracked files, never to the tree itself, and the
//! simulator's seeds must turn red there, by the law that its first lines name
//! after what they say is planted (`Law: window`). Every law is named by a bug.

use crate::workspace;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Instant;

/// Seeds that must be green without any bug.
const SOUND_SEEDS: &str = "0..400";
/// Seeds that a bug may need to show; the first that is red ends the run.
const MUTANT_SEEDS: &str = "0..12000";

/// A bug changes a line, and most show within a hundred seeds: what is built again is to be little.
const QUICKLY_BUILT: [&str; 4] = [
    "profile.dev.codegen-units=256",
    "profile.dev.debug=0",
    "profile.dev.package.rail-core.opt-level=1",
    "profile.dev.package.rail-sim.opt-level=1",
];

struct Mutant {
    path: PathBuf,
    name: String,
    title: String,
    law: String,
}

/// Plants every bug, or those whose name contains one of the arguments.
///
/// # Errors
/// Bugs that nobody saw, or that could not be planted.
pub(crate) fn run(arguments: &[String]) -> Result<(), String> {
    let mutants: Vec<Mutant> = read()?
        .into_iter()
        .filter(|m| arguments.is_empty() || arguments.iter().any(|a| m.name.contains(a.as_str())))
        .collect();
    let copy = Copy::new()?;
    println!("{:<28} {:<9} {:<14} {:>7}  what is planted", "bug", "seen", "by law", "s");
    let sound = judge(&copy, SOUND_SEEDS, None)?;
    let mut failures = Vec::new();
    if let Some(law) = &sound {
        failures.push(format!("without any bug the law `{law}` is broken"));
    }
    for mutant in &mutants {
        let begun = Instant::now();
        copy.git(&["apply", &mutant.path.display().to_string()])?;
        let seen = judge(&copy, MUTANT_SEEDS, Some(&mutant.law));
        copy.git(&["apply", "--reverse", &mutant.path.display().to_string()])?;
        let is_seen = seen?.is_some();
        let word = if is_seen { "red" } else { "NOT SEEN" };
        let (name, law, took) = (&mutant.name, &mutant.law, begun.elapsed().as_secs_f64());
        println!("{name:<28} {word:<9} {law:<14} {took:>7.1}  {}", mutant.title);
        if !is_seen {
            failures.push(format!("{name}: the law `{law}` does not see it"));
        }
    }
    println!(
        "{} bugs planted, {} seen",
        mutants.len(),
        mutants.len() - failures.len().min(mutants.len())
    );
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n")) }
}

/// All patches, by name.
fn read() -> Result<Vec<Mutant>, String> {
    let folder = workspace::root().join("mutants");
    let entries = std::fs::read_dir(&folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let mut mutants = Vec::new();
    for entry in entries {
        let path = entry.map_err(|e| e.to_string())?.path();
        if path.extension().is_none_or(|e| e != "patch") {
            continue;
        }
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("{}: {e}", path.display()))?;
        mutants.push(Mutant {
            name: path.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
            title: text.lines().next().unwrap_or_default().to_owned(),
            law: law_of(&text).to_owned(),
            path,
        });
    }
    mutants.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(mutants)
}

/// The law that a patch must turn red.
pub(crate) fn law_of(patch: &str) -> &str {
    patch.lines().find_map(|line| line.strip_prefix("Law: ")).unwrap_or_default()
}

/// Builds and runs the simulator in the copy, judged by all laws or by one; the first law that is
/// broken.
fn judge(copy: &Copy, seeds: &str, law: Option<&str>) -> Result<Option<String>, String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // starts: cargo
    let output = Command::new(cargo)
        .current_dir(&copy.root)
        .env("CARGO_TARGET_DIR", &copy.target)
        .env("CARGO_INCREMENTAL", "1")
        .args(["run", "--quiet", "-p", "rail-sim"])
        .args(QUICKLY_BUILT.iter().flat_map(|setting| ["--config", setting]))
        .args(["--", "--stop", "--seeds", seeds])
        .args(law.iter().flat_map(|law| ["--law", law]))
        .output()
        .map_err(|e| format!("cargo cannot be started: {e}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.success() {
        return Ok(None);
    }
    let law = text.lines().find_map(|line| {
        let (_, rest) = line.split_once(" broke the law `")?;
        rest.split_once('`').map(|(law, _)| law.to_owned())
    });
    law.map(Some).ok_or_else(|| format!("the simulator did not run:\n{}", message(&output)))
}

fn message(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

/// A copy of the tracked files as they are now, and a place to build; both go at the end.
struct Copy {
    folder: PathBuf,
    root: PathBuf,
    target: PathBuf,
}

impl Copy {
    fn new() -> Result<Self, String> {
        let root = workspace::root();
        let folder = std::env::temp_dir().join(format!("rail-mutants-{}", std::process::id()));
        let copy = Self { root: folder.join("tree"), target: folder.join("target"), folder };
        let list = Command::new("git")
            .current_dir(&root)
            .args(["ls-files", "-z"])
            .output()
            .map_err(|e| format!("git cannot be started: {e}"))?;
        if !list.status.success() {
            return Err(message(&list));
        }
        for name in String::from_utf8_lossy(&list.stdout).split('\0').filter(|n| !n.is_empty()) {
            copy.take(&root.join(name), Path::new(name))?;
        }
        copy.git(&["init", "--quiet"])?;
        Ok(copy)
    }

    fn take(&self, from: &Path, name: &Path) -> Result<(), String> {
        if !from.is_file() {
            return Ok(());
        }
        let to = self.root.join(name);
        let parent = to.parent().unwrap_or(&self.root);
        std::fs::create_dir_all(parent).map_err(|e| format!("{}: {e}", parent.display()))?;
        std::fs::copy(from, &to).map_err(|e| format!("{}: {e}", from.display()))?;
        Ok(())
    }

    fn git(&self, arguments: &[&str]) -> Result<(), String> {
        let output = Command::new("git")
            .current_dir(&self.root)
            .args(arguments)
            .output()
            .map_err(|e| format!("git cannot be started: {e}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("git {}: {}", arguments.join(" "), message(&output)))
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // What cannot be removed lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
