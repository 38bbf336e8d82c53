//! No packet leaves an uplink with a source that is not that uplink's: from the moment the router
//! forwards, the chain behind the translation stands, with a rule for each uplink.

use super::{Happening, Law};
use crate::kernel::{Kernel, Table};
use crate::scene::Scene;
use rail_core::config::{Nat, UplinkConfig};
use rail_core::state::FORWARDING;

/// See the module.
#[derive(Default)]
pub(super) struct Egress;

impl Law for Egress {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let before = match what {
            Happening::Change(change) if !scene.is_damaged => &change.before,
            // What a rival took is put back by then.
            Happening::Quiet(_) | Happening::Ended(_) if scene.is_configured => &scene.kernel,
            _ => return Ok(()),
        };
        if scene.withdrawing || !forwards(&scene.kernel) {
            return Ok(());
        }
        // A reload brings new uplinks: what the table had before the change it must still have.
        let had = |uplink: &&UplinkConfig| !forwards(before) || guards(before, uplink);
        // A transaction that was begun before a lease knows the address of before.
        let is_known = |(line, _): &(usize, &UplinkConfig)| !scene.has_new_lease(*line);
        let uplinks = scene.config.uplinks.iter().enumerate().filter(is_known).map(|(_, own)| own);
        let mut wanted = uplinks.filter(|u| is_guarded(scene, u)).filter(had);
        match wanted.find(|uplink| !guards(&scene.kernel, uplink)) {
            Some(uplink) => Err(format!("nothing looks at the sources that leave by {}", uplink.name)),
            None => self.quiet(scene, what),
        }
    }
}

impl Egress {
    /// When all is done every uplink is guarded.
    fn quiet(&self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let (Happening::Quiet(_) | Happening::Ended(_)) = what else { return Ok(()) };
        let mut wanted = scene.config.uplinks.iter().filter(|u| is_guarded(scene, u));
        match wanted.find(|uplink| !guards(&scene.kernel, uplink)) {
            Some(uplink) => Err(format!("quiet, and {} lets every source out", uplink.name)),
            None => Ok(()),
        }
    }
}

/// Without translation an uplink may carry any source of the inside.
fn is_guarded(scene: &Scene, uplink: &UplinkConfig) -> bool {
    uplink.enabled && uplink.nat != Nat::Off && !scene.config.is_inside(uplink)
}

fn guards(kernel: &Kernel, uplink: &UplinkConfig) -> bool {
    kernel.nft.as_ref().is_some_and(|table: &Table| table.guards_sources(uplink))
}

fn forwards(kernel: &Kernel) -> bool {
    kernel.sysctls.get(FORWARDING).is_some_and(|value| value == "1")
}
