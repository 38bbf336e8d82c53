//! Reads what other software has set up: nftables, iptables, policy rules,
//! routes in our tables; `rail_core::coexist` examines it.
//!
//! Promises to change nothing, and to be bounded in time and size. What cannot
//! be read is a sentence in the result and costs nothing else. Takes its time:
//! it is for a thread of its own, or for a command.

mod iptables;
mod nft;

use crate::netlink::RequestSocket;
use crate::process::Spawner;
use crate::programs;
use rail_core::Watch;
use rail_core::coexist::{Findings, PolicyRule, Survey, Table, View, examine};
use rail_core::net::Family;
use rail_core::state::{OpError, PROTOCOL, Scope};
use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

/// Reads and examines; the sockets are opened in the namespace of the calling thread.
pub fn look(view: &View, spawner: &mut Spawner) -> Findings {
    Surveyor::default().look(view, spawner)
}

/// Looks again and again.
#[derive(Debug, Default)]
pub(crate) struct Surveyor {
    /// The firewall as it was last read.
    firewall: Survey,
}

impl Surveyor {
    /// Reads and examines everything.
    pub(crate) fn look(&mut self, view: &View, spawner: &mut Spawner) -> Findings {
        self.firewall = firewall(spawner);
        self.look_around(view)
    }

    /// Reads devices, addresses, rules and routes alone, and examines with the firewall as it was: no
    /// child is started.
    pub(crate) fn look_around(&self, view: &View) -> Findings {
        let mut survey = self.firewall.clone();
        if let Err(why) = routing(view, &mut survey) {
            survey.unread.push(format!("policy rules and routes: {why}"));
        }
        examine(view, &survey)
    }
}

fn firewall(spawner: &mut Spawner) -> Survey {
    let mut survey = Survey::default();
    let read = ruleset(spawner, &mut survey.unread);
    match read.and_then(|json| nft::read(&json, &mut survey)) {
        Ok(()) => survey.has_firewall = true,
        Err(why) => survey.unread.push(format!("nftables: {why}")),
    }
    add_words(spawner, &mut survey);
    if let Err(why) = add_legacy(spawner, &mut survey) {
        survey.unread.push(format!("iptables-legacy: {why}"));
    }
    survey
}

/// The ruleset without what is in sets, for a set of addresses may be huge and decides over few;
/// then what is in those that do decide.
fn ruleset(spawner: &mut Spawner, unread: &mut Vec<String>) -> Result<Vec<u8>, String> {
    let terse = run(spawner, &["nft", "-j", "-t", "list", "ruleset"])?;
    if terse.len() >= MOST_BYTES {
        return Err(format!("the rules are larger than {} MB", MOST_BYTES >> 20));
    }
    let mut parts = Vec::new();
    let named = at_most(nft::named(&terse)?, MOST_SETS, "sets and maps that rules ask", unread);
    for [kind, family, table, name] in named.iter() {
        // One that is gone or huge by now counts as empty.
        let set = run(spawner, &["nft", "-j", "list", kind, family, table, name]);
        parts.extend(set.ok().filter(|set| set.len() < MOST_BYTES));
    }
    parts.push(terse);
    Ok(nft::join(&parts))
}

/// Gives the rules of iptables in nftables their words.
fn add_words(spawner: &mut Spawner, survey: &mut Survey) {
    if !survey.tables.iter().any(is_of_iptables) {
        return;
    }
    // starts: iptables-nft-save, iptables-save
    let words = ["iptables-nft-save", "iptables-save"].iter().find_map(|program| {
        let text = String::from_utf8(run(spawner, &[program]).ok()?).ok()?;
        (!text.contains("(legacy)")).then(|| iptables::read(&text))
    });
    let Some(words) = words else {
        let text = "iptables: its rules have parts that only iptables-save can name; where they \
                    matter, what is reported is doubtful";
        survey.unread.push(text.into());
        return;
    };
    for table in survey.tables.iter_mut().filter(|table| is_of_iptables(table)) {
        let Some(reported) = words.iter().find(|reported| reported.name == table.name) else {
            continue;
        };
        table.iptables = true;
        for chain in &mut table.chains {
            if let Some(reported) =
                reported.chains.iter().find(|reported| reported.name == chain.name)
            {
                chain.rules.clone_from(&reported.rules);
            }
        }
    }
}

