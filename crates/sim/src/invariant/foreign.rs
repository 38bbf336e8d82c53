//! What is not ours is never changed or removed, and keeps its order. What was put where a route
//! of ours had been, while no daemon ran, has pushed ours out.

use super::{Happening, Law};
use crate::kernel::Kernel;
use crate::scene::Scene;
use rail_core::state::{PROTOCOL, RouteKey};
use rail_core::time::{Duration, Instant};
use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub(super) struct Foreign {
    /// Where routes of ours were when the daemon was killed, or shortly before: a route that went with
    /// its device is ours on the disk until that was decided, applied and saved.
    left: BTreeSet<RouteKey>,
    /// Where routes of ours were at the last look, and at the one before.
    recent: [BTreeSet<RouteKey>; 2],
    looked: Instant,
}

impl Law for Foreign {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let ours = || {
            let ours = scene.kernel.routes.iter().filter(|(_, route)| route.protocol == PROTOCOL);
            ours.map(|(key, _)| key.clone())
        };
        if scene.now.since(self.looked) >= BETWEEN_LOOKS {
            self.looked = scene.now;
            let [last, before] = &mut self.recent;
            *before = std::mem::replace(last, ours().collect());
        }
        if matches!(what, Happening::Killed) {
            self.left.extend(ours().chain(self.recent.iter().flatten().cloned()));
        }
        let Happening::Deed(deed) = what else { return Ok(()) };
        let (before, after) = (objects(&deed.before, &self.left), objects(&scene.kernel, &self.left));
        match before.iter().find(|object| !after.contains(object)) {
            Some(object) => Err(format!("{} removed {object}", deed.key)),
            None => Ok(()),
        }
    }
}

/// All foreign objects, as text.
fn objects(kernel: &Kernel, left: &BTreeSet<RouteKey>) -> Vec<String> {
    let mut all = Vec::new();
    let routes = kernel.routes.iter().filter(|(key, _)| !left.contains(key));
    for (key, route) in routes.filter(|(_, r)| r.protocol != PROTOCOL) {
        all.push(format!("the foreign route {key} {}", route.value));
    }
    for rule in kernel.rules.iter().filter(|r| r.protocol != PROTOCOL) {
        all.push(format!("the foreign rule {}", rule.rule));
    }
    for ((name, prefix), _) in kernel.addresses.iter().filter(|(_, p)| **p != PROTOCOL) {
        all.push(format!("the foreign address {prefix} of {name}"));
    }
    for (name, chain) in kernel.nft.iter().flat_map(|table| &table.chains) {
        let foreign = chain.rules.iter().filter(|rule| rule.stamp.is_none());
        let texts: Vec<&str> = foreign.map(|rule| rule.text.as_str()).collect();
        if !texts.is_empty() {
            all.push(format!("foreign rules of chain {name}: {}", texts.join("; ")));
        }
    }
    all
}

/// A save follows a decision within this time.
const BETWEEN_LOOKS: Duration = Duration::from_secs(1);
