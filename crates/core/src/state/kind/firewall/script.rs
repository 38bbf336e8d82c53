//! From the nftables table that is there to the one we want, as text for one
//! `nft -f -`, touching only what differs.
//!
//! Each of our rules bears a stamp in its comment, made from its chain and its
//! text. So a rule of ours is known after a crash, a changed one is another rule,
//! and a rule without a stamp is somebody else's: it is never deleted or moved,
//! unless somebody hooked its chain elsewhere, which only a new chain can mend.

use super::{Base, Chain, ChainKind, Firewall, Hook, ObservedChain, ObservedFirewall};
use crate::state::{NFT_BUCKETS, NFT_GUARD, NFT_TABLE};
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt::{self, Write};

/// What stands in the comment of a rule of ours before the stamp.
pub const STAMP_PREFIX: &str = "rail:";

/// The identity of a rule: FNV-1a (64 bits) of chain name, a zero, and text.
pub fn stamp(chain: &str, rule: &str) -> u64 {
    let bytes = chain.bytes().chain([0]).chain(rule.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

/// The transaction that brings the table from `observed` to `desired`; `None` when they agree.
pub fn script(desired: &Firewall, observed: Option<&ObservedFirewall>) -> Option<String> {
    let empty = ObservedFirewall::default();
    let have = observed.unwrap_or(&empty);
    let mut text = String::new();
    if observed.is_none() || have.dormant {
        // Without flags it wakes a table that is there.
        line(&mut text, format_args!("add table inet {NFT_TABLE}"));
    }
    if have.buckets.is_none() {
        // The type of the key is the same for every way to compute it and every modulus. With a
        // size it is a plain hash table: the fastest to ask, and never half-way through growing.
        line(
            &mut text,
            format_args!(
                "add map inet {NFT_TABLE} {NFT_BUCKETS} {{ typeof numgen inc mod 65536 : meta mark; size 4096; }}"
            ),
        );
    }
    // Rules that go are dropped first: a chain can only go when nothing jumps to it.
    let mut rehooked = BTreeSet::new();
    for chain in &desired.chains {
        if let Some(old) = have.chains.get(&chain.name)
            && old.base != chain.base
        {
            line(&mut text, format_args!("flush chain inet {NFT_TABLE} {}", chain.name));
            rehooked.insert(chain.name.as_str());
        } else if chain.base.is_some() && have.chains.get(&chain.name).is_some_and(|old| old.drops)
        {
            let name = &chain.name;
            line(&mut text, format_args!("add chain inet {NFT_TABLE} {name} {{ policy accept; }}"));
        }
    }
    let surplus: Vec<&String> =
        have.chains.keys().filter(|name| desired.chains.iter().all(|c| c.name != **name)).collect();
    for name in &surplus {
        drop_ours(&mut text, NFT_TABLE, name, &have.chains[*name]);
    }
    for name in &rehooked {
        line(&mut text, format_args!("delete chain inet {NFT_TABLE} {name}"));
    }
    for chain in &desired.chains {
        if !have.chains.contains_key(&chain.name) || rehooked.contains(chain.name.as_str()) {
            add_chain(&mut text, chain);
        }
    }
    let nothing = ObservedChain::default();
    for chain in &desired.chains {
        let old = have.chains.get(&chain.name).filter(|_| !rehooked.contains(chain.name.as_str()));
        change_rules(&mut text, chain, old.unwrap_or(&nothing));
    }
    for name in &surplus {
        if can_go(have, &have.chains[*name]) {
            line(&mut text, format_args!("delete chain inet {NFT_TABLE} {name}"));
        }
    }
    (!text.is_empty()).then_some(text)
}

/// The boot guard: nothing is forwarded, in IPv4 and IPv6, by whatever interface. The router's own
/// connections and those to it are no business of this hook. It needs no configuration, and holds
/// against whoever else switches forwarding on.
pub fn guard() -> String {
    let (name, rule) = ("forward", "counter drop");
    let stamp = stamp(name, rule);
    format!(
        "add table inet {NFT_GUARD}\n\
         add chain inet {NFT_GUARD} {name} {{ type filter hook forward priority -300; policy accept; }}\n\
         add rule inet {NFT_GUARD} {name} {rule} comment \"{STAMP_PREFIX}{stamp:016x}\"\n"
    )
}

/// The transaction that takes ours away: the whole table, or, where others have rules in it,
/// our rules alone.
pub fn removal(table: &str, observed: &ObservedFirewall) -> String {
    let mut text = String::new();
    if observed.chains.values().flat_map(|c| &c.rules).all(|rule| rule.stamp.is_some()) {
        line(&mut text, format_args!("delete table inet {table}"));
        return text;
    }
    for (name, chain) in &observed.chains {
        drop_ours(&mut text, table, name, chain);
    }
    text
}

/// True if the table has something of ours to take away.
pub fn has_ours(observed: &ObservedFirewall) -> bool {
    let mut rules = observed.chains.values().flat_map(|c| &c.rules);
    rules.clone().any(|rule| rule.stamp.is_some()) || rules.next().is_none()
}

/// An element of the bucket map: bucket and mark.
pub type Bucket = (u32, u32);

/// Elements to remove and to add.
pub fn buckets_delta(
    desired: &BTreeMap<u32, u32>,
    observed: Option<&BTreeMap<u32, u32>>,
) -> (Vec<Bucket>, Vec<Bucket>) {
    let empty = BTreeMap::new();
    let have = observed.unwrap_or(&empty);
    if have == desired {
        return (Vec::new(), Vec::new());
    }
    let missing =
        |from: &BTreeMap<u32, u32>, bucket: &u32, mark: &u32| from.get(bucket) != Some(mark);
    let pairs = |map: &BTreeMap<u32, u32>, other: &BTreeMap<u32, u32>| {
        map.iter().filter(|(s, m)| missing(other, s, m)).map(|(s, m)| (*s, *m)).collect()
    };
    (pairs(have, desired), pairs(desired, have))
}

/// The same as lines of a transaction. The kernel deletes an element by its key and does not look at
/// the value, but it refuses to add one that is there with another value. So each element to remove
/// is added first: the transaction fails if the map changed since it was made.
pub fn buckets_script(del: &[Bucket], add: &[Bucket]) -> String {
    let mut text = String::new();
    for (verb, buckets) in [("add", del), ("delete", del), ("add", add)] {
        let elements: Vec<String> =
            buckets.iter().map(|(bucket, mark)| format!("{bucket} : {mark:#010x}")).collect();
        if !elements.is_empty() {
            let elements = elements.join(", ");
            let words =
                format_args!("{verb} element inet {NFT_TABLE} {NFT_BUCKETS} {{ {elements} }}");
            line(&mut text, words);
        }
    }
    text
}

fn line(text: &mut String, words: fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{words}");
}

fn add_chain(text: &mut String, chain: &Chain) {
    let hook = chain.base.map_or_else(String::new, |base| format!(" {{ {base}; policy accept; }}"));
    line(text, format_args!("add chain inet {NFT_TABLE} {}{hook}", chain.name));
}

/// As nft writes it, without the policy.
impl fmt::Display for Base {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChainKind::Filter => "filter",
            ChainKind::Nat => "nat",
            ChainKind::Route => "route",
        };
        let hook = match self.hook {
            Hook::Prerouting => "prerouting",
            Hook::Input => "input",
            Hook::Forward => "forward",
            Hook::Output => "output",
            Hook::Postrouting => "postrouting",
        };
        write!(f, "type {kind} hook {hook} priority {}", self.priority)
    }
}

