//! Uplinks that have an interface, a subnet, or even the address in common.

use rail_lab::node::veth;
use rail_lab::{
    Connector, ConnectorPlan, Fault, Node, Plan, Rail, Servers, Topology, World, figures, isolated,
    long, normal, timed, topology,
};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4, UdpSocket};
use std::time::{Duration, Instant};

const LIMIT: Duration = Duration::from_secs(15);
const SILENT_LIMIT: Duration = Duration::from_secs(1);
const CARRIER_LIMIT: Duration = Duration::from_millis(100);
const WEIGHTS: [u32; 2] = [2, 1];
/// A service of the router that uplinks may ask for, one they may not, and a forward.
const REST: &str = "[firewall]\nallow = [\"tcp 2222\"]\n\
    [[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";
const OPEN: u16 = 2222;
const SHUT: u16 = 2223;
const FORWARDED: u16 = 8080;

/// One of the two uplinks.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    interface: &'static str,
    address: Ipv4Addr,
    gateway: Ipv4Addr,
    /// What servers see of it, and what they ask for.
    public: Ipv4Addr,
}

const fn place(interface: &'static str, address: [u8; 4], gateway: [u8; 4]) -> Place {
    let [a, b, c, d] = address;
    let address = Ipv4Addr::new(a, b, c, d);
    let [a, b, c, d] = gateway;
    Place { interface, address, gateway: Ipv4Addr::new(a, b, c, d), public: address }
}

/// Two subnets on one port.
pub(crate) const ONE_PORT: [Place; 2] = [
    place("wan1", [100, 64, 1, 2], [100, 64, 1, 1]),
    place("wan1", [100, 64, 2, 2], [100, 64, 2, 1]),
];
/// Two gateways in one subnet, on one port.
const ONE_PORT_ONE_SUBNET: [Place; 2] = [
    place("wan1", [100, 64, 1, 2], [100, 64, 1, 1]),
    place("wan1", [100, 64, 1, 3], [100, 64, 1, 254]),
];
/// The same with a port each, all on one segment.
const ONE_SUBNET: [Place; 2] = [
    place("wan1", [100, 64, 1, 2], [100, 64, 1, 1]),
    place("wan2", [100, 64, 1, 3], [100, 64, 1, 254]),
];
/// Two USB sticks of one make; each translates to an address of its own.
const STICKS: [Place; 2] = [
    Place {
        public: Ipv4Addr::new(100, 64, 1, 1),
        ..place("wan1", [192, 168, 8, 100], [192, 168, 8, 1])
    },
    Place {
        public: Ipv4Addr::new(100, 64, 2, 1),
        ..place("wan2", [192, 168, 8, 100], [192, 168, 8, 1])
    },
];

/// Puts the providers and the router's ports on one switch, which lasts as long as its node.
pub(crate) fn put_on_one_switch(topology: &Topology, places: &[Place; 2]) -> Node {
    let switch = Node::new("switch").unwrap();
    switch.ip_batch("link add br0 type bridge mcast_snooping 0\nlink set br0 up\n").unwrap();
    let join = |port: String| {
        switch.ip_batch(&format!("link set {port} master br0\nlink set {port} up\n")).unwrap();
    };
    for (line, place) in topology.lines.iter().zip(places) {
        let n = line.number;
        line.isp.ip_batch("link del acc\n").unwrap();
        veth((&switch, &format!("p{n}")), (&line.isp, "acc")).unwrap();
        join(format!("p{n}"));
        let Place { address, gateway, .. } = place;
        line.isp.ip_batch(&format!("addr add {gateway}/24 dev acc\nlink set acc up\n")).unwrap();
        let guard = format!("iifname acc ip saddr != {address} counter name wrong drop");
        line.isp
            .nft(&format!("flush chain inet lab guard\nadd rule inet lab guard {guard}\n"))
            .unwrap();
        let back = format!("route replace {address}/32 via");
        let transit = line.transit.as_ref().unwrap();
        transit.ip_batch(&format!("{back} 10.1.{n}.1\n")).unwrap();
        topology.internet.ip_batch(&format!("{back} 10.2.{n}.1\n")).unwrap();
    }
    let mut ports: Vec<&str> = places.iter().map(|place| place.interface).collect();
    ports.dedup();
    for port in ports {
        veth((&topology.router, port), (&switch, &format!("to-{port}"))).unwrap();
        join(format!("to-{port}"));
        topology.router.ip_batch(&format!("link set {port} up\n")).unwrap();
    }
    topology.wait_for_carrier().unwrap();
    switch
}

