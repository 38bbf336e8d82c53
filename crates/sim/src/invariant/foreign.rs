//! What is not ours is never changed or removed, and keeps its order. What was put where a route
//! of ours had been, while no daemon ran, has pushed ours out.

use super::{Happening, Law};
use crate::kernel::Kernel;
use crate::scene::Scene;
use rail_core::net::IfName;
use rail_core::state::{Link, MACVLAN, PROTOCOL, RouteKey};
use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub(super) struct Foreign {
    /// Where routes of ours were, as the disk had it when the daemon was killed: a route that went
    /// with its device is ours there until that was decided, applied and saved.
    left: BTreeSet<RouteKey>,
}

impl Law for Foreign {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        if matches!(what, Happening::Killed) {
            self.left.extend(scene.disk.routes.iter().cloned());
        }
        let Happening::Change(change) = what else { return Ok(()) };
        let (before, after) = (objects(&change.before, &self.left), objects(&scene.kernel, &self.left));
        match before.iter().find(|object| !after.contains(object)) {
            Some(object) => Err(format!("{} removed {object}", change.key)),
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
    // Judged by itself, not by what the router takes for its own.
    let is_ours = |name: &IfName, link: &Link| {
        link.kind == MACVLAN && link.alias == format!("rail:{name}")
    };
    for (name, link) in kernel.links.iter().filter(|(name, link)| !is_ours(name, link)) {
        all.push(format!("the foreign link {name} of index {}", link.index));
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
