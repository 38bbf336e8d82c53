//! What is not ours is never changed or removed, and keeps its order.

use super::{Happening, Law};
use crate::kernel::Kernel;
use crate::scene::Scene;
use rail_core::state::PROTOCOL;

/// See the module.
#[derive(Default)]
pub(super) struct Foreign;

impl Law for Foreign {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Deed(deed) = what else { return Ok(()) };
        let (before, after) = (objects(&deed.before), objects(&scene.kernel));
        match before.iter().find(|object| !after.contains(object)) {
            Some(object) => Err(format!("{} removed {object}", deed.key)),
            None => Ok(()),
        }
    }
}

/// All foreign objects, as text.
fn objects(kernel: &Kernel) -> Vec<String> {
    let mut all = Vec::new();
    for (key, route) in kernel.routes.iter().filter(|(_, r)| r.protocol != PROTOCOL) {
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
