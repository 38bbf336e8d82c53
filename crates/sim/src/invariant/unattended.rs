//! While no daemon runs new connections begin as the last one left it: whatever devices are pulled
//! meanwhile, each uplink that has buckets and a way of its own gets its connections.

use super::{Happening, Law};
use crate::kernel::{Kernel, Outcome, Table};
use crate::scene::{Line, Scene};
use rail_core::Watch;
use rail_core::state::{MainDefault, Scope};
use rail_core::time::Duration;

/// See the module.
#[derive(Default)]
pub(super) struct Unattended {
    /// All was in order, and the router has changed nothing since.
    good: bool,
    /// What `main` did with what it has no route for when the process was killed, all in order.
    left: Option<MainDefault>,
}

impl Law for Unattended {
    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Quiet(status) => self.good = status.settled,
            Happening::Change(_) => self.good = false,
            Happening::Started => self.left = None,
            // What happened in `main` just now, or while notifications were lost, it may not know yet.
            Happening::Killed if self.good => {
                let excuses = &scene.excuses;
                let is_known = excuses.is_overdue(scene.now, excuses.disturbed, NOTICED);
                self.left = is_known.then(|| main_default(&scene.kernel));
            }
            Happening::Tick if !scene.is_running && !scene.is_damaged => return self.begins(scene),
            _ => {}
        }
        Ok(())
    }
}

impl Unattended {
    fn begins(&self, scene: &Scene) -> Result<(), String> {
        let Some(left) = &self.left else { return Ok(()) };
        let has_buckets = |line: &Line| {
            let table = scene.kernel.nft.as_ref();
            let buckets = table.and_then(Table::draws).unwrap_or(0);
            // What no bucket has is behind them: a box inside, an address that several uplinks have.
            let map = table.and_then(|table| table.buckets.as_ref());
            map.is_some_and(|map| map.range(..buckets).any(|(_, mark)| *mark == line.mark))
        };
        for (i, line) in scene.lines.iter().enumerate() {
            let own = Outcome::Via(scene.config.uplinks[i].ifname);
            let begins = scene.ways.fresh.iter().any(|way| way.line == Some(i));
            // What an error route in `main` refuses stays refused.
            if line.pinned == own
                && has_buckets(line)
                && !begins
                && *left == main_default(&scene.kernel)
            {
                let name = &scene.config.uplinks[i].name;
                return Err(format!("no daemon runs, and no new connection begins by {name}"));
            }
        }
        Ok(())
    }
}

fn main_default(kernel: &Kernel) -> MainDefault {
    kernel.observe(Scope::MAIN, &Watch::default()).main
}

/// From the news of somebody's change to the answer: a large `main` is read ten times a second, and then
/// there is a switch.
const NOTICED: Duration = Duration::from_millis(150);