/// True if a chain that is not wanted is ours alone. An empty one may be somebody's who is about
/// to fill it; one that is jumped to may be so by a rule of others, and cannot be deleted.
fn can_go(table: &ObservedFirewall, chain: &ObservedChain) -> bool {
    let is_ours = |chain: &ObservedChain| chain.rules.iter().all(|rule| rule.stamp.is_some());
    !chain.rules.is_empty()
        && is_ours(chain)
        && (chain.base.is_some() || table.chains.values().all(is_ours))
}

fn drop_ours(text: &mut String, table: &str, name: &str, chain: &ObservedChain) {
    for rule in chain.rules.iter().filter(|rule| rule.stamp.is_some()) {
        let handle = rule.handle;
        line(text, format_args!("delete rule inet {table} {name} handle {handle}"));
    }
}

/// Changes the rules of one chain: the longest run in the right order stays; what is missing goes
/// in before the next one that stays; then what is ours and not wanted is deleted.
fn change_rules(text: &mut String, chain: &Chain, old: &ObservedChain) {
    let wanted: Vec<u64> = chain.rules.iter().map(|rule| stamp(&chain.name, rule)).collect();
    let ours: Vec<(u64, u64)> =
        old.rules.iter().filter_map(|rule| Some((rule.stamp?, rule.handle))).collect();
    let kept = common(&wanted, &ours);
    if kept.iter().all(Option::is_some) && kept.len() == ours.len() {
        return;
    }
    for (i, rule) in chain.rules.iter().enumerate() {
        if kept[i].is_some() {
            continue;
        }
        let (name, stamp) = (&chain.name, wanted[i]);
        let next = kept[i..].iter().flatten().next().map(|at| ours[*at].1);
        let place = match next {
            Some(handle) => format!("insert rule inet {NFT_TABLE} {name} position {handle}"),
            None => format!("add rule inet {NFT_TABLE} {name}"),
        };
        line(text, format_args!("{place} {rule} comment \"{STAMP_PREFIX}{stamp:016x}\""));
    }
    let stays: BTreeSet<usize> = kept.iter().flatten().copied().collect();
    for (at, (_, handle)) in ours.iter().enumerate() {
        if !stays.contains(&at) {
            let name = &chain.name;
            line(text, format_args!("delete rule inet {NFT_TABLE} {name} handle {handle}"));
        }
    }
}

