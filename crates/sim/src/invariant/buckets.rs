//! The death of an uplink moves only that uplink's clients: a bucket that belongs to a
//! uplink when all are well never leaves it while the uplink is active.

use super::{Happening, Law};
use crate::scene::{Change, Line, Scene};
use rail_core::config::Tier;
use rail_core::state::{Key, Op};
use rail_core::status::Role;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Buckets {
    /// Marks when all of the lowest tier were well.
    home: Option<Vec<u32>>,
    /// The tiers of the configuration that this holds for.
    tiers: Vec<Tier>,
}

impl Law for Buckets {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let tiers = || scene.config.uplinks.iter().map(|u| u.tier);
        if !tiers().eq(self.tiers.iter().copied()) {
            *self = Self { home: None, tiers: tiers().collect() };
        }
        match what {
            Happening::Change(change) if change.key == Key::Buckets && change.done => self.moved(scene, change),
            Happening::Quiet(status) if status.settled => {
                let lowest = scene.config.uplinks.iter().map(|u| u.tier).min();
                let pairs = scene.config.uplinks.iter().zip(&scene.lines);
                let mut of_tier = pairs.filter(|(u, _)| Some(u.tier) == lowest);
                let whole = lowest != Some(Tier::Inbound)
                    && of_tier.all(|(_, line)| line.role == Role::Active);
                if whole && !scene.ways.buckets.contains(&0) {
                    match &self.home {
                        None => self.home = Some(scene.ways.buckets.clone()),
                        Some(home) if *home != scene.ways.buckets => {
                            return Err("the slots did not all return to where they were".into());
                        }
                        Some(_) => {}
                    }
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl Buckets {
    fn moved(&self, scene: &Scene, change: &Change) -> Result<(), String> {
        let (Some(home), Op::Buckets { .. }) = (&self.home, &change.op) else { return Ok(()) };
        let before = change.ways_before.buckets.iter();
        for (bucket, ((home, old), new)) in home.iter().zip(before).zip(&scene.ways.buckets).enumerate() {
            let owner = scene.lines.iter().find(|line| line.mark == *home);
            // The change may have been decided a moment ago.
            let stays = |line: &Line| {
                line.role == Role::Active
                    && scene.excuses.is_overdue(scene.now, line.role_since, DECIDED)
            };
            if owner.is_some_and(stays) && old == home && new != home {
                return Err(format!("slot {bucket} left its line {home:#x}, which is active"));
            }
        }
        Ok(())
    }
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(50);
