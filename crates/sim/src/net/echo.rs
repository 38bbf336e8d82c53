//! Targets that answer echoes.

use super::{Arrival, Net};
use crate::dice::Dice;
use rail_core::Peer;
use rail_core::time::{Duration, Instant};
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::net::{IpAddr, Ipv4Addr};

impl Net {
    /// What comes back for a probe.
    pub fn echo(
        &mut self,
        now: Instant,
        (line, to): (usize, Ipv4Addr),
        bytes: &[u8],
        dice: &mut Dice,
    ) -> Vec<Arrival> {
        let mut arrivals = Vec::new();
        let Ok(echo) = Echo::parse(bytes) else { return arrivals };
        let after = self.round_trip(line, dice);
        let reply = Echo { kind: EchoKind::Reply, ..echo };
        if dice.permille(self.forged_permille) {
            let forged = match dice.below(3) {
                0 => Echo { nonce: reply.nonce ^ 1, ..reply },
                1 => Echo { ident: reply.ident ^ 1, ..reply },
                _ => Echo { sequence: reply.sequence.wrapping_add(1), ..reply },
            };
            let at = dice.between(Duration::ZERO, after * 2);
            arrivals.push(Arrival {
                after: at,
                from: peer(to),
                bytes: forged.emit(),
                is_valid: false,
            });
            // The right content from the wrong place.
            let from = peer(Ipv4Addr::new(203, 0, 113, 66));
            arrivals.push(Arrival { after: at, from, bytes: reply.emit(), is_valid: false });
        }
        let condition = &mut self.lines[line];
        let is_limited = condition.limiter.as_mut().is_some_and(|l| !l.passes(now, to));
        if is_limited || self.is_lost(line, to, dice) {
            return arrivals;
        }
        let mut bytes = reply.emit();
        if dice.permille(self.corrupt_permille) {
            let at = dice.below(bytes.len());
            bytes[at] ^= 1 << dice.below(8);
            arrivals.push(Arrival { after, from: peer(to), bytes, is_valid: false });
            return arrivals;
        }
        // Of two that arrive at once the router takes the first.
        arrivals.push(Arrival { after, from: peer(to), bytes: bytes.clone(), is_valid: true });
        if dice.permille(self.duplicate_permille) {
            let after = after + dice.between(Duration::ZERO, self.lines[line].rtt);
            arrivals.push(Arrival { after, from: peer(to), bytes, is_valid: false });
        }
        arrivals
    }
}

const fn peer(host: Ipv4Addr) -> Peer {
    Peer::Host(IpAddr::V4(host))
}
