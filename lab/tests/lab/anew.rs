//! Conversations that never pause, and lose the way or the rules that they began with: they begin anew.

use crate::ways::{FAR, beside_a_vpn, client, far};
use rail_lab::traffic::UDP_PORT;
use rail_lab::{ConfigText, Node, Plan, Servers, Topology, World, eventually, isolated};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

/// One side of a UDP conversation, from a port of its own.
struct Talk {
    socket: UdpSocket,
    to: Ipv4Addr,
}

impl Talk {
    fn begin(node: &Node, from: Ipv4Addr, to: Ipv4Addr) -> Self {
        let socket = node.enter(|| UdpSocket::bind((from, 5060))).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        Self { socket, to }
    }

    /// Says something; the source that the other side saw, if it answered.
    fn say(&self) -> Result<String, String> {
        let mut reply = [0; 64];
        self.socket.send_to(b"register", (self.to, UDP_PORT)).unwrap();
        let length = self.socket.recv(&mut reply).map_err(|error| error.to_string())?;
        Ok(String::from_utf8_lossy(&reply[8..length.max(8)]).into_owned())
    }

    /// The same; another source, or no answer, is an error.
    fn seen_as(&self, is_meant: impl Fn(&str) -> bool) -> Result<(), String> {
        let seen = self.say()?;
        if is_meant(&seen) { Ok(()) } else { Err(seen) }
    }
}

#[test]
fn a_conversation_goes_on_by_an_uplink_when_its_vpn_goes() {
    isolated(|| {
        // given a UDP conversation through a VPN, without translation / when the VPN goes / then it
        // goes on by an uplink, translated, though it never pauses
        let world = beside_a_vpn("");
        let net = &world.topology;
        let vpn = &net.network("vpn").node;
        let _far = far(vpn);
        net.router.sh(&format!("ip route add {FAR} via 10.8.1.10 dev vpn0")).unwrap();
        let talk = Talk::begin(&net.client, client(), FAR);
        let inside = client().to_string();
        let by_vpn = || talk.seen_as(|seen| seen == inside);
        eventually(Duration::from_secs(5), "an answer through the VPN", by_vpn);
        net.router.sh("ip link set vpn0 down").unwrap();
        let by_uplink = || talk.seen_as(|seen| seen.starts_with("100.64."));
        eventually(Duration::from_secs(15), "an answer by an uplink", by_uplink);
        assert!(net.router.sh("nft list chain inet rail foreign_source").unwrap().contains("drop"));
    });
}

#[test]
fn a_conversation_begins_anew_when_its_exemption_goes() {
    isolated(|| {
        // given a UDP conversation to a destination that is exempt from translation, where nobody answers
        // to inside addresses / when a reload takes the exemption away / then it goes on translated,
        // though it never pauses
        let world = World::start(&Plan::new(1), &ConfigText::default()).unwrap();
        let net = &world.topology;
        net.excuse_sources();
        let (config, gateway) = (net.config(&ConfigText::default()), "gateway = \"100.64.1.1\"\n");
        let exempting = config.replace(gateway, &format!("{gateway}no_nat = [\"{FAR}\"]\n"));
        world.rail.reload(&exempting).unwrap();
        world.rail.wait_settled(Duration::from_secs(5)).unwrap();
        let talk = Talk::begin(&net.client, client(), FAR);
        assert!(talk.say().is_err());
        world.rail.reload(&config).unwrap();
        eventually(Duration::from_secs(15), "an answer", || talk.say());
    });
}

#[test]
fn a_flow_that_began_before_the_first_start_begins_anew() {
    isolated(|| {
        // given a router that tracks connections and translates nothing, and a flow that nobody answers
        // / when rail starts / then it goes on by an uplink, translated, though it never pauses
        let topology = Topology::build(&Plan::new(2)).unwrap();
        let router = &topology.router;
        router.nft("table inet own {\n chain c {\n type filter hook forward priority 0\n ct state new accept\n }\n}\n").unwrap();
        router.set("net/ipv4/ip_forward", "1").unwrap();
        router.sh("ip addr add 100.64.1.2/24 dev wan1").unwrap();
        router.sh("ip route add default via 100.64.1.1 dev wan1").unwrap();
        let talk = Talk::begin(&topology.client, client(), FAR);
        assert!(talk.say().is_err());
        topology.excuse_sources();
        let world = World::begin(topology, &ConfigText::default()).unwrap();
        world.rail.wait_all_up(Duration::from_secs(10)).unwrap();
        eventually(Duration::from_secs(15), "an answer", || talk.say());
    });
}

#[test]
fn a_forward_outlives_a_moment_without_its_route() {
    isolated(|| {
        // given a conversation through a port forward / when the route inside goes for some seconds, in
        // which it goes on / then it is the same one afterwards
        let rest = format!(
            "[[forward]]\nprotocol = \"udp\"\nport = {UDP_PORT}\nto = \"192.168.1.10:{UDP_PORT}\"\n"
        );
        let text = ConfigText { rest, ..ConfigText::default() };
        let world = World::start(&Plan::new(2), &text).unwrap();
        let net = &world.topology;
        let _inside = Servers::start(&net.client, &[client()]).unwrap();
        let outside = Ipv4Addr::new(192, 0, 2, 60);
        let talk = Talk::begin(&net.internet, outside, Ipv4Addr::new(100, 64, 1, 2));
        let itself = outside.to_string();
        let is_itself = || talk.seen_as(|seen| seen == itself);
        eventually(Duration::from_secs(5), "an answer", is_itself);
        net.router.sh("ip route del 192.168.1.0/24 dev lan0").unwrap();
        // Longer than it takes to find and delete what is to begin anew.
        let until = Instant::now() + Duration::from_secs(7);
        while Instant::now() < until {
            is_itself().unwrap_err();
        }
        net.router.sh("ip route add 192.168.1.0/24 dev lan0 src 192.168.1.1").unwrap();
        eventually(Duration::from_secs(5), "the same conversation", is_itself);
    });
}
