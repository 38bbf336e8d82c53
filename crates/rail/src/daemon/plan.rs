//! `rail plan`: the steps that a start with this configuration would take.
//!
//! Promises to change nothing: it reads the kernel, the state file and the
//! configuration. Without root it shows what can be read, and says what cannot.

use super::RunOptions;
use super::setup::{Failure, boot_id, load_config, seed};
use rail_core::state::{Op, RouteValue, Scope, Step, Watch};
use rail_core::status::Conflict;
use rail_core::{Input, Output, Router};
use rail_linux::process::Spawner;
use rail_linux::shell::Kernel;
use rail_linux::{clock, file};

/// The plan, one line for each change, `+` new, `-` gone, `~` changed; empty when all is in place.
///
/// # Errors
/// The text for the user: errors of the configuration, or why the kernel cannot be read.
pub(crate) fn plan(options: &RunOptions) -> Result<Vec<String>, String> {
    let text = |failure| match failure {
        Failure::Config(text) | Failure::Here(text) => text,
    };
    let (config, _) = load_config(&options.config).map_err(text)?;
    let (saved, problem) = file::load_saved(&options.state_dir);
    let mut lines: Vec<String> = problem.into_iter().map(|p| format!("# {p}")).collect();
    let mut router = Router::new(config, saved, boot_id(), seed().map_err(text)?);
    let mut kernel = Kernel::open().map_err(|e| format!("cannot open netlink: {e}"))?;
    let now = clock::now();
    let mut out = Vec::new();
    router.start(now, &mut out);
    let mut watch = Watch::default();
    for output in out.drain(..) {
        if let Output::Watch(wanted) = output {
            watch = wanted;
        }
    }
    let (observed, unread) = kernel.observe_readable(&watch)?;
    lines.extend(unread.map(|what| format!("# {what}")));
    lines.extend(beside(&watch)?);
    router.handle(now, Input::Observed(Scope::ALL, Box::new(observed)), &mut out);
    for step in router.preview(now) {
        lines.extend(describe(&step));
    }
    Ok(lines)
}

/// What of other software is in our way.
fn beside(watch: &Watch) -> Result<Vec<String>, String> {
    let mut spawner = Spawner::start().map_err(|e| format!("cannot start a process: {e}"))?;
    let findings = rail_linux::beside::look(&watch.beside, &mut spawner);
    let told = findings.conflicts.iter().map(|conflict| {
        let may = if conflict.certain { "" } else { " (doubtful)" };
        let Conflict { owner, object, effect, remedy, .. } = conflict;
        format!("# conflict{may}: {owner}: {object}: {effect}; remedy: {remedy}")
    });
    let unread = findings.unread.iter().map(|what| format!("# not looked at: {what}"));
    Ok(told.chain(unread).collect())
}

/// `+ key value`, and for a change of the firewall its text below.
fn describe(step: &Step) -> Vec<String> {
    let key = &step.key;
    match &step.op {
        Op::AddAddress | Op::AddRule => vec![format!("+ {key}")],
        Op::DelAddress | Op::DelRoute | Op::DelRule => vec![format!("- {key}")],
        Op::SetRoute { value, replace } => {
            let sign = if *replace { '~' } else { '+' };
            // An unreachable route is told by its kind, as `ip route` does.
            let value = match value {
                RouteValue::Unreachable => "unreachable".into(),
                RouteValue::Unicast { .. } => value.to_string(),
            };
            vec![format!("{sign} {key} {value}")]
        }
        Op::SetSysctl(value) => vec![format!("~ {key} = {value}")],
        Op::Nft(text) => std::iter::once(format!("~ {key}"))
            .chain(text.lines().filter(|l| !l.trim().is_empty()).map(|l| format!("    {l}")))
            .collect(),
        Op::Slots { del, add } => {
            let gone = del.iter().map(|(slot, mark)| format!(" -{slot}:{mark:#010x}"));
            let new = add.iter().map(|(slot, mark)| format!(" +{slot}:{mark:#010x}"));
            vec![format!("~ {key}{}", gone.chain(new).collect::<String>())]
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rail_core::state::{Key, RouteKey};

    #[test]
    fn a_step_is_told_with_its_sign() {
        let key = RouteKey { table: 20001, prefix: "0.0.0.0/0".parse().unwrap(), metric: 7 };
        let route = |replace| Step {
            key: Key::Route(key.clone()),
            op: Op::SetRoute { value: RouteValue::Unreachable, replace },
        };
        assert_eq!(describe(&route(false)), ["+ route default table 20001 metric 7 unreachable"]);
        assert!(describe(&route(true))[0].starts_with("~ "));
        let slots = Op::Slots { del: vec![(1, 0x100_0000)], add: vec![(1, 0x200_0000)] };
        assert_eq!(
            describe(&Step { key: Key::Slots, op: slots }),
            ["~ nft map inet rail slots -1:0x01000000 +1:0x02000000"]
        );
        let nft = Step { key: Key::Firewall, op: Op::Nft("table inet rail {\n}\n".into()) };
        assert_eq!(describe(&nft), ["~ nft table inet rail", "    table inet rail {", "    }"]);
    }
}