/// Two boxes of one make that each translate: one subnet and one gateway's address, two segments.
pub(crate) const BOXES: [Place; 2] = [
    Place {
        public: Ipv4Addr::new(100, 64, 1, 1),
        ..place("wan1", [192, 168, 178, 17], [192, 168, 178, 1])
    },
    Place {
        public: Ipv4Addr::new(100, 64, 2, 1),
        ..place("wan2", [192, 168, 178, 22], [192, 168, 178, 1])
    },
];

/// Makes each provider a stick that translates, and forwards a few ports back.
pub(crate) fn make_sticks(topology: &Topology, places: &[Place; 2]) {
    for (line, place) in topology.lines.iter().zip(places) {
        let Place { address, gateway, public, .. } = place;
        line.isp
            .ip_batch(&format!(
                "addr del {public}/24 dev acc\naddr add {gateway}/24 dev acc\naddr add {public}/32 dev lo\n"
            ))
            .unwrap();
        line.isp
            .nft(&format!(
                "flush chain inet lab guard\n\
                 add rule inet lab guard iifname acc ip saddr != {address} counter name wrong drop\n\
                 table ip stick {{\n chain pre {{ type nat hook prerouting priority -100\n\
                 iifname core tcp dport {{ {OPEN}, {SHUT}, {FORWARDED} }} dnat to {address}\n }}\n\
                 chain post {{ type nat hook postrouting priority 100\n\
                 oifname core ip saddr {address} snat to {public}\n }}\n}}\n"
            ))
            .unwrap();
    }
}

fn build(places: &[Place; 2]) -> (Topology, Option<Node>) {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    if places[0].public == places[0].address {
        let switch = put_on_one_switch(&topology, places);
        return (topology, Some(switch));
    }
    make_sticks(&topology, places);
    (topology, None)
}

fn config(places: &[Place; 2], rest: &str) -> String {
    let mut text = String::from("[lan]\ninterfaces = [\"lan0\"]\n");
    for (n, (place, weight)) in places.iter().zip(WEIGHTS).enumerate() {
        let Place { interface, address, gateway, .. } = place;
        let _ = write!(
            text,
            "[[uplink]]\nname = \"isp{}\"\ninterface = \"{interface}\"\n\
             address = \"{address}/24\"\ngateway = \"{gateway}\"\nweight = {weight}\n",
            n + 1
        );
    }
    let check = if long() { "" } else { "recover_after = 3\n" };
    text + "[check]\n" + check + "targets = [\"192.0.2.1\", \"192.0.2.2\", \"192.0.2.3\"]\n" + rest
}

struct Case {
    places: [Place; 2],
    world: World,
    before: String,
    _listening: [Servers; 3],
    _switch: Option<Node>,
}

fn start(places: [Place; 2]) -> Case {
    let (topology, switch) = build(&places);
    let before = normal::state(&topology.router).unwrap();
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let listen = |node: &Node, at: String| Servers::tcp(node, at.parse().unwrap()).unwrap();
    let listening = [
        listen(&topology.client, "192.168.1.10:80".into()),
        listen(&topology.router, format!("0.0.0.0:{OPEN}")),
        listen(&topology.router, format!("0.0.0.0:{SHUT}")),
    ];
    let rail = Rail::run(&topology.router, &config(&places, REST)).unwrap();
    rail.wait_all_up(LIMIT).unwrap();
    let world = World { rail, servers, topology };
    Case { places, world, before, _listening: listening, _switch: switch }
}

impl Case {
    fn publics(&self) -> [Ipv4Addr; 2] {
        self.places.map(|place| place.public)
    }

    /// 3,000 connections: all succeed, each from one right source; points off the weights.
    fn shared(&self) -> f64 {
        let report = self.world.connect(3000).unwrap();
        let by_source = report.by_source();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        assert!(by_source.keys().all(|seen| self.publics().contains(seen)), "{by_source:?}");
        let off = report.deviation(&self.publics(), &WEIGHTS);
        assert!(off <= 3.0, "{by_source:?}");
        off
    }

    /// Connections from the internet to a port of each uplink; failures.
    fn refused_to_internet(&self, port: u16, count: usize) -> [usize; 2] {
        self.publics().map(|public| {
            let plan = ConnectorPlan {
                servers: vec![SocketAddrV4::new(public, port)],
                period: Duration::from_micros(500),
                count: Some(count),
                ..ConnectorPlan::new(vec![Ipv4Addr::new(192, 0, 2, 60)], &[])
            };
            Connector::start(&self.world.topology.internet, plan).finish().unwrap().failed()
        })
    }

