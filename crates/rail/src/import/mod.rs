//! Configurations of other programs, converted into ours.
//!
//! Owns the way from the YAML of fault_tolerant_router (all versions in Ruby, 0.9.9 to 1.2.0) to the text of
//! a file of ours, with a comment for each key of theirs. Promises: what comes out passes our own reader;
//! what ours refuses is shown at its place in their file, all of it at once; any text gives a file or a
//! [`Report`], never a panic; no password is copied. Leaves out: where the text goes.

mod draft;
mod email;
mod length;
mod notes;
mod others;
mod uplinks;
mod yaml;

use crate::load::{self, MOST_SHOWN, Problem, Report, Warning};
use draft::Draft;
use notes::{Notes, Section};
use rail_core::net::{IfName, Prefix};
use std::path::Path;
use yaml::Value;

/// What became of a file.
#[derive(Debug)]
pub(crate) struct Imported {
    /// A file of ours.
    pub(crate) text: String,
    /// What was lost or guessed, at most 50.
    pub(crate) warnings: Vec<Warning>,
}

/// Converts `source`, the content of the file `name` of fault_tolerant_router. `here` are the addresses of
/// this machine: an interface that has an uplink's address knows its prefix length.
///
/// # Errors
/// Everything that is wrong with it.
pub(crate) fn fault_tolerant_router(
    name: &str,
    source: &str,
    here: &[(IfName, Prefix)],
) -> Result<Imported, Report> {
    if let Some(report) = load::unfit(name, source) {
        return Err(report);
    }
    let (root, errors) = yaml::read(source);
    if let Some(report) = not_yaml(name, source, &root, &errors) {
        return Err(report);
    }
    let mut notes = Notes { is_broken: !errors.is_empty(), errors, ..Notes::default() };
    let mut draft = Draft::default();
    if let Some(root) = notes.mapping(&root, "the file", "", KEYS) {
        convert(&mut notes, &mut draft, &root, source, here);
    }
    let loaded = load::load(Path::new("rail.toml"), &draft.text);
    let mut errors = notes.errors;
    if let Err(refused) = &loaded {
        errors.extend(refused.entries.iter().filter_map(|entry| {
            let mut problem = Problem::new(draft.place(entry.line)?.clone(), &*entry.message);
            problem.hint.clone_from(&entry.hint);
            Some(problem)
        }));
    }
    errors.sort_by_key(|problem| problem.span.start);
    errors.dedup();
    match loaded {
        _ if !errors.is_empty() => Err(Report::new(name, source, &errors)),
        Err(refused) => Err(refused),
        Ok(_) => {
            notes.warnings.sort_by_key(|problem| problem.span.start);
            notes.warnings.truncate(MOST_SHOWN);
            let warnings = load::warnings(name, source, &notes.warnings);
            Ok(Imported { text: draft.text, warnings })
        }
    }
}

/// A text that has no key is no file with many faults.
fn not_yaml(name: &str, source: &str, root: &yaml::Node, errors: &[Problem]) -> Option<Report> {
    let is_mapping = matches!(&root.value, Value::Map(entries) if !entries.is_empty());
    if is_mapping {
        return None;
    }
    let text = if root.is_blank() && errors.is_empty() {
        "the file is empty"
    } else {
        "this is no YAML of fault_tolerant_router"
    };
    let first = source.find(|c: char| !c.is_whitespace()).unwrap_or(0);
    let mut problem = Problem::new(first..source.len(), text);
    problem.hint("it begins with `uplinks:`, one key a line");
    Some(Report::new(name, source, &[problem]))
}

fn convert(
    notes: &mut Notes,
    draft: &mut Draft,
    root: &Section<'_>,
    source: &str,
    here: &[(IfName, Prefix)],
) {
    draft.say(
        "Converted from a file of fault_tolerant_router by `rail import`. Behind each key stands what it \
         was; comments say what became of the others, and docs/from-fault-tolerant-router.md says why. \
         Read them, and then: rail check",
    );
    others::downlinks(notes, draft, root, source);
    let count = uplinks::convert(notes, draft, root, source, here);
    others::tests(notes, draft, root, source);
    others::balance(draft);
    others::log(notes, draft, root, source);
    email::email(notes, draft, root);
    others::commands(draft, root, source);
    if notes::unknown(root.entries, KEYS).next().is_some() {
        draft.gap();
        draft.keep(source, root, KEYS);
    }
    others::numbers(notes, draft, root, count);
}

/// Of the file; the last two are of a branch that was never released.
const KEYS: &[&str] = &[
    "uplinks",
    "downlinks",
    "tests",
    "log",
    "email",
    "base_table",
    "base_priority",
    "base_fwmark",
    "all_up_command",
    "all_down_command",
];

/// What becomes of a command that was run at a change.
const COMMAND: &str = "No counterpart: rail runs no command that could delay a failover. `command` in [notify] is run after a \
                       change, with what happened, see docs/notifications.md:";

#[cfg(test)]
mod tests;
