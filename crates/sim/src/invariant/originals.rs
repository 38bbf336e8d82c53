//! Nothing that must be undone is done before the way to undo it is on the disk.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::state::{Key, Op};

/// See the module.
#[derive(Default)]
pub(super) struct Originals;

impl Law for Originals {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        let is_known = match (&change.key, &change.op) {
            (Key::Sysctl(path), Op::Put { .. }) => scene.disk.sysctls.contains_key(path),
            (Key::Address { ifname, prefix }, Op::Put { .. }) => {
                scene.disk.addresses.contains(&(*ifname, *prefix))
            }
            _ => true,
        };
        if is_known {
            return Ok(());
        }
        Err(format!("{} was changed, and the disk does not know what it was", change.key))
    }
}
