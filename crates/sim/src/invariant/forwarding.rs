//! Forwarding is never switched on before the filter is there: a kernel that refuses
//! the filter forwards nothing.

use super::{Happening, Law};
use crate::kernel::{Kernel, Table};
use crate::scene::Scene;
use rail_core::state::FORWARDING;

/// See the module.
#[derive(Default)]
pub(super) struct Forwarding;

impl Law for Forwarding {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        let forwards = |kernel: &Kernel| kernel.sysctls.get(FORWARDING).is_some_and(|v| v == "1");
        let is_ours = |table: &Table| table.asks_buckets() && table.restores_marks();
        let opens = forwards(&scene.kernel) && !forwards(&change.before);
        // What somebody else takes between the look and the change, nobody can know.
        if !opens || scene.is_damaged || change.before.nft.as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        Err("forwarding was switched on before our table was there".into())
    }
}
