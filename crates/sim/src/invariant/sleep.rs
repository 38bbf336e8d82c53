//! A loop that never sleeps gets nowhere: the router does not ask to be woken at a
//! moment that is past, again and again.

use super::{Happening, Law, Often};
use crate::scene::Scene;

/// See the module.
#[derive(Default)]
pub(super) struct Sleep {
    second: u64,
    wakes: u32,
}

impl Law for Sleep {
    fn hears(&self) -> Often {
        Often::Woken
    }

    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        let Happening::Woken = what else { return Ok(()) };
        let second = scene.now.as_nanos() / 1_000_000_000;
        self.wakes = if self.second == second { self.wakes + 1 } else { 1 };
        self.second = second;
        if self.wakes <= MOST_WAKES {
            return Ok(());
        }
        Err("woken thousands of times in a second: it asks for a moment that is past".into())
    }
}

/// Four uplinks with four targets each answer 160 probes a second.
const MOST_WAKES: u32 = 5000;
