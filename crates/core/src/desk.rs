//! The desk: what is written down, and what is counted.

use crate::io::Output;
use crate::net::IfName;
use crate::saved::Saved;
use crate::state::Scope;
use crate::status::Counters;
use crate::time::Instant;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

/// What outlives the process, and figures since its start.
#[derive(Clone, Debug)]
pub(crate) struct Desk {
    pub(crate) saved: Saved,
    pub(crate) counters: Counters,
    pub(crate) started: Instant,
    /// Devices that this process has seen, by index.
    seen: BTreeMap<IfName, u32>,
    /// The saved state changed in a way that need not wait for the disk.
    is_due: bool,
    /// How many states had to be on the disk.
    durable: u64,
}

impl Desk {
    pub(crate) fn new(saved: Saved) -> Self {
        let counters = Counters::default();
        let seen = saved.links_seen.clone();
        Self { saved, counters, started: Instant::ZERO, seen, is_due: false, durable: 0 }
    }

    /// The state is to be written with the next wake.
    pub(crate) const fn save_soon(&mut self) {
        self.is_due = true;
    }

    /// The number of the next durable state.
    pub(crate) const fn next_durable(&self) -> u64 {
        self.durable + 1
    }

    /// Writes the state now.
    pub(crate) fn save(&mut self, durable: bool, out: &mut Vec<Output>) {
        self.durable += u64::from(durable);
        out.push(Output::Save { saved: Box::new(self.saved.clone()), durable });
    }

    /// Writes the state, if it is due.
    pub(crate) fn save_if_due(&mut self, out: &mut Vec<Output>) {
        if core::mem::take(&mut self.is_due) {
            self.save(false, out);
        }
    }

    /// A device is there. True if this process sees it for the first time. It is set up then if it is down,
    /// unless it was seen up before, in whichever process of this boot: somebody has set that down. What was
    /// written down does not say that it was to be set up: a crash may come between.
    pub(crate) fn see_link(
        &mut self,
        ifname: IfName,
        (index, is_up): (u32, bool),
        out: &mut Vec<Output>,
    ) -> bool {
        let is_new = self.seen.insert(ifname, index) != Some(index);
        let was_up = self.saved.links_seen.get(&ifname) == Some(&index);
        if is_up && !was_up {
            self.saved.links_seen.insert(ifname, index);
            self.save_soon();
        }
        if is_up || was_up || !is_new {
            return is_new;
        }
        if !self.saved.links_up.contains(&ifname) {
            self.saved.links_up.push(ifname);
            self.save(true, out);
        }
        out.push(Output::LinkUp(ifname));
        out.push(Output::Observe(Scope::LINKS));
        true
    }

    /// Devices have other names.
    pub(crate) fn rename_seen(&mut self, new: impl Fn(IfName) -> IfName) {
        for seen in [&mut self.seen, &mut self.saved.links_seen] {
            *seen = core::mem::take(seen).into_iter().map(|(name, i)| (new(name), i)).collect();
        }
    }

    /// How many states had to be on the disk.
    #[cfg(test)]
    pub(crate) const fn durable(&self) -> u64 {
        self.durable
    }
}
