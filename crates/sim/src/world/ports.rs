//! Ports and questions: what the router sends, and what comes back.

use super::{Event, World};
use crate::invariant::Happening;
use crate::kernel::Outcome;
use crate::net::{Arrival, gateway_mac};
use rail_core::net::{Mac, UplinkId};
use rail_core::state::{Neighbour, Scope};
use rail_core::time::Duration;
use rail_core::{Answer, Ask, AskError, AskId, Asker, Input, Peer, Port, PortId, PortKind};
use rail_core::{MOST_ASKS, has_place};
use rail_wire::DecodeError;
use rail_wire::dhcp4::{Request, UdpChecksum};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

impl World {
    /// What is sent through a port: what comes back, if it leaves at all.
    pub(super) fn send(&mut self, id: PortId, to: Peer, bytes: &[u8]) {
        self.trace.count(self.scene.now, bytes);
        self.judge(&Happening::Sent { port: id, to, bytes });
        let Some(port) = self.scene.ports.iter().find(|port| port.id == id).copied() else {
            return;
        };
        let Some(line) = id.uplink().and_then(|uplink| self.line_of(uplink)) else { return };
        match (port.kind, to) {
            (PortKind::IcmpEcho { .. }, Peer::Host(IpAddr::V4(to))) if self.has_way(line) => {
                self.resolve_gateway(line);
                let (now, net) = (self.scene.now, &mut self.scene.net);
                for arrival in net.echo(now, (line, to), bytes, &mut self.dice) {
                    self.arrive(id, line, arrival);
                }
            }
            (PortKind::DhcpReplies { .. }, Peer::Link(_)) if self.has_carrier(line) => {
                self.ask_street(line, Request::parse_packet(bytes, UdpChecksum::Complete));
            }
            (PortKind::Udp { .. }, Peer::Socket(SocketAddr::V4(to))) if self.has_way(line) => {
                self.ask_street(line, Request::parse(bytes, *to.ip()));
            }
            // Nobody else has an address that is claimed.
            (PortKind::Packet { .. }, _) if matches!(id, PortId::Claim(_)) => {}
            (PortKind::Packet { .. }, Peer::Link(_)) if self.has_carrier(line) => {
                let gateway = self.scene.config.uplinks[line].gateway();
                let Some(IpAddr::V4(gateway)) = gateway else { return };
                let reply = self.scene.net.arp(line, gateway, bytes, &mut self.dice);
                if let Some(arrival) = reply {
                    self.resolve_gateway(line);
                    self.arrive(id, line, arrival);
                }
            }
            (
                PortKind::IcmpEcho { .. }
                | PortKind::Packet { .. }
                | PortKind::DhcpReplies { .. }
                | PortKind::Udp { .. },
                _,
            ) => {}
        }
    }

    /// A client says something to the servers of the street; each client hears what is for it.
    fn ask_street(&mut self, line: usize, request: Result<Request, DecodeError>) {
        // The law has looked at it.
        let Ok(request) = request else { return };
        let condition = &self.scene.net.lines[line];
        let loss = condition.loss_pct * 10;
        let (sends, hears) = (!condition.dead_out, !condition.dead_in);
        if condition.silent || condition.gateway_dead || !sends || self.dice.permille(loss) {
            return;
        }
        let now = self.scene.now;
        for reply in self.scene.net.street.answer(now, line, &request) {
            let client = Mac(reply.chaddr);
            let is_its = |port: &&Port| port.kind == PortKind::DhcpReplies { client };
            let Some(port) = self.scene.ports.iter().find(is_its).map(|port| port.id) else {
                continue;
            };
            let after = self.scene.net.round_trip(line, &mut self.dice);
            if hears && !self.dice.permille(loss) {
                let from = Peer::Link(gateway_mac(line));
                let bytes = reply.emit_packet(Ipv4Addr::BROADCAST);
                self.arrive(port, line, Arrival { after, from, bytes, is_valid: false });
            }
        }
    }

    fn arrive(&mut self, port: PortId, line: usize, arrival: Arrival) {
        let Arrival { after, from, bytes, is_valid } = arrival;
        let input = Input::Packet { port, from, age: Duration::ZERO, bytes };
        self.after(after, Event::Input(self.node.life, input, is_valid.then_some(line)));
    }

