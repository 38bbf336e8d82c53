//! The boot guard goes only when filter, marks and policy rules are in the kernel,
//! and then it goes for good: no restart and no repair forwards nothing again.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::state::PROTOCOL;

/// See the module.
#[derive(Default)]
pub(super) struct Guard;

impl Law for Guard {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Change(change) => {
                let before = &change.before;
                let opens = before.guard.is_some() && scene.kernel.guard.is_none();
                if scene.kernel.guard.is_some() && before.guard.is_none() {
                    return Err("the router closed the boot guard".into());
                }
                // What somebody else takes between the look and the change, nobody can know.
                if !opens || scene.withdrawing || scene.is_damaged {
                    return Ok(());
                }
                let table = before.nft.as_ref();
                if !table.is_some_and(|t| t.asks_buckets() && t.restores_marks()) {
                    return Err("the boot guard went before our table was there".into());
                }
                let mut lines = scene.config.uplinks.iter().zip(&scene.lines);
                let has_rule = |mark| {
                    let is_it = |r: &crate::kernel::FibRule| {
                        r.protocol == PROTOCOL && r.rule.fwmark.is_some_and(|(m, _)| m == mark)
                    };
                    before.rules.iter().any(is_it)
                };
                match lines.find(|(u, line)| u.enabled && !has_rule(line.mark)) {
                    Some((uplink, _)) => {
                        Err(format!("the boot guard went before the rule of {}", uplink.name))
                    }
                    None => Ok(()),
                }
            }
            Happening::Quiet(_) | Happening::Ended(_)
                if scene.is_configured && scene.kernel.guard.is_some() =>
            {
                Err("the boot guard is still closed".into())
            }
            _ => Ok(()),
        }
    }
}
