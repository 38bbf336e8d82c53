//! `rail diff FILE`: what a file would change, in the configuration and in the
//! kernel.
//!
//! The configurations are compared with all their defaults written out, so that
//! comments and the order of keys do not count.

use super::client::{Access, Failure, ask_once};
use super::style::clean;
use super::{complain, exit, loaded, say, style};
use crate::daemon::{self, RunOptions};
use crate::load;
use serde_json::json;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

/// Compares a file with what is in force: the daemon's, or without one the configuration file.
pub(super) fn run(options: &RunOptions, file: &Path) -> ExitCode {
    let new = match loaded(file) {
        Ok((config, _)) => load::effective(&config),
        Err(code) => return code,
    };
    let old = match in_force(options) {
        Ok(old) => old,
        Err(code) => return code,
    };
    let changes = changes(&old, &new);
    if changes.is_empty() {
        say("the configuration is the same\n");
    } else {
        say(&changes);
    }
    let options = RunOptions { config: file.into(), ..options.clone() };
    match daemon::plan(&options, false) {
        Ok(steps) => {
            for remark in steps.iter().filter(|step| step.starts_with("# ")) {
                say(&format!("{}\n", clean(remark)));
            }
            say(&summary(&steps))
        }
        Err(text) => {
            complain(&format!("rail: no plan: {}\n", clean(&text)));
            true
        }
    };
    ExitCode::SUCCESS
}

fn in_force(options: &RunOptions) -> Result<String, ExitCode> {
    let command = json!({"command": "configuration"});
    match ask_once(&options.runtime_dir, Access::Write, &command, PATIENCE) {
        Ok(answer) => {
            let text = answer["text"].as_str().unwrap_or_default();
            let (config, _) = load::load(&options.config, text).map_err(|report| {
                complain(report.render(style::stderr_has_colour()));
                ExitCode::from(exit::ERROR)
            })?;
            Ok(load::effective(&config))
        }
        // Only then is the file what a start would take. Of a daemon that does not answer nobody
        // knows what is in force.
        Err(Failure::NoDaemon(_)) => {
            let path = clean(&options.config.display().to_string());
            complain(&format!("rail: no daemon runs; compared with {path}\n"));
            loaded(&options.config).map(|(config, _)| load::effective(&config))
        }
        Err(failure) => Err(failure.tell()),
    }
}

/// How many steps of which kind.
fn summary(steps: &[String]) -> String {
    let count = |sign: char| steps.iter().filter(|step| step.starts_with(sign)).count();
    let (new, gone, other) = (count('+'), count('-'), count('~'));
    if new + gone + other == 0 {
        return "plan: nothing changes in the kernel\n".into();
    }
    format!(
        "plan: {new} new, {gone} gone, {other} changed in the kernel; `rail plan --config FILE` \
         lists them\n"
    )
}

/// The lines that differ, each group below the head of its section.
fn changes(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut out = String::new();
    let mut reported = None;
    for change in differences(&old, &new) {
        let (sign, lines, at) = match change {
            Change::Gone(at) => ('-', &old, at),
            Change::New(at) => ('+', &new, at),
        };
        let Some(line) = lines.get(at).filter(|line| !line.is_empty()) else { continue };
        let head = head(lines, at);
        if !line.starts_with('[') && reported.as_ref() != Some(&head) {
            out.push_str(&format!("  {}\n", clean(&head)));
        }
        reported = Some(head);
        out.push_str(&format!("{sign} {}\n", clean(line)));
    }
    out
}

