//! The small part of nftables that our scripts use: a table, chains, rules by
//! handle and position, and the bucket map. A script is one transaction.
//!
//! The text of a rule is kept as it is; of its meaning the fake knows what it
//! refers to (chains, the map) and whether it asks the bucket map.

use super::{EBUSY, EEXIST, ENOENT, Kernel, error};
use rail_core::config::{Nat, UplinkConfig};
use rail_core::net::Prefix;
use rail_core::state::firewall::STAMP_PREFIX;
use rail_core::state::{Base, ChainKind, Hook, NFT_BUCKETS, NFT_GUARD, NFT_TABLE, OpError};
use std::collections::BTreeMap;

/// A table of ours.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Table {
    /// Chains by name.
    pub chains: BTreeMap<String, NftChain>,
    /// The bucket map.
    pub buckets: Option<BTreeMap<u32, u32>>,
    /// Somebody switched it off.
    pub dormant: bool,
    next_handle: u64,
}

/// The value, or the set of them, that a text begins with, and what follows it.
fn first_value(text: &str) -> Option<(&str, &str)> {
    let end = if text.starts_with('{') { text.find('}')? + 1 } else { text.find(' ')? };
    Some((&text[..end], text[end..].trim_start()))
}

/// One value, or those of a set.
fn values(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches([' ', '{', '}']).split(", ")
}

/// A chain.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct NftChain {
    /// Its hook.
    pub base: Option<Base>,
    /// Its policy is drop.
    pub drops: bool,
    /// Its rules, in order.
    pub rules: Vec<NftRule>,
}

/// A rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NftRule {
    /// Handle.
    pub handle: u64,
    /// Text without the comment.
    pub text: String,
    /// Stamp in the comment.
    pub stamp: Option<u64>,
}

impl Table {
    /// A rule in a hooked chain asks the bucket map.
    pub fn asks_buckets(&self) -> bool {
        self.asking_rules().next().is_some()
    }

    /// From how many buckets that rule draws, if it says so.
    pub fn draws(&self) -> Option<u32> {
        let (_, number) = self.asking_rules().next()?.split_once(" mod ")?;
        number.split(' ').next()?.parse().ok()
    }

    /// That rule draws a bucket only where a route is found without a mark.
    pub fn asks_way(&self) -> bool {
        self.asking_rules().any(|text| text.contains("fib daddr oif exists"))
    }

    /// The rules in a hooked chain that ask the bucket map.
    fn asking_rules(&self) -> impl Iterator<Item = &str> {
        let map = format!("map @{NFT_BUCKETS}");
        self.hooked_rules(Hook::Prerouting).filter(move |text| text.contains(&map))
    }

    /// A known connection gets its mark back.
    pub fn restores_marks(&self) -> bool {
        self.hooked_rules(Hook::Prerouting).any(|text| text.contains("meta mark set ct mark"))
    }

    /// What leaves by an uplink is compared with its address, behind the translation: a rule leads away
    /// what has another source, and none before it lets such a packet go.
    pub fn guards_sources(&self, uplink: &UplinkConfig) -> bool {
        let device = format!("\"{}\"", uplink.ifname);
        let translated = match uplink.nat {
            Nat::To(address) => Some(Prefix::host(address.into())),
            Nat::On | Nat::Off => None,
        };
        let own = uplink.own_addresses().map(Prefix::host).chain(translated);
        let own = own.chain(uplink.routed.iter().map(Prefix::network));
        let own: Vec<String> = own.map(|own| own.to_string()).collect();
        let is_own = |one: &str| own.iter().any(|own| own == one || *own == format!("{one}/32"));
        for text in self.hooked_rules(Hook::Postrouting) {
            let compared = text.strip_prefix("ip saddr ").and_then(first_value);
            let (sources, rest) = compared.map_or((None, text), |(list, rest)| (Some(list), rest));
            let Some((devices, rest)) = rest.strip_prefix("oifname ").and_then(first_value) else {
                continue;
            };
            if !values(devices).any(|one| one == device) {
                continue;
            }
            if rest == "accept" {
                if sources.is_none_or(|list| !values(list).all(is_own)) {
                    return false;
                }
            } else if let Some(rest) = rest.strip_suffix("goto foreign_source") {
                let rest = rest.strip_prefix("meta nfproto ipv4 ").unwrap_or(rest);
                // Beside an uplink without translation its own way is compared with fewer.
                let other_way = rest.strip_prefix("rt ip nexthop != ").and_then(first_value);
                let rest = other_way.map_or(rest, |(_, rest)| rest);
                let compared = rest.strip_prefix("ip saddr != ");
                let first = uplink.address().map(|own| own.address.to_string());
                let is_it = |list: &str| values(list).any(|one| Some(one) == first.as_deref());
                if rest.is_empty() || compared.is_some_and(is_it) {
                    return true;
                }
            }
        }
        false
    }

