//! Uplinks that differ from the standard drawing.

use rail_lab::flows::Protocol;
use rail_lab::{
    ConfigText, Connector, ConnectorPlan, Fault, FlowsReport, LabError, Node, Plan, Rail, Servers,
    Topology, World, eventually, figures, isolated, node, timed, topology,
};
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::{Duration, Instant};

const SILENT_LIMIT: Duration = Duration::from_secs(1);
const FORWARD: &str = "[[forward]]\nprotocol = \"tcp\"\nport = 8080\nto = \"192.168.1.10:80\"\n";

/// Uplink 1 has a gateway that lies in no prefix, and an address without neighbours.
fn world_with_gateway_outside() -> World {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    topology
        .line(1)
        .isp
        .ip_batch(
            "addr del 100.64.1.1/24 dev acc\naddr add 172.31.1.1/32 dev acc\n\
             route add 100.64.1.2/32 dev acc src 172.31.1.1\n",
        )
        .unwrap();
    let text = topology.config(&ConfigText { rest: FORWARD.into(), ..ConfigText::default() });
    let usual = "address = \"100.64.1.2/24\"\ngateway = \"100.64.1.1\"\n";
    assert!(text.contains(usual), "{text}");
    let outside = "address = \"100.64.1.2/32\"\ngateway = \"172.31.1.1\"\ngateway_onlink = true\n";
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let rail = Rail::run(&topology.router, &text.replace(usual, outside)).unwrap();
    rail.wait_all_up(Duration::from_secs(10)).unwrap();
    World { rail, servers, topology }
}

#[test]
fn a_gateway_outside_the_prefix() {
    timed(|| {
        // given a /32 address with its gateway elsewhere, beside a usual uplink / when that uplink
        // dies silently and returns / then it shares, moves and answers as any other
        let mut world = world_with_gateway_outside();
        let _inside = Servers::tcp(&world.topology.client, "192.168.1.10:80".parse().unwrap());
        let off = shared(&world);
        let refused = from_outside(&world, 1, 200);
        onlink_is_repaired(&world);
        let flows = world.flows(12, 12);
        let connector = world.connector();
        world.wait_for(&connector, 40).unwrap();
        let injected = world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        world.wait_for(&connector, 60).unwrap();
        let (since, settled) = (injected.since, Instant::now());
        injected.repair().unwrap();
        world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
        world.wait_for(&connector, 60).unwrap();
        let report = connector.stop().unwrap();
        let outage = report.last_failed_between(since, settled);
        let at_return = report.failed_between(settled, Instant::now());
        let healthy = flows.stop().unwrap().of(world.topology.line(1).address(), false);
        let after = shared(&world);
        let (killed, changed) = world.kill_and_restart().unwrap();
        closed_from(&world, 1);
        figures(&format!(
            "off the weights {off:.2} points, after the return {after:.2}; silent death: last \
             failed connection after {outage:?}; {refused} of 200 forwarded failed; {killed} failed \
             around a kill"
        ));
        assert!(outage <= SILENT_LIMIT, "{outage:?}");
        assert_eq!((refused, at_return, killed, changed), (0, 0, 0, String::new()));
        let lost = (healthy.udp_lost(), healthy.broken(), healthy.mixed());
        assert_eq!((healthy.flows.is_empty(), lost), (false, (0, 0, 0)));
        assert_eq!(world.topology.wrong_sources().unwrap(), 0);
    });
}

fn shared(world: &World) -> f64 {
    let report = world.connect(400).unwrap();
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    let off = report.deviation(&world.sources(), &[1, 1]);
    assert!(off <= 3.0, "{:?}", report.by_source());
    off
}

/// The inside and the router are closed to the provider of an uplink.
fn closed_from(world: &World, number: usize) {
    let _router = Servers::tcp(&world.topology.router, "0.0.0.0:2223".parse().unwrap()).unwrap();
    let line = world.topology.line(number);
    line.isp.sh(&format!("ip route add 192.168.1.0/24 via {} dev acc", line.address())).unwrap();
    let router = format!("{}:2223", line.address());
    let open = line.isp.open_of(&["192.168.1.10:80", "192.168.1.1:2223", &router]);
    assert!(open.is_empty(), "{open:?} by line {number}");
    line.isp.sh("ip route del 192.168.1.0/24").unwrap();
}

