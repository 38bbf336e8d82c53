//! Shares are exact: each active uplink has its part of the buckets by weight, to one
//! bucket; an uplink that is not active has none. The status shows the same.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::status::Role;

/// See the module.
#[derive(Default)]
pub(super) struct Shares;

impl Law for Shares {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let (Happening::Quiet(status) | Happening::Ended(status)) = what else { return Ok(()) };
        let active = |i: usize| scene.lines[i].role == Role::Active;
        let weight = |i: usize| match active(i) {
            true => usize::from(scene.config.uplinks[i].weight),
            false => 0,
        };
        let total: usize = (0..scene.lines.len()).map(weight).sum();
        let buckets = &scene.ways.buckets;
        if total == 0 || scene.withdrawing {
            return Ok(());
        }
        for (i, line) in scene.lines.iter().enumerate() {
            let have = buckets.iter().filter(|mark| **mark == line.mark).count();
            let exact = buckets.len() * weight(i);
            let name = &scene.config.uplinks[i].name;
            if (have * total).abs_diff(exact) > total {
                return Err(format!("{name} has {have} of {} slots, weight {}/{total}", buckets.len(), weight(i)));
            }
            let shown = status.uplinks.iter().find(|u| u.name == *name).map_or(0.0, |u| u.share);
            let share = f64::from(u32::try_from(have).unwrap_or(0))
                / f64::from(u32::try_from(buckets.len()).unwrap_or(1));
            if (shown - share).abs() > 0.001 {
                return Err(format!("{name} has a share of {share}, the status shows {shown}"));
            }
        }
        Ok(())
    }
}