/// A longest common subsequence: for each wanted stamp the index in `ours` that stays, if any.
///
/// What is equal at both ends needs no table, and that is mostly all: a table of a thousand port
/// forwards would take tens of milliseconds at each change.
fn common(wanted: &[u64], ours: &[(u64, u64)]) -> Vec<Option<usize>> {
    let (begin, end) = equal_ends(wanted, ours);
    let middle = longest(&wanted[begin..wanted.len() - end], &ours[begin..ours.len() - end]);
    let first = (0..begin).map(Some);
    let middle = middle.into_iter().map(|at| at.map(|at| at + begin));
    let last = (ours.len() - end..ours.len()).map(Some);
    first.chain(middle).chain(last).collect()
}

/// How many rules are equal at the begin, and how many of the others at the end.
fn equal_ends(wanted: &[u64], ours: &[(u64, u64)]) -> (usize, usize) {
    let is_equal = |(want, have): &(&u64, &(u64, u64))| **want == have.0;
    let begin = wanted.iter().zip(ours).take_while(is_equal).count();
    let (wanted, ours) = (&wanted[begin..], &ours[begin..]);
    (begin, wanted.iter().rev().zip(ours.iter().rev()).take_while(is_equal).count())
}

fn longest(wanted: &[u64], ours: &[(u64, u64)]) -> Vec<Option<usize>> {
    let (rows, columns) = (wanted.len(), ours.len());
    if rows == 0 || columns == 0 {
        return vec![None; rows];
    }
    let mut best = vec![vec![0_usize; columns + 1]; rows + 1];
    for i in (0..rows).rev() {
        for j in (0..columns).rev() {
            best[i][j] = if wanted[i] == ours[j].0 {
                best[i + 1][j + 1] + 1
            } else {
                best[i + 1][j].max(best[i][j + 1])
            };
        }
    }
    let mut kept = vec![None; rows];
    let (mut i, mut j) = (0, 0);
    while i < rows && j < columns {
        if wanted[i] == ours[j].0 {
            kept[i] = Some(j);
            (i, j) = (i + 1, j + 1);
        } else if best[i + 1][j] >= best[i][j + 1] {
            i += 1;
        } else {
            j += 1;
        }
    }
    kept
}

#[cfg(test)]
mod tests;
