//! Which rules name which mark.
//!
//! Each uplink's mark is looked for again in each pass, and with many uplinks there are thousands of rules: they are
//! read once, when they are made.

use super::{Chain, Firewall, Sender};
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// The places of each mark.
pub(super) type Mentions = BTreeMap<u32, Vec<Mention>>;

/// A rule that names a mark.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Mention {
    chain: usize,
    rule: usize,
    leads: bool,
}

/// How a rule goes on behind a mark that it leads to a chain of its own.
const LEADS: &str = " : goto ";

impl Firewall {
    /// These chains. Who changes them later makes rules anew of them.
    pub fn new(chains: Vec<Chain>, senders: BTreeMap<u32, Sender>) -> Self {
        let mentions = read(&chains);
        Self { chains, senders, mentions }
    }

    /// The rules that name a mark; true for those that lead each mark to a chain of its own.
    pub(crate) fn mentions(&self, mark: u32) -> impl Iterator<Item = (&Chain, &str, bool)> {
        self.mentions.get(&mark).into_iter().flatten().filter_map(|mention| {
            let chain = self.chains.get(mention.chain)?;
            Some((chain, chain.rules.get(mention.rule)?.as_str(), mention.leads))
        })
    }
}

fn read(chains: &[Chain]) -> Mentions {
    let mut all = Mentions::new();
    for (chain, own) in chains.iter().enumerate() {
        for (rule, text) in own.rules.iter().enumerate() {
            for (mark, leads) in marks(text) {
                let known = all.entry(mark).or_default();
                match known.last_mut() {
                    Some(last) if (last.chain, last.rule) == (chain, rule) => last.leads |= leads,
                    _ => known.push(Mention { chain, rule, leads }),
                }
            }
        }
    }
    all
}

/// The marks in a rule, as rules write them: eight small hexadecimal digits behind `0x`.
fn marks(rule: &str) -> impl Iterator<Item = (u32, bool)> {
    rule.match_indices("0x").filter_map(|(at, _)| {
        let digits = rule.get(at + 2..at + 10)?;
        let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let mark = u32::from_str_radix(digits, 16).ok().filter(|_| digits.bytes().all(is_digit))?;
        Some((mark, rule.get(at + 10..)?.starts_with(LEADS)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::String;
    use alloc::vec;

    fn rules(rules: &[&str]) -> Firewall {
        let rules = rules.iter().map(|rule| String::from(*rule)).collect();
        let chain = Chain { name: "chain".into(), base: None, rules };
        Firewall::new(vec![chain], BTreeMap::new())
    }

    fn found(rules: &Firewall, mark: u32) -> Vec<(&str, bool)> {
        rules.mentions(mark).map(|(_, rule, leads)| (rule, leads)).collect()
    }

    // given rules that name marks, other numbers, and one mark twice / when a mark is looked for / then each rule with
    // it is found once, and told apart if it leads to a chain
    #[test]
    fn each_rule_is_found_once() {
        let lead = "meta mark vmap { 0x01000000 : goto a, 0x02000000 : goto b }";
        let twice = "mark 0x01000000 set 0x01000000";
        let all = rules(&[lead, twice, "mark 0x7f", "mark 0x0100000F", "mark 0x02000000"]);
        assert_eq!(found(&all, 1 << 24), [(lead, true), (twice, false)]);
        assert_eq!(found(&all, 2 << 24), [(lead, true), ("mark 0x02000000", false)]);
        assert!(found(&all, 0x7f).is_empty());
        assert!(found(&all, 0x0100_000f).is_empty());
    }
}
