//! A switch does not wait for a transaction: while an `nft` child runs, however long, the buckets
//! leave an uplink that is not usable as soon as that is decided, if the rules that stand know another
//! one that is, of whatever tier: also while a reload changes how many buckets there are, or what the
//! rules know of those that would come first.

use super::settled::facts;
use super::{Happening, Law};
use crate::scene::{Line, Scene};
use rail_core::config::{Tier, UplinkConfig};
use rail_core::render;
use rail_core::state::{Firewall, Key, Resource, Scope, Watch, firewall};
use rail_core::time::{Duration, Instant};
use std::iter;

/// See the module.
#[derive(Default)]
pub(super) struct Beside {
    /// Since when a mark is wrong.
    wrong: Option<Instant>,
}

impl Law for Beside {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Tick = what else { return Ok(()) };
        let pairs = || scene.config.uplinks.iter().zip(&scene.lines);
        let is_used = |line: &Line| scene.ways.slots.contains(&line.mark);
        let carries = |(uplink, line): &(&UplinkConfig, &Line)| {
            line.health.is_usable() && uplink.tier != Tier::Inbound
        };
        let wrong = pairs().find(|(_, line)| !line.health.is_usable() && is_used(line));
        let is_judged = scene.is_running && scene.is_writing && !scene.withdrawing;
        let can_take = |line: &Line| is_used(line) || do_rules_stand(scene, iter::once(line.mark));
        let can_move = || pairs().filter(carries).any(|(_, line)| can_take(line));
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

/// The rules that know these marks are there. One that leads every mark to a chain changes with each
/// other uplink: it may be an older one, if it leads these marks there, too.
pub(crate) fn do_rules_stand(scene: &Scene, marks: impl Iterator<Item = u32>) -> bool {
    let desired = render::render(&scene.config, &facts(scene));
    let Some(Resource::Firewall(Firewall { chains })) = desired.get(&Key::Firewall) else {
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