    /// Connections of the router itself from this address; how many failed.
    fn own(&self, source: Ipv4Addr) -> usize {
        let plan = ConnectorPlan {
            period: Duration::from_micros(500),
            count: Some(60),
            ..ConnectorPlan::new(vec![source], &topology::servers())
        };
        let report = Connector::start(&self.world.topology.router, plan).finish().unwrap();
        let by_source = report.by_source();
        assert!(by_source.keys().all(|seen| self.publics().contains(seen)), "{by_source:?}");
        report.failed()
    }

    /// The inside and the router's other ports stay closed, by each uplink.
    fn assert_closed(&self) {
        for (line, place) in self.world.topology.lines.iter().zip(&self.places) {
            let via = format!("ip route add 192.168.1.0/24 via {}", place.address);
            // starts: ip, ping
            line.isp.sh(&via).unwrap();
            let open = line.isp.open_of(&["192.168.1.10:80", "192.168.1.1:2223"]);
            assert!(open.is_empty(), "{open:?} by line {}", line.number);
            line.isp.sh(&via.replace(" add ", " del ")).unwrap();
        }
        assert_eq!(self.refused_to_internet(SHUT, 3), [3, 3]);
    }

    /// While an uplink is dead the router's own connections succeed: unbound, from the address of the
    /// other uplink, twins included, and, where both have one port, bound to that.
    fn router_is_well(&self, dead: usize) {
        let living = self.places[2 - dead];
        let own = [Ipv4Addr::UNSPECIFIED, living.address].map(|source| self.own(source));
        assert_eq!(own, [0, 0], "line {dead} dead");
        let bound = format!("ping -n -q -c 3 -i 0.2 -W 1 -I {} 192.0.2.50", living.interface);
        let answer = self.world.topology.router.sh(&bound).unwrap();
        assert!(answer.contains(" 0% packet loss"), "line {dead} dead: {answer}");
    }

    /// One uplink dies and returns; the time to the last failed connection, and how many failed at
    /// the return. Meanwhile the router's own connections succeed.
    fn dies_and_returns(&self, line: usize, fault: Fault, word: &str) -> (Duration, usize) {
        let (world, name) = (&self.world, format!("isp{line}"));
        let flows = world.flows(12, 12);
        let connector = world.connector();
        world.wait_for(&connector, 40).unwrap();
        let injected = world.topology.inject(line, fault).unwrap();
        world.rail.wait_health(&name, word, LIMIT).unwrap();
        world.wait_for(&connector, 60).unwrap();
        self.router_is_well(line);
        let (since, settled) = (injected.since, Instant::now());
        injected.repair().unwrap();
        world.rail.wait_health(&name, "up", LIMIT).unwrap();
        world.wait_for(&connector, 40).unwrap();
        let report = connector.stop().unwrap();
        let other = self.publics()[2 - line];
        let healthy = flows.stop().unwrap().of(self.publics()[line - 1], false);
        assert!(!healthy.flows.is_empty(), "no flow to judge");
        let lost = (healthy.udp_lost(), healthy.broken(), healthy.mixed());
        assert_eq!(lost, (0, 0, 0), "UDP lost, broken, mixed of {}", healthy.flows.len());
        let late =
            report.by_source_between(Some(settled - Duration::from_millis(100)), Some(settled));
        assert!(late.keys().all(|seen| *seen == other), "{late:?}");
        (report.last_failed_between(since, settled), report.failed_between(settled, Instant::now()))
    }
}

fn all_of_it(what: &str, places: [Place; 2], cable: bool) {
    let mut case = start(places);
    let off = case.shared();
    let forwarded = case.refused_to_internet(FORWARDED, 200);
    let asked = case.refused_to_internet(OPEN, 100);
    case.assert_closed();
    let own = [Ipv4Addr::UNSPECIFIED, places[0].address, places[1].address].map(|a| case.own(a));
    let deaths = [1, 2].map(|line| case.dies_and_returns(line, Fault::Gateway, "down"));
    let cut = cable.then(|| case.dies_and_returns(1, Fault::Carrier, "no-carrier"));
    let (killed, changed) = case.world.kill_and_restart().unwrap();
    let after = case.shared();
    let again = case.refused_to_internet(FORWARDED, 200);
    let wrong = case.world.topology.wrong_sources().unwrap();
    case.world.rail.stop(true).unwrap();
    let left =
        normal::difference(&case.before, &normal::state(&case.world.topology.router).unwrap());
    figures(&format!(
        "{what}: off the weights {off:.2} points, at the end {after:.2}; failed of 200 forwarded \
         {forwarded:?}, later {again:?}; silent deaths: last failed connection and failed at the \
         return {deaths:?}, cable {cut:?}; {killed} failed around a kill; {wrong} wrong sources"
    ));
    assert_eq!((forwarded, asked, again), ([0, 0], [0, 0], [0, 0]));
    assert_eq!((own, killed, wrong), ([0, 0, 0], 0, 0));
    assert_eq!((changed, left), (String::new(), String::new()));
    for (outage, at_return) in deaths.into_iter().chain(cut) {
        assert!(outage <= SILENT_LIMIT, "{outage:?}");
        assert_eq!(at_return, 0);
    }
    if let Some((outage, _)) = cut {
        assert!(outage <= CARRIER_LIMIT, "{outage:?}");
    }
}

