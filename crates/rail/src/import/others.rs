//! What fault_tolerant_router has besides uplinks: `downlinks`, `tests`, `log`, and its numbers.

use super::draft::{Draft, clean};
use super::notes::{At, Notes, Section};
use crate::load::{quoted, shown};
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

/// The inside.
pub(super) fn downlinks(notes: &mut Notes, draft: &mut Draft, root: &Section<'_>, source: &str) {
    let known = ["lan", "dmz"];
    let Some(section) = notes.section(root, "downlinks", "downlinks.", &known) else {
        if root.value("downlinks").is_none() {
            notes.missing(root, "downlinks", "lan: eth0 below it");
        }
        return;
    };
    let text = |notes: &mut Notes, key: &str| {
        let path = format!("downlinks.{key}");
        section.value(key).and_then(|node| notes.text(node, &path))
    };
    let (lan, dmz) = (text(notes, "lan"), text(notes, "dmz"));
    if section.value("lan").is_none() && section.value("dmz").is_none() {
        notes.missing(&section, "lan", "lan: eth0");
    }
    if let Some(At { value, span }) = &lan {
        draft.gap();
        draft.header("[lan]", "downlinks", &section.span);
        draft.set("interfaces", &format!("[{}]", quoted(&clean(value))), "downlinks.lan", span);
    }
    draft.gap();
    match &dmz {
        None => draft.say("downlinks.dmz: blank or left out, so there is no DMZ."),
        Some(At { value, span }) => {
            draft.say(
                "The rules of generate_iptables let anything from outside into the DMZ. rail lets in what a \
                 [[forward]] or, for public addresses, an entry of `allow` with `to` names. The LAN reaches \
                 the DMZ; the DMZ reaches the internet, and of the router ICMP, DNS and DHCP.",
            );
            draft.header("[[network]]", "downlinks.dmz", span);
            // A network of [lan] is called as its interface.
            let is_taken = lan.as_ref().is_some_and(|lan| lan.value == "dmz");
            let name = if is_taken { "dmz-network" } else { "dmz" };
            draft.set_text("name", name, "downlinks.dmz", span);
            draft.set_text("interface", value, "downlinks.dmz", span);
            draft.set_text("kind", "dmz", "downlinks.dmz", span);
        }
    }
    draft.keep(source, &section, &known);
}

/// Who is asked, and how many must answer.
pub(super) fn tests(notes: &mut Notes, draft: &mut Draft, root: &Section<'_>, source: &str) {
    let known = ["ips", "required_successful", "ping_retries", "interval"];
    draft.gap();
    let Some(section) = notes.section(root, "tests", "tests.", &known) else {
        draft.say("tests: left out, so uplinks are checked as rail does by default.");
        return;
    };
    draft.header("[check]", "tests", &section.span);
    let targets = targets(notes, draft, &section);
    required(notes, draft, &section, &targets);
    for (key, why) in [
        (
            "ping_retries",
            "no counterpart. A lost answer makes rail ask again, quickly, and weigh what is lost.",
        ),
        (
            "interval",
            "no counterpart. It was the pause between two rounds of pings; rail asks one target each \
             250 ms, and an uplink that carries nothing at a tenth of that. Where the traffic is paid for, \
             see what `rail check` says of its cost, and write for example interval = \"1s\" here.",
        ),
    ] {
        let node = section.value(key);
        let path = format!("tests.{key}");
        if let Some(At { value, .. }) = node.and_then(|node| notes.integer(node, &path)) {
            draft.say(&format!("{path}: {value}: {why}"));
        }
    }
    draft.keep(source, &section, &known);
}

/// The targets, and how many there are in their file.
struct Targets {
    kept: usize,
    given: usize,
}

