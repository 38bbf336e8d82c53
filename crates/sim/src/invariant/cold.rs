//! An uplink on cold standby has no lease, no ports and asks nobody while one of a better tier is usable, but for a
//! minute after a failback; and it is called at once when none is.

use super::{Happening, Law, Often};
use crate::scene::{Line, Scene};
use rail_core::config::{Standby, UplinkConfig};
use rail_core::notice::{Notice, UplinkNews};
use rail_core::status::Health;
use rail_core::time::{Duration, Instant};
use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub(super) struct Cold {
    /// Names of those that are called.
    called: BTreeSet<String>,
    /// Since when a better one is good, and since when none is of any use.
    good: Option<Instant>,
    useless: Option<Instant>,
}

impl Law for Cold {
    fn hears(&self) -> Often {
        Often::Sent
    }

    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            // What the last process had leased is taken over.
            Happening::Started => {
                let leased = scene.config.uplinks.iter().filter(|u| u.address().is_some());
                self.called = leased.map(|uplink| uplink.name.clone()).collect();
                (self.good, self.useless) = (None, None);
                Ok(())
            }
            Happening::Said(Notice::Uplink(UplinkNews::Standby { uplink, called })) => {
                match called {
                    true => self.called.insert(uplink.clone()),
                    false => self.called.remove(uplink),
                };
                Ok(())
            }
            Happening::Sent { port, .. } => {
                let is_it = |(_, line): &(&UplinkConfig, &Line)| port.uplink() == Some(line.id);
                match cold(scene).filter(is_it).find(|(own, _)| !self.called.contains(&own.name)) {
                    Some((own, _)) => Err(format!("{} stands by, and sends", own.name)),
                    None => Ok(()),
                }
            }
            Happening::Tick if scene.is_running && !scene.withdrawing => {
                cold(scene).try_for_each(|(uplink, line)| self.stands(scene, uplink, line))
            }
            _ => Ok(()),
        }
    }
}

impl Cold {
    /// There is one at most.
    fn stands(&mut self, scene: &Scene, uplink: &UplinkConfig, line: &Line) -> Result<(), String> {
        let pairs = || scene.config.uplinks.iter().zip(&scene.lines);
        let better = || pairs().filter(|(other, _)| other.tier < uplink.tier);
        let is_any = |is_it: fn(Health) -> bool| better().any(|(_, line)| is_it(line.health));
        let since = |is_so: bool, at: Option<Instant>| is_so.then(|| at.unwrap_or(scene.now));
        let is_good = is_any(|health| matches!(health, Health::Up | Health::Degraded));
        let is_unsure = is_any(|health| matches!(health, Health::Probing));
        self.good = since(is_good, self.good);
        self.useless = since(!is_good && !is_unsure, self.useless);
        let is_called = self.called.contains(&uplink.name);
        let (name, excuses) = (&uplink.name, &scene.excuses);
        if let Some(good) = self.good
            && excuses.is_overdue(scene.now, good.max(line.role_since), LET_GO)
        {
            let has_port = scene.ports.iter().any(|port| port.id.uplink() == Some(line.id));
            if is_called || has_port || uplink.address().is_some() {
                return Err(format!("a better uplink is good since {good}, and {name} stands by warm"));
            }
        }
        match self.useless {
            Some(at) if !is_called && excuses.is_overdue(scene.now, at.max(first(scene)), CALLED) => {
                Err(format!("no better uplink is usable since {at}, and {name} is not called"))
            }
            _ => Ok(()),
        }
    }
}

fn cold(scene: &Scene) -> impl Iterator<Item = (&UplinkConfig, &Line)> {
    let pairs = scene.config.uplinks.iter().zip(&scene.lines);
    pairs.filter(|(uplink, _)| uplink.standby == Standby::Cold)
}

/// Before that a start waits for better ones.
fn first(scene: &Scene) -> Instant {
    scene.excuses.started + Duration::from_secs(5)
}

/// A minute, and what is then to be done.
const LET_GO: Duration = Duration::from_secs(61);
const CALLED: Duration = Duration::from_millis(100);
