//! On the interface of an uplink that another program configures rail writes no address and takes none
//! away, and it does not set the link up or down.

use super::{Happening, Law};
use crate::scene::Scene;
use rail_core::state::Key;

/// See the module.
#[derive(Default)]
pub(super) struct Kept;

impl Law for Kept {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Change(change) = what else { return Ok(()) };
        let (Key::Address { ifname, .. } | Key::Link(ifname)) = &change.key else { return Ok(()) };
        let mut kept = scene.kept.iter().map(|line| &scene.config.uplinks[*line]);
        match kept.find(|uplink| uplink.ifname == *ifname) {
            Some(uplink) => Err(format!(
                "{}, though another program configures {}",
                change.key, uplink.name
            )),
            None => Ok(()),
        }
    }
}
