//! What the router sends for an uplink leaves by it and by no other: its ports and questions are
//! bound to the uplink's device, source and mark. An echo bears its port's number, which no other has;
//! an ARP request asks for the uplink's gateway, in the name of the uplink's address.

use super::{Happening, Law, Often};
use crate::scene::Scene;
use rail_core::net::UplinkId;
use rail_core::{Ask, AskId, Binding, Peer, PortId, PortKind};
use rail_wire::ip::arp::{Arp, ArpKind};
use rail_wire::ip::icmp4::{Echo, EchoKind};
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

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
            Happening::Ports => ports(scene),
            Happening::Asked { id, ask } => asked(scene, *id, ask),
            Happening::Sent { port, to, bytes } => self.sent(scene, *port, *to, bytes),
            _ => Ok(()),
        }
    }
}

impl Probe {
    fn sent(&mut self, scene: &Scene, id: PortId, to: Peer, bytes: &[u8]) -> Result<(), String> {
        let Some(port) = scene.ports.iter().find(|port| port.id == id) else {
            return Err(format!("something is sent through {id:?}, which is not open"));
        };
        match port.kind {
            PortKind::IcmpEcho { ident } => {
                let line = scene.lines.iter().position(|line| id.uplink() == Some(line.id));
                let targets = line.map_or(&[][..], |line| &scene.check(line).targets);
                self.echo((port.binding, ident), (to, targets), bytes)
            }
            // Whether somebody else has a leased address is asked before the router has it.
            PortKind::Packet { .. } if matches!(id, PortId::Claim(_)) => claim(scene, bytes),
            PortKind::Packet { .. } => arp(scene, port.binding, bytes),
            PortKind::DhcpReplies { .. } | PortKind::Udp { .. } => Ok(()),
        }
    }

    fn echo(
        &mut self,
        (binding, ident): (Binding, u16),
        (to, targets): (Peer, &[Ipv4Addr]),
        bytes: &[u8],
    ) -> Result<(), String> {
        let echo = Echo::parse(bytes).map_err(|e| format!("a probe is no echo: {e:?}"))?;
        let is_target = |ip| targets.iter().any(|target| IpAddr::V4(*target) == ip);
        if echo.kind != EchoKind::Request || !to.ip().is_some_and(is_target) {
            return Err(format!("a probe to {to:?} is no request to a target of the uplink"));
        }
        if ident != echo.ident {
            return Err(format!("a probe leaves by the port of another line, {}", binding.ifname));
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

fn arp(scene: &Scene, binding: Binding, bytes: &[u8]) -> Result<(), String> {
    let arp = Arp::parse(bytes).map_err(|e| format!("what is sent is no ARP packet: {e:?}"))?;
    let is_gateway = |ip| scene.config.uplinks.iter().any(|u| u.gateway() == Some(ip));
    if arp.kind != ArpKind::Request || binding.source != Some(IpAddr::V4(arp.sender)) {
        return Err(format!("no request in the name of {:?}: {arp:?}", binding.source));
    }
    match is_gateway(IpAddr::V4(arp.target)) {
        true => Ok(()),
        false => Err(format!("{} is asked for, and is no gateway", arp.target)),
    }
}

fn claim(scene: &Scene, bytes: &[u8]) -> Result<(), String> {
    let arp = Arp::parse(bytes).map_err(|e| format!("what is sent is no ARP packet: {e:?}"))?;
    let is_own = arp.kind == ArpKind::Request && scene.net.street.knows(arp.target);
    if is_own { Ok(()) } else { Err(format!("{arp:?} claims what is not leased")) }
}

fn asked(scene: &Scene, id: AskId, ask: &Ask) -> Result<(), String> {
    match ask {
        Ask::Connect { binding, .. } => bound(scene, id.asker.uplink(), (binding, None)),
    }
}

fn ports(scene: &Scene) -> Result<(), String> {
    for port in &scene.ports {
        // A client has ports before it has an address.
        let source = match port.id {
            PortId::Dhcp(_) => Some(None),
            PortId::Claim(_) => Some(Some(Ipv4Addr::UNSPECIFIED.into())),
            PortId::Probe(..) | PortId::Arp(_) | PortId::DhcpServer(_) => None,
        };
        bound(scene, port.id.uplink(), (&port.binding, source))?;
    }
    let mut names: Vec<PortId> = scene.ports.iter().map(|port| port.id).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(format!("two ports have the name {:?}", pair[0]));
    }
    let ident = |kind| match kind {
        PortKind::IcmpEcho { ident } => Some(ident),
        _ => None,
    };
    let mut idents: Vec<u16> = scene.ports.iter().filter_map(|port| ident(port.kind)).collect();
    idents.sort_unstable();
    match idents.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("two ports have the identifier {:#x}", pair[0])),
        None => Ok(()),
    }
}

/// What belongs to an uplink is bound to it: to its address, or to this source.
fn bound(
    scene: &Scene,
    uplink: Option<UplinkId>,
    (binding, source): (&Binding, Option<Option<IpAddr>>),
) -> Result<(), String> {
    let Some(id) = uplink else { return Ok(()) };
    let Some(i) = scene.lines.iter().position(|line| line.id == id) else {
        return Err(format!("something is bound for uplink {id}, which does not exist"));
    };
    let (uplink, line) = (&scene.config.uplinks[i], &scene.lines[i]);
    let is_bound = binding.ifname == uplink.ifname
        && binding.source == source.unwrap_or_else(|| uplink.address().map(|own| own.address))
        && binding.mark == line.mark;
    match is_bound {
        true => Ok(()),
        false => Err(format!("what {} has is bound to another line: {binding:?}", uplink.name)),
    }
}
