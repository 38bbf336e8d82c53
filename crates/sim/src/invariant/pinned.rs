//! A pinned connection of an uplink that is well stays on it, whatever the router
//! does elsewhere.

use super::{Happening, Law};
use crate::kernel::{FibRule, Outcome};
use crate::scene::Scene;
use rail_core::render;

/// See the module.
#[derive(Default)]
pub(super) struct Pinned;

impl Law for Pinned {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        if scene.withdrawing {
            return Ok(());
        }
        for (i, uplink) in scene.config.uplinks.iter().enumerate() {
            let own = Outcome::Via(uplink.ifname);
            let before = change.ways_before.pinned.get(i);
            // After a rival has emptied its table, or deleted the rule that leads there, it may still
            // go there by the shared one: by luck.
            let (table, mark) = (render::table(&scene.config, scene.lines[i].id), scene.lines[i].mark);
            let leads = |r: &FibRule| r.rule.table == table && r.rule.fwmark.is_some_and(|f| f.0 == mark);
            let has_table = change.before.routes.keys().any(|key| key.table == table);
            let has_rule = change.before.rules.iter().any(leads);
            let is_led = has_table && (has_rule || !scene.is_damaged);
            let left = before == Some(&own) && scene.lines[i].pinned != own;
            if left && is_led && scene.is_firm(i) {
                let (key, now) = (&change.key, scene.lines[i].pinned);
                return Err(format!("{key}: connections of {} now go {now:?}", uplink.name));
            }
        }
        let restored = |kernel: &crate::kernel::Kernel| {
            kernel.nft.as_ref().is_some_and(crate::kernel::Table::restores_marks)
        };
        if restored(&change.before) && !restored(&scene.kernel) {
            return Err("known connections no longer get their mark back".into());
        }
        Ok(())
    }
}
