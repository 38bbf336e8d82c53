//! What arrives on the probe sockets: whose answer it is, or why it is refused.

use super::Router;
use crate::check::Refusal;
use crate::net::UplinkId;
use crate::time::{Duration, Instant};
use core::net::IpAddr;

impl Router {
    /// Takes a message from the probe socket of an uplink, as old as the kernel says.
    pub(super) fn take_packet(
        &mut self,
        now: Instant,
        age: Duration,
        (uplink, from): (UplinkId, IpAddr),
        bytes: &[u8],
    ) {
        let Some(i) = self.lines.iter().position(|line| line.id() == uplink) else {
            self.counters.packets_refused += 1;
            return;
        };
        let refusal = match self.lines[i].packet(now, age, from, bytes) {
            Ok((target, before)) => {
                self.counters.probes_answered += 1;
                self.lines_dirty[i] = true;
                self.note_return(now, i, target, before);
                return;
            }
            Err(Refusal::WrongSequence) if self.lines.iter().any(|l| l.is_answer(from, bytes)) => {
                Refusal::WrongInterface
            }
            Err(refusal) => refusal,
        };
        self.lines[i].count_refusal(refusal);
        match refusal {
            Refusal::Duplicate => self.counters.duplicates += 1,
            _ => self.counters.packets_refused += 1,
        }
    }
}