fn targets(notes: &mut Notes, draft: &mut Draft, section: &Section<'_>) -> Targets {
    let mut targets = Targets { kept: 0, given: 0 };
    let Some(node) = section.value("ips") else {
        notes.warn(&section.span, "`tests.ips` is left out: rail's own targets are asked");
        draft.say("tests.ips: blank or left out, so rail's own targets are asked.");
        return targets;
    };
    let Some(items) = notes.list(node, "tests.ips") else { return targets };
    let mut kept: Vec<Ipv4Addr> = Vec::new();
    let mut away = Vec::new();
    for item in items {
        let Some(At { value, span }) = notes.text(item, "tests.ips") else { continue };
        targets.given += 1;
        let why = match value.parse::<IpAddr>() {
            Ok(IpAddr::V4(address)) if kept.contains(&address) => "given twice",
            Ok(IpAddr::V4(_)) if kept.len() == MOST_TARGETS => "one too many: 16 are the most",
            Ok(IpAddr::V4(address)) => {
                kept.push(address);
                continue;
            }
            Ok(IpAddr::V6(_)) => "IPv6 targets are not in this version",
            Err(_) => "names are not resolved: on a dead uplink no server could be asked",
        };
        away.push(format!("tests.ips: {value}: left out ({why})."));
        // A list can be long, and one sentence tells what it is about.
        if away.len() <= FEW {
            notes.warn(&span, format!("the target {} is left out: {why}", shown(&value)));
        }
    }
    if kept.is_empty() && !items.is_empty() {
        draft.say("tests.ips: none of them can be asked, so rail's own targets are.");
    } else if items.is_empty() {
        notes.error(&node.span, "`tests.ips` is empty: no uplink could be checked");
    } else {
        let list: Vec<_> = kept.iter().map(|target| quoted(&target.to_string())).collect();
        draft.set("targets", &format!("[{}]", list.join(", ")), "tests.ips", &node.span);
    }
    away.iter().for_each(|text| draft.say(text));
    targets.kept = kept.len();
    targets
}

fn required(notes: &mut Notes, draft: &mut Draft, section: &Section<'_>, targets: &Targets) {
    let key = "tests.required_successful";
    let Some(node) = section.value("required_successful") else {
        notes.warn(&section.span, format!("`{key}` is left out: rail's default is used"));
        draft.say(&format!("{key}: blank or left out: two must answer, or the only one."));
        return;
    };
    let Some(At { value, span }) = notes.integer(node, key) else { return };
    let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    // What is left out counts for nothing; of rail's own targets there are four.
    let most = if targets.kept == 0 { 4 } else { count(targets.kept) };
    if value < 1 || targets.given > 0 && value > count(targets.given) {
        let text = match value {
            ..1 => format!("`{key}` is {value}: nothing would be checked"),
            _ => format!("`{key}` is {value}, but `tests.ips` has only {}", targets.given),
        };
        let hint = if value < 1 { "at least 1" } else { "no uplink could ever be up" };
        notes.error(&span, text).hint(hint);
    } else if value > most {
        let text = format!("`{key}` is {value}, but the targets left are {most}: all must answer");
        notes.warn(&span, text);
        let origin = format!("{key}: {value}; so many are left");
        draft.set("required", &most.to_string(), &origin, &span);
    } else {
        draft.set("required", &value.to_string(), key, &span);
    }
}

/// What their kernel did and no key says.
pub(super) fn balance(draft: &mut Draft) {
    draft.gap();
    draft.say(
        "No key of theirs: the kernel's multipath route hashes client and server, so a client kept one \
         address at one server. This keeps it so; \"connection\" shares more evenly.",
    );
    draft.plain("[balance]\nby = \"client+server\"");
}

pub(super) fn log(notes: &mut Notes, draft: &mut Draft, root: &Section<'_>, source: &str) {
    let known = ["file", "max_size", "old_files"];
    draft.gap();
    let Some(section) = notes.section(root, "log", "log.", &known) else {
        draft.say("log: left out. rail logs to the journal, or to stderr.");
        return;
    };
    draft.header("[log]", "log", &section.span);
    if let Some(At { value, span }) =
        section.value("file").and_then(|node| notes.text(node, "log.file"))
    {
        file(draft, &value, &span);
    }
    if let Some(At { value, span }) =
        section.value("max_size").and_then(|node| notes.integer(node, "log.max_size"))
    {
        let size = u64::try_from(value).unwrap_or(0).clamp(SMALLEST_LOG, LARGEST_LOG);
        let is_same = u64::try_from(value) == Ok(size);
        let origin = if is_same { "log.max_size" } else { "log.max_size, as near as rail can" };
        draft.set_size("max_size", size, origin, &span);
    }
    if let Some(At { value, span }) =
        section.value("old_files").and_then(|node| notes.integer(node, "log.old_files"))
    {
        let keep = value.clamp(0, MOST_OLD_FILES);
        let origin =
            if keep == value { "log.old_files" } else { "log.old_files, as near as rail can" };
        draft.set("keep", &keep.to_string(), origin, &span);
    }
    draft.keep(source, &section, &known);
}