/// `[section]`, with its name if it has one.
fn head(lines: &[&str], at: usize) -> String {
    let Some(start) = (0..=at).rev().find(|n| lines[*n].starts_with('[')) else {
        return String::new();
    };
    match lines.get(start + 1).filter(|line| line.starts_with("name = ")) {
        Some(name) => format!("{} {name}", lines[start]),
        None => lines[start].into(),
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Change {
    Gone(usize),
    New(usize),
}

/// The fewest lines to take out and put in; where the middle is too large for that, all of it.
fn differences(old: &[&str], new: &[&str]) -> Vec<Change> {
    let before = old.iter().zip(new).take_while(|(a, b)| a == b).count();
    let rest = (&old[before..], &new[before..]);
    let after = rest.0.iter().rev().zip(rest.1.iter().rev()).take_while(|(a, b)| a == b).count();
    let old = &rest.0[..rest.0.len() - after];
    let new = &rest.1[..rest.1.len() - after];
    let width = new.len() + 1;
    let is_small = old.len().saturating_mul(width) <= MOST_CELLS;
    // common[i * width + j]: how many lines old[i..] and new[j..] have in common, in order.
    let mut common = vec![0u32; if is_small { (old.len() + 1) * width } else { 0 }];
    if is_small {
        for i in (0..old.len()).rev() {
            for j in (0..new.len()).rev() {
                common[i * width + j] = if old[i] == new[j] {
                    common[(i + 1) * width + j + 1] + 1
                } else {
                    common[(i + 1) * width + j].max(common[i * width + j + 1])
                };
            }
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut all = Vec::new();
    while i < old.len() || j < new.len() {
        let both = i < old.len() && j < new.len();
        if is_small && both && old[i] == new[j] {
            (i, j) = (i + 1, j + 1);
        } else if i < old.len()
            && (j == new.len()
                || !is_small
                || common[(i + 1) * width + j] >= common[i * width + j + 1])
        {
            all.push(Change::Gone(before + i));
            i += 1;
        } else {
            all.push(Change::New(before + j));
            j += 1;
        }
    }
    all
}

/// Lines times lines: 16 MB of memory.
const MOST_CELLS: usize = 4 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    /// Given two files, when they are compared, then the lines that differ are shown with the section
    /// and the name that they belong to.
    #[test]
    fn a_change_is_told_with_its_place() {
        let config = |text: &str| {
            load::effective(&load::load(Path::new("rail.toml"), text).expect("it is good").0)
        };
        let old = crate::manual::sample();
        let new = old.replacen("weight = 2", "weight = 3", 1) + "\n[balance]\nby = \"client\"\n";
        assert_ne!(old, new);
        let reported = changes(&config(&old), &config(&new));
        style::golden("diff.txt", include_str!("golden/diff.txt"), &reported);
        assert_eq!(changes(&config(&old), &config(&old)), "");
    }

    /// Given small and large texts, then what is shown leads from one to the other.
    #[test]
    fn differences_are_whole() {
        let apply = |old: &[&str], new: &[&str]| {
            let all = differences(old, new);
            let kept = (0..old.len()).filter(|i| !all.contains(&Change::Gone(*i)));
            let kept: Vec<&str> = kept.map(|i| old[i]).collect();
            let stays = (0..new.len()).filter(|j| !all.contains(&Change::New(*j)));
            let stays: Vec<&str> = stays.map(|j| new[j]).collect();
            assert_eq!(kept, stays);
            all.len()
        };
        assert_eq!(apply(&["a", "b", "c"], &["a", "c"]), 1);
        assert_eq!(apply(&["a", "b", "c"], &["a", "x", "c", "d"]), 3);
        assert_eq!(apply(&[], &["a"]), 1);
        assert_eq!(apply(&["a"], &[]), 1);
        let large = vec!["x"; 3000];
        let other = vec!["y"; 3000];
        assert_eq!(apply(&large, &other), 6000);
    }

    /// Given the steps of a plan, then they are counted by their signs.
    #[test]
    fn the_plan_is_counted() {
        let steps = ["# note", "+ rule 1", "+ rule 2", "~ nft table", "    + text", "- route"];
        let steps: Vec<String> = steps.iter().map(|s| (*s).into()).collect();
        assert!(summary(&steps).starts_with("plan: 2 new, 1 gone, 1 changed"));
        assert!(summary(&[]).contains("nothing changes"));
    }
}
