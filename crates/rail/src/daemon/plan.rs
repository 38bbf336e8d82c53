//! `rail plan`: the steps that a start with this configuration would take.
//!
//! Promises to change nothing: it reads the kernel, the state file and the
//! configuration. Without root it shows what can be read, and says what cannot. By
//! default each object is one line with its old and its new value; in full, the
//! commands for nft and each bucket stand below.

use super::RunOptions;
use super::setup::{Failure, load_config, seed};
use rail_core::Watch;
use rail_core::config::Config;
use rail_core::net::UplinkId;
use rail_core::render;
use rail_core::state::{Key, Observed, Op, Resource, Scope, Step};
use rail_core::status::Conflict;
use rail_core::{Input, Output, Router};
use rail_linux::process::Spawner;
use rail_linux::shell::Kernel;
use rail_linux::{clock, file};

/// The plan, one line for each change, `+` new, `-` gone, `~` changed; empty when all is in place.
/// `full` adds the text of what is summed up otherwise.
///
/// # Errors
/// The text for the user: errors of the configuration, or why the kernel cannot be read.
pub(crate) fn plan(options: &RunOptions, full: bool) -> Result<Vec<String>, String> {
    let text = |failure| match failure {
        Failure::Config(text) | Failure::Here(text) | Failure::Passing(text) => text,
    };
    let config = load_config(&options.config).map_err(text)?;
    let (saved, flaw) = file::load_saved(&options.state_dir);
    let reported = flaw.map(|flaw| format!("# {}", flaw.at_start()));
    let mut lines: Vec<String> = reported.into_iter().collect();
    let mut router = Router::new(config.clone(), saved, clock::boot_id(), seed().map_err(text)?);
    let mut kernel = Kernel::open().map_err(|e| format!("cannot open netlink: {e}"))?;
    let now = clock::now();
    let mut out = Vec::new();
    router.start(now, &mut out);
    let mut watch = Watch::default();
    let mut seen = (Observed::default(), None);
    // Once the links are known, so are their names, and with them what else to look at.
    while let Some(wanted) = watched(&mut out) {
        watch = wanted;
        seen = kernel.observe_readable(&watch)?;
        let observed = Box::new(seen.0.clone());
        router.handle(now, Input::Observed(Scope::ALL, observed), &mut out);
    }
    let (observed, unread) = seen;
    lines.extend(unread.map(|what| format!("# {what}")));
    lines.extend(conflicts(&router.status(now).conflicts));
    lines.extend(beside(&watch)?);
    let steps = router.preview(now);
    let ids = router.status(now).uplinks.iter().map(|uplink| uplink.id).collect();
    let before = Before { config, ids, observed };
    for step in &steps {
        lines.push(before.line(step));
        lines.extend(details(&step.op).into_iter().filter(|_| full));
    }
    lines.extend(total(&steps, full));
    Ok(lines)
}

/// What of other software is in our way.
fn beside(watch: &Watch) -> Result<Vec<String>, String> {
    let mut spawner = Spawner::start().map_err(|e| format!("cannot start a process: {e}"))?;
    let findings = rail_linux::coexist::look(&watch.beside, &mut spawner);
    let unread = findings.unread.iter().map(|what| format!("# not looked at: {what}"));
    Ok(conflicts(&findings.conflicts).chain(unread).collect())
}

fn conflicts(all: &[Conflict]) -> impl Iterator<Item = String> {
    all.iter().map(|conflict| {
        let may = if conflict.certain { "" } else { " (doubtful)" };
        format!("# conflict{may}: {}; remedy: {}", conflict.sentence(), conflict.remedy)
    })
}

/// What the router asked for last to be watched, of its latest outputs.
fn watched(out: &mut Vec<Output>) -> Option<Watch> {
    let watch = |output| match output {
        Output::Watch(watch) => Some(watch),
        _ => None,
    };
    out.drain(..).filter_map(watch).next_back()
}

/// What is there now, to show beside what will be.
struct Before {
    config: Config,
    /// Of the uplinks, in the order of the configuration.
    ids: Vec<UplinkId>,
    observed: Observed,
}

impl Before {
    /// `+ key value`, `- key`, `~ key old -> new`.
    fn line(&self, step: &Step) -> String {
        let key = &step.key;
        match &step.op {
            Op::Put { value, replace: false } => format!("+ {key}{}", shown(value)),
            Op::Put { value, replace: true } => format!("~ {key}{}", self.replaced(key, value)),
            Op::Drop => format!("- {key}"),
            Op::Script(text) => {
                let count = |word: &str| text.lines().filter(|l| l.contains(word)).count();
                let (chains, rules) = (count("add chain "), count("add rule "));
                let gone = count("delete rule ") + count("delete chain ");
                format!("~ {key}: {chains} chains and {rules} rules added, {gone} removed")
            }
            Op::Buckets { del, add } => format!("~ {key}: buckets {}", self.buckets(del, add)),
        }
    }

    /// ` old -> new`; a setting is one with its value.
    fn replaced(&self, key: &Key, value: &Resource) -> String {
        let equals = if matches!(value, Resource::Sysctl(_)) { " =" } else { "" };
        let old = key.value_in(&self.observed).map(|old| format!(" {old} ->"));
        format!("{equals}{}{}", old.unwrap_or_default(), shown(value))
    }

    /// `85 -> 43 for isp1, 43 -> 85 for isp2`.
    fn buckets(&self, del: &[(u32, u32)], add: &[(u32, u32)]) -> String {
        let old = self.observed.firewall.as_ref().and_then(|f| f.buckets.as_ref());
        let uplinks = self.config.uplinks.iter().zip(&self.ids);
        let counts = uplinks.filter_map(|(uplink, id)| {
            let mark = render::mark(&self.config, *id);
            let count = |list: &[(u32, u32)]| list.iter().filter(|(_, m)| *m == mark).count();
            let before = old.map_or(0, |buckets| buckets.values().filter(|m| **m == mark).count());
            let after = (before + count(add)).saturating_sub(count(del));
            (before != after).then(|| format!("{before} -> {after} for {}", uplink.name))
        });
        let counts: Vec<String> = counts.collect();
        if counts.is_empty() { "change places".into() } else { counts.join(", ") }
    }
}

/// A value behind its key; nothing for one that its key says all about.
fn shown(value: &Resource) -> String {
    let text = value.to_string();
    if text.is_empty() { text } else { format!(" {text}") }
}

/// What one line cannot hold.
fn details(op: &Op) -> Vec<String> {
    match op {
        Op::Script(text) => {
            text.lines().filter(|l| !l.trim().is_empty()).map(|l| format!("    {l}")).collect()
        }
        Op::Buckets { del, add } => {
            let gone = del.iter().map(|(bucket, mark)| format!("    -{bucket}:{mark:#010x}"));
            gone.chain(add.iter().map(|(bucket, mark)| format!("    +{bucket}:{mark:#010x}")))
                .collect()
        }
        _ => Vec::new(),
    }
}

/// The last line; none without a step.
fn total(steps: &[Step], full: bool) -> Option<String> {
    let added = |step: &&Step| matches!(step.op, Op::Put { replace: false, .. });
    let removed = |step: &&Step| matches!(step.op, Op::Drop);
    let (all, added) = (steps.len(), steps.iter().filter(added).count());
    let removed = steps.iter().filter(removed).count();
    let changed = all - added - removed;
    let hint = if full { "" } else { "; --full shows the commands for nft and each bucket" };
    (all > 0).then(|| format!("{added} added, {changed} changed, {removed} removed{hint}"))
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
