//! A switch does not wait for a transaction: while an `nft` child runs, however long, the buckets
//! leave an uplink that is not usable as soon as that is decided, if the rules that stand know another
//! one that is, of whatever tier: also while a reload changes how many buckets there are, or what the
//! rules know of those that would come first. Rules as they were wanted before know an uplink, too,
//! as long as it is the same one. Nor does a switch wait for rules that are refused.

use super::marks::is_trusted;
use super::settled::facts;
use super::{Happening, Law};
use crate::kernel::NftChain;
use crate::scene::{Line, Scene};
use rail_core::config::{Tier, UplinkConfig};
use rail_core::render;
use rail_core::Watch;
use rail_core::state::{Firewall, Key, Resource, Scope, firewall};
use rail_core::time::{Duration, Instant};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;

/// See the module.
#[derive(Default)]
pub(super) struct Coexist {
    /// Since when a mark is wrong.
    wrong: Option<Instant>,
    /// The uplink of each mark, and its rules, as the router last made them or found them in order.
    stood: BTreeMap<u32, (UplinkConfig, Rules)>,
}

/// Chain and text of rules.
type Rules = BTreeSet<(String, String)>;

impl Law for Coexist {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Tick => {}
            Happening::Change(change) if change.key == Key::Firewall && change.done => {
                self.note(scene);
                return Ok(());
            }
            Happening::Quiet(status) if status.settled => {
                self.note(scene);
                return Ok(());
            }
            // A new process does not know what was wanted before it.
            Happening::Started => {
                self.stood.clear();
                return Ok(());
            }
            _ => return Ok(()),
        }
        let pairs = || scene.config.uplinks.iter().zip(&scene.lines);
        let is_used = |line: &Line| scene.ways.buckets.contains(&line.mark);
        let carries = |(uplink, line): &(&UplinkConfig, &Line)| {
            is_trusted(line.health) && uplink.tier != Tier::Inbound
        };
        let wrong = pairs().find(|(_, line)| !line.health.is_usable() && is_used(line));
        let is_waiting = scene.is_writing || scene.are_rules_refused;
        let is_judged = scene.is_running && is_waiting && !scene.withdrawing;
        // The rules that stand may be from before the uplink was given its address.
        let is_learnt = |uplink: &UplinkConfig| scene.is_learnt(&uplink.name);
        let can_take = |(uplink, line): (&UplinkConfig, &Line)| {
            is_used(line)
                || !is_learnt(uplink) && self.do_older_rules_stand(scene, uplink, line.mark)
                || !is_learnt(uplink) && do_rules_stand(scene, iter::once(line.mark))
        };
        let can_move = || pairs().filter(carries).any(can_take);
        let Some((uplink, line)) = wrong.filter(|_| is_judged && can_move()) else {
            self.wrong = None;
            return Ok(());
        };
        let since = *self.wrong.get_or_insert(scene.now);
        if scene.excuses.is_overdue_beside(scene.now, since, DECIDED) {
            let (name, health) = (&uplink.name, line.health);
            return Err(format!(
                "{name} is {health} since {since}, and keeps its buckets while a transaction runs"
            ));
        }
        Ok(())
    }
}

impl Coexist {
    /// What stands now is what the router wanted, if nobody else edits.
    fn note(&mut self, scene: &Scene) {
        let pairs = scene.config.uplinks.iter().zip(&scene.lines);
        let stood = pairs.map(|(u, line)| (line.mark, (u.clone(), rules_of(scene, line.mark))));
        self.stood = stood.collect();
    }

    /// The rules of this mark are as they were, and the uplink is the same one as then: it has lost no
    /// address and no exemption.
    fn do_older_rules_stand(&self, scene: &Scene, uplink: &UplinkConfig, mark: u32) -> bool {
        let Some((then, rules)) = self.stood.get(&mark) else { return false };
        let is_same = (then.ifname, &then.kind, then.nat)
            == (uplink.ifname, &uplink.kind, uplink.nat);
        !scene.is_damaged
            && is_same
            && then.addresses.iter().all(|address| uplink.addresses.contains(address))
            && then.no_nat.iter().all(|there| uplink.no_nat.contains(there))
            && !rules.is_empty()
            && rules_of(scene, mark).is_superset(rules)
    }
}

/// The rules that name this mark.
fn rules_of(scene: &Scene, mark: u32) -> Rules {
    let word = format!("{mark:#010x}");
    let chains = scene.kernel.nft.iter().flat_map(|table| &table.chains);
    let named = chains.flat_map(|(name, chain): (&String, &NftChain)| {
        chain.rules.iter().map(move |rule| (name.clone(), rule.text.clone()))
    });
    named.filter(|(_, text)| text.contains(&word)).collect()
}

/// The rules that know these marks are there. One that leads every mark to a chain changes with each
/// other uplink: it may be an older one, if it leads these marks there, too.
pub(crate) fn do_rules_stand(scene: &Scene, marks: impl Iterator<Item = u32>) -> bool {
    let desired = render::render(&scene.config, &facts(scene));
    let Some(Resource::Firewall(Firewall { chains, .. })) = desired.get(&Key::Firewall) else {
        return false;
    };
    let Some(have) = scene.kernel.observe(Scope::FIREWALL, &Watch::default()).firewall else {
        return false;
    };
    let words: Vec<String> = marks.map(|mark| format!("{mark:#010x}")).collect();
    chains.iter().all(|chain| {
        let there = have.chains.get(&chain.name).filter(|there| there.base == chain.base);
        let is_there = |rule: &&String| {
            let stamp = Some(firewall::stamp(&chain.name, rule));
            there.is_some_and(|there| there.rules.iter().any(|r| r.stamp == stamp))
        };
        words.iter().all(|word| {
            let mut concerned = chain.rules.iter().filter(|rule| rule.contains(word));
            concerned.all(|rule| is_there(&rule) || leads(scene, &chain.name, rule, word))
        })
    })
}

/// The rule leads this mark to a chain, and so does one that stands in its place.
fn leads(scene: &Scene, chain: &str, rule: &str, word: &str) -> bool {
    let element = format!("{word} : goto ");
    let there = scene.kernel.nft.as_ref().and_then(|table| table.chains.get(chain));
    let there = there.into_iter().flat_map(|chain| &chain.rules);
    rule.contains(&element) && there.into_iter().any(|rule| rule.text.contains(&element))
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(50);
