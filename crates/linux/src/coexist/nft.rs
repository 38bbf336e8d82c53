//! The ruleset as `nft -j list ruleset` prints it (libnftables-json).
//!
//! Promises: one object at a time is held beside the result; what is not
//! understood becomes a condition of which nobody knows whether it holds.

mod rule;

use rail_core::coexist::{Base, Chain, Flowtable, Survey, Table};
use rail_core::state::{Hook, NFT_GUARD, NFT_TABLE};
use serde::Deserialize;
use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// Named sets and maps that may decide over a chain: of interfaces and of verdicts.
type Sets = BTreeMap<(String, String, String), Vec<Value>>;

/// What was read so far.
#[derive(Default)]
struct Ruleset {
    tables: Vec<Table>,
    flowtables: Vec<Flowtable>,
    sets: Sets,
    /// Kind, family, table and name of these sets, as `nft list` wants them.
    named: Vec<[String; 4]>,
}

#[derive(Deserialize)]
struct Root {
    #[serde(deserialize_with = "one_by_one")]
    nftables: Ruleset,
}

/// Adds the tables and flow tables to the survey.
///
/// # Errors
/// The text is not what nft prints.
pub(super) fn read(json: &[u8], survey: &mut Survey) -> Result<(), String> {
    let root: Root = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    survey.tables.extend(root.nftables.tables);
    survey.flowtables.extend(root.nftables.flowtables);
    Ok(())
}

/// The named sets and maps that may decide over a chain.
///
/// # Errors
/// The text is not what nft prints.
pub(super) fn named(json: &[u8]) -> Result<Vec<[String; 4]>, String> {
    let root: Root = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    Ok(root.nftables.named)
}

/// One text with the objects of all of these, in this order.
pub(super) fn join(parts: &[Vec<u8>]) -> Vec<u8> {
    let inner = |part: &Vec<u8>| -> Option<Vec<u8>> {
        let from = part.iter().position(|byte| *byte == b'[')? + 1;
        let to = part.iter().rposition(|byte| *byte == b']')?;
        Some(part.get(from..to)?.to_vec())
    };
    let inner: Vec<Vec<u8>> = parts.iter().filter_map(inner).collect();
    let mut whole = b"{\"nftables\":[".to_vec();
    whole.extend(inner.join(&b","[..]));
    whole.extend(b"]}");
    whole
}

fn one_by_one<'de, D: Deserializer<'de>>(from: D) -> Result<Ruleset, D::Error> {
    struct Objects;
    impl<'de> Visitor<'de> for Objects {
        type Value = Ruleset;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of objects")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Ruleset, A::Error> {
            let mut ruleset = Ruleset::default();
            while let Some(object) = list.next_element::<Value>()? {
                let Value::Object(object) = object else {
                    return Err(A::Error::custom("not an object"));
                };
                for (kind, value) in object {
                    ruleset.take(&kind, &value);
                }
            }
            Ok(ruleset)
        }
    }
    from.deserialize_seq(Objects)
}

impl Ruleset {
    fn take(&mut self, kind: &str, value: &Value) {
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        let family = text("family");
        if kind == "flowtable" {
            let devices = strings(&value["dev"]);
            let (table, name) = (text("table"), text("name"));
            self.flowtables.push(Flowtable { family, table, name, devices });
            return;
        }
        let table = text(if kind == "table" { "name" } else { "table" });
        let is_ours = family == "inet" && [NFT_TABLE, NFT_GUARD].contains(&table.as_str());
        if !["ip", "inet"].contains(&family.as_str()) || is_ours {
            return;
        }
        match kind {
            "chain" => {
                let chain = Chain { name: text("name"), base: base(value), rules: Vec::new() };
                self.table(family, table).chains.push(chain);
            }
            "set" | "map" => {
                let decides = |what: &Value| strings(what).iter().any(|t| DECIDING.contains(&&**t));
                if decides(&value["type"]) || decides(&value["map"]) {
                    let elements = value["elem"].as_array().cloned().unwrap_or_default();
                    let name = text("name");
                    self.named.push([kind, &family, &table, &name].map(str::to_owned));
                    // Listed twice, once without what is in it.
                    let known = self.sets.entry((family, table, name)).or_default();
                    if !elements.is_empty() {
                        *known = elements;
                    }
                }
            }
            "rule" => {
                let key = (family, table);
                let rules = rule::read(value, |name| {
                    let (family, table) = key.clone();
                    self.sets.get(&(family, table, name.to_owned())).map(Vec::as_slice)
                });
                let name = text("chain");
                let table = self.table(key.0, key.1);
                if let Some(chain) = table.chains.iter_mut().find(|chain| chain.name == name) {
                    chain.rules.extend(rules);
                }
            }
            _ => {}
        }
    }

    fn table(&mut self, family: String, name: String) -> &mut Table {
        let is_it = |table: &Table| table.family == family && table.name == name;
        let at = self.tables.iter().position(is_it).unwrap_or_else(|| {
            self.tables.push(Table { family, name, iptables: false, chains: Vec::new() });
            self.tables.len() - 1
        });
        &mut self.tables[at]
    }
}

fn base(chain: &Value) -> Option<Base> {
    let hook = hook(chain["hook"].as_str()?)?;
    let priority = chain["prio"].as_i64().and_then(|n| i32::try_from(n).ok()).unwrap_or(0);
    Some(Base { hook, priority, drops: chain["policy"] == "drop" })
}

/// A hook by its word, in any case.
pub(super) fn hook(word: &str) -> Option<Hook> {
    Some(match word.to_ascii_lowercase().as_str() {
        "prerouting" => Hook::Prerouting,
        "input" => Hook::Input,
        "forward" => Hook::Forward,
        "output" => Hook::Output,
        "postrouting" => Hook::Postrouting,
        _ => return None,
    })
}

/// A string, or the strings of a list.
fn strings(value: &Value) -> Vec<String> {
    match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().filter_map(|v| Some(v.as_str()?.to_owned())).collect(),
        _ => Vec::new(),
    }
}

/// Types of sets and maps that are kept; sets of addresses can be huge, and decide over few.
const DECIDING: [&str; 4] = ["ifname", "iface_index", "verdict", "mark"];

#[cfg(test)]
mod tests;