    fn hooked_rules(&self, hook: Hook) -> impl Iterator<Item = &str> {
        let awake = !self.dormant;
        let hooked =
            move |chain: &&NftChain| awake && chain.base.is_some_and(|base| base.hook == hook);
        self.chains.values().filter(hooked).flat_map(|c| &c.rules).map(|rule| rule.text.as_str())
    }

    /// A handle that nobody has.
    pub fn handle(&mut self) -> u64 {
        self.next_handle += 1;
        self.next_handle
    }

    fn chain(&mut self, name: &str) -> Result<&mut NftChain, String> {
        self.chains.get_mut(name).ok_or_else(|| format!("no chain {name}"))
    }

    /// Adds a rule at the end, or before the one with this handle.
    fn add_rule(&mut self, name: &str, before: Option<u64>, words: &str) -> Result<(), String> {
        let (text, stamp) = split_comment(words);
        for target in references(text) {
            if !self.chains.contains_key(target) {
                return Err(format!("no chain {target} to go to"));
            }
        }
        if text.contains(&format!("@{NFT_BUCKETS}")) && self.buckets.is_none() {
            return Err("no such map".into());
        }
        let handle = self.handle();
        let rules = &mut self.chain(name)?.rules;
        let at = match before {
            None => rules.len(),
            Some(next) => {
                rules.iter().position(|r| r.handle == next).ok_or("no rule at this position")?
            }
        };
        rules.insert(at, NftRule { handle, text: text.into(), stamp });
        Ok(())
    }

    fn delete_chain(&mut self, name: &str) -> Result<(), String> {
        if !self.chain(name)?.rules.is_empty() {
            return Err(format!("chain {name} is not empty"));
        }
        let mut rules = self.chains.values().flat_map(|c| &c.rules);
        if rules.any(|rule| references(&rule.text).any(|target| target == name)) {
            return Err(format!("chain {name} is in use"));
        }
        self.chains.remove(name);
        Ok(())
    }
}

impl Kernel {
    /// Runs a script, all of it or nothing.
    pub(super) fn run_nft(&mut self, script: &str) -> Result<(), OpError> {
        let (mut table, mut guard) = (self.nft.clone(), self.guard.clone());
        for line in script.lines() {
            let result = match line.split(' ').nth(3) {
                Some(NFT_TABLE) => perform(&mut table, line),
                Some(NFT_GUARD) => perform(&mut guard, line),
                _ => Err("not our table".into()),
            };
            result.map_err(|why| error(0, &format!("nft: {why}: {}", line.trim())))?;
        }
        (self.nft, self.guard) = (table, guard);
        Ok(())
    }

    /// Changes elements of the bucket map in one batch.
    pub(super) fn set_buckets(
        &mut self,
        del: &[(u32, u32)],
        add: &[(u32, u32)],
    ) -> Result<(), OpError> {
        let missing = || error(ENOENT, "No such file or directory");
        let map = self.nft.as_mut().and_then(|t| t.buckets.as_mut()).ok_or_else(missing)?;
        let mut next = map.clone();
        for (bucket, mark) in del {
            change_element(&mut next, false, *bucket, *mark).map_err(|_| missing())?;
        }
        for (bucket, mark) in add {
            change_element(&mut next, true, *bucket, *mark)
                .map_err(|_| error(EEXIST, "File exists"))?;
        }
        *map = next;
        Ok(())
    }
}

