//! A probe leaves by its own uplink and no other: its socket is bound to the uplink's
//! device, source and mark, and what is sent bears that socket's number, which no other has.

use super::{Happening, Law, Often};
use crate::scene::Scene;
use rail_core::net::UplinkId;
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::collections::BTreeSet;
use std::net::Ipv4Addr;

/// See the module.
#[derive(Default)]
pub(super) struct Probe {
    nonces: BTreeSet<u64>,
}

impl Law for Probe {
    fn hears(&self) -> Often {
        Often::Sent
    }

    fn judge(&mut self, scene: &Scene, what: &Happening<'_>) -> Result<(), String> {
        match what {
            Happening::Sockets => sockets(scene),
            Happening::Sent { uplink, to, bytes } => self.sent(scene, *uplink, *to, bytes),
            _ => Ok(()),
        }
    }
}

impl Probe {
    fn sent(
        &mut self,
        scene: &Scene,
        uplink: UplinkId,
        to: Ipv4Addr,
        bytes: &[u8],
    ) -> Result<(), String> {
        let echo = Echo::parse(bytes).map_err(|e| format!("a probe is no echo: {e:?}"))?;
        if echo.kind != EchoKind::Request || !scene.net.targets.contains(&to) {
            return Err(format!("a probe to {to} is no request to a target"));
        }
        let Some(socket) = scene.sockets.iter().find(|s| s.uplink == uplink) else {
            return Err(format!("a probe of uplink {uplink} has no socket"));
        };
        if socket.ident != echo.ident {
            return Err(format!("a probe leaves by the socket of another line, {}", socket.ifname));
        }
        if !self.nonces.insert(echo.nonce) {
            return Err("a nonce was used twice".into());
        }
        if self.nonces.len() > 4096 {
            self.nonces.clear();
        }
        Ok(())
    }
}

fn sockets(scene: &Scene) -> Result<(), String> {
    for socket in &scene.sockets {
        let Some(i) = scene.lines.iter().position(|line| line.id == socket.uplink) else {
            return Err(format!("a socket of uplink {}, which does not exist", socket.uplink));
        };
        let (uplink, line) = (&scene.config.uplinks[i], &scene.lines[i]);
        let bound = socket.ifname == uplink.ifname
            && socket.source == uplink.address.address
            && socket.mark == line.mark;
        if !bound {
            return Err(format!("the socket of {} is bound to another line: {socket:?}", uplink.name));
        }
    }
    let mut idents: Vec<u16> = scene.sockets.iter().map(|s| s.ident).collect();
    idents.sort_unstable();
    match idents.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two sockets have the identifier {:#x}", pair[0])),
        None => Ok(()),
    }
}