/// Connections from the internet to the forwarded port of one uplink; failures.
fn from_outside(world: &World, line: usize, count: usize) -> usize {
    let plan = ConnectorPlan {
        sources: vec![Ipv4Addr::new(192, 0, 2, 60)],
        servers: vec![SocketAddrV4::new(world.topology.line(line).address(), 8080)],
        period: Duration::from_millis(2),
        count: Some(count),
        ..world.plan()
    };
    Connector::start(&world.topology.internet, plan).finish().unwrap().failed()
}

/// Somebody makes the gateway a neighbour by a route and takes the flag away.
fn onlink_is_repaired(world: &World) {
    let router = &world.topology.router;
    let show = || router.sh("ip route show table 20001").unwrap();
    let wanted = show();
    assert!(wanted.contains("via 172.31.1.1 dev wan1 proto 82 src 100.64.1.2 onlink"), "{wanted}");
    router.sh("ip route add 172.31.1.1/32 dev wan1").unwrap();
    let plain = "default via 172.31.1.1 dev wan1 src 100.64.1.2 table 20001 proto 82";
    router.sh(&format!("ip route replace {plain}")).unwrap();
    eventually(Duration::from_secs(5), "the flag to return", || {
        let now = show();
        if now == wanted { Ok(()) } else { Err(now) }
    });
    router.sh("ip route del 172.31.1.1/32 dev wan1").unwrap();
}

/// What servers see of connections through the box.
pub(crate) const BOX: Ipv4Addr = Ipv4Addr::new(100, 64, 1, 1);

/// The provider of uplink 1 becomes a box inside the LAN: a switch joins it to the client and the
/// router, it answers hosts directly and translates what it sends on.
pub(crate) fn put_box_inside(topology: &Topology) -> Result<(), LabError> {
    let (client, provider) = (&topology.client, &topology.line(1).isp);
    // Without an address of its own a bridge takes another one with each port.
    let mut lines = String::from(
        "link set eth0 down\naddr flush dev eth0\nlink set eth0 name port0\n\
         link add eth0 address 02:00:00:00:01:10 type bridge\nlink set port0 master eth0\nlink set port0 up\n",
    );
    client.ip_batch(&lines)?;
    node::veth((client, "port1"), (provider, "inside"))?;
    lines.clear();
    lines.push_str("link set port1 master eth0\nlink set port1 up\nlink set eth0 up\n");
    for address in topology.clients() {
        let _ = writeln!(lines, "addr add {address}/24 dev eth0");
    }
    lines.push_str("route add default via 192.168.1.1\n");
    client.ip_batch(&lines)?;
    client.nft(
        "table inet lab {\n counter redirects { }\n chain input {\n\
         type filter hook input priority 0\n icmp type redirect counter name redirects\n }\n}\n",
    )?;
    // What servers say to hosts must not come by the router.
    topology.router.nft(
        "table inet lab {\n counter answers { }\n chain pre {\n\
         type filter hook prerouting priority -300\n\
         iifname lan0 ip saddr 192.0.2.10-192.0.2.99 counter name answers\n }\n}\n",
    )?;
    // Two minutes for an unanswered SYN would be a long test.
    topology.router.set("net/netfilter/nf_conntrack_tcp_timeout_syn_sent", "2")?;
    provider.ip_batch("addr add 192.168.1.254/24 dev inside\nlink set inside up\n")?;
    provider.nft(
        "table inet lab {\n counter hosts { }\n chain post {\n\
         type nat hook postrouting priority 100\n\
         oifname core ip saddr 192.168.1.10-192.168.1.253 counter name hosts\n\
         oifname core snat ip to 100.64.1.1\n }\n}\n",
    )?;
    topology.wait_for_carrier()?;
    provider.wait_for_carrier()
}