/// One uplink of a script.
fn perform(table: &mut Option<Table>, line: &str) -> Result<(), String> {
    let mut words = line.splitn(5, ' ');
    let mut word = || words.next().unwrap_or_default();
    let (verb, what, family, _, rest) = (word(), word(), word(), word(), word());
    if family != "inet" {
        return Err("not our family".into());
    }
    match (verb, what) {
        ("add", "table") => {
            table.get_or_insert_with(Table::default).dormant = false;
            return Ok(());
        }
        ("delete", "table") => {
            return table.take().map(drop).ok_or_else(|| "no such table".into());
        }
        _ => {}
    }
    let table = table.as_mut().ok_or("no such table")?;
    let (object, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    match (verb, what) {
        ("add", "map") if object == NFT_BUCKETS => {
            table.buckets.get_or_insert_with(BTreeMap::new);
            Ok(())
        }
        ("add" | "delete", "element") if object == NFT_BUCKETS => {
            let map = table.buckets.as_mut().ok_or("no such map")?;
            let list = rest.trim_matches(['{', '}', ' ']).split(", ");
            list.map(parse_element).try_for_each(|element| {
                let (bucket, mark) = element?;
                change_element(map, verb == "add", bucket, mark)
            })
        }
        ("add", "chain") if rest == "{ policy accept; }" => {
            table.chain(object)?.drops = false;
            Ok(())
        }
        ("add", "chain") => {
            let base = parse_base(rest)?;
            let chain = table.chains.entry(object.into()).or_default();
            if chain.base.is_some() && chain.base != base {
                return Err(format!("errno {EBUSY}: the hook of a chain cannot change"));
            }
            chain.base = base;
            Ok(())
        }
        ("flush", "chain") => {
            table.chain(object)?.rules.clear();
            Ok(())
        }
        ("delete", "chain") => table.delete_chain(object),
        ("add", "rule") => table.add_rule(object, None, rest),
        ("insert", "rule") => {
            let (handle, words) = number_after(rest, "position")?;
            table.add_rule(object, Some(handle), words)
        }
        ("delete", "rule") => {
            let (handle, _) = number_after(rest, "handle")?;
            let rules = &mut table.chain(object)?.rules;
            let at = rules.iter().position(|r| r.handle == handle).ok_or("no such rule")?;
            rules.remove(at);
            Ok(())
        }
        _ => Err("syntax error".into()),
    }
}

fn parse_element(text: &str) -> Result<(u32, u32), String> {
    let (bucket, mark) = text.split_once(" : 0x").ok_or("syntax error")?;
    let bucket = bucket.parse().map_err(|_| "not a number")?;
    Ok((bucket, u32::from_str_radix(mark, 16).map_err(|_| "not a number")?))
}

fn change_element(
    map: &mut BTreeMap<u32, u32>,
    add: bool,
    bucket: u32,
    mark: u32,
) -> Result<(), String> {
    let old = map.get(&bucket).copied();
    match (add, old) {
        (true, Some(old)) if old != mark => Err(format!("errno {EEXIST}: slot {bucket} is taken")),
        (true, _) => {
            map.insert(bucket, mark);
            Ok(())
        }
        // By its key alone.
        (false, Some(_)) => {
            map.remove(&bucket);
            Ok(())
        }
        (false, None) => Err(format!("errno {ENOENT}: no such element {bucket}")),
    }
}

fn number_after<'a>(text: &'a str, word: &str) -> Result<(u64, &'a str), String> {
    let rest = text.strip_prefix(word).ok_or("syntax error")?.trim_start();
    let (number, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    Ok((number.parse().map_err(|_| "not a number")?, rest))
}

fn split_comment(words: &str) -> (&str, Option<u64>) {
    let Some((text, comment)) = words.rsplit_once(" comment \"") else { return (words, None) };
    let hex = comment.trim_end_matches('"').strip_prefix(STAMP_PREFIX);
    (text, hex.and_then(|hex| u64::from_str_radix(hex, 16).ok()))
}

/// Chains that a rule goes to.
fn references(text: &str) -> impl Iterator<Item = &str> {
    let words: Vec<&str> = text.split([' ', ',']).collect();
    let targets: Vec<&str> = words
        .windows(2)
        .filter(|pair| matches!(pair[0], "goto" | "jump"))
        .map(|pair| pair[1])
        .collect();
    targets.into_iter()
}

/// `{ type nat hook prerouting priority -100; policy accept; }`
fn parse_base(text: &str) -> Result<Option<Base>, String> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    let words: Vec<&str> = text.split([' ', ';', '{', '}']).filter(|w| !w.is_empty()).collect();
    let after = |word: &str| {
        words.windows(2).find(|pair| pair[0] == word).map(|pair| pair[1]).ok_or("syntax error")
    };
    let kind = match after("type")? {
        "filter" => ChainKind::Filter,
        "nat" => ChainKind::Nat,
        "route" => ChainKind::Route,
        other => return Err(format!("no chain type {other}")),
    };
    let hook = match after("hook")? {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        other => return Err(format!("no hook {other}")),
    };
    let priority = after("priority")?.parse().map_err(|_| "not a priority")?;
    Ok(Some(Base { kind, hook, priority }))
}
