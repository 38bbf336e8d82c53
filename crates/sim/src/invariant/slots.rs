//! The death of an uplink moves only that uplink's clients: a slot that belongs to a
//! uplink when all are well never leaves it while the uplink is active.

use super::{Happening, Law};
use crate::scene::{Deed, Line, Scene};
use rail_core::config::Tier;
use rail_core::state::{Key, Op};
use rail_core::status::Role;
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Slots {
    /// Marks when all of the lowest tier were well.
    home: Option<Vec<u32>>,
    /// The tiers of the configuration that this holds for.
    tiers: Vec<Tier>,
}

impl Law for Slots {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let tiers = || scene.config.uplinks.iter().map(|u| u.tier);
        if !tiers().eq(self.tiers.iter().copied()) {
            *self = Self { home: None, tiers: tiers().collect() };
        }
        match what {
            Happening::Deed(deed) if deed.key == Key::Slots && deed.done => self.moved(scene, deed),
            Happening::Quiet(status) if status.settled => {
                let lowest = scene.config.uplinks.iter().map(|u| u.tier).min();
                let pairs = scene.config.uplinks.iter().zip(&scene.lines);
                let mut of_tier = pairs.filter(|(u, _)| Some(u.tier) == lowest);
                let whole = lowest != Some(Tier::Inbound)
                    && of_tier.all(|(_, line)| line.role == Role::Active);
                if whole && !scene.ways.slots.contains(&0) {
                    match &self.home {
                        None => self.home = Some(scene.ways.slots.clone()),
                        Some(home) if *home != scene.ways.slots => {
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

impl Slots {
    fn moved(&self, scene: &Scene, deed: &Deed) -> Result<(), String> {
        let (Some(home), Op::Slots { .. }) = (&self.home, &deed.op) else { return Ok(()) };
        let before = deed.ways_before.slots.iter();
        for (slot, ((home, old), new)) in home.iter().zip(before).zip(&scene.ways.slots).enumerate() {
            let owner = scene.lines.iter().find(|line| line.mark == *home);
            // The change may have been decided a moment ago.
            let stays = |line: &Line| {
                line.role == Role::Active
                    && scene.excuses.is_overdue(scene.now, line.role_since, DECIDED)
            };
            if owner.is_some_and(stays) && old == home && new != home {
                return Err(format!("slot {slot} left its line {home:#x}, which is active"));
            }
        }
        Ok(())
    }
}

/// From a decision to its effect.
const DECIDED: Duration = Duration::from_millis(50);