fn file(draft: &mut Draft, path: &str, span: &Range<usize>) {
    let is_shared = ["/tmp/", "/var/tmp/"].iter().any(|folder| path.starts_with(folder));
    if !path.starts_with('/') || path.ends_with('/') || is_shared {
        let why = if is_shared {
            "anybody can write there, and a service has a /tmp of its own"
        } else {
            "rail takes the absolute path of a file"
        };
        draft.say(&format!(
            "log.file: {path}: left out, because {why}. rail logs to the journal, or to stderr, without a line \
             such as:"
        ));
        draft.quote("file = \"/var/log/rail.log\"");
        return;
    }
    if !path.starts_with("/var/log/") {
        draft.say(
            "The service unit lets rail write below /var/log alone: ReadWritePaths= adds a folder.",
        );
    }
    draft.set_text("file", path, "log.file", span);
}

/// The numbers of tables, rules and marks, and what is left of them in the kernel.
pub(super) fn numbers(notes: &mut Notes, draft: &mut Draft, root: &Section<'_>, uplinks: usize) {
    let mut read = |key: &str| {
        let node = root.value(key)?;
        Some(notes.integer(node, key)?.value)
    };
    let base = [read("base_table"), read("base_priority"), read("base_fwmark")];
    draft.gap();
    for (key, value, ours) in [
        ("base_table", base[0], "tables"),
        ("base_priority", base[1], "rule_priorities"),
        ("base_fwmark", base[2], "marks"),
    ] {
        if let Some(value) = value {
            draft.say(&format!(
                "{key}: {value}: no counterpart, for rail has numbers of its own: `{ours}` in [ranges]."
            ));
        }
    }
    draft.gap();
    draft.say(
        "Before the first start: end fault_tolerant_router, and take what generate_iptables printed out of \
         your firewall: its CONNMARK rules overwrite the marks of rail.",
    );
    let last = |first: i64, more: usize| first.checked_add(i64::try_from(more).ok()?);
    let rules = base[1].filter(|first| *first > KERNELS_RULES);
    let rules = rules.and_then(|first| Some((first, last(first, 2 * uplinks)?)));
    let tables = base[0].and_then(|first| Some((first, last(first, uplinks)?)));
    let tables = tables.filter(|(first, last)| *first > 0 && *last < KERNELS_TABLES);
    let (Some(rules), Some(tables)) = (rules, tables) else {
        draft.say("It leaves rules and tables in the kernel, too: see `ip rule` and `ip route show table all`.");
        return;
    };
    draft.say("It leaves rules and tables in the kernel, too. This removes them:");
    let (first, last) = rules;
    draft.quote(&format!("for n in $(seq {first} {last}); do ip rule del priority $n; done"));
    let (first, last) = tables;
    draft.quote(&format!("for n in $(seq {first} {last}); do ip route del default table $n; done"));
}

/// Commands for all uplinks, of a branch that was never released.
pub(super) fn commands(draft: &mut Draft, root: &Section<'_>, source: &str) {
    for key in ["all_up_command", "all_down_command"] {
        if let Some(entry) = root.get(key).filter(|entry| !entry.value.is_blank()) {
            draft.gap();
            draft.say(super::COMMAND);
            draft.cite(source, entry);
        }
    }
}

/// As many targets as `[check]` takes.
const MOST_TARGETS: usize = 16;
/// So many targets that are left out have a warning each.
const FEW: usize = 8;
/// Bytes.
const SMALLEST_LOG: u64 = 10_000;
const LARGEST_LOG: u64 = 10_000_000_000;
const MOST_OLD_FILES: i64 = 1000;
/// Up to this one the kernel has rules of its own.
const KERNELS_RULES: i64 = 32767;
/// From this one on the kernel has tables of its own: default, main, local.
const KERNELS_TABLES: i64 = 253;
