//! The traffic of clients, as the counters of a device show it.
//!
//! The shell looks at them every 20 ms. Only looks at which something could be found are events here:
//! those after a busy uplink has died, and now and then those at a good one whose other end says nothing
//! for a while.

use super::{Event, MS, World};
use rail_core::Input;
use rail_core::net::IfName;
use rail_core::probe::{Packets, Traffic};
use rail_core::time::Duration;

/// A device whose counters are looked at.
#[derive(Clone, Debug)]
pub(crate) struct Counting {
    line: usize,
    device: IfName,
    traffic: Traffic,
    packets: Packets,
    /// Nothing comes in, whether the uplink is good or not.
    is_one_way: bool,
    /// Looks to come.
    left: u32,
}

impl World {
    /// Clients have been busy on this uplink until now, and go on.
    pub(crate) fn begin_counting(&mut self, line: usize, is_one_way: bool) {
        let device = self.scene.config.uplinks[line].ifname;
        let Some(link) = self.scene.kernel.links.get(&device) else { return };
        let rate = u64::try_from(self.dice.below(20)).unwrap_or(0);
        let mut packets = Packets { index: link.index, received: 0, sent: 0 };
        let mut traffic = Traffic::default();
        for look in (0..8).rev() {
            packets.received += rate;
            packets.sent += rate;
            traffic.look(self.scene.now - EVERY * look, packets);
        }
        let left = 15;
        let counting = Counting { line, device, traffic, packets, is_one_way, left };
        self.after(EVERY, Event::Count(self.node.life, Box::new(counting)));
    }

    /// Takes one look, and hands over what it finds.
    pub(super) fn count(&mut self, mut counting: Counting) {
        let Some(link) = self.scene.kernel.links.get(&counting.device) else { return };
        let is_open = link.up && link.carrier;
        let is_dead = self.scene.net.lines[counting.line].is_dead();
        counting.packets.index = link.index;
        counting.packets.sent += 2 * u64::from(is_open);
        counting.packets.received += 2 * u64::from(is_open && !is_dead && !counting.is_one_way);
        if let Some(found) = counting.traffic.look(self.scene.now, counting.packets) {
            self.deliver(Input::Unanswered(counting.device, found));
        }
        counting.left -= 1;
        if counting.left > 0 {
            self.after(EVERY, Event::Count(self.node.life, Box::new(counting)));
        }
    }
}

/// From one look to the next.
const EVERY: Duration = MS.saturating_mul(20);