    /// A question: its answer, or that there is none, is an event to come.
    pub(super) fn ask(&mut self, id: AskId, ask: &Ask) {
        self.judge(&Happening::Asked { id, ask });
        let line = id.asker.uplink().and_then(|uplink| self.line_of(uplink));
        let may_ask = line.is_some() && self.has_place(id.asker);
        let (wait, outcome) = match (ask, line.filter(|_| may_ask)) {
            (_, None) => (Duration::ZERO, Err(AskError::NotAsked)),
            (Ask::Connect { to, timeout, .. }, Some(line)) => self.connect(line, *to, *timeout),
        };
        let line = line.filter(|_| outcome.is_ok());
        self.after(wait, Event::Input(self.node.life, Input::Answered(id, outcome), line));
    }

    /// As in the daemon.
    fn has_place(&mut self, asker: Asker) -> bool {
        self.askers.insert(asker);
        let mut held: BTreeMap<Asker, u64> = self.askers.iter().map(|asker| (*asker, 0)).collect();
        for event in self.events.values() {
            let Event::Input(_, Input::Answered(id, outcome), _) = event else { continue };
            if *outcome != Err(AskError::NotAsked) {
                *held.entry(id.asker).or_default() += 1;
            }
        }
        has_place(MOST_ASKS, &held, asker)
    }

    fn connect(
        &mut self,
        line: usize,
        to: SocketAddr,
        timeout: Duration,
    ) -> (Duration, Result<Answer, AskError>) {
        if !self.has_way(line) {
            return (timeout, Err(AskError::TimedOut));
        }
        self.resolve_gateway(line);
        self.scene.net.connect(line, to, timeout, &mut self.dice)
    }

    /// No answer to this asker comes any more.
    pub(super) fn cancel_asks(&mut self, asker: Asker) {
        let is_its = |event: &Event| matches!(event, Event::Input(_, Input::Answered(id, _), _) if id.asker == asker);
        self.events.retain(|_, event| !is_its(event));
        self.askers.remove(&asker);
    }

    fn line_of(&self, uplink: UplinkId) -> Option<usize> {
        self.scene.lines.iter().position(|line| line.id == uplink)
    }

    /// What is bound to an uplink leaves by it.
    fn has_way(&self, line: usize) -> bool {
        let own = Outcome::Via(self.scene.config.uplinks[line].ifname);
        self.has_carrier(line) && self.scene.lines[line].probe == own
    }

    fn has_carrier(&self, line: usize) -> bool {
        let link = self.scene.kernel.links.get(&self.scene.config.uplinks[line].ifname);
        link.is_some_and(|link| link.up && link.carrier)
    }