// given two uplinks with something in common / when connections are shared, come in, and are the
// router's own, when each uplink dies and returns, and when the daemon is killed and starts again /
// then it is as if each uplink had a port and a subnet for itself
#[test]
fn two_subnets_on_one_port() {
    timed(|| all_of_it("two subnets on one port", ONE_PORT, false));
}

#[test]
fn two_gateways_of_one_subnet_on_one_port() {
    timed(|| all_of_it("one subnet on one port", ONE_PORT_ONE_SUBNET, false));
}

#[test]
fn one_subnet_on_two_ports() {
    timed(|| all_of_it("one subnet on two ports", ONE_SUBNET, false));
}

#[test]
fn two_sticks_with_one_address() {
    timed(|| all_of_it("one address on two ports", STICKS, true));
}

#[test]
fn a_routed_network_is_answered_by_the_gateway_it_was_asked_through() {
    isolated(|| {
        // given two gateways on one port and no filter / when the provider of each asks for a host
        // inside, by no address of ours / then the answer goes back to that provider
        let (topology, _switch) = build(&ONE_PORT_ONE_SUBNET);
        let _inside = Servers::tcp(&topology.client, "192.168.1.10:80".parse().unwrap()).unwrap();
        let rest = "[firewall]\nmode = \"off\"\n";
        let rail = Rail::run(&topology.router, &config(&ONE_PORT_ONE_SUBNET, rest)).unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        for (line, place) in topology.lines.iter().zip(&ONE_PORT_ONE_SUBNET) {
            let guard = "flush chain inet lab guard\n";
            line.isp.nft(guard).unwrap();
            line.isp.sh(&format!("ip route add 192.168.1.0/24 via {}", place.address)).unwrap();
            let [a, b, c] = [10, 1, u8::try_from(line.number).unwrap()];
            let plan = ConnectorPlan {
                servers: vec!["192.168.1.10:80".parse().unwrap()],
                count: Some(20),
                ..ConnectorPlan::new(vec![Ipv4Addr::new(a, b, c, 1)], &[])
            };
            let report = Connector::start(&line.isp, plan).finish().unwrap();
            assert_eq!(report.failed(), 0, "line {}: {:?}", line.number, report.reasons());
        }
        figures("20 of 20 connections answered through each gateway");
    });
}

#[test]
fn an_uplink_without_translation_opens_no_other_on_its_port() {
    isolated(|| {
        // given two uplinks on one port, the second without translation, and a flow through a VPN / when
        // the VPN goes / then the flow goes on by the first uplink, translated: no packet leaves by
        // it with a source of the inside
        let (topology, _switch) = build(&ONE_PORT);
        let text = config(&ONE_PORT, "");
        let text = text.replace("[check]\n", "nat = false\ntier = 2\n[check]\n");
        let router = &topology.router;
        let rail = Rail::run(router, &text).unwrap();
        rail.wait_all_up(LIMIT).unwrap();
        let vpn = "link add vpn0 arp off type veth peer name vpn1\nlink set vpn0 up\n\
                   link set vpn1 up\nroute add 192.0.2.50/32 dev vpn0\n";
        router.ip_batch(vpn).unwrap();
        let socket = topology.client.enter(|| UdpSocket::bind("192.168.1.10:5060")).unwrap();
        for n in 0..100 {
            if n == 20 {
                router.ip_batch("link del vpn0\n").unwrap();
            }
            let _ = socket.send_to(b"on", "192.0.2.50:5060");
            std::thread::sleep(Duration::from_millis(50));
        }
        let dropped = router.sh("nft list chain inet rail foreign_source").unwrap();
        figures(&format!("refused: {dropped}"));
        assert_eq!(topology.line(1).wrong_sources().unwrap(), 0, "{dropped}");
    });
}
