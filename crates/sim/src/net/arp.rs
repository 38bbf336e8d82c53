//! Gateways that answer ARP.

use super::{Arrival, Net};
use crate::dice::Dice;
use rail_core::Peer;
use rail_core::net::Mac;
use rail_core::time::Duration;
use rail_wire::ip::arp::{Arp, ArpKind};
use std::net::Ipv4Addr;

impl Net {
    /// What the gateway of an uplink answers; what its provider does is no matter.
    pub fn arp(
        &self,
        line: usize,
        gateway: Ipv4Addr,
        bytes: &[u8],
        dice: &mut Dice,
    ) -> Option<Arrival> {
        let request = Arp::parse(bytes).ok()?;
        let is_for_it = request.kind == ArpKind::Request && request.target == gateway;
        if !is_for_it || self.lines[line].gateway_dead {
            return None;
        }
        let mac = gateway_mac(line);
        let after = dice.between(Duration::from_micros(100), Duration::from_millis(2));
        let bytes = request.reply(mac.0).emit();
        Some(Arrival { after, from: Peer::Link(mac), bytes, is_valid: true })
    }
}

/// The hardware address of the gateway of an uplink.
pub fn gateway_mac(line: usize) -> Mac {
    Mac([2, 0, 0, 0, u8::try_from(line).unwrap_or(u8::MAX), 0xfe])
}