    /// A packet to a gateway that answers makes it known.
    fn resolve_gateway(&mut self, line: usize) {
        let uplink = &self.scene.config.uplinks[line];
        let Some(gateway) = uplink.gateway() else { return };
        let key = (uplink.ifname, gateway);
        if self.scene.net.lines[line].gateway_dead {
            return;
        }
        let before = self.scene.kernel.neighbours.insert(key, Neighbour::Known(None));
        if before == Some(Neighbour::Failed) {
            self.notify(Scope::NEIGHBOURS);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dice::Dice;
    use crate::fault::Mix;
    use crate::net::CLOSED_PORT;
    use crate::scenario::Scenario;
    use rail_core::net::Family;
    use rail_core::{Binding, Output};
    use rail_wire::ip::arp::{Arp, ETHERTYPE};

    /// A world whose daemon is in sync, without faults.
    fn world() -> World {
        let mut dice = Dice::new(1);
        let scenario = Scenario { mix: Mix::none(), ..Scenario::draw(1, &mut dice) };
        let mut world = World::new(dice, scenario);
        world.run_for(Duration::from_secs(20));
        assert!(world.violation.is_none() && world.has_way(0));
        world
    }

    fn binding(world: &World) -> Binding {
        world.scene.ports[0].binding
    }

    fn asker(world: &World) -> Asker {
        Asker::Probe(world.scene.lines[0].id, Family::V4)
    }

    /// What is on its way to the router besides the answers to its echoes.
    fn coming(world: &World) -> Vec<Input> {
        let events = world.events.values();
        let inputs = events.filter_map(|event| match event {
            Event::Input(_, input, _) => Some(input.clone()),
            _ => None,
        });
        let is_ours = |input: &Input| {
            matches!(input, Input::Answered(..) | Input::Packet { port: PortId::Arp(_), .. })
        };
        inputs.filter(is_ours).collect()
    }

    /// Connects to a target by the first uplink; what becomes of it.
    fn connect(world: &mut World, port: u16, timeout: Duration) -> Result<Answer, AskError> {
        let binding = binding(world);
        let to = SocketAddr::new(world.scene.net.targets[0].into(), port);
        let id = AskId { asker: asker(world), n: 7 };
        world.perform(vec![Output::Ask(id, Ask::Connect { binding, to, timeout })]);
        assert!(world.violation.is_none());
        let [Input::Answered(asked, outcome)] = coming(world)[..] else { panic!() };
        assert_eq!(asked, id);
        world.cancel_asks(id.asker);
        assert_eq!(coming(world).len(), 0);
        outcome
    }

    /// Given a target behind a healthy uplink, then it connects and refuses; given a provider that is
    /// silent or a gateway that is dead, then there is no answer.
    #[test]
    fn a_connection_goes_the_way_of_a_probe() {
        let world = &mut world();
        let second = Duration::from_secs(1);
        let rtt = world.scene.net.lines[0].rtt;
        let Ok(Answer::Connected { rtt: took }) = connect(world, 443, second) else { panic!() };
        assert!(took >= rtt && took <= rtt * 2);
        let refused = connect(world, CLOSED_PORT, second);
        assert!(matches!(refused, Ok(Answer::Refused { .. })));
        world.scene.net.lines[0].silent = true;
        assert_eq!(connect(world, 443, second), Err(AskError::TimedOut));
        world.scene.net.lines[0].gateway_dead = true;
        assert_eq!(connect(world, 443, second * 10), Err(AskError::Unreachable));
    }

    /// Given a link without carrier, then nothing comes back; given an asker that there is not, or too
    /// many questions, then it is not asked.
    #[test]
    fn what_does_not_leave_has_no_answer() {
        let world = &mut world();
        let (binding, second) = (binding(world), Duration::from_secs(1));
        world.scene.kernel.set_carrier(binding.ifname, false);
        assert_eq!(connect(world, 443, second), Err(AskError::TimedOut));
        let to = SocketAddr::new(world.scene.net.targets[0].into(), 443);
        let ask = Ask::Connect { binding, to, timeout: second };
        let stranger = Asker::Probe(UplinkId(99), Family::V4);
        // The law would object to it.
        world.judge_by(Some("none"), None);
        world.ask(AskId { asker: stranger, n: 1 }, &ask);
        for n in 0..300 {
            world.ask(AskId { asker: asker(world), n }, &ask);
        }
        let not_asked =
            |input: &&Input| matches!(input, Input::Answered(_, Err(AskError::NotAsked)));
        assert_eq!(coming(world).iter().filter(not_asked).count(), 1 + 44);
    }

    /// Given an ARP port, then the gateway answers, for itself alone; a dead one does not.
    #[test]
    fn a_gateway_answers_arp() {
        let world = &mut world();
        let (id, binding) = (PortId::Arp(world.scene.lines[0].id), binding(world));
        let kind = PortKind::Packet { ethertype: ETHERTYPE };
        let ports = [world.scene.ports.clone(), vec![Port { id, kind, binding }]].concat();
        let Some(IpAddr::V4(gateway)) = world.scene.config.uplinks[0].gateway() else { panic!() };
        let Some(IpAddr::V4(us)) = binding.source else { panic!() };
        let request = Arp::request([2; 6], us, gateway);
        let to = Peer::Link(Mac([0xff; 6]));
        let send = |request: Arp| Output::Send { port: id, to, bytes: request.emit() };
        let objects = |world: &mut World| world.violation.take().is_some_and(|v| v.law == "probe");
        world.perform(vec![send(request)]);
        assert!(objects(world) && coming(world).is_empty(), "the port is not open");
        world.perform(vec![Output::Ports(ports), send(Arp { target: us, ..request })]);
        assert!(objects(world) && coming(world).is_empty(), "it is no gateway");
        world.perform(vec![send(request)]);
        let [Input::Packet { from, bytes, .. }] = &coming(world)[..] else { panic!() };
        assert_eq!(*from, Peer::Link(gateway_mac(0)));
        assert_eq!(Arp::parse(bytes), Ok(request.reply(gateway_mac(0).0)));
        world.run_for(Duration::from_millis(5));
        world.scene.net.lines[0].gateway_dead = true;
        world.perform(vec![send(request)]);
        assert_eq!(coming(world).len(), 0);
        assert!(world.violation.is_none(), "{:?}", world.violation);
    }
}