fn counted(node: &Node, name: &str) -> u64 {
    let text = node.sh(&format!("nft -j list counter inet lab {name}")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let found = json["nftables"].as_array().into_iter().flatten();
    found.filter_map(|item| item["counter"]["packets"].as_u64()).next().unwrap()
}

/// The box is tier 1, a usual uplink is of this tier.
fn box_config(topology: &Topology, tier: &'static str, more: &str) -> String {
    let text = ConfigText { tiers: vec!["1", tier], rest: FORWARD.into(), ..ConfigText::default() };
    let text = topology.config(&text);
    let usual = "interface = \"wan1\"\naddress = \"100.64.1.2/24\"\ngateway = \"100.64.1.1\"\n";
    assert!(text.contains(usual), "{text}");
    let inside = format!(
        "interface = \"lan0\"\naddress = \"192.168.1.1/24\"\ngateway = \"192.168.1.254\"\n\
         nat = false\n{more}"
    );
    text.replace(usual, &inside)
}

fn world_with_box(tier: &'static str) -> World {
    let topology = Topology::build(&Plan::new(2)).unwrap();
    put_box_inside(&topology).unwrap();
    let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
    let rail = Rail::run(&topology.router, &box_config(&topology, tier, "")).unwrap();
    rail.wait_all_up(Duration::from_secs(10)).unwrap();
    World { rail, servers, topology }
}

/// All connections succeed, and servers see them from this address.
#[track_caller]
fn all_by(world: &World, source: Ipv4Addr, count: usize) {
    let report = world.connect(count).unwrap();
    assert_eq!(report.failed(), 0, "{:?}", report.reasons());
    assert!(report.by_source().keys().all(|seen| *seen == source), "{:?}", report.by_source());
}

fn host_knows_a_shorter_way(world: &World) -> bool {
    let client = &world.topology.client;
    let cache = client.sh("ip route show cache").unwrap();
    let get = client.sh("ip route get 192.0.2.10").unwrap();
    cache.contains("redirected") || get.contains("redirected") || get.contains("192.168.1.254")
}

#[test]
fn a_box_inside_the_lan() {
    timed(|| {
        // given a provider's box among the hosts in tier 1 and a usual uplink in tier 2 / when the
        // box dies and returns / then connections move and come back, those by the box are not
        // translated and answered past the router, and no host is told a shorter way
        let mut world = world_with_box("2");
        let (killed, changed) = world.kill_and_restart().unwrap();
        assert_eq!((killed, changed), (0, String::new()), "failed around a kill, and what changed");
        let (client, router) = (&world.topology.client, &world.topology.router);
        let provider = &world.topology.line(1).isp;
        let _inside = Servers::tcp(client, "192.168.1.10:80".parse().unwrap());
        all_by(&world, BOX, 200);
        let by_hosts = counted(provider, "hosts");
        assert!(by_hosts >= 200, "{by_hosts} untranslated");
        let long = long_flows(&world);
        assert!(long.flows.iter().all(|flow| flow.source() == Some(BOX)));
        let (died, report) = box_dies_and_returns(&world);
        let outage = report.last_failed_between(died.0, died.1);
        let at_return = report.failed_between(died.1, Instant::now());
        all_by(&world, BOX, 200);
        let refused = from_outside(&world, 2, 100);
        let answers = counted(router, "answers");
        let redirects = counted(client, "redirects");
        let shorter = host_knows_a_shorter_way(&world);
        figures(&format!(
            "{by_hosts} connections untranslated, {answers} answers by the router, {redirects} \
             redirects; {} long flows kept, silent death: last failed after {outage:?}",
            long.flows.len()
        ));
        assert!(outage <= SILENT_LIMIT, "{outage:?}");
        assert_eq!((answers, redirects, at_return, refused), (0, 0, 0, 0));
        assert!(!shorter);
        assert_eq!(world.topology.line(2).wrong_sources().unwrap(), 0);
        redirects_come_when_asked_for(&world);
    });
}

/// Connections to a network behind another host, by way of the router; packets to it, and those
/// whose connection was given to an uplink.
fn from_host_to_host(world: &World) -> (u64, u64) {
    let (client, router) = (&world.topology.client, &world.topology.router);
    let host = Node::new("host").unwrap();
    node::veth((client, "port2"), (&host, "eth0")).unwrap();
    client.ip_batch("link set port2 master eth0\nlink set port2 up\n").unwrap();
    host.ip_batch(
        "addr add 192.168.1.253/24 dev eth0\nlink set eth0 up\naddr add 10.77.0.1/32 dev lo\n",
    )
    .unwrap();
    client.wait_for_carrier().unwrap();
    host.wait_for_carrier().unwrap();
    router.sh("ip route add 10.77.0.1/32 via 192.168.1.253").unwrap();
    router
        .nft(
            "table inet lab {\n counter seen { }\n counter pinned { }\n chain post {\n\
             type filter hook postrouting priority 200\n ip daddr 10.77.0.1 counter name seen\n\
             ip daddr 10.77.0.1 ct mark != 0 counter name pinned\n }\n}\n",
        )
        .unwrap();
    let plan = ConnectorPlan {
        servers: vec![SocketAddrV4::new(Ipv4Addr::new(10, 77, 0, 1), 80)],
        count: Some(40),
        ..world.plan()
    };
    // Nobody listens there: each connection is refused by its first answer.
    Connector::start(client, plan).finish().unwrap();
    (counted(router, "seen"), counted(router, "pinned"))
}

/// Flows that outlive their first entry in the connection table stay with their uplink.
fn long_flows(world: &World) -> FlowsReport {
    let flows = world.flows(12, 12);
    std::thread::sleep(Duration::from_secs(5));
    let report = flows.stop().unwrap();
    let lost = (report.broken(), report.mixed(), report.udp_lost());
    assert_eq!(lost, (0, 0, 0), "broken, mixed, UDP lost");
    report
}

#[test]
fn a_box_inside_the_lan_shares_with_a_line() {
    timed(|| {
        // given a box among the hosts and a usual uplink in one tier / when both carry long flows
        // and the box dies / then each flow keeps its uplink before, those of the uplink lose nothing,
        // and those of the box end soon, for nobody else can carry them
        let world = world_with_box("1");
        let line = world.topology.line(2).address();
        let report = world.connect(400).unwrap();
        assert_eq!(report.failed(), 0, "{:?}", report.reasons());
        let off = report.deviation(&[BOX, line], &[1, 1]);
        let long = long_flows(&world);
        let kept = [BOX, line].map(|source| long.of(source, true).flows.len());
        let (seen, pinned) = from_host_to_host(&world);
        assert!(seen >= 40 && pinned == 0, "{pinned} of {seen} packets to a host pinned");
        let flows = world.flows(24, 12);
        std::thread::sleep(Duration::from_secs(3));
        let injected = world.topology.inject(1, Fault::Gateway).unwrap();
        world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
        std::thread::sleep(Duration::from_secs(3));
        let flows = flows.stop().unwrap();
        let (by_box, by_line) = (flows.of(BOX, true), flows.of(BOX, false));
        let tcp = by_box.flows.iter().filter(|f| f.protocol == Protocol::Tcp);
        let ends: Vec<_> = tcp.map(|f| f.broken.as_ref().map(|(at, _)| *at)).collect();
        let last = ends.iter().max().copied().flatten().unwrap();
        figures(&format!(
            "off the weights {off:.2} points, {kept:?} long flows kept; {} TCP flows of the box \
             ended within {:?}",
            ends.len(),
            last - injected.since
        ));
        assert!(off <= 3.0, "{:?}", report.by_source());
        assert!(kept.iter().all(|count| *count >= 6), "{kept:?}");
        assert!(!ends.is_empty() && ends.iter().all(Option::is_some), "{ends:?}");
        let lost = (by_line.udp_lost(), by_line.broken(), by_line.mixed());
        assert_eq!((by_line.flows.is_empty(), lost), (false, (0, 0, 0)));
        assert_eq!(world.topology.line(2).wrong_sources().unwrap(), 0);
    });
}

#[test]
fn guests_reach_a_box_inside_the_lan_and_not_the_hosts_beside_it() {
    isolated(|| {
        // given a box among the hosts, and guests who may reach the internet only / when they
        // open connections to the internet, and to a host beside the box / then the first are
        // answered by the box, and the second are not
        let topology = Topology::build(&Plan { networks: vec!["guest"], ..Plan::new(2) }).unwrap();
        put_box_inside(&topology).unwrap();
        topology.line(1).isp.sh("ip route add 10.8.1.0/24 via 192.168.1.1").unwrap();
        let servers = Servers::start(&topology.internet, &topology::servers()).unwrap();
        let config = box_config(&topology, "2", "")
            + "[[network]]\nname = \"guest\"\ninterface = \"guest0\"\n\
               address = \"10.8.1.1/24\"\nkind = \"guest\"\n";
        let rail = Rail::run(&topology.router, &config).unwrap();
        rail.wait_all_up(Duration::from_secs(10)).unwrap();
        let world = World { rail, servers, topology };
        let guest = world.topology.network("guest");
        let _inside = Servers::tcp(&world.topology.client, "0.0.0.0:80".parse().unwrap()).unwrap();
        let ask = |node: &Node, sources: Vec<Ipv4Addr>, servers: Vec<SocketAddrV4>| {
            let plan = ConnectorPlan { sources, servers, count: Some(40), ..world.plan() };
            Connector::start(node, plan).finish().unwrap()
        };
        let host = vec![SocketAddrV4::new(world.topology.clients()[0], 80)];
        let out = ask(&guest.node, guest.hosts(), world.plan().servers);
        assert_eq!((out.failed(), out.by_source()), (0, [(BOX, 40)].into()));
        assert_eq!(ask(&guest.node, guest.hosts(), host.clone()).failed(), 40);
        let router = vec![Ipv4Addr::new(192, 168, 1, 1)];
        assert_eq!(ask(&world.topology.router, router, host).failed(), 0);
    });
}

/// Connections throughout, and when the box died and came back.
fn box_dies_and_returns(world: &World) -> ((Instant, Instant), rail_lab::ConnectorReport) {
    let connector = world.connector();
    world.wait_for(&connector, 40).unwrap();
    let injected = world.topology.inject(1, Fault::Gateway).unwrap();
    world.rail.wait_health("isp1", "down", Duration::from_secs(5)).unwrap();
    world.wait_for(&connector, 60).unwrap();
    all_by(world, world.topology.line(2).address(), 100);
    let times = (injected.since, Instant::now());
    injected.repair().unwrap();
    world.rail.wait_health("isp1", "up", Duration::from_secs(15)).unwrap();
    world.wait_for(&connector, 60).unwrap();
    (times, connector.stop().unwrap())
}

/// Shows that the counter of redirects counts, and that the setting for all goes back.
fn redirects_come_when_asked_for(world: &World) {
    let of = |device: &str| {
        let name = format!("net.ipv4.conf.{device}.send_redirects");
        world.topology.router.sh(&format!("sysctl -n {name}")).unwrap().trim().to_owned()
    };
    assert_eq!((of("all"), of("lan0"), of("wan2")), ("0".into(), "0".into(), "1".into()));
    world.rail.reload(&box_config(&world.topology, "2", "redirects = true\n")).unwrap();
    eventually(Duration::from_secs(5), "the settings", || {
        let now = (of("all"), of("lan0"));
        if now == ("1".into(), "1".into()) { Ok(()) } else { Err(format!("{now:?}")) }
    });
    // Of a redirect for the first packet of a connection the kernel assumes that its addresses
    // are to be translated, and drops it; so it takes flows.
    let flows = world.flows(0, 12);
    eventually(Duration::from_secs(5), "redirects", || {
        let count = counted(&world.topology.client, "redirects");
        if count > 0 { Ok(()) } else { Err("none came") }
    });
    flows.stop().unwrap();
}
