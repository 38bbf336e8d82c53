//! The kernel state of one namespace as text that can be compared.
//!
//! Shown: all policy rules, routes of all tables, addresses, nexthops, links (name, admin
//! state, MTU, alias, master), the nftables ruleset, and settings, for IPv4 and IPv6.
//! Left out, because it changes by itself: handles, counters, elements with a time-out,
//! lifetimes, connections, neighbours. Two states are equal if and only if the texts are.

use crate::{LabError, Node};
use serde_json::{Map, Value};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

/// The state of a node.
///
/// # Errors
/// When a tool fails or prints what it never printed.
pub fn state(node: &Node) -> Result<String, LabError> {
    let mut out = String::new();
    for family in ["-4", "-6"] {
        section(&mut out, &format!("rules {family}"), rules(node, family)?);
        section(&mut out, &format!("routes {family}"), routes(node, family)?);
    }
    section(&mut out, "nexthops", sorted(&node.sh("ip -o nexthop show")?));
    let (links, addresses) = links(node)?;
    section(&mut out, "links", links);
    section(&mut out, "addresses", addresses);
    section(&mut out, "nftables", nftables(&node.sh("nft -s list ruleset")?));
    section(&mut out, "settings", node.enter(settings));
    Ok(out)
}

/// The lines that only one of two states has, with `-` and `+`; empty when equal.
pub fn difference(before: &str, after: &str) -> String {
    if before == after {
        return String::new();
    }
    let (old, new): (Vec<_>, Vec<_>) = (before.lines().collect(), after.lines().collect());
    let mut out = String::new();
    for line in old.iter().filter(|line| !new.contains(line)) {
        let _ = writeln!(out, "- {line}");
    }
    for line in new.iter().filter(|line| !old.contains(line)) {
        let _ = writeln!(out, "+ {line}");
    }
    if out.is_empty() {
        out.push_str("the same lines in another order or number\n");
    }
    out
}

fn section(out: &mut String, title: &str, lines: Vec<String>) {
    // Each line names its section, so that a difference can be read alone.
    for line in lines {
        let _ = writeln!(out, "{title}: {line}");
    }
}

fn rules(node: &Node, family: &str) -> Result<Vec<String>, LabError> {
    // Order is meaning: rules of one priority apply in the order of their making. Not so for those
    // of rail, which differ by their device alone.
    let text = node.run(&["ip", "-d", family, "rule", "show"])?;
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    let priority = |line: &String| line.split(':').next().map(str::to_owned);
    let is_rung = |line: &String| line.contains(" iif ") && line.contains(RAIL);
    for rungs in lines.chunk_by_mut(|a, b| is_rung(a) && is_rung(b) && priority(a) == priority(b)) {
        rungs.sort_unstable();
    }
    Ok(lines)
}

fn routes(node: &Node, family: &str) -> Result<Vec<String>, LabError> {
    let text = node.run(&["ip", "-d", "-o", family, "route", "show", "table", "all"])?;
    let mut lines: Vec<String> = text.lines().map(without_lifetime).collect();
    lines.sort_unstable();
    Ok(lines)
}