fn is_of_iptables(table: &Table) -> bool {
    let names = ["filter", "nat", "mangle", "raw", "security"];
    let builtin = |name: &str| nft::hook(name).is_some() && name.to_ascii_uppercase() == name;
    table.family == "ip"
        && names.contains(&table.name.as_str())
        && table.chains.iter().any(|chain| builtin(&chain.name))
}

/// The old iptables has tables of its own, beside nftables.
fn add_legacy(spawner: &mut Spawner, survey: &mut Survey) -> Result<(), String> {
    match fs::read_to_string("/proc/thread-self/net/ip_tables_names") {
        Ok(names) if names.trim().is_empty() => return Ok(()),
        Ok(_) => {}
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(()),
        Err(e) => return Err(e.to_string()),
    }
    let text = run(spawner, &["iptables-legacy-save"])?;
    if text.len() == MOST_BYTES {
        return Err(format!("the rules are larger than {} MB", MOST_BYTES >> 20));
    }
    survey.tables.extend(iptables::read(&String::from_utf8_lossy(&text)));
    Ok(())
}

fn run(spawner: &mut Spawner, argv: &[&str]) -> Result<Vec<u8>, String> {
    let reported = |what: &dyn std::fmt::Display| format!("{}: {what}", argv[0]);
    let Some(path) = programs::find(argv[0]) else {
        return Err(reported(&"the program is missing"));
    };
    let argv = [&[path.as_str()], &argv[1..]].concat();
    let finished = spawner.run(&argv, PATIENCE, MOST_BYTES).map_err(|e| reported(&e))?;
    finished.result().map_err(|e| reported(&e))?;
    Ok(finished.stdout)
}

fn routing(view: &View, survey: &mut Survey) -> Result<(), OpError> {
    let opened = RequestSocket::open();
    let mut socket = opened.map_err(|e| OpError { errno: 0, text: e.to_string() })?;
    survey.rules = socket.policy_rules()?;
    survey.host = socket.host()?;
    let foreign = survey.rules.iter().filter(|rule| rule.protocol != PROTOCOL);
    let mut tables: Vec<u32> = foreign.filter_map(PolicyRule::looks_in).collect();
    tables.sort_unstable();
    tables.dedup();
    for table in at_most(tables, MOST_TABLES, "tables of policy rules", &mut survey.unread) {
        let reach = socket.reach(table)?;
        if reach.any {
            survey.filled.push(table);
        }
        if reach.everywhere {
            survey.catch_alls.push(table);
        }
        let device = |index| survey.host.devices.iter().find(|device| device.index == index);
        if let Some((index, via)) = reach.way
            && let Some(device) = device(index)
        {
            survey.ways.push((table, device.name.clone(), via));
        }
    }
    let watch = Watch { tables: view.tables, ..Watch::default() };
    let observed = socket.observe(Scope::ADDRESSES | Scope::ROUTES, &watch)?;
    let inside = observed.addresses.keys().filter(|(name, _)| view.inside.contains(name));
    let networks = inside.map(|(_, prefix)| prefix.network());
    survey.inside = networks.filter(|prefix| prefix.family() == Family::V4).collect();
    survey.routes = RequestSocket::foreign_routes(&observed.routes);
    Ok(())
}

/// The first of many; that there are more is reported.
fn at_most<T>(mut all: Vec<T>, most: usize, what: &str, unread: &mut Vec<String>) -> Vec<T> {
    if all.len() > most {
        unread.push(format!("only {most} of {} {what} were looked at", all.len()));
        all.truncate(most);
    }
    all
}

/// For `nft` and its like; on a big host it reads for a second.
const PATIENCE: Duration = Duration::from_secs(10);
/// Sets of others that are read by name.
const MOST_SETS: usize = 32;
/// Of one program's output.
const MOST_BYTES: usize = 4 << 20;
/// Tables of others in which routes for everything are looked for.
const MOST_TABLES: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;

    /// Given as many as are looked at, and one more, then the latter is reported.
    #[test]
    fn what_is_not_looked_at_is_told() {
        let mut unread = Vec::new();
        assert_eq!(at_most(vec![1, 2], 2, "tables", &mut unread), [1, 2]);
        assert!(unread.is_empty());
        assert_eq!(at_most(vec![1, 2, 3], 2, "tables", &mut unread), [1, 2]);
        assert_eq!(unread, ["only 2 of 3 tables were looked at"]);
    }
}
