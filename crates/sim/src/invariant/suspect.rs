//! A doubt is cheap: it deletes no connection and leaves nobody without an uplink. And it is short: it
//! ends where the uplink answers, and where it does not the uplink is down.

use super::{Happening, Law, Share};
use crate::scene::{Class, Line, Scene};
use rail_core::Which;
use rail_core::config::Tier;
use rail_core::status::{Health, Role};
use rail_core::time::{Duration, Instant};

/// See the module.
#[derive(Default)]
pub(super) struct Suspect {
    /// Since when nobody carries while an uplink is suspect.
    empty: Option<Instant>,
}

impl Law for Suspect {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Purge(purge) if purge.which != Which::All => {
                // Those from an address that is leased no more lead nowhere.
                let is_stale = |i: usize| !purge.yields && scene.is_leased(i);
                let is_spared = |i: usize| !scene.is_left(i, purge) && !is_stale(i);
                let is_it = |(i, line): &(usize, &Line)| {
                    line.id == purge.uplink && is_suspect(line) && is_spared(*i)
                };
                match scene.lines.iter().enumerate().find(is_it) {
                    Some((_, line)) => Err(format!("a doubt deletes connections of uplink {}", line.id)),
                    None => Ok(()),
                }
            }
            Happening::Tick if scene.is_running && !scene.withdrawing => {
                self.empties(scene)?;
                ends(scene)
            }
            _ => Ok(()),
        }
    }

    fn share(&self, scene: &Scene) -> Option<Share> {
        let suspect = || scene.lines.iter().filter(|line| scene.is_running && is_suspect(line));
        // The first two of the three claims excuse nobody.
        let excused = suspect().filter(|line| !is_clear(line)).count();
        Some(Share { judged: suspect().count() * 3 - excused, excused })
    }
}

impl Suspect {
    fn empties(&mut self, scene: &Scene) -> Result<(), String> {
        let pairs = || scene.config.uplinks.iter().zip(&scene.lines);
        let doubted = pairs().find(|(u, line)| u.tier != Tier::Inbound && is_suspect(line));
        let is_carried = scene.lines.iter().any(|line| line.role == Role::Active);
        let Some((uplink, _)) = doubted.filter(|_| !is_carried) else {
            self.empty = None;
            return Ok(());
        };
        let since = *self.empty.get_or_insert(scene.now);
        match scene.excuses.is_overdue(scene.now, since, DECIDED) {
            true => Err(format!("{} is suspect, and nobody carries since {since}", uplink.name)),
            false => Ok(()),
        }
    }
}

fn ends(scene: &Scene) -> Result<(), String> {
    let suspect = scene.lines.iter().enumerate().filter(|(_, line)| is_suspect(line));
    for (i, line) in suspect.filter(|(_, line)| is_clear(line)) {
        let since = line.since.max(line.health_since);
        let is_late = |bound| scene.excuses.is_overdue(scene.now, since, bound);
        let name = &scene.config.uplinks[i].name;
        match line.class {
            Class::Dead if is_late(scene.death_bound(i) + QUESTION) => {
                return Err(format!("{name} is dead since {since}, and still suspect"));
            }
            Class::Perfect if is_late(scene.trust_bound(i) + QUESTION) => {
                return Err(format!("{name} is without fault since {since}, and still suspect"));
            }
            Class::Dead | Class::Perfect | Class::Good | Class::Gray => {}
        }
    }
    Ok(())
}

/// Its truth says what must become of the doubt. Behind a limiter that it once found it asks so seldom
/// that this takes long.
fn is_clear(line: &Line) -> bool {
    matches!(line.class, Class::Dead | Class::Perfect) && !line.was_limited
}

fn is_suspect(line: &Line) -> bool {
    line.health == Health::Suspect
}

/// Whether somebody limits the probes is asked slowly, at most every 2 s, and first of all.
const QUESTION: Duration = Duration::from_secs(12);
/// From a decision to what is said of it.
const DECIDED: Duration = Duration::from_millis(50);