fn without_lifetime(line: &str) -> String {
    let mut words = Vec::new();
    let mut all = line.split_whitespace();
    while let Some(word) = all.next() {
        if word == "expires" {
            all.next();
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

fn sorted(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(|line| line.trim().to_owned()).collect();
    lines.sort_unstable();
    lines
}

fn links(node: &Node) -> Result<(Vec<String>, Vec<String>), LabError> {
    let text = node.sh("ip -d -j addr show")?;
    let json: Vec<Map<String, Value>> = serde_json::from_str(&text)
        .map_err(|e| LabError::Refused(format!("ip printed no JSON: {e}")))?;
    let (mut links, mut addresses) = (Vec::new(), Vec::new());
    for link in &json {
        let name = link.get("ifname").and_then(Value::as_str).unwrap_or("?");
        let flags = link.get("flags").and_then(Value::as_array);
        let up = flags.is_some_and(|flags| flags.iter().any(|flag| flag == "UP"));
        let mut line = format!("{name} {}", if up { "up" } else { "down" });
        for key in ["mtu", "address", "ifalias", "master", "promiscuity"] {
            if let Some(value) = link.get(key) {
                let _ = write!(line, " {key} {value}");
            }
        }
        links.push(line);
        for address in link.get("addr_info").and_then(Value::as_array).into_iter().flatten() {
            let Some(fields) = address.as_object() else { continue };
            let kept = fields.iter().filter(|(key, _)| !UNSTEADY.contains(&key.as_str()));
            let words: Vec<String> = kept.map(|(key, value)| format!("{key} {value}")).collect();
            addresses.push(format!("{name} {}", words.join(" ")));
        }
    }
    links.sort_unstable();
    addresses.sort_unstable();
    Ok((links, addresses))
}

/// The ruleset without elements that end by themselves; the order of rules is kept.
fn nftables(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut lines = text.lines();
    let mut ends_by_itself = false;
    let mut table = "";
    while let Some(line) = lines.next() {
        let line = line.trim();
        if line.is_empty() {
            continue;
        }
        if line.starts_with("table ") {
            table = line.trim_end_matches([' ', '{']);
        }
        if line.starts_with("set ") || line.starts_with("map ") {
            ends_by_itself = false;
        }
        // nft hides the flag of a set that has a default time-out.
        if line.starts_with("timeout ") || line.starts_with("flags dynamic") {
            ends_by_itself = true;
        }
        let Some(first) = line.strip_prefix("elements = {") else {
            out.push(format!("{table}: {line}"));
            continue;
        };
        let mut elements = first.to_owned();
        while !elements.contains('}') {
            let Some(more) = lines.next() else { break };
            elements.push_str(more.trim());
        }
        out.extend(elements_of(&elements, ends_by_itself).map(|e| format!("{table}: element {e}")));
    }
    out
}

fn elements_of(text: &str, ends_by_itself: bool) -> impl Iterator<Item = String> {
    let inner = text.split('}').next().unwrap_or_default();
    let mut elements: Vec<String> = inner.split(',').map(|e| e.trim().to_owned()).collect();
    elements.retain(|e| !e.is_empty() && !ends_by_itself);
    elements.retain(|e| !e.contains(" timeout ") && !e.contains(" expires "));
    elements.sort_unstable();
    elements.into_iter()
}

/// Runs inside the namespace: `/proc/sys/net` shows that of the calling thread.
fn settings() -> Vec<String> {
    let mut out = Vec::new();
    for directory in ["ipv4", "ipv4/conf", "ipv4/route", "ipv6", "ipv6/conf", "netfilter"] {
        let depth = usize::from(directory.ends_with("conf"));
        read_settings(Path::new("/proc/sys/net").join(directory).as_path(), depth, &mut out);
    }
    out.sort_unstable();
    out
}

fn read_settings(directory: &Path, depth: usize, out: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            if depth > 0 {
                read_settings(&path, depth - 1, out);
            }
            continue;
        }
        let name = path.strip_prefix("/proc/sys").unwrap_or(&path).display().to_string();
        if UNSTEADY.iter().any(|unsteady| name.ends_with(unsteady)) {
            continue;
        }
        // Some are for writing only, some need a secret to be set first.
        if let Ok(value) = fs::read_to_string(&path) {
            out.push(format!("{name} = {}", value.trim()));
        }
    }
}

/// The protocol of rail's rules.
const RAIL: &str = " proto 82";
/// Names of what changes by itself.
const UNSTEADY: [&str; 9] = [
    "valid_life_time",
    "preferred_life_time",
    "tentative",
    "optimistic",
    "dadfailed",
    "nf_conntrack_count",
    "nf_conntrack_max",
    "nf_conntrack_buckets",
    "tcp_fastopen_key",
];
